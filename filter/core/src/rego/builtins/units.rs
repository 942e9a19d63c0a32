//! Amounts with units.

use num_bigint::{BigInt, BigUint};
use num_traits::{One, ToPrimitive, Zero};
use regorus::Value;

use super::big_float::{BigFloat, Decimal};
use super::letter_case::lower;
use super::number::{PRECISION, from_big, from_decimal, spend_on_digits};
use super::operand::{operands, text};
use super::{Builtin, Failure, Outcome, Surroundings};

pub(super) const BUILTINS: &[Builtin] =
    &[Builtin::new("units.parse", 1, units_parse), Builtin::new("units.parse_bytes", 1, units_parse_bytes)];

/// An exponent of more digits is refused.
const MOST_EXPONENT_DIGITS: usize = 6;

fn wrong(what: &str) -> Failure {
    Failure::undefined(format!("units: {what}"))
}

/// Splits an amount from its unit, byte by byte: what is not ASCII belongs to the unit.
fn split(text: &str) -> Result<(&str, &str), Failure> {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let sign = |at: usize| bytes.get(at).is_some_and(|byte| matches!(byte, b'+' | b'-'));
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'e' | b'E' => {
                if !digit(at + 1) && !sign(at + 1) {
                    break;
                }
                at += usize::from(sign(at + 1));
                let digits = (at + 1..).take_while(|at| digit(*at)).count();
                if digits > MOST_EXPONENT_DIGITS {
                    return Err(wrong("exponent too large"));
                }
            }
            b'0'..=b'9' | b'.' | b'+' | b'-' => {}
            _ => break,
        }
        at += 1;
    }
    text.split_at_checked(at).ok_or_else(|| wrong("no amount provided"))
}

fn amount_and_unit(text: &str) -> Result<(Decimal, &str), Failure> {
    if text.contains(' ') {
        return Err(wrong("spaces not allowed in resource strings"));
    }
    let (amount, unit) = split(text)?;
    if amount.is_empty() {
        return Err(wrong("no amount provided"));
    }
    // Go reads numbers like `1.` and `.5`, and octal ones, and with underscores, only by their digits here.
    let decimal = Decimal::parse(amount).ok_or_else(|| wrong("could not parse amount to a number"))?;
    Ok((decimal, unit))
}

fn units_parse(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [value] = operands(arguments)?;
    let text = text(value, 1)?;
    let work = &mut surroundings.work;
    work.spend_on_new_text(text.len())?;
    let text = text.replace('"', "");
    let (amount, unit) = amount_and_unit(&text)?;
    let mut unit_chars = unit.chars();
    let first = unit_chars.next().map(String::from).unwrap_or_default();
    let unit = format!("{first}{}", lower(unit_chars.as_str()));
    let factor = match unit.as_str() {
        // OPA has the float next to a thousandth.
        "m" => return milli(&amount, surroundings),
        "" => 1,
        "k" | "K" => 1_000,
        "ki" | "Ki" => 1 << 10,
        "M" => 1_000_000,
        "mi" | "Mi" => 1 << 20,
        "g" | "G" => 1_000_000_000,
        "gi" | "Gi" => 1 << 30,
        "t" | "T" => 1_000_000_000_000,
        "ti" | "Ti" => 1 << 40,
        "p" | "P" => 1_000_000_000_000_000,
        "pi" | "Pi" => 1 << 50,
        "e" | "E" => 1_000_000_000_000_000_000,
        "ei" | "Ei" => 1_u64 << 60,
        _ => return Err(wrong("unit not recognized")),
    };
    scaled(&amount, &BigInt::from(factor), &BigInt::one(), surroundings)
}

/// The fraction that is the float 0.001.
fn milli(amount: &Decimal, surroundings: &mut Surroundings) -> Outcome {
    // 0.001 is this odd number by a power of two.
    let numerator = BigInt::from(0.001_f64.to_bits() & ((1 << 52) - 1) | 1 << 52);
    let exponent = (0.001_f64.to_bits() >> 52) as i64 - 1023 - 52;
    scaled(amount, &numerator, &(BigInt::one() << exponent.unsigned_abs()), surroundings)
}

/// The amount by a fraction: an integer, or ten places behind the point.
fn scaled(
    amount: &Decimal,
    numerator: &BigInt,
    denominator: &BigInt,
    surroundings: &mut Surroundings,
) -> Outcome {
    let work = &mut surroundings.work;
    let digits = amount.digits.len() as u64 + amount.exponent.unsigned_abs();
    spend_on_digits(digits.saturating_mul(8), work)?;
    let mantissa = BigInt::from(amount.digits.parse::<BigUint>().unwrap_or_default());
    let power = BigInt::from(10).pow(amount.exponent.unsigned_abs().to_u32().unwrap_or(u32::MAX));
    let (mut above, mut below) = (mantissa * numerator, denominator.clone());
    if amount.exponent < 0 {
        below *= power;
    } else {
        above *= power;
    }
    let negative = amount.negative;
    let signed = |number: BigInt| if negative { -number } else { number };
    if (&above % &below).is_zero() {
        return Ok(from_big(signed(above / below)));
    }
    // Rounded at the tenth place, halves away from zero.
    let places = BigInt::from(10_000_000_000_u64);
    let rounded = (above * places * 2 + &below) / (below * 2);
    let text = format!("{}{rounded}e-10", if negative { "-" } else { "" });
    let decimal = Decimal::parse(&text).ok_or_else(|| wrong("could not parse amount to a number"))?;
    match decimal.whole(work)? {
        // With its zeros behind the point this is a float to OPA.
        Some(whole) => Ok(Value::from(whole.to_f64().unwrap_or(0.0))),
        None => from_decimal(&decimal, work),
    }
}

fn units_parse_bytes(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [value] = operands(arguments)?;
    let text = text(value, 1)?;
    let work = &mut surroundings.work;
    work.spend_on_new_text(text.len())?;
    let text = lower(text).replace('"', "");
    let (amount, unit) = amount_and_unit(&text)?;
    let factor = match unit {
        "" => 1_u64,
        "kb" | "k" => 1_000,
        "kib" | "ki" => 1 << 10,
        "mb" | "m" => 1_000_000,
        "mib" | "mi" => 1 << 20,
        "gb" | "g" => 1_000_000_000,
        "gib" | "gi" => 1 << 30,
        "tb" | "t" => 1_000_000_000_000,
        "tib" | "ti" => 1 << 40,
        "pb" | "p" => 1_000_000_000_000_000,
        "pib" | "pi" => 1 << 50,
        "eb" | "e" => 1_000_000_000_000_000_000,
        "eib" | "ei" => 1 << 60,
        _ => return Err(wrong("byte unit not recognized")),
    };
    spend_on_digits((amount.digits.len() as u64 + amount.exponent.unsigned_abs()).saturating_mul(4), work)?;
    let amount = BigFloat::from_decimal(&amount, PRECISION, work)?;
    Ok(from_big(amount.times(&BigFloat::from_integer(&BigInt::from(factor), PRECISION)).truncated()))
}
