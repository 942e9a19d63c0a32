//! What rules need, and those that need themselves. OPA refuses them, and an evaluation of one would end at its limits.

use regorus::Value;

use super::{
    Problem,
    ir::{Callee, Definition, NodeId, Operand, Replaced, Replacement, Rule, RuleId, Step, StepKind},
    names::Tree,
    retire,
    visit::{self, Part},
};
use crate::pace::Pace;

/// What rules and the packages around them need.
pub(super) struct Needs {
    /// For each rule, and behind the rules for each node of the tree, what it needs. A node needs its rule and the nodes
    /// below it: a rule that asks for a package needs one thing and not all that stands there.
    pub(super) edges: Vec<Vec<usize>>,
}

// === impl Needs ===

impl Needs {
    pub(super) async fn new(rules: &[Rule], tree: &Tree, pace: &Pace) -> Self {
        let of_node = |id: NodeId| rules.len() + id;
        let mut edges = Vec::new();
        for rule in rules {
            edges.push(needed_by(rule, tree, &of_node, pace).await);
        }
        for node in &tree.nodes {
            pace.spend(1 + node.children.len() / 10).await;
            edges.push(node.rule.into_iter().chain(node.children.values().map(|id| of_node(*id))).collect());
        }
        Self { edges }
    }

    /// All vertices, each behind those that it needs. Those that need themselves are left out.
    pub(super) async fn in_order(&self, pace: &Pace) -> Vec<usize> {
        let incoming = self.reversed(pace).await;
        let mut left: Vec<usize> = self.edges.iter().map(Vec::len).collect();
        let mut order: Vec<usize> = (0..self.edges.len()).filter(|at| left.get(*at) == Some(&0)).collect();
        let mut next = 0;
        while let Some(at) = order.get(next).copied() {
            next += 1;
            pace.spend(1).await;
            for from in incoming.get(at).into_iter().flatten() {
                let Some(count) = left.get_mut(*from) else { continue };
                *count = count.saturating_sub(1);
                if *count == 0 {
                    order.push(*from);
                }
            }
        }
        order
    }

    /// For each vertex, those that need it.
    pub(super) async fn reversed(&self, pace: &Pace) -> Vec<Vec<usize>> {
        let mut reversed = vec![Vec::new(); self.edges.len()];
        for (from, targets) in self.edges.iter().enumerate() {
            pace.spend(1).await;
            for to in targets {
                reversed.get_mut(*to).into_iter().for_each(|sources: &mut Vec<usize>| sources.push(from));
            }
        }
        reversed
    }
}

async fn needed_by(rule: &Rule, tree: &Tree, of_node: &dyn Fn(NodeId) -> usize, pace: &Pace) -> Vec<usize> {
    let mut needed = Vec::new();
    for definition in rule.definitions.iter().chain(&rule.default) {
        pace.spend(visit::units(definition)).await;
        needed_by_definition(definition, tree, of_node, &mut needed);
    }
    needed.sort_unstable();
    needed.dedup();
    needed
}

fn needed_by_definition(
    definition: &Definition,
    tree: &Tree,
    of_node: &dyn Fn(NodeId) -> usize,
    needed: &mut Vec<usize>,
) {
    visit::definition(definition, &mut |part| match part {
        Part::Callee(Callee::Function(id)) => needed.push(id),
        Part::Operand(Operand::Rule(id) | Operand::Keyed(id, _)) => needed.push(*id),
        Part::Operand(Operand::Document(node, keys)) => {
            let constants = keys.iter().map_while(|key| match key {
                Operand::Constant(value) => Some(value),
                _ => None,
            });
            needed.extend(match at(tree, *node, constants) {
                Some(At::Rule(id)) => Some(id),
                Some(At::Node(id)) => Some(of_node(id)),
                None => None,
            });
        }
        Part::Callee(Callee::Builtin(_)) | Part::Operand(_) | Part::Pattern(_) | Part::Step(_) => {}
    });
}

enum At {
    Rule(RuleId),
    Node(NodeId),
}

