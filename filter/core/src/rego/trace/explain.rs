//! Why a rule has the value that it has: which definitions were tried, and which condition of each did not hold.

use std::collections::HashSet;

use regorus::{Value, unstable::Literal};

use super::{
    seen::{Seen, Shown},
    source::{Sources, Statement},
};
use crate::rego::{
    Program,
    ir::{Block, Body, Callee, Operand, Pattern, Position, Step, StepKind},
    machine::{Attempt, Frame, Recording},
    text::term_text,
    visit::{self, Part},
};

/// A rule that was evaluated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleTrace {
    /// `data.hexr.authz.allow`, with its key or arguments where there are some.
    pub rule: String,
    /// What it came to.
    pub value: Came,
    /// Those of the definitions that came closest to holding, in their order.
    pub definitions: Vec<DefinitionTrace>,
    /// How many others were tried.
    pub left_out: usize,
    /// Whether it is told elsewhere how it came to its value, or too much would have to be told.
    pub is_cut: bool,
}

/// What a rule came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Came {
    /// A value, in Rego's own notation.
    Value(String),
    /// Nothing.
    Undefined,
    /// The evaluation ended with an error in it.
    Error,
}

/// A definition that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefinitionTrace {
    /// Its module's file.
    pub file: String,
    /// The line, counted from 1.
    pub line: u32,
    /// Whether it is the rule's default.
    pub is_default: bool,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It held; where not by its first body, by which `else`.
    Held(usize),
    /// The conditions that did not hold, one for each of its bodies.
    Failed(Vec<Condition>),
    /// It is for other arguments.
    ForOthers,
    /// The evaluation ended with an error in it.
    Ended,
}

/// A condition that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Its module's file.
    pub file: String,
    /// The line, counted from 1.
    pub line: u32,
    /// What stands before it on its line, with blanks for all but tabs.
    pub indent: String,
    /// As the operator wrote it; where the head of a rule does not hold, its first line.
    pub text: String,
    /// What it speaks of, as it was the last time that it did not hold.
    pub shown: Vec<Shown>,
    /// How often it did not hold: more than once where something is iterated over before it.
    pub times: u32,
    /// The rules that it depends on, as far as they are why it does not hold.
    pub because: Vec<RuleTrace>,
}

/// How deep rules are followed into what they depend on.
const MAX_DEPTH: usize = 8;
/// How many rules are told.
const MAX_RULES: usize = 100;
/// How many definitions of a rule are told.
const MAX_DEFINITIONS: usize = 8;

/// Tells what a recording says.
pub(crate) struct Teller<'r, 'p> {
    program: &'p Program,
    recording: &'r Recording<'p>,
    sources: &'r Sources,
    told: HashSet<usize>,
}

/// Where a block failed.
enum Found<'p> {
    Held,
    /// Nothing in it was tried.
    Untried,
    At(&'p [Step], &'p Step),
}

// === impl Teller ===

impl<'r, 'p> Teller<'r, 'p> {
    pub(crate) fn new(program: &'p Program, recording: &'r Recording<'p>, sources: &'r Sources) -> Self {
        Self { program, recording, sources, told: HashSet::new() }
    }

    /// How the rule that was asked for first came to its value; nothing where no rule was.
    pub(crate) fn first(&mut self) -> Option<RuleTrace> {
        self.recording.frames.first()?;
        self.rule(0, 0)
    }

    /// How the rules came to their values that the first one asked for.
    pub(crate) fn below_first(&mut self) -> Vec<RuleTrace> {
        let first = self.recording.frames.first();
        let asked = first.into_iter().flat_map(|frame| &frame.attempts).flat_map(|attempt| &attempt.children);
        let asked: Vec<usize> = asked.copied().collect();
        asked.into_iter().filter_map(|frame| self.rule(frame, 0)).filter(|trace| !trace.is_cut).collect()
    }

    /// The condition that failed last in a definition that was evaluated by itself.
    pub(crate) fn last_failure(&mut self) -> Option<Condition> {
        let attempt = self.recording.frames.first()?.attempts.last()?;
        let body = std::iter::once(&attempt.definition.body).chain(&attempt.definition.otherwise);
        let mut found = body.map(|body| failing(attempt, &body.block)).filter_map(|found| match found {
            Found::At(steps, step) => Some((steps, step)),
            Found::Held | Found::Untried => None,
        });
        let (steps, step) = found.next_back()?;
        Some(self.condition(attempt, steps, step, MAX_DEPTH))
    }

    fn rule(&mut self, at: usize, depth: usize) -> Option<RuleTrace> {
        let frame = self.recording.frames.get(at)?;
        let mut trace = RuleTrace {
            rule: self.name(frame),
            value: match &frame.value {
                Some(Value::Undefined) => Came::Undefined,
                Some(value) => Came::Value(term_text(value)),
                None => Came::Error,
            },
            definitions: Vec::new(),
            left_out: 0,
            is_cut: !self.told.insert(at),
        };
        if trace.is_cut || depth > MAX_DEPTH || self.told.len() > MAX_RULES {
            trace.is_cut = true;
            return Some(trace);
        }
        let chosen = chosen(frame);
        trace.left_out = frame.attempts.len().saturating_sub(chosen.len());
        trace.definitions =
            chosen.into_iter().map(|attempt| self.definition(frame, attempt, depth)).collect();
        Some(trace)
    }

