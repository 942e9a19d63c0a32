//! What a request says beyond service and action, in the policy's input: only what the policy refers to is made.
//!
//! Decisions that depend on it are not remembered, because it is none of the six fields that a memory tells apart.

use std::{borrow::Cow, collections::BTreeMap};

use regorus::Value;
use serde::ser::SerializeMap;

use super::data::json;
use crate::{
    catalog::{Derived, Facts, Tool, query_text},
    denial::Denial,
    header_names::{fold, is_secret},
    rego::Dependence,
    request::{Request, is_reserved},
};

/// The facts that a policy refers to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    facts: Vec<Fact>,
    /// Parts of `input.request`.
    parts: Vec<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fact {
    Model,
    Resource,
    Tool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Method,
    Host,
    Path,
    Query,
    Headers,
}

/// The facts of one request that a policy refers to, as fields of the input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FurtherFields(pub(super) Vec<(Value, Value)>);

const FACTS: [(&str, Fact); 3] = [("model", Fact::Model), ("resource", Fact::Resource), ("tool", Fact::Tool)];
const REQUEST: &str = "request";
const PARTS: [(&str, Part); 5] = [
    ("method", Part::Method),
    ("host", Part::Host),
    ("path", Part::Path),
    ("query", Part::Query),
    ("headers", Part::Headers),
];

// === impl Wanted ===

impl Wanted {
    /// What a rule of this dependence refers to.
    pub(super) fn by(dependence: &Dependence) -> Self {
        let reads = |field: &str| dependence.input.contains("") || dependence.input.contains(field);
        let facts = FACTS.iter().filter(|(name, _)| reads(name)).map(|(_, fact)| *fact);
        let reads_part = |name: &str| reads(REQUEST) || reads(&format!("{REQUEST}.{name}"));
        let parts = PARTS.iter().filter(|(name, _)| reads_part(name)).map(|(_, part)| *part);
        Self { facts: facts.collect(), parts: parts.collect() }
    }

    /// The fields for one request. What the catalog does not know is not there.
    ///
    /// # Errors
    /// Where something that the policy refers to cannot be told in one way.
    pub(super) fn of(&self, derived: &Derived, request: &Request<'_>) -> Result<FurtherFields, Denial> {
        let mut fields = Vec::new();
        for fact in &self.facts {
            if let Some((name, value)) = fact.of(&derived.facts)? {
                fields.push((Value::from(name), value));
            }
        }
        if !self.parts.is_empty() {
            let parts = self.parts.iter().map(|part| part.of(request)).collect::<Result<Vec<_>, _>>()?;
            fields.push((Value::from(REQUEST), object(parts)));
        }
        Ok(FurtherFields(fields))
    }
}

// === impl FurtherFields ===

/// The names of a tool's arguments that are told of a log, in number.
const MOST_ERASED: usize = 32;

impl FurtherFields {
    /// The same without the values of a tool's arguments, and JSON pointers to what is left out of the input.
    pub(crate) fn erased(&self) -> (Self, Vec<String>) {
        let mut erased = Vec::new();
        let fields = self.0.iter().map(|(name, value)| {
            let value = if *name == Value::from("tool") {
                without_arguments(value, &mut erased)
            } else {
                value.clone()
            };
            (name.clone(), value)
        });
        (Self(fields.collect()), erased)
    }

    /// About what its texts take in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.0.iter().map(|(_, value)| text_bytes(value)).sum()
    }

    /// Adds the fields to a map that is being written.
    ///
    /// # Errors
    /// Those of the serializer.
    pub(crate) fn serialize_into<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        self.0.iter().try_for_each(|(name, value)| map.serialize_entry(name, value))
    }
}

fn without_arguments(tool: &Value, erased: &mut Vec<String>) -> Value {
    const ARGUMENTS: &str = "/input/tool/arguments";
    let Value::Object(fields) = tool else { return tool.clone() };
    let names = match fields.get(&Value::from("arguments")) {
        Some(Value::Object(arguments)) => arguments.keys().collect(),
        Some(_) | None => Vec::new(),
    };
    if names.len() > MOST_ERASED {
        erased.push(ARGUMENTS.to_owned());
    } else {
        let name = |name: &Value| name.as_string().map(|name| name.replace('~', "~0").replace('/', "~1"));
        erased.extend(names.into_iter().filter_map(|key| Some(format!("{ARGUMENTS}/{}", name(key).ok()?))));
    }
    let name = fields.get(&Value::from("name")).cloned().unwrap_or(Value::Null);
    object([("name", name), ("arguments", Value::new_object())])
}

