//! What a statement saw where it did not hold: the values of its variables, references and calls.

use std::collections::{BTreeMap, HashMap};

use regorus::{
    Value,
    unstable::{Expr, Literal, LiteralStmt},
};

use super::source::{Sources, children, place, whole_text};
use crate::rego::{
    Program,
    ir::{Call, Callee, Definition, Operand, Outcome, Pattern, RuleId, RuleKind, Slot, Step, StepKind},
    machine::{Attempt, Miss, Recording, walk},
    names::{Global, Names, Tree},
    resolve::{first_span, operator_name},
    text::term_text,
};

/// What was known at one failure, with what is needed to read it.
pub(super) struct Seen<'r, 'p> {
    pub(super) program: &'p Program,
    pub(super) recording: &'r Recording<'p>,
    pub(super) attempt: &'r Attempt<'p>,
    pub(super) failure: &'r Miss<'p>,
}

/// A variable, a reference or a call, and what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// As the operator wrote it.
    pub text: String,
    /// The line in its module, counted from 1.
    pub line: u32,
    /// The column, counted from 1.
    pub column: u32,
    /// What it was, in Rego's own notation; nothing where it was undefined.
    pub value: Option<String>,
}

/// The most parts of one statement that are shown.
const MAX_SHOWN: usize = 24;

// === impl Seen ===

impl<'p> Seen<'_, 'p> {
    /// What was there of all that `statement` speaks of, in its order. `steps` are those that it was compiled to.
    pub(super) fn of(
        &self,
        statement: &LiteralStmt,
        module: usize,
        steps: &[&'p Step],
        sources: &Sources,
    ) -> Vec<Shown> {
        let Some(names) = sources.names.get(module) else { return Vec::new() };
        let mut reader =
            Reader { seen: self, names, calls: called(steps), shown: Vec::new(), values: HashMap::new() };
        match &statement.literal {
            Literal::SomeVars { .. } => {}
            Literal::SomeIn { key, value, collection, .. } => {
                reader.read(collection, false);
                key.iter().chain([value]).for_each(|part| reader.read(part, false));
            }
            Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => reader.read(expr, true),
            Literal::Every { domain, .. } => reader.read(domain, false),
        }
        let mut shown = reader.shown;
        shown.sort_by_key(|shown| (shown.line, shown.column));
        shown.truncate(MAX_SHOWN);
        shown
    }

    /// The value of a local; nothing where it was not bound.
    pub(super) fn local(&self, slot: Slot) -> Option<Value> {
        self.failure.locals.get(slot).filter(|value| **value != Value::Undefined).cloned()
    }

    fn variable(&self, name: &str) -> Option<Value> {
        let definition: &Definition = self.attempt.definition;
        let slots = definition.names.iter().enumerate().rev();
        let mut named = slots.filter(|(_, known)| known.as_deref() == Some(name));
        named.find_map(|(slot, _)| self.local(slot))
    }

    /// What stood at `path` below `data`; nothing where that was not looked at.
    fn data(&self, path: &[Value]) -> Option<Value> {
        let is_covered = self.failure.overlays.iter().any(|(at, _)| path.starts_with(at));
        if is_covered {
            return Some(self.base(path));
        }
        let mut at = Tree::ROOT;
        for (depth, key) in path.iter().enumerate() {
            let node = self.program.tree.node(at)?;
            if let Some(rule) = node.rule {
                return self.rule(rule, path.get(depth..).unwrap_or_default());
            }
            let child = key.as_string().ok().and_then(|name| node.children.get(&**name));
            match child {
                Some(child) => at = *child,
                None => return Some(self.base(path)),
            }
        }
        self.program.tree.node(at)?.rule.and_then(|rule| self.rule(rule, &[]))
    }

    /// Base data, with what a `with` put over it.
    fn base(&self, path: &[Value]) -> Value {
        let mut value = walk(&self.program.data, path).clone();
        for (at, replaced) in &self.failure.overlays {
            if let Some(rest) = path.strip_prefix(*at) {
                value = walk(replaced, rest).clone();
            }
        }
        value
    }

    /// What a rule had at `keys`; nothing where it was not evaluated.
    pub(super) fn rule(&self, rule: RuleId, keys: &[Value]) -> Option<Value> {
        let path = &self.program.rules.get(rule)?.path;
        if self.failure.overlays.iter().any(|(at, _)| path.starts_with(at)) {
            return Some(self.base(&[path.as_slice(), keys].concat()));
        }
        let frame = self.frame(rule, keys)?;
        let frame = self.recording.frames.get(frame)?;
        let rest = if frame.given.is_empty() { keys } else { keys.get(1..).unwrap_or_default() };
        Some(walk(frame.value.as_ref()?, rest).clone())
    }

    /// The frame in which a rule, or what it has at the first of `keys`, was evaluated.
    pub(super) fn frame(&self, rule: RuleId, keys: &[Value]) -> Option<usize> {
        let is_partial = self.program.rules.get(rule)?.kind == RuleKind::Partial;
        let keyed =
            keys.first().filter(|_| is_partial).and_then(|key| self.child(rule, std::slice::from_ref(key)));
        keyed.or_else(|| self.recording.whole(self.failure, rule))
    }

    /// The frame that was begun here for a rule with just that key, or those arguments.
    pub(super) fn child(&self, rule: RuleId, given: &[Value]) -> Option<usize> {
        let children = self.attempt.children.iter().rev().copied();
        let mut children = children.filter_map(|at| Some((at, self.recording.frames.get(at)?)));
        children.find(|(_, frame)| frame.rule == rule && frame.given == given).map(|(at, _)| at)
    }

    /// The value of an operand, as far as it was known.
    pub(super) fn operand(&self, operand: &Operand) -> Option<Value> {
        match operand {
            Operand::Constant(value) => Some(value.clone()),
            Operand::Local(slot) => self.local(*slot),
            Operand::Input(path) => Some(walk(&self.failure.input, path).clone()),
            Operand::Base(path) => Some(self.base(path)),
            Operand::Rule(rule) => self.rule(*rule, &[]),
            Operand::Keyed(rule, key) => self.rule(*rule, &[self.operand(key)?]),
            Operand::Path(path) => {
                let source = self.operand(&path.0)?;
                let keys: Option<Vec<Value>> = path.1.iter().map(|key| self.operand(key)).collect();
                Some(walk(&source, &keys?).clone())
            }
            Operand::Array(items) => {
                let items: Option<Vec<Value>> = items.iter().map(|item| self.operand(item)).collect();
                Some(Value::from(items?))
            }
            Operand::Document(..) | Operand::Set(_) | Operand::Object(_) | Operand::Comprehension(_) => None,
        }
    }
}

