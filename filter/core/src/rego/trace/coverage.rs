//! Which statements and heads of rules were evaluated, as OPA counts them: a statement that was begun, and the head of a
//! definition that held.

use std::collections::BTreeSet;

use regorus::unstable::Literal;

use super::source::{Extent, Sources, after, bodies, head_extent};
use crate::rego::{
    Program,
    ir::{Definition, Operand, Pattern, Position, Step, StepKind},
    machine::Recording,
    visit::{self, Part},
};

/// What was evaluated, over any number of evaluations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Covered {
    /// Where the steps stand that were evaluated.
    steps: BTreeSet<Position>,
    /// The bodies that held, by their number in their definition.
    heads: BTreeSet<(Position, usize)>,
}

/// A part of a module that can be covered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Coverable {
    pub(crate) extent: Extent,
    /// The rule that it belongs to, by its number in the module.
    pub(crate) rule: usize,
    pub(crate) is_covered: bool,
}

// === impl Covered ===

impl Covered {
    /// Adds what another has.
    pub(crate) fn merge(&mut self, other: Self) {
        self.steps.extend(other.steps);
        self.heads.extend(other.heads);
    }

    /// What a recording of an evaluation of `program` covers.
    pub(crate) fn add(&mut self, program: &Program, recording: &Recording<'_>) {
        for rule in &program.rules {
            for definition in rule.definitions.iter().chain(&rule.default) {
                if recording.definitions.contains(&std::ptr::from_ref(definition)) {
                    self.add_definition(definition, recording);
                }
            }
        }
    }

    fn add_definition(&mut self, definition: &Definition, recording: &Recording<'_>) {
        let tally = |step: &Step| recording.steps.get(&std::ptr::from_ref(step)).copied();
        let keyed = definition.keyed.iter().map(|keyed| &keyed.body);
        let bodies = std::iter::once(&definition.body).chain(&definition.otherwise).chain(keyed);
        let mut add = |step: &Step| {
            // The parts of the input that are looked at first stand with statements that are not begun yet.
            let is_early = matches!(step.kind, StepKind::Match(Pattern::Any, Operand::Input(_)));
            if tally(step).is_some() && !is_early {
                self.steps.insert(step.at);
            }
        };
        visit::definition(definition, &mut |part| each_step(part, &mut add));
        for step in definition.keyed.iter().flat_map(|keyed| &keyed.body.block.steps) {
            visit::step(step, &mut |part| each_step(part, &mut add));
        }
        let mut has_failed = true;
        for (number, body) in bodies.enumerate() {
            let is_keyed = number > definition.otherwise.len();
            let held = match body.block.steps.last() {
                Some(last) => held(last, recording),
                // Without conditions it holds once it is reached.
                None => has_failed && !is_keyed,
            };
            if held {
                self.heads.insert((definition.at, if is_keyed { 0 } else { number }));
            }
            has_failed =
                body.block.steps.iter().any(|step| tally(step).is_some_and(|(_, failed)| failed > 0));
        }
    }

    fn has(&self, extent: Extent, inner: &[Extent]) -> bool {
        let mut steps = self.steps.range(extent.from..extent.to);
        steps.any(|at| !inner.iter().any(|inner| inner.from <= *at && *at < inner.to))
    }
}

/// Whether the last step of a body has held.
fn held(last: &Step, recording: &Recording<'_>) -> bool {
    match &last.kind {
        StepKind::With(with) => with.block.steps.last().is_some_and(|last| held(last, recording)),
        _ => recording.steps.get(&std::ptr::from_ref(last)).is_some_and(|(held, _)| *held > 0),
    }
}

fn each_step(part: Part<'_>, add: &mut dyn FnMut(&Step)) {
    if let Part::Step(step) = part {
        add(step);
    }
}

/// All of a module that can be covered, in its order.
pub(crate) fn coverable(sources: &Sources, module: usize, covered: &Covered) -> Vec<Coverable> {
    let mut found = Vec::new();
    let statements = sources.statements(module);
    for (at, statement) in statements.iter().enumerate() {
        let is_declaration =
            statement.source().is_none_or(|source| matches!(source.literal, Literal::SomeVars { .. }));
        if is_declaration {
            continue;
        }
        let within = statements.get(at + 1..).unwrap_or_default().iter().map(|other| other.extent);
        let inner: Vec<Extent> = within.take_while(|inner| inner.from < statement.extent.to).collect();
        let is_covered = covered.has(statement.extent, &inner);
        found.push(Coverable { extent: statement.extent, rule: statement.rule, is_covered });
    }
    for (number, rule) in sources.rules(module).iter().enumerate() {
        let extent = head_extent(module, rule);
        let is_covered = covered.heads.contains(&(extent.from, 0));
        found.push(Coverable { extent, rule: number, is_covered });
        for (at, body) in bodies(rule).iter().filter(|body| body.is_else).enumerate() {
            let whole = Extent::of(module, &body.span);
            let value = body.assign.as_ref().map(|assign| Extent::of(module, &assign.span).end);
            let end = value.unwrap_or_else(|| after(whole.begin, "else"));
            let is_covered = covered.heads.contains(&(extent.from, at + 1));
            found.push(Coverable { extent: Extent { end, ..whole }, rule: number, is_covered });
        }
    }
    found.sort();
    found
}
