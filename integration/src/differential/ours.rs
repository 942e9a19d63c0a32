//! Our evaluator, asked the same questions.

use hexr_authz_core::policy::{Data, Library, Question};

use super::case::{Answer, Case};

/// One of our ways to evaluate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// With the index over rules, as in the filter.
    Indexed,
    /// Every definition of a rule in turn.
    InTurn,
}

/// All of them.
pub(super) const WAYS: [Way; 2] = [Way::Indexed, Way::InTurn];

/// The work that one answer may take: some seconds.
const WORK: u64 = 20_000_000;

/// A case's policy, compiled.
pub(super) struct Program(Library);

// === impl Program ===

impl Program {
    /// Compiles the policy of `case`; the error is ours.
    pub(super) fn compile(case: &Case) -> Result<Self, String> {
        let data = Data::from_json(&case.data).map_err(|error| error.to_string())?;
        Library::compile(&case.modules, &data).map(Self).map_err(|errors| errors.to_string())
    }

    /// The answer to one query.
    pub(super) fn query(&self, way: Way, path: &[&str], input: Option<&str>, now_ns: i64) -> Answer {
        let question = Question { path, input, now_ns, work: WORK, is_indexed: way == Way::Indexed };
        match self.0.ask(question) {
            Ok(Some(value)) => Answer::Value(value),
            Ok(None) => Answer::Undefined,
            Err(error) => Answer::Error(error),
        }
    }
}
