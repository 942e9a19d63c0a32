//! Headers as a policy's answer gives them.

use std::collections::BTreeSet;

use regorus::Value;

use super::reading::{MAX_ITEMS, Mistakes, shown, strings};
use crate::policy::document::type_name;

/// One header, its name in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// How many headers one field may give.
const MAX_HEADERS: usize = MAX_ITEMS - 1;
/// How long their names and values may be together: what most servers take for a whole request.
const MAX_BYTES: usize = 16 * 1024;
/// The longest name.
const MAX_NAME: usize = 256;

/// Reads the headers of `field`: an object of names to a value or several, or an array of such objects. Equal names
/// come together, in their order.
pub(super) fn headers(field: &str, value: &Value, mistakes: &mut Mistakes) -> Vec<Header> {
    let objects: Vec<&Value> = match value {
        Value::Object(_) => vec![value],
        Value::Array(items) => items.iter().take(MAX_ITEMS).collect(),
        Value::Set(items) => items.iter_sorted().take(MAX_ITEMS).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Undefined => {
            mistakes.add(format!(
                "`{field}` must be an object or an array of objects, but is {}",
                type_name(value)
            ));
            Vec::new()
        }
    };
    let mut headers = Vec::new();
    // What is beyond the bounds is not read, so it must not pass unseen because what was read is empty.
    let mut most = objects.len();
    for object in objects {
        most = most.max(object.as_object().map_or(0, |fields| fields.len()));
        collect(field, object, &mut headers, mistakes);
    }
    headers.sort_by(|one: &Header, other: &Header| one.name.cmp(&other.name));
    let bytes = headers.iter().map(|header| header.name.len() + header.value.len());
    bounds(field, most.max(headers.len()), bytes.sum(), mistakes);
    headers
}

/// Reads the names of headers in `field`.
pub(super) fn names(field: &str, value: &Value, mistakes: &mut Mistakes) -> Vec<String> {
    let texts = strings(field, value, mistakes);
    let names: Vec<String> = texts.filter_map(|text| name(field, text, mistakes)).collect();
    bounds(field, names.len(), names.iter().map(String::len).sum(), mistakes);
    names
}

/// Refuses the `names` that `claim` has a word against.
pub(super) fn unclaimed<'a>(
    field: &str,
    names: impl Iterator<Item = &'a str>,
    claim: fn(&str) -> Option<&'static str>,
    mistakes: &mut Mistakes,
) {
    for name in names.collect::<BTreeSet<_>>() {
        if let Some(claim) = claim(name) {
            mistakes.add(format!("`{field}`: `{}` {claim} and is not the policy's to change", shown(name)));
        }
    }
}

fn collect(field: &str, value: &Value, headers: &mut Vec<Header>, mistakes: &mut Mistakes) {
    let Value::Object(fields) = value else {
        return mistakes.add(format!("`{field}` must hold objects, but one is {}", type_name(value)));
    };
    for (key, value) in fields.iter_sorted().take(MAX_ITEMS) {
        let Value::String(key) = key else {
            mistakes
                .add(format!("`{field}`: a header's name must be a string, but one is {}", type_name(key)));
            continue;
        };
        // Enough to see that there are too many; what is copied stays small.
        if headers.len() > MAX_HEADERS {
            return;
        }
        let Some(name) = name(field, key, mistakes) else { continue };
        let place = format!("{field}.{name}");
        let mut add = |text: &str, mistakes: &mut Mistakes| match malformed(text) {
            Some(problem) => mistakes.add(format!("`{place}`: its value {problem}")),
            None => headers.push(Header { name: name.clone(), value: text.to_owned() }),
        };
        match value {
            Value::String(text) => add(text, mistakes),
            Value::Array(_) | Value::Set(_) => {
                let texts: Vec<&str> = strings(&place, value, mistakes).collect();
                texts.into_iter().for_each(|text| add(text, mistakes));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) | Value::Undefined => mistakes
                .add(format!(
                    "`{place}` must be a string or an array of strings, but is {}",
                    type_name(value)
                )),
        }
    }
}

fn bounds(field: &str, count: usize, bytes: usize, mistakes: &mut Mistakes) {
    if count > MAX_HEADERS {
        mistakes.add(format!("`{field}` gives more than {MAX_HEADERS} headers"));
    }
    if bytes > MAX_BYTES {
        mistakes.add(format!("`{field}` is longer than {MAX_BYTES} bytes"));
    }
}

/// A header's name in lower case. Pseudo-headers pass: who may touch which header is another question.
fn name(field: &str, text: &str, mistakes: &mut Mistakes) -> Option<String> {
    let token = text.strip_prefix(':').unwrap_or(text);
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if token.is_empty() || token.len() > MAX_NAME || !token.bytes().all(allowed) {
        mistakes.add(format!("`{field}`: `{}` is not the name of a header", shown(text)));
        return None;
    }
    Some(text.to_ascii_lowercase())
}

/// What no header may contain, because it would end there, or be read in different ways.
fn malformed(value: &str) -> Option<&'static str> {
    if value.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
        Some("contains a control character")
    } else if value.len() > MAX_BYTES {
        Some("is longer than 16384 bytes")
    } else if value.starts_with([' ', '\t']) || value.ends_with([' ', '\t']) {
        Some("begins or ends with a space")
    } else {
        None
    }
}
