//! Numbers by the verbs for them.

use num_bigint::BigInt;

use super::{Argument, Printer};
use crate::rego::builtins::{
    Failure,
    float_text::float_text,
    number::{decimal_digits, spend_on_digits},
    printable::is_print,
    term_text::quote,
};

impl Printer<'_> {
    pub(super) fn integer(&mut self, integer: i64, verb: char, argument: &Argument) -> Result<(), Failure> {
        let magnitude = integer.unsigned_abs();
        let (digits, prefix) = match verb {
            'v' | 'd' => (magnitude.to_string(), ""),
            'b' => (format!("{magnitude:b}"), if self.flags.sharp { "0b" } else { "" }),
            'o' => (format!("{magnitude:o}"), if self.flags.sharp { "0" } else { "" }),
            'O' => (format!("{magnitude:o}"), "0o"),
            'x' => (format!("{magnitude:x}"), if self.flags.sharp { "0x" } else { "" }),
            'X' => (format!("{magnitude:X}"), if self.flags.sharp { "0X" } else { "" }),
            'c' => return self.pad(character(integer).encode_utf8(&mut [0; 4])),
            'q' => {
                let mut quoted = String::new();
                quote(character(integer).encode_utf8(&mut [0; 4]), '\'', self.flags.plus, &mut quoted);
                return self.pad(&quoted);
            }
            'U' => return self.unicode(integer),
            _ => return self.bad_verb(argument, verb),
        };
        let width = self.flags.width.unwrap_or(0);
        let is_signed = integer < 0 || self.flags.plus || self.flags.space;
        let least = match self.flags.precision {
            Some(0) if integer == 0 => {
                return self.pad_with_spaces("");
            }
            Some(precision) => precision,
            None if self.flags.zero && !self.flags.minus => width.saturating_sub(usize::from(is_signed)),
            None => 0,
        };
        self.work.spend_on_new_text(least)?;
        let digits = format!("{digits:0>least$}");
        // An octal number that begins with a zero needs no other.
        let prefix = if prefix == "0" && digits.starts_with('0') { "" } else { prefix };
        let prefix = if verb == 'O' && self.flags.sharp && !digits.starts_with('0') { "0o0" } else { prefix };
        self.pad_with_spaces(&format!("{}{prefix}{digits}", self.sign(integer < 0)))
    }

    pub(super) fn sign(&self, negative: bool) -> &'static str {
        match (negative, self.flags.plus, self.flags.space) {
            (true, _, _) => "-",
            (false, true, _) => "+",
            (false, false, true) => " ",
            (false, false, false) => "",
        }
    }

    pub(super) fn unicode(&mut self, integer: i64) -> Result<(), Failure> {
        let least = self.flags.precision.unwrap_or(4).max(4);
        self.work.spend_on_new_text(least)?;
        let mut text = format!("U+{:0>least$}", format!("{:X}", integer.cast_unsigned()));
        let shown = u32::try_from(integer).ok().and_then(char::from_u32).filter(|char| is_print(*char));
        if let Some(char) = shown.filter(|_| self.flags.sharp) {
            text.push_str(&format!(" '{char}'"));
        }
        self.pad_with_spaces(&text)
    }

    /// `math/big` prints its integers by itself, in other ways.
    pub(super) fn big(&mut self, big: &BigInt, verb: char) -> Result<(), Failure> {
        spend_on_digits(big.bits(), self.work)?;
        let sharp = self.flags.sharp || self.flags.sharp_v;
        let magnitude = big.magnitude();
        let (digits, prefix) = match verb {
            'd' | 's' | 'v' => (magnitude.to_string(), ""),
            'b' => (magnitude.to_str_radix(2), if sharp { "0b" } else { "" }),
            'o' => (magnitude.to_str_radix(8), if sharp { "0" } else { "" }),
            'O' => (magnitude.to_str_radix(8), "0o"),
            'x' => (magnitude.to_str_radix(16), if sharp { "0x" } else { "" }),
            'X' => (magnitude.to_str_radix(16).to_uppercase(), if sharp { "0X" } else { "" }),
            _ => {
                let digits = decimal_digits(big, self.work)?;
                self.out.push_str(&format!("%!{verb}(big.Int={digits})"));
                return Ok(());
            }
        };
        let sign = match (big.sign() == num_bigint::Sign::Minus, self.flags.plus || self.flags.plus_v) {
            (true, _) => "-",
            (false, true) => "+",
            (false, false) if self.flags.space => " ",
            (false, false) => "",
        };
        let least = self.flags.precision.unwrap_or(0);
        let width = self.flags.width.unwrap_or(0);
        self.work.spend_on_new_text(least + width + digits.len())?;
        let digits = format!("{digits:0>least$}");
        let padding = width.saturating_sub(sign.len() + prefix.len() + digits.len());
        let (before, zeros, after) = match (self.flags.minus, self.flags.zero) {
            (true, _) => (0, 0, padding),
            (false, true) if self.flags.precision.is_none() => (0, padding, 0),
            (false, _) => (padding, 0, 0),
        };
        let (none, zero) = ("", "0".repeat(zeros));
        self.out.push_str(&format!("{none:before$}{sign}{prefix}{zero}{digits}{none:after$}"));
        Ok(())
    }

    pub(super) fn float(&mut self, float: f64, verb: char) -> Result<(), Failure> {
        let precision = match (self.flags.precision, verb) {
            (Some(precision), _) => Some(precision),
            (None, 'v' | 'g' | 'G') => None,
            (None, _) => Some(6),
        };
        self.work.spend_on_new_text(precision.unwrap_or(0) + 400)?;
        let mut text = float_text(float.abs(), verb, precision);
        if self.flags.sharp {
            text = with_point(&text, verb, precision);
        }
        let sign = self.sign(float.is_sign_negative());
        let width = self.flags.width.unwrap_or(0);
        if !sign.is_empty() && self.flags.zero && !self.flags.minus && width > sign.len() + text.len() {
            let zeros = width - sign.len() - text.len();
            self.work.spend_on_new_text(zeros)?;
            self.out.push_str(sign);
            self.out.extend(std::iter::repeat_n('0', zeros));
            self.out.push_str(&text);
            return Ok(());
        }
        self.pad(&format!("{sign}{text}"))
    }
}

/// `#` keeps the point, and for `%g` the zeros.
pub(super) fn with_point(text: &str, verb: char, precision: Option<usize>) -> String {
    let (digits, tail) = text.find(['e', 'E']).and_then(|at| text.split_at_checked(at)).unwrap_or((text, ""));
    let mut wanted = if matches!(verb, 'v' | 'g' | 'G') { precision.unwrap_or(6) } else { 0 };
    let significant = digits.chars().filter(|char| *char != '.').skip_while(|char| *char == '0').count();
    wanted = wanted.saturating_sub(significant);
    let mut result = digits.to_owned();
    if !digits.contains('.') {
        wanted = wanted.saturating_sub(usize::from(digits == "0"));
        result.push('.');
    }
    result.extend(std::iter::repeat_n('0', wanted));
    result.push_str(tail);
    result
}

pub(super) fn character(integer: i64) -> char {
    u32::try_from(integer).ok().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER)
}
