//! What the catalog finds in a request and why, in words for operators.

use super::{Catalog, Derivation, Derived, Kind};
use crate::{denial::Denial, request::Request};

/// What a request is found to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The service, or `unknown`; nothing where the request contradicts itself.
    pub service: Option<String>,
    /// The action, or `unknown`; nothing where the request contradicts itself.
    pub action: Option<String>,
    /// Why, in words.
    pub reason: String,
    /// Whether service and action are known.
    pub is_known: bool,
}

impl Explanation {
    fn new(derivation: &Derivation, words: Result<String, Denial>) -> Self {
        let operation = derivation.operation();
        Self {
            service: operation.as_ref().map(|operation| operation.service().to_owned()),
            action: operation.as_ref().map(|operation| operation.action().to_owned()),
            is_known: words.is_ok() && matches!(derivation, Derivation::Known(_)),
            reason: words.unwrap_or_else(|denial| format!("{}: {denial}", denial.reason().code())),
        }
    }
}

impl Catalog {
    /// Explains what `request` with this whole body asks for. Where the body decides, it may have `most` bytes.
    pub fn explain(&self, request: &Request<'_>, body: &[u8], most: usize) -> Explanation {
        let place = self.place(request);
        let (derivation, sign) = match self.derive(request) {
            Derivation::NeedsBody(rule) if body.len() > most => {
                (rule.unheard(Denial::BodyTooLarge(most)), String::new())
            }
            Derivation::NeedsBody(rule) => {
                (self.derive_with_body(&rule, request, body), rule.sign().to_owned())
            }
            head @ (Derivation::Known(_)
            | Derivation::UnknownAction { .. }
            | Derivation::UnknownService
            | Derivation::Ambiguous(_)
            | Derivation::Unreadable { .. }
            | Derivation::Unheard { .. }) => (head, sign_of_head(request)),
        };
        let is_known = matches!(derivation, Derivation::Known(_));
        let words = self.admit(derivation.clone(), request).map(|derived| {
            if is_known {
                format!("{place}, and {sign} says what is asked for{}", facts(&derived))
            } else {
                format!(
                    "{place}, and what is asked for there is not known: the policy decides (`on_unknown`)"
                )
            }
        });
        Explanation::new(&derivation, words)
    }

    /// Whose host it is.
    fn place(&self, request: &Request<'_>) -> String {
        let host = request.host();
        let own = self.service_at(host, request.port()).and_then(|(number, _)| self.services.get(number));
        match own.map(|service| (service.service.as_str(), &service.kind)) {
            Some((name, Kind::Actions(_))) => format!("`{host}` is a host of your own entry `{name}`"),
            Some((name, Kind::Mcp(_))) => format!("`{host}` is a host of your MCP server `{name}`"),
            Some((name, Kind::BuiltIn)) => {
                format!("`{host}` is a host at which your own entry puts the built-in service `{name}`")
            }
            None if self.is_built_in_host(request) => format!("`{host}` is a host of the built-in catalog"),
            None => format!("`{host}` is a host that no entry lists"),
        }
    }
}

/// What of a request without a body, or with one that means nothing, says what is asked for.
fn sign_of_head(request: &Request<'_>) -> String {
    let told = request.told();
    if told.amz_target.is_there() {
        "its header `x-amz-target`".to_owned()
    } else if told.smithy_protocol.is_there() {
        "its path, of an RPC,".to_owned()
    } else if request.query().split('&').any(|pair| pair.starts_with("Action=")) {
        "the `Action` of its query".to_owned()
    } else {
        format!("`{} {}`", request.method(), request.path())
    }
}

fn facts(derived: &Derived) -> String {
    let facts = &derived.facts;
    let tool = facts.tool.as_ref().map(|tool| &tool.name);
    [("resource", facts.resource.as_ref()), ("model", facts.model.as_ref()), ("tool", tool)]
        .into_iter()
        .filter_map(|(name, fact)| Some(format!("; {name} `{}`", fact?)))
        .collect()
}
