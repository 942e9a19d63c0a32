//! OPA's builtin functions. Each answers as OPA 1.22.2 does, or ends the evaluation where it cannot.
//!
//! A call with wrong arguments is undefined, as in OPA. None of them may panic, recurse without bound, or do more than
//! it has paid for: `Work` is spent before memory is taken or time is used.

mod aggregates;
mod arithmetic;
mod arrays;
mod big_float;
mod calendar;
mod comparison;
mod crypto;
mod duration;
mod encoding;
mod float_text;
mod glob;
mod graph;
mod json_patch;
mod json_paths;
mod json_text;
mod jwk;
mod jwt;
mod letter_case;
mod net;
mod number;
mod objects;
mod operand;
mod place;
pub(super) mod print;
mod printable;
mod random;
mod regex;
mod regex_dialect;
mod replace;
mod semver;
mod sets;
mod sprintf;
mod strings;
mod term_text;
pub(super) mod test_case;
mod time;
mod time_layout;
mod types;
mod units;

pub(crate) use duration::parse_duration;

use std::collections::{BTreeMap, HashMap};

use regorus::Value;

use super::order::same_within;
use crate::signature::UnknownKey;

/// What builtins may use besides their arguments; one for each evaluation.
pub(crate) struct Surroundings {
    pub(crate) now_ns: i64,
    pub(crate) random: Random,
    pub(crate) work: Work,
    /// `rand.intn` and `uuid.rfc4122` give the same answer for the same arguments throughout an evaluation.
    random_integers: HashMap<(String, u64), u64>,
    uuids: BTreeMap<Value, Value>,
    /// The cases of a parameterised test that were begun.
    pub(crate) test_cases: Vec<Value>,
    /// What was printed; none where nobody reads it.
    pub(crate) printed: Option<String>,
}

/// Random numbers that follow from a seed.
pub(crate) struct Random {
    state: u64,
}

/// What an evaluation may still do. A unit is about 50 ns, or a small allocation.
pub(crate) struct Work {
    left: u64,
}

/// Why a call has no answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The builtin's own error, by which OPA makes the call undefined.
    Undefined(String),
    /// The work is used up: ends the evaluation.
    OutOfBudget,
    /// Ends the evaluation with an error: OPA halts too, or its answer is not known here.
    Fatal(String),
}

pub(crate) type Outcome = Result<Value, Failure>;

/// What an answer depends on besides the arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dependence {
    None,
    Clock,
    Random,
}

pub(crate) struct Builtin {
    pub(crate) name: &'static str,
    pub(crate) arity: usize,
    pub(crate) call: fn(&mut Surroundings, &[Value]) -> Outcome,
    /// The call returns an array of results, each of which holds in turn.
    pub(crate) is_relation: bool,
    pub(crate) depends: Dependence,
}

/// By domain; the order does not matter.
const DOMAINS: &[&[Builtin]] = &[
    aggregates::BUILTINS,
    arithmetic::BUILTINS,
    arrays::BUILTINS,
    comparison::BUILTINS,
    crypto::BUILTINS,
    encoding::BUILTINS,
    glob::BUILTINS,
    graph::BUILTINS,
    json_patch::BUILTINS,
    json_paths::BUILTINS,
    jwt::BUILTINS,
    net::BUILTINS,
    objects::BUILTINS,
    print::BUILTINS,
    random::BUILTINS,
    regex::BUILTINS,
    semver::BUILTINS,
    sets::BUILTINS,
    sprintf::BUILTINS,
    strings::BUILTINS,
    test_case::BUILTINS,
    time::BUILTINS,
    types::BUILTINS,
    units::BUILTINS,
];

/// Looks a builtin up by OPA's name for it.
pub(crate) fn builtin(name: &str) -> Option<&'static Builtin> {
    DOMAINS.iter().flat_map(|domain| domain.iter()).find(|builtin| builtin.name == name)
}

/// The names of all builtins.
#[cfg(test)]
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    DOMAINS.iter().flat_map(|domain| domain.iter()).map(|builtin| builtin.name)
}

/// Whether OPA reads a regular expression as it is read here. Others end an evaluation.
#[cfg(test)]
pub(crate) fn regex_is_common(pattern: &str) -> bool {
    matches!(regex_dialect::read(pattern), regex_dialect::Reading::Common(_))
}

