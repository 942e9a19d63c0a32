//! Finds rules that need themselves. OPA refuses them; the evaluator follows a recursive function until the stack ends.

use std::{
    collections::{BTreeMap, HashMap},
    rc::Rc,
};

use regorus::unstable::{Module, Rule};

use super::{
    compile::{rule_ref, static_path},
    semantics::{import_name, references},
};

/// A rule, as the segments of its path below `data`.
type Path = Vec<String>;

/// The lines of rules that need themselves, with their files.
pub(super) fn recursive_rules<'m>(
    modules: impl Iterator<Item = &'m Module> + Clone,
) -> Vec<(&'m Module, u32)> {
    let mut nodes: BTreeMap<Path, usize> = BTreeMap::new();
    let mut rules: Vec<Vec<(Rc<Names<'m>>, &'m Rule)>> = Vec::new();
    for module in modules {
        let names = Rc::new(Names::of(module));
        for rule in &module.policy {
            let mut path = names.package.clone();
            path.extend(static_path(rule_ref(rule)));
            let at = *nodes.entry(path).or_insert_with(|| {
                rules.push(Vec::new());
                rules.len() - 1
            });
            rules.get_mut(at).into_iter().for_each(|same| same.push((Rc::clone(&names), &**rule)));
        }
    }
    let edges: Vec<Vec<usize>> = rules
        .iter()
        .map(|same| same.iter().flat_map(|(names, rule)| names.needed_by(rule, &nodes)).collect())
        .collect();
    let cyclic = within_cycles(&edges);
    let found = cyclic.into_iter().filter_map(|at| rules.get(at)?.first());
    found.map(|(names, rule)| (names.module, rule.span().line)).collect()
}

/// What names mean in one module.
struct Names<'m> {
    module: &'m Module,
    package: Path,
    /// Imports of `data`, by the names that they stand under.
    imports: HashMap<&'m str, Path>,
}

impl<'m> Names<'m> {
    fn of(module: &'m Module) -> Self {
        let imported = module.imports.iter().filter_map(|import| {
            let path = static_path(&import.refr);
            (path.first()? == "data").then_some(())?;
            Some((import_name(import)?, path.get(1..).unwrap_or_default().to_vec()))
        });
        Self { module, package: static_path(&module.package.refr), imports: imported.collect() }
    }

    /// The rules that `rule` refers to.
    fn needed_by(&self, rule: &Rule, nodes: &BTreeMap<Path, usize>) -> Vec<usize> {
        let mut needed = Vec::new();
        for reference in references(rule) {
            let Some((root, rest)) = reference.split_first() else { continue };
            let path: Path = match (root.as_str(), self.imports.get(root.as_str())) {
                ("input", _) => continue,
                ("data", _) => rest.to_vec(),
                (_, Some(imported)) => [imported.as_slice(), rest].concat(),
                (_, None) => [self.package.as_slice(), &reference].concat(),
            };
            // A rule at the path or above it, and all rules below it.
            needed.extend((1..=path.len()).filter_map(|length| nodes.get(path.get(..length)?)).copied());
            let below = nodes.range(path.clone()..).take_while(|(rule, _)| rule.starts_with(&path));
            needed.extend(below.map(|(_, at)| *at));
        }
        needed
    }
}

/// The nodes that can reach themselves: what is left when everything that needs nothing left is taken away, from both
/// ends.
fn within_cycles(edges: &[Vec<usize>]) -> Vec<usize> {
    let mut reversed = vec![Vec::new(); edges.len()];
    for (from, targets) in edges.iter().enumerate() {
        for to in targets {
            reversed.get_mut(*to).into_iter().for_each(|sources| sources.push(from));
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
