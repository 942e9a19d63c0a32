//! What is made of all elements of a collection.

use std::cmp::Ordering;

use num_bigint::BigInt;
use num_traits::ToPrimitive;
use regorus::Value;

use super::big_float::BigFloat;
use super::comparison::{compare, equal};
use super::number::{Numeric, PRECISION, from_big, from_big_float, spend_on_digits};
use super::operand::{elements, mismatch, number, operands};
use super::{Builtin, Failure, Outcome, Surroundings};
use crate::rego::order;

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin::new("count", 1, count),
    Builtin::new("sum", 1, sum),
    Builtin::new("product", 1, product),
    Builtin::new("max", 1, max),
    Builtin::new("min", 1, min),
    Builtin::new("sort", 1, sort),
    Builtin::new("all", 1, all),
    Builtin::new("any", 1, any),
];

/// The precision of Go's `big.NewFloat`, with which OPA begins a product.
const PRODUCT_PRECISION: u64 = 53;

fn count(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [value] = operands(arguments)?;
    surroundings.work.spend(1)?;
    let count = match value {
        Value::Array(items) => items.len(),
        Value::Object(entries) => entries.len(),
        Value::Set(items) => items.len(),
        Value::String(text) => {
            surroundings.work.spend_on_text(text.len())?;
            text.chars().count()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Undefined => {
            return Err(mismatch(1, "one of {array, object, set, string}", value));
        }
    };
    Ok(Value::from(count))
}

/// The elements of an array or a set, paid for.
fn collection<'v>(
    surroundings: &mut Surroundings,
    arguments: &'v [Value],
) -> Result<Vec<&'v Value>, Failure> {
    let [value] = operands(arguments)?;
    let elements = elements(value).ok_or_else(|| mismatch(1, "one of {set, array}", value))?;
    surroundings.work.spend_on(elements.len())?;
    Ok(elements)
}

fn numbers(surroundings: &mut Surroundings, arguments: &[Value]) -> Result<Vec<Numeric>, Failure> {
    let elements = collection(surroundings, arguments)?;
    elements.into_iter().map(|element| number(element, 1)).collect()
}

/// All numbers as integers, if they are.
fn wholes(numbers: &[Numeric]) -> Option<Vec<BigInt>> {
    numbers.iter().map(Numeric::whole).collect()
}

fn sum(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let numbers = numbers(surroundings, arguments)?;
    let work = &mut surroundings.work;
    let small = numbers.iter().try_fold(0_i64, |sum, number| match number {
        Numeric::Integer(integer) => sum.checked_add(*integer),
        Numeric::Big(_) | Numeric::Float(_) => None,
    });
    if let Some(sum) = small {
        return Ok(Value::from(sum));
    }
    if let Some(wholes) = wholes(&numbers) {
        let mut sum = BigInt::from(0);
        for whole in wholes {
            work.spend_on(whole.bits().max(sum.bits()).to_usize().unwrap_or(usize::MAX) / 8)?;
            sum += whole;
        }
        return Ok(from_big(sum));
    }
    let mut sum = BigFloat::from_integer(&BigInt::from(0), PRECISION);
    for number in &numbers {
        work.spend(10)?;
        sum = sum.plus(&number.to_big_float(work)?);
    }
    from_big_float(&sum, work)
}

fn product(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let numbers = numbers(surroundings, arguments)?;
    let work = &mut surroundings.work;
    if let Some(wholes) = wholes(&numbers) {
        let mut product = BigInt::from(1);
        for whole in wholes {
            spend_on_digits(whole.bits().saturating_add(product.bits()), work)?;
            product *= whole;
        }
        return Ok(from_big(product));
    }
    let mut product = BigFloat::from_integer(&BigInt::from(1), PRODUCT_PRECISION);
    for number in &numbers {
        work.spend(10)?;
        product = product.times(&number.to_big_float(work)?);
    }
    from_big_float(&product, work)
}

fn max(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    extreme(surroundings, arguments, Ordering::Greater)
}

fn min(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    extreme(surroundings, arguments, Ordering::Less)
}

fn extreme(surroundings: &mut Surroundings, arguments: &[Value], better: Ordering) -> Outcome {
    let elements = collection(surroundings, arguments)?;
    let mut best: Option<&Value> = None;
    for element in elements {
        let keep = match best {
            // Of equal ones, like 1 and 1.0, the last.
            Some(best) => compare(best, element, &mut surroundings.work)? == better,
            None => false,
        };
        if !keep {
            best = Some(element);
        }
    }
    best.cloned().ok_or_else(|| Failure::undefined("no element"))
}

fn sort(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let mut elements = collection(surroundings, arguments)?;
    let work = &mut surroundings.work;
    // Paid in advance: a sort cannot stop in the middle.
    let before = work.left;
    for element in &elements {
        work.weigh(element)?;
    }
    let once = before - work.left;
    work.spend(once.saturating_mul(u64::from(elements.len().checked_ilog2().unwrap_or(0))))?;
    elements.sort_by(|left, right| order::compare(left, right));
    Ok(Value::from(elements.into_iter().cloned().collect::<Vec<_>>()))
}

fn all(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let elements = collection(surroundings, arguments)?;
    Ok(Value::from(elements.into_iter().all(|element| *element == Value::Bool(true))))
}

fn any(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    for element in collection(surroundings, arguments)? {
        if equal(element, &Value::Bool(true), &mut surroundings.work)? {
            return Ok(Value::from(true));
        }
    }
    Ok(Value::from(false))
}
