//! Comparison, in OPA's order of terms, and membership.

use std::cmp::Ordering;

use regorus::Value;

use super::number::numeric;
use super::operand::operands;
use super::{Builtin, Failure, Outcome, Surroundings, Work};
use crate::rego::order::{compare_within, is_composite};

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin::new("eq", 2, |s, a| ordering(s, a, Ordering::is_eq)),
    Builtin::new("equal", 2, |s, a| ordering(s, a, Ordering::is_eq)),
    Builtin::new("neq", 2, |s, a| ordering(s, a, Ordering::is_ne)),
    Builtin::new("lt", 2, |s, a| ordering(s, a, Ordering::is_lt)),
    Builtin::new("lte", 2, |s, a| ordering(s, a, Ordering::is_le)),
    Builtin::new("gt", 2, |s, a| ordering(s, a, Ordering::is_gt)),
    Builtin::new("gte", 2, |s, a| ordering(s, a, Ordering::is_ge)),
    Builtin::new("internal.member_2", 2, member),
    Builtin::new("internal.member_3", 3, member_with_key),
];

fn ordering(surroundings: &mut Surroundings, arguments: &[Value], holds: fn(Ordering) -> bool) -> Outcome {
    let [left, right] = operands(arguments)?;
    Ok(Value::from(holds(compare(left, right, &mut surroundings.work)?)))
}

/// Compares, and pays for what it looks at.
pub(super) fn compare(left: &Value, right: &Value, work: &mut Work) -> Result<Ordering, Failure> {
    let most = work.left.saturating_mul(8).saturating_add(7);
    let mut steps = most;
    let order = compare_within(left, right, &mut steps).ok_or(Failure::OutOfBudget)?;
    if let (Value::String(left), Value::String(right)) = (left, right) {
        work.spend_on_text(left.len().min(right.len()))?;
    } else if is_composite(left) && is_composite(right) {
        work.spend(1 + (most - steps) / 8)?;
    } else {
        work.spend(1)?;
    }
    Ok(order)
}

pub(super) fn equal(left: &Value, right: &Value, work: &mut Work) -> Result<bool, Failure> {
    Ok(compare(left, right, work)?.is_eq())
}

fn member(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [value, collection] = operands(arguments)?;
    let work = &mut surroundings.work;
    let found = match collection {
        Value::Set(set) => {
            work.weigh(value)?;
            set.contains(value)
        }
        Value::Array(items) => any_equal(items.iter(), value, work)?,
        Value::Object(entries) => any_equal(entries.values(), value, work)?,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Undefined => false,
    };
    Ok(Value::from(found))
}

fn any_equal<'v>(
    values: impl Iterator<Item = &'v Value>,
    value: &Value,
    work: &mut Work,
) -> Result<bool, Failure> {
    for candidate in values {
        if equal(candidate, value, work)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn member_with_key(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [key, value, collection] = operands(arguments)?;
    let work = &mut surroundings.work;
    work.weigh(key)?;
    let found = match collection {
        Value::Set(set) => set.contains(key) && equal(key, value, work)?,
        Value::Array(_) | Value::Object(_) => match element(collection, key) {
            Some(element) => equal(element, value, work)?,
            None => false,
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Undefined => false,
    };
    Ok(Value::from(found))
}

/// What a reference with the key finds.
pub(super) fn element<'v>(collection: &'v Value, key: &Value) -> Option<&'v Value> {
    match collection {
        Value::Array(items) => items.get(usize::try_from(numeric(key)?.integer()?).ok()?),
        Value::Set(set) => set.get(key),
        Value::Object(entries) => entries.get(key),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Undefined => None,
    }
}
