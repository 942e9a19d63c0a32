//! Puts the conditions of a body that cost least, and cannot fail with an error, in front of the others.
//!
//! OPA does so too: its index leaves out a body whose conditions on the input do not hold before it evaluates anything
//! in it. Where something else in the body would be an error, that decides between an error and undefined.

use std::collections::HashSet;

use regorus::Value;

use super::{
    ir::{Call, Callee, Hop, Operand, Outcome, Pattern, Slot, Step, StepKind},
    visit::{self, Part},
};

/// Reorders the steps of a rule's body.
pub(super) fn conditions_first(steps: &mut Vec<Step>) {
    if !steps.iter().any(may_be_an_error) {
        return;
    }
    let mut known = HashSet::new();
    // What the parameters bind is bound before the body.
    let bound_here: HashSet<Slot> = steps.iter().flat_map(bound_by).collect();
    let (mut first, mut rest) = (Vec::new(), Vec::new());
    for step in steps.drain(..) {
        let is_known = |slot: &Slot| known.contains(slot) || !bound_here.contains(slot);
        if is_condition(&step, &is_known) {
            known.extend(bound_by(&step));
            first.push(step);
        } else {
            rest.push(step);
        }
    }
    let mut needed: Vec<Operand> = Vec::new();
    rest.iter().for_each(|step| needs(step, &mut needed));
    first.extend(needed.into_iter().map(|operand| {
        let at = rest.first().map(|step| step.at).unwrap_or_default();
        Step { kind: StepKind::Match(Pattern::Any, operand), at }
    }));
    first.append(&mut rest);
    *steps = first;
}

/// Whether a step evaluates a rule, or anything else that can end in an error.
fn may_be_an_error(step: &Step) -> bool {
    let mut found = false;
    visit::step(step, &mut |part| {
        found |= matches!(
            part,
            Part::Callee(Callee::Function(_))
                | Part::Operand(
                    Operand::Rule(_)
                        | Operand::Keyed(..)
                        | Operand::Document(..)
                        | Operand::Comprehension(_)
                        | Operand::Object(_)
                )
        );
    });
    found
}

fn bound_by(step: &Step) -> Vec<Slot> {
    let mut slots = Vec::new();
    visit::step(step, &mut |part| {
        if let Part::Pattern(Pattern::Bind(slot)) = part {
            slots.push(*slot);
        }
    });
    slots
}

/// Whether a step compares the input, an argument or data with constants, or gives one of them a name.
fn is_condition(step: &Step, is_known: &dyn Fn(&Slot) -> bool) -> bool {
    let is_plain = |operand: &Operand| match operand {
        Operand::Constant(_) | Operand::Input(_) | Operand::Base(_) => true,
        Operand::Local(slot) => is_known(slot),
        _ => false,
    };
    let is_constant = |operand: &Operand| matches!(operand, Operand::Constant(_));
    match &step.kind {
        StepKind::Equal(left, right) => {
            is_plain(left) && is_plain(right) && (is_constant(left) != is_constant(right))
        }
        StepKind::Match(Pattern::Bind(_), operand) => matches!(operand, Operand::Input(_) | Operand::Base(_)),
        StepKind::Truthy(operand) => matches!(operand, Operand::Input(_) | Operand::Base(_)),
        StepKind::Call(call) => is_test_of_constants(call, &is_plain),
        StepKind::Fail => true,
        StepKind::Match(..)
        | StepKind::Scan(_)
        | StepKind::Not(_)
        | StepKind::Every(_)
        | StepKind::With(_) => false,
    }
}

fn is_test_of_constants(call: &Call, is_plain: &dyn Fn(&Operand) -> bool) -> bool {
    let Callee::Builtin(builtin) = call.callee else { return false };
    let is_collection = |value: &Value| matches!(value, Value::Array(_) | Value::Set(_));
    matches!(call.result, Outcome::Truthy)
        && match (builtin.name, call.arguments.as_slice()) {
            ("internal.member_2", [value, Operand::Constant(collection)]) => {
                is_plain(value) && is_collection(collection)
            }
            ("startswith", [value @ (Operand::Input(_) | Operand::Base(_)), Operand::Constant(_)]) => {
                is_plain(value)
            }
            _ => false,
        }
}

/// The parts of the input that a step cannot hold without.
fn needs(step: &Step, needed: &mut Vec<Operand>) {
    let mut operands: Vec<&Operand> = match &step.kind {
        // What must equal a constant is a condition already, and references that must be equal are not looked at first.
        StepKind::Equal(..) => Vec::new(),
        // `input.tags[_] == "a"`: with any other end the way there is not looked at first.
        StepKind::Scan(scan) => match (scan.hops.as_slice(), &scan.result) {
            ([Hop::Each(_)], Outcome::Match(Pattern::Equal(Operand::Constant(value))))
                if is_scalar(value) =>
            {
                vec![&scan.source]
            }
            _ => Vec::new(),
        },
        StepKind::Every(every) => vec![&every.domain],
        StepKind::Truthy(operand) | StepKind::Match(_, operand) => vec![operand],
        StepKind::Call(call) => call.arguments.iter().collect(),
        StepKind::Not(_) | StepKind::With(_) | StepKind::Fail => Vec::new(),
    };
    while let Some(operand) = operands.pop() {
        match operand {
            Operand::Input(path) if !path.is_empty() => {
                let is_new =
                    needed.iter().all(|known| !matches!(known, Operand::Input(other) if other == path));
                if is_new {
                    needed.push(operand.clone());
                }
            }
            Operand::Array(items) | Operand::Set(items) => operands.extend(items),
            _ => {}
        }
    }
}

fn is_scalar(value: &Value) -> bool {
    !matches!(value, Value::Array(_) | Value::Set(_) | Value::Object(_) | Value::Undefined)
}
