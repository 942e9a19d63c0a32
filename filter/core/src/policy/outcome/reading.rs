//! Reads the fields of an answer that is an object. Every mistake is found, and all are told at once.
//!
//! The fields are those of opa-envoy-plugin, and `reason`; other keys are ignored, as there.

use regorus::Value;
use serde_json::{Map, Value as Json};

use super::{Consent, Header, Outcome, Rejection, Remarks, headers, status};
use crate::{
    header_names::{claim_on_request, claim_on_response},
    policy::document::type_name,
};

/// Whose policy answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Author {
    /// The operator's.
    Platform,
    /// A tenant's, which can only narrow: it may shape its denials, and nothing else.
    Tenant,
}

/// An answer while it is read.
pub(super) struct Reading<'v> {
    /// An object.
    answer: &'v Value,
    mistakes: Mistakes,
}

/// What is wrong with an answer.
#[derive(Default)]
pub(super) struct Mistakes {
    told: Vec<String>,
    more: usize,
}

/// How many items of one field are looked at: one more than any may have.
pub(super) const MAX_ITEMS: usize = 65;
/// How many mistakes one message tells.
const MAX_MISTAKES: usize = 16;
/// The longest name in a message.
const MAX_SHOWN: usize = 64;
/// The longest reason, in bytes. It is cut and not refused: it may quote what the caller sent.
const MAX_REASON: usize = 1024;
/// The longest body, in bytes.
const MAX_BODY: usize = 64 * 1024;
/// How much the metadata may weigh: a byte of text is one, a value sixteen.
const MAX_METADATA: usize = 64 * 1024;
/// How deep the metadata may be nested.
const MAX_DEPTH: usize = 16;

// === impl Reading ===

impl<'v> Reading<'v> {
    pub(super) fn new(answer: &'v Value) -> Self {
        Self { answer, mistakes: Mistakes::default() }
    }

    /// The whole answer. Types are checked on both sides, what a field would do only where it would do it.
    pub(super) fn outcome(mut self, author: Author) -> Result<Outcome, String> {
        let allowed = self.allowed();
        let remarks = Remarks { reason: self.reason(), metadata: self.metadata() };
        let (body, status) = (self.body(), self.status());
        let headers = self.headers("headers");
        let response_headers = self.headers("response_headers_to_add");
        let request_headers_to_remove = self.names("request_headers_to_remove");
        let query_fields = self.query_fields();
        if author == Author::Tenant {
            self.tenant(status);
        }
        let outcome = if allowed == Some(true) {
            let removed = request_headers_to_remove.iter().map(String::as_str);
            self.unclaimed("headers", names_of(&headers), claim_on_request);
            self.unclaimed("request_headers_to_remove", removed, claim_on_request);
            self.response_headers(&response_headers);
            for field in query_fields {
                self.mistakes.add(format!("`{field}` would change the query that was judged"));
            }
            Outcome::Allow(Consent {
                request_headers: headers,
                request_headers_to_remove,
                response_headers,
                remarks,
            })
        } else {
            self.unclaimed("headers", names_of(&headers), claim_on_response);
            self.refusal(status, &headers);
            Outcome::Deny(Rejection { status, headers, body, remarks, retry_after_seconds: None })
        };
        self.mistakes.into_result().map(|()| outcome)
    }

