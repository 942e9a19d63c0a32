//! The values of operands.

use std::collections::BTreeSet;

use regorus::Value;

use super::{Flow, Halt, Machine, scan::member};
use crate::rego::ir::{Collects, Comprehension, Operand};

/// What a path ends in where nothing is.
static UNDEFINED: Value = Value::Undefined;

impl<'p> Machine<'p> {
    /// The value of an operand that is there already, without a copy; nothing for one that has to be computed.
    pub(super) fn peek<'a>(&'a self, operand: &'a Operand) -> Option<&'a Value> {
        match operand {
            Operand::Constant(value) => Some(value),
            Operand::Local(slot) => self.locals.get(self.base + slot),
            Operand::Input(path) => Some(walk(&self.world.input, path)),
            Operand::Base(path) if self.world.overlays.is_empty() && !self.reads_calls(path) => {
                Some(walk(&self.program.data, path))
            }
            Operand::Path(path) => {
                let (source, keys) = &**path;
                let mut at = self.peek(source)?;
                for key in keys {
                    at = member(at, self.peek(key)?).unwrap_or(&UNDEFINED);
                }
                Some(at)
            }
            Operand::Base(_)
            | Operand::Rule(_)
            | Operand::Keyed(..)
            | Operand::Document(..)
            | Operand::Array(_)
            | Operand::Set(_)
            | Operand::Object(_)
            | Operand::Comprehension(_) => None,
        }
    }

    /// The value of an operand; undefined where it has none.
    pub(super) fn value(&mut self, operand: &'p Operand) -> Result<Value, Halt> {
        if let Some(value) = self.peek(operand) {
            return Ok(value.clone());
        }
        match operand {
            Operand::Constant(_) | Operand::Local(_) | Operand::Input(_) => Ok(Value::Undefined),
            Operand::Base(path) => self.base_at(path),
            Operand::Rule(rule) => self.rule(*rule),
            Operand::Keyed(rule, key) => match self.value(key)? {
                Value::Undefined => Ok(Value::Undefined),
                key => self.keyed(*rule, key),
            },
            Operand::Document(node, keys) => self.document(*node, keys),
            Operand::Path(path) => {
                let (source, keys) = &**path;
                let mut at = self.value(source)?;
                for key in keys {
                    if at == Value::Undefined {
                        break;
                    }
                    let key = self.value(key)?;
                    at = member(&at, &key).cloned().unwrap_or(Value::Undefined);
                }
                Ok(at)
            }
            Operand::Array(items) => {
                let items = self.arguments(items)?;
                Ok(items.map_or(Value::Undefined, |items| Value::from(items.into_vec())))
            }
            Operand::Set(items) => {
                let items = self.arguments(items)?;
                let set = items.map(|items| items.into_iter().collect::<BTreeSet<Value>>());
                Ok(set.map_or(Value::Undefined, Value::from))
            }
            Operand::Object(fields) => {
                let mut object = Value::new_object();
                for (key, value) in fields {
                    let (key, value) = (self.value(key)?, self.value(value)?);
                    if key == Value::Undefined || value == Value::Undefined {
                        return Ok(Value::Undefined);
                    }
                    self.put(&mut object, key, value)?;
                }
                Ok(object)
            }
            Operand::Comprehension(comprehension) => {
                self.deeper(|machine| machine.comprehension(comprehension))
            }
        }
    }

    fn comprehension(&mut self, comprehension: &'p Comprehension) -> Result<Value, Halt> {
        let steps = &comprehension.block.steps;
        match &comprehension.collects {
            Collects::Array(term) => {
                let mut items = Vec::new();
                self.run(steps, &mut |machine| {
                    match machine.value(term)? {
                        Value::Undefined => {}
                        value => items.push(value),
                    }
                    Ok(Flow::Continue)
                })?;
                Ok(Value::from(items))
            }
            Collects::Set(term) => {
                let mut items = BTreeSet::new();
                self.run(steps, &mut |machine| {
                    match machine.value(term)? {
                        Value::Undefined => {}
                        value => {
                            items.insert(value);
                        }
                    }
                    Ok(Flow::Continue)
                })?;
                Ok(Value::from(items))
            }
            Collects::Object(key, value) => {
                let mut object = Value::new_object();
                self.run(steps, &mut |machine| {
                    let (key, value) = (machine.value(key)?, machine.value(value)?);
                    if key != Value::Undefined && value != Value::Undefined {
                        machine.put(&mut object, key, value)?;
                    }
                    Ok(Flow::Continue)
                })?;
                Ok(object)
            }
        }
    }

    /// Gives an object a key that it has not, or has with the same value.
    pub(super) fn put(&mut self, object: &mut Value, key: Value, value: Value) -> Result<(), Halt> {
        let Ok(fields) = object.as_object_mut() else { return Ok(()) };
        match fields.get(&key) {
            Some(present) if *present != value => {
                Err(Halt::Error(format!("an object has two values for the key {key}")))
            }
            Some(_) => Ok(()),
            None => {
                fields.insert(key, value);
                Ok(())
            }
        }
    }
}

/// What stands at `path` below `value`.
pub(in crate::rego) fn walk<'v>(value: &'v Value, path: &'v [Value]) -> &'v Value {
    let mut at = value;
    for key in path {
        match member(at, key) {
            Some(found) => at = found,
            None => return &UNDEFINED,
        }
    }
    at
}
