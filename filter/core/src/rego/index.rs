//! Finds the definitions of a rule that can hold for an input, without looking at the others.
//!
//! A definition that compares fields of the input, or arguments, with constants is found by those constants; all others
//! are always candidates. A candidate is still evaluated: the index only leaves out what is sure to fail.

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hasher as _,
};

use regorus::Value;
use rustc_hash::{FxBuildHasher, FxHasher};

use super::{machine::walk, retire};
use crate::pace::Pace;

/// The most combinations of constants under which one definition is entered.
const MAX_ENTRIES: usize = 64;
/// The most groups of definitions that are looked up by different fields together.
const MAX_GROUPS: usize = 16;
/// Fewer definitions are evaluated faster than looked up.
const MIN_DEFINITIONS: usize = 6;
/// What it takes to enter a definition, and for each of its entries.
const UNITS_PER_DEFINITION: usize = 10;
const UNITS_PER_ENTRY: usize = 3;

/// A value that definitions are told apart by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    /// A path below `input`.
    Input(Vec<Value>),
    /// A function's argument.
    Argument(usize),
}

/// The constants that keys must have for a definition to hold.
pub(super) type Constraints = BTreeMap<Key, Vec<Value>>;

#[derive(Debug)]
pub(super) struct Index {
    keys: Vec<(Key, Constants)>,
    groups: Vec<Group>,
    always: Vec<u32>,
}

/// The constants that a key is compared with, numbered.
#[derive(Debug, Default)]
struct Constants {
    by_hash: HashMap<u64, Vec<(Value, u32)>, FxBuildHasher>,
    count: u32,
}

/// Definitions that are told apart by the same keys.
#[derive(Debug)]
struct Group {
    keys: Vec<usize>,
    entries: HashMap<Vec<u32>, Vec<u32>, FxBuildHasher>,
}

// === impl Index ===

impl Index {
    /// An index over definitions with these constraints; nothing where it would be of no use.
    pub(super) async fn new(constraints: &[Constraints], pace: &Pace) -> Option<Self> {
        if constraints.len() < MIN_DEFINITIONS || constraints.iter().all(Constraints::is_empty) {
            return None;
        }
        let chosen: Vec<Vec<&Key>> = choose_keys(constraints, pace).await;
        let mut index = Self { keys: Vec::new(), groups: Vec::new(), always: Vec::new() };
        let mut key_ids: BTreeMap<&Key, usize> = BTreeMap::new();
        let mut group_ids: BTreeMap<Vec<usize>, usize> = BTreeMap::new();
        for (id, (constraints, chosen)) in (0_u32..).zip(constraints.iter().zip(chosen)) {
            pace.spend(UNITS_PER_DEFINITION).await;
            if chosen.is_empty() {
                index.always.push(id);
                continue;
            }
            let keys: Vec<usize> = chosen
                .iter()
                .map(|key| {
                    *key_ids.entry(key).or_insert_with(|| {
                        index.keys.push(((*key).clone(), Constants::default()));
                        index.keys.len() - 1
                    })
                })
                .collect();
            let mut tuples = vec![Vec::new()];
            for (key, at) in chosen.iter().zip(&keys) {
                let values = constraints.get(*key).map(Vec::as_slice).unwrap_or_default();
                let Some((_, constants)) = index.keys.get_mut(*at) else { continue };
                let numbers: Vec<u32> = values.iter().map(|value| constants.number(value)).collect();
                tuples = tuples
                    .iter()
                    .flat_map(|tuple: &Vec<u32>| {
                        numbers.iter().map(move |number| tuple.iter().copied().chain([*number]).collect())
                    })
                    .collect();
            }
            let at = *group_ids.entry(keys.clone()).or_insert_with(|| {
                index.groups.push(Group { keys, entries: HashMap::default() });
                index.groups.len() - 1
            });
            for tuple in tuples {
                pace.spend(UNITS_PER_ENTRY).await;
                if let Some(group) = index.groups.get_mut(at) {
                    let entry = group.entries.entry(tuple).or_default();
                    if entry.last() != Some(&id) {
                        entry.push(id);
                    }
                }
            }
        }
        Some(index)
    }

    /// Takes it apart in slices.
    pub(super) async fn retire(self, pace: &Pace) {
        for (_, constants) in self.keys {
            retire::all(constants.by_hash, pace).await;
        }
        for group in self.groups {
            retire::all(group.entries, pace).await;
        }
    }

    /// How many definitions are evaluated whatever the input is.
    pub(super) fn always(&self) -> usize {
        self.always.len()
    }