/// Whether a pattern is a glob, for OPA and here alike.
#[cfg(test)]
pub(crate) fn glob_is_common(pattern: &str) -> bool {
    glob::is_glob(pattern)
}

// === impl Builtin ===

impl Builtin {
    const fn new(name: &'static str, arity: usize, call: fn(&mut Surroundings, &[Value]) -> Outcome) -> Self {
        Self { name, arity, call, is_relation: false, depends: Dependence::None }
    }

    const fn depending(self, depends: Dependence) -> Self {
        Self { depends, ..self }
    }

    const fn relation(self) -> Self {
        Self { is_relation: true, ..self }
    }
}

// === impl Surroundings ===

impl Surroundings {
    pub(crate) fn new(now_ns: i64, seed: u64, work: Work) -> Self {
        Self {
            now_ns,
            random: Random { state: seed },
            work,
            random_integers: HashMap::new(),
            uuids: BTreeMap::new(),
            test_cases: Vec::new(),
            printed: None,
        }
    }
}

// === impl Random ===

impl Random {
    /// The next 64 bits, by SplitMix64.
    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

impl From<UnknownKey> for Failure {
    fn from(unknown: UnknownKey) -> Self {
        Self::fatal(unknown.0)
    }
}

// === impl Work ===

impl Work {
    pub(crate) fn new(units: u64) -> Self {
        Self { left: units }
    }

    /// What has not been spent.
    pub(crate) fn left(&self) -> u64 {
        self.left
    }

    /// Pays for what follows.
    #[inline]
    pub(crate) fn spend(&mut self, units: u64) -> Result<(), Failure> {
        match self.left.checked_sub(units) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                self.left = 0;
                Err(Failure::OutOfBudget)
            }
        }
    }

    /// Pays for looking at a number of small things, eight to a unit.
    #[inline]
    pub(crate) fn spend_on(&mut self, things: usize) -> Result<(), Failure> {
        self.spend(1 + things as u64 / 8)
    }

    /// Pays for reading a text.
    #[inline]
    pub(crate) fn spend_on_text(&mut self, bytes: usize) -> Result<(), Failure> {
        self.spend(1 + bytes as u64 / 64)
    }

    /// Pays for making a text: more than for reading, because memory is scarcer than time.
    #[inline]
    pub(crate) fn spend_on_new_text(&mut self, bytes: usize) -> Result<(), Failure> {
        self.spend(1 + bytes as u64 / 16)
    }

    /// Whether two values are the same; costs what has to be looked at.
    pub(crate) fn same(&mut self, left: &Value, right: &Value) -> Result<bool, Failure> {
        let most = self.left.saturating_mul(8).saturating_add(7);
        let mut steps = most;
        let same = same_within(left, right, &mut steps).ok_or(Failure::OutOfBudget)?;
        self.spend((most - steps) / 8)?;
        Ok(same)
    }

    /// Pays for looking at all of a value once. Parts that it shares count as often as they are reached.
    pub(crate) fn weigh(&mut self, value: &Value) -> Result<(), Failure> {
        if !crate::rego::order::is_composite(value) {
            return self.spend(1);
        }
        let most = self.left.saturating_mul(8);
        let mut seen = 0_u64;
        let mut pending = vec![value];
        while let Some(value) = pending.pop() {
            seen += 1;
            if seen > most {
                return self.spend(u64::MAX);
            }
            match value {
                Value::Array(items) => pending.extend(items.iter()),
                Value::Set(items) => pending.extend(items.iter()),
                Value::Object(entries) => {
                    pending.extend(entries.iter().flat_map(|(key, value)| [key, value]))
                }
                Value::String(text) => seen += text.len() as u64 / 16,
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::Undefined => {}
            }
        }
        self.spend(1 + seen / 8)
    }
}

// === impl Failure ===

impl Failure {
    fn undefined(message: impl Into<String>) -> Self {
        Self::Undefined(message.into())
    }

    fn fatal(message: impl Into<String>) -> Self {
        Self::Fatal(message.into())
    }
}

#[cfg(test)]
mod tests;
