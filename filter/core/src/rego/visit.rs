//! Visits every operand and every callee of compiled code, for the analyses.

use super::ir::{
    Block, Body, Callee, Collects, Definition, Hop, Operand, Outcome, Pattern, Replacement, Step, StepKind,
};

/// A part of compiled code.
#[derive(Clone, Copy)]
pub(super) enum Part<'p> {
    Step(&'p Step),
    Operand(&'p Operand),
    Pattern(&'p Pattern),
    Callee(Callee),
}

pub(super) type Visit<'v, 'p> = &'v mut dyn FnMut(Part<'p>);

/// What it takes to visit a definition.
pub(super) fn units(definition: &Definition) -> usize {
    let steps = |body: &Body| body.block.steps.len();
    3 + 2 * (steps(&definition.body) + definition.otherwise.iter().map(steps).sum::<usize>())
}

/// The body for a known key is left out: it has the parts of the other.
pub(super) fn definition<'p>(definition: &'p Definition, visit: Visit<'_, 'p>) {
    definition.parameters.iter().for_each(|parameter| pattern(parameter, visit));
    for part in std::iter::once(&definition.body).chain(&definition.otherwise) {
        body(part, visit);
    }
}

pub(super) fn body<'p>(body: &'p Body, visit: Visit<'_, 'p>) {
    block(&body.block, visit);
    body.keys.iter().chain(&body.value).for_each(|term| operand(term, visit));
}

fn block<'p>(block: &'p Block, visit: Visit<'_, 'p>) {
    block.steps.iter().for_each(|part| step(part, visit));
}

pub(super) fn step<'p>(step: &'p Step, visit: Visit<'_, 'p>) {
    visit(Part::Step(step));
    match &step.kind {
        StepKind::Truthy(term) => operand(term, visit),
        StepKind::Equal(left, right) => {
            operand(left, visit);
            operand(right, visit);
        }
        StepKind::Match(left, right) => {
            operand(right, visit);
            pattern(left, visit);
        }
        StepKind::Call(call) => {
            visit(Part::Callee(call.callee));
            call.arguments.iter().for_each(|argument| operand(argument, visit));
            outcome(&call.result, visit);
        }
        StepKind::Scan(scan) => {
            operand(&scan.source, visit);
            for hop in &scan.hops {
                match hop {
                    Hop::Key(key) => operand(key, visit),
                    Hop::Each(key) => pattern(key, visit),
                }
            }
            outcome(&scan.result, visit);
        }
        StepKind::Not(inner) => block(inner, visit),
        StepKind::Every(every) => {
            operand(&every.domain, visit);
            pattern(&every.key, visit);
            pattern(&every.value, visit);
            block(&every.body, visit);
        }
        StepKind::With(with) => {
            for replacement in &with.replacements {
                match replacement {
                    Replacement::Input(_, term)
                    | Replacement::Data(_, term)
                    | Replacement::Constant(_, term) => {
                        operand(term, visit);
                    }
                    Replacement::Function(_, callee) => visit(Part::Callee(*callee)),
                }
            }
            block(&with.block, visit);
        }
        StepKind::Fail => {}
    }
}

fn outcome<'p>(outcome: &'p Outcome, visit: Visit<'_, 'p>) {
    match outcome {
        Outcome::Truthy => {}
        Outcome::Match(inner) => pattern(inner, visit),
    }
}

pub(super) fn pattern<'p>(part: &'p Pattern, visit: Visit<'_, 'p>) {
    visit(Part::Pattern(part));
    match part {
        Pattern::Any | Pattern::Bind(_) => {}
        Pattern::Equal(term) => operand(term, visit),
        Pattern::Array(items) => items.iter().for_each(|item| pattern(item, visit)),
        Pattern::Object(fields) => fields.iter().for_each(|(key, value)| {
            operand(key, visit);
            pattern(value, visit);
        }),
    }
}

fn operand<'p>(part: &'p Operand, visit: Visit<'_, 'p>) {
    visit(Part::Operand(part));
    match part {
        Operand::Constant(_)
        | Operand::Local(_)
        | Operand::Input(_)
        | Operand::Base(_)
        | Operand::Rule(_) => {}
        Operand::Keyed(_, key) => operand(key, visit),
        Operand::Document(_, keys) => keys.iter().for_each(|key| operand(key, visit)),
        Operand::Path(path) => {
            operand(&path.0, visit);
            path.1.iter().for_each(|key| operand(key, visit));
        }
        Operand::Array(items) | Operand::Set(items) => items.iter().for_each(|item| operand(item, visit)),
        Operand::Object(fields) => fields.iter().for_each(|(key, value)| {
            operand(key, visit);
            operand(value, visit);
        }),
        Operand::Comprehension(comprehension) => {
            block(&comprehension.block, visit);
            match &comprehension.collects {
                Collects::Array(term) | Collects::Set(term) => operand(term, visit),
                Collects::Object(key, value) => {
                    operand(key, visit);
                    operand(value, visit);
                }
            }
        }
    }
}
