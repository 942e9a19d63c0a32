//! What of the input a rule reads, as far as its text tells.

use std::collections::BTreeSet;

use super::{
    Program,
    ir::{Operand, RuleId},
    visit::{self, Part},
};

// === impl Program ===

impl Program {
    /// The paths below `input` that a rule may read, with all that it needs. A path stands for everything below it; an
    /// empty one for all of the input.
    pub(crate) fn reads(&self, rule: RuleId) -> BTreeSet<Vec<String>> {
        let mut reads = BTreeSet::new();
        let (mut seen, mut pending) = (BTreeSet::from([rule]), vec![rule]);
        while let Some(id) = pending.pop() {
            let needed = self.needs.get(id).into_iter().flatten().copied();
            pending.extend(needed.filter(|needed| seen.insert(*needed)));
            // What is no rule is a node of the tree, and only needs others.
            let Some(rule) = self.rules.get(id) else { continue };
            for definition in rule.definitions.iter().chain(&rule.default) {
                visit::definition(definition, &mut |part| {
                    if let Part::Operand(Operand::Input(path)) = part {
                        let names = path.iter().map_while(|name| name.as_string().ok());
                        reads.insert(names.map(ToString::to_string).collect());
                    }
                });
            }
        }
        reads
    }
}
