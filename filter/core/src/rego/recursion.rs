//! Finds rules that need themselves. OPA refuses them, and an evaluation of one would end at its limits.

use regorus::Value;

use super::{
    Problem,
    ir::{Callee, Operand, Replaced, Replacement, Rule, RuleId, Step, StepKind},
    lower::rules_at,
    names::Tree,
    visit::{self, Part},
};

/// For each rule, the rules that it needs.
pub(super) fn needs(rules: &[Rule], tree: &Tree) -> Vec<Vec<RuleId>> {
    rules
        .iter()
        .map(|rule| {
            let mut needed = Vec::new();
            visit::rule(rule, &mut |part| match part {
                Part::Callee(Callee::Function(id)) => needed.push(id),
                Part::Operand(Operand::Rule(id) | Operand::Keyed(id, _)) => needed.push(*id),
                Part::Operand(Operand::Document(node, keys)) => {
                    let Some(at) = tree.node(*node) else { return };
                    let constants = keys.iter().map_while(|key| match key {
                        Operand::Constant(value) => Some(value.clone()),
                        _ => None,
                    });
                    let path: Vec<Value> = at.path.iter().cloned().chain(constants).collect();
                    needed.extend(rules_at(tree, &path));
                }
                Part::Callee(Callee::Builtin(_)) | Part::Operand(_) | Part::Pattern(_) | Part::Step(_) => {}
            });
            needed.sort_unstable();
            needed.dedup();
            needed
        })
        .collect()
}

/// For each rule, the rules in whose place its `with`s put something, and those that would stand in it. For OPA it needs
/// them too.
fn replaced(rules: &[Rule], tree: &Tree) -> Vec<Vec<RuleId>> {
    let of_rule = |rule: &Rule| {
        let mut replaced = Vec::new();
        visit::rule(rule, &mut |part| {
            let Part::Step(Step { kind: StepKind::With(with), .. }) = part else { return };
            for replacement in &with.replacements {
                match replacement {
                    Replacement::Data(path, _) => replaced.extend(rules_at(tree, path)),
                    Replacement::Function(Replaced::Function(id), _)
                    | Replacement::Constant(Replaced::Function(id), _) => replaced.push(*id),
                    Replacement::Input(..)
                    | Replacement::Function(Replaced::Builtin(_), _)
                    | Replacement::Constant(Replaced::Builtin(_), _) => {}
                }
            }
        });
        replaced
    };
    rules.iter().map(of_rule).collect()
}

pub(super) fn recursive(rules: &[Rule], needs: &[Vec<RuleId>], tree: &Tree) -> Vec<Problem> {
    let edges: Vec<Vec<RuleId>> = needs
        .iter()
        .zip(replaced(rules, tree))
        .map(|(needs, replaced)| {
            let mut all: Vec<RuleId> = needs.iter().copied().chain(replaced).collect();
            all.sort_unstable();
            all.dedup();
            all
        })
        .collect();
    within_cycles(&edges)
        .into_iter()
        .filter_map(|id| rules.get(id))
        .map(|rule| Problem {
            at: rule.definitions.first().or(rule.default.as_ref()).map(|first| first.at).unwrap_or_default(),
            message: format!("the rule `{}` is recursive: it needs its own value", rule.name),
        })
        .collect()
}

/// The rules that can reach themselves: what is left when everything that needs nothing left is taken away, from both
/// ends.
fn within_cycles(edges: &[Vec<usize>]) -> Vec<usize> {
    let mut reversed = vec![Vec::new(); edges.len()];
    for (from, targets) in edges.iter().enumerate() {
        for to in targets {
            reversed.get_mut(*to).into_iter().for_each(|sources: &mut Vec<usize>| sources.push(from));
        }
    }
    let mut removed = vec![false; edges.len()];
    for (outgoing, incoming) in [(edges, reversed.as_slice()), (reversed.as_slice(), edges)] {
        let live = |removed: &[bool], at: usize| !removed.get(at).copied().unwrap_or(true);
        let mut left: Vec<usize> =
            outgoing.iter().map(|targets| targets.iter().filter(|to| live(&removed, **to)).count()).collect();
        let mut done: Vec<usize> =
            (0..edges.len()).filter(|at| live(&removed, *at) && left.get(*at) == Some(&0)).collect();
        while let Some(at) = done.pop() {
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
