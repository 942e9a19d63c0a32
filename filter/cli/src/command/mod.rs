//! The commands, a file each.

pub(crate) mod build;
pub(crate) mod check;
pub(crate) mod request;
pub(crate) mod serve;

use std::{fmt::Display, process::ExitCode};

use hexr_authz_core::policy::{Budget, RulePath};

/// The decision's rule where nothing else is asked for.
const DEFAULT_DECISION: &str = "hexr/authz/allow";
/// The budget under which policies are compiled here; nothing is evaluated.
pub(crate) const BUDGET: Budget = Budget { milliseconds: 50 };
/// The largest bundle that the filter takes without `limits.bundle_bytes`.
pub(crate) const BUNDLE_BYTES: usize = 16 << 20;

/// A rule's path as a flag: `hexr/authz/allow`.
fn rule_path(text: &str) -> Result<RulePath, String> {
    RulePath::parse(text)
        .ok_or_else(|| format!("`{text}` is not the path of a rule, as `{DEFAULT_DECISION}`"))
}

/// Exit code 0, or the error on stderr and exit code 1.
fn exit<T, E: Display>(result: Result<T, E>) -> ExitCode {
    match result {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
