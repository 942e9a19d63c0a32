//! The documents of an evaluation, `input` and `data`, in the evaluator's own values.

use regorus::Value;
use thiserror::Error;

use super::{
    facts::FurtherFields,
    number_text::{self, TOO_LARGE},
};

/// A text that is used in many inputs, shared and not copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(Value);

/// The `input` of one identity, in which only the request's own fields are yet to be set.
#[derive(Clone, Debug)]
pub(crate) struct IdentityDocument {
    input: Value,
    service: Value,
    action: Value,
    timestamp: Value,
}

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

/// The fields of the input.
pub(super) struct InputField;

impl InputField {
    /// Whether a field is a part of who asks and what for, and of nothing else.
    pub(super) fn is_of_the_asked(field: &str) -> bool {
        matches!(field, "spiffe_id" | "tenant" | "agent" | "role" | "service" | "action")
    }
}

// === impl Text ===

impl std::hash::Hash for Text {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl Text {
    /// Makes a shared copy of `text`.
    pub fn new(text: &str) -> Self {
        Self(Value::from(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Value::String(text) => text,
            // INVARIANT: only `new` makes one, of a string.
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Set(_)
            | Value::Object(_)
            | Value::Undefined => "",
        }
    }
}

// === impl IdentityDocument ===

impl IdentityDocument {
    pub(crate) fn new(spiffe_id: &str, tenant: &str, agent: &str, role: &str) -> Self {
        let mut input = Value::new_object();
        let fields = [("spiffe_id", spiffe_id), ("tenant", tenant), ("agent", agent), ("role", role)];
        if let Ok(object) = input.as_object_mut() {
            for (name, value) in fields {
                object.insert(Value::from(name), Value::from(value));
            }
        }
        Self {
            input,
            service: Value::from("service"),
            action: Value::from("action"),
            timestamp: Value::from("timestamp"),
        }
    }

    /// The four fields that are known without a request, shared by all inputs of this identity.
    pub(crate) fn identity(&self) -> &Value {
        &self.input
    }

    /// The seven fields of `input`, and the further ones.
    pub(crate) fn input(
        &self,
        service: &Text,
        action: &Text,
        timestamp: &Text,
        further: &FurtherFields,
    ) -> Value {
        let mut input = self.input.clone();
        if let Ok(object) = input.as_object_mut() {
            object.insert(self.service.clone(), service.0.clone());
            object.insert(self.action.clone(), action.0.clone());
            object.insert(self.timestamp.clone(), timestamp.0.clone());
            for (name, value) in &further.0 {
                object.insert(name.clone(), value.clone());
            }
        }
        input
    }
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
        Self::new(json(text))
    }

    /// Reads an object in YAML.
    ///
    /// # Errors
    /// When it is not one.
    pub fn from_yaml(text: &str) -> Result<Self, DataError> {
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
        merge(&mut self.0, other.0, &mut vec!["data".to_owned()])
    }

    /// The paths of everything that is not an object, and of empty objects, each as its segments.
    pub fn leaves(&self) -> Vec<Vec<String>> {
        let mut leaves = Vec::new();
        collect_leaves(&self.0, &mut Vec::new(), &mut leaves);
        leaves
    }

    /// Its own keys.
    pub fn keys(&self) -> Vec<String> {
        self.0
            .as_object()
            .map(|object| object.iter().map(|(key, _)| key_text(key)).collect())
            .unwrap_or_default()
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

fn merge(into: &mut Value, from: Value, path: &mut Vec<String>) -> Result<(), DataError> {
    if into.as_object().is_err() || from.as_object().is_err() {
        return Err(DataError::Conflict(format!("`{}` is given twice", path.join("."))));
    }
    let (Ok(target), Ok(source)) = (into.as_object_mut(), from.as_object()) else { return Ok(()) };
    for (key, value) in source.iter() {
        match target.get_mut(key) {
            Some(present) => {
                path.push(key_text(key));
                merge(present, value.clone(), path)?;
                path.pop();
            }
            None => {
                target.insert(key.clone(), value.clone());
            }
        }
    }
    Ok(())
}

fn collect_leaves(value: &Value, path: &mut Vec<String>, leaves: &mut Vec<Vec<String>>) {
    match value.as_object() {
        Ok(object) if !object.is_empty() => {
            for (key, value) in object.iter() {
                path.push(key_text(key));
                collect_leaves(value, path, leaves);
                path.pop();
            }
        }
        Ok(_) | Err(_) => leaves.push(path.clone()),
    }
}

fn key_text(key: &Value) -> String {
    key.as_string().map_or_else(|_| key.to_string(), |text| text.to_string())
}

/// The name of a value's type, as Rego's `type_name` gives it, with its article.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Set(_) => "a set",
        Value::Object(_) => "an object",
        Value::Undefined => "undefined",
    }
}
