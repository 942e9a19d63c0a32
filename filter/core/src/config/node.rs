//! A place in the raw configuration: reads one value of the wanted type, and says where and why it cannot.

use std::{cell::RefCell, ops::RangeInclusive};

use serde_json::{Map, Value};

use super::problem::{Collector, field_path};

/// One value of the raw configuration, present or not.
#[derive(Clone, Debug)]
pub(super) struct Node<'a> {
    path: String,
    value: Option<&'a Value>,
    problems: &'a Collector,
}

/// An object whose fields are read one by one; [`Fields::end`] reports those that nobody read.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    path: String,
    fields: Option<&'a Map<String, Value>>,
    read: RefCell<Vec<&'static str>>,
    problems: &'a Collector,
}

// === impl Node ===

impl<'a> Node<'a> {
    pub(super) fn root(value: &'a Value, problems: &'a Collector) -> Self {
        Self { path: "$".to_owned(), value: Some(value), problems }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn is_present(&self) -> bool {
        self.value.is_some()
    }

    /// Reports a mistake at this place.
    pub(super) fn problem(&self, message: impl Into<String>) {
        self.problems.add(&self.path, message);
    }

    /// Reports a mistake at another place of the same configuration.
    pub(super) fn problem_at(&self, path: &str, message: impl Into<String>) {
        self.problems.add(path, message);
    }

    /// Reports its absence.
    pub(super) fn required(self) -> Self {
        if self.value.is_none() {
            self.problem("this key is missing");
        }
        self
    }

    fn wrong_type(&self, wanted: &str) {
        if let Some(value) = self.value {
            let found = match value {
                Value::Null => "null",
                Value::Bool(_) => "a boolean",
                Value::Number(_) => "a number",
                Value::String(_) => "a string",
                Value::Array(_) => "an array",
                Value::Object(_) => "an object",
            };
            self.problem(format!("must be {wanted}, but is {found}"));
        }
    }

    pub(super) fn string(&self) -> Option<&'a str> {
        let text = self.value.and_then(Value::as_str);
        if text.is_none() {
            self.wrong_type("a string");
        }
        text
    }

    /// A string that `parse` accepts.
    pub(super) fn parsed<T, E: ToString>(&self, parse: impl FnOnce(&'a str) -> Result<T, E>) -> Option<T> {
        let parsed = parse(self.string()?);
        parsed.map_err(|error| self.problem(error.to_string())).ok()
    }

    /// A boolean; `default` where absent.
    pub(super) fn boolean(&self, default: bool) -> bool {
        let value = self.value.and_then(Value::as_bool);
        if value.is_none() {
            self.wrong_type("a boolean");
        }
        value.unwrap_or(default)
    }

    /// An integer within `range`; `default` where absent.
    pub(super) fn integer(&self, range: RangeInclusive<u64>, default: u64) -> u64 {
        let Some(value) = self.value else { return default };
        match value.as_u64() {
            Some(number) if range.contains(&number) => number,
            Some(_) | None => {
                self.problem(format!(
                    "must be an integer from {} to {}, but is {value}",
                    range.start(),
                    range.end()
                ));
                default
            }
        }
    }

    /// An integer, whatever its range, if one is there.
    pub(super) fn given_integer(&self) -> Option<u64> {
        self.value.and_then(Value::as_u64)
    }

    pub(super) fn array(&self) -> Vec<Self> {
        let items = self.value.and_then(Value::as_array);
        if items.is_none() {
            self.wrong_type("an array");
        }
        let item = |(at, value)| Self {
            path: format!("{}[{at}]", self.path),
            value: Some(value),
            problems: self.problems,
        };
        items.into_iter().flatten().enumerate().map(item).collect()
    }

    /// An object whose keys are names that the operator chose.
    pub(super) fn entries(&self) -> Vec<(&'a str, Self)> {
        let fields = self.value.and_then(Value::as_object);
        if fields.is_none() {
            self.wrong_type("an object");
        }
        let entry = |(name, value): (&'a String, &'a Value)| {
            let node =
                Self { path: field_path(&self.path, name), value: Some(value), problems: self.problems };
            (name.as_str(), node)
        };
        fields.into_iter().flatten().map(entry).collect()
    }

    /// An object with fixed keys.
    pub(super) fn fields(&self) -> Fields<'a> {
        let fields = self.value.and_then(Value::as_object);
        if fields.is_none() {
            self.wrong_type("an object");
        }
        Fields { path: self.path.clone(), fields, read: RefCell::default(), problems: self.problems }
    }

    /// The raw value, for documents that are the operator's own.
    pub(super) fn raw(&self) -> Option<&'a Value> {
        self.value
    }
}

// === impl Fields ===

impl<'a> Fields<'a> {
    pub(super) fn field(&self, name: &'static str) -> Node<'a> {
        self.read.borrow_mut().push(name);
        Node {
            path: field_path(&self.path, name),
            value: self.fields.and_then(|fields| fields.get(name)),
            problems: self.problems,
        }
    }

    /// Reports every key that no call to [`Self::field`] has named.
    pub(super) fn end(self) {
        let read = self.read.into_inner();
        for name in self.fields.into_iter().flat_map(Map::keys) {
            if !read.contains(&name.as_str()) {
                let known = read.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
                self.problems
                    .add(&field_path(&self.path, name), format!("unknown key; known here are {known}"));
            }
        }
    }
}
