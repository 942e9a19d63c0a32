//! One decision, from what a request brings to a [`Decision`]. This is the only place that makes a [`Permit`], or a
//! [`Waiver`].

use std::{cell::Cell, rc::Rc};

use crate::{
    audit_log::{Calls, Ledger},
    candidate::Candidate,
    catalog::{Derivation, Derived, Operation},
    config::Config,
    decision::{Decision, DecisionId, Grounds, Mode, Permit, Refusal, Waiver},
    denial::Denial,
    identity::{Identity, Peer},
    policy::{Consent, FurtherFields, Moment, Policy},
    request::Request,
    tenant::Tenants,
};

/// Decides requests by a configuration and the policy that is active now.
#[derive(Debug)]
pub struct Authorizer {
    config: Rc<Config>,
    active: Option<ActivePolicy>,
    /// What is asked beside it.
    candidate: Option<Rc<Candidate>>,
    /// Nothing where tenants have no policies of their own.
    tenants: Option<Tenants>,
}

/// A policy in force, and the name that its author gave it.
#[derive(Debug)]
pub struct ActivePolicy {
    /// The compiled policy.
    pub policy: Rc<Policy>,
    /// The bundle's revision, or `embedded`.
    pub revision: String,
    /// The names of its bundles, and their revisions; shared with what is told of each decision.
    pub bundles: Rc<[(String, String)]>,
}

/// The revision under which the configuration's own policy is reported.
const EMBEDDED: &str = "embedded";

// === impl Authorizer ===

impl Authorizer {
    /// Starts with the configuration's own policy, or with none.
    pub fn new(config: Rc<Config>) -> Self {
        let active = config.embedded_policy.as_ref().map(|policy| ActivePolicy {
            policy: Rc::clone(policy),
            revision: EMBEDDED.to_owned(),
            bundles: Rc::default(),
        });
        let tenants =
            config.tenants.as_ref().map(|source| Tenants::new(source.on_missing, source.most_in_memory));
        Self { config, active, candidate: None, tenants }
    }

    /// The configuration that it decides by.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Puts `policy` in force, in one step: the next decision is by it alone.
    /// What was in force before comes back.
    pub fn activate(&mut self, policy: ActivePolicy) -> Option<ActivePolicy> {
        self.active.replace(policy)
    }

    /// Puts no policy in force, where the one that should be cannot be had.
    pub fn withdraw(&mut self) {
        self.active = None;
    }

    /// From now on this policy, or none, is asked beside the active one. What was asked before comes back.
    pub fn rehearse(&mut self, policy: Option<ActivePolicy>) -> Option<Rc<Candidate>> {
        std::mem::replace(&mut self.candidate, policy.map(|policy| Rc::new(Candidate::new(policy))))
    }

    /// The policy that is asked beside the active one.
    pub fn candidate(&self) -> Option<&Rc<Candidate>> {
        self.candidate.as_ref()
    }

    /// The tenants' own policies, where the configuration has them.
    pub fn tenants(&self) -> Option<&Tenants> {
        self.tenants.as_ref()
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
        let mut grounds = Grounds::of(moment.now, self.active.as_ref());
        let judged = identity.clone().and_then(|identity| {
            let (request, derivation) = asked?;
            let derived = self.config.catalog.admit(derivation, request)?;
            let active = self.active.as_ref().ok_or(Denial::NoPolicy)?;
            // Before the platform's policy is asked, so that what is unknown never looks like an answer.
            let tenants_own =
                self.tenants.as_ref().map_or(Ok(None), |tenants| tenants.policy_of(identity))?;
            let policies = Policies { platform: &active.policy, tenant: tenants_own.as_deref() };
            let further = policies.further(&derived, request)?;
            grounds.question = self.candidate.as_ref().map(|candidate| {
                candidate.question(&derived, request, tenants_own.clone(), policies.count_calls())
            });
            let operation = &derived.operation;
            let consent = if policies.count_calls() {
                let at = Cell::new(moment.now);
                let consent = self.config.audit_log.settle(identity, operation, ledger, |calls, now| {
                    at.set(now);
                    policies.allow(identity, operation, &further, Moment { now, ..moment }, calls)
                });
                grounds.at = at.get();
                consent
            } else {
                policies.allow(identity, operation, &further, moment, Calls::none())
            };
            grounds.further = further.platform;
            Ok((identity, derived.operation, consent?))
        });
        match judged {
            Ok((identity, operation, consent)) => {
                Decision::Allow(Permit::new(id, identity, operation, consent, grounds))
            }
            Err(denial) => {
                let refusal = Refusal { id, denial, identity: identity.ok(), operation, grounds };
                match self.config.mode {
                    Mode::Enforce => Decision::Deny(refusal),
                    Mode::Shadow => Decision::Waive(Waiver::new(refusal)),
                }
            }
        }
    }
}

/// The policies that one request needs the consent of: the platform's, and the tenant's own where it has one.
pub(crate) struct Policies<'a> {
    pub(crate) platform: &'a Policy,
    pub(crate) tenant: Option<&'a Policy>,
}

/// What a request says beyond its operation, to each of them.
#[derive(Clone, Debug)]
pub(crate) struct Further {
    platform: FurtherFields,
    tenant: Option<FurtherFields>,
}

// === impl Policies ===

impl Policies<'_> {
    pub(crate) fn further(&self, derived: &Derived, request: &Request<'_>) -> Result<Further, Denial> {
        let tenant = self.tenant.map(|policy| policy.further(derived, request)).transpose()?;
        Ok(Further { platform: self.platform.further(derived, request)?, tenant })
    }

    pub(crate) fn count_calls(&self) -> bool {
        self.platform.counts_calls() || self.tenant.is_some_and(Policy::counts_calls)
    }

    /// The platform's consent, if the tenant gives its own too.
    pub(crate) fn allow(
        &self,
        identity: &Identity,
        operation: &Operation,
        further: &Further,
        moment: Moment<'_>,
        calls: Calls<'_>,
    ) -> Result<Consent, Denial> {
        let consent = self.platform.allows(identity, operation, &further.platform, moment, calls)?;
        if let (Some(tenant), Some(further)) = (self.tenant, &further.tenant) {
            // A tenant sees its own calls, whatever the platform counts.
            tenant.allows(identity, operation, further, moment, calls.of_tenant(identity))?;
        }
        Ok(consent)
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
