//! Selecting and removing parts of documents by paths.

use std::collections::{BTreeMap, BTreeSet};

use regorus::Value;

use super::operand::{elements, mismatch, operands, type_name};
use super::{Builtin, Failure, Outcome, Surroundings, Work};

pub(super) const BUILTINS: &[Builtin] =
    &[Builtin::new("json.filter", 2, filter), Builtin::new("json.remove", 2, remove)];

/// Longer than any document is deep.
const MOST_SEGMENTS: usize = 256;

/// Paths by their first segments.
enum Paths {
    /// A path ends here.
    End,
    Further(BTreeMap<Value, Paths>),
}

/// The segments of a path: of a text with slashes, or as an array has them.
pub(super) fn segments(path: &Value, work: &mut Work) -> Result<Vec<Value>, Failure> {
    work.weigh(path)?;
    let segments: Vec<Value> = match path {
        Value::String(text) if text.is_empty() => Vec::new(),
        Value::String(text) => text
            .trim_start_matches('/')
            .split('/')
            .map(|part| Value::from(part.replace("~1", "/").replace("~0", "~")))
            .collect(),
        Value::Array(items) => items.iter().cloned().collect(),
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::Set(_)
        | Value::Object(_)
        | Value::Undefined => {
            let got = type_name(path);
            return Err(Failure::undefined(format!(
                "operand 2 must be one of {{set, array}} containing string paths or array of path segments but got {got}"
            )));
        }
    };
    if segments.len() > MOST_SEGMENTS {
        return Err(Failure::fatal("a path has too many segments"));
    }
    work.spend(segments.len() as u64)?;
    Ok(segments)
}

fn paths(value: &Value, work: &mut Work) -> Result<Paths, Failure> {
    let mut root = BTreeMap::new();
    for path in elements(value).ok_or_else(|| mismatch(2, "one of {set, array}", value))? {
        insert(&mut root, segments(path, work)?);
    }
    Ok(Paths::Further(root))
}

/// Of two paths, one of which begins with the other, the shorter holds.
fn insert(mut node: &mut BTreeMap<Value, Paths>, mut path: Vec<Value>) {
    let Some(last) = path.pop() else { return };
    for segment in path {
        match node.entry(segment).or_insert_with(|| Paths::Further(BTreeMap::new())) {
            Paths::End => return,
            Paths::Further(next) => node = next,
        }
    }
    node.insert(last, Paths::End);
}

fn object_and_paths<'v>(
    surroundings: &mut Surroundings,
    arguments: &'v [Value],
) -> Result<(&'v Value, Paths), Failure> {
    let [object, selected] = operands(arguments)?;
    if !matches!(object, Value::Object(_)) {
        return Err(mismatch(1, "object", object));
    }
    Ok((object, paths(selected, &mut surroundings.work)?))
}

fn filter(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let (object, paths) = object_and_paths(surroundings, arguments)?;
    selected(object, &paths, &mut surroundings.work)
}

/// Elements of arrays are named by the text of their index.
fn index(at: usize) -> Value {
    Value::from(at.to_string())
}

fn selected(value: &Value, paths: &Paths, work: &mut Work) -> Outcome {
    let Paths::Further(paths) = paths else { return Ok(value.clone()) };
    match value {
        Value::Array(items) => {
            work.spend(items.len() as u64)?;
            let mut kept = Vec::new();
            for (at, item) in items.iter().enumerate() {
                if let Some(paths) = paths.get(&index(at)) {
                    kept.push(selected(item, paths, work)?);
                }
            }
            Ok(Value::from(kept))
        }
        Value::Set(items) => {
            let mut kept = BTreeSet::new();
            for item in items.iter() {
                work.weigh(item)?;
                if let Some(paths) = paths.get(item) {
                    kept.insert(selected(item, paths, work)?);
                }
            }
            Ok(Value::from(kept))
        }
        Value::Object(entries) => {
            let mut kept = BTreeMap::new();
            for (key, value) in entries.iter() {
                work.weigh(key)?;
                if let Some(paths) = paths.get(key) {
                    kept.insert(key.clone(), selected(value, paths, work)?);
                }
            }
            Ok(Value::from(kept))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Undefined => {
            Ok(value.clone())
        }
    }
}

fn remove(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let (object, paths) = object_and_paths(surroundings, arguments)?;
    remaining(object, Some(&paths), &mut surroundings.work)?
        .ok_or_else(|| Failure::undefined("nothing remains"))
}

/// What remains of a value, nothing where a path ends at it.
fn remaining(value: &Value, paths: Option<&Paths>, work: &mut Work) -> Result<Option<Value>, Failure> {
    let paths = match paths {
        None => return Ok(Some(value.clone())),
        Some(Paths::End) => return Ok(None),
        Some(Paths::Further(paths)) => paths,
    };
    Ok(Some(match value {
        Value::Array(items) => {
            work.spend(items.len() as u64)?;
            let mut kept = Vec::new();
            for (at, item) in items.iter().enumerate() {
                kept.extend(remaining(item, paths.get(&index(at)), work)?);
            }
            Value::from(kept)
        }
        Value::Set(items) => {
            let mut kept = BTreeSet::new();
            for item in items.iter() {
                work.weigh(item)?;
                kept.extend(remaining(item, paths.get(item), work)?);
            }
            Value::from(kept)
        }
        Value::Object(entries) => {
            let mut kept = BTreeMap::new();
            for (key, value) in entries.iter() {
                work.weigh(key)?;
                if let Some(value) = remaining(value, paths.get(key), work)? {
                    kept.insert(key.clone(), value);
                }
            }
            Value::from(kept)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Undefined => {
            value.clone()
        }
    }))
}
