//! What a request is for: the cloud service and the action, derived from the request and never from what the
//! caller asserts.
//!
//! The operator's own table ([`Service`]) wins for the hosts that it lists; the built-in table of AWS, Google and the
//! model APIs knows the others. [`Catalog::derive`] is the only question. Where the body decides, it says so, and
//! [`Catalog::derive_with_body`] answers for the whole body.

mod body;
mod builtin;
mod explanation;
mod host;
mod json;
#[cfg(feature = "lint")]
mod listing;
mod mcp;
mod operation;
mod own;
mod tongue;
mod uri_template;

pub use body::BodyRule;
pub use explanation::Explanation;
pub use host::Host;
#[cfg(feature = "replay")]
pub(crate) use json::parse as strict_json;
#[cfg(feature = "lint")]
pub use listing::Actions;
pub use operation::{Derivation, Derived, Facts, Operation, Tool};
pub use own::{Action, JsonField, Kind, Service};
pub use tongue::{Addressee, Tongue};
pub use uri_template::{UriTemplate, UriTemplateError};

use std::{borrow::Cow, collections::HashMap};

use self::{
    builtin::{Memory, Site, Speaks, Table},
    operation::UNKNOWN,
    own::BuiltIn,
};
use crate::{
    denial::Denial,
    policy::Text,
    request::{EMPTY_SEGMENT, Request},
};

/// Everything that is known of services and their operations.
#[derive(Debug)]
pub struct Catalog {
    table: Table,
    memory: Memory,
    exact: HashMap<Host, usize>,
    /// Leading `*.` hosts without the `*`, longest first.
    wildcards: Vec<(Host, usize)>,
    services: Vec<Service>,
    /// For the services of the operator that are the built-in ones.
    built_in: HashMap<usize, BuiltIn>,
    on_unknown: OnUnknown,
}

/// What becomes of a request that the catalog does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnUnknown {
    /// It is denied before policy.
    #[default]
    Deny,
    /// The policy decides, with `unknown` as service or action.
    Policy,
}

// === impl Catalog ===

impl Catalog {
    /// Makes a catalog of services that have no host in common, and the built-in ones at all other hosts.
    pub fn new(services: Vec<Service>, on_unknown: OnUnknown) -> Self {
        let table = Table::builtin();
        let (mut exact, mut wildcards) = (HashMap::new(), Vec::new());
        let mut built_in = HashMap::new();
        for (at, service) in services.iter().enumerate() {
            for host in &service.hosts {
                if host.is_wildcard() {
                    wildcards.push((host.clone(), at));
                } else {
                    exact.insert(host.clone(), at);
                }
            }
            if matches!(service.kind, Kind::BuiltIn) {
                let site =
                    |below| Site::new(&table, builtin::of_service(&table, service.service.as_str(), below));
                built_in.insert(at, BuiltIn { at: site(false), below: site(true) });
            }
        }
        // The longest name is the most specific, and one with a port more than one without.
        wildcards.sort_by_key(|(host, _)| std::cmp::Reverse((host.name.len(), host.port)));
        Self { table, memory: Memory::new(), exact, wildcards, services, built_in, on_unknown }
    }

    /// Whether a service of this name is built in.
    pub fn is_built_in(service: &str) -> bool {
        !builtin::of_service(&Table::builtin(), service, false).is_empty()
    }

    /// What `request` asks for.
    pub fn derive(&self, request: &Request<'_>) -> Derivation {
        let Some((number, base)) = self.service_at(request.host(), request.port()) else {
            return match self.memory.at_host(&self.table, request.host()) {
                Some(site) if is_default_port(request.port()) => {
                    builtin::derive(&self.table, &self.memory, &site, request, None)
                }
                Some(_) | None => Derivation::UnknownService,
            };
        };
        if let Some(built_in) = self.built_in.get(&number) {
            let site = if base.is_some() { &built_in.below } else { &built_in.at };
            return builtin::derive(&self.table, &self.memory, site, request, base);
        }
        if request.has_empty_segments() {
            return Derivation::ambiguous(EMPTY_SEGMENT);
        }
        let own = self.services.get(number).and_then(|service| service.derive(number, request));
        own.unwrap_or(Derivation::UnknownService)
    }

