//! `sprintf`, with all that Go's `fmt` does with the four kinds of arguments that OPA gives to it.

use num_bigint::BigInt;
use regorus::{Rc, Value};

use super::float_text::float_text;
use super::number::{Numeric, decimal_digits, numeric, spend_on_digits};
use super::operand::{mismatch, operands, text};
use super::printable::is_print;
use super::term_text::{quote, write_term};
use super::{Builtin, Failure, Outcome, Surroundings, Work};

pub(super) const BUILTINS: &[Builtin] = &[Builtin::new("sprintf", 2, sprintf)];

/// Go takes no greater width or precision.
const MOST_WIDTH: usize = 1_000_000;

/// An argument as Go sees it.
enum Argument {
    Integer(i64),
    Big(Rc<BigInt>),
    Float(f64),
    Text(Rc<str>),
}

#[derive(Clone, Copy, Default)]
struct Flags {
    sharp: bool,
    zero: bool,
    plus: bool,
    minus: bool,
    space: bool,
    /// `%#v` and `%+v`, which are no `#` and `+` of their verb.
    sharp_v: bool,
    plus_v: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

struct Printer<'w> {
    out: String,
    flags: Flags,
    work: &'w mut Work,
}

/// Where the reading of a format stands.
struct Position {
    at: usize,
    argument: usize,
    is_good: bool,
    reordered: bool,
}

fn sprintf(surroundings: &mut Surroundings, values: &[Value]) -> Outcome {
    let [format, values] = operands(values)?;
    let format = text(format, 1)?;
    let Value::Array(items) = values else { return Err(mismatch(2, "array", values)) };
    let work = &mut surroundings.work;
    work.spend_on_new_text(format.len())?;
    let arguments = items.iter().map(|item| argument(item, work)).collect::<Result<Vec<_>, _>>()?;
    let mut printer = Printer { out: String::new(), flags: Flags::default(), work };
    printer.print(format, &arguments)?;
    Ok(Value::from(printer.out))
}

fn argument(value: &Value, work: &mut Work) -> Result<Argument, Failure> {
    work.spend(1)?;
    Ok(match (numeric(value), value) {
        (Some(Numeric::Integer(integer)), _) => Argument::Integer(integer),
        (Some(Numeric::Big(big)), _) => Argument::Big(big),
        (Some(Numeric::Float(float)), _) => Argument::Float(float),
        (None, Value::String(text)) => Argument::Text(Rc::clone(text)),
        (None, _) => {
            let mut text = String::new();
            write_term(value, &mut text, work)?;
            Argument::Text(text.into())
        }
    })
}

// === impl Argument ===

impl Argument {
    fn type_name(&self) -> &'static str {
        match self {
            Self::Integer(_) => "int64",
            Self::Big(_) => "*big.Int",
            Self::Float(_) => "float64",
            Self::Text(_) => "string",
        }
    }
}

// === impl Printer ===

