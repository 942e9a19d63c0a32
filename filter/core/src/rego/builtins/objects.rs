//! Objects.

use std::collections::{BTreeMap, BTreeSet};

use regorus::Value;

use super::comparison::{element, equal};
use super::operand::{elements, mismatch, operands};
use super::{Builtin, Failure, Outcome, Surroundings, Work};

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin::new("object.get", 3, get),
    Builtin::new("object.keys", 1, keys),
    Builtin::new("object.remove", 2, remove),
    Builtin::new("object.filter", 2, filter),
    Builtin::new("object.union", 2, union),
    Builtin::new("object.union_n", 1, union_n),
    Builtin::new("object.subset", 2, subset),
];

fn get(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [object, path, default] = operands(arguments)?;
    if !matches!(object, Value::Object(_)) {
        return Err(mismatch(1, "object", object));
    }
    surroundings.work.weigh(path)?;
    let found = if let Value::Array(path) = path {
        path.iter().try_fold(object, element)
    } else {
        element(object, path)
    };
    Ok(found.unwrap_or(default).clone())
}

fn keys(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [object] = operands(arguments)?;
    let Value::Object(entries) = object else { return Err(mismatch(1, "object", object)) };
    surroundings.work.spend(entries.len() as u64)?;
    for key in entries.keys() {
        surroundings.work.weigh(key)?;
    }
    Ok(Value::from(entries.keys().cloned().collect::<BTreeSet<_>>()))
}

fn remove(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    select(surroundings, arguments, false)
}

fn filter(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    select(surroundings, arguments, true)
}

/// The entries whose keys are, or are not, among those of an array, a set or an object.
fn select(surroundings: &mut Surroundings, arguments: &[Value], keep: bool) -> Outcome {
    let [object, selected] = operands(arguments)?;
    let Value::Object(entries) = object else { return Err(mismatch(1, "object", object)) };
    let keys: BTreeSet<&Value> = match selected {
        Value::Object(selected) => {
            surroundings.work.spend_on(selected.len())?;
            for key in selected.keys() {
                surroundings.work.weigh(key)?;
            }
            selected.keys().collect()
        }
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Set(_)
        | Value::Undefined => {
            surroundings.work.weigh(selected)?;
            elements(selected)
                .ok_or_else(|| mismatch(2, "one of {object, set, array}", selected))?
                .into_iter()
                .collect()
        }
    };
    surroundings.work.spend(entries.len() as u64)?;
    for key in entries.keys() {
        surroundings.work.weigh(key)?;
    }
    let kept = entries.iter().filter(|(key, _)| keys.contains(key) == keep);
    Ok(Value::from(kept.map(|(key, value)| (key.clone(), value.clone())).collect::<BTreeMap<_, _>>()))
}

fn union(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [left, right] = operands(arguments)?;
    for (position, value) in [(1, left), (2, right)] {
        if !matches!(value, Value::Object(_)) {
            return Err(mismatch(position, "object", value));
        }
    }
    merged(left, right, &mut surroundings.work)
}

/// From the left, each overwrites what came before it, object by object.
fn union_n(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [objects] = operands(arguments)?;
    let Value::Array(objects) = objects else { return Err(mismatch(1, "array", objects)) };
    if let Some(other) = objects.iter().find(|object| !matches!(object, Value::Object(_))) {
        return Err(mismatch(1, "array of objects", other));
    }
    let mut result = Value::new_object();
    for object in objects.iter() {
        result = merged(&result, object, &mut surroundings.work)?;
    }
    Ok(result)
}

/// As deep as the less deep of the two.
fn merged(left: &Value, right: &Value, work: &mut Work) -> Outcome {
    let (Value::Object(first), Value::Object(second)) = (left, right) else { return Ok(right.clone()) };
    if first.is_empty() {
        return Ok(right.clone());
    }
    if second.is_empty() {
        return Ok(left.clone());
    }
    work.spend(first.len() as u64 / 4 + second.len() as u64)?;
    for key in first.keys().chain(second.keys()) {
        work.weigh(key)?;
    }
    let mut entries: BTreeMap<Value, Value> =
        first.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    for (key, value) in second.iter() {
        let value = match entries.get(key) {
            Some(before) => merged(before, value, work)?,
            None => value.clone(),
        };
        entries.insert(key.clone(), value);
    }
    Ok(Value::from(entries))
}

fn subset(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [greater, smaller] = operands(arguments)?;
    let work = &mut surroundings.work;
    let holds = match (greater, smaller) {
        (Value::Object(_), Value::Object(_))
        | (Value::Set(_), Value::Set(_))
        | (Value::Array(_), Value::Array(_)) => is_subset(greater, smaller, work)?,
        (Value::Array(items), Value::Set(wanted)) => {
            holds_all(items.iter(), wanted.len(), work, |item| wanted.contains(item))?
        }
        _ => {
            return Err(Failure::undefined(
                "both arguments object.subset must be of the same type or array and set",
            ));
        }
    };
    Ok(Value::from(holds))
}

/// Counts the items that are wanted. One that comes twice counts twice in OPA, and an empty array holds nothing.
fn holds_all<'v>(
    items: impl Iterator<Item = &'v Value>,
    wanted: usize,
    work: &mut Work,
    is_wanted: impl Fn(&Value) -> bool,
) -> Result<bool, Failure> {
    let mut missing = wanted;
    for item in items {
        work.weigh(item)?;
        // Never below zero: at zero the search is over.
        missing -= usize::from(is_wanted(item) && missing > 0);
        if missing == 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_subset(greater: &Value, smaller: &Value, work: &mut Work) -> Result<bool, Failure> {
    match (greater, smaller) {
        (Value::Object(greater), Value::Object(smaller)) => {
            for (key, value) in smaller.iter() {
                work.weigh(key)?;
                let Some(other) = greater.get(key) else { return Ok(false) };
                if !(equal(value, other, work)? || is_subset(other, value, work)?) {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (Value::Set(greater), Value::Set(smaller)) => {
            for value in smaller.iter() {
                work.weigh(value)?;
                if !greater.contains(value) {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (Value::Array(greater), Value::Array(smaller)) => {
            let greater: Vec<&Value> = greater.iter().collect();
            let smaller: Vec<&Value> = smaller.iter().collect();
            if smaller.is_empty() {
                return Ok(true);
            }
            for window in greater.windows(smaller.len()) {
                let mut all = true;
                for (one, other) in window.iter().zip(&smaller) {
                    if !equal(one, other, work)? {
                        all = false;
                        break;
                    }
                }
                if all {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        _ => Ok(false),
    }
}