    /// Whether the built-in table knows the host of `request`, where the operator's does not.
    fn is_built_in_host(&self, request: &Request<'_>) -> bool {
        is_default_port(request.port()) && self.memory.at_host(&self.table, request.host()).is_some()
    }

    /// All that the built-in APIs at the host of `request` speak.
    fn speaks_at(&self, request: &Request<'_>) -> Speaks {
        let own = self.service_at(request.host(), request.port());
        match own.and_then(|(number, base)| Some((self.built_in.get(&number)?, base))) {
            Some((built_in, Some(_))) => built_in.below.speaks(),
            Some((built_in, None)) => built_in.at.speaks(),
            None => {
                let site = self.memory.at_host(&self.table, request.host());
                site.map_or(Speaks::NOTHING, |site| site.speaks())
            }
        }
    }

    /// What `request` asks for, of which [`Self::derive`] said `rule`, with the whole of its body.
    pub fn derive_with_body(&self, rule: &BodyRule, request: &Request<'_>, body: &[u8]) -> Derivation {
        rule.decide(&self.table, &self.services, request, body)
    }

    /// The operation that the policy may be asked about.
    ///
    /// # Errors
    /// Why it may not: [`Denial::AmbiguousRequest`] and what is wrong with a body always, [`Denial::UnknownService`]
    /// and [`Denial::UnknownAction`] unless the operator wants the policy to decide.
    pub fn admit(&self, derivation: Derivation, request: &Request<'_>) -> Result<Derived, Denial> {
        let unknown_action = |service: &Text, what: &str| {
            Denial::UnknownAction(format!(
                "`{} {}` {what} of service `{}`",
                request.method(),
                request.path(),
                service.as_str()
            ))
        };
        let to_policy = |operation| Derived { operation, facts: Facts::default() };
        match (derivation, self.on_unknown) {
            (Derivation::Known(derived), _) => Ok(derived),
            (Derivation::Ambiguous(what), _) => Err(Denial::AmbiguousRequest(what)),
            (Derivation::Unreadable { problem, .. }, _) => Err(Denial::UnreadableBody(problem)),
            (Derivation::Unheard { denial, .. }, _) => Err(denial),
            (Derivation::NeedsBody(rule), _) => {
                Err(unknown_action(rule.service(), "needs its body to be read before it is an action"))
            }
            (Derivation::UnknownAction { service }, OnUnknown::Deny) => {
                Err(unknown_action(&service, "is no known action"))
            }
            (Derivation::UnknownService, OnUnknown::Deny) => {
                Err(Denial::UnknownService(request.host().to_owned()))
            }
            (Derivation::UnknownAction { service }, OnUnknown::Policy) => {
                Ok(to_policy(Operation::new(service, Text::new(UNKNOWN))))
            }
            (Derivation::UnknownService, OnUnknown::Policy) => {
                Ok(to_policy(Operation::new(Text::new(UNKNOWN), Text::new(UNKNOWN))))
            }
        }
    }

    /// The operator's service at a host, and the wildcard by which it is there, without its `*`.
    fn service_at(&self, name: &str, port: Option<u16>) -> Option<(usize, Option<&str>)> {
        if self.services.is_empty() {
            return None;
        }
        let exact = |port| self.exact.get(&Host { name: name.to_owned(), port });
        let at = port.and_then(|port| exact(Some(port))).or_else(|| exact(None)).map(|at| (*at, None));
        at.or_else(|| {
            let covering = self.wildcards.iter().find(|(host, _)| host.covers(name, port));
            covering.map(|(host, at)| (*at, Some(host.name.as_str())))
        })
    }
}

/// A name or a value of a query, decoded; nothing where its escapes are no text.
pub(crate) fn query_text(raw: &str) -> Option<Cow<'_, str>> {
    builtin::decoded(raw).ok()
}

/// The clouds answer at these ports only; what answers elsewhere is for the operator to name.
fn is_default_port(port: Option<u16>) -> bool {
    matches!(port, None | Some(80 | 443))
}

#[cfg(test)]
mod tests;
