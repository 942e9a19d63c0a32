//! The operator's policy, compiled, and its answer for one input. Only this module knows the Rego evaluator.

mod certainty;
mod compile;
mod dialect;
mod document;
mod patterns;
mod recursion;
mod semantics;
mod source_text;
mod sprintf;
mod text_patterns;

pub use compile::{CompileError, CompileErrors, RulePath, module_header};
pub use dialect::{Dialect, Portable};
pub(crate) use document::IdentityDocument;
pub use document::{Data, DataError, Text};

use std::{
    cell::RefCell,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use regorus::{Engine, LimitError, Value};

use crate::{catalog::Operation, denial::Denial, identity::Identity, timestamp::Timestamp};

/// One module of a policy, as the operator wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// Its file's path, for positions in errors.
    pub path: String,
    /// Its Rego text.
    pub text: String,
    /// The dialect that a manifest binds it to; chosen by trying where absent.
    pub dialect: Option<Dialect>,
}

/// A compiled policy. It is evaluated by one worker at a time.
pub struct Policy {
    /// As it was compiled. Every evaluation gets a copy, which shares all but the state of the evaluation: what an
    /// evaluation that ends in an error leaves behind must not reach the next one.
    engine: Engine,
    rule: RulePath,
    /// The instant that `time.now_ns()` answers with, set before each evaluation.
    now: Arc<AtomicI64>,
    /// Whether a builtin of ours ended in an error, which the evaluator loses inside of a function with several bodies.
    failed: Arc<AtomicBool>,
    /// The text of the last second that was asked about, because most requests share it with the one before.
    last_second: RefCell<Option<(i64, Text)>>,
    budget: Budget,
    packages: Vec<Package>,
}

/// The package of one module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// The module's file.
    pub module: String,
    /// The package's path below `data`.
    pub path: Vec<String>,
}

/// How long one evaluation may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Milliseconds of wall clock, checked while evaluating; a single builtin is not interrupted.
    pub milliseconds: u64,
}

/// How the evaluator begins to say that the time is up.
const TIME_LIMIT_TEXT: &str = "execution exceeded time limit";

// === impl Policy ===

impl Policy {
    /// Whether the policy allows `identity` to do `operation` at `now`.
    ///
    /// # Errors
    /// [`Denial::PolicyDenied`] unless the answer is a real `true`; undefined is a no, as everywhere in OPA.
    /// [`Denial::EvaluationError`] and [`Denial::BudgetExceeded`] where there is no answer.
    pub fn allows(&self, identity: &Identity, operation: &Operation, now: Timestamp) -> Result<(), Denial> {
        let timestamp = self.timestamp(now);
        let (service, action) = operation.texts();
        match self.evaluate(identity.document().input(service, action, &timestamp), now)? {
            Value::Bool(true) => Ok(()),
            Value::Bool(false) | Value::Undefined => Err(Denial::PolicyDenied),
            other @ (Value::Null
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Set(_)
            | Value::Object(_)) => Err(Denial::EvaluationError(format!(
                "`{}` must be a boolean, but is {}",
                self.rule,
                document::type_name(&other)
            ))),
        }
    }

    /// The packages of its modules.
    pub fn packages(&self) -> &[Package] {
        &self.packages
    }

    fn evaluate(&self, input: Value, now: Timestamp) -> Result<Value, Denial> {
        let mut engine = self.engine.clone();
        self.now.store(now.unix_nanos(), Ordering::Relaxed);
        self.failed.store(false, Ordering::Relaxed);
        engine.set_input(input);
        let answer = engine.eval_rule(self.rule.to_string()).map_err(|error| {
            let out_of_time = matches!(error.downcast_ref(), Some(LimitError::TimeLimitExceeded { .. }));
            // Inside of a function the evaluator turns its error into text.
            if out_of_time || error.to_string().contains(TIME_LIMIT_TEXT) {
                Denial::BudgetExceeded(self.budget.milliseconds)
            } else {
                Denial::EvaluationError(compile::one_line(&error))
            }
        })?;
        if self.failed.load(Ordering::Relaxed) {
            return Err(Denial::EvaluationError("a builtin failed inside of a function".to_owned()));
        }
        Ok(answer)
    }

    fn timestamp(&self, now: Timestamp) -> Text {
        let second = now.unix_seconds();
        let Ok(mut last) = self.last_second.try_borrow_mut() else { return Text::new(&now.to_rfc3339()) };
        match &*last {
            Some((kept, text)) if *kept == second => text.clone(),
            Some(_) | None => {
                let text = Text::new(&now.to_rfc3339());
                *last = Some((second, text.clone()));
                text
            }
        }
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy").field("rule", &self.rule).finish_non_exhaustive()
    }
}

// === impl Budget ===

impl Budget {
    fn duration(self) -> Duration {
        Duration::from_millis(self.milliseconds)
    }
}

#[cfg(test)]
mod tests;
