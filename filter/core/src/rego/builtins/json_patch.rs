//! JSON Patch, as far as OPA's tree of edits does what it says.
//!
//! OPA looks elements of an array up by their first positions, even where others were put in or taken out before
//! them. What it would then answer is not known here.

use std::collections::BTreeMap;

use regorus::Value;

use super::comparison::equal;
use super::json_paths::segments;
use super::number::numeric;
use super::operand::{mismatch, operands};
use super::{Builtin, Failure, Outcome, Surroundings, Work};
use crate::rego::order::is_composite;

pub(super) const BUILTINS: &[Builtin] = &[Builtin::new("json.patch", 2, patch)];

/// Deeper than documents are.
const MOST_DEPTH: usize = 256;

/// A document that is being edited: what was not looked into is as it was.
enum Node {
    Plain(Value),
    Object(BTreeMap<Value, Node>),
    Array(Vec<Element>),
}

struct Element {
    /// Where it stood at first, if it is still what it was.
    origin: Option<usize>,
    node: Node,
}

/// The operations of a patch.
struct Editor<'w> {
    root: Node,
    /// The whole document was put in the place of another one.
    is_replaced: bool,
    work: &'w mut Work,
}

fn patch(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [document, operations] = operands(arguments)?;
    let Value::Array(operations) = operations else { return Err(mismatch(2, "array", operations)) };
    surroundings.work.weigh(document)?;
    let mut editor =
        Editor { root: Node::Plain(document.clone()), is_replaced: false, work: &mut surroundings.work };
    for operation in operations.iter() {
        editor.apply(operation)?;
    }
    let result = editor.root.render(editor.work)?;
    surroundings.work.weigh(&result)?;
    Ok(result)
}

fn wrong(what: &str) -> Failure {
    Failure::undefined(format!("json.patch: {what}"))
}

// === impl Editor ===

impl Editor<'_> {
    fn apply(&mut self, operation: &Value) -> Result<(), Failure> {
        let Value::Object(members) = operation else { return Err(wrong("an operation is no object")) };
        let member =
            |name: &str| members.get(&Value::from(name)).ok_or_else(|| wrong("an attribute is missing"));
        let path = member("path")?;
        let Value::String(name) = member("op")? else { return Err(wrong("attribute `op` must be a string")) };
        let path = segments(path, self.work)?;
        match &**name {
            "add" => {
                let value = member("value")?;
                self.insert(&path, value)
            }
            "remove" => self.delete(&path),
            "replace" => {
                self.delete(&path)?;
                let value = member("value")?;
                self.insert(&path, value)
            }
            "move" => {
                let from = segments(member("from")?, self.work)?;
                let value = self.at(&from)?;
                self.delete(&from)?;
                self.insert(&path, &value)
            }
            "copy" => {
                let from = segments(member("from")?, self.work)?;
                let value = self.at(&from)?;
                self.insert(&path, &value)
            }
            "test" => {
                let found = self.at(&path)?;
                if equal(&found, member("value")?, self.work)? { Ok(()) } else { Err(wrong("a test failed")) }
            }
            _ => Err(wrong("unknown operation")),
        }
    }

    /// The value at a path.
    fn at(&mut self, path: &[Value]) -> Outcome {
        open(&mut self.root, self.is_replaced, path, self.work)?.render(self.work)
    }

    fn insert(&mut self, path: &[Value], value: &Value) -> Result<(), Failure> {
        self.work.weigh(value)?;
        if depth(value) + path.len() > MOST_DEPTH {
            return Err(Failure::fatal("json.patch: a value is nested too deeply"));
        }
        let Some((last, parent)) = path.split_last() else {
            self.root = Node::Plain(value.clone());
            self.is_replaced = true;
            return Ok(());
        };
        if self.is_replaced {
            return Err(replaced());
        }
        open(&mut self.root, false, parent, self.work)?.insert(last, value, self.work)
    }

    fn delete(&mut self, path: &[Value]) -> Result<(), Failure> {
        let Some((last, parent)) = path.split_last() else {
            self.root = Node::Plain(Value::Undefined);
            self.is_replaced = true;
            return Ok(());
        };
        if self.is_replaced {
            return Err(replaced());
        }
        open(&mut self.root, false, parent, self.work)?.delete(last, self.work)
    }
}

fn replaced() -> Failure {
    Failure::fatal("json.patch: OPA cannot edit a document that it has replaced as a whole")
}

/// The node at a path, opened on the way.
fn open<'n>(
    root: &'n mut Node,
    is_replaced: bool,
    path: &[Value],
    work: &mut Work,
) -> Result<&'n mut Node, Failure> {
    if is_replaced && !path.is_empty() {
        return Err(replaced());
    }
    let mut node = root;
    for key in path {
        node = node.child(key, work)?;
    }
    Ok(node)
}

// === impl Node ===

impl Node {
    /// Makes the children of a node reachable, if it has some.
    fn unfold(&mut self, work: &mut Work) -> Result<(), Failure> {
        let Self::Plain(value) = self else { return Ok(()) };
        match value {
            Value::Object(entries) => {
                work.spend(entries.len() as u64)?;
                let children = entries.iter().map(|(key, value)| (key.clone(), Self::Plain(value.clone())));
                *self = Self::Object(children.collect());
            }
            Value::Array(items) => {
                work.spend(items.len() as u64)?;
                let elements = items.iter().enumerate();
                *self = Self::Array(
                    elements
                        .map(|(at, item)| Element { origin: Some(at), node: Self::Plain(item.clone()) })
                        .collect(),
                );
            }
            Value::Set(_)
            | Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Undefined => {}
        }
        Ok(())
    }

