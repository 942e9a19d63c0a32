//! The policy's own say in what is logged: `data.system.log.drop` and `data.system.log.mask`, as in OPA.

use serde_json::{Value, json};

use super::entry::Entry;
use crate::policy::{LogRule, Policy};

/// What the policy makes of an event.
#[derive(Debug)]
pub(super) enum Masked {
    /// This one.
    Event(Vec<u8>),
    /// Nothing: it is not to be logged.
    Omitted,
}

/// One thing that a mask does.
#[derive(Debug, PartialEq)]
enum Change {
    Remove(String),
    Upsert(String, Value),
}

/// The parts of an event that a mask may change.
const MASKABLE: [&str; 2] = ["/input", "/result"];

/// Applies the rules to an event. Where `drop` has no answer the event is logged; where `mask` has none that can be read,
/// its input is erased, because what the operator wanted hidden is not known.
pub(super) fn apply(event: Vec<u8>, policy: &Policy, entry: &Entry) -> Masked {
    let Ok(text) = std::str::from_utf8(&event) else { return Masked::Event(event) };
    let ask = |rule| policy.of_its_log(rule, text, entry.at, entry.id.seed());
    if ask(LogRule::Drop).is_ok_and(|answer| answer == Some(Value::Bool(true))) {
        return Masked::Omitted;
    }
    let changes = match ask(LogRule::Mask) {
        Ok(None) => return Masked::Event(event),
        Ok(Some(answer)) => read(answer),
        Err(_) => None,
    };
    let Some(changes) = changes else { return hidden(event) };
    let Ok(mut document) = serde_json::from_str(text) else { return Masked::Event(event) };
    for change in changes {
        change.make(&mut document);
    }
    Masked::Event(document.to_string().into_bytes())
}

/// The event without its input, because what should not be seen of it is not known.
pub(super) fn hidden(event: Vec<u8>) -> Masked {
    let Ok(mut document) = serde_json::from_slice(&event) else { return Masked::Event(event) };
    upsert(&mut document, "/input", json!({}));
    list(&mut document, "erased", "/input");
    upsert(&mut document, "/mask_error", json!("`data.system.log.mask` could not be applied"));
    Masked::Event(document.to_string().into_bytes())
}

/// What a mask wants; nothing where that cannot be told.
fn read(answer: Value) -> Option<Vec<Change>> {
    let Value::Array(items) = answer else { return None };
    items.into_iter().map(Change::read).collect()
}

// === impl Change ===

impl Change {
    fn read(item: Value) -> Option<Self> {
        let change = match item {
            Value::String(path) => Self::Remove(path),
            Value::Object(mut fields) => {
                let path = fields.get("path")?.as_str()?.to_owned();
                match fields.get("op")?.as_str()? {
                    "remove" => Self::Remove(path),
                    "upsert" => Self::Upsert(path, fields.remove("value")?),
                    _ => return None,
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => return None,
        };
        let (Self::Remove(path) | Self::Upsert(path, _)) = &change;
        let is_below = |part: &&str| {
            path.strip_prefix(*part).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        MASKABLE.iter().any(is_below).then_some(change)
    }

    /// What is not there is left alone, as OPA does.
    fn make(self, document: &mut Value) {
        match self {
            Self::Remove(path) => {
                if remove(document, &path) {
                    list(document, "erased", &path);
                }
            }
            Self::Upsert(path, value) => {
                if upsert(document, &path, value) {
                    list(document, "masked", &path);
                }
            }
        }
    }
}

/// The last part of a JSON pointer, decoded, and what it is in.
fn place<'d>(document: &'d mut Value, path: &str) -> Option<(&'d mut Value, String)> {
    let (above, last) = path.rsplit_once('/')?;
    Some((document.pointer_mut(above)?, last.replace("~1", "/").replace("~0", "~")))
}

fn remove(document: &mut Value, path: &str) -> bool {
    match place(document, path) {
        Some((Value::Object(parent), name)) => parent.remove(&name).is_some(),
        Some((Value::Array(parent), name)) => match name.parse::<usize>() {
            Ok(at) if at < parent.len() => {
                parent.remove(at);
                true
            }
            Ok(_) | Err(_) => false,
        },
        Some(_) | None => false,
    }
}

fn upsert(document: &mut Value, path: &str, value: Value) -> bool {
    match place(document, path) {
        Some((Value::Object(parent), name)) => {
            parent.insert(name, value);
            true
        }
        Some((Value::Array(parent), name)) => {
            let slot = name.parse::<usize>().ok().and_then(|at| parent.get_mut(at));
            slot.map(|slot| *slot = value).is_some()
        }
        Some(_) | None => false,
    }
}

/// Adds a pointer to the list of that name.
fn list(document: &mut Value, name: &str, pointer: &str) {
    let Some(fields) = document.as_object_mut() else { return };
    if let Some(listed) = fields.entry(name).or_insert_with(|| json!([])).as_array_mut() {
        listed.push(json!(pointer));
    }
}
