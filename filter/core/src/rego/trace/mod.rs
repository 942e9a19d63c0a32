//! For tools: what an evaluation did, told in the operator's own words.

mod coverage;
mod explain;
mod seen;
mod source;

pub(crate) use coverage::{Coverable, Covered, coverable};
pub(crate) use explain::Teller;
pub use explain::{Came, Condition, DefinitionTrace, Fate, RuleTrace};
pub use seen::Shown;
pub(crate) use source::{Sources, children, place, whole_text};

use regorus::Value;

use super::{
    Asked, Program,
    builtins::builtin,
    ir::RuleId,
    machine::{Halt, Recording},
    order::compare,
    test_rule::DefinitionId,
};

/// How many arguments a builtin takes; nothing where there is none of that name.
pub(crate) fn builtin_arity(name: &str) -> Option<usize> {
    builtin(name).map(|builtin| builtin.arity)
}

/// The members of a set, in OPA's order.
pub(crate) fn in_order(set: &Value) -> Vec<Value> {
    let Value::Set(members) = set else { return Vec::new() };
    let mut members: Vec<Value> = members.iter().cloned().collect();
    members.sort_by(compare);
    members
}

impl Program {
    /// The value of a rule, as [`Self::evaluate`] gives it, and what was done to find it. Every definition is tried.
    pub(crate) fn traced<'p>(
        &'p self,
        rule: RuleId,
        asked: Asked<'p>,
    ) -> (Result<Value, Halt>, Recording<'p>) {
        let asked = Asked { is_indexed: false, ..asked };
        let mut machine = self.machine(asked).recorded(Recording::new(true));
        let value = machine.rule(rule);
        (value, machine.into_recording())
    }

    /// The document at `path`, as [`Self::document`] gives it, found while everything is written down.
    ///
    /// # Errors
    /// Where there is no answer.
    pub(crate) fn document_recorded(&self, path: &[Value], asked: Asked<'_>) -> Result<Value, Halt> {
        self.machine(asked).recorded(Recording::new(true)).at(path)
    }

    /// What a definition gives by itself, as [`Self::evaluate_apart`] has it, and what was done to find it.
    pub(crate) fn traced_apart<'p>(
        &'p self,
        id: DefinitionId,
        asked: Asked<'p>,
        keeps_frames: bool,
    ) -> (Result<Value, Halt>, Recording<'p>) {
        let mut machine = self.machine(asked).recorded(Recording::new(keeps_frames));
        let value = id.evaluate(&mut machine);
        (value, machine.into_recording())
    }
}
