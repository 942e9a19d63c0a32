//! JSON in slices.
//!
//! Reads what every reader of JSON reads the same; what is odd in any way it leaves to the reader of single values, which
//! then says what is wrong, or what it means.

use std::{collections::HashSet, str};

use regorus::{Rc, Value};
use rustc_hash::FxBuildHasher;

use crate::{pace::Pace, policy::number_text};

/// Deeper documents are refused by the reader of single values too.
const MAX_DEPTH: usize = 120;
/// Objects up to this many fields are made compact when they are complete, which is done in one go.
const COMPACT: usize = 4096;
/// The most keys that are told apart to have each of them once.
const MAX_SHARED_KEYS: usize = 4096;
/// An integer of so many digits fits into 64 bits.
const SHORT_INTEGER: usize = 18;
/// A unit of work for so many bytes.
const BYTES_PER_UNIT: usize = 64;
/// An object with this key is no object for the reader of single values.
const MARK: &str = "$serde_json::private::";

/// The value that `text` is; nothing where it is none, or is for another reader.
pub(super) async fn read(text: &[u8], pace: &Pace) -> Option<Value> {
    let mut reader = Reader { text, at: 0, keys: HashSet::default() };
    let mut open: Vec<Open> = Vec::new();
    loop {
        let from = reader.at;
        // A collection begins, or a value is complete.
        let mut complete = match reader.begin(&mut open)? {
            Begun::Collection => None,
            Begun::Value(value) => Some(value),
        };
        pace.spend(2 + (reader.at - from) / BYTES_PER_UNIT).await;
        while let Some(value) = complete.take() {
            let Some(innermost) = open.last_mut() else {
                reader.blank();
                return (reader.at == text.len()).then_some(value);
            };
            innermost.put(value)?;
            match reader.token()? {
                b',' => reader.key(innermost)?,
                end if end == innermost.end() => {
                    pace.spend(1).await;
                    complete = open.pop().map(Open::close);
                }
                _ => return None,
            }
        }
    }
}

/// A collection that is not complete.
enum Open {
    Array(Vec<Value>),
    Object {
        object: Value,
        /// Of the next value.
        key: Value,
    },
}

enum Begun {
    Collection,
    Value(Value),
}

struct Reader<'t> {
    text: &'t [u8],
    at: usize,
    keys: HashSet<Rc<str>, FxBuildHasher>,
}

// === impl Open ===

impl Open {
    fn end(&self) -> u8 {
        match self {
            Self::Array(_) => b']',
            Self::Object { .. } => b'}',
        }
    }

    fn put(&mut self, value: Value) -> Option<()> {
        match self {
            Self::Array(items) => items.push(value),
            // The last of two values of a key stays.
            Self::Object { object, key } => {
                let key = std::mem::replace(key, Value::Undefined);
                object.as_object_mut().ok()?.insert(key, value);
            }
        }
        Some(())
    }

    fn close(self) -> Value {
        match self {
            Self::Array(items) => Value::from(items),
            Self::Object { object: Value::Object(fields), .. } if fields.len() <= COMPACT => {
                Rc::unwrap_or_clone(fields).into_value()
            }
            Self::Object { object, .. } => object,
        }
    }
}

// === impl Reader ===

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// The next byte that is no blank.
    fn token(&mut self) -> Option<u8> {
        self.blank();
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    /// Reads a value as far as its first part goes: all of it, or the beginning of a collection.
    fn begin(&mut self, open: &mut Vec<Open>) -> Option<Begun> {
        self.blank();
        let value = match self.peek()? {
            b'"' => self.string()?,
            b'[' => {
                self.at += 1;
                self.blank();
                if self.peek()? != b']' {
                    open.push(Open::Array(Vec::new()));
                    return (open.len() <= MAX_DEPTH).then_some(Begun::Collection);
                }
                self.at += 1;
                Value::new_array()
            }
            b'{' => {
                self.at += 1;
                self.blank();
                if self.peek()? != b'}' {
                    let mut object = Open::Object { object: Value::new_object(), key: Value::Undefined };
                    self.key(&mut object)?;
                    open.push(object);
                    return (open.len() <= MAX_DEPTH).then_some(Begun::Collection);
                }
                self.at += 1;
                Value::new_object()
            }
            b't' => self.word("true", Value::Bool(true))?,
            b'f' => self.word("false", Value::Bool(false))?,
            b'n' => self.word("null", Value::Null)?,
            b'-' | b'0'..=b'9' => self.number()?,
            _ => return None,
        };
        Some(Begun::Value(value))
    }

    /// Reads the key of the next value, where there is one, up to the value.
    fn key(&mut self, collection: &mut Open) -> Option<()> {
        let Open::Object { key, .. } = collection else { return Some(()) };
        self.blank();
        let Value::String(name) = self.string()? else { return None };
        if name.starts_with(MARK) || self.token()? != b':' {
            return None;
        }
        *key = Value::String(self.shared(name));
        Some(())
    }

    /// One text for all keys of a name.
    fn shared(&mut self, name: Rc<str>) -> Rc<str> {
        if let Some(known) = self.keys.get(&name) {
            return Rc::clone(known);
        }
        if self.keys.len() < MAX_SHARED_KEYS {
            self.keys.insert(Rc::clone(&name));
        }
        name
    }

    fn string(&mut self) -> Option<Value> {
        let from = self.at;
        if self.peek()? != b'"' {
            return None;
        }
        self.at += 1;
        let mut is_plain = true;
        loop {
            match self.peek()? {
                b'"' => break,
                b'\\' => {
                    is_plain = false;
                    self.at += 2;
                }
                0..0x20 => return None,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        if is_plain {
            let plain = self.text.get(from + 1..self.at - 1)?;
            return Some(Value::String(Rc::from(str::from_utf8(plain).ok()?)));
        }
        Value::from_json_str(str::from_utf8(self.text.get(from..self.at)?).ok()?).ok()
    }

    fn word(&mut self, word: &str, value: Value) -> Option<Value> {
        let is_it = self.text.get(self.at..)?.starts_with(word.as_bytes());
        self.at += word.len();
        is_it.then_some(value)
    }

    fn number(&mut self) -> Option<Value> {
        let from = self.at;
        self.at = number_text::end(self.text, from).max(from + 1);
        let text = str::from_utf8(self.text.get(from..self.at)?).ok()?;
        let digits = text.strip_prefix('-').unwrap_or(text);
        let is_short = digits.len() <= SHORT_INTEGER && digits.bytes().all(|byte| byte.is_ascii_digit());
        if is_short && (digits == "0" || !digits.starts_with('0')) {
            let number: i64 = text.parse().ok()?;
            return Some(
                u64::try_from(number)
                    .ok()
                    .filter(|number| *number > 0)
                    .map_or_else(|| Value::from(number), Value::from),
            );
        }
        if number_text::is_usable(text) { Value::from_json_str(text).ok() } else { None }
    }
}
