//! Rules that test others. Each of their definitions is evaluated apart from others of the same name, as OPA does.

use regorus::Value;

use super::{
    Asked, Position, Program,
    ir::{Definition, RuleId, RuleKind},
    machine::Halt,
};

/// What the names of tests begin with.
pub(crate) const TEST_PREFIX: &str = "test_";

/// One definition of a rule, for looking at.
pub(crate) struct DefinitionView<'p> {
    pub(crate) id: DefinitionId,
    /// The path of its rule below `data`.
    pub(crate) path: &'p [Value],
    pub(crate) gives: Gives,
    pub(crate) at: Position,
}

/// A definition; none stands for a rule's default.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DefinitionId {
    rule: RuleId,
    definition: Option<usize>,
}

/// What a definition gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gives {
    /// The value of its rule.
    Value,
    /// Fields of an object.
    Fields,
    /// Members of a set.
    Members,
    /// Nothing, until it is called.
    Results,
}

/// What a definition came to by itself.
#[derive(Debug)]
pub(crate) struct Apart {
    /// Its value, or why there is none.
    pub(crate) value: Result<Value, Halt>,
    /// The cases of a parameterised test that were begun, each an array of names.
    pub(crate) cases: Vec<Value>,
    /// What was printed, a line for each `print`.
    pub(crate) printed: String,
}

// === impl DefinitionId ===

#[cfg(feature = "replay")]
impl DefinitionId {
    pub(crate) fn rule(self) -> RuleId {
        self.rule
    }

    pub(crate) fn is_default(self) -> bool {
        self.definition.is_none()
    }
}

// === impl Program ===

impl Program {
    /// All definitions, in the order of modules and lines.
    pub(crate) fn definitions(&self) -> Vec<DefinitionView<'_>> {
        let mut views: Vec<DefinitionView<'_>> = self
            .rules
            .iter()
            .enumerate()
            .flat_map(|(rule, source)| {
                let numbered =
                    source.definitions.iter().enumerate().map(|(at, definition)| (Some(at), definition));
                let default = source.default.iter().map(|definition| (None, definition));
                numbered.chain(default).map(move |(number, definition)| DefinitionView {
                    id: DefinitionId { rule, definition: number },
                    path: &source.path,
                    gives: gives(source.kind, definition),
                    at: definition.at,
                })
            })
            .collect();
        views.sort_by_key(|view| view.at);
        views
    }

    /// What a definition gives without the others of its rule, and its rule's default.
    pub(crate) fn evaluate_apart(&self, id: DefinitionId, asked: Asked<'_>) -> Apart {
        let mut machine = self.machine(asked);
        machine.keep_prints();
        let value = machine.apart(id.rule, id.definition);
        let (cases, printed) = machine.into_notes();
        Apart { value, cases, printed }
    }
}

// === impl DefinitionId ===

#[cfg(feature = "trace")]
impl DefinitionId {
    pub(super) fn evaluate(self, machine: &mut super::machine::Machine<'_>) -> Result<Value, Halt> {
        machine.apart(self.rule, self.definition)
    }
}

fn gives(kind: RuleKind, definition: &Definition) -> Gives {
    match kind {
        RuleKind::Complete => Gives::Value,
        RuleKind::Function { .. } => Gives::Results,
        RuleKind::Partial if definition.body.value.is_some() => Gives::Fields,
        RuleKind::Partial => Gives::Members,
    }
}