    fn child(&mut self, key: &Value, work: &mut Work) -> Result<&mut Self, Failure> {
        self.unfold(work)?;
        match self {
            Self::Object(children) => children.get_mut(key).ok_or_else(|| wrong("a path does not exist")),
            Self::Array(elements) => {
                let at = index(elements.len(), key)?;
                let element = elements.get_mut(at).ok_or_else(|| wrong("a path does not exist"))?;
                if element.origin.is_some_and(|origin| origin != at) {
                    return Err(Failure::fatal(
                        "json.patch: OPA does not find elements of an array after others were moved",
                    ));
                }
                // What was looked at moves with the others from now on.
                element.origin = None;
                Ok(&mut element.node)
            }
            Self::Plain(Value::Set(_)) => {
                Err(Failure::fatal("json.patch: paths through sets are not known here"))
            }
            Self::Plain(_) => Err(wrong("a path goes through a value that has no parts")),
        }
    }

    fn insert(&mut self, key: &Value, value: &Value, work: &mut Work) -> Result<(), Failure> {
        self.unfold(work)?;
        match self {
            Self::Object(children) => {
                children.insert(key.clone(), Self::Plain(value.clone()));
                Ok(())
            }
            Self::Array(elements) => {
                let at = index(elements.len(), key)?;
                if at > elements.len() {
                    return Err(wrong("an index is out of bounds"));
                }
                work.spend_on(elements.len())?;
                elements.insert(at, Element { origin: None, node: Self::Plain(value.clone()) });
                Ok(())
            }
            Self::Plain(Value::Set(items)) => {
                if key != value {
                    return Err(wrong("an element of a set is its own key"));
                }
                if is_composite(key) {
                    return Err(Failure::fatal("json.patch: such elements of sets are not known here"));
                }
                work.spend(items.len() as u64)?;
                let items = items.iter().cloned().chain([value.clone()]);
                *self = Self::Plain(Value::from(items.collect::<std::collections::BTreeSet<_>>()));
                Ok(())
            }
            Self::Plain(_) => Err(wrong("a path goes through a value that has no parts")),
        }
    }

    fn delete(&mut self, key: &Value, work: &mut Work) -> Result<(), Failure> {
        self.unfold(work)?;
        match self {
            Self::Object(children) => {
                children.remove(key).map(|_| ()).ok_or_else(|| wrong("a path does not exist"))
            }
            Self::Array(elements) => {
                let at = index(elements.len(), key)?;
                if at >= elements.len() {
                    return Err(wrong("an index is out of bounds"));
                }
                work.spend_on(elements.len())?;
                elements.remove(at);
                Ok(())
            }
            Self::Plain(Value::Set(items)) => {
                if is_composite(key) {
                    return Err(Failure::fatal("json.patch: such elements of sets are not known here"));
                }
                if !items.contains(key) {
                    return Err(wrong("a path does not exist"));
                }
                work.spend(items.len() as u64)?;
                let items = items.iter().filter(|item| *item != key).cloned();
                *self = Self::Plain(Value::from(items.collect::<std::collections::BTreeSet<_>>()));
                Ok(())
            }
            Self::Plain(_) => Err(wrong("a path goes through a value that has no parts")),
        }
    }

    fn render(&self, work: &mut Work) -> Outcome {
        work.spend(1)?;
        match self {
            Self::Plain(Value::Undefined) => {
                Err(Failure::fatal("json.patch: OPA halts where the whole document is removed"))
            }
            Self::Plain(value) => Ok(value.clone()),
            Self::Object(children) => {
                let mut entries = BTreeMap::new();
                for (key, child) in children {
                    entries.insert(key.clone(), child.render(work)?);
                }
                Ok(Value::from(entries))
            }
            Self::Array(elements) => {
                let items = elements.iter().map(|element| element.node.render(work));
                Ok(Value::from(items.collect::<Result<Vec<_>, _>>()?))
            }
        }
    }
}

/// An index, as a number or its text; `-` is behind the last element.
fn index(length: usize, key: &Value) -> Result<usize, Failure> {
    let out_of_bounds = || wrong("an index is out of bounds");
    match key {
        Value::Number(_) => {
            let index = numeric(key).and_then(|number| number.integer());
            usize::try_from(index.ok_or_else(|| wrong("an index is no integer"))?)
                .map_err(|_| out_of_bounds())
        }
        Value::String(text) if &**text == "-" => Ok(length),
        Value::String(text) => {
            let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty();
            if !plain && text.starts_with(['-', '+', '.']) | text.contains('.') {
                return Err(Failure::fatal(format!("json.patch: the index `{text}` is not known here")));
            }
            if !plain || text.len() > 1 && text.starts_with('0') {
                return Err(wrong("an index is no integer"));
            }
            text.parse().map_err(|_| out_of_bounds())
        }
        Value::Null
        | Value::Bool(_)
        | Value::Array(_)
        | Value::Set(_)
        | Value::Object(_)
        | Value::Undefined => Err(wrong("an index is no integer")),
    }
}

/// How deep a value is.
fn depth(value: &Value) -> usize {
    let inner = match value {
        Value::Array(items) => items.iter().map(depth).max(),
        Value::Set(items) => items.iter().map(depth).max(),
        Value::Object(entries) => entries.iter().map(|(key, value)| depth(key).max(depth(value))).max(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Undefined => return 0,
    };
    1 + inner.unwrap_or(0)
}
