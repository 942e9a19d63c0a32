//! Numbers as OPA has them: it keeps their text, here an integer of any size or a float is kept.
//!
//! A float stands for the shortest decimal that reads as it. What OPA computes has the precision of `BigFloat`, and is
//! rounded to a float when it becomes a value.

use num_bigint::BigInt;
use num_traits::{ToPrimitive, Zero};
use regorus::{Rc, Value};

use super::big_float::{BigFloat, Decimal};
use super::{Failure, Outcome, Work};
use crate::rego::order::is_float;

#[derive(Clone, Debug)]
pub(super) enum Numeric {
    Integer(i64),
    Big(Rc<BigInt>),
    Float(f64),
}

/// The precision of OPA's numbers in floating point.
pub(super) const PRECISION: u64 = 64;

/// OPA's limit on the binary exponent of a number.
const MOST_BITS: u64 = 100_000;

pub(super) fn numeric(value: &Value) -> Option<Numeric> {
    let Value::Number(number) = value else { return None };
    if is_float(value) {
        return number.as_f64().map(Numeric::Float);
    }
    if let Some(integer) = number.as_i64() {
        return Some(Numeric::Integer(integer));
    }
    number.as_big().map(Numeric::Big)
}

pub(super) fn from_big(number: BigInt) -> Value {
    number.to_i64().map_or_else(|| Value::Number(number.into()), Value::from)
}

/// The value of a computed number.
pub(super) fn from_big_float(number: &BigFloat, work: &mut Work) -> Outcome {
    from_decimal(&number.shortest(work)?, work)
}

/// An integer where the decimal is one, otherwise the nearest float.
pub(super) fn from_decimal(decimal: &Decimal, work: &mut Work) -> Outcome {
    if let Some(whole) = decimal.whole(work)? {
        return Ok(from_big(whole));
    }
    let text = format!("{}{}e{}", if decimal.negative { "-" } else { "" }, decimal.digits, decimal.exponent);
    match text.parse::<f64>() {
        // A fraction that a float has no place for would make it an integer.
        Ok(float) if float.is_normal() && float.fract() != 0.0 => Ok(Value::from(float)),
        Ok(_) | Err(_) => {
            Err(Failure::fatal(format!("the number {text} is out of the range of this evaluator")))
        }
    }
}

/// Reads a number's text, which must be one by JSON's grammar or near it.
pub(super) fn from_text(text: &str, work: &mut Work) -> Outcome {
    work.spend_on_text(text.len())?;
    let plain = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !plain.is_empty()
        && plain.bytes().all(|byte| byte.is_ascii_digit())
        && let Ok(integer) = text.parse::<i64>()
    {
        return Ok(Value::from(integer));
    }
    let decimal =
        Decimal::parse(text).ok_or_else(|| Failure::undefined(format!("`{text}` is not a number")))?;
    if text.contains(['e', 'E']) && decimal.is_out_of_range(MOST_BITS) {
        return Err(Failure::undefined("number too big"));
    }
    if text.contains(['.', 'e', 'E']) {
        // As written: `1.0` stays a float.
        match text.parse::<f64>() {
            Ok(float) if float.fract() == 0.0 && decimal.exponent < 0 && !decimal.is_zero() => {}
            Ok(float) if float.is_normal() || decimal.is_zero() => return Ok(Value::from(float)),
            Ok(_) | Err(_) => {}
        }
    }
    from_decimal(&decimal, work)
}

/// The text that OPA most likely has for a number: digits with a point, or with an exponent where they are many.
pub(super) fn number_text(number: &Numeric, work: &mut Work) -> Result<String, Failure> {
    match number {
        Numeric::Integer(integer) => Ok(integer.to_string()),
        Numeric::Big(big) => decimal_digits(big, work),
        Numeric::Float(float) => {
            let size = float.abs();
            Ok(if size != 0.0 && !(1e-6..1e21).contains(&size) {
                exponential(*float)
            } else if float.fract() == 0.0 {
                format!("{float:.1}")
            } else {
                float.to_string()
            })
        }
    }
}

/// With an exponent, as most programs write it into JSON.
fn exponential(float: f64) -> String {
    let text = format!("{float:e}");
    match text.split_once('e') {
        Some((digits, exponent)) if !exponent.starts_with('-') => format!("{digits}e+{exponent}"),
        Some(_) | None => text,
    }
}

pub(super) fn decimal_digits(number: &BigInt, work: &mut Work) -> Result<String, Failure> {
    spend_on_digits(number.bits(), work)?;
    Ok(number.to_string())
}

/// Pays for turning so many bits into another base, or for multiplying as many: quadratic.
pub(super) fn spend_on_digits(bits: u64, work: &mut Work) -> Result<(), Failure> {
    let words = bits / 64 + 1;
    work.spend(1 + words.saturating_mul(words) / 16)
}

// === impl Numeric ===

impl Numeric {
    pub(super) fn to_big_float(&self, work: &mut Work) -> Result<BigFloat, Failure> {
        match self {
            Self::Integer(integer) => Ok(BigFloat::from_integer(&BigInt::from(*integer), PRECISION)),
            Self::Big(big) => {
                work.spend_on(usize::try_from(big.bits() / 8).unwrap_or(usize::MAX))?;
                Ok(BigFloat::from_integer(big, PRECISION))
            }
            Self::Float(float) => BigFloat::from_decimal(&Decimal::of_float(*float), PRECISION, work),
        }
    }

    /// The number as an integer, if it is one.
    pub(super) fn whole(&self) -> Option<BigInt> {
        match self {
            Self::Integer(integer) => Some(BigInt::from(*integer)),
            Self::Big(big) => Some((**big).clone()),
            // The display of a float is its shortest digits, filled up with zeros.
            Self::Float(float) => (float.fract() == 0.0).then(|| float.to_string().parse().ok()).flatten(),
        }
    }

    /// The number as an index: zeros behind a point are nothing, an exponent makes it none.
    pub(super) fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(integer) => Some(*integer),
            Self::Big(_) => None,
            Self::Float(float) => {
                // Larger ones are written with an exponent.
                (float.fract() == 0.0 && float.abs() < 1e17).then_some(*float as i64)
            }
        }
    }

    /// The nearest float, none if there is none.
    pub(super) fn to_f64(&self) -> Option<f64> {
        match self {
            Self::Integer(integer) => Some(*integer as f64),
            Self::Big(big) => big.to_f64().filter(|float| float.is_finite()),
            Self::Float(float) => Some(*float),
        }
    }

    pub(super) fn is_zero(&self) -> bool {
        match self {
            Self::Integer(integer) => *integer == 0,
            Self::Big(big) => big.is_zero(),
            Self::Float(float) => *float == 0.0,
        }
    }
}
