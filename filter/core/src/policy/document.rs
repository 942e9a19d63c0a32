//! The document `input` of an evaluation, in the evaluator's own values.

use regorus::Value;

use super::facts::FurtherFields;

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
