//! What the input must be for a definition to hold, as far as its text tells: fields that it compares with constants,
//! itself or in a rule or function that it needs.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
};

use regorus::Value;

use super::{
    Program,
    depend::Dependence,
    index::{Constraints, Index, Key, is_indexable},
    ir::{
        Call, Callee, Definition, Hop, Operand, Outcome, Pattern, RuleId, RuleKind, Scan, Slot, Step,
        StepKind,
    },
    machine::{member, walk},
    retire,
};
use crate::pace::Pace;

/// How far rules are followed into the rules that they need.
const MAX_DEPTH: usize = 4;
/// The most constants that one key is compared with.
const MAX_CONSTANTS: usize = 1024;

/// What it takes to read a step.
const UNITS_PER_STEP: usize = 5;
/// How much work the value of a rule that depends on nothing may take.
const CONSTANT_WORK: u64 = 20_000;
/// How much all of them may take.
const CONSTANTS_WORK: u64 = 10_000_000;
/// How many steps are read. Without an index a policy is only slower.
const MAX_STEPS: usize = 20_000_000;

/// The indexes of a program's rules, for those that gain by one.
pub(super) async fn indexes(program: &Program, pace: &Pace) -> Vec<Option<Index>> {
    let reader = Reader {
        program,
        pace,
        constants: RefCell::default(),
        needed: RefCell::default(),
        work_left: Cell::new(CONSTANTS_WORK),
        steps_left: Cell::new(MAX_STEPS),
    };
    let mut indexes = Vec::new();
    for rule in &program.rules {
        let mut constraints: Vec<Constraints> = Vec::new();
        for definition in &rule.definitions {
            constraints.push(reader.definition(definition, 0).await);
        }
        indexes.push(Index::new(&constraints, pace).await);
        retire::all(constraints, pace).await;
    }
    indexes
}

struct Reader<'a> {
    program: &'a Program,
    pace: &'a Pace,
    /// The values of rules that depend on nothing, as far as they were asked for.
    constants: RefCell<HashMap<RuleId, Option<Value>>>,
    /// What is needed for a rule to hold, read at a depth.
    needed: RefCell<HashMap<(RuleId, usize), Needed>>,
    /// How much work the values of such rules may still take.
    work_left: Cell<u64>,
    /// How many steps may still be read.
    steps_left: Cell<usize>,
}

/// What must be for a rule to hold; nothing where that is not told.
type Needed = Option<Rc<Constraints>>;
/// The keys that locals stand for.
type Aliases = HashMap<Slot, Key>;

