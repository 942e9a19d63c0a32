//! The values of operands.

use std::collections::BTreeSet;

use regorus::Value;

use super::{
    FREE_ITEMS, Flow, Halt, Machine,
    scan::{member, stored},
};
use crate::rego::{
    ir::{Collects, Comprehension, Operand},
    order::is_composite,
};

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
                Some(self.stored_at(path))
            }
            Operand::Path(path) => {
                let (source, keys) = &**path;
                let find = self.finder(source);
                let mut at = self.peek(source)?;
                for key in keys {
                    // A key that is compared member by member is paid for elsewhere.
                    let key = self.peek(key).filter(|key| !is_composite(key))?;
                    at = find(at, key).unwrap_or(&UNDEFINED);
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
            Operand::Keyed(..)
            | Operand::Document(..)
            | Operand::Path(_)
            | Operand::Array(_)
            | Operand::Set(_)
            | Operand::Object(_)
            | Operand::Comprehension(_) => self.deeper(|machine| machine.composed(operand)),
        }
    }

    /// The value of an operand that has others within it.
    fn composed(&mut self, operand: &'p Operand) -> Result<Value, Halt> {
        match operand {
            Operand::Constant(_)
            | Operand::Local(_)
            | Operand::Input(_)
            | Operand::Base(_)
            | Operand::Rule(_) => self.value(operand),
            Operand::Keyed(rule, key) => match self.value(key)? {
                Value::Undefined => Ok(Value::Undefined),
                key => self.keyed(*rule, key),
            },
            Operand::Document(node, keys) => self.document(*node, keys),
            Operand::Path(path) => {
                let (source, keys) = &**path;
                let find = self.finder(source);
                let mut at = self.value(source)?;
                for key in keys {
                    if at == Value::Undefined {
                        break;
                    }
                    let key = self.value(key)?;
                    self.pay_for_key(&key)?;
                    at = find(&at, &key).cloned().unwrap_or(Value::Undefined);
                }
                Ok(at)
            }
            Operand::Array(items) => {
                let items = self.arguments(items)?;
                Ok(items.map_or(Value::Undefined, |items| Value::from(items.into_vec())))
            }
            Operand::Set(items) => {
                let items = self.arguments(items)?;
                for item in items.iter().flatten() {
                    self.pay_for_key(item)?;
                }
                let set = items.map(|items| items.into_iter().collect::<BTreeSet<Value>>());
                Ok(set.map_or(Value::Undefined, Value::from))
            }
            Operand::Object(fields) => {
                let mut object = Value::new_object();
                if fields.len() > FREE_ITEMS {
                    self.spend(u64::try_from(fields.len()).unwrap_or(u64::MAX))?;
                }
                for (key, value) in fields {
                    let (key, value) = (self.value(key)?, self.value(value)?);
                    if key == Value::Undefined || value == Value::Undefined {
                        return Ok(Value::Undefined);
                    }
                    self.put(&mut object, key, value)?;
                }
                Ok(object)
            }
            Operand::Comprehension(comprehension) => self.comprehension(comprehension),
        }
    }

    /// What the policy's own data has at `path`.
    pub(super) fn stored_at(&self, path: &[Value]) -> &Value {
        path.iter().try_fold(&self.program.data, |at, key| stored(at, key)).unwrap_or(&UNDEFINED)
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
                            machine.pay_for_key(&value)?;
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
        self.pay_for_key(&key)?;
        let Ok(fields) = object.as_object_mut() else { return Ok(()) };
        match fields.get(&key) {
            Some(present) if !self.same(present, &value)? => {
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
