//! Arithmetic: exact on integers of any size, with a mantissa of 64 bits otherwise.

use std::ops::{Add, Mul, Sub};

use num_bigint::BigInt;
use num_traits::{Signed, Zero};
use regorus::Value;

use super::big_float::BigFloat;
use super::number::{Numeric, PRECISION, from_big, from_big_float, spend_on_digits};
use super::operand::{mismatch, number, operands, whole};
use super::{Builtin, Failure, Outcome, Surroundings, Work};

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin::new("plus", 2, plus),
    Builtin::new("minus", 2, minus),
    Builtin::new("mul", 2, mul),
    Builtin::new("div", 2, div),
    Builtin::new("rem", 2, rem),
    Builtin::new("abs", 1, abs),
    Builtin::new("round", 1, round),
    Builtin::new("ceil", 1, ceil),
    Builtin::new("floor", 1, floor),
    Builtin::new("bits.or", 2, bits_or),
    Builtin::new("bits.and", 2, bits_and),
    Builtin::new("bits.xor", 2, bits_xor),
    Builtin::new("bits.negate", 1, bits_negate),
    Builtin::new("bits.lsh", 2, bits_lsh),
    Builtin::new("bits.rsh", 2, bits_rsh),
];

fn plus(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [left, right] = operands(arguments)?;
    let (left, right) = (number(left, 1)?, number(right, 2)?);
    add(&left, &right, &mut surroundings.work)
}

fn minus(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let work = &mut surroundings.work;
    match operands(arguments)? {
        [Value::Set(left), Value::Set(right)] => {
            work.spend_on(left.len() + right.len())?;
            Ok(left.difference(right).into_value())
        }
        [left @ Value::Number(_), right @ Value::Number(_)] => {
            let (left, right) = (number(left, 1)?, number(right, 2)?);
            binary(&left, &right, work, i64::checked_sub, BigInt::sub, |left, right| {
                left.plus(&right.clone().negated())
            })
        }
        [left @ (Value::Number(_) | Value::Set(_)), right] => {
            Err(mismatch(2, if matches!(left, Value::Set(_)) { "set" } else { "number" }, right))
        }
        [left, _] => Err(mismatch(1, "one of {number, set}", left)),
    }
}

fn mul(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [left, right] = operands(arguments)?;
    let (left, right) = (number(left, 1)?, number(right, 2)?);
    binary(&left, &right, &mut surroundings.work, i64::checked_mul, BigInt::mul, BigFloat::times)
}

pub(super) fn add(left: &Numeric, right: &Numeric, work: &mut Work) -> Outcome {
    binary(left, right, work, i64::checked_add, BigInt::add, BigFloat::plus)
}

fn binary(
    left: &Numeric,
    right: &Numeric,
    work: &mut Work,
    small: fn(i64, i64) -> Option<i64>,
    exact: fn(BigInt, BigInt) -> BigInt,
    float: fn(&BigFloat, &BigFloat) -> BigFloat,
) -> Outcome {
    work.spend(1)?;
    if let (Numeric::Integer(left), Numeric::Integer(right)) = (left, right)
        && let Some(result) = small(*left, *right)
    {
        return Ok(Value::from(result));
    }
    if let (Some(left), Some(right)) = (left.whole(), right.whole()) {
        spend_on_digits(left.bits() + right.bits(), work)?;
        return Ok(from_big(exact(left, right)));
    }
    let (left, right) = (left.to_big_float(work)?, right.to_big_float(work)?);
    work.spend(20)?;
    from_big_float(&float(&left, &right), work)
}

fn div(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [left, right] = operands(arguments)?;
    let (left, right) = (number(left, 1)?, number(right, 2)?);
    let work = &mut surroundings.work;
    work.spend(1)?;
    if right.is_zero() {
        return Err(Failure::undefined("divide by zero"));
    }
    if let (Numeric::Integer(left), Numeric::Integer(right)) = (&left, &right)
        && left.checked_rem(*right) == Some(0)
        // Larger ones are rounded to 64 bits, which holds all of these.
        && let Some(result) = left.checked_div(*right)
    {
        return Ok(Value::from(result));
    }
    let (left, right) = (left.to_big_float(work)?, right.to_big_float(work)?);
    work.spend(20)?;
    from_big_float(&left.divided(&right), work)
}

