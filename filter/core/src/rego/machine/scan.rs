//! Iteration: over a collection, and along the brackets of a reference.

use regorus::Value;

use super::{Flow, Halt, Machine, Then};
use crate::rego::{
    ir::{Hop, Operand, Scan},
    order::compare,
    text::term_text,
};

impl<'p> Machine<'p> {
    pub(super) fn scan(&mut self, scan: &'p Scan, then: Then<'_, 'p>) -> Result<Flow, Halt> {
        let source = self.value(&scan.source)?;
        let find = self.finder(&scan.source);
        self.hop(scan, &scan.hops, (&source, find), then)
    }

    fn hop(
        &mut self,
        scan: &'p Scan,
        hops: &'p [Hop],
        (value, find): (&Value, Find),
        then: Then<'_, 'p>,
    ) -> Result<Flow, Halt> {
        match hops.split_first() {
            None => {
                if self.accepts(&scan.result, value.clone())? {
                    then(self)
                } else {
                    Ok(Flow::Continue)
                }
            }
            Some((Hop::Key(key), rest)) => {
                let key = self.value(key)?;
                self.pay_for_key(&key)?;
                match find(value, &key) {
                    Some(found) => {
                        let found = found.clone();
                        self.deeper(|machine| machine.hop(scan, rest, (&found, find), then))
                    }
                    None => Ok(Flow::Continue),
                }
            }
            Some((Hop::Each(pattern), rest)) => self.deeper(|machine| {
                machine.each(value, &mut |machine, key, item| {
                    if machine.matches(pattern, key)? {
                        machine.hop(scan, rest, (item, find), then)
                    } else {
                        Ok(Flow::Continue)
                    }
                })
            }),
        }
    }

    /// How what stands below an operand is found.
    pub(super) fn finder(&self, source: &Operand) -> Find {
        match source {
            Operand::Base(path) if !self.covers(path) => stored,
            Operand::Path(path) => self.finder(&path.0),
            Operand::Base(_)
            | Operand::Constant(_)
            | Operand::Local(_)
            | Operand::Input(_)
            | Operand::Rule(_)
            | Operand::Keyed(..)
            | Operand::Document(..)
            | Operand::Array(_)
            | Operand::Set(_)
            | Operand::Object(_)
            | Operand::Comprehension(_) => member,
        }
    }

    /// Visits the keys and the items of a collection; a set's items are their own keys.
    pub(super) fn each(
        &mut self,
        collection: &Value,
        visit: &mut dyn FnMut(&mut Self, Value, &Value) -> Result<Flow, Halt>,
    ) -> Result<Flow, Halt> {
        match collection {
            Value::Array(items) => {
                for (at, item) in items.iter().enumerate() {
                    self.spend(1)?;
                    if visit(self, Value::from(at), item)? == Flow::Stop {
                        return Ok(Flow::Stop);
                    }
                }
            }
            Value::Set(items) => {
                for item in in_order(items.iter_sorted(), |item| item) {
                    self.spend(1)?;
                    if visit(self, item.clone(), item)? == Flow::Stop {
                        return Ok(Flow::Stop);
                    }
                }
            }
            Value::Object(fields) => {
                for (key, item) in in_order(fields.iter_sorted(), |(key, _)| key) {
                    self.spend(1)?;
                    if visit(self, key.clone(), item)? == Flow::Stop {
                        return Ok(Flow::Stop);
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Undefined => {}
        }
        Ok(Flow::Continue)
    }
}

/// Members in OPA's order. The values' own order differs where sets stand beside objects.
fn in_order<'v, T: Copy + 'v>(
    members: impl Iterator<Item = T> + Clone + 'v,
    key: impl Fn(T) -> &'v Value,
) -> Box<dyn Iterator<Item = T> + 'v> {
    let (mut sets, mut objects) = (false, false);
    for member in members.clone() {
        sets |= matches!(key(member), Value::Set(_));
        objects |= matches!(key(member), Value::Object(_));
    }
    if !(sets && objects) {
        return Box::new(members);
    }
    let mut sorted: Vec<T> = members.collect();
    sorted.sort_by(|left, right| compare(key(*left), key(*right)));
    Box::new(sorted.into_iter())
}

/// Finds what a collection has at a key.
pub(super) type Find = for<'v> fn(&'v Value, &Value) -> Option<&'v Value>;

/// What base data has at `key` below a path. OPA's store takes every number and string of a path for a text: "1" is a
/// place in an array, and 1 the key "1" of an object.
pub(super) fn stored<'v>(collection: &'v Value, key: &Value) -> Option<&'v Value> {
    member(collection, key).or_else(|| match (collection, key) {
        (Value::Array(items), Value::String(text)) => {
            // Go takes a leading `+` too, as does Rust.
            text.parse::<usize>().ok().and_then(|at| items.get(at))
        }
        (Value::Object(fields), Value::Number(_)) => fields.get(&Value::from(term_text(key))),
        _ => None,
    })
}

/// What a collection has at `key`. A set has its members at themselves.
pub(in crate::rego) fn member<'v>(collection: &'v Value, key: &Value) -> Option<&'v Value> {
    match collection {
        Value::Object(fields) => fields.get(key),
        Value::Array(items) => match key {
            Value::Number(number) if number.is_integer() => {
                number.as_u64().and_then(|at| usize::try_from(at).ok()).and_then(|at| items.get(at))
            }
            _ => None,
        },
        Value::Set(items) => items.get(key),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Undefined => None,
    }
}
