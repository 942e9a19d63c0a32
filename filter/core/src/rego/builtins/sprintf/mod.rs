//! `sprintf`, with all that Go's `fmt` does with the four kinds of arguments that OPA gives to it.

mod flags;
mod numbers;

use num_bigint::BigInt;
use regorus::{Rc, Value};

use self::flags::Position;
use super::{
    Builtin, Failure, Outcome, Surroundings, Work,
    number::{Numeric, numeric},
    operand::{mismatch, operands, text},
    term_text::{quote, write_term},
};

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
}

fn can_backquote(text: &str) -> bool {
    text.chars()
        .all(|char| char != '\u{feff}' && char != '`' && char != '\u{7f}' && (char >= ' ' || char == '\t'))
}
