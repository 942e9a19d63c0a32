//! What is compared: ways to put, or not to put, authorization into Envoy. All of them allow the same request.

mod envoys;
mod ours;
mod same_calls;
pub(crate) mod yes;

use std::path::Path;

use anyhow::Result;
use integration::{
    artifacts,
    measure::{
        policies::{EVERY_TIME, SECOND, limit, policy},
        subject::Subject,
    },
};

pub(crate) use self::same_calls::check_calls;

/// One way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variant {
    /// Envoy without authorization.
    Nothing,
    /// A Wasm filter that does nothing: what it costs to be one.
    NoOp,
    /// A Wasm filter that is written by hand for one rule.
    ByHand,
    /// A Wasm filter that has everything done by Envoy that ours has, and decides nothing.
    SameCalls,
    /// Envoy's own filter.
    Rbac,
    /// A server that answers yes: the least that any sidecar costs.
    Yes,
    /// OPA with its plugin for Envoy.
    Opa,
    /// Ours, with a policy of so many rules that it evaluates for each request.
    Rules(usize),
    /// The same small policy in another build of ours, which `HEXR_AUTHZ_BEFORE` names: what a change has changed.
    Before,
    /// Ours, where it remembers what a small policy has answered.
    Remembered,
    /// Ours, counting the calls of the last second.
    AuditLog,
    /// Ours, telling a server of every decision.
    DecisionLogs,
    /// Ours, with 1,000 rules from a bundle, a tenant's own policy, calls counted, decision logs and status.
    Everything,
}

/// All of them, in the order of the table. The first is what the others add to.
pub(crate) const ALL: [Variant; 15] = [
    Variant::Nothing,
    Variant::NoOp,
    Variant::ByHand,
    Variant::SameCalls,
    Variant::Rbac,
    Variant::Yes,
    Variant::Opa,
    Variant::Before,
    Variant::Rules(1),
    Variant::Remembered,
    Variant::Rules(1_000),
    Variant::Rules(10_000),
    Variant::AuditLog,
    Variant::DecisionLogs,
    Variant::Everything,
];

// === impl Variant ===

impl Variant {
    /// What it is called in the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nothing => "no authorization",
            Self::NoOp => "Wasm: does nothing",
            Self::ByHand => "Wasm: reads SAN and headers, `if`",
            Self::SameCalls => "Wasm: our host calls, no decision",
            Self::Rbac => "Envoy's RBAC, one rule",
            Self::Yes => "ext_authz, gRPC server that says yes",
            Self::Opa => "ext_authz, OPA with its Envoy plugin",
            Self::Rules(1) => "Hexr Authz, small policy, evaluated",
            Self::Before => "another build of it",
            Self::Remembered => "Hexr Authz, small policy, remembered",
            Self::Rules(1_000) => "Hexr Authz, 1,000 rules",
            Self::Rules(_) => "Hexr Authz, 10,000 rules",
            Self::AuditLog => "Hexr Authz, rate limit",
            Self::DecisionLogs => "Hexr Authz, decision logs",
            Self::Everything => "Hexr Authz, everything",
        }
    }

    /// Whether it is ours.
    pub(crate) fn is_ours(self) -> bool {
        self.name().starts_with("Hexr")
    }

    /// Starts it; nothing where this machine does not have it.
    pub(crate) async fn start(self, workers: u32) -> Result<Option<Subject>> {
        let subject = match self {
            Self::Nothing => Subject::nothing(workers).await,
            Self::NoOp => same_calls::no_op(workers).await,
            Self::ByHand => Subject::wasm(workers, &artifacts::by_hand()?).await,
            Self::SameCalls => same_calls::same_calls(workers).await,
            Self::Rbac => envoys::rbac(workers).await,
            Self::Yes => envoys::yes(workers).await,
            Self::Opa => return envoys::opa(workers).await,
            Self::Rules(rules) => Subject::ours(workers, &policy(rules, &[EVERY_TIME])).await,
            Self::Before => {
                let Some(module) = std::env::var_os("HEXR_AUTHZ_BEFORE") else { return Ok(None) };
                Subject::ours_in(workers, Path::new(&module), &policy(1, &[EVERY_TIME])).await
            }
            Self::Remembered => Subject::ours(workers, &policy(1, &[])).await,
            Self::AuditLog => {
                Subject::ours_with(workers, &policy(1, &[&limit(SECOND)]), ours::count_calls).await
            }
            Self::DecisionLogs => {
                Subject::ours_with(workers, &policy(1, &[EVERY_TIME]), ours::tell_of_decisions).await
            }
            Self::Everything => ours::everything(workers).await,
        };
        subject.map(Some)
    }
}
