//! What a refused caller sees.

use serde::Serialize;

use crate::{
    decision::{DecisionId, Refusal},
    denial::Denial,
};

/// A complete local reply.
#[derive(Debug, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The gRPC status, for callers that speak gRPC.
    pub grpc_status: u32,
    /// Envoy's `%RESPONSE_CODE_DETAILS%`.
    pub details: String,
    /// The headers, `content-type` among them.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: String,
}

#[derive(Serialize)]
struct Body<'a> {
    error: &'a str,
    reason: &'a str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<&'a str>,
    decision_id: &'a str,
}

// === impl Reply ===

impl Reply {
    /// The reply to a refused request; `contact` is whom to ask.
    pub fn new(refusal: &Refusal<'_>, contact: Option<&str>) -> Self {
        let reason = refusal.denial.reason();
        let body = Body {
            error: reason.error(),
            reason: reason.code(),
            message: message(refusal, contact),
            service: refusal.operation.as_ref().map(|operation| operation.service()),
            action: refusal.operation.as_ref().map(|operation| operation.action()),
            decision_id: refusal.id.as_str(),
        };
        let mut headers = vec![
            ("content-type", "application/json".to_owned()),
            (DECISION_ID_HEADER, refusal.id.to_string()),
        ];
        if refusal.denial == Denial::NoPolicy {
            headers.push(("retry-after", "1".to_owned()));
        }
        Self {
            status: reason.status(),
            grpc_status: reason.grpc_status(),
            details: format!("hexr_authz_denied{{reason={}}}", reason.code()),
            headers,
            // Strings only: there is nothing in it that could not be written.
            body: serde_json::to_string(&body).unwrap_or_default(),
        }
    }
}

/// Names the decision to the caller and to the credential exchange.
const DECISION_ID_HEADER: &str = "x-hexr-decision-id";

fn message(refusal: &Refusal<'_>, contact: Option<&str>) -> String {
    let asked = match (refusal.identity, &refusal.operation) {
        (Some(identity), Some(operation)) => format!(
            "role `{}` of agent `{}` of tenant `{}` asked for `{}` on `{}`: ",
            identity.role(),
            identity.agent(),
            identity.tenant(),
            operation.action(),
            operation.service()
        ),
        (None, Some(operation)) => {
            format!("`{}` on `{}` was asked for: ", operation.action(), operation.service())
        }
        (Some(_) | None, None) => String::new(),
    };
    let contact =
        contact.map(|contact| format!("; ask {contact} and name the decision id")).unwrap_or_default();
    format!("{asked}{}{contact}", told(&refusal.denial))
}

/// What the caller is told of a denial. The text of an operator's fault stays in the operator's log.
fn told(denial: &Denial) -> String {
    match denial {
        Denial::EvaluationError(_) => "the policy could not be evaluated".to_owned(),
        Denial::BudgetExceeded(_) => "the policy took too long to evaluate".to_owned(),
        Denial::InternalError(_) => "the authorization filter could not do its work".to_owned(),
        Denial::NoClientCertificate
        | Denial::ExpiredCertificate(_)
        | Denial::MultipleUriSans { .. }
        | Denial::InvalidSpiffeId(_)
        | Denial::UntrustedDomain(_)
        | Denial::UnmappedIdentity(_)
        | Denial::UnknownService(_)
        | Denial::UnknownAction(_)
        | Denial::AmbiguousRequest(_)
        | Denial::UnreadableBody(_)
        | Denial::BodyTimeout(_)
        | Denial::BodyTooLarge(_)
        | Denial::PolicyDenied
        | Denial::NoPolicy => denial.to_string(),
    }
}

impl DecisionId {
    /// The reply to a request that could not even be brought to a decision.
    pub fn fault(self, message: &str) -> Reply {
        let denial = Denial::InternalError(message.to_owned());
        Reply::new(&Refusal { id: self, denial, identity: None, operation: None, revision: "" }, None)
    }
}
