//! Evaluates a program: one machine for one evaluation.
//!
//! A block's steps run one after the other. A step that can hold in several ways runs the rest of the block once for
//! each; what a block is for is the continuation at its end, which says whether to look for more.

mod counting;
mod documents;
mod operands;
mod recording;
mod rules;
mod scan;

pub(in crate::rego) use operands::walk;
#[cfg(feature = "trace")]
pub(crate) use recording::Recording;
#[cfg(feature = "trace")]
pub(in crate::rego) use recording::{Attempt, Frame, Miss};
pub(in crate::rego) use scan::member;

use std::collections::HashMap;

use regorus::Value;

use super::{
    AUDIT_LOG, Asked, Program, RecentCalls,
    builtins::{Failure, Surroundings},
    ir::{Block, Call, Callee, Every, Operand, Outcome, Pattern, Replaced, RuleId, Step, StepKind},
    order::is_composite,
};

/// Why an evaluation ends without an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Halt {
    /// It took more work, or went deeper, than it may.
    OutOfBudget,
    /// It has no answer: two rules contradict each other, or a builtin cannot answer as OPA does.
    Error(String),
}

/// Whether to look for more ways in which a block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    Continue,
    Stop,
}

/// What happens where a block holds.
pub(super) type Then<'t, 'p> = &'t mut dyn FnMut(&mut Machine<'p>) -> Result<Flow, Halt>;

/// How deep rules, functions and iterations may nest. Each level takes a few hundred bytes of the worker's stack.
const MAX_DEPTH: usize = 200;

/// How many items of an array, or arguments, are a part of their step.
const FREE_ITEMS: usize = 16;

/// How many steps are made between two looks at the caller's watch.
const STEPS_BETWEEN_LOOKS: u32 = 1024;

pub(crate) struct Machine<'p> {
    program: &'p Program,
    world: World<'p>,
    /// The locals of all bodies that are being evaluated.
    locals: Vec<Value>,
    /// Where the locals of the current body begin.
    base: usize,
    surroundings: Surroundings,
    watch: &'p dyn Fn() -> bool,
    until_look: u32,
    depth: usize,
    is_indexed: bool,
    calls: Option<AuditLog<'p>>,
    /// In how many nanoseconds the first count of calls goes down, of those that were made.
    count_falls_in: Option<i64>,
    #[cfg(feature = "trace")]
    recording: Option<Recording<'p>>,
}

/// What stands at `data.audit_log`.
struct AuditLog<'p> {
    calls: &'p dyn RecentCalls,
    name: Value,
    /// The document, once it was read.
    document: Option<Value>,
}

/// What a `with` replaces, and what was computed under it.
struct World<'p> {
    input: Value,
    /// Values that stand for what is below `data`, the latest last.
    overlays: Vec<(&'p [Value], Value)>,
    stands: Vec<(Replaced, Stand)>,
    computed: HashMap<RuleId, Value, rustc_hash::FxBuildHasher>,
    /// Tells worlds apart.
    #[cfg(feature = "trace")]
    number: u32,
}

/// What stands for a function.
#[derive(Clone)]
enum Stand {
    Function(Callee),
    Constant(Value),
}

// === impl Machine ===

impl<'p> Machine<'p> {
    pub(super) fn new(program: &'p Program, asked: Asked<'p>, surroundings: Surroundings) -> Self {
        let Asked { input, calls, watch, is_indexed, .. } = asked;
        let calls = calls.map(|calls| AuditLog { calls, name: Value::from(AUDIT_LOG), document: None });
        let world = World {
            input,
            overlays: Vec::new(),
            stands: Vec::new(),
            computed: HashMap::default(),
            #[cfg(feature = "trace")]
            number: 0,
        };
        Self {
            program,
            world,
            locals: Vec::new(),
            base: 0,
            surroundings,
            watch,
            until_look: STEPS_BETWEEN_LOOKS,
            depth: 0,
            is_indexed,
            calls,
            count_falls_in: None,
            #[cfg(feature = "trace")]
            recording: None,
        }
    }

    /// How much work is left.
    pub(super) fn work_left(&self) -> u64 {
        self.surroundings.work.left()
    }

    /// In how many nanoseconds the first count of calls goes down, where calls were counted.
    pub(super) fn count_falls_in(&self) -> Option<i64> {
        self.count_falls_in
    }

    /// Takes account of `units` of work, and ends the evaluation when it is too much.
    #[inline]
    fn spend(&mut self, units: u64) -> Result<(), Halt> {
        self.surroundings.work.spend(units).map_err(halt)?;
        self.until_look = self.until_look.saturating_sub(1);
        if self.until_look == 0 {
            self.until_look = STEPS_BETWEEN_LOOKS;
            if (self.watch)() {
                return Err(Halt::OutOfBudget);
            }
        }
        Ok(())
    }

