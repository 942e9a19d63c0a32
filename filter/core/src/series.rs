//! How decisions are counted: one counter for each result, reason, tenant and service, and never more than so many.
//!
//! A tenant's name is an agent's to choose where the trust domain lets it, and Envoy never forgets a counter: tenants,
//! services and counters have bounds, beyond which they are counted together.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    catalog::Operation,
    decision::{Decision, Refusal},
    identity::Identity,
};

/// The counters of one worker, each a `T`.
#[derive(Debug)]
pub struct Series<T> {
    counters: BTreeMap<String, BTreeMap<String, BTreeMap<Outcome, T>>>,
    tenants: BTreeSet<String>,
    services: BTreeSet<String>,
    count: usize,
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Outcome {
    decision: &'static str,
    reason: &'static str,
}

/// The most tenants that are told apart.
const MAX_TENANTS: usize = 100;
/// The most services that are told apart.
const MAX_SERVICES: usize = 100;
/// The most counters of tenants and services that are told apart.
const MAX_COUNTERS: usize = 4_000;
/// The name of a tenant, or a service, of those that are not told apart.
const OTHER: &str = "other";
/// The name where there is none: no certificate proves a tenant, nothing is known of the service, or nothing refused.
const NONE: &str = "none";

// === impl Series ===

impl<T> Default for Series<T> {
    fn default() -> Self {
        Self { counters: BTreeMap::new(), tenants: BTreeSet::new(), services: BTreeSet::new(), count: 0 }
    }
}

impl<T: Copy> Series<T> {
    /// The counter of a decision; `define` makes that of a name, once.
    ///
    /// # Errors
    /// Those of `define`.
    pub fn of<E>(
        &mut self,
        decision: &Decision<'_>,
        define: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, E> {
        let outcome = Outcome::of(decision);
        let (identity, operation) = match decision {
            Decision::Allow(permit) => (Some(permit.identity()), Some(permit.operation())),
            Decision::Deny(refusal) => (refusal.identity, refusal.operation.as_ref()),
            Decision::Waive(waiver) => (waiver.refusal().identity, waiver.refusal().operation.as_ref()),
        };
        let (tenant, service) =
            (identity.map_or(NONE, Identity::tenant), operation.map_or(NONE, Operation::service));
        if let Some(known) = self.known(tenant, service, outcome) {
            return Ok(known);
        }
        let (mut tenant, mut service) = (
            told_apart(&mut self.tenants, tenant, MAX_TENANTS),
            told_apart(&mut self.services, service, MAX_SERVICES),
        );
        if self.count >= MAX_COUNTERS {
            (tenant, service) = (OTHER, OTHER);
        }
        if let Some(known) = self.known(tenant, service, outcome) {
            return Ok(known);
        }
        let counter = define(&name(outcome, tenant, service))?;
        self.count += 1;
        let of_tenant = self.counters.entry(tenant.to_owned()).or_default();
        of_tenant.entry(service.to_owned()).or_default().insert(outcome, counter);
        Ok(counter)
    }

    fn known(&self, tenant: &str, service: &str, outcome: Outcome) -> Option<T> {
        self.counters.get(tenant)?.get(service)?.get(&outcome).copied()
    }
}

/// The name itself as long as there is room for one more, or it is known.
fn told_apart<'n>(known: &mut BTreeSet<String>, name: &'n str, most: usize) -> &'n str {
    if known.contains(name) {
        return name;
    }
    if known.len() >= most {
        return OTHER;
    }
    known.insert(name.to_owned());
    name
}

/// The name of a counter, with its labels in it as `stats_tags` of the shipped configuration read them. A dot separates
/// them, and is written as `_` in a name.
fn name(outcome: Outcome, tenant: &str, service: &str) -> String {
    let Outcome { decision, reason } = outcome;
    let [tenant, service] = [tenant, service].map(|name| name.replace('.', "_"));
    format!(
        "hexr_authz_decisions_total.decision.{decision}.reason.{reason}.tenant.{tenant}.service.{service}"
    )
}

// === impl Outcome ===

impl Outcome {
    fn of(decision: &Decision<'_>) -> Self {
        let reason = |refusal: &Refusal<'_>| refusal.denial.reason().code();
        match decision {
            Decision::Allow(_) => Self { decision: "allow", reason: NONE },
            Decision::Deny(refusal) => Self { decision: "deny", reason: reason(refusal) },
            Decision::Waive(waiver) => Self { decision: "would_deny", reason: reason(waiver.refusal()) },
        }
    }
}

#[cfg(test)]
mod tests;
