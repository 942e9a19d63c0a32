//! What a rule's value depends on, besides the policy and its data: fields of the input, the clock, randomness.

use std::collections::{BTreeSet, HashMap};

use regorus::Value;

use super::{
    builtins,
    ir::{Callee, Definition, Operand, Outcome, Pattern, Rule, Slot, StepKind},
    names::Tree,
    recursion::Needs,
    retire,
    visit::{self, Part},
};
use crate::pace::Pace;

/// How a value depends on the clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Clock {
    #[default]
    Not,
    /// By the hour, the day or the weekday of some time zone: it stays the same for a quarter of an hour.
    ///
    /// All offsets from UTC are multiples of 15 minutes, and so are the instants at which they change.
    QuarterHour,
    /// By the instant.
    Instant,
}

/// The most fields that are told one by one.
const MOST_FIELDS: usize = 64;

/// The field of the input of which it matters what is read of it.
const PARTED: &str = "request";

/// What a value depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dependence {
    /// The fields of the input, an empty one standing for all of it; of [`PARTED`] its parts, as `request.method`.
    pub(crate) input: BTreeSet<String>,
    pub(crate) clock: Clock,
    pub(crate) random: bool,
    /// Whether the calls of the recent past are read, `data.audit_log`.
    pub(crate) audit_log: bool,
}

/// The name under `data` where the calls of the recent past stand.
pub(crate) const AUDIT_LOG: &str = "audit_log";

// === impl Dependence ===

impl Dependence {
    pub(super) fn is_nothing(&self) -> bool {
        self.input.is_empty() && self.clock == Clock::Not && !self.random
    }

    /// Many fields are told as all of the input, so that long chains of rules do not gather long lists.
    fn all_if_many(&mut self) {
        if self.input.len() > MOST_FIELDS || self.input.contains("") {
            self.input = BTreeSet::from([String::new()]);
        }
    }

    /// Adds what `other` depends on; whether that changed anything.
    fn add(&mut self, other: &Self) -> bool {
        let before = self.clone();
        self.input.extend(other.input.iter().cloned());
        self.clock = self.clock.max(other.clock);
        self.random |= other.random;
        self.audit_log |= other.audit_log;
        self.all_if_many();
        before != *self
    }
}

/// What each rule depends on, with what the rules that it needs depend on.
pub(super) async fn dependences(rules: &[Rule], needs: &Needs, pace: &Pace) -> Vec<Dependence> {
    let mut found = Vec::new();
    for rule in rules {
        found.push(own(rule, pace).await);
    }
    found.resize(needs.edges.len(), Dependence::default());
    let users = needs.reversed(pace).await;
    let mut pending: Vec<usize> = needs.in_order(pace).await;
    pending.reverse();
    while let Some(id) = pending.pop() {
        let Some(dependence) = found.get(id).cloned() else { continue };
        pace.spend(2).await;
        for user in users.get(id).into_iter().flatten() {
            pace.spend(5).await;
            if found.get_mut(*user).is_some_and(|user| user.add(&dependence)) {
                pending.push(*user);
            }
        }
    }
    found.truncate(rules.len());
    retire::all(users, pace).await;
    found
}

async fn own(rule: &Rule, pace: &Pace) -> Dependence {
    let mut dependence = Dependence::default();
    for definition in rule.definitions.iter().chain(&rule.default) {
        pace.spend(3 * visit::units(definition)).await;
        dependence.clock = dependence.clock.max(clock_of(definition));
        visit::definition(definition, &mut |part| match part {
            Part::Operand(Operand::Input(path)) => {
                dependence.input.insert(field_of(path));
            }
            Part::Operand(Operand::Base(path)) => {
                dependence.audit_log |= path.first().is_none_or(|name| *name == Value::from(AUDIT_LOG));
            }
            Part::Operand(Operand::Document(node, keys)) if *node == Tree::ROOT => {
                // A name that is known would have led to a node, or to base data.
                dependence.audit_log |= !matches!(keys.first(), Some(Operand::Constant(_)));
            }
            Part::Callee(Callee::Builtin(builtin)) => {
                dependence.random |= builtin.depends == builtins::Dependence::Random;
            }
            Part::Operand(_) | Part::Callee(Callee::Function(_)) | Part::Pattern(_) | Part::Step(_) => {}
        });
    }
    dependence
}