    /// Whether two values are the same. What is compared member by member is paid for.
    fn same(&mut self, left: &Value, right: &Value) -> Result<bool, Halt> {
        if !(is_composite(left) && is_composite(right)) {
            return Ok(left == right);
        }
        self.surroundings.work.same(left, right).map_err(halt)
    }

    /// Pays for looking up a value as a key, which compares it member by member.
    fn pay_for_key(&mut self, key: &Value) -> Result<(), Halt> {
        if is_composite(key) { self.surroundings.work.weigh(key).map_err(halt) } else { Ok(()) }
    }

    fn deeper<T>(&mut self, go: impl FnOnce(&mut Self) -> Result<T, Halt>) -> Result<T, Halt> {
        if self.depth >= MAX_DEPTH {
            return Err(Halt::OutOfBudget);
        }
        self.depth += 1;
        let result = go(self);
        self.depth = self.depth.saturating_sub(1);
        result
    }

    /// Runs `steps`, and `then` once for each way in which they hold.
    fn run(&mut self, steps: &'p [Step], then: Then<'_, 'p>) -> Result<Flow, Halt> {
        let mut rest = steps;
        while let Some((step, after)) = rest.split_first() {
            rest = after;
            self.spend(1)?;
            let holds = match &step.kind {
                StepKind::Truthy(operand) => self.is_truthy(operand)?,
                StepKind::Equal(left, right) => self.is_equal(left, right)?,
                StepKind::Match(pattern, operand) => match self.value(operand)? {
                    Value::Undefined => false,
                    value => self.matches(pattern, value)?,
                },
                StepKind::Call(call) => match &call.callee {
                    Callee::Builtin(builtin) if builtin.is_relation => {
                        self.note(step, false);
                        return self.relation(call, &mut |machine| {
                            machine.note(step, true);
                            machine.run(after, then)
                        });
                    }
                    Callee::Builtin(_) | Callee::Function(_) => {
                        let value = self.call(call)?;
                        self.accepts(&call.result, value)?
                    }
                },
                StepKind::Scan(scan) => {
                    self.note(step, false);
                    return self.scan(scan, &mut |machine| {
                        machine.note(step, true);
                        machine.run(after, then)
                    });
                }
                StepKind::Not(block) => !self.holds(block)?,
                StepKind::Every(every) => self.every(every)?,
                StepKind::With(with) => {
                    self.note(step, false);
                    return self.with(with, after, then);
                }
                StepKind::Fail => false,
            };
            self.note(step, holds);
            if !holds {
                return Ok(Flow::Continue);
            }
        }
        then(self)
    }

    /// Whether a block holds in any way.
    fn holds(&mut self, block: &'p Block) -> Result<bool, Halt> {
        let flow = self.deeper(|machine| machine.run(&block.steps, &mut |_| Ok(Flow::Stop)))?;
        Ok(flow == Flow::Stop)
    }

    fn every(&mut self, every: &'p Every) -> Result<bool, Halt> {
        let domain = self.value(&every.domain)?;
        if !matches!(domain, Value::Array(_) | Value::Set(_) | Value::Object(_)) {
            return Ok(false);
        }
        let flow = self.each(&domain, &mut |machine, key, value| {
            let holds = machine.matches(&every.key, key)?
                && machine.matches(&every.value, value.clone())?
                && machine.holds(&every.body)?;
            Ok(if holds { Flow::Continue } else { Flow::Stop })
        })?;
        Ok(flow == Flow::Continue)
    }

    fn accepts(&mut self, outcome: &'p Outcome, value: Value) -> Result<bool, Halt> {
        match outcome {
            Outcome::Truthy => Ok(!matches!(value, Value::Undefined | Value::Bool(false))),
            Outcome::Match(pattern) => Ok(value != Value::Undefined && self.matches(pattern, value)?),
        }
    }

