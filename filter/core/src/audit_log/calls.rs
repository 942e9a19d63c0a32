//! The calls that one decision may see.

use std::{borrow::Cow, ops::RangeInclusive};

use regorus::Value;

use super::{
    shard::Block,
    subject::{FIELDS, Face},
};
use crate::{identity::Identity, rego::RecentCalls};

/// The calls of the window, of whom the policy may see.
#[derive(Clone, Copy, Debug)]
pub struct Calls<'a> {
    seen: Option<Seen<'a>>,
}

#[derive(Clone, Copy, Debug)]
struct Seen<'a> {
    block: &'a Block<'a>,
    /// Whose calls alone are seen, where the block has others' too.
    tenant: Option<&'a Identity>,
    /// The number of the oldest call within the window, of those that are there.
    from: usize,
    /// The number after that of the newest one that is seen.
    until: usize,
    shard: u32,
}

// === impl Calls ===

impl<'a> Calls<'a> {
    /// No calls at all.
    pub const fn none() -> Self {
        Self { seen: None }
    }

    pub(super) fn new(block: Option<&'a Block<'a>>, since: i64, shard: u32) -> Self {
        let seen = |block: &'a Block<'a>| {
            let (from, until) = (block.older_than(since), block.len());
            Seen { block, tenant: None, from, until, shard }
        };
        Self { seen: block.map(seen) }
    }

    /// Those before an instant.
    #[must_use]
    pub(super) fn before(self, instant: i64) -> Self {
        let before = |seen: Seen<'a>| Seen { until: seen.until.min(seen.block.older_than(instant)), ..seen };
        Self { seen: self.seen.map(before) }
    }

    /// Those of the identity's tenant alone.
    #[must_use]
    pub fn of_tenant(self, identity: &'a Identity) -> Self {
        Self { seen: self.seen.map(|seen| Seen { tenant: Some(identity), ..seen }) }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        let Some(seen) = self.seen else { return 0 };
        match seen.tenant {
            None => seen.count(),
            Some(_) => {
                let all = vec![true; seen.block.faces().len()];
                seen.of_kinds((seen.from, seen.count()), &seen.seen_of(&all)).count()
            }
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The instant of the oldest.
    pub(super) fn oldest(&self) -> Option<i64> {
        let seen = self.seen?;
        seen.block.entries(seen.from).take(seen.count()).next().map(|entry| entry.timestamp)
    }

    /// How many are of the agent that `face` is of.
    pub(super) fn of_agent(&self, face: &Face<'_>) -> usize {
        let Some(seen) = self.seen else { return 0 };
        let is_of_agent: Vec<bool> = seen.block.faces().map(|known| known.is_of_same_agent(face)).collect();
        self.count(i64::MIN..=i64::MAX, &is_of_agent)
    }
}

impl RecentCalls for Calls<'_> {
    fn len(&self) -> usize {
        Calls::len(self)
    }

    fn document(&self) -> Value {
        let Some(seen) = self.seen else { return Value::from(Vec::<Value>::new()) };
        let Seen { block, from, shard, .. } = seen;
        let (id, timestamp) = (Value::from("id"), Value::from("timestamp"));
        let common: Vec<Value> = block.faces().map(|face| object_of(&face)).collect();
        let mut number = block.first.saturating_add(from as u64);
        let all = vec![true; common.len()];
        let seen_faces = seen.seen_of(&all);
        let calls = block.entries(from).take(seen.count()).filter_map(|entry| {
            let mut call = common.get(usize::from(entry.face)).cloned().unwrap_or_else(Value::new_object);
            if let Ok(fields) = call.as_object_mut() {
                // No block has the serial of another one of its shard, and no call the number of another one.
                let text = format!("{shard:x}-{:x}-{number}", block.serial);
                fields.insert(id.clone(), Value::from(text));
                fields.insert(timestamp.clone(), Value::from(entry.timestamp));
            }
            number = number.saturating_add(1);
            seen_faces.get(usize::from(entry.face)).copied().unwrap_or(false).then_some(call)
        });
        Value::from(calls.collect::<Vec<Value>>())
    }

    fn kinds(&self) -> usize {
        self.seen.map_or(0, |seen| seen.block.faces().len())
    }

    fn of_kind(&self, kind: usize) -> Value {
        let face = self.seen.and_then(|seen| {
            let face = seen.block.faces().nth(kind)?;
            seen.tenant.is_none_or(|identity| face.is_of_tenant(identity)).then_some(face)
        });
        face.map_or(Value::Undefined, |face| object_of(&face))
    }

    fn count(&self, instants: RangeInclusive<i64>, kinds: &[bool]) -> usize {
        let Some(seen) = self.seen else { return 0 };
        let (begin, count) = seen.at(instants);
        let kinds = &*seen.seen_of(kinds);
        if kinds.iter().all(|counts| *counts) {
            return count;
        }
        if !kinds.iter().any(|counts| *counts) {
            return 0;
        }
        seen.of_kinds((begin, count), kinds).count()
    }

    fn oldest(&self, instants: RangeInclusive<i64>, kinds: &[bool]) -> Option<i64> {
        let seen = self.seen?;
        seen.of_kinds(seen.at(instants), &seen.seen_of(kinds)).next()
    }
}

// === impl Seen ===

impl<'a> Seen<'a> {
    fn count(self) -> usize {
        self.until.saturating_sub(self.from)
    }

    /// The number of the first call at these instants, and how many there are.
    fn at(self, instants: RangeInclusive<i64>) -> (usize, usize) {
        let begin = self.block.older_than(*instants.start()).max(self.from);
        let end = instants.end().checked_add(1).map_or(self.until, |after| self.block.older_than(after));
        (begin, end.min(self.until).saturating_sub(begin))
    }

    /// Those of `kinds` that may be seen.
    fn seen_of<'k>(self, kinds: &'k [bool]) -> Cow<'k, [bool]> {
        let Some(identity) = self.tenant else { return Cow::Borrowed(kinds) };
        let of_tenant = self.block.faces().map(|face| face.is_of_tenant(identity));
        Cow::Owned(kinds.iter().zip(of_tenant).map(|(counts, seen)| *counts && seen).collect())
    }

    /// When those of these kinds were made, of `count` calls from `begin` on, oldest first.
    fn of_kinds(self, (begin, count): (usize, usize), kinds: &[bool]) -> impl Iterator<Item = i64> {
        let counts = |face: u16| kinds.get(usize::from(face)).copied().unwrap_or(false);
        let entries = self.block.entries(begin).take(count).filter(move |entry| counts(entry.face));
        entries.map(|entry| entry.timestamp)
    }
}

/// What calls of this face have in common.
fn object_of(face: &Face<'_>) -> Value {
    let mut object = Value::new_object();
    if let Ok(fields) = object.as_object_mut() {
        for (name, text) in FIELDS.iter().zip(face.texts) {
            fields.insert(Value::from(*name), Value::from(text));
        }
        fields.insert(Value::from("decision"), Value::from(decision_of(face)));
    }
    object
}

fn decision_of(face: &Face<'_>) -> &'static str {
    if face.is_allowed { "allow" } else { "deny" }
}
