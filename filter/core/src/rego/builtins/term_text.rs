//! The text of a term as a policy would write it, with Go's quotes.

use regorus::Value;

use super::number::{number_text, numeric};
use super::printable::is_print;
use super::{Failure, Work};
use crate::rego::order::{sorted, sorted_entries};

/// Deeper than documents and policies are.
const MOST_DEPTH: usize = 512;

/// Writes the text of a term.
pub(super) fn write_term(value: &Value, out: &mut String, work: &mut Work) -> Result<(), Failure> {
    write(value, out, work, 0)
}

fn write(value: &Value, out: &mut String, work: &mut Work, depth: usize) -> Result<(), Failure> {
    work.spend(1)?;
    if depth > MOST_DEPTH {
        return Err(Failure::fatal("a value is nested too deeply"));
    }
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(_) => {
            if let Some(number) = numeric(value) {
                out.push_str(&number_text(&number, work)?);
            }
        }
        Value::String(text) => {
            work.spend_on_new_text(text.len())?;
            quote(text, '"', false, out);
        }
        Value::Array(items) => {
            out.push('[');
            write_all(items.iter(), out, work, depth)?;
            out.push(']');
        }
        Value::Set(items) if items.is_empty() => out.push_str("set()"),
        Value::Set(items) => {
            work.spend_on(items.len())?;
            out.push('{');
            write_all(sorted(items.iter()).into_iter(), out, work, depth)?;
            out.push('}');
        }
        Value::Object(entries) => {
            work.spend_on(entries.len())?;
            out.push('{');
            for (at, (key, value)) in sorted_entries(entries.iter()).into_iter().enumerate() {
                if at > 0 {
                    out.push_str(", ");
                }
                write(key, out, work, depth + 1)?;
                out.push_str(": ");
                write(value, out, work, depth + 1)?;
            }
            out.push('}');
        }
        Value::Undefined => return Err(Failure::fatal("undefined has no text")),
    }
    Ok(())
}

fn write_all<'v>(
    items: impl Iterator<Item = &'v Value>,
    out: &mut String,
    work: &mut Work,
    depth: usize,
) -> Result<(), Failure> {
    for (at, item) in items.enumerate() {
        if at > 0 {
            out.push_str(", ");
        }
        write(item, out, work, depth + 1)?;
    }
    Ok(())
}

/// Go's `strconv.Quote`, or `QuoteToASCII`.
pub(super) fn quote(text: &str, mark: char, ascii: bool, out: &mut String) {
    out.push(mark);
    for char in text.chars() {
        quote_char(char, mark, ascii, out);
    }
    out.push(mark);
}

fn quote_char(char: char, mark: char, ascii: bool, out: &mut String) {
    let code = u32::from(char);
    if char == mark || char == '\\' {
        out.push('\\');
        out.push(char);
    } else if is_print(char) && (char.is_ascii() || !ascii) {
        out.push(char);
    } else {
        match char {
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            _ if code < 0x20 || code == 0x7f => out.push_str(&format!("\\x{code:02x}")),
            _ if code < 0x1_0000 => out.push_str(&format!("\\u{code:04x}")),
            _ => out.push_str(&format!("\\U{code:08x}")),
        }
    }
}
