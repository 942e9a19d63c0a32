//! One decision, from what a request brings to a [`Decision`]. This is the only place that makes a [`Permit`].

use std::rc::Rc;

use crate::{
    audit_log::{Calls, Ledger},
    catalog::Derivation,
    config::Config,
    decision::{Decision, DecisionId, Permit, Refusal},
    denial::Denial,
    identity::Peer,
    policy::{Moment, Policy},
    request::Request,
};

/// Decides requests by a configuration and the policy that is active now.
#[derive(Debug)]
pub struct Authorizer {
    config: Rc<Config>,
    active: Option<ActivePolicy>,
}

/// A policy in force, and the name that its author gave it.
#[derive(Debug)]
pub struct ActivePolicy {
    /// The compiled policy.
    pub policy: Rc<Policy>,
    /// The bundle's revision, or `embedded`.
    pub revision: String,
}

/// The revision under which the configuration's own policy is reported.
const EMBEDDED: &str = "embedded";

// === impl Authorizer ===

impl Authorizer {
    /// Starts with the configuration's own policy, or with none.
    pub fn new(config: Rc<Config>) -> Self {
        let active = config
            .embedded_policy
            .as_ref()
            .map(|policy| ActivePolicy { policy: Rc::clone(policy), revision: EMBEDDED.to_owned() });
        Self { config, active }
    }

    /// The configuration that it decides by.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Puts `policy` in force, in one step: the next decision is by it alone.
    pub fn activate(&mut self, policy: ActivePolicy) {
        self.active = Some(policy);
    }

    /// Puts no policy in force, where the one that should be cannot be had.
    pub fn withdraw(&mut self) {
        self.active = None;
    }

    /// The policy in force.
    pub fn active(&self) -> Option<&ActivePolicy> {
        self.active.as_ref()
    }

    /// Decides one request at one moment. Where the policy counts calls, they are read from `ledger`, and the call is
    /// entered there in the same step; the policy is asked at the instant of that step then.
    pub fn decide<'a>(
        &'a self,
        peer: &'a Peer,
        request: &Result<Request<'_>, Denial>,
        moment: Moment<'_>,
        ledger: &dyn Ledger,
        id: DecisionId,
    ) -> Decision<'a> {
        let asked = request
            .as_ref()
            .map(|request| (request, self.config.catalog.derive(request)))
            .map_err(Clone::clone);
        self.decide_derived(peer, asked, moment, ledger, id)
    }

    /// Decides one request of which the catalog has said what it asks for at one moment.
    pub fn decide_derived<'a>(
        &'a self,
        peer: &'a Peer,
        asked: Result<(&Request<'_>, Derivation), Denial>,
        moment: Moment<'_>,
        ledger: &dyn Ledger,
        id: DecisionId,
    ) -> Decision<'a> {
        let operation = asked.as_ref().ok().and_then(|(_, derivation)| derivation.operation());
        let identity = peer.at(moment.now);
        let revision = self.active.as_ref().map_or("", |active| active.revision.as_str());
        let judged = identity.clone().and_then(|identity| {
            let (request, derivation) = asked?;
            let derived = self.config.catalog.admit(derivation, request)?;
            let active = self.active.as_ref().ok_or(Denial::NoPolicy)?;
            let policy = &active.policy;
            let further = policy.further(&derived, request)?;
            let consent = if policy.counts_calls() {
                self.config.audit_log.settle(identity, &derived.operation, ledger, |calls, now| {
                    policy.allows(identity, &derived.operation, &further, Moment { now, ..moment }, calls)
                })?
            } else {
                policy.allows(identity, &derived.operation, &further, moment, Calls::none())?
            };
            Ok((identity, derived.operation, consent))
        });
        match judged {
            Ok((identity, operation, consent)) => {
                Decision::Allow(Permit::new(id, identity, operation, revision, consent))
            }
            Err(denial) => {
                Decision::Deny(Refusal { id, denial, identity: identity.ok(), operation, revision })
            }
        }
    }
}

/// What the filter answers at its `ready_path`.
#[derive(Debug, PartialEq, Eq)]
pub struct Readiness {
    /// 200 with an active policy, else 503.
    pub status: u16,
    /// JSON: whether it is ready, and by which revision or why not.
    pub body: String,
}

impl Authorizer {
    /// Whether the request with these headers asks for readiness instead of for a service. It is recognised before it
    /// is read strictly: who asks for it is often no agent, and names the host by an address.
    pub fn is_readiness<'h>(&self, mut headers: impl Iterator<Item = (&'h [u8], &'h [u8])>) -> bool {
        let Some(ready_path) = &self.config.ready_path else { return false };
        let path = headers.find_map(|(name, value)| (name == b":path").then_some(value));
        path.and_then(|path| path.split(|byte| *byte == b'?').next()) == Some(ready_path.as_bytes())
    }

    /// The readiness of this worker; `cause` tells why there is no policy yet.
    pub fn readiness(&self, cause: &str) -> Readiness {
        match &self.active {
            Some(active) => Readiness {
                status: 200,
                body: serde_json::json!({"ready": true, "revision": active.revision}).to_string(),
            },
            None => Readiness {
                status: 503,
                body: serde_json::json!({"ready": false, "cause": cause}).to_string(),
            },
        }
    }
}