/// What was called in a statement with a result of its own, in the order of the calls.
fn called<'p>(steps: &[&'p Step]) -> Vec<(&'p Call, Slot)> {
    let mut by_slot = BTreeMap::new();
    let mut pending: Vec<&Step> = steps.to_vec();
    while let Some(step) = pending.pop() {
        match &step.kind {
            StepKind::Call(call) => {
                if let Outcome::Match(Pattern::Bind(slot)) = &call.result {
                    by_slot.insert(*slot, &**call);
                }
            }
            StepKind::With(with) => pending.extend(&with.block.steps),
            StepKind::Not(block) => pending.extend(&block.steps),
            StepKind::Truthy(_)
            | StepKind::Equal(..)
            | StepKind::Match(..)
            | StepKind::Scan(_)
            | StepKind::Every(_)
            | StepKind::Fail => {}
        }
    }
    by_slot.into_iter().map(|(slot, call)| (call, slot)).collect()
}

/// Reads a statement's expressions.
struct Reader<'s, 'r, 'p> {
    seen: &'s Seen<'r, 'p>,
    names: &'s Names,
    /// Those that were not met yet.
    calls: Vec<(&'p Call, Slot)>,
    shown: Vec<Shown>,
    /// The values of those, for what they stand in.
    values: HashMap<String, Value>,
}

// === impl Reader ===

