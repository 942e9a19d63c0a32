//! The policy's answer: a boolean, or the object of opa-envoy-plugin. It is read strictly and as a whole: what is of a
//! wrong type, or would alter what was judged, is no answer at all.

mod headers;
mod reading;
mod status;

pub use headers::Header;
pub use reading::Author;

use regorus::Value;
use serde_json::{Map, Value as Json};

use super::document::type_name;
use crate::{decision::DecisionId, timestamp::seconds_to_wait};
use reading::Reading;

/// What the policy answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It allows the request.
    Allow(Consent),
    /// It does not.
    Deny(Rejection),
}

/// What an answer that allows brings along; a bare `true` brings nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Consent {
    /// Headers of the forwarded request. Equal names stand together; they take the place of the caller's.
    pub request_headers: Vec<Header>,
    /// Names of headers that are removed from the forwarded request, after the others were set.
    pub request_headers_to_remove: Vec<String>,
    /// Headers that are added to the response.
    pub response_headers: Vec<Header>,
    /// What logs and later filters are told.
    pub remarks: Remarks,
}

/// What an answer that denies brings along; `false` and undefined bring nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rejection {
    /// The status of the reply; 403 where the policy gives none.
    pub status: Option<u16>,
    /// Headers of the reply.
    pub headers: Vec<Header>,
    /// The body, in the place of ours.
    pub body: Option<String>,
    /// What logs and later filters are told.
    pub remarks: Remarks,
    /// Before so many seconds no call that it counted leaves its window: what a caller with too many is told.
    pub retry_after_seconds: Option<i64>,
}

/// What an answer tells beside the decision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remarks {
    /// The policy's own reason, on one line.
    pub reason: Option<String>,
    /// Its `dynamic_metadata`.
    pub metadata: Option<Map<String, Json>>,
}

// === impl Outcome ===

impl Outcome {
    /// Reads the answer of a policy by `author`. Only a real `true` allows.
    ///
    /// # Errors
    /// All that is wrong with it, on one line.
    pub(super) fn read(answer: &Value, author: Author) -> Result<Self, String> {
        match answer {
            Value::Bool(true) => Ok(Self::Allow(Consent::default())),
            Value::Bool(false) | Value::Undefined => Ok(Self::Deny(Rejection::default())),
            Value::Object(_) => Reading::new(answer).outcome(author),
            Value::Null | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Set(_) => {
                Err(format!("must be a boolean or an object, but is {}", type_name(answer)))
            }
        }
    }
}

// === impl Rejection ===

impl Rejection {
    /// The status of the reply.
    pub fn status(&self) -> u16 {
        self.status.unwrap_or(403)
    }

    /// Tells the caller to wait, if the policy refuses because of too many calls and says nothing of it itself.
    pub(super) fn retry_in(&mut self, nanos: i64) {
        let is_told = self.headers.iter().any(|header| header.name == "retry-after");
        if self.status() == 429 && !is_told {
            self.retry_after_seconds = Some(seconds_to_wait(nanos));
        }
    }
}

// === impl Remarks ===

impl Remarks {
    /// The metadata as JSON text, with the decision's id in it whatever the policy put there.
    pub(crate) fn metadata_of(&self, id: &DecisionId) -> Option<String> {
        let mut metadata = self.metadata.clone()?;
        metadata.insert("decision_id".to_owned(), Json::from(id.as_str()));
        Some(Json::Object(metadata).to_string())
    }
}

#[cfg(test)]
mod tests;