    /// The definitions that can hold, in their order.
    pub(super) fn lookup(&self, input: &Value, arguments: &[Value]) -> Vec<u32> {
        let mut numbers: smallvec::SmallVec<[Option<u32>; 8]> = smallvec::SmallVec::new();
        for (key, constants) in &self.keys {
            let value = match key {
                Key::Input(path) => walk(input, path),
                Key::Argument(at) => arguments.get(*at).unwrap_or(&Value::Undefined),
            };
            numbers.push(constants.find(value));
        }
        let mut found = self.always.clone();
        for group in &self.groups {
            let tuple: Option<smallvec::SmallVec<[u32; 8]>> =
                group.keys.iter().map(|key| numbers.get(*key).copied().flatten()).collect();
            if let Some(entry) = tuple.and_then(|tuple| group.entries.get(tuple.as_slice())) {
                found.extend(entry);
            }
        }
        found.sort_unstable();
        found
    }
}

/// The keys by which each definition is entered: as many as give few enough combinations, those with the fewest
/// constants first.
async fn choose_keys<'c>(constraints: &'c [Constraints], pace: &Pace) -> Vec<Vec<&'c Key>> {
    let mut chosen: Vec<Vec<&Key>> = Vec::new();
    let mut sizes: BTreeMap<Vec<&Key>, usize> = BTreeMap::new();
    for constraints in constraints {
        pace.spend(UNITS_PER_DEFINITION).await;
        let keys = selective_keys(constraints);
        *sizes.entry(keys.clone()).or_default() += 1;
        chosen.push(keys);
    }
    if sizes.len() > MAX_GROUPS {
        // Too many ways to look up: the rare ones are entered by one key only, the one that most have.
        let mut by_size: Vec<(usize, Vec<&Key>)> =
            sizes.into_iter().map(|(keys, size)| (size, keys)).collect();
        by_size.sort_by_key(|(size, _)| std::cmp::Reverse(*size));
        let kept: Vec<Vec<&Key>> = by_size.into_iter().take(MAX_GROUPS).map(|(_, keys)| keys).collect();
        let mut uses: BTreeMap<&Key, usize> = BTreeMap::new();
        for keys in &chosen {
            pace.spend(UNITS_PER_DEFINITION).await;
            keys.iter().for_each(|key| *uses.entry(key).or_default() += 1);
        }
        for keys in chosen.iter_mut().filter(|keys| !kept.contains(keys)) {
            pace.spend(UNITS_PER_DEFINITION).await;
            keys.sort_by_key(|key| std::cmp::Reverse(uses.get(*key).copied().unwrap_or(0)));
            keys.truncate(1);
        }
    }
    chosen
}

/// The keys of a definition that give few enough combinations.
fn selective_keys(constraints: &Constraints) -> Vec<&Key> {
    let mut by_count: Vec<(&Key, usize)> =
        constraints.iter().map(|(key, values)| (key, values.len())).collect();
    by_count.sort_by_key(|(_, count)| *count);
    let mut entries = 1_usize;
    let mut keys: Vec<&Key> = by_count
        .into_iter()
        .take_while(|(_, count)| {
            entries = entries.saturating_mul(*count);
            entries <= MAX_ENTRIES
        })
        .map(|(key, _)| key)
        .collect();
    keys.sort_unstable();
    keys
}

// === impl Constants ===

impl Constants {
    fn number(&mut self, value: &Value) -> u32 {
        if let Some(number) = self.find(value) {
            return number;
        }
        let number = self.count;
        self.count += 1;
        if let Some(hash) = hash(value) {
            self.by_hash.entry(hash).or_default().push((value.clone(), number));
        }
        number
    }

    fn find(&self, value: &Value) -> Option<u32> {
        let same_hash = self.by_hash.get(&hash(value)?)?;
        same_hash.iter().find(|(known, _)| known == value).map(|(_, number)| *number)
    }
}

/// Whether a constant can be looked up. Numbers that are equal must have one hash, so only small integers can.
pub(super) fn is_indexable(value: &Value) -> bool {
    hash(value).is_some()
}

fn hash(value: &Value) -> Option<u64> {
    let mut hasher = FxHasher::default();
    match value {
        Value::String(text) => hasher.write(text.as_bytes()),
        Value::Bool(is_true) => hasher.write_u8(u8::from(*is_true)),
        Value::Null => hasher.write_u8(2),
        Value::Number(number) => {
            let small = number.as_i64().filter(|small| small.unsigned_abs() < 1 << 53);
            hasher.write_i64(small.filter(|_| number.is_integer())?);
        }
        Value::Array(_) | Value::Set(_) | Value::Object(_) | Value::Undefined => return None,
    }
    Some(hasher.finish())
}
