//! The commands, a file each.

pub(crate) mod build;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod eval;
pub(crate) mod logs;
pub(crate) mod man;
pub(crate) mod replay;
pub(crate) mod request;
pub(crate) mod serve;
pub(crate) mod test;

use std::{fmt::Display, process::ExitCode};

use hexr_authz_core::{
    audit_log::{AuditLog, Record, Scope},
    policy::{Budget, RulePath},
    timestamp::Timestamp,
};

use crate::output::tell;

/// The decision's rule where nothing else is asked for.
const DEFAULT_DECISION: &str = "hexr/authz/allow";
/// The budget under which policies are compiled here; nothing is evaluated.
pub(crate) const BUDGET: Budget = Budget { milliseconds: 50 };
/// The audit log that a bundle is packed for: any, because how far a filter's log reaches is that filter's configuration,
/// and it refuses what looks further.
pub(crate) const ANY_AUDIT_LOG: AuditLog = AuditLog {
    window_seconds: 86_400,
    scope: Scope::All,
    record: Record::All,
    accept_unproven: true,
    agent_calls: u32::MAX,
    tenant_bytes: u64::MAX,
    bytes: u64::MAX,
};
/// The largest bundle that the filter takes without `limits.bundle_bytes`.
pub(crate) const BUNDLE_BYTES: usize = 16 << 20;

/// A rule's path as a flag: `hexr/authz/allow`.
fn rule_path(text: &str) -> Result<RulePath, String> {
    RulePath::parse(text)
        .ok_or_else(|| format!("`{text}` is not the path of a rule, as `{DEFAULT_DECISION}`"))
}

/// An instant as a flag: `2025-01-15T10:30:00Z`.
fn instant(text: &str) -> Result<Timestamp, String> {
    Timestamp::from_rfc3339(text).ok_or_else(|| format!("`{text}` is no instant, as `2025-01-15T10:30:00Z`"))
}

/// Exit code 0, or the error on stderr and exit code 1.
fn exit<T, E: Display>(result: Result<T, E>) -> ExitCode {
    match result {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            tell(error);
            ExitCode::FAILURE
        }
    }
}