impl Printer<'_> {
    fn print(&mut self, format: &str, arguments: &[Argument]) -> Result<(), Failure> {
        let mut position = Position { at: 0, argument: 0, is_good: true, reordered: false };
        while let Some(rest) = format.get(position.at..).filter(|rest| !rest.is_empty()) {
            let Some(percent) = rest.find('%') else {
                self.out.push_str(rest);
                break;
            };
            self.out.push_str(rest.get(..percent).unwrap_or_default());
            position.at += percent + 1;
            position.is_good = true;
            if !self.verb(format, &mut position, arguments)? {
                self.out.push_str("%!(NOVERB)");
                break;
            }
        }
        if !position.reordered && position.argument < arguments.len() {
            self.flags = Flags::default();
            self.out.push_str("%!(EXTRA ");
            for (at, argument) in arguments.iter().skip(position.argument).enumerate() {
                if at > 0 {
                    self.out.push_str(", ");
                }
                self.typed(argument)?;
            }
            self.out.push(')');
        }
        Ok(())
    }

    /// Reads flags, width, precision and verb behind a `%`, and prints. False where the verb is missing.
    fn verb(
        &mut self,
        format: &str,
        position: &mut Position,
        arguments: &[Argument],
    ) -> Result<bool, Failure> {
        let byte = |at: usize| format.as_bytes().get(at).copied();
        self.flags = Flags::default();
        loop {
            match byte(position.at) {
                Some(b'#') => self.flags.sharp = true,
                Some(b'0') => self.flags.zero = true,
                Some(b'+') => self.flags.plus = true,
                Some(b'-') => self.flags.minus = true,
                Some(b' ') => self.flags.space = true,
                Some(_) | None => break,
            }
            position.at += 1;
        }
        let mut after_index = position.index(format, arguments.len());
        if byte(position.at) == Some(b'*') {
            position.at += 1;
            match position.star(arguments) {
                Some(width) => {
                    self.flags.minus |= width < 0;
                    self.flags.zero &= width >= 0;
                    self.flags.width = usize::try_from(width.unsigned_abs()).ok();
                }
                None => self.out.push_str("%!(BADWIDTH)"),
            }
            after_index = false;
        } else {
            self.flags.width = position.digits(format);
            position.is_good &= !(after_index && self.flags.width.is_some());
        }
        if byte(position.at) == Some(b'.') && position.at + 1 < format.len() {
            position.at += 1;
            position.is_good &= !after_index;
            after_index = position.index(format, arguments.len());
            if byte(position.at) == Some(b'*') {
                position.at += 1;
                let precision = position.star(arguments);
                self.flags.precision = precision.and_then(|precision| usize::try_from(precision).ok());
                if self.flags.precision.is_none() {
                    self.out.push_str("%!(BADPREC)");
                }
                after_index = false;
            } else {
                self.flags.precision = Some(position.digits(format).unwrap_or(0));
            }
        }
        if !after_index {
            position.index(format, arguments.len());
        }
        let Some(verb) = format.get(position.at..).and_then(|rest| rest.chars().next()) else {
            return Ok(false);
        };
        position.at += verb.len_utf8();
        if verb == '%' {
            self.out.push('%');
        } else if !position.is_good {
            self.out.push_str(&format!("%!{verb}(BADINDEX)"));
        } else if let Some(argument) = arguments.get(position.argument) {
            position.argument += 1;
            if matches!(verb, 'v' | 'w') {
                self.flags.sharp_v = std::mem::take(&mut self.flags.sharp);
                self.flags.plus_v = std::mem::take(&mut self.flags.plus);
            }
            self.argument(argument, verb)?;
        } else {
            self.out.push_str(&format!("%!{verb}(MISSING)"));
        }
        Ok(true)
    }

    fn typed(&mut self, argument: &Argument) -> Result<(), Failure> {
        self.out.push_str(argument.type_name());
        self.out.push('=');
        self.argument(argument, 'v')
    }

    fn bad_verb(&mut self, argument: &Argument, verb: char) -> Result<(), Failure> {
        self.out.push_str(&format!("%!{verb}("));
        self.typed(argument)?;
        self.out.push(')');
        Ok(())
    }

    fn argument(&mut self, argument: &Argument, verb: char) -> Result<(), Failure> {
        let unknown = |verb| Failure::fatal(format!("sprintf: `%{verb}` of this argument is not known here"));
        match (argument, verb) {
            (_, 'T') => self.text(argument.type_name()),
            (Argument::Big(_), 'p' | 'w') => Err(unknown(verb)),
            (_, 'p') => self.bad_verb(argument, verb),
            (Argument::Integer(integer), _) => self.integer(*integer, verb, argument),
            (Argument::Big(big), _) => self.big(big, verb),
            (Argument::Float(_), 'b' | 'x' | 'X') => Err(unknown(verb)),
            (Argument::Float(float), 'v' | 'g' | 'G' | 'e' | 'E' | 'f' | 'F') => self.float(*float, verb),
            (Argument::Text(text), 'v') if self.flags.sharp_v => self.quoted(text),
            (Argument::Text(text), 'v' | 's') => self.text(text),
            (Argument::Text(text), 'q') => self.quoted(text),
            (Argument::Text(text), 'x' | 'X') => self.hexadecimal(text, verb == 'X'),
            (Argument::Float(_) | Argument::Text(_), _) => self.bad_verb(argument, verb),
        }
    }

    fn pad(&mut self, text: &str) -> Result<(), Failure> {
        let width = self.flags.width.unwrap_or(0);
        self.work.spend_on_new_text(text.len() + width)?;
        let padding = width.saturating_sub(text.chars().count());
        if self.flags.minus {
            self.out.push_str(text);
            self.out.extend(std::iter::repeat_n(' ', padding));
        } else {
            self.out.extend(std::iter::repeat_n(if self.flags.zero { '0' } else { ' ' }, padding));
            self.out.push_str(text);
        }
        Ok(())
    }

    fn pad_with_spaces(&mut self, text: &str) -> Result<(), Failure> {
        let zero = std::mem::take(&mut self.flags.zero);
        let result = self.pad(text);
        self.flags.zero = zero;
        result
    }

    fn truncated<'t>(&self, text: &'t str) -> &'t str {
        let end = self.flags.precision.and_then(|precision| text.char_indices().nth(precision));
        end.and_then(|(end, _)| text.get(..end)).unwrap_or(text)
    }

    fn text(&mut self, text: &str) -> Result<(), Failure> {
        self.pad(self.truncated(text))
    }

    fn quoted(&mut self, text: &str) -> Result<(), Failure> {
        let text = self.truncated(text);
        let mut quoted = String::new();
        self.work.spend_on_new_text(text.len() * 2)?;
        if self.flags.sharp && can_backquote(text) {
            quoted = format!("`{text}`");
        } else {
            quote(text, '"', self.flags.plus, &mut quoted);
        }
        self.pad(&quoted)
    }

    fn hexadecimal(&mut self, text: &str, upper: bool) -> Result<(), Failure> {
        let count = self.flags.precision.unwrap_or(usize::MAX).min(text.len());
        self.work.spend_on_new_text(count * 5)?;
        let prefix = match (self.flags.sharp, upper) {
            (false, _) => "",
            (true, false) => "0x",
            (true, true) => "0X",
        };
        let mut digits = String::new();
        for (at, byte) in text.bytes().take(count).enumerate() {
            if at == 0 {
                digits.push_str(prefix);
            } else if self.flags.space {
                digits.push(' ');
                digits.push_str(prefix);
            }
            digits.push_str(&if upper { format!("{byte:02X}") } else { format!("{byte:02x}") });
        }
        self.pad(&digits)
    }

    fn integer(&mut self, integer: i64, verb: char, argument: &Argument) -> Result<(), Failure> {
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

    fn sign(&self, negative: bool) -> &'static str {
        match (negative, self.flags.plus, self.flags.space) {
            (true, _, _) => "-",
            (false, true, _) => "+",
            (false, false, true) => " ",
            (false, false, false) => "",
        }
    }

    fn unicode(&mut self, integer: i64) -> Result<(), Failure> {
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
    fn big(&mut self, big: &BigInt, verb: char) -> Result<(), Failure> {
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

    fn float(&mut self, float: f64, verb: char) -> Result<(), Failure> {
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
fn with_point(text: &str, verb: char, precision: Option<usize>) -> String {
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

fn character(integer: i64) -> char {
    u32::try_from(integer).ok().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn can_backquote(text: &str) -> bool {
    text.chars()
        .all(|char| char != '\u{feff}' && char != '`' && char != '\u{7f}' && (char >= ' ' || char == '\t'))
}

// === impl Position ===

impl Position {
    /// Reads an explicit index like `[2]`. True if there was one.
    fn index(&mut self, format: &str, count: usize) -> bool {
        let Some(inner) = format.get(self.at..).and_then(|rest| rest.strip_prefix('[')) else { return false };
        self.reordered = true;
        let Some((number, _)) = inner.split_once(']') else {
            self.at += 1;
            self.is_good = false;
            return false;
        };
        self.at += number.len() + 2;
        let index = number
            .parse::<usize>()
            .ok()
            .filter(|index| *index <= MOST_WIDTH && number.bytes().all(|byte| byte.is_ascii_digit()));
        match index {
            Some(index) if (1..=count).contains(&index) => {
                self.argument = index - 1;
                true
            }
            Some(_) => {
                self.is_good = false;
                true
            }
            None => {
                self.is_good = false;
                false
            }
        }
    }

    /// Reads a number. One that is too large swallows the rest of the format.
    fn digits(&mut self, format: &str) -> Option<usize> {
        let rest = format.get(self.at..).unwrap_or_default();
        let length = rest.bytes().take_while(u8::is_ascii_digit).count();
        let mut number = 0;
        for digit in rest.bytes().take(length) {
            if number > MOST_WIDTH {
                self.at = format.len();
                return None;
            }
            number = number * 10 + usize::from(digit - b'0');
        }
        self.at += length;
        (length > 0).then_some(number)
    }

    /// Takes a width or precision from the arguments.
    fn star(&mut self, arguments: &[Argument]) -> Option<i64> {
        let argument = arguments.get(self.argument)?;
        self.argument += 1;
        match argument {
            Argument::Integer(integer) if integer.unsigned_abs() <= MOST_WIDTH as u64 => Some(*integer),
            Argument::Integer(_) | Argument::Big(_) | Argument::Float(_) | Argument::Text(_) => None,
        }
    }
}