    fn name(&self, frame: &Frame<'_>) -> String {
        let name = self.program.rules.get(frame.rule).map(|rule| rule.name.as_str()).unwrap_or_default();
        let given: Vec<String> = frame.given.iter().map(|value| shorten(&term_text(value), 60)).collect();
        let is_function = self
            .program
            .rules
            .get(frame.rule)
            .is_some_and(|rule| matches!(rule.kind, crate::rego::ir::RuleKind::Function { .. }));
        match (is_function, given.is_empty()) {
            (true, _) => format!("{name}({})", given.join(", ")),
            (false, true) => name.to_owned(),
            (false, false) => format!("{name}[{}]", given.join(", ")),
        }
    }

    fn definition(&mut self, frame: &Frame<'p>, attempt: &'r Attempt<'p>, depth: usize) -> DefinitionTrace {
        let rule = self.program.rules.get(frame.rule);
        let default = rule.and_then(|rule| rule.default.as_ref());
        let is_default = default.is_some_and(|default| std::ptr::eq(default, attempt.definition));
        let (file, line) = (self.sources.file(attempt.definition.at), attempt.definition.at.line);
        DefinitionTrace { file, line, is_default, fate: self.fate(frame, attempt, depth) }
    }

    fn fate(&mut self, frame: &Frame<'p>, attempt: &'r Attempt<'p>, depth: usize) -> Fate {
        if !attempt.is_meant {
            return Fate::ForOthers;
        }
        let mut conditions = Vec::new();
        for (number, body) in bodies(frame, attempt).into_iter().enumerate() {
            match failing(attempt, &body.block) {
                Found::Held => return Fate::Held(number),
                Found::Untried if number == 0 => return Fate::Ended,
                Found::Untried => break,
                Found::At(steps, step) => {
                    if frame.value.is_none() && attempt.of(step).is_none_or(|tried| tried.failed == 0) {
                        return Fate::Ended;
                    }
                    conditions.push(self.condition(attempt, steps, step, depth));
                }
            }
        }
        Fate::Failed(conditions)
    }

    fn condition(
        &mut self,
        attempt: &'r Attempt<'p>,
        steps: &'p [Step],
        step: &'p Step,
        depth: usize,
    ) -> Condition {
        let at = position(steps, step);
        let statement = self.sources.statement(at).cloned();
        let times = attempt.of(step).map_or(1, |tried| tried.failed);
        let from = statement.as_ref().map_or(at, |statement| statement.extent.from);
        let mut condition = Condition {
            file: self.sources.file(from),
            line: from.line,
            indent: statement.as_ref().map(Statement::indent).unwrap_or_default(),
            text: match &statement {
                Some(statement) => statement.text().to_owned(),
                None => self.sources.first_line(at),
            },
            shown: Vec::new(),
            times,
            because: Vec::new(),
        };
        let Some(failure) = attempt.of(step).and_then(|tried| tried.failure.as_ref()) else {
            return condition;
        };
        let seen = Seen { program: self.program, recording: self.recording, attempt, failure };
        if let Some(statement) = &statement
            && let Some(source) = statement.source()
        {
            let own =
                steps.iter().filter(|step| statement.extent.from <= step.at && step.at < statement.extent.to);
            condition.shown = seen.of(source, at.module, &own.collect::<Vec<_>>(), self.sources);
        }
        if depth < MAX_DEPTH {
            let is_negated = matches!(step.kind, StepKind::Not(_))
                || statement
                    .as_ref()
                    .and_then(|statement| statement.source())
                    .is_some_and(|source| matches!(source.literal, Literal::NotExpr { .. }));
            let frames = asked_for(step, &seen);
            for frame in frames {
                let value = self.recording.frames.get(frame).and_then(|frame| frame.value.as_ref());
                if is_negated || value.is_none_or(is_nothing) {
                    condition.because.extend(self.rule(frame, depth + 1));
                }
            }
        }
        condition
    }
}

/// The bodies that were tried: those for a known key where it is known.
fn bodies<'p>(frame: &Frame<'p>, attempt: &Attempt<'p>) -> Vec<&'p Body> {
    let definition = attempt.definition;
    let is_function = !definition.parameters.is_empty();
    match &definition.keyed {
        Some(keyed) if !frame.given.is_empty() && !is_function => vec![&keyed.body],
        Some(_) | None => std::iter::once(&definition.body).chain(&definition.otherwise).collect(),
    }
}

