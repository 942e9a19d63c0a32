//! Binary floating point of any precision, rounded to nearest, ties to even: what OPA computes with.

use num_bigint::{BigInt, BigUint, Sign};
use num_traits::{CheckedDiv, Signed, ToPrimitive, Zero};

use super::number::spend_on_digits;
use super::{Failure, Work};

/// `mantissa * 2^exponent`, of as many bits as `precision` at most.
#[derive(Clone, Debug)]
pub(super) struct BigFloat {
    negative: bool,
    mantissa: BigUint,
    exponent: i64,
    precision: u64,
}

/// `0.digits * 10^point`, or rather `digits * 10^exponent` with digits as an integer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decimal {
    pub(super) negative: bool,
    /// Without leading or trailing zeros, and empty for zero.
    pub(super) digits: String,
    pub(super) exponent: i64,
}

// === impl Decimal ===

impl Decimal {
    fn new(negative: bool, digits: &str, exponent: i64) -> Self {
        let digits = digits.trim_start_matches('0');
        let kept = digits.trim_end_matches('0');
        let exponent = if kept.is_empty() { 0 } else { exponent + (digits.len() - kept.len()) as i64 };
        Self { negative, digits: kept.to_owned(), exponent }
    }

    /// Reads digits with an optional sign, point and exponent; none for anything else.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (mantissa, exponent) = match text.find(['e', 'E']) {
            Some(at) => {
                let (mantissa, exponent) = text.split_at_checked(at)?;
                (mantissa, parse_exponent(exponent.get(1..)?)?)
            }
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}");
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        Some(Self::new(negative, &digits, exponent - fraction.len() as i64))
    }

    /// The shortest decimal that reads as the float.
    pub(super) fn of_float(float: f64) -> Self {
        Self::parse(&format!("{float:e}")).unwrap_or_else(|| Self::new(false, "", 0))
    }

    pub(super) fn is_zero(&self) -> bool {
        self.digits.is_empty()
    }

    /// Whether the binary exponent is beyond `bits` either way. Exact but for numbers next to the limit.
    pub(super) fn is_out_of_range(&self, bits: u64) -> bool {
        let point = self.exponent.saturating_add(self.digits.len() as i64);
        !self.is_zero() && point.unsigned_abs() as f64 > bits as f64 * std::f64::consts::LOG10_2
    }

    /// The integer that this is, if it is one.
    pub(super) fn whole(&self, work: &mut Work) -> Result<Option<BigInt>, Failure> {
        let Ok(zeros) = usize::try_from(self.exponent) else { return Ok(None) };
        let length = self.digits.len().saturating_add(zeros);
        spend_on_digits((length as u64).saturating_mul(4), work)?;
        let text = format!("{}{}", self.digits, "0".repeat(zeros));
        let magnitude = text.parse::<BigUint>().unwrap_or_default();
        Ok(Some(BigInt::from_biguint(if self.negative { Sign::Minus } else { Sign::Plus }, magnitude)))
    }
}

/// An exponent too large for anything is one that is out of range.
fn parse_exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let large = if text.starts_with('-') { -1_000_000_000_000 } else { 1_000_000_000_000 };
    Some(text.parse::<i64>().map_or(large, |exponent| exponent.clamp(-1_000_000_000_000, 1_000_000_000_000)))
}

// === impl BigFloat ===

impl BigFloat {
    pub(super) fn from_integer(integer: &BigInt, precision: u64) -> Self {
        Self {
            negative: integer.is_negative(),
            mantissa: integer.magnitude().clone(),
            exponent: 0,
            precision,
        }
        .rounded(false)
    }

    /// Reads a decimal with the rounding of Go's `big.Float`: powers of five are taken with 64 bits more.
    pub(super) fn from_decimal(decimal: &Decimal, precision: u64, work: &mut Work) -> Result<Self, Failure> {
        spend_on_digits(decimal.digits.len() as u64 * 4, work)?;
        let mantissa = decimal.digits.parse::<BigUint>().unwrap_or_default();
        let unrounded = Self { negative: decimal.negative, mantissa, exponent: decimal.exponent, precision };
        if decimal.exponent == 0 || decimal.is_zero() {
            return Ok(Self { exponent: 0, ..unrounded }.rounded(false));
        }
        let power = five_to(decimal.exponent.unsigned_abs(), precision + 64);
        Ok(if decimal.exponent < 0 { unrounded.divided(&power) } else { unrounded.times(&power) })
    }

