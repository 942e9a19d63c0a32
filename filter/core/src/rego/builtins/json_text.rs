//! JSON as Go's `encoding/json` reads and writes it.

use std::collections::BTreeMap;

use regorus::Value;

use super::number::{from_text, number_text, numeric};
use super::{Failure, Outcome, Work};
use crate::rego::order::sorted;

/// As deep as documents may be. OPA reads deeper ones.
const MOST_DEPTH: usize = 128;

/// Reads a whole text.
pub(super) fn parse(text: &str, work: &mut Work) -> Outcome {
    Reader::read(text, false, work)
}

/// Whether the text is JSON; its numbers may be of any size.
pub(super) fn is_valid(text: &str, work: &mut Work) -> Result<bool, Failure> {
    match Reader::read(text, true, work) {
        Ok(_) => Ok(true),
        Err(Failure::Undefined(_)) => Ok(false),
        Err(failure @ (Failure::OutOfBudget | Failure::Fatal(_))) => Err(failure),
    }
}

struct Reader<'t, 'w> {
    rest: &'t str,
    /// Numbers are checked, and not kept.
    only_check: bool,
    work: &'w mut Work,
}

// === impl Reader ===

impl<'t> Reader<'t, '_> {
    fn read(text: &'t str, only_check: bool, work: &mut Work) -> Outcome {
        work.spend_on_new_text(text.len())?;
        let mut reader = Reader { rest: text, only_check, work };
        let value = reader.value(0)?;
        reader.space();
        if reader.rest.is_empty() { Ok(value) } else { Err(invalid()) }
    }

    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn take(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn value(&mut self, depth: usize) -> Outcome {
        self.work.spend(1)?;
        if depth > MOST_DEPTH {
            return Err(Failure::fatal("JSON is nested too deeply"));
        }
        self.space();
        if self.take("null") {
            Ok(Value::Null)
        } else if self.take("true") {
            Ok(Value::from(true))
        } else if self.take("false") {
            Ok(Value::from(false))
        } else if self.take("\"") {
            Ok(Value::from(self.string()?))
        } else if self.take("[") {
            self.array(depth)
        } else if self.take("{") {
            self.object(depth)
        } else {
            self.number()
        }
    }

    fn array(&mut self, depth: usize) -> Outcome {
        let mut items = Vec::new();
        self.space();
        if self.take("]") {
            return Ok(Value::from(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.space();
            if self.take("]") {
                return Ok(Value::from(items));
            } else if !self.take(",") {
                return Err(invalid());
            }
        }
    }

    /// Of equal keys the last holds.
    fn object(&mut self, depth: usize) -> Outcome {
        let mut entries = BTreeMap::new();
        self.space();
        if self.take("}") {
            return Ok(Value::from(entries));
        }
        loop {
            self.space();
            if !self.take("\"") {
                return Err(invalid());
            }
            let key = self.string()?;
            self.space();
            if !self.take(":") {
                return Err(invalid());
            }
            entries.insert(Value::from(key), self.value(depth + 1)?);
            self.space();
            if self.take("}") {
                return Ok(Value::from(entries));
            } else if !self.take(",") {
                return Err(invalid());
            }
        }
    }

    fn digits(&mut self) -> bool {
        let after = self.rest.trim_start_matches(|char: char| char.is_ascii_digit());
        let any = after.len() < self.rest.len();
        self.rest = after;
        any
    }

    fn number(&mut self) -> Outcome {
        let start = self.rest;
        self.take("-");
        if !self.take("0") && !self.digits() {
            return Err(invalid());
        }
        if self.take(".") && !self.digits() {
            return Err(invalid());
        }
        if self.take("e") || self.take("E") {
            let _sign = self.take("+") || self.take("-");
            if !self.digits() {
                return Err(invalid());
            }
        }
        let text = start.get(..start.len() - self.rest.len()).unwrap_or_default();
        if self.only_check { Ok(Value::Null) } else { from_text(text, self.work) }
    }

    /// The rest of a string, behind its first quote.
    fn string(&mut self) -> Result<String, Failure> {
        let mut text = String::new();
        loop {
            let plain =
                self.rest.find(|char| matches!(char, '"' | '\\' | '\0'..='\u{1f}')).ok_or_else(invalid)?;
            let (before, after) = self.rest.split_at_checked(plain).ok_or_else(invalid)?;
            text.push_str(before);
            self.rest = after;
            if self.take("\"") {
                return Ok(text);
            } else if !self.take("\\") {
                return Err(invalid());
            }
            let mut chars = self.rest.chars();
            let escaped = chars.next().ok_or_else(invalid)?;
            self.rest = chars.as_str();
            text.push(match escaped {
                '"' | '\\' | '/' => escaped,
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'u' => self.unicode()?,
                _ => return Err(invalid()),
            });
        }
    }

    fn code_unit(&mut self) -> Option<u32> {
        let digits =
            self.rest.get(..4).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        let unit = u32::from_str_radix(digits, 16).ok()?;
        self.rest = self.rest.get(4..)?;
        Some(unit)
    }

    /// A character behind `\u`, or both halves of one. A half alone becomes the replacement character.
    fn unicode(&mut self) -> Result<char, Failure> {
        let unit = self.code_unit().ok_or_else(invalid)?;
        if !(0xd800..0xe000).contains(&unit) {
            return Ok(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        let before = self.rest;
        if unit < 0xdc00 && self.take("\\u") {
            match self.code_unit() {
                Some(low @ 0xdc00..0xe000) => {
                    let code = 0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                    return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                }
                Some(_) | None => self.rest = before,
            }
        }
        Ok(char::REPLACEMENT_CHARACTER)
    }
}

fn invalid() -> Failure {
    Failure::undefined("invalid JSON")
}

/// How to lay out what is written.
#[derive(Clone, Copy)]
pub(super) struct Layout<'t> {
    pub(super) prefix: &'t str,
    pub(super) indent: &'t str,
}

/// Writes a value: keys sorted, sets as arrays, `<`, `>` and `&` escaped.
pub(super) fn write(value: &Value, layout: Option<Layout<'_>>, work: &mut Work) -> Result<String, Failure> {
    let mut writer = Writer { out: String::new(), layout, work };
    writer.value(value, 0)?;
    Ok(writer.out)
}

struct Writer<'t, 'w> {
    out: String,
    layout: Option<Layout<'t>>,
    work: &'w mut Work,
}

// === impl Writer ===

impl Writer<'_, '_> {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), Failure> {
        self.work.spend(1)?;
        if depth > MOST_DEPTH * 4 {
            return Err(Failure::fatal("a value is nested too deeply"));
        }
        match value {
            Value::Null => self.out.push_str("null"),
            Value::Bool(value) => self.out.push_str(if *value { "true" } else { "false" }),
            Value::Number(_) => {
                if let Some(number) = numeric(value) {
                    self.out.push_str(&number_text(&number, self.work)?);
                }
            }
            Value::String(text) => self.string(text)?,
            Value::Array(items) => self.array(items.iter(), depth)?,
            Value::Set(items) => {
                self.work.spend_on(items.len())?;
                self.array(sorted(items.iter()).into_iter(), depth)?;
            }
            Value::Object(entries) => {
                let mut members = BTreeMap::new();
                for (key, value) in crate::rego::order::sorted_entries(entries.iter()) {
                    members.insert(key_text(key, self.work)?, value);
                }
                self.object(members, depth)?;
            }
            Value::Undefined => return Err(Failure::fatal("undefined cannot be written")),
        }
        Ok(())
    }

    fn line(&mut self, depth: usize) -> Result<(), Failure> {
        if let Some(layout) = self.layout {
            self.work.spend_on_new_text(layout.prefix.len() + layout.indent.len() * depth)?;
            self.out.push('\n');
            self.out.push_str(layout.prefix);
            for _ in 0..depth {
                self.out.push_str(layout.indent);
            }
        }
        Ok(())
    }

    fn array<'v>(&mut self, items: impl Iterator<Item = &'v Value>, depth: usize) -> Result<(), Failure> {
        self.out.push('[');
        let mut is_empty = true;
        for item in items {
            if !std::mem::take(&mut is_empty) {
                self.out.push(',');
            }
            self.line(depth + 1)?;
            self.value(item, depth + 1)?;
        }
        if !is_empty {
            self.line(depth)?;
        }
        self.out.push(']');
        Ok(())
    }

    fn object(&mut self, members: BTreeMap<String, &Value>, depth: usize) -> Result<(), Failure> {
        self.out.push('{');
        let mut is_empty = true;
        for (key, value) in members {
            if !std::mem::take(&mut is_empty) {
                self.out.push(',');
            }
            self.line(depth + 1)?;
            self.string(&key)?;
            self.out.push_str(if self.layout.is_some() { ": " } else { ":" });
            self.value(value, depth + 1)?;
        }
        if !is_empty {
            self.line(depth)?;
        }
        self.out.push('}');
        Ok(())
    }

    fn string(&mut self, text: &str) -> Result<(), Failure> {
        self.work.spend_on_new_text(text.len())?;
        self.out.push('"');
        for char in text.chars() {
            match char {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\u{8}' => self.out.push_str("\\b"),
                '\u{c}' => self.out.push_str("\\f"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                '\0'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                    self.out.push_str(&format!("\\u{:04x}", u32::from(char)));
                }
                _ => self.out.push(char),
            }
        }
        self.out.push('"');
        Ok(())
    }
}

/// The text of an object's key: strings as they are, other values as JSON.
pub(super) fn key_text(key: &Value, work: &mut Work) -> Result<String, Failure> {
    let Value::String(text) = key else { return write(key, None, work) };
    work.spend_on_new_text(text.len())?;
    Ok(text.to_string())
}
