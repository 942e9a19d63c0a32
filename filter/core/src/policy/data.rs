//! Base data, `data` of an evaluation, in the evaluator's own values.

mod json;
mod merge;
mod retire;

pub(crate) use retire::retire;

use std::collections::BTreeMap;

use regorus::Value;
use thiserror::Error;

use super::{
    document::type_name,
    number_text::{self, TOO_LARGE},
};
use crate::pace::{Pace, finish};

/// Base data: a JSON object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Data(Value);

/// Why something is not base data.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DataError {
    /// It is not JSON or YAML.
    #[error("{0}")]
    Syntax(String),
    /// It is no object, so it has no place in `data`.
    #[error("data must be an object, but is {0}")]
    NotAnObject(&'static str),
    /// Two sources give the same path.
    #[error("{0}")]
    Conflict(String),
}

/// How deep brackets may be nested in YAML: its reader looks at all that are open with each token.
const MAX_YAML_BRACKETS: i64 = 256;

/// How many brackets are open at most, those in texts and comments among them.
fn bracket_depth(text: &str) -> i64 {
    let (mut depth, mut deepest) = (0, 0);
    for byte in text.bytes() {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth -= 1,
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

// === impl Data ===

impl Default for Data {
    fn default() -> Self {
        Self(Value::new_object())
    }
}

impl Data {
    /// Reads an object in JSON.
    ///
    /// # Errors
    /// When it is not one.
    pub fn from_json(text: &str) -> Result<Self, DataError> {
        finish(Self::from_json_in(text, &Pace::unhurried()))
    }

    /// As [`Self::from_json`], in slices.
    ///
    /// # Errors
    /// When it is not one.
    pub async fn from_json_in(text: &str, pace: &Pace) -> Result<Self, DataError> {
        match json::read(text.as_bytes(), pace).await {
            Some(value) => Self::new(Ok(value)),
            None => Self::new(json(text)),
        }
    }

    /// Reads an object in JSON, of which it is not yet known whether it is UTF-8.
    pub(crate) async fn from_json_bytes_in(bytes: &[u8], pace: &Pace) -> Result<Self, DataError> {
        match json::read(bytes, pace).await {
            Some(value) => Self::new(Ok(value)),
            None => Self::new(std::str::from_utf8(bytes).map_err(not_utf8).and_then(json)),
        }
    }

    /// Reads an object in YAML.
    ///
    /// # Errors
    /// When it is not one.
    pub fn from_yaml(text: &str) -> Result<Self, DataError> {
        if bracket_depth(text) > MAX_YAML_BRACKETS {
            let problem = format!("brackets are nested deeper than {MAX_YAML_BRACKETS}; write this as JSON");
            return Err(DataError::Syntax(problem));
        }
        Self::new(Value::from_yaml_str(text))
    }

    /// Reads any document in JSON as what stands at `path`.
    ///
    /// # Errors
    /// When it is none, or the path is empty and it is no object.
    pub fn from_json_at(text: &str, path: &[&str]) -> Result<Self, DataError> {
        Self::new(Value::from_json_str(text).map(|value| nested(value, path)))
    }

    /// Reads any document in YAML as what stands at `path`.
    ///
    /// # Errors
    /// When it is none, or the path is empty and it is no object.
    pub fn from_yaml_at(text: &str, path: &[&str]) -> Result<Self, DataError> {
        Self::new(Value::from_yaml_str(text).map(|value| nested(value, path)))
    }

    fn new(value: anyhow::Result<Value>) -> Result<Self, DataError> {
        match value {
            Ok(value @ Value::Object(_)) => Ok(Self(value)),
            Ok(other) => Err(DataError::NotAnObject(type_name(&other))),
            Err(error) => Err(DataError::Syntax(error.to_string())),
        }
    }

    /// This object at `path` of an otherwise empty one.
    #[must_use]
    pub fn at(self, path: &[&str]) -> Self {
        Self(nested(self.0, path))
    }

    /// It as JSON.
    ///
    /// # Errors
    /// When it has something that JSON has not.
    pub fn to_json(&self) -> Result<String, DataError> {
        self.0.to_json_str().map_err(|error| DataError::Syntax(error.to_string()))
    }

    /// Adds `other`; objects are merged, everything else may stand once.
    ///
    /// # Errors
    /// When both give a value for the same path.
    pub fn merge(&mut self, other: Self) -> Result<(), DataError> {
        finish(self.merge_in(other, &Pace::unhurried()))
    }

    /// As [`Self::merge`], in slices.
    ///
    /// # Errors
    /// When both give a value for the same path.
    pub async fn merge_in(&mut self, other: Self, pace: &Pace) -> Result<(), DataError> {
        merge::merge(&mut self.0, other.0, pace).await
    }

    /// The path of something in it that lies under none of `roots`, each of which is a path with `/` between its
    /// segments. An object without fields lies where it stands; an empty `data` lies nowhere.
    ///
    /// Looks at what lies above the roots alone.
    pub async fn outside(&self, roots: &[String], pace: &Pace) -> Option<Vec<String>> {
        let roots = roots.iter().map(|root| root.trim_matches('/'));
        let roots: Vec<Vec<&str>> =
            roots.map(|root| root.split('/').filter(|_| !root.is_empty()).collect()).collect();
        let mut pending = vec![(&self.0, Vec::new(), roots.iter().map(Vec::as_slice).collect::<Vec<_>>())];
        // The first in the order of the text is the last that is pending.
        while let Some((value, path, roots)) = pending.pop() {
            pace.spend(10 + roots.len()).await;
            if roots.iter().any(|root| root.is_empty()) {
                continue;
            }
            let fields = value.as_object().ok().filter(|fields| !fields.is_empty());
            let (false, Some(fields)) = (roots.is_empty(), fields) else {
                let leaf = first_leaf(value, path);
                if leaf.is_empty() {
                    continue;
                }
                return Some(leaf);
            };
            let mut by_name: BTreeMap<&str, Vec<&[&str]>> = BTreeMap::new();
            for (name, below) in roots.iter().filter_map(|root| root.split_first()) {
                by_name.entry(*name).or_default().push(below);
            }
            let mut below = Vec::new();
            for (key, value) in fields.iter() {
                pace.spend(2).await;
                let name = key_text(key);
                let roots = by_name.get(name.as_str()).cloned().unwrap_or_default();
                let is_foreign = roots.is_empty();
                below.push((value, [path.as_slice(), &[name]].concat(), roots));
                if is_foreign {
                    break;
                }
            }
            pending.extend(below.into_iter().rev());
        }
        None
    }

    /// Its own keys.
    pub fn keys(&self) -> Vec<String> {
        self.0
            .as_object()
            .map(|object| object.iter().map(|(key, _)| key_text(key)).collect())
            .unwrap_or_default()
    }

    /// Takes it apart in slices, where nobody else has it.
    pub async fn retire(self, pace: &Pace) {
        retire(self.0, pace).await;
    }

    pub(crate) fn value(&self) -> &Value {
        &self.0
    }

    /// The part of `path` at which this has a value in the way of a rule at `path`: the whole path, or a shorter one
    /// that ends in something other than an object.
    pub(crate) fn obstacle(&self, path: &[String]) -> Option<Vec<String>> {
        let mut value = &self.0;
        for (depth, segment) in path.iter().enumerate() {
            let Ok(object) = value.as_object() else { return Some(path.get(..depth)?.to_vec()) };
            value = object.get(&Value::from(segment.as_str()))?;
        }
        Some(path.to_vec())
    }
}

/// `value` at `path` of otherwise empty objects.
fn nested(value: Value, path: &[&str]) -> Value {
    path.iter().rev().fold(value, |value, segment| {
        let mut object = Value::new_object();
        if let Ok(fields) = object.as_object_mut() {
            fields.insert(Value::from(*segment), value);
        }
        object
    })
}

/// Reads JSON of which every number is of a size that is read.
pub(super) fn json(text: &str) -> anyhow::Result<Value> {
    match number_text::first_unusable(text) {
        Some(line) => Err(anyhow::anyhow!("line {line}: {TOO_LARGE}")),
        None => Value::from_json_str(text),
    }
}

fn not_utf8(error: std::str::Utf8Error) -> anyhow::Error {
    anyhow::anyhow!("this is not UTF-8: {error}")
}

/// The path of the first thing in `value` that is no object, or an empty one.
fn first_leaf(mut value: &Value, mut path: Vec<String>) -> Vec<String> {
    while let Ok(fields) = value.as_object()
        && let Some((key, below)) = fields.iter().next()
    {
        path.push(key_text(key));
        value = below;
    }
    path
}

fn key_text(key: &Value) -> String {
    key.as_string().map_or_else(|_| key.to_string(), |text| text.to_string())
}

#[cfg(test)]
mod tests;
