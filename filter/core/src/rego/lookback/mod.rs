//! How far into the past, and at whose calls, a policy looks: read from its text.
//!
//! A policy that looks further than the audit log reaches would count too few calls, and allow. So each place where the
//! log is read must be a walk over it whose body compares the call's `timestamp` with `time.now_ns()` minus a constant,
//! and the call's agent or tenant with the input's. What cannot be read that way is told as such.

mod known;

use std::collections::{HashMap, HashSet};

use regorus::Value;

use self::known::{Known, apply};
use super::{
    Program,
    depend::AUDIT_LOG,
    ir::{
        Block, Body, Call, Callee, Definition, Hop, Operand, Outcome, Pattern, Position, Replacement, RuleId,
        RuleKind, Scan, Slot, Step, StepKind, With,
    },
    names::Tree,
    visit::{self, Part},
};
use crate::pace::Pace;

/// A place where a policy looks into the audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Look {
    pub(crate) at: Position,
    pub(crate) bounds: Bounds,
}

/// What is read of the log at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Bounds {
    /// The age of the oldest call that counts, in nanoseconds; nothing where the text does not tell it.
    pub(crate) back_ns: Option<i64>,
    pub(crate) whose: Whose,
}

/// Whose calls are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Whose {
    OwnAgent,
    OwnTenant,
    Anyone,
}

/// The functions that one analysis goes into: each is a call in the text, or one in a function of one.
const MAX_FUNCTIONS: usize = 10_000;

const NOTHING_KNOWN: Bounds = Bounds { back_ns: None, whose: Whose::Anyone };

/// Every place where the value of `entry` depends on the log, in the order of the text.
pub(super) async fn looks(program: &Program, entry: RuleId, pace: &Pace) -> Vec<Look> {
    let mut reader = Reader { program, looks: Vec::new(), walks: Vec::new(), functions: 0 };
    let (mut pending, mut seen) = (vec![entry], HashSet::from([entry]));
    while let Some(id) = pending.pop() {
        // Functions are read where they are called, because what they look at may be an argument.
        let rule = program.rules.get(id).filter(|rule| !matches!(rule.kind, RuleKind::Function { .. }));
        for definition in rule.into_iter().flat_map(|rule| rule.definitions.iter().chain(&rule.default)) {
            pace.spend(5 * visit::units(definition)).await;
            reader.definition(definition, HashMap::new());
        }
        for needed in program.needs.get(id).into_iter().flatten() {
            pace.spend(1).await;
            // A package is gone through whatever stands in it.
            let is_package = program.rules.get(*needed).is_none();
            if (is_package || program.dependence(*needed).audit_log) && seen.insert(*needed) {
                pending.push(*needed);
            }
        }
    }
    let mut looks = reader.looks;
    looks.sort_unstable();
    looks.dedup();
    looks
}

struct Reader<'p> {
    program: &'p Program,
    looks: Vec<Look>,
    /// What is known of the calls of each walk.
    walks: Vec<Bounds>,
    functions: usize,
}

type Locals = HashMap<Slot, Known>;

impl<'p> Reader<'p> {
    fn definition(&mut self, definition: &'p Definition, locals: Locals) {
        for body in std::iter::once(&definition.body).chain(&definition.otherwise) {
            self.body(body, locals.clone());
        }
    }

    fn body(&mut self, body: &'p Body, mut locals: Locals) {
        self.block(&body.block, &mut locals);
        let at = body.block.steps.first().map(|step| step.at).unwrap_or_default();
        for operand in body.keys.iter().chain(&body.value) {
            self.operand(operand, &locals, at);
        }
    }

    /// Reads the steps of a block; every walk in it gets the bounds of all steps behind it.
    fn block(&mut self, block: &'p Block, locals: &mut Locals) {
        let mut own = Vec::new();
        for step in &block.steps {
            self.step(step, locals, &mut own);
        }
        for (number, at) in own {
            let bounds = self.walks.get(number).copied().unwrap_or(NOTHING_KNOWN);
            self.looks.push(Look { at, bounds });
        }
    }

    /// Reads a block that may hold or not while the one around it does: what it says of calls around it counts only in
    /// there.
    fn inner(&mut self, block: &'p Block, locals: &mut Locals) {
        let before = self.walks.clone();
        self.block(block, locals);
        self.walks.splice(..before.len(), before);
    }