    /// Matches a value, and binds the pattern's variables.
    fn matches(&mut self, pattern: &'p Pattern, value: Value) -> Result<bool, Halt> {
        match pattern {
            Pattern::Any => Ok(true),
            Pattern::Bind(slot) => {
                if let Some(local) = self.locals.get_mut(self.base + slot) {
                    *local = value;
                }
                Ok(true)
            }
            Pattern::Equal(operand) => {
                if let Some(known) = self.peek(operand).filter(|known| !is_composite(known)) {
                    return Ok(*known == value);
                }
                let known = self.value(operand)?;
                Ok(known != Value::Undefined && self.same(&known, &value)?)
            }
            Pattern::Array(patterns) => {
                let Value::Array(items) = &value else { return Ok(false) };
                if items.len() != patterns.len() {
                    return Ok(false);
                }
                for (pattern, item) in patterns.iter().zip(items.iter()) {
                    if !self.matches(pattern, item.clone())? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Pattern::Object(patterns) => {
                let Value::Object(fields) = &value else { return Ok(false) };
                if fields.len() != patterns.len() {
                    return Ok(false);
                }
                for (key, pattern) in patterns {
                    let key = self.value(key)?;
                    self.pay_for_key(&key)?;
                    let Some(field) = fields.get(&key) else { return Ok(false) };
                    if !self.matches(pattern, field.clone())? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
        }
    }

    fn is_truthy(&mut self, operand: &'p Operand) -> Result<bool, Halt> {
        if let Some(value) = self.peek(operand) {
            return Ok(!matches!(value, Value::Undefined | Value::Bool(false)));
        }
        let value = self.value(operand)?;
        Ok(!matches!(value, Value::Undefined | Value::Bool(false)))
    }

    fn is_equal(&mut self, left: &'p Operand, right: &'p Operand) -> Result<bool, Halt> {
        if let (Some(left), Some(right)) = (self.peek(left), self.peek(right))
            && !(is_composite(left) && is_composite(right))
        {
            return Ok(*left != Value::Undefined && left == right);
        }
        let left = self.value(left)?;
        if left == Value::Undefined {
            return Ok(false);
        }
        let right = self.value(right)?;
        self.same(&left, &right)
    }

    // --- calls

    fn call(&mut self, call: &'p Call) -> Result<Value, Halt> {
        if self.calls.is_some()
            && let Some(count) = self.counted(call)?
        {
            return Ok(count);
        }
        let Some(arguments) = self.arguments(&call.arguments)? else { return Ok(Value::Undefined) };
        self.apply(call.callee, &arguments)
    }

    /// The values of arguments; nothing where one is undefined.
    fn arguments(&mut self, operands: &'p [Operand]) -> Result<Option<Arguments>, Halt> {
        let mut arguments = Arguments::new();
        if operands.len() > FREE_ITEMS {
            self.spend(u64::try_from(operands.len()).unwrap_or(u64::MAX))?;
        }
        for operand in operands {
            match self.value(operand)? {
                Value::Undefined => return Ok(None),
                value => arguments.push(value),
            }
        }
        Ok(Some(arguments))
    }

    fn apply(&mut self, callee: Callee, arguments: &[Value]) -> Result<Value, Halt> {
        if self.world.stands.is_empty() {
            return self.apply_itself(callee, arguments);
        }
        match self.stand_for(callee) {
            None => self.apply_itself(callee, arguments),
            Some(Stand::Constant(value)) => Ok(value),
            Some(Stand::Function(other)) => {
                // What stands for a function may call it, and any other, and means the functions themselves then.
                let stands = std::mem::take(&mut self.world.stands);
                let computed = std::mem::take(&mut self.world.computed);
                let value = self.apply_itself(other, arguments)?;
                self.world.computed = computed;
                self.world.stands = stands;
                Ok(value)
            }
        }
    }

    fn apply_itself(&mut self, callee: Callee, arguments: &[Value]) -> Result<Value, Halt> {
        match callee {
            Callee::Builtin(builtin) => match (builtin.call)(&mut self.surroundings, arguments) {
                Ok(value) => Ok(value),
                Err(Failure::Undefined(_)) => Ok(Value::Undefined),
                Err(other) => Err(halt(other)),
            },
            Callee::Function(rule) => self.function(rule, arguments),
        }
    }

    /// A call with several results.
    fn relation(&mut self, call: &'p Call, then: Then<'_, 'p>) -> Result<Flow, Halt> {
        let results = match self.call(call)? {
            Value::Array(results) => results,
            _ => return Ok(Flow::Continue),
        };
        self.deeper(|machine| {
            for result in results.iter() {
                machine.spend(1)?;
                if machine.accepts(&call.result, result.clone())? && then(machine)? == Flow::Stop {
                    return Ok(Flow::Stop);
                }
            }
            Ok(Flow::Continue)
        })
    }

    fn stand_for(&self, callee: Callee) -> Option<Stand> {
        let called = match callee {
            Callee::Builtin(builtin) => Replaced::Builtin(builtin.name),
            Callee::Function(rule) => Replaced::Function(rule),
        };
        self.world
            .stands
            .iter()
            .rev()
            .find(|(replaced, _)| *replaced == called)
            .map(|(_, stand)| stand.clone())
    }
}

/// The arguments of a call.
type Arguments = smallvec::SmallVec<[Value; 4]>;

fn halt(failure: Failure) -> Halt {
    match failure {
        Failure::OutOfBudget => Halt::OutOfBudget,
        Failure::Fatal(message) | Failure::Undefined(message) => Halt::Error(message),
    }
}
