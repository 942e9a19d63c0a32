//! Recognises bodies that do nothing but choose calls of the audit log, so that they can be counted without making
//! documents of them ([`super::machine`]).
//!
//! Recognised is one walk over `data.audit_log`, and behind it, in any order: comparisons of a call's `timestamp`; tests
//! of its other fields, which calls of one kind have in common; and steps that have nothing to do with the call. What
//! is collected must be another thing for each call. Everything else is evaluated call by call.

use regorus::Value;

use super::{
    depend::AUDIT_LOG,
    ir::{
        Block, Callee, Collects, Definition, Hop, Operand, Outcome, Pattern, RuleKind, Slot, Step, StepKind,
    },
    visit::{self, Part},
};

/// How a body chooses calls.
#[derive(Debug)]
pub(super) struct Choice {
    /// Which of the steps walks over the calls. Those before it are evaluated as they are.
    pub(super) walk: usize,
    /// What a call is bound to.
    pub(super) call: Slot,
    /// What becomes of each step behind the walk.
    pub(super) tests: Vec<Test>,
}

#[derive(Debug)]
pub(super) enum Test {
    /// Says the same of every call: evaluated once, as it is.
    Once,
    /// Says the same of every call of a kind: evaluated as it is, for one call of each kind.
    OfKind,
    /// Compares the instant of the call with a bound.
    OfInstant(Comparison, Operand),
    /// Gives a field a name that only what is collected uses.
    Nothing,
}

/// How an instant has to compare with a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    After,
    AtOrAfter,
    Before,
    AtOrBefore,
}

/// The fields that calls of one kind have in common.
const FIELDS_OF_KIND: [&str; 7] = ["tenant", "agent", "role", "spiffe_id", "service", "action", "decision"];
const TIMESTAMP: &str = "timestamp";
const ID: &str = "id";

// === impl Choice ===

impl Choice {
    /// The choice of a rule that is a set of calls.
    pub(super) fn of_rule(kind: RuleKind, definitions: &[Definition]) -> Option<Self> {
        let [definition] = definitions else { return None };
        let body = &definition.body;
        let [key] = body.keys.as_slice() else { return None };
        let is_set = kind == RuleKind::Partial
            && body.value.is_none()
            && definition.otherwise.is_empty()
            && definition.parameters.is_empty();
        if is_set { Self::of_block(&body.block, key, true) } else { None }
    }

    /// The choice of a comprehension.
    pub(super) fn of_comprehension(collects: &Collects, block: &Block) -> Option<Self> {
        match collects {
            Collects::Array(term) => Self::of_block(block, term, false),
            Collects::Set(term) => Self::of_block(block, term, true),
            Collects::Object(..) => None,
        }
    }

    fn of_block(block: &Block, term: &Operand, is_set: bool) -> Option<Self> {
        let found = block.steps.iter().enumerate().find_map(|(at, step)| Some((at, walk_of(step)?)));
        let (walk, (call, index)) = found?;
        let (before, rest) = block.steps.split_at_checked(walk)?;
        let (_, after) = rest.split_first()?;
        // The index of a call is no part of its kind.
        let uses_index = index.is_some_and(|index| after.iter().any(|step| uses(step, index).0 > 0));
        if uses_index || !before.iter().all(holds_once_at_most) {
            return None;
        }
        let mut named = Vec::new();
        let mut tests = Vec::new();
        for step in after {
            tests.push(test_of(step, call, &mut named)?);
        }
        // A name for a field is for what is collected, and for nothing else.
        let uses_name = |step: &Step| named.iter().any(|(slot, _)| uses(step, *slot).0 > 0);
        let other_uses =
            after.iter().zip(&tests).any(|(step, test)| !matches!(test, Test::Nothing) && uses_name(step));
        if other_uses {
            return None;
        }
        let is_distinct = match term {
            Operand::Local(slot) if *slot == call => true,
            Operand::Local(slot) => match named.iter().find(|(name, _)| name == slot) {
                Some((_, field)) => !is_set || field == ID,
                None => false,
            },
            Operand::Constant(value) => !is_set && *value != Value::Undefined,
            _ => false,
        };
        is_distinct.then_some(Self { walk, call, tests })
    }
}

