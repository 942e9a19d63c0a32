//! Replays what OPA 1.22.2 answered, and calls everything with odd arguments.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::*;
use crate::rego::order;

/// The clock of the recorded answers: 2026-01-01T00:00:00Z.
const NOW_NS: i64 = 1_767_225_600_000_000_000;

/// A call as recorded: arguments and answer are written as terms; no answer is undefined.
#[derive(Deserialize)]
struct Row {
    f: String,
    a: Vec<String>,
    r: Option<String>,
}

/// Reads a term of nothing but values.
struct Terms<'t> {
    rest: &'t str,
    /// Whether all strings so far were of UTF-8.
    is_text: bool,
}

impl Terms<'_> {
    /// None where a string is not of UTF-8.
    fn read(text: &str) -> Option<Value> {
        let mut terms = Terms { rest: text, is_text: true };
        let value = terms.value();
        assert!(terms.rest.trim().is_empty(), "{text}");
        terms.is_text.then_some(value)
    }

    fn take(&mut self, token: &str) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn value(&mut self) -> Value {
        if self.take("null") {
            return Value::Null;
        } else if self.take("true") {
            return Value::from(true);
        } else if self.take("false") {
            return Value::from(false);
        } else if self.take("set()") {
            return Value::new_set();
        } else if self.take("[") {
            let mut items = Vec::new();
            while !self.take("]") {
                items.push(self.value());
                self.take(",");
            }
            return Value::from(items);
        } else if self.take("{") {
            return self.braces();
        } else if self.rest.starts_with('"') {
            return self.string();
        }
        let end = self.rest.find([',', ']', '}', ':', ' ']).unwrap_or(self.rest.len());
        let (number, rest) = self.rest.split_at(end);
        self.rest = rest;
        number::from_text(number, &mut Work::new(1_000_000)).unwrap()
    }

    fn braces(&mut self) -> Value {
        if self.take("}") {
            return Value::new_object();
        }
        let first = self.value();
        if !self.take(":") {
            let mut items = BTreeSet::from([first]);
            while !self.take("}") {
                self.take(",");
                items.insert(self.value());
            }
            return Value::from(items);
        }
        let mut entries = BTreeMap::from([(first, self.value())]);
        while !self.take("}") {
            self.take(",");
            let key = self.value();
            assert!(self.take(":"));
            entries.insert(key, self.value());
        }
        Value::from(entries)
    }

    /// A string in Go's quotes.
    fn string(&mut self) -> Value {
        let mut text = String::new();
        let mut chars = self.rest.chars();
        chars.next();
        let hex = |chars: &mut std::str::Chars<'_>, count| {
            let digits: String = chars.take(count).collect();
            char::from_u32(u32::from_str_radix(&digits, 16).unwrap()).unwrap()
        };
        loop {
            match chars.next().unwrap() {
                '"' => break,
                '\\' => text.push(match chars.next().unwrap() {
                    'a' => '\u{7}',
                    'b' => '\u{8}',
                    'f' => '\u{c}',
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    'v' => '\u{b}',
                    'x' => {
                        let char = hex(&mut chars, 2);
                        self.is_text &= char.is_ascii();
                        char
                    }
                    'u' => hex(&mut chars, 4),
                    'U' => hex(&mut chars, 8),
                    char => char,
                }),
                char => text.push(char),
            }
        }
        self.rest = chars.as_str();
        Value::from(text)
    }
}

fn call(name: &str, arguments: &[Value], work: u64) -> Outcome {
    let builtin = builtin(name).unwrap_or_else(|| panic!("{name}"));
    assert_eq!(builtin.arity, arguments.len(), "{name}");
    (builtin.call)(&mut Surroundings::new(NOW_NS, 1, Work::new(work)), arguments)
}

/// Where an answer differs from OPA's. A `Fatal` differs from none: it says that the answer is not known.
fn difference(row: &Row) -> Option<String> {
    let arguments: Vec<Value> = row.a.iter().map(|text| Terms::read(text).unwrap()).collect();
    let got = call(&row.f, &arguments, 10_000_000);
    let same = match (&got, &row.r) {
        (Ok(got), Some(want)) => Terms::read(want).is_some_and(|want| order::compare(got, &want).is_eq()),
        (Err(Failure::Undefined(_)), None) | (Err(Failure::Fatal(_)), _) => true,
        (Ok(_) | Err(Failure::Undefined(_) | Failure::OutOfBudget), _) => false,
    };
    let want = row.r.as_deref().unwrap_or("undefined");
    (!same).then(|| format!("{}({}): {got:?}, but OPA has {want}", row.f, row.a.join(", ")))
}

#[test]
fn names_are_unique() {
    let mut seen = std::collections::HashSet::new();
    for name in names() {
        assert!(seen.insert(name), "{name}");
    }
}

#[test]
fn local_rows() {
    let Ok(path) = std::env::var("ROWS") else { return };
    let text = std::fs::read_to_string(path).unwrap();
    let (mut count, mut fatal, mut bad) =
        (0, BTreeMap::<String, usize>::new(), BTreeMap::<String, usize>::new());
    for line in text.lines() {
        let row: Row = serde_json::from_str(line).unwrap();
        count += 1;
        let arguments: Vec<Value> = row.a.iter().map(|text| Terms::read(text).unwrap()).collect();
        if let Err(Failure::Fatal(m)) = call(&row.f, &arguments, 10_000_000) {
            let n = fatal.entry(row.f.clone()).or_default();
            *n += 1;
            if *n <= 2 {
                println!("FATAL {}({}): {m}; OPA {:?}", row.f, row.a.join(", "), row.r);
            }
        }
        if let Some(d) = difference(&row) {
            let n = bad.entry(row.f.clone()).or_default();
            *n += 1;
            if *n <= 8 {
                println!("{}", d.chars().take(500).collect::<String>());
            }
        }
    }
    println!("{count} rows, fatal {fatal:?}, bad {bad:?}");
}
