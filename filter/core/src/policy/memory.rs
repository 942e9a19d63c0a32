//! Remembers decisions that depend on nothing but who asks and what for.

use std::{
    cell::{Cell, RefCell},
    num::NonZeroUsize,
};

use lru::LruCache;
use regorus::Value;

use super::{Outcome, Text, document::InputField};
use crate::{
    pace::Pace,
    rego::{Clock, Dependence},
    timestamp::Timestamp,
};

/// How many decisions a worker remembers of a policy.
const MAX_DECISIONS: NonZeroUsize = match NonZeroUsize::new(8192) {
    Some(max) => max,
    None => NonZeroUsize::MIN,
};

/// Decisions of one policy. It is dropped with the policy, so nothing in it is ever out of date.
#[derive(Debug)]
pub(super) struct Memory {
    /// Whether the hour counts.
    by_quarter: bool,
    decisions: RefCell<LruCache<Key, Remembered>>,
    /// How often one was recalled, since that was last asked.
    recalled: Cell<u64>,
}

/// What a decision depends on.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// Where the identity's document is. It stays there as long as the decision is remembered.
    identity: usize,
    service: Text,
    action: Text,
    /// Quarters of an hour since 1970; 0 where the hour does not count.
    quarter: i64,
}

#[derive(Debug)]
struct Remembered {
    /// Keeps the address in [`Key`] taken.
    _identity: Value,
    outcome: Outcome,
}

// === impl Memory ===

impl Memory {
    /// A memory for a rule that depends on `dependence`; nothing where its decisions cannot be remembered.
    pub(super) fn for_rule(dependence: &Dependence) -> Option<Self> {
        let by_quarter = match dependence.clock {
            Clock::Not => false,
            Clock::QuarterHour => true,
            Clock::Instant => return None,
        };
        let of_the_asked = dependence.input.iter().all(|field| InputField::is_of_the_asked(field));
        (of_the_asked && !dependence.random && !dependence.audit_log).then(|| Self {
            by_quarter,
            decisions: RefCell::new(LruCache::new(MAX_DECISIONS)),
            recalled: Cell::new(0),
        })
    }

    pub(super) fn key(&self, identity: &Value, service: &Text, action: &Text, now: Timestamp) -> Option<Key> {
        let Value::Object(fields) = identity else { return None };
        let quarter = if self.by_quarter { now.unix_seconds().div_euclid(15 * 60) } else { 0 };
        let identity = std::sync::Arc::as_ptr(fields).addr();
        Some(Key { identity, service: service.clone(), action: action.clone(), quarter })
    }

    pub(super) fn recall(&self, key: &Key) -> Option<Outcome> {
        let mut decisions = self.decisions.try_borrow_mut().ok()?;
        let outcome = decisions.get(key)?.outcome.clone();
        self.recalled.set(self.recalled.get().wrapping_add(1));
        Some(outcome)
    }

    pub(super) fn take_recalled(&self) -> u64 {
        self.recalled.take()
    }

    pub(super) fn remember(&self, key: Key, identity: Value, outcome: &Outcome) {
        if let Ok(mut decisions) = self.decisions.try_borrow_mut() {
            decisions.put(key, Remembered { _identity: identity, outcome: outcome.clone() });
        }
    }

    /// Takes it apart in slices.
    pub(super) async fn retire(self, pace: &Pace) {
        let mut decisions = self.decisions.into_inner();
        while let Some(decision) = decisions.pop_lru() {
            drop(decision);
            pace.spend(5).await;
        }
    }
}