    pub(super) fn is_zero(&self) -> bool {
        self.mantissa.is_zero()
    }

    pub(super) fn is_negative(&self) -> bool {
        self.negative
    }

    pub(super) fn absolute(mut self) -> Self {
        self.negative = false;
        self
    }

    pub(super) fn negated(mut self) -> Self {
        self.negative = !self.negative;
        self
    }

    pub(super) fn plus(&self, other: &Self) -> Self {
        let exponent = self.exponent.min(other.exponent);
        let sum = self.signed_at(exponent) + other.signed_at(exponent);
        // Negative zeros are not told apart: no text here shows them.
        Self {
            negative: sum.is_negative(),
            mantissa: sum.magnitude().clone(),
            exponent,
            precision: self.precision,
        }
        .rounded(false)
    }

    pub(super) fn times(&self, other: &Self) -> Self {
        Self {
            negative: self.negative != other.negative,
            mantissa: &self.mantissa * &other.mantissa,
            exponent: self.exponent + other.exponent,
            precision: self.precision,
        }
        .rounded(false)
    }

    /// The other must not be zero.
    pub(super) fn divided(&self, other: &Self) -> Self {
        let shift = (self.precision + 2 + other.mantissa.bits()).saturating_sub(self.mantissa.bits());
        let numerator = &self.mantissa << shift;
        let quotient = numerator.checked_div(&other.mantissa).unwrap_or_default();
        let rest = numerator - &quotient * &other.mantissa;
        Self {
            negative: self.negative != other.negative,
            mantissa: quotient,
            exponent: self.exponent - other.exponent - shift as i64,
            precision: self.precision,
        }
        .rounded(!rest.is_zero())
    }

    /// The integer next to it towards zero.
    pub(super) fn truncated(&self) -> BigInt {
        let magnitude = match u64::try_from(self.exponent) {
            Ok(shift) => &self.mantissa << shift,
            Err(_) => &self.mantissa >> self.exponent.unsigned_abs(),
        };
        BigInt::from_biguint(if self.negative { Sign::Minus } else { Sign::Plus }, magnitude)
    }

    pub(super) fn is_whole(&self) -> bool {
        self.exponent >= 0
            || self.mantissa.trailing_zeros().is_none_or(|zeros| zeros >= self.exponent.unsigned_abs())
    }

    /// The shortest decimal that reads as this at its precision, found digit by digit as Go does.
    pub(super) fn shortest(&self, work: &mut Work) -> Result<Decimal, Failure> {
        if self.is_zero() {
            return Ok(Decimal::new(self.negative, "", 0));
        }
        spend_on_digits(self.exponent.unsigned_abs().saturating_add(self.precision), work)?;
        // The mantissa in units of half of its last place, and the halfway points to its neighbours.
        let shift = (self.precision + 1).saturating_sub(self.mantissa.bits());
        let mantissa = &self.mantissa << shift;
        let exponent = self.exponent - shift as i64;
        let inclusive = !mantissa.bit(1);
        let exact = expand(&mantissa, exponent);
        let lower = expand(&(&mantissa - 1_u8), exponent);
        let upper = expand(&(&mantissa + 1_u8), exponent);
        // All three have the same scale. A place for a carry stands in front of the digits.
        let length = upper.0.len();
        let digits = shortest_between(&exact.0, &lower.0, &upper.0, inclusive);
        Ok(Decimal::new(self.negative, &digits, exact.1 + length as i64 - digits.len() as i64))
    }

    fn signed_at(&self, exponent: i64) -> BigInt {
        let magnitude = &self.mantissa << (self.exponent - exponent).unsigned_abs();
        BigInt::from_biguint(if self.negative { Sign::Minus } else { Sign::Plus }, magnitude)
    }

    /// Rounds to the precision. `more` tells of a rest below the last bit.
    fn rounded(mut self, more: bool) -> Self {
        let excess = self.mantissa.bits().saturating_sub(self.precision);
        if excess > 0 {
            let half = self.mantissa.bit(excess - 1);
            let rest = more || self.mantissa.trailing_zeros().is_some_and(|zeros| zeros < excess - 1);
            self.mantissa >>= excess;
            self.exponent += excess as i64;
            if half && (rest || self.mantissa.bit(0)) {
                self.mantissa += 1_u8;
            }
        }
        // No trailing zeros, so that numbers stay small.
        if let Some(zeros) = self.mantissa.trailing_zeros() {
            self.mantissa >>= zeros;
            self.exponent += zeros as i64;
        } else {
            self.exponent = 0;
        }
        self
    }
}