    fn step(&mut self, step: &'p Step, locals: &mut Locals, own: &mut Vec<(usize, Position)>) {
        let at = step.at;
        match &step.kind {
            StepKind::Truthy(operand) => self.operand(operand, locals, at),
            StepKind::Equal(left, right) => {
                self.operand(left, locals, at);
                self.operand(right, locals, at);
                let (left, right) = (self.known(left, locals), self.known(right, locals));
                self.equal(&left, &right);
            }
            StepKind::Match(pattern, operand) => {
                if !matches!((pattern, self.known(operand, locals)), (Pattern::Bind(_), Known::Log)) {
                    self.operand(operand, locals, at);
                }
                self.pattern(pattern, operand, locals, at);
            }
            StepKind::Call(call) => self.call(call, locals, at),
            StepKind::Scan(scan) => self.scan(scan, locals, at, own),
            StepKind::Not(block) => self.inner(block, &mut locals.clone()),
            StepKind::Every(every) => {
                self.operand(&every.domain, locals, at);
                self.reads_in_pattern(&every.key, locals, at);
                self.reads_in_pattern(&every.value, locals, at);
                self.inner(&every.body, &mut locals.clone());
            }
            StepKind::With(with) => self.with(with, locals, at),
            StepKind::Fail => {}
        }
    }

    fn pattern(&mut self, pattern: &'p Pattern, operand: &'p Operand, locals: &mut Locals, at: Position) {
        match pattern {
            Pattern::Bind(slot) => {
                let known = self.known(operand, locals);
                locals.insert(*slot, known);
            }
            Pattern::Equal(other) => {
                self.operand(other, locals, at);
                let (known, other) = (self.known(operand, locals), self.known(other, locals));
                self.equal(&known, &other);
            }
            Pattern::Any => {}
            Pattern::Array(_) | Pattern::Object(_) => self.reads_in_pattern(pattern, locals, at),
        }
    }

    /// Finds what a pattern reads of the log.
    fn reads_in_pattern(&mut self, pattern: &'p Pattern, locals: &Locals, at: Position) {
        let mut operands = Vec::new();
        visit::pattern(pattern, &mut |part| {
            if let Part::Operand(operand) = part {
                operands.push(operand);
            }
        });
        operands.into_iter().for_each(|operand| self.operand(operand, locals, at));
    }

    fn scan(&mut self, scan: &'p Scan, locals: &mut Locals, at: Position, own: &mut Vec<(usize, Position)>) {
        for hop in &scan.hops {
            match hop {
                Hop::Key(key) => self.operand(key, locals, at),
                Hop::Each(pattern) => self.reads_in_pattern(pattern, locals, at),
            }
        }
        if let Outcome::Match(pattern) = &scan.result {
            self.reads_in_pattern(pattern, locals, at);
        }
        if !matches!(self.known(&scan.source, locals), Known::Log) {
            return self.operand(&scan.source, locals, at);
        }
        match (scan.hops.as_slice(), &scan.result) {
            ([Hop::Each(Pattern::Any | Pattern::Bind(_))], Outcome::Match(Pattern::Bind(slot))) => {
                self.walks.push(NOTHING_KNOWN);
                let number = self.walks.len() - 1;
                locals.insert(*slot, Known::Call(number));
                own.push((number, at));
            }
            _ => self.looks.push(Look { at, bounds: NOTHING_KNOWN }),
        }
    }

    fn call(&mut self, call: &'p Call, locals: &mut Locals, at: Position) {
        for argument in &call.arguments {
            self.operand(argument, locals, at);
        }
        let arguments: Vec<Known> =
            call.arguments.iter().map(|argument| self.known(argument, locals)).collect();
        let known = match call.callee {
            Callee::Builtin(builtin) => {
                if matches!(call.result, Outcome::Truthy) {
                    self.compare(builtin.name, &arguments);
                }
                apply(builtin, &arguments)
            }
            Callee::Function(id) => {
                self.function(id, &arguments, matches!(call.result, Outcome::Truthy), at);
                Known::Unknown
            }
        };
        match &call.result {
            Outcome::Match(Pattern::Bind(slot)) => drop(locals.insert(*slot, known)),
            Outcome::Match(pattern) => self.reads_in_pattern(pattern, locals, at),
            Outcome::Truthy => {}
        }
    }

    /// Reads a function with these arguments. Where it is a condition, what all its definitions say of a call holds.
    fn function(&mut self, id: RuleId, arguments: &[Known], is_condition: bool, at: Position) {
        let Some(rule) = self.program.rules.get(id) else { return };
        let gets_call = arguments.iter().any(|argument| matches!(argument, Known::Call(_) | Known::Log));
        if !gets_call && !self.program.dependence(id).audit_log {
            return;
        }
        self.functions += 1;
        if self.functions > MAX_FUNCTIONS {
            self.looks.push(Look { at, bounds: NOTHING_KNOWN });
            return;
        }
        let before = self.walks.clone();
        let mut weakest: Option<Vec<Bounds>> = None;
        for definition in rule.definitions.iter().chain(&rule.default) {
            let mut locals = Locals::new();
            for (parameter, argument) in definition.parameters.iter().zip(arguments) {
                if let Pattern::Bind(slot) = parameter {
                    locals.insert(*slot, argument.clone());
                } else {
                    self.reads_in_pattern(parameter, &Locals::new(), at);
                }
            }
            self.definition(definition, locals);
            let is_plain = definition.otherwise.is_empty();
            let found: Vec<Bounds> = self.walks.iter().take(before.len()).copied().collect();
            let found = if is_plain { found } else { before.clone() };
            weakest = Some(match weakest {
                None => found,
                Some(known) => known.iter().zip(&found).map(|(one, other)| one.or(*other)).collect(),
            });
            self.walks.splice(..before.len(), before.iter().copied());
        }
        if let (true, Some(weakest)) = (is_condition, weakest) {
            self.walks.splice(..before.len(), weakest);
        }
    }

