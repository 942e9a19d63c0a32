//! What compiled policies tell of mistakes that load, and decide otherwise than was meant.

mod fallible;
mod widening;

pub(crate) use widening::Tested;

use regorus::Value;

use super::{
    Program,
    ir::{Body, Operand, Pattern, Position, RuleId, StepKind},
};

/// The default of a rule that decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fallback {
    /// There is none; a definition of the rule stands here.
    Missing(Position),
    /// It allows.
    Allows(Position),
    /// It does not.
    Denies,
}

/// What the value of a rule that decides has as its verdict, where it is an object.
const ALLOWED: &str = "allowed";

impl Program {
    /// What a rule that decides is where none of its bodies holds.
    pub(crate) fn default_of(&self, id: RuleId) -> Fallback {
        let Some(rule) = self.rules.get(id) else { return Fallback::Denies };
        match (&rule.default, rule.definitions.first()) {
            (Some(default), _) if self.may_allow(&default.body) => Fallback::Allows(default.at),
            (None, Some(first)) => Fallback::Missing(first.at),
            (Some(_), _) | (None, None) => Fallback::Denies,
        }
    }

    /// Whether a body may decide that something is allowed: not where the text says that it is something else.
    fn may_allow(&self, body: &Body) -> bool {
        match &body.value {
            None => true,
            // A reference in the head is a step of the body.
            Some(Operand::Local(value)) => body.block.steps.iter().all(|step| match &step.kind {
                StepKind::Match(Pattern::Bind(slot), operand) if slot == value => self.may_be_yes(operand),
                _ => true,
            }),
            Some(value) => self.may_be_yes(value),
        }
    }

    fn may_be_yes(&self, value: &Operand) -> bool {
        match value {
            Operand::Constant(Value::Object(fields)) => {
                fields.get(&Value::from(ALLOWED)) == Some(&Value::Bool(true))
            }
            Operand::Constant(value) => *value == Value::Bool(true),
            Operand::Object(fields) => {
                let is_verdict =
                    |key: &Operand| matches!(key, Operand::Constant(key) if *key == Value::from(ALLOWED));
                fields.iter().any(|(key, value)| is_verdict(key) && self.may_be_yes(value))
            }
            Operand::Array(_) | Operand::Set(_) | Operand::Comprehension(_) => false,
            Operand::Rule(id) => {
                let rule = self.rules.get(*id);
                let definitions =
                    rule.into_iter().flat_map(|rule| rule.definitions.iter().chain(&rule.default));
                let mut bodies = definitions
                    .flat_map(|definition| std::iter::once(&definition.body).chain(&definition.otherwise));
                bodies.any(|body| self.may_allow(body))
            }
            Operand::Local(_)
            | Operand::Input(_)
            | Operand::Base(_)
            | Operand::Keyed(..)
            | Operand::Document(..)
            | Operand::Path(_) => true,
        }
    }
}