/// `5^power`, by squaring, each step rounded to 64 bits more than the precision.
fn five_to(power: u64, precision: u64) -> BigFloat {
    let of = |integer: BigUint, precision| BigFloat {
        negative: false,
        mantissa: integer,
        exponent: i64::try_from(power).unwrap_or(i64::MAX).min(0),
        precision,
    };
    // The greatest power of five in 64 bits is exact.
    let exact = power.min(27);
    let mut result = of(BigUint::from(5_u8).pow(exact.to_u32().unwrap_or(27)), precision).rounded(false);
    let mut factor = of(BigUint::from(5_u8), precision + 64);
    let mut left = power - exact;
    while left > 0 {
        if left & 1 == 1 {
            result = result.times(&factor);
        }
        factor = factor.times(&factor);
        left >>= 1;
    }
    result
}

/// The exact decimal digits of `mantissa * 2^exponent`, and their power of ten.
fn expand(mantissa: &BigUint, exponent: i64) -> (String, i64) {
    match u64::try_from(exponent) {
        Ok(shift) => ((mantissa << shift).to_string(), 0),
        Err(_) => {
            let down = exponent.unsigned_abs();
            let five = BigUint::from(5_u8).pow(u32::try_from(down).unwrap_or(u32::MAX));
            ((mantissa * five).to_string(), exponent)
        }
    }
}

/// The shortest digits that stay between the two bounds; on the bounds themselves if `inclusive`.
fn shortest_between(exact: &str, lower: &str, upper: &str, inclusive: bool) -> String {
    let length = upper.len();
    let pad = |text: &str| format!("{text:0>length$}").into_bytes();
    let (exact, lower, upper) = (pad(exact), pad(lower), pad(upper));
    let significant =
        |digits: &[u8]| digits.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1);
    let (lower_end, upper_end) = (significant(&lower), significant(&upper));
    let kept = |count: usize, up: bool| {
        let head = exact.get(..count).unwrap_or(&exact);
        let number = std::str::from_utf8(head).ok().and_then(|text| text.parse::<BigUint>().ok());
        let number = number.unwrap_or_default() + u8::from(up);
        format!("{number:0>count$}")
    };
    for (at, ((&m, &l), &u)) in exact.iter().zip(&lower).zip(&upper).enumerate() {
        let down = l != m || inclusive && at + 1 == lower_end;
        let up = m != u && (inclusive || m + 1 < u || at + 1 < upper_end);
        if down || up {
            let count = at + 1;
            let nearest_is_up = rounds_up(&exact, count);
            return kept(count, if down && up { nearest_is_up } else { up });
        }
    }
    kept(length, false)
}

/// Whether the nearest number of so many digits is the next one up; the even one where two are as near.
fn rounds_up(digits: &[u8], count: usize) -> bool {
    let rest = digits.get(count..).unwrap_or_default();
    match rest.split_first() {
        Some((b'5', more)) if more.iter().all(|digit| *digit == b'0') => {
            digits.get(count.wrapping_sub(1)).is_some_and(|digit| digit % 2 == 1)
        }
        Some((digit, _)) => *digit >= b'5',
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> BigFloat {
        BigFloat::from_decimal(&Decimal::parse(text).unwrap(), 64, &mut Work::new(1_000_000)).unwrap()
    }

    #[track_caller]
    fn check(number: BigFloat, digits: &str, exponent: i64) {
        let decimal = number.shortest(&mut Work::new(1_000_000)).unwrap();
        assert_eq!((decimal.digits.as_str(), decimal.exponent), (digits, exponent));
    }

    /// OPA 1.22.2's answers.
    #[test]
    fn as_go() {
        check(of("0.1").plus(&of("0.2")), "3", -1);
        check(of("10").divided(&of("3")), "33333333333333333333", -19);
        check(of("1").divided(&of("3")), "33333333333333333334", -20);
        check(of("2").divided(&of("3")), "6666666666666666667", -19);
        check(of("1e300").divided(&of("7")), "142857142857142857145", 279);
        check(of("22").divided(&of("7e100")), "31428571428571428573", -119);
        check(of("0.1").times(&of("0.7")), "7", -2);
        check(of("1e-5").plus(&of("1.1e-250")), "1", -5);
        check(of("1e22"), "1", 22);
        check(of("123.456"), "123456", -3);
    }
}
