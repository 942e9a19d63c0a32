//! OPA's order of terms: null, booleans, numbers, strings, arrays, objects, sets. The order that the values have by
//! themselves puts sets before objects, so it serves for looking up and not for what a policy can see.

use std::cmp::Ordering;
use std::mem::discriminant;

use num_bigint::BigInt;
use regorus::Value;

/// Compares as OPA does. Recursive: values are as deep as documents and policies may be.
pub(crate) fn compare(left: &Value, right: &Value) -> Ordering {
    let mut unlimited = u64::MAX;
    compare_within(left, right, &mut unlimited).unwrap_or(Ordering::Equal)
}

/// Compares as OPA does, and counts the values looked at down to nothing: none where `left` is used up first.
pub(crate) fn compare_within(left: &Value, right: &Value, steps: &mut u64) -> Option<Ordering> {
    *steps = steps.checked_sub(1)?;
    let order = match (left, right) {
        (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
        (Value::Number(_), Value::Number(_)) => compare_numbers(left, right),
        (Value::String(left), Value::String(right)) => left.as_bytes().cmp(right.as_bytes()),
        (Value::Array(left), Value::Array(right)) => {
            if std::ptr::eq(&raw const **left, &raw const **right) {
                return Some(Ordering::Equal);
            }
            compare_all(left.iter(), right.iter(), steps)?
        }
        (Value::Set(left), Value::Set(right)) => {
            if std::ptr::eq(&raw const **left, &raw const **right) {
                return Some(Ordering::Equal);
            }
            compare_all(sorted(left.iter()), sorted(right.iter()), steps)?
        }
        (Value::Object(left), Value::Object(right)) => {
            if std::ptr::eq(&raw const **left, &raw const **right) {
                return Some(Ordering::Equal);
            }
            compare_all(flat(left.iter()), flat(right.iter()), steps)?
        }
        _ => rank(left).cmp(&rank(right)),
    };
    Some(order)
}

/// Whether two values are the same, counting as [`compare_within`] does. Only the order of sets beside objects tells the
/// two apart, and that the values' own order is enough here.
pub(crate) fn same_within(left: &Value, right: &Value, steps: &mut u64) -> Option<bool> {
    *steps = steps.checked_sub(1)?;
    Some(match (left, right) {
        (Value::Array(left), Value::Array(right)) => {
            std::ptr::eq(&raw const **left, &raw const **right)
                || (left.len() == right.len() && all_same(left.iter(), right.iter(), steps)?)
        }
        (Value::Set(left), Value::Set(right)) => {
            std::ptr::eq(&raw const **left, &raw const **right)
                || (left.len() == right.len() && all_same(left.iter_sorted(), right.iter_sorted(), steps)?)
        }
        (Value::Object(left), Value::Object(right)) => {
            std::ptr::eq(&raw const **left, &raw const **right)
                || (left.len() == right.len() && {
                    let flat = |(key, value)| [key, value];
                    all_same(left.iter_sorted().flat_map(flat), right.iter_sorted().flat_map(flat), steps)?
                })
        }
        (left, right) => left == right,
    })
}

fn all_same<'v>(
    left: impl Iterator<Item = &'v Value>,
    right: impl Iterator<Item = &'v Value>,
    steps: &mut u64,
) -> Option<bool> {
    for (left, right) in left.zip(right) {
        if !same_within(left, right, steps)? {
            return Some(false);
        }
    }
    Some(true)
}

fn compare_all<'v>(
    left: impl IntoIterator<Item = &'v Value>,
    right: impl IntoIterator<Item = &'v Value>,
    steps: &mut u64,
) -> Option<Ordering> {
    let mut right = right.into_iter();
    for left in left {
        let Some(right) = right.next() else { return Some(Ordering::Greater) };
        match compare_within(left, right, steps)? {
            Ordering::Equal => {}
            order @ (Ordering::Less | Ordering::Greater) => return Some(order),
        }
    }
    Some(if right.next().is_some() { Ordering::Less } else { Ordering::Equal })
}

