//! Graphs, and walking through documents.

use std::collections::{BTreeSet, VecDeque};

use regorus::Value;

use super::operand::{elements, mismatch, operands};
use super::{Builtin, Failure, Outcome, Surroundings, Work};
use crate::rego::order::{sorted, sorted_entries};

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin::new("graph.reachable", 2, reachable),
    Builtin::new("graph.reachable_paths", 2, reachable_paths),
    Builtin::new("walk", 1, walk).relation(),
];

/// Deeper than documents are.
const MOST_DEPTH: usize = 512;

/// The neighbours of a node, none if it is not in the graph.
fn neighbours<'v>(graph: &'v Value, node: &Value) -> Option<Vec<&'v Value>> {
    let Value::Object(graph) = graph else { return None };
    graph.get(node).map(|edges| elements(edges).unwrap_or_default())
}

fn starts<'v>(graph: &Value, initial: &'v Value) -> Result<Vec<&'v Value>, Failure> {
    if !matches!(graph, Value::Object(_)) {
        return Err(mismatch(1, "object", graph));
    }
    elements(initial).ok_or_else(|| mismatch(2, "{array, set}", initial))
}

fn reachable(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [graph, initial] = operands(arguments)?;
    let work = &mut surroundings.work;
    work.weigh(graph)?;
    let mut queue: VecDeque<&Value> = starts(graph, initial)?.into();
    let mut reached = BTreeSet::new();
    while let Some(node) = queue.pop_front() {
        work.weigh(node)?;
        if reached.contains(node) {
            continue;
        }
        if let Some(edges) = neighbours(graph, node) {
            work.spend(edges.len() as u64)?;
            queue.extend(edges);
            reached.insert(node.clone());
        }
    }
    Ok(Value::from(reached))
}

fn reachable_paths(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [graph, initial] = operands(arguments)?;
    let work = &mut surroundings.work;
    work.weigh(graph)?;
    let mut paths = BTreeSet::new();
    for node in starts(graph, initial)? {
        work.weigh(node)?;
        let Some(edges) = neighbours(graph, node) else { continue };
        if edges.is_empty() {
            paths.insert(Value::from(vec![node.clone()]));
        }
        // Depth first, without recursion: what is left to visit, and the path to it.
        let mut pending: Vec<(&Value, Vec<&Value>)> =
            edges.into_iter().map(|edge| (edge, vec![node])).collect();
        while let Some((node, mut path)) = pending.pop() {
            work.spend(path.len() as u64)?;
            work.weigh(node)?;
            if path.len() > MOST_DEPTH {
                return Err(Failure::fatal("a path in the graph is too long"));
            }
            // The first step may lead back to where it began.
            let is_circle = path.len() > 1 && path.contains(&node);
            if let Some(edges) = neighbours(graph, node).filter(|_| !is_circle) {
                path.push(node);
                if !edges.is_empty() {
                    work.spend((edges.len() * path.len()) as u64 / 4)?;
                    pending.extend(edges.into_iter().map(|edge| (edge, path.clone())));
                    continue;
                }
            }
            // A node that is not in the graph, or closes a circle, is not on the path.
            paths.insert(Value::from(path.into_iter().cloned().collect::<Vec<_>>()));
        }
    }
    Ok(Value::from(paths))
}

/// All values within a value and itself, as pairs of path and value.
fn walk(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [value] = operands(arguments)?;
    let mut found = Vec::new();
    visit(value, &mut Vec::new(), &mut found, &mut surroundings.work)?;
    Ok(Value::from(found))
}

fn visit(
    value: &Value,
    path: &mut Vec<Value>,
    found: &mut Vec<Value>,
    work: &mut Work,
) -> Result<(), Failure> {
    work.spend(4 + path.len() as u64 / 4)?;
    if path.len() > MOST_DEPTH {
        return Err(Failure::fatal("a value is nested too deeply"));
    }
    found.push(Value::from(vec![Value::from(path.clone()), value.clone()]));
    let mut step = |key: Value, value: &Value| {
        path.push(key);
        let result = visit(value, path, found, work);
        path.pop();
        result
    };
    match value {
        Value::Array(items) => {
            items.iter().enumerate().try_for_each(|(at, item)| step(Value::from(at), item))
        }
        Value::Set(items) => sorted(items.iter()).into_iter().try_for_each(|item| step(item.clone(), item)),
        Value::Object(entries) => {
            sorted_entries(entries.iter()).into_iter().try_for_each(|(key, value)| step(key.clone(), value))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Undefined => Ok(()),
    }
}