/// The field of the input at which a path begins; nothing where it is all of the input.
fn field_of(path: &[Value]) -> String {
    let part = |at: usize| path.get(at).and_then(|part| part.as_string().ok());
    match (part(0), part(1)) {
        (Some(field), Some(below)) if **field == *PARTED => format!("{field}.{below}"),
        (Some(field), _) => field.to_string(),
        (None, _) => String::new(),
    }
}

/// How the locals of a definition are used.
#[derive(Default)]
struct Uses {
    /// By what they are bound, where that is one call of a builtin without a pattern.
    bound_by: HashMap<Slot, &'static str>,
    count: HashMap<Slot, usize>,
    /// The uses that leave no more than a quarter of an hour to tell.
    coarse: HashMap<Slot, usize>,
}

fn clock_of(definition: &Definition) -> Clock {
    let mut uses = Uses::default();
    let (mut reads, mut other) = (0_usize, 0_usize);
    visit::definition(definition, &mut |part| match part {
        Part::Step(step) => {
            let StepKind::Call(call) = &step.kind else { return };
            let Callee::Builtin(builtin) = call.callee else { return };
            reads +=
                usize::from(builtin.depends == builtins::Dependence::Clock && builtin.name == "time.now_ns");
            other +=
                usize::from(builtin.depends == builtins::Dependence::Clock && builtin.name != "time.now_ns");
            if let Outcome::Match(Pattern::Bind(slot)) = &call.result {
                uses.bound_by.insert(*slot, builtin.name);
            }
            let Some(argument) = call.arguments.first() else { return };
            let instant = match argument {
                Operand::Local(slot) => Some(*slot),
                // An instant with the name of a time zone.
                Operand::Array(parts) => match parts.as_slice() {
                    [Operand::Local(slot), Operand::Constant(Value::String(_))] => Some(*slot),
                    _ => None,
                },
                _ => None,
            };
            let Some(instant) = instant else { return };
            let is_coarse = match (builtin.name, &call.result) {
                ("time.weekday" | "time.date", _) => true,
                ("time.clock", Outcome::Match(Pattern::Bind(_))) => true,
                ("time.clock", Outcome::Match(Pattern::Array(parts))) => {
                    // Only the hour has a name that is used; counted below.
                    for part in parts.iter().skip(1) {
                        if let Pattern::Bind(slot) = part {
                            uses.bound_by.insert(*slot, "minutes");
                        } else if !matches!(part, Pattern::Any) {
                            other += 1;
                        }
                    }
                    true
                }
                _ => false,
            };
            if is_coarse {
                *uses.coarse.entry(instant).or_default() += 1;
            }
        }
        Part::Operand(operand) => match operand {
            Operand::Local(slot) => *uses.count.entry(*slot).or_default() += 1,
            Operand::Path(path) => {
                if let (Operand::Local(slot), Some(Operand::Constant(first))) = (&path.0, path.1.first())
                    && *first == Value::from(0_i64)
                {
                    *uses.coarse.entry(*slot).or_default() += 1;
                }
            }
            _ => {}
        },
        Part::Callee(_) | Part::Pattern(_) => {}
    });
    if other > 0 {
        return Clock::Instant;
    }
    if reads == 0 {
        return Clock::Not;
    }
    let named = uses.bound_by.values().filter(|name| **name == "time.now_ns").count();
    let all_coarse = uses.bound_by.iter().all(|(slot, name)| {
        let count = uses.count.get(slot).copied().unwrap_or(0);
        match *name {
            "time.now_ns" | "time.clock" => uses.coarse.get(slot).copied().unwrap_or(0) == count,
            "minutes" => count == 0,
            _ => true,
        }
    });
    if named == reads && all_coarse { Clock::QuarterHour } else { Clock::Instant }
}
