//! What a refused caller sees.

mod native;

use std::borrow::Cow;

use serde::Serialize;

use self::native::native;
use crate::{
    catalog::Addressee,
    decision::{DecisionId, Grounds, Refusal},
    denial::{Denial, Reason},
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
    pub headers: Vec<(Cow<'static, str>, String)>,
    /// The body: the policy's own, or ours, in the caller's tongue.
    pub body: Vec<u8>,
}

/// What is told of a refusal, in whichever form.
struct Told<'a> {
    reason: Reason,
    message: String,
    service: Option<&'a str>,
    action: Option<&'a str>,
    id: &'a str,
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
    pub fn new(refusal: &Refusal<'_>, contact: Option<&str>, addressee: &Addressee) -> Self {
        let reason = refusal.denial.reason();
        let told = Told::new(refusal, contact);
        let mut headers = Vec::new();
        let mut status = reason.status();
        let mut content_type = "application/json";
        let mut own_body = None;
        if let Some(rejection) = refusal.denial.rejection() {
            own_body = rejection.body.clone();
            if own_body.is_some() {
                content_type = "text/plain";
            }
            for header in &rejection.headers {
                // The type of our body is not the policy's to tell.
                match header.name.as_str() {
                    CONTENT_TYPE if own_body.is_some() => content_type = &header.value,
                    CONTENT_TYPE => {}
                    _ => headers.push((Cow::Owned(header.name.clone()), header.value.clone())),
                }
            }
        }
        let body = match own_body {
            Some(body) => body.into_bytes(),
            None => match native(&told, addressee) {
                Some(native) => {
                    status = native.status.unwrap_or(status);
                    content_type = native.content_type;
                    headers.extend(native.headers.into_iter().map(|(name, value)| (name.into(), value)));
                    native.body
                }
                None => told.plain(),
            },
        };
        headers.push((CONTENT_TYPE.into(), content_type.to_owned()));
        headers.push((DECISION_ID_HEADER.into(), refusal.id.to_string()));
        if let Some(seconds) = refusal.denial.retry_after_seconds() {
            headers.push(("retry-after".into(), seconds.to_string()));
        }
        Self {
            status,
            grpc_status: reason.grpc_status(),
            details: format!("hexr_authz_denied{{reason={}}}", reason.code()),
            headers,
            body,
        }
    }
}

const CONTENT_TYPE: &str = "content-type";

/// Names the decision to the caller and to the credential exchange.
const DECISION_ID_HEADER: &str = "x-hexr-decision-id";

// === impl Told ===

impl<'a> Told<'a> {
    fn new(refusal: &'a Refusal<'_>, contact: Option<&str>) -> Self {
        Self {
            reason: refusal.denial.reason(),
            message: message(refusal, contact),
            service: refusal.operation.as_ref().map(|operation| operation.service()),
            action: refusal.operation.as_ref().map(|operation| operation.action()),
            id: refusal.id.as_str(),
        }
    }

    /// The body for whoever has no tongue of its own.
    fn plain(self) -> Vec<u8> {
        let body = Body {
            error: self.reason.error(),
            reason: self.reason.code(),
            message: self.message,
            service: self.service,
            action: self.action,
            decision_id: self.id,
        };
        // Strings only: there is nothing in it that could not be written.
        serde_json::to_vec(&body).unwrap_or_default()
    }
}

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
        | Denial::PolicyDenied(_)
        | Denial::TenantPolicyDenied(_)
        | Denial::UnreadableBody(_)
        | Denial::BodyTimeout(_)
        | Denial::BodyTooLarge(_)
        | Denial::AuditLogFull { .. }
        | Denial::AuditLogContention
        | Denial::NoPolicy => denial.to_string(),
    }
}

impl DecisionId {
    /// The reply to a request that could not even be brought to a decision.
    pub fn fault(self, message: &str) -> Reply {
        let denial = Denial::InternalError(message.to_owned());
        let refusal = Refusal { id: self, denial, identity: None, operation: None, grounds: Grounds::none() };
        Reply::new(&refusal, None, &Addressee::anyone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Header, Rejection, Remarks};

    fn reply(denial: Denial) -> Reply {
        let id = DecisionId::from_random([0; 16]);
        let refusal = Refusal { id, denial, identity: None, operation: None, grounds: Grounds::none() };
        Reply::new(&refusal, None, &Addressee::anyone())
    }

    fn text(reply: &Reply) -> &str {
        std::str::from_utf8(&reply.body).unwrap()
    }

    #[track_caller]
    fn check(rejection: Rejection, status: u16, headers: &[(&str, &str)], body: Option<&str>) {
        let reply = reply(Denial::PolicyDenied(Box::new(rejection)));
        let ours =
            r#"{"error":"access_denied","reason":"policy_denied","message":"the policy does not allow it","#;
        assert_eq!(reply.status, status);
        let given: Vec<(&str, &str)> =
            reply.headers.iter().map(|(name, value)| (name.as_ref(), value.as_str())).collect();
        let id = ("x-hexr-decision-id", "00000000-0000-4000-8000-000000000000");
        assert_eq!(given, [headers, &[id]].concat());
        match body {
            Some(body) => assert_eq!(text(&reply), body),
            None => assert!(text(&reply).starts_with(ours), "{}", text(&reply)),
        }
        assert_eq!(reply.details, "hexr_authz_denied{reason=policy_denied}");
    }

    fn header(name: &str, value: &str) -> Header {
        Header { name: name.to_owned(), value: value.to_owned() }
    }

    #[test]
    fn a_policys_own_reply() {
        let (json, plain) = (("content-type", "application/json"), ("content-type", "text/plain"));
        let own = || Rejection { body: Some("own".to_owned()), ..Rejection::default() };
        check(Rejection::default(), 403, &[json], None);
        check(Rejection { status: Some(429), ..Rejection::default() }, 429, &[json], None);
        check(own(), 403, &[plain], Some("own"));
        check(Rejection { body: Some(String::new()), ..own() }, 403, &[plain], Some(""));
        let headers = vec![header("content-type", "text/html"), header("retry-after", "30")];
        let retry = ("retry-after", "30");
        check(
            Rejection { headers: headers.clone(), ..own() },
            403,
            &[retry, ("content-type", "text/html")],
            Some("own"),
        );
        // Without a body of its own the policy does not say of what type ours is.
        check(Rejection { headers, ..Rejection::default() }, 403, &[retry, json], None);
        let cookies = vec![header("set-cookie", "a=1"), header("set-cookie", "b=2")];
        check(
            Rejection { headers: cookies, ..Rejection::default() },
            403,
            &[("set-cookie", "a=1"), ("set-cookie", "b=2"), json],
            None,
        );
        // Its reason is for logs.
        let remarks = Remarks { reason: Some("secret".to_owned()), metadata: None };
        let denial = Denial::PolicyDenied(Box::new(Rejection { remarks, ..Rejection::default() }));
        assert!(!text(&reply(denial)).contains("secret"));
    }

    #[test]
    fn an_operators_fault_stays_in_the_log() {
        let reply = reply(Denial::EvaluationError("`headers`: `host` says what was judged".to_owned()));
        assert_eq!((reply.status, reply.grpc_status), (500, 13));
        assert!(!text(&reply).contains("host"), "{}", text(&reply));
        assert!(text(&reply).starts_with(r#"{"error":"unavailable","reason":"evaluation_error","#));
    }
}
