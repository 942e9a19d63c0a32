//! Arrays, and ranges of numbers.

use num_bigint::BigInt;
use num_traits::{Signed, ToPrimitive};
use regorus::Value;

use super::number::from_big;
use super::operand::{integer, mismatch, operands, whole};
use super::{Builtin, Failure, Outcome, Surroundings};

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin::new("array.concat", 2, concat),
    Builtin::new("array.flatten", 1, flatten),
    Builtin::new("array.slice", 3, slice),
    Builtin::new("array.reverse", 1, reverse),
    Builtin::new("numbers.range", 2, range),
    Builtin::new("numbers.range_step", 3, range_step),
];

fn concat(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [left, right] = operands(arguments)?;
    let Value::Array(first) = left else { return Err(mismatch(1, "array", left)) };
    let Value::Array(second) = right else { return Err(mismatch(2, "array", right)) };
    surroundings.work.spend_on(first.len() + second.len())?;
    Ok(Value::from(first.iter().chain(second.iter()).cloned().collect::<Vec<_>>()))
}

/// One level of arrays in the array.
fn flatten(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [value] = operands(arguments)?;
    let Value::Array(items) = value else { return Err(mismatch(1, "array", value)) };
    let mut flat = Vec::new();
    for item in items.iter() {
        if let Value::Array(inner) = item {
            surroundings.work.spend_on(inner.len())?;
            flat.extend(inner.iter().cloned());
        } else {
            surroundings.work.spend(1)?;
            flat.push(item.clone());
        }
    }
    Ok(Value::from(flat))
}

fn slice(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [value, start, stop] = operands(arguments)?;
    let Value::Array(items) = value else { return Err(mismatch(1, "array", value)) };
    let (start, stop) = (integer(start, 2)?, integer(stop, 3)?);
    let clamp = |index: i64| usize::try_from(index.max(0)).unwrap_or(usize::MAX).min(items.len());
    let (start, stop) = (clamp(start), clamp(stop));
    let taken = stop.saturating_sub(start);
    surroundings.work.spend_on(taken)?;
    Ok(Value::from(items.iter().skip(start).take(taken).cloned().collect::<Vec<_>>()))
}

fn reverse(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [value] = operands(arguments)?;
    let Value::Array(items) = value else { return Err(mismatch(1, "array", value)) };
    surroundings.work.spend_on(items.len())?;
    Ok(Value::from(items.iter().rev().cloned().collect::<Vec<_>>()))
}

fn range(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [from, to] = operands(arguments)?;
    numbers(surroundings, from, to, BigInt::from(1))
}

fn range_step(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [from, to, step] = operands(arguments)?;
    whole(from, 1)?;
    whole(to, 2)?;
    let step = whole(step, 3)?;
    if !step.is_positive() {
        return Err(Failure::undefined("numbers.range_step: step must be a positive integer"));
    }
    numbers(surroundings, from, to, step)
}

fn numbers(surroundings: &mut Surroundings, from: &Value, to: &Value, step: BigInt) -> Outcome {
    let (from, to) = (whole(from, 1)?, whole(to, 2)?);
    let distance = &to - &from;
    let count = (distance.abs() / &step).to_u64().and_then(|count| count.checked_add(1));
    let count = count.ok_or(Failure::OutOfBudget)?;
    let words = from.bits().max(to.bits()) / 64 + 1;
    surroundings.work.spend(count.saturating_mul(words))?;
    let step = if distance.is_negative() { -step } else { step };
    let mut next = from;
    let mut numbers = Vec::new();
    for _ in 0..count {
        numbers.push(from_big(next.clone()));
        next += &step;
    }
    Ok(Value::from(numbers))
}
