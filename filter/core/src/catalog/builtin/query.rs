//! The query of a request as the catalog needs it: which keys mean something, and how often they stand there.

use std::borrow::Cow;

use super::table::{Table, TextNumber};
use crate::request::cut;

/// The keys of a query that conditions can be about, and AWS's `Action` and `Version`.
#[derive(Debug)]
pub(super) struct Query<'a> {
    keys: [Key<'a>; Query::MOST],
    count: usize,
    pub(super) action: Parameter<'a>,
    pub(super) version: Parameter<'a>,
    /// The credential of a presigned request.
    pub(super) credential: Parameter<'a>,
}

#[derive(Clone, Copy, Debug)]
struct Key<'a> {
    number: TextNumber,
    raw_value: &'a str,
    times: usize,
}

/// A parameter that may stand once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::catalog) enum Parameter<'a> {
    #[default]
    Never,
    Once(Cow<'a, str>),
    Often,
}

/// Why a query has no single meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::catalog) enum QueryProblem {
    BrokenEscape,
    TooManyKeys,
    Semicolon,
    Disguise,
}

// === impl Query ===

impl<'a> Query<'a> {
    /// More keys that mean something than any request has.
    const MOST: usize = 8;

    pub(super) fn new() -> Self {
        let empty = Key { number: TextNumber::EMPTY, raw_value: "", times: 0 };
        Self {
            keys: [empty; Self::MOST],
            count: 0,
            action: Parameter::Never,
            version: Parameter::Never,
            credential: Parameter::Never,
        }
    }

    /// Takes in a query as it was sent.
    pub(super) fn read(&mut self, table: &Table, raw: &'a str) -> Result<(), QueryProblem> {
        let mut rest = raw;
        while !rest.is_empty() {
            let (pair, after) = cut(rest, b'&').unwrap_or((rest, ""));
            rest = after;
            if pair.is_empty() {
                continue;
            }
            let (key, value) = cut(pair, b'=').unwrap_or((pair, ""));
            let key = decoded(key)?;
            self.take(table, &key, value)?;
            if !pair.bytes().any(|byte| byte == b';') {
                continue;
            }
            // Some servers separate parameters at semicolons too.
            for hidden in pair.split(';').skip(1) {
                let key = decoded(hidden.split_once('=').map_or(hidden, |(key, _)| key))?;
                if self.means_something(table, &key) {
                    return Err(QueryProblem::Semicolon);
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, table: &Table, key: &str, raw_value: &'a str) -> Result<(), QueryProblem> {
        match key {
            "Action" => self.action.see(raw_value)?,
            "Version" => self.version.see(raw_value)?,
            "X-Amz-Credential" => self.credential.see(raw_value)?,
            _ => {
                if is_header_in_disguise(key) {
                    return Err(QueryProblem::Disguise);
                }
                let number = table.number(key.as_bytes()).filter(|number| table.is_significant(*number));
                if let Some(number) = number {
                    self.note(number, raw_value)?;
                }
            }
        }
        Ok(())
    }

    fn note(&mut self, number: TextNumber, raw_value: &'a str) -> Result<(), QueryProblem> {
        let noted = self.keys.get_mut(..self.count).unwrap_or_default();
        if let Some(key) = noted.iter_mut().find(|key| key.number == number) {
            key.times += 1;
            return Ok(());
        }
        let free = self.keys.get_mut(self.count).ok_or(QueryProblem::TooManyKeys)?;
        *free = Key { number, raw_value, times: 1 };
        self.count += 1;
        Ok(())
    }

    fn means_something(&self, table: &Table, key: &str) -> bool {
        matches!(key, "Action" | "Version")
            || table.number(key.as_bytes()).is_some_and(|number| table.is_significant(number))
    }

    fn keys(&self) -> &[Key<'a>] {
        self.keys.get(..self.count).unwrap_or_default()
    }

    /// The value of the key with this number, as it was sent.
    pub(super) fn raw_value(&self, number: TextNumber) -> Option<&'a str> {
        self.keys().iter().find(|key| key.number == number).map(|key| key.raw_value)
    }

    /// How many different keys of a kind stand there.
    pub(super) fn count(&self, is_meant: impl Fn(TextNumber) -> bool) -> usize {
        self.keys().iter().filter(|key| is_meant(key.number)).count()
    }

    /// How often the key with this number stands there.
    pub(super) fn times(&self, number: TextNumber) -> usize {
        self.keys().iter().find(|key| key.number == number).map_or(0, |key| key.times)
    }
}

// === impl Parameter ===

impl<'a> Parameter<'a> {
    /// Notes one more, with its value as it was sent.
    pub(in crate::catalog) fn see(&mut self, raw_value: &'a str) -> Result<(), QueryProblem> {
        *self = if *self == Self::Never { Self::Once(decoded(raw_value)?) } else { Self::Often };
        Ok(())
    }

    pub(in crate::catalog) fn is_there(&self) -> bool {
        *self != Self::Never
    }
}

// === impl QueryProblem ===

impl QueryProblem {
    pub(in crate::catalog) const fn text(self) -> &'static str {
        match self {
            Self::BrokenEscape => "a parameter has a broken escape (`%`), or is not UTF-8",
            Self::TooManyKeys => "too many parameters say what is wanted",
            Self::Semicolon => "a parameter hides behind a semicolon",
            Self::Disguise => "a parameter stands for a header or a method that says what is wanted",
        }
    }
}

/// Whether a parameter is one that some servers take for a header: AWS for those of presigned requests, Google for
/// any, and for the method (`$httpMethod`, `$httpHeaders`).
fn is_header_in_disguise(key: &str) -> bool {
    const AMZ: [&str; 4] = ["x-amz-target", "x-amz-copy-source", "x-amz-rename-source", "smithy-protocol"];
    const GOOGLE: &str = "$http";
    AMZ.iter().any(|name| key.eq_ignore_ascii_case(name))
        || key.get(..GOOGLE.len()).is_some_and(|head| head.eq_ignore_ascii_case(GOOGLE))
}

/// A key or a value of a query or a form, decoded.
///
/// # Errors
/// When it is not UTF-8 in escapes.
pub(in crate::catalog) fn decoded(raw: &str) -> Result<Cow<'_, str>, QueryProblem> {
    if !raw.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return Ok(Cow::Borrowed(raw));
    }
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16));
                let value = digit().zip(digit()).map(|(high, low)| high * 16 + low);
                value.and_then(|value| u8::try_from(value).ok()).ok_or(QueryProblem::BrokenEscape)?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).map(Cow::Owned).map_err(|_| QueryProblem::BrokenEscape)
}