impl Reader<'_> {
    async fn definition(&self, definition: &Definition, depth: usize) -> Constraints {
        let mut constraints = Constraints::new();
        let steps = &definition.body.block.steps;
        let cost = steps.len() + definition.parameters.len() + 1;
        let Some(steps_left) = self.steps_left.get().checked_sub(cost) else { return constraints };
        self.steps_left.set(steps_left);
        self.pace.spend(UNITS_PER_STEP * cost).await;
        if !definition.otherwise.is_empty() || definition.body.prints {
            return constraints;
        }
        let mut aliases = Aliases::new();
        for (at, parameter) in definition.parameters.iter().enumerate() {
            match parameter {
                Pattern::Bind(slot) => {
                    aliases.insert(*slot, Key::Argument(at));
                }
                Pattern::Equal(operand) => {
                    if let Some(value) = self.constant_of(operand) {
                        constrain(&mut constraints, Key::Argument(at), vec![value]);
                    }
                }
                Pattern::Any | Pattern::Array(_) | Pattern::Object(_) => {}
            }
        }
        for step in steps {
            self.step(step, &mut aliases, &mut constraints, depth).await;
        }
        constraints
    }

    async fn step(&self, step: &Step, aliases: &mut Aliases, constraints: &mut Constraints, depth: usize) {
        match &step.kind {
            StepKind::Match(Pattern::Bind(slot), operand) => {
                if let Some(key) = key_of(operand, aliases) {
                    aliases.insert(*slot, key);
                }
            }
            StepKind::Equal(left, right) => {
                for (key, other) in [(left, right), (right, left)] {
                    if let (Some(key), Some(value)) = (key_of(key, aliases), self.constant_of(other)) {
                        constrain(constraints, key, vec![value]);
                        break;
                    }
                }
            }
            StepKind::Truthy(operand) => self.truthy(operand, aliases, constraints, depth).await,
            StepKind::Call(call) => self.call(call, aliases, constraints, depth).await,
            StepKind::Scan(scan) => self.scan(scan, aliases, constraints),
            StepKind::Match(..)
            | StepKind::Not(_)
            | StepKind::Every(_)
            | StepKind::With(_)
            | StepKind::Fail => {}
        }
    }

    async fn truthy(
        &self,
        operand: &Operand,
        aliases: &Aliases,
        constraints: &mut Constraints,
        depth: usize,
    ) {
        match operand {
            Operand::Rule(id) if depth < MAX_DEPTH => {
                let of_rule = self.needed_by(*id, depth + 1).await;
                for (key, values) in of_rule.iter().flat_map(|needed| &**needed) {
                    // A rule has no arguments.
                    constrain(constraints, key.clone(), values.clone());
                }
            }
            // `{"a", "b"}[input.role]`: what the collection has there must not be false.
            Operand::Path(path) => {
                let (source, keys) = &**path;
                if let ([key], Some(collection)) = (keys.as_slice(), self.constant_of(source))
                    && let Some(key) = key_of(key, aliases)
                    && let Some(values) = keys_of(&collection)
                {
                    constrain(constraints, key, values);
                }
            }
            _ => {}
        }
    }

    async fn call(&self, call: &Call, aliases: &Aliases, constraints: &mut Constraints, depth: usize) {
        let is_test = matches!(call.result, Outcome::Truthy);
        match (&call.callee, call.arguments.as_slice()) {
            (Callee::Builtin(builtin), [value, collection])
                if is_test && builtin.name == "internal.member_2" =>
            {
                if let Some(key) = key_of(value, aliases)
                    && let Some(values) = self.constant_of(collection).as_ref().and_then(items_of)
                {
                    constrain(constraints, key, values);
                }
            }
            (Callee::Function(id), arguments) if is_test && depth < MAX_DEPTH => {
                let of_function = self.needed_by(*id, depth + 1).await;
                for (key, values) in of_function.iter().flat_map(|needed| &**needed) {
                    let key = match key {
                        Key::Argument(at) => {
                            arguments.get(*at).and_then(|argument| key_of(argument, aliases))
                        }
                        Key::Input(_) => Some(key.clone()),
                    };
                    if let Some(key) = key {
                        constrain(constraints, key, values.clone());
                    }
                }
            }
            _ => {}
        }
    }

    /// `data.admins[_] == input.agent`.
    fn scan(&self, scan: &Scan, aliases: &Aliases, constraints: &mut Constraints) {
        if let ([Hop::Each(Pattern::Bind(_) | Pattern::Any)], Outcome::Match(Pattern::Equal(operand))) =
            (scan.hops.as_slice(), &scan.result)
            && let Some(key) = key_of(operand, aliases)
            && let Some(values) = self.constant_of(&scan.source).as_ref().and_then(items_of)
        {
            constrain(constraints, key, values);
        }
    }

    /// What must be for a rule to have a value that is not false: what all its definitions have in common.
    async fn needed_by(&self, id: RuleId, depth: usize) -> Needed {
        if let Some(known) = self.needed.borrow().get(&(id, depth)) {
            return known.clone();
        }
        let needed = self.read_needed_by(id, depth).await.map(Rc::new);
        self.needed.borrow_mut().insert((id, depth), needed.clone());
        needed
    }

    async fn read_needed_by(&self, id: RuleId, depth: usize) -> Option<Constraints> {
        let rule = self.program.rules.get(id)?;
        if rule.kind == RuleKind::Partial
            || rule.default.as_ref().is_some_and(|default| !gives_false(default))
        {
            return None;
        }
        let mut common: Option<Constraints> = None;
        for definition in rule.definitions.iter().filter(|definition| !gives_false(definition)) {
            // Rules are followed through rules: what is needed of one is a future in the future of the other.
            let own = Box::pin(self.definition(definition, depth)).await;
            common = Some(match common {
                None => own,
                Some(mut common) => {
                    common.retain(|key, values| match own.get(key) {
                        Some(more) => {
                            values.extend(more.iter().cloned());
                            values.len() <= MAX_CONSTANTS
                        }
                        None => false,
                    });
                    common
                }
            });
            if common.as_ref().is_some_and(Constraints::is_empty) {
                return None;
            }
        }
        common
    }

    fn constant_of(&self, operand: &Operand) -> Option<Value> {
        match operand {
            Operand::Constant(value) => Some(value.clone()),
            Operand::Base(path) => {
                Some(walk(&self.program.data, path).clone()).filter(|value| *value != Value::Undefined)
            }
            Operand::Rule(id) => self.constant_rule(*id),
            Operand::Path(path) => {
                let (source, keys) = &**path;
                let mut at = self.constant_of(source)?;
                for key in keys {
                    let key = self.constant_of(key)?;
                    at = member(&at, &key)?.clone();
                }
                Some(at)
            }
            _ => None,
        }
    }
}

