//! `data.audit_log`: the calls of the recent past, made into documents only where they are read.

use std::ops::RangeInclusive;

use regorus::Value;

/// The calls that an evaluation may see, oldest first.
pub(crate) trait RecentCalls {
    /// How many there are.
    fn len(&self) -> usize;

    /// All of them, as the policy reads them: an array of objects, each with an `id` of its own.
    fn document(&self) -> Value;

    /// How many kinds there are. Calls of one kind differ in nothing but their instants and ids.
    fn kinds(&self) -> usize;

    /// What the calls of a kind have in common.
    fn of_kind(&self, kind: usize) -> Value;

    /// How many calls were made at these instants, of the kinds that count.
    fn count(&self, instants: RangeInclusive<i64>, kinds: &[bool]) -> usize;

    /// When the oldest of those was made.
    fn oldest(&self, instants: RangeInclusive<i64>, kinds: &[bool]) -> Option<i64>;
}
