//! How deep the values that rules make may be nested. Values are freed, compared and written by descending into them,
//! so that one that is nested without bounds would overflow the stack, whatever the budget.
//!
//! An upper bound is read from the compiled rules: what is put into an array is one level higher, what is taken out of
//! something is as high as it. Documents count as flat: their depth is bounded where they are read.

use regorus::Value;

use super::{
    Problem,
    ir::{
        Block, Call, Callee, Collects, Comprehension, Definition, Hop, Operand, Outcome, Pattern,
        Replacement, Rule, RuleKind, Scan, Slot, StepKind,
    },
    recursion::Needs,
    visit,
};
use crate::pace::Pace;

/// The most levels that rules may add to what documents have.
pub(super) const MAX_HEIGHT: usize = 400;

/// Builtins whose results are no higher than what they are called with.
const FLAT: &[&str] = &[
    "plus",
    "minus",
    "mul",
    "div",
    "rem",
    "and",
    "or",
    "eq",
    "equal",
    "neq",
    "lt",
    "lte",
    "gt",
    "gte",
    "internal.member_2",
    "internal.member_3",
    "array.concat",
    "object.union",
];

/// The rules whose values may be nested too deep. There is no recursion among `rules`.
pub(super) async fn too_high(rules: &[Rule], needs: &Needs, pace: &Pace) -> Vec<Problem> {
    let mut heights = Heights { of: vec![0; needs.edges.len()], locals: Vec::new(), rules: rules.len() };
    let mut problems = Vec::new();
    for vertex in needs.in_order(pace).await {
        pace.spend(1).await;
        let height = match rules.get(vertex) {
            Some(rule) => heights.rule(rule, pace).await,
            None => {
                let below = needs.edges.get(vertex).into_iter().flatten();
                below.map(|vertex| heights.of(*vertex)).max().unwrap_or(0).saturating_add(1)
            }
        };
        if let Some(known) = heights.of.get_mut(vertex) {
            *known = height.min(MAX_HEIGHT + 1);
        }
        // Told once, where it begins.
        if let Some(rule) = rules.get(vertex).filter(|_| height > MAX_HEIGHT && problems.is_empty()) {
            let first = rule.definitions.first().or(rule.default.as_ref());
            problems.push(Problem {
                at: first.map(|first| first.at).unwrap_or_default(),
                message: format!(
                    "values of `{}` would be nested deeper than {MAX_HEIGHT} levels: do not put the result of each step \
                     into the next",
                    rule.name
                ),
            });
        }
    }
    problems
}

/// Whether a value is nested deeper than rules and documents make one.
pub(super) fn is_too_high(value: &Value) -> bool {
    let mut pending = vec![(value, 0_usize)];
    while let Some((value, height)) = pending.pop() {
        if height > MAX_HEIGHT {
            return true;
        }
        match value {
            Value::Array(items) => pending.extend(items.iter().map(|item| (item, height + 1))),
            Value::Set(items) => pending.extend(items.iter().map(|item| (item, height + 1))),
            Value::Object(fields) => pending
                .extend(fields.iter().flat_map(|(key, value)| [(key, height + 1), (value, height + 1)])),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Undefined => {}
        }
    }
    false
}

struct Heights {
    /// By rule, and behind them by node. A function's is what it adds to its arguments.
    of: Vec<usize>,
    locals: Vec<usize>,
    rules: usize,
}

// === impl Heights ===

impl Heights {
    fn of(&self, vertex: usize) -> usize {
        self.of.get(vertex).copied().unwrap_or(0)
    }

    async fn rule(&mut self, rule: &Rule, pace: &Pace) -> usize {
        let mut highest = 0;
        for definition in rule.definitions.iter().chain(&rule.default) {
            pace.spend(visit::units(definition)).await;
            highest = highest.max(self.definition(definition, rule.kind));
        }
        highest
    }

    fn definition(&mut self, definition: &Definition, kind: RuleKind) -> usize {
        self.locals = vec![0; definition.slots];
        let mut highest = 0;
        for body in std::iter::once(&definition.body).chain(&definition.otherwise) {
            self.block(&body.block);
            let parts: Vec<&Operand> = body.keys.iter().chain(&body.value).collect();
            let part = self.highest(parts);
            let around = if kind == RuleKind::Partial { body.keys.len().max(1) } else { 0 };
            highest = highest.max(part.saturating_add(around));
        }
        highest
    }

