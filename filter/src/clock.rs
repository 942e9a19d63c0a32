//! When an evaluation has taken too long.

use std::cell::OnceCell;

use hexr_authz_core::{policy::Author, timestamp::Timestamp};

use crate::host;

/// The ends of the evaluations of one decision.
pub(crate) struct Deadline {
    /// In milliseconds since 1970; nothing without a clock.
    ends_at: Option<i64>,
    budget: i64,
    /// A tenant's policy comes second, and its time is its own.
    tenant_ends_at: OnceCell<i64>,
}

/// The ends of evaluations that begin now and may each take so many milliseconds.
pub(crate) fn deadline(now: Option<Timestamp>, budget_millis: u64) -> Deadline {
    let budget = i64::try_from(budget_millis).unwrap_or(i64::MAX);
    let ends_at = now.map(|now| now.unix_millis().saturating_add(budget));
    Deadline { ends_at, budget, tenant_ends_at: OnceCell::new() }
}

impl Deadline {
    /// Whether the evaluation of this author's policy has taken too long. Without a clock the work that is counted has to
    /// do.
    pub(crate) fn is_over(&self, author: Author) -> bool {
        let Ok(now) = host::now() else { return false };
        let now = now.unix_millis();
        match author {
            Author::Platform => self.ends_at.is_some_and(|ends_at| now > ends_at),
            Author::Tenant => now > *self.tenant_ends_at.get_or_init(|| now.saturating_add(self.budget)),
        }
    }
}