/// What a step that walks over the calls binds them to, and their index.
fn walk_of(step: &Step) -> Option<(Slot, Option<Slot>)> {
    let StepKind::Scan(scan) = &step.kind else { return None };
    let Operand::Base(path) = &scan.source else { return None };
    let ([name], [Hop::Each(index)], Outcome::Match(Pattern::Bind(call))) =
        (&**path, scan.hops.as_slice(), &scan.result)
    else {
        return None;
    };
    let index = match index {
        Pattern::Any => None,
        Pattern::Bind(index) => Some(*index),
        Pattern::Equal(_) | Pattern::Array(_) | Pattern::Object(_) => return None,
    };
    (*name == Value::from(AUDIT_LOG)).then_some((*call, index))
}

/// Whether a step holds in one way or in none.
fn holds_once_at_most(step: &Step) -> bool {
    match &step.kind {
        StepKind::Truthy(_)
        | StepKind::Equal(..)
        | StepKind::Match(..)
        | StepKind::Not(_)
        | StepKind::Every(_)
        | StepKind::Fail => true,
        StepKind::Call(call) => match call.callee {
            Callee::Builtin(builtin) => !builtin.is_relation,
            Callee::Function(_) => true,
        },
        StepKind::Scan(_) | StepKind::With(_) => false,
    }
}

fn test_of(step: &Step, call: Slot, named: &mut Vec<(Slot, String)>) -> Option<Test> {
    if !holds_once_at_most(step) {
        return None;
    }
    let (all, of_kind) = uses(step, call);
    if all == 0 {
        return Some(Test::Once);
    }
    if let StepKind::Match(Pattern::Bind(slot), operand) = &step.kind {
        let field = field_of(operand, call)?;
        named.push((*slot, field.to_owned()));
        return Some(Test::Nothing);
    }
    if all == of_kind && !binds(step) {
        return Some(Test::OfKind);
    }
    let StepKind::Call(compared) = &step.kind else { return None };
    let (Callee::Builtin(builtin), [left, right], Outcome::Truthy) =
        (compared.callee, compared.arguments.as_slice(), &compared.result)
    else {
        return None;
    };
    let is_instant = |operand: &Operand| field_of(operand, call) == Some(TIMESTAMP);
    let (bound, is_left) = match (is_instant(left), is_instant(right)) {
        (true, false) => (right, true),
        (false, true) => (left, false),
        (true, true) | (false, false) => return None,
    };
    // What the bound is must not depend on the call, and must be there already.
    if all != 1 || !matches!(bound, Operand::Local(_) | Operand::Constant(_)) {
        return None;
    }
    let comparison = match (builtin.name, is_left) {
        ("gt", true) | ("lt", false) => Comparison::After,
        ("gte", true) | ("lte", false) => Comparison::AtOrAfter,
        ("lt", true) | ("gt", false) => Comparison::Before,
        ("lte", true) | ("gte", false) => Comparison::AtOrBefore,
        _ => return None,
    };
    Some(Test::OfInstant(comparison, bound.clone()))
}

/// The field of a call that an operand is.
fn field_of(operand: &Operand, call: Slot) -> Option<&str> {
    let Operand::Path(path) = operand else { return None };
    let (Operand::Local(slot), [Operand::Constant(Value::String(field))]) = (&path.0, path.1.as_slice())
    else {
        return None;
    };
    let is_field = FIELDS_OF_KIND.contains(&&**field) || **field == *TIMESTAMP || **field == *ID;
    (*slot == call && is_field).then_some(&**field)
}

/// How often a step uses a call, and how often only for a field that calls of one kind have in common.
fn uses(step: &Step, call: Slot) -> (usize, usize) {
    let (mut all, mut of_kind) = (0, 0);
    visit::step(step, &mut |part| {
        if let Part::Operand(operand) = part {
            all += usize::from(matches!(operand, Operand::Local(slot) if *slot == call));
            of_kind +=
                usize::from(field_of(operand, call).is_some_and(|field| FIELDS_OF_KIND.contains(&field)));
        }
    });
    (all, of_kind)
}

/// Whether a step binds anything for the steps behind it.
fn binds(step: &Step) -> bool {
    let mut found = false;
    match &step.kind {
        // What is bound in there stays there.
        StepKind::Not(_) | StepKind::Every(_) => {}
        StepKind::Truthy(_)
        | StepKind::Equal(..)
        | StepKind::Match(..)
        | StepKind::Call(_)
        | StepKind::Scan(_)
        | StepKind::With(_)
        | StepKind::Fail => visit::step(step, &mut |part| {
            found |= matches!(part, Part::Pattern(Pattern::Bind(_)));
        }),
    }
    found
}

#[cfg(test)]
mod tests;