    fn block(&mut self, block: &Block) {
        for step in &block.steps {
            match &step.kind {
                StepKind::Truthy(operand) => {
                    self.operand(operand);
                }
                StepKind::Equal(left, right) => {
                    self.operand(left);
                    self.operand(right);
                }
                StepKind::Match(pattern, operand) => {
                    let height = self.operand(operand);
                    self.pattern(pattern, height);
                }
                StepKind::Call(call) => {
                    let height = self.call(call);
                    self.outcome(&call.result, height);
                }
                StepKind::Scan(scan) => self.scan(scan),
                StepKind::Not(inner) => self.block(inner),
                StepKind::Every(every) => {
                    let height = self.operand(&every.domain);
                    self.pattern(&every.key, height);
                    self.pattern(&every.value, height);
                    self.block(&every.body);
                }
                StepKind::With(with) => {
                    for replacement in &with.replacements {
                        match replacement {
                            Replacement::Input(_, operand)
                            | Replacement::Data(_, operand)
                            | Replacement::Constant(_, operand) => {
                                // What stands for a document is measured when it does.
                                self.operand(operand);
                            }
                            Replacement::Function(..) => {}
                        }
                    }
                    self.block(&with.block);
                }
                StepKind::Fail => {}
            }
        }
    }

    fn scan(&mut self, scan: &Scan) {
        let mut height = self.operand(&scan.source);
        for hop in &scan.hops {
            match hop {
                Hop::Key(key) => height = height.max(self.operand(key)),
                Hop::Each(pattern) => self.pattern(pattern, height),
            }
        }
        self.outcome(&scan.result, height);
    }

    fn outcome(&mut self, outcome: &Outcome, height: usize) {
        match outcome {
            Outcome::Truthy => {}
            Outcome::Match(pattern) => self.pattern(pattern, height),
        }
    }

    /// What a pattern takes out of a value is as high as the value at most.
    fn pattern(&mut self, pattern: &Pattern, height: usize) {
        match pattern {
            Pattern::Any => {}
            Pattern::Bind(slot) => self.raise(*slot, height),
            Pattern::Equal(operand) => {
                self.operand(operand);
            }
            Pattern::Array(patterns) => {
                patterns.iter().for_each(|pattern| self.pattern(pattern, height));
            }
            Pattern::Object(patterns) => {
                patterns.iter().for_each(|(_, pattern)| self.pattern(pattern, height));
            }
        }
    }

    fn raise(&mut self, slot: Slot, height: usize) {
        if let Some(known) = self.locals.get_mut(slot) {
            *known = (*known).max(height);
        }
    }

    fn call(&mut self, call: &Call) -> usize {
        let highest = self.highest(&call.arguments);
        match call.callee {
            Callee::Function(rule) => highest.saturating_add(self.of(rule)),
            Callee::Builtin(builtin) if FLAT.contains(&builtin.name) => highest,
            Callee::Builtin(builtin) if builtin.name == "json.patch" => {
                let sum: usize = call.arguments.iter().map(|argument| self.operand(argument)).sum();
                sum.saturating_add(1)
            }
            Callee::Builtin(_) => highest.saturating_add(1),
        }
    }

    fn highest<'p>(&mut self, operands: impl IntoIterator<Item = &'p Operand>) -> usize {
        operands.into_iter().map(|operand| self.operand(operand)).max().unwrap_or(0)
    }

    fn operand(&mut self, operand: &Operand) -> usize {
        match operand {
            Operand::Constant(value) => height_of(value),
            Operand::Local(slot) => self.locals.get(*slot).copied().unwrap_or(0),
            Operand::Input(_) | Operand::Base(_) => 0,
            Operand::Rule(rule) => self.of(*rule),
            Operand::Keyed(rule, key) => {
                self.operand(key);
                self.of(*rule)
            }
            Operand::Document(node, keys) => {
                self.highest(keys.iter());
                self.of(self.rules + node)
            }
            Operand::Path(path) => {
                self.highest(&path.1);
                self.operand(&path.0)
            }
            Operand::Array(items) | Operand::Set(items) => self.highest(items).saturating_add(1),
            Operand::Object(fields) => {
                let parts: Vec<&Operand> = fields.iter().flat_map(|(key, value)| [key, value]).collect();
                self.highest(parts).saturating_add(1)
            }
            Operand::Comprehension(comprehension) => self.comprehension(comprehension),
        }
    }

    fn comprehension(&mut self, comprehension: &Comprehension) -> usize {
        self.block(&comprehension.block);
        let highest = match &comprehension.collects {
            Collects::Array(term) | Collects::Set(term) => self.operand(term),
            Collects::Object(key, value) => self.operand(key).max(self.operand(value)),
        };
        highest.saturating_add(1)
    }
}

/// The height of a constant, which is as deep as text may be nested.
fn height_of(value: &Value) -> usize {
    let around = |heights: Option<usize>| heights.map_or(1, |height| height + 1);
    match value {
        Value::Array(items) => around(items.iter().map(height_of).max()),
        Value::Set(items) => around(items.iter().map(height_of).max()),
        Value::Object(fields) => {
            around(fields.iter().map(|(key, value)| height_of(key).max(height_of(value))).max())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Undefined => 0,
    }
}