    fn field(&self, name: &str) -> Option<&'v Value> {
        self.answer.as_object().ok()?.get(&Value::from(name))
    }

    fn wrong_type(&mut self, field: &str, expected: &str, value: &Value) {
        self.mistakes.add(format!("`{field}` must be {expected}, but is {}", type_name(value)));
    }

    fn allowed(&mut self) -> Option<bool> {
        match self.field("allowed") {
            Some(Value::Bool(allowed)) => return Some(*allowed),
            Some(other) => self.wrong_type("allowed", "a boolean", other),
            None => self.mistakes.add("`allowed` is missing".to_owned()),
        }
        None
    }

    fn text(&mut self, name: &str) -> Option<&'v str> {
        let value = self.field(name)?;
        let text = value.as_string().ok().map(AsRef::as_ref);
        if text.is_none() {
            self.wrong_type(name, "a string", value);
        }
        text
    }

    fn reason(&mut self) -> Option<String> {
        self.text("reason").map(|reason| one_line(reason, MAX_REASON))
    }

    fn body(&mut self) -> Option<String> {
        let body = self.text("body")?;
        if body.len() > MAX_BODY {
            self.mistakes.add(format!("`body` is longer than {MAX_BODY} bytes"));
            return None;
        }
        Some(body.to_owned())
    }

    fn status(&mut self) -> Option<u16> {
        let value = self.field("http_status")?;
        let Value::Number(number) = value else {
            self.wrong_type("http_status", "a number", value);
            return None;
        };
        let status = number.as_u64().and_then(|status| u16::try_from(status).ok());
        let status = status.filter(|status| status::is_known(*status));
        if status.is_none() {
            self.mistakes.add(format!(
                "`http_status` is {}, which is no HTTP status",
                shown(&number.format_decimal())
            ));
        }
        status
    }

    fn headers(&mut self, field: &str) -> Vec<Header> {
        self.field(field).map(|value| headers::headers(field, value, &mut self.mistakes)).unwrap_or_default()
    }

    fn names(&mut self, field: &str) -> Vec<String> {
        self.field(field).map(|value| headers::names(field, value, &mut self.mistakes)).unwrap_or_default()
    }

    fn unclaimed<'n>(
        &mut self,
        field: &str,
        names: impl Iterator<Item = &'n str>,
        claim: fn(&str) -> Option<&'static str>,
    ) {
        headers::unclaimed(field, names, claim, &mut self.mistakes);
    }

    /// What is added to a response that has its own headers already.
    fn response_headers(&mut self, headers: &[Header]) {
        self.unclaimed("response_headers_to_add", names_of(headers), claim_on_response);
        if headers.iter().any(|header| header.name == "content-type") {
            self.mistakes.add("`response_headers_to_add`: `content-type` would stand there twice".to_owned());
        }
    }

    /// What a refusal must be, so that the caller takes it for one.
    fn refusal(&mut self, status: Option<u16>, headers: &[Header]) {
        let has = |name: &str| headers.iter().filter(|header| header.name == name).count();
        if let Some(status) = status.filter(|status| !status::refuses(*status, has("location") > 0)) {
            self.mistakes.add(format!(
                "`http_status` is {status}, which is no refusal: use 400 or above, or a redirect with the header \
                 `location`"
            ));
        }
        if has("content-type") > 1 {
            self.mistakes.add("`headers` gives more than one `content-type`".to_owned());
        }
    }

    /// The query fields that ask for something. Their types are checked, but nothing is done with them.
    fn query_fields(&mut self) -> Vec<&'static str> {
        let (set, removed) = ("query_parameters_to_set", "query_parameters_to_remove");
        let mut asking = Vec::new();
        match self.field(set) {
            Some(Value::Object(parameters)) => {
                for (_, value) in parameters.iter_sorted().take(MAX_ITEMS) {
                    if !matches!(value, Value::String(_)) {
                        strings(set, value, &mut self.mistakes).for_each(drop);
                    }
                }
                asking.extend((!parameters.is_empty()).then_some(set));
            }
            Some(other) => self.wrong_type(set, "an object", other),
            None => {}
        }
        if let Some(value) = self.field(removed) {
            let count = strings(removed, value, &mut self.mistakes).count();
            asking.extend((count > 0).then_some(removed));
        }
        asking
    }

    fn metadata(&mut self) -> Option<Map<String, Json>> {
        let value = self.field("dynamic_metadata")?;
        if !matches!(value, Value::Object(_)) {
            self.wrong_type("dynamic_metadata", "an object", value);
            return None;
        }
        if weight(value, MAX_DEPTH, MAX_METADATA).is_none() {
            self.mistakes.add(format!(
                "`dynamic_metadata` is nested deeper than {MAX_DEPTH} levels or larger than {MAX_METADATA} bytes"
            ));
            return None;
        }
        match serde_json::to_value(value) {
            Ok(Json::Object(metadata)) => Some(metadata),
            Ok(Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_)) | Err(_) => {
                self.mistakes.add("`dynamic_metadata` cannot be written as JSON".to_owned());
                None
            }
        }
    }

    /// What a tenant's policy may not do.
    fn tenant(&mut self, status: Option<u16>) {
        for field in [
            "headers",
            "response_headers_to_add",
            "request_headers_to_remove",
            "query_parameters_to_set",
            "query_parameters_to_remove",
            "dynamic_metadata",
        ] {
            if self.field(field).is_some() {
                self.mistakes.add(format!("`{field}` is not a tenant's to give"));
            }
        }
        if let Some(status) = status.filter(|status| !(400..500).contains(status)) {
            self.mistakes.add(format!("`http_status` is {status}: a tenant's is 400 to 499"));
        }
    }
}