/// The elements of a set, or the keys of an object, in OPA's order.
pub(crate) fn sorted<'v>(values: impl Iterator<Item = &'v Value>) -> Vec<&'v Value> {
    let mut values: Vec<&Value> = values.collect();
    // Both orders agree but for objects and sets, and what holds them.
    if values.iter().any(|value| is_composite(value)) {
        values.sort_by(|left, right| compare(left, right));
    }
    values
}

/// The entries of an object in OPA's order of their keys.
pub(crate) fn sorted_entries<'v>(
    entries: impl Iterator<Item = (&'v Value, &'v Value)>,
) -> Vec<(&'v Value, &'v Value)> {
    let mut entries: Vec<(&Value, &Value)> = entries.collect();
    if entries.iter().any(|(key, _)| is_composite(key)) {
        entries.sort_by(|(left, _), (right, _)| compare(left, right));
    }
    entries
}

fn flat<'v>(entries: impl Iterator<Item = (&'v Value, &'v Value)>) -> impl Iterator<Item = &'v Value> {
    sorted_entries(entries).into_iter().flat_map(|(key, value)| [key, value])
}

pub(crate) fn is_composite(value: &Value) -> bool {
    matches!(value, Value::Array(_) | Value::Set(_) | Value::Object(_))
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Number(_) => 2,
        Value::String(_) => 3,
        Value::Array(_) => 4,
        Value::Object(_) => 5,
        Value::Set(_) => 6,
        Value::Undefined => 7,
    }
}

/// A float stands for the shortest decimal that reads as it, as it was written, and not for its binary value. That is
/// another number only where it is larger than all integers that a float holds exactly.
fn compare_numbers(left: &Value, right: &Value) -> Ordering {
    let (Value::Number(a), Value::Number(b)) = (left, right) else { return Ordering::Equal };
    match (large_float(left), large_float(right)) {
        (Some(a), None) if !is_float(right) => b.as_big().map_or(Ordering::Less, |b| a.cmp(&b)),
        (None, Some(b)) if !is_float(left) => a.as_big().map_or(Ordering::Greater, |a| (*a).cmp(&b)),
        _ => a.cmp(b),
    }
}

/// Whether a number came as a float. Its type cannot be named, so it is told from one that is known.
pub(crate) fn is_float(value: &Value) -> bool {
    match (value, Value::from(0.5)) {
        (Value::Number(number), Value::Number(float)) => discriminant(number) == discriminant(&float),
        _ => false,
    }
}

/// The integer that a value is, where it is one of 64 bits.
pub(super) fn integer(value: &Value) -> Option<i64> {
    let Value::Number(number) = value else { return None };
    if number.is_integer() { number.as_i64() } else { None }
}

fn large_float(value: &Value) -> Option<BigInt> {
    // Asked for the float that an integer is not, the library makes an error, which takes its time.
    if !is_float(value) {
        return None;
    }
    let float = value.as_f64().ok().filter(|float| float.abs() >= 9_007_199_254_740_992.0)?;
    // The display of a float is its shortest digits, filled up with zeros.
    format!("{float}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_opa() {
        let rows = [
            "null",
            "false",
            "true",
            "-5",
            "0",
            "0.5",
            "1",
            "9007199254740993",
            "100000000000000000000000",
            "\"\"",
            "\"B\"",
            "\"a\"",
            "[]",
            "[1]",
            "[1,2]",
            "{}",
            "{\"a\":1}",
            "{\"a\":1,\"b\":0}",
            "{\"a\":2}",
        ];
        let mut values: Vec<Value> = rows.iter().map(|row| Value::from_json_str(row).unwrap()).collect();
        let mut set = std::collections::BTreeSet::new();
        values.push(Value::from(set.clone()));
        set.insert(Value::new_object());
        values.push(Value::from(set));
        for (i, left) in values.iter().enumerate() {
            for (j, right) in values.iter().enumerate() {
                assert_eq!(compare(left, right), i.cmp(&j), "{left} {right}");
            }
        }
        assert_eq!(
            compare(&Value::from(1e23), &rows[8].parse::<BigInt>().map(|n| Value::Number(n.into())).unwrap()),
            Ordering::Equal
        );
    }
}