/// Those that came closest to holding: by how many of their steps were reached.
fn chosen<'r, 'p>(frame: &'r Frame<'p>) -> Vec<&'r Attempt<'p>> {
    let mut by_reach: Vec<(usize, usize)> = frame
        .attempts
        .iter()
        .map(|attempt| {
            let steps = attempt.tried.iter().filter(|tried| tried.held > 0).count();
            let has_held = bodies(frame, attempt)
                .into_iter()
                .any(|body| matches!(failing(attempt, &body.block), Found::Held));
            if has_held { usize::MAX } else { steps }
        })
        .enumerate()
        .collect();
    by_reach.sort_by_key(|(at, reach)| (std::cmp::Reverse(*reach), *at));
    by_reach.truncate(MAX_DEFINITIONS);
    by_reach.sort_unstable();
    by_reach.into_iter().filter_map(|(at, _)| frame.attempts.get(at)).collect()
}

/// The step of a block that did not hold: the last one that was reached.
fn failing<'p>(attempt: &Attempt<'p>, block: &'p Block) -> Found<'p> {
    let steps = block.steps.as_slice();
    if steps.is_empty() {
        return Found::Held;
    }
    let Some(at) = steps.iter().rposition(|step| attempt.of(step).is_some()) else { return Found::Untried };
    let Some(step) = steps.get(at) else { return Found::Untried };
    let is_last = at + 1 == steps.len();
    match &step.kind {
        StepKind::With(with) => match failing(attempt, &with.block) {
            Found::Held if is_last => Found::Held,
            Found::Held | Found::Untried => Found::At(steps, step),
            // Calls in it are made in steps of their own.
            Found::At(_, inner) => Found::At(steps, inner),
        },
        _ if is_last && attempt.of(step).is_some_and(|tried| tried.held > 0) => Found::Held,
        StepKind::Every(every) => match failing_in_every(attempt, &every.body) {
            Some(inner) => Found::At(&every.body.steps, inner),
            None => Found::At(steps, step),
        },
        StepKind::Truthy(_)
        | StepKind::Equal(..)
        | StepKind::Match(..)
        | StepKind::Call(_)
        | StepKind::Scan(_)
        | StepKind::Not(_)
        | StepKind::Fail => Found::At(steps, step),
    }
}

/// The step of an `every`'s body that did not hold: the body ends with the first item for which one does not. Of steps
/// that can hold in several ways it is not known.
fn failing_in_every<'p>(attempt: &Attempt<'p>, body: &'p Block) -> Option<&'p Step> {
    body.steps.iter().find(|step| match &step.kind {
        StepKind::Scan(_) | StepKind::With(_) => false,
        StepKind::Call(call) => {
            let is_relation = matches!(call.callee, Callee::Builtin(builtin) if builtin.is_relation);
            !is_relation && attempt.of(step).is_some_and(|tried| tried.failed > 0)
        }
        _ => attempt.of(step).is_some_and(|tried| tried.failed > 0),
    })
}

/// Where the statement of a step stands. A part of the input that is looked at first belongs to the statement that needs
/// it, and what a statement is prepared by has no place of its own.
fn position(steps: &[Step], step: &Step) -> Position {
    let after = steps.iter().skip_while(|other| !std::ptr::eq(*other, step)).skip(1);
    if let StepKind::Match(Pattern::Any, Operand::Input(path)) = &step.kind {
        let needs = |other: &&Step| {
            let mut found = false;
            visit::step(other, &mut |part| {
                found |= matches!(part, Part::Operand(Operand::Input(other)) if other == path);
            });
            found && !matches!(other.kind, StepKind::Match(Pattern::Any, _))
        };
        return after.clone().find(needs).map_or(step.at, |other| other.at);
    }
    if step.at != Position::default() {
        return step.at;
    }
    after.clone().map(|other| other.at).find(|at| *at != Position::default()).unwrap_or_default()
}

/// The frames of the rules and functions that a step asks for.
fn asked_for(step: &Step, seen: &Seen<'_, '_>) -> Vec<usize> {
    let mut frames = Vec::new();
    visit::step(step, &mut |part| {
        let found = match part {
            Part::Operand(Operand::Rule(rule)) => seen.frame(*rule, &[]),
            Part::Operand(Operand::Keyed(rule, key)) => {
                seen.operand(key).and_then(|key| seen.frame(*rule, &[key]))
            }
            Part::Step(Step { kind: StepKind::Call(call), .. }) => {
                let Callee::Function(rule) = call.callee else { return };
                let arguments: Option<Vec<Value>> =
                    call.arguments.iter().map(|argument| seen.operand(argument)).collect();
                arguments.and_then(|arguments| seen.child(rule, &arguments))
            }
            Part::Operand(_) | Part::Step(_) | Part::Pattern(_) | Part::Callee(_) => None,
        };
        frames.extend(found.filter(|found| !frames.contains(found)));
    });
    frames
}

/// Whether a value is why a condition does not hold.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Undefined | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Set(members) => members.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Null | Value::Bool(true) | Value::Number(_) | Value::String(_) => false,
    }
}

/// A text that is cut where it is longer than `most` characters.
pub(crate) fn shorten(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