impl Reader<'_, '_, '_> {
    /// `is_all`: whether the expression is the statement, of which it is known that it does not hold.
    fn read(&mut self, expr: &Expr, is_all: bool) {
        match expr {
            Expr::String { .. }
            | Expr::RawString { .. }
            | Expr::Number { .. }
            | Expr::Bool { .. }
            | Expr::Null { .. }
            | Expr::ArrayCompr { .. }
            | Expr::SetCompr { .. }
            | Expr::ObjectCompr { .. } => {}
            Expr::Var { .. } | Expr::RefDot { .. } | Expr::RefBrack { .. } => self.reference(expr),
            Expr::Array { .. } | Expr::Set { .. } | Expr::Object { .. } => self.parts(expr),
            Expr::AssignExpr { lhs, rhs, .. } => {
                self.read(rhs, false);
                self.read(lhs, false);
            }
            Expr::Call { .. }
            | Expr::UnaryExpr { .. }
            | Expr::BinExpr { .. }
            | Expr::BoolExpr { .. }
            | Expr::ArithExpr { .. }
            | Expr::Membership { .. } => {
                self.parts(expr);
                if !is_all {
                    self.call(expr);
                }
            }
        }
    }

    fn parts(&mut self, expr: &Expr) {
        children(expr).into_iter().for_each(|part| self.read(part, false));
    }

    /// Calls are made from the inside to the outside, each with a local of its own.
    fn call(&mut self, expr: &Expr) {
        let Some(name) = callee_name(expr) else { return };
        let is_it = |call: &Call| match call.callee {
            Callee::Builtin(builtin) => builtin.name == name,
            Callee::Function(rule) => {
                let rule = self.seen.program.rules.get(rule);
                let last = rule.and_then(|rule| rule.path.last()).and_then(|last| last.as_string().ok());
                last.is_some_and(|last| name.rsplit('.').next() == Some(&**last))
            }
        };
        let Some(at) = self.calls.iter().position(|(call, _)| is_it(call)) else { return };
        let (_, slot) = self.calls.remove(at);
        if let Some(value) = self.seen.local(slot) {
            self.show(expr, value);
        }
    }

    fn reference(&mut self, expr: &Expr) {
        let (mut keys, mut exprs) = (Vec::new(), vec![expr]);
        let mut root = expr;
        loop {
            if let Expr::RefDot { refr, field, .. } = root {
                keys.push(Some(field.1.clone()));
                root = refr;
            } else if let Expr::RefBrack { refr, index, .. } = root {
                self.read(index, false);
                keys.push(self.key(index));
                root = refr;
            } else {
                break;
            }
            exprs.push(root);
        }
        keys.reverse();
        exprs.reverse();
        let Expr::Var { span, .. } = root else { return self.read(root, false) };
        let name = span.text();
        if name == "_" {
            return;
        }
        let keys: Vec<Value> = keys.into_iter().map_while(|key| key).collect();
        let local = self.seen.variable(name);
        let global = if local.is_none() { self.names.global(name) } else { None };
        if let Some(value) = &local {
            self.show(root, value.clone());
        }
        let value = |count: usize| -> Option<Value> {
            let keys = keys.get(..count)?;
            match (&local, &global) {
                (Some(value), _) => Some(walk(value, keys).clone()),
                (None, Some(Global::Input(path))) => {
                    let path = [values(path), keys.to_vec()].concat();
                    Some(walk(&self.seen.failure.input, &path).clone())
                }
                (None, Some(Global::Data(path))) => self.seen.data(&[values(path), keys.to_vec()].concat()),
                (None, None) => None,
            }
        };
        // Where it ends is told: at the first part that is not there, or in front of what is not known.
        let first_missing = (0..=keys.len()).find(|count| value(*count) == Some(Value::Undefined));
        let told = first_missing.unwrap_or(keys.len());
        let found = value(told);
        if let (Some(expr), Some(value)) = (exprs.get(told), found) {
            self.show(expr, value);
        }
    }

    /// The value of what stands in brackets.
    fn key(&self, index: &Expr) -> Option<Value> {
        match index {
            Expr::String { value, .. }
            | Expr::RawString { value, .. }
            | Expr::Number { value, .. }
            | Expr::Bool { value, .. }
            | Expr::Null { value, .. } => Some(value.clone()),
            other => {
                // It was read before what it stands in.
                let known = self.values.get(whole_text(other.span()));
                known.filter(|value| **value != Value::Undefined).cloned()
            }
        }
    }

    fn show(&mut self, expr: &Expr, value: Value) {
        let (text, (line, column)) = (whole_text(expr.span()), place(first_span(expr)));
        if self.values.contains_key(text) {
            return;
        }
        let told = (value != Value::Undefined).then(|| term_text(&value));
        self.shown.push(Shown { text: text.to_owned(), line, column, value: told });
        self.values.insert(text.to_owned(), value);
    }
}

fn values(path: &[String]) -> Vec<Value> {
    path.iter().map(|part| Value::from(part.as_str())).collect()
}

/// The name of what an expression calls; operators have names too.
fn callee_name(expr: &Expr) -> Option<String> {
    let name = match expr {
        Expr::Call { fcn, .. } => return Some(fcn.span().text().to_owned()),
        Expr::UnaryExpr { .. } => "minus",
        Expr::Membership { key: None, .. } => "internal.member_2",
        Expr::Membership { key: Some(_), .. } => "internal.member_3",
        _ => operator_name(expr)?,
    };
    Some(name.to_owned())
}
