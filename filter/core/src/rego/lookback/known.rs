//! What is known of operands before a policy is asked: constants, the present, and calls of the log.

use regorus::Value;

use super::{Locals, Reader, Whose};
use crate::rego::{
    builtins::{self, Surroundings, Work},
    depend::AUDIT_LOG,
    ir::{Callee, Operand, Outcome, Pattern, RuleId, RuleKind, StepKind},
    machine::{member, walk},
    order::integer,
};

impl Reader<'_> {
    pub(super) fn known(&self, operand: &Operand, locals: &Locals) -> Known {
        match operand {
            Operand::Constant(value) => Known::Value(value.clone()),
            Operand::Local(slot) => locals.get(slot).cloned().unwrap_or(Known::Unknown),
            Operand::Input(path) => Known::Input(path.to_vec()),
            Operand::Base(path) => match &**path {
                [name] if *name == Value::from(AUDIT_LOG) => Known::Log,
                _ if self.reads_log(operand) => Known::Unknown,
                _ => value(walk(&self.program.data, path)),
            },
            Operand::Rule(id) => self.known_rule(*id),
            Operand::Path(path) => {
                let (source, keys) = &**path;
                match (self.known(source, locals), keys.as_slice()) {
                    (Known::Call(number), [Operand::Constant(Value::String(field))]) => {
                        Known::Field(number, field.to_string())
                    }
                    (Known::Value(collection), [Operand::Constant(key)]) => {
                        member(&collection, key).map_or(Known::Unknown, value)
                    }
                    _ => Known::Unknown,
                }
            }
            Operand::Keyed(..)
            | Operand::Document(..)
            | Operand::Array(_)
            | Operand::Set(_)
            | Operand::Object(_)
            | Operand::Comprehension(_) => Known::Unknown,
        }
    }

    /// The value of a rule with a single definition without conditions on anything that is not known.
    pub(super) fn known_rule(&self, id: RuleId) -> Known {
        let Some(rule) = self.program.rules.get(id) else { return Known::Unknown };
        let ([definition], None, RuleKind::Complete) =
            (rule.definitions.as_slice(), &rule.default, rule.kind)
        else {
            return Known::Unknown;
        };
        let (true, Some(term)) = (definition.otherwise.is_empty(), &definition.body.value) else {
            return Known::Unknown;
        };
        if self.program.dependence(id).audit_log {
            return Known::Unknown;
        }
        // What it needs to hold does not matter: without a value no comparison with it holds.
        let mut locals = Locals::new();
        for step in &definition.body.block.steps {
            match &step.kind {
                StepKind::Match(Pattern::Bind(slot), operand) => {
                    let known = self.known(operand, &locals);
                    locals.insert(*slot, known);
                }
                StepKind::Call(call) => {
                    if let (Callee::Builtin(builtin), Outcome::Match(Pattern::Bind(slot))) =
                        (call.callee, &call.result)
                    {
                        let arguments: Vec<Known> =
                            call.arguments.iter().map(|argument| self.known(argument, &locals)).collect();
                        locals.insert(*slot, apply(builtin, &arguments));
                    }
                }
                StepKind::Truthy(_)
                | StepKind::Equal(..)
                | StepKind::Match(..)
                | StepKind::Scan(_)
                | StepKind::Not(_)
                | StepKind::Every(_)
                | StepKind::With(_)
                | StepKind::Fail => {}
            }
        }
        self.known(term, &locals)
    }

    pub(super) fn equal(&mut self, left: &Known, right: &Known) {
        for (one, other) in [(left, right), (right, left)] {
            let (Known::Field(number, field), Known::Input(path)) = (one, other) else { continue };
            let [input] = path.as_slice() else { continue };
            if *input != Value::from(field.as_str()) {
                continue;
            }
            let whose = match field.as_str() {
                "agent" | "spiffe_id" => Whose::OwnAgent,
                "tenant" => Whose::OwnTenant,
                _ => continue,
            };
            if let Some(walk) = self.walks.get_mut(*number) {
                walk.whose = walk.whose.min(whose);
            }
        }
    }

    pub(super) fn compare(&mut self, builtin: &str, arguments: &[Known]) {
        let [left, right] = arguments else { return };
        let (greater, less) = match builtin {
            "gt" | "gte" => (left, right),
            "lt" | "lte" => (right, left),
            "eq" | "equal" => return self.equal(left, right),
            _ => return,
        };
        let (number, back) = match (greater, less) {
            // call.timestamp > time.now_ns() - back
            (Known::Field(number, field), Known::Now(offset)) if field == "timestamp" => {
                (*number, offset.checked_neg())
            }
            // back > time.now_ns() - call.timestamp
            (Known::Value(back), Known::Age(number)) => (*number, integer(back)),
            _ => return,
        };
        if let (Some(walk), Some(back)) = (self.walks.get_mut(number), back) {
            walk.back_ns = Some(walk.back_ns.map_or(back, |known| known.min(back)));
        }
    }
}

/// What the text tells of a value.
#[derive(Clone, Debug)]
pub(super) enum Known {
    Value(Value),
    /// The instant of the decision plus so many nanoseconds.
    Now(i64),
    Input(Vec<Value>),
    /// The whole log.
    Log,
    /// The call of the walk with this number.
    Call(usize),
    Field(usize, String),
    /// How long ago the call of a walk was made.
    Age(usize),
    Unknown,
}

/// Work for one call of constants.
const CONSTANT_WORK: u64 = 10_000;

pub(super) fn value(value: &Value) -> Known {
    if *value == Value::Undefined { Known::Unknown } else { Known::Value(value.clone()) }
}

/// What a builtin answers, as far as its arguments are known.
pub(super) fn apply(builtin: &builtins::Builtin, arguments: &[Known]) -> Known {
    match (builtin.name, arguments) {
        ("time.now_ns", []) => return Known::Now(0),
        ("minus", [Known::Now(offset), Known::Value(value)]) => {
            return integer(value)
                .and_then(|value| offset.checked_sub(value))
                .map_or(Known::Unknown, Known::Now);
        }
        ("plus", [Known::Now(offset), Known::Value(value)] | [Known::Value(value), Known::Now(offset)]) => {
            return integer(value)
                .and_then(|value| offset.checked_add(value))
                .map_or(Known::Unknown, Known::Now);
        }
        ("minus", [Known::Now(0), Known::Field(number, field)]) if field == "timestamp" => {
            return Known::Age(*number);
        }
        _ => {}
    }
    if builtin.depends != builtins::Dependence::None || builtin.is_relation {
        return Known::Unknown;
    }
    let constants: Option<Vec<Value>> = arguments
        .iter()
        .map(|argument| if let Known::Value(value) = argument { Some(value.clone()) } else { None })
        .collect();
    let Some(constants) = constants else { return Known::Unknown };
    let mut surroundings = Surroundings::new(0, 0, Work::new(CONSTANT_WORK));
    match (builtin.call)(&mut surroundings, &constants) {
        Ok(answer) => value(&answer),
        Err(_) => Known::Unknown,
    }
}