/// What stands at constants below a node; nothing where only base data can.
fn at<'v>(tree: &Tree, node: NodeId, constants: impl Iterator<Item = &'v Value>) -> Option<At> {
    let mut at = node;
    for part in constants {
        let node = tree.node(at)?;
        if let Some(rule) = node.rule {
            return Some(At::Rule(rule));
        }
        at = part.as_string().ok().and_then(|name| node.children.get(&**name)).copied()?;
    }
    Some(tree.node(at)?.rule.map_or(At::Node(at), At::Rule))
}

/// For each rule, the rules in whose place its `with`s put something, and those that would stand in it. For OPA it needs
/// them too.
async fn replaced(rules: &[Rule], tree: &Tree, pace: &Pace) -> Vec<Vec<usize>> {
    let mut by_rule = Vec::new();
    for rule in rules {
        let mut replaced = Vec::new();
        for definition in rule.definitions.iter().chain(&rule.default) {
            pace.spend(visit::units(definition)).await;
            replaced_by(definition, rules.len(), tree, &mut replaced);
        }
        by_rule.push(replaced);
    }
    by_rule
}

fn replaced_by(definition: &Definition, rules: usize, tree: &Tree, replaced: &mut Vec<usize>) {
    visit::definition(definition, &mut |part| {
        let Part::Step(Step { kind: StepKind::With(with), .. }) = part else { return };
        for replacement in &with.replacements {
            match replacement {
                Replacement::Data(path, _) => match at(tree, Tree::ROOT, path.iter()) {
                    Some(At::Rule(id)) => replaced.push(id),
                    Some(At::Node(node)) => replaced.push(rules + node),
                    None => {}
                },
                Replacement::Function(Replaced::Function(id), _)
                | Replacement::Constant(Replaced::Function(id), _) => replaced.push(*id),
                Replacement::Input(..)
                | Replacement::Function(Replaced::Builtin(_), _)
                | Replacement::Constant(Replaced::Builtin(_), _) => {}
            }
        }
    });
}

pub(super) async fn recursive(rules: &[Rule], needs: &Needs, tree: &Tree, pace: &Pace) -> Vec<Problem> {
    let mut with_replaced = Needs { edges: needs.edges.clone() };
    for (edges, mut replaced) in with_replaced.edges.iter_mut().zip(replaced(rules, tree, pace).await) {
        pace.spend(1).await;
        edges.append(&mut replaced);
        edges.sort_unstable();
        edges.dedup();
    }
    let reversed = with_replaced.reversed(pace).await;
    let cycles = within_cycles(&with_replaced.edges, &reversed, pace).await;
    retire::all(reversed, pace).await;
    retire::all(with_replaced.edges, pace).await;
    cycles
        .into_iter()
        .filter_map(|id| rules.get(id))
        .map(|rule| Problem {
            at: rule.definitions.first().or(rule.default.as_ref()).map(|first| first.at).unwrap_or_default(),
            message: format!("the rule `{}` is recursive: it needs its own value", rule.name),
        })
        .collect()
}

/// The vertices that can reach themselves: what is left when everything that needs nothing left is taken away, from both
/// ends.
async fn within_cycles(edges: &[Vec<usize>], reversed: &[Vec<usize>], pace: &Pace) -> Vec<usize> {
    let mut removed = vec![false; edges.len()];
    for (outgoing, incoming) in [(edges, reversed), (reversed, edges)] {
        let live = |removed: &[bool], at: usize| !removed.get(at).copied().unwrap_or(true);
        let mut left: Vec<usize> = Vec::with_capacity(edges.len());
        for targets in outgoing {
            pace.spend(1 + targets.len() / 10).await;
            left.push(targets.iter().filter(|to| live(&removed, **to)).count());
        }
        let mut done: Vec<usize> =
            (0..edges.len()).filter(|at| live(&removed, *at) && left.get(*at) == Some(&0)).collect();
        while let Some(at) = done.pop() {
            pace.spend(1).await;
            if let Some(removed) = removed.get_mut(at) {
                *removed = true;
            }
            for from in incoming.get(at).into_iter().flatten() {
                let Some(count) = left.get_mut(*from) else { continue };
                *count = count.saturating_sub(1);
                if *count == 0 && live(&removed, *from) {
                    done.push(*from);
                }
            }
        }
    }
    (0..edges.len()).filter(|at| removed.get(*at) == Some(&false)).collect()
}