// === impl Mistakes ===

impl Mistakes {
    pub(super) fn add(&mut self, mistake: String) {
        if self.told.len() < MAX_MISTAKES {
            self.told.push(mistake);
        } else {
            self.more += 1;
        }
    }

    fn into_result(self) -> Result<(), String> {
        match (self.told.as_slice(), self.more) {
            ([], _) => Ok(()),
            (told, 0) => Err(told.join("; ")),
            (told, more) => Err(format!("{}; and {more} more", told.join("; "))),
        }
    }
}

/// The strings of `field`, up to [`MAX_ITEMS`]. Everything else in it is a mistake. A set is an array, as in OPA's JSON.
pub(super) fn strings<'v>(
    field: &str,
    value: &'v Value,
    mistakes: &mut Mistakes,
) -> std::vec::IntoIter<&'v str> {
    let items: Vec<&Value> = match value {
        Value::Array(items) => items.iter().take(MAX_ITEMS).collect(),
        Value::Set(items) => items.iter_sorted().take(MAX_ITEMS).collect(),
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Object(_)
        | Value::Undefined => {
            mistakes.add(format!("`{field}` must be an array of strings, but is {}", type_name(value)));
            Vec::new()
        }
    };
    let mut texts = Vec::new();
    for item in items {
        match item.as_string() {
            Ok(text) => texts.push(text.as_ref()),
            Err(_) => mistakes.add(format!("`{field}` must hold strings, but one is {}", type_name(item))),
        }
    }
    texts.into_iter()
}

/// A policy's own text, as it may stand in a message or a log: short, and on one line.
pub(super) fn shown(text: &str) -> String {
    one_line(text, MAX_SHOWN)
}

fn names_of(headers: &[Header]) -> impl Iterator<Item = &str> {
    headers.iter().map(|header| header.name.as_str())
}

/// `text` with control characters escaped, cut after `max` bytes.
fn one_line(text: &str, max: usize) -> String {
    let mut line = String::new();
    for char in text.chars() {
        let length = line.len();
        if char.is_control() {
            line.extend(char.escape_default());
        } else {
            line.push(char);
        }
        if line.len() > max {
            line.truncate(length);
            line.push('…');
            break;
        }
    }
    line
}

/// What is left of `budget` after `value`; nothing where it is too much, or nested deeper than `depth`.
fn weight(value: &Value, depth: usize, budget: usize) -> Option<usize> {
    let depth = depth.checked_sub(1)?;
    let budget = budget.checked_sub(16)?;
    let both = |budget, (key, value)| weight(value, depth, weight(key, depth, budget)?);
    match value {
        Value::Null | Value::Bool(_) | Value::Undefined => Some(budget),
        Value::Number(number) => budget.checked_sub(number.format_decimal().len()),
        Value::String(text) => budget.checked_sub(text.len()),
        Value::Array(items) => items.iter().try_fold(budget, |budget, item| weight(item, depth, budget)),
        Value::Set(items) => items.iter().try_fold(budget, |budget, item| weight(item, depth, budget)),
        Value::Object(fields) => fields.iter().try_fold(budget, both),
    }
}