impl Reader<'_> {
    fn constant_rule(&self, id: RuleId) -> Option<Value> {
        if !self.program.dependence.get(id).is_some_and(Dependence::is_nothing) {
            return None;
        }
        if let Some(known) = self.constants.borrow().get(&id) {
            return known.clone();
        }
        let work = CONSTANT_WORK.min(self.work_left.get());
        let (value, left) = self.program.constant(id, work);
        self.work_left.set(self.work_left.get() - (work - left));
        self.constants.borrow_mut().insert(id, value.clone());
        value
    }
}

fn gives_false(definition: &Definition) -> bool {
    definition.otherwise.is_empty()
        && matches!(definition.body.value, Some(Operand::Constant(Value::Bool(false))))
}

fn key_of(operand: &Operand, aliases: &Aliases) -> Option<Key> {
    match operand {
        Operand::Input(path) if !path.is_empty() => Some(Key::Input(path.to_vec())),
        Operand::Local(slot) => aliases.get(slot).cloned(),
        _ => None,
    }
}

/// Adds a constraint; of two for one key the narrower stays.
fn constrain(constraints: &mut Constraints, key: Key, values: Vec<Value>) {
    if values.len() > MAX_CONSTANTS || !values.iter().all(is_indexable) {
        return;
    }
    match constraints.get(&key) {
        Some(known) if known.len() <= values.len() => {}
        Some(_) | None => {
            constraints.insert(key, values);
        }
    }
}

/// What `in` looks for in a collection; nothing where that is too much.
fn items_of(collection: &Value) -> Option<Vec<Value>> {
    match collection {
        Value::Array(items) if items.len() <= MAX_CONSTANTS => Some(items.iter().cloned().collect()),
        Value::Set(items) if items.len() <= MAX_CONSTANTS => Some(items.iter().cloned().collect()),
        Value::Object(fields) if fields.len() <= MAX_CONSTANTS => Some(fields.values().cloned().collect()),
        _ => None,
    }
}

/// The keys at which a collection has something that is not false; nothing where it is too large.
fn keys_of(collection: &Value) -> Option<Vec<Value>> {
    match collection {
        Value::Set(items) if items.len() <= MAX_CONSTANTS => {
            Some(items.iter().filter(|item| **item != Value::Bool(false)).cloned().collect())
        }
        Value::Object(fields) if fields.len() <= MAX_CONSTANTS => Some(
            fields
                .iter()
                .filter(|(_, value)| **value != Value::Bool(false))
                .map(|(key, _)| key.clone())
                .collect(),
        ),
        _ => None,
    }
}