    fn with(&mut self, with: &'p With, locals: &Locals, at: Position) {
        // In there the input, the clock or the log itself may be another one.
        let mut depends = false;
        for replacement in &with.replacements {
            match replacement {
                Replacement::Input(_, operand)
                | Replacement::Data(_, operand)
                | Replacement::Constant(_, operand) => self.operand(operand, locals, at),
                Replacement::Function(_, Callee::Function(id)) => {
                    depends |= self.program.dependence(*id).audit_log;
                }
                Replacement::Function(_, Callee::Builtin(_)) => {}
            }
        }
        for step in &with.block.steps {
            visit::step(step, &mut |part| match part {
                Part::Callee(Callee::Function(id)) => depends |= self.program.dependence(id).audit_log,
                Part::Operand(Operand::Rule(id) | Operand::Keyed(id, _)) => {
                    depends |= self.program.dependence(*id).audit_log;
                }
                Part::Operand(operand @ (Operand::Base(_) | Operand::Document(..))) => {
                    depends |= self.reads_log(operand);
                }
                Part::Operand(Operand::Local(slot)) => {
                    depends |= matches!(locals.get(slot), Some(Known::Log | Known::Call(_)));
                }
                Part::Callee(Callee::Builtin(_)) | Part::Operand(_) | Part::Pattern(_) | Part::Step(_) => {}
            });
        }
        if depends {
            self.looks.push(Look { at, bounds: NOTHING_KNOWN });
        }
    }

    /// Finds what an operand reads of the log other than by walking over it.
    fn operand(&mut self, operand: &'p Operand, locals: &Locals, at: Position) {
        match operand {
            Operand::Constant(_) | Operand::Input(_) | Operand::Rule(_) => {}
            Operand::Local(slot) => {
                // A function that gets the log reads it as its own.
                if matches!(locals.get(slot), Some(Known::Log)) {
                    self.looks.push(Look { at, bounds: NOTHING_KNOWN });
                }
            }
            Operand::Base(_) => {
                if self.reads_log(operand) {
                    self.looks.push(Look { at, bounds: NOTHING_KNOWN });
                }
            }
            Operand::Document(_, keys) => {
                if self.reads_log(operand) {
                    self.looks.push(Look { at, bounds: NOTHING_KNOWN });
                }
                keys.iter().for_each(|key| self.operand(key, locals, at));
            }
            Operand::Keyed(_, key) => self.operand(key, locals, at),
            Operand::Path(path) => {
                self.operand(&path.0, locals, at);
                path.1.iter().for_each(|key| self.operand(key, locals, at));
            }
            Operand::Array(items) | Operand::Set(items) => {
                items.iter().for_each(|item| self.operand(item, locals, at));
            }
            Operand::Object(fields) => fields.iter().for_each(|(key, value)| {
                self.operand(key, locals, at);
                self.operand(value, locals, at);
            }),
            Operand::Comprehension(comprehension) => {
                let mut inner = locals.clone();
                self.inner(&comprehension.block, &mut inner);
                match &comprehension.collects {
                    super::ir::Collects::Array(term) | super::ir::Collects::Set(term) => {
                        self.operand(term, &inner, comprehension.at);
                    }
                    super::ir::Collects::Object(key, value) => {
                        self.operand(key, &inner, comprehension.at);
                        self.operand(value, &inner, comprehension.at);
                    }
                }
            }
        }
    }

    fn reads_log(&self, operand: &Operand) -> bool {
        if let Operand::Base(path) = operand {
            return path.first().is_none_or(|first| *first == Value::from(AUDIT_LOG));
        }
        matches!(operand, Operand::Document(node, keys)
            if *node == Tree::ROOT && !matches!(keys.first(), Some(Operand::Constant(_))))
    }
}

// === impl Bounds ===

impl Bounds {
    /// What holds where one of two does.
    fn or(self, other: Self) -> Self {
        let back_ns = self.back_ns.zip(other.back_ns).map(|(one, other)| one.max(other));
        Self { back_ns, whose: self.whose.max(other.whose) }
    }
}