/// The lengths of all texts in a value, in bytes.
fn text_bytes(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(text_bytes).sum(),
        Value::Set(items) => items.iter().map(text_bytes).sum(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| text_bytes(name) + text_bytes(value)).sum()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Undefined => 0,
    }
}

// === impl Fact ===

impl Fact {
    fn of(self, facts: &Facts) -> Result<Option<(&'static str, Value)>, Denial> {
        let text = |text: &String| Value::from(text.as_str());
        Ok(match self {
            Self::Model => facts.model.as_ref().map(|model| ("model", text(model))),
            Self::Resource => facts.resource.as_ref().map(|resource| ("resource", text(resource))),
            Self::Tool => facts.tool.as_ref().map(tool).transpose()?.map(|tool| ("tool", tool)),
        })
    }
}

/// A tool with its name and its arguments, which are always an object.
fn tool(tool: &Tool) -> Result<Value, Denial> {
    let arguments = if tool.arguments.is_null() {
        Value::new_object()
    } else {
        evaluators(&tool.arguments)
            .map_err(|error| Denial::UnreadableBody(format!("the tool's `arguments`: {error}")))?
    };
    Ok(object([("name", Value::from(tool.name.as_str())), ("arguments", arguments)]))
}

/// JSON in the evaluator's own values, part by part: read as a text, an object with one particular key would be taken for
/// a number.
pub(super) fn evaluators(value: &serde_json::Value) -> anyhow::Result<Value> {
    Ok(match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(value) => Value::Bool(*value),
        serde_json::Value::Number(number) => json(&number.to_string())?,
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Array(items) => {
            Value::from(items.iter().map(evaluators).collect::<anyhow::Result<Vec<_>>>()?)
        }
        serde_json::Value::Object(fields) => {
            let mut object = Value::new_object();
            let inner = object.as_object_mut()?;
            for (name, value) in fields {
                inner.insert(Value::from(name.as_str()), evaluators(value)?);
            }
            object
        }
    })
}

// === impl Part ===

impl Part {
    fn of(self, request: &Request<'_>) -> Result<(&'static str, Value), Denial> {
        Ok(match self {
            Self::Method => ("method", Value::from(request.method())),
            Self::Host => ("host", Value::from(request.host())),
            Self::Path => ("path", Value::from(request.path())),
            Self::Query => ("query", query(request.query())?),
            Self::Headers => ("headers", headers(request)?),
        })
    }
}

/// The parameters of a query, decoded, each with all its values in their order.
fn query(raw: &str) -> Result<Value, Denial> {
    let unclear = |what: &str| Denial::AmbiguousRequest(format!("the policy reads its query, and {what}"));
    if raw.contains(';') {
        return Err(unclear("some servers separate parameters at `;`"));
    }
    let mut values = BTreeMap::<Cow<'_, str>, Vec<Value>>::new();
    for pair in raw.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (Some(name), Some(value)) = (query_text(name), query_text(value)) else {
            return Err(unclear("it has an escape that is no text"));
        };
        if !is_secret(&name) {
            values.entry(name).or_default().push(Value::from(&*value));
        }
    }
    Ok(object(values.iter().map(|(name, values)| (&**name, Value::from(values.clone())))))
}

/// The caller's headers, in lower case. Several of one name are one list, as HTTP has it.
fn headers(request: &Request<'_>) -> Result<Value, Denial> {
    let unclear =
        || Denial::AmbiguousRequest("the policy reads its headers, and one is not UTF-8".to_owned());
    let mut values = BTreeMap::<String, String>::new();
    for (name, value) in request.headers().iter().filter(|(name, _)| !is_reserved(name)) {
        let name = fold(std::str::from_utf8(name).map_err(|_| unclear())?);
        if is_secret(&name) {
            continue;
        }
        let value = std::str::from_utf8(value).map_err(|_| unclear())?;
        values
            .entry(name)
            .and_modify(|list| {
                list.push_str(", ");
                list.push_str(value);
            })
            .or_insert_with(|| value.to_owned());
    }
    Ok(object(values.iter().map(|(name, value)| (name.as_str(), Value::from(value.as_str())))))
}

fn object<'n>(fields: impl IntoIterator<Item = (&'n str, Value)>) -> Value {
    let mut object = Value::new_object();
    if let Ok(inner) = object.as_object_mut() {
        for (name, value) in fields {
            inner.insert(Value::from(name), value);
        }
    }
    object
}

#[cfg(test)]
mod tests;