fn rem(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [left, right] = operands(arguments)?;
    let (left, right) = (number(left, 1)?, number(right, 2)?);
    let work = &mut surroundings.work;
    work.spend(1)?;
    if let (Numeric::Integer(left), Numeric::Integer(right)) = (&left, &right)
        && let Some(result) = left.checked_rem(*right)
    {
        return Ok(Value::from(result));
    }
    match (left.whole(), right.whole()) {
        (Some(_), Some(right)) if right.is_zero() => Err(Failure::undefined("modulo by zero")),
        (Some(left), Some(right)) => {
            spend_on_digits(left.bits() + right.bits(), work)?;
            Ok(from_big(left % right))
        }
        _ => Err(Failure::undefined("modulo on floating-point number")),
    }
}

/// Integers of 32 bits pass through OPA's unary operations unchanged, larger ones as floats.
fn unary(
    surroundings: &mut Surroundings,
    arguments: &[Value],
    small: fn(i64) -> i64,
    float: fn(BigFloat) -> BigFloat,
) -> Outcome {
    let [value] = operands(arguments)?;
    let number = number(value, 1)?;
    let work = &mut surroundings.work;
    work.spend(1)?;
    if let Numeric::Integer(integer) = number
        && i32::try_from(integer).is_ok()
    {
        return Ok(Value::from(small(integer)));
    }
    work.spend(20)?;
    let result = float(number.to_big_float(work)?);
    from_big_float(&result, work)
}

fn abs(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    unary(surroundings, arguments, i64::abs, BigFloat::absolute)
}

fn round(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    unary(
        surroundings,
        arguments,
        |integer| integer,
        |number| {
            let half = BigFloat::from_integer(&BigInt::from(1), PRECISION)
                .divided(&BigFloat::from_integer(&BigInt::from(2), PRECISION));
            let moved = number.plus(&if number.is_negative() { half.negated() } else { half });
            exactly(moved.truncated())
        },
    )
}

/// Not below it, but for what lies between -1 and 0: OPA answers 1.
fn ceil(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    unary(
        surroundings,
        arguments,
        |integer| integer,
        |number| {
            let whole = number.truncated();
            if whole.is_negative() || number.is_whole() { exactly(whole) } else { exactly(whole + 1) }
        },
    )
}

/// Not above it, but for what lies between -1 and 0: OPA answers 0.
fn floor(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    unary(
        surroundings,
        arguments,
        |integer| integer,
        |number| {
            let whole = number.truncated();
            if !whole.is_negative() || number.is_whole() { exactly(whole) } else { exactly(whole - 1) }
        },
    )
}

fn exactly(integer: BigInt) -> BigFloat {
    let bits = integer.bits().max(PRECISION);
    BigFloat::from_integer(&integer, bits)
}

fn bits_or(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    bitwise(surroundings, arguments, |left, right| left | right)
}

fn bits_and(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    bitwise(surroundings, arguments, |left, right| left & right)
}

fn bits_xor(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    bitwise(surroundings, arguments, |left, right| left ^ right)
}

fn bitwise(
    surroundings: &mut Surroundings,
    arguments: &[Value],
    operation: fn(BigInt, BigInt) -> BigInt,
) -> Outcome {
    let [left, right] = operands(arguments)?;
    let (left, right) = (whole(left, 1)?, whole(right, 2)?);
    surroundings.work.spend_on(usize::try_from(left.bits() + right.bits()).unwrap_or(usize::MAX))?;
    Ok(from_big(operation(left, right)))
}

fn bits_negate(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [value] = operands(arguments)?;
    let value = whole(value, 1)?;
    surroundings.work.spend_on(usize::try_from(value.bits()).unwrap_or(usize::MAX))?;
    Ok(from_big(!value))
}

fn bits_lsh(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [value, by] = operands(arguments)?;
    let (value, by) = (whole(value, 1)?, shift(by)?);
    if value.is_zero() {
        return Ok(Value::from(0));
    }
    surroundings.work.spend_on(usize::try_from(value.bits().saturating_add(by)).unwrap_or(usize::MAX))?;
    Ok(from_big(value << by))
}

fn bits_rsh(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [value, by] = operands(arguments)?;
    let (value, by) = (whole(value, 1)?, shift(by)?);
    surroundings.work.spend_on(usize::try_from(value.bits()).unwrap_or(usize::MAX))?;
    Ok(from_big(value >> by))
}

/// OPA takes the lowest 64 bits of what it shifts by.
fn shift(by: &Value) -> Result<u64, Failure> {
    let by = whole(by, 2)?;
    if by.is_negative() {
        return Err(Failure::undefined(
            "operand 2 must be an unsigned integer number but got a negative integer",
        ));
    }
    Ok(by.iter_u64_digits().next().unwrap_or(0))
}
