//! The operator's policy, compiled, and its answer for one input. Only this module knows the Rego evaluator.

mod compile;
mod data;
mod dialect;
mod document;
mod facts;
#[cfg(feature = "trace")]
mod insight;
mod library;
mod memory;
mod number_text;
mod outcome;
mod parser_error;
#[cfg(feature = "replay")]
mod past;
#[cfg(feature = "trace")]
mod query;
mod rule_by_rule;
mod source_text;
mod test_rule;

pub use compile::{CompileError, CompileErrors, RulePath, module_header};
#[cfg(feature = "lint")]
pub(crate) use compile::{Parsed, parse};
pub(crate) use data::retire;
pub use data::{Data, DataError};
pub use dialect::{Dialect, Portable};
pub(crate) use document::IdentityDocument;
pub use document::Text;
pub use facts::FurtherFields;
#[cfg(feature = "trace")]
pub use insight::{Coverage, CoveredFile, CoveredPart, Insight};
pub use library::{Input, Library, Question, Rule};
pub use outcome::{Author, Consent, Header, Outcome, Rejection, Remarks};
#[cfg(feature = "replay")]
pub(crate) use past::{Decider, PastInput};
#[cfg(feature = "trace")]
pub use query::{Expression, Query, QueryResult};
#[cfg(feature = "lint")]
pub(crate) use source_text::{Checker, TokenKind, Tokens, unimported_keyword};
pub use test_rule::{TestCase, TestRule, TestRun, TestVerdict};

use std::{cell::RefCell, fmt};

use facts::Wanted;
use memory::Memory;
use regorus::Value;
use serde_json::Value as Json;

#[cfg(feature = "trace")]
pub use crate::rego::trace::{Came, Condition, DefinitionTrace, Fate, RuleTrace, Shown};
use crate::{
    audit_log::Calls,
    catalog::{Derived, Operation},
    denial::Denial,
    identity::Identity,
    pace::Pace,
    rego::{Asked, Evaluated, Halt, Program, RuleId},
    request::Request,
    timestamp::Timestamp,
};

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
    program: Program,
    rule: RulePath,
    author: Author,
    entry: usize,
    /// Nothing where its decisions depend on more than who asks and what for.
    memory: Option<Memory>,
    wanted: Wanted,
    /// The text of the last second that was asked about, because most requests share it with the one before.
    last_second: RefCell<Option<(i64, Text)>>,
    budget: Budget,
    packages: Vec<Package>,
    slow_parts: Vec<SlowPart>,
    log_rules: LogRules,
}

/// The rules by which a policy has a say in what is logged of its decisions.
#[derive(Clone, Copy, Debug, Default)]
struct LogRules {
    drop: Option<RuleId>,
    mask: Option<RuleId>,
}

/// One of the rules by which a policy has a say in what is logged of its decisions, as in OPA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogRule {
    /// `data.system.log.drop`: whether an event is not to be logged.
    Drop,
    /// `data.system.log.mask`: what of an event is to be removed or replaced.
    Mask,
}

/// A part of a policy that costs more the larger it grows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlowPart {
    /// The module's file.
    pub module: String,
    /// The line, counted from 1.
    pub line: usize,
    /// What is slow, why, and how to mend it.
    pub message: String,
}

/// What a decision takes from its caller, because the core has neither clock nor randomness.
#[derive(Clone, Copy)]
pub struct Moment<'a> {
    /// The one instant of the decision.
    pub now: Timestamp,
    /// What random builtins of the policy answer by.
    pub seed: u64,
    /// Whether the evaluation of this author's policy has taken too long. Asked now and then while it runs.
    pub is_over: &'a dyn Fn(Author) -> bool,
}

/// The package of one module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// The module's file.
    pub module: String,
    /// The package's path below `data`.
    pub path: Vec<String>,
}

/// How much one evaluation may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Milliseconds. What ends an evaluation is the work that is done in that time, which is counted, and the clock
    /// where [`Moment::is_over`] looks at one.
    pub milliseconds: u64,
}

/// Units of work in a millisecond: steps of the evaluator, and what builtins count as such. Slow machines do less, and
/// are stopped by the clock.
const WORK_PER_MILLISECOND: u64 = 20_000;

// === impl Policy ===

impl Policy {
    /// What `request` says beyond its operation, as far as the policy refers to it.
    ///
    /// # Errors
    /// Where that cannot be told in one way.
    pub fn further(&self, derived: &Derived, request: &Request<'_>) -> Result<FurtherFields, Denial> {
        self.wanted.of(derived, request)
    }

    /// Whether the policy allows `identity` to do `operation` at that moment, after these calls, and what it wants of the
    /// request then. `further` is of the same request, and of this policy.
    ///
    /// # Errors
    /// [`Denial::PolicyDenied`] or [`Denial::TenantPolicyDenied`] unless the answer is a real `true`; undefined is a no,
    /// as everywhere in OPA.
    /// [`Denial::EvaluationError`] and [`Denial::BudgetExceeded`] where there is no answer, or none that can be read.
    pub fn allows(
        &self,
        identity: &Identity,
        operation: &Operation,
        further: &FurtherFields,
        moment: Moment<'_>,
        calls: Calls<'_>,
    ) -> Result<Consent, Denial> {
        match self.outcome(identity, operation, further, moment, calls)? {
            Outcome::Allow(consent) => Ok(consent),
            Outcome::Deny(rejection) => Err(self.denial(rejection)),
        }
    }

    fn outcome(
        &self,
        identity: &Identity,
        operation: &Operation,
        further: &FurtherFields,
        moment: Moment<'_>,
        calls: Calls<'_>,
    ) -> Result<Outcome, Denial> {
        let (service, action) = operation.texts();
        let document = identity.document();
        let key = self
            .memory
            .as_ref()
            .and_then(|memory| Some((memory, memory.key(document.identity(), service, action, moment.now)?)));
        if let Some(known) = key.as_ref().and_then(|(memory, key)| memory.recall(key)) {
            return Ok(known);
        }
        let timestamp = self.timestamp(moment.now);
        let input = document.input(service, action, &timestamp, further);
        let outcome = self.read(&self.evaluate(self.entry, input, moment, calls)?)?;
        if let Some((memory, key)) = key {
            memory.remember(key, document.identity().clone(), &outcome);
        }
        Ok(outcome)
    }

    /// The same policy as a tenant's own: it can only narrow, and shape its denials.
    #[must_use]
    pub fn of_tenant(self) -> Self {
        Self { author: Author::Tenant, ..self }
    }

    fn denial(&self, rejection: Rejection) -> Denial {
        match self.author {
            Author::Platform => Denial::PolicyDenied(Box::new(rejection)),
            Author::Tenant => Denial::TenantPolicyDenied(Box::new(rejection)),
        }
    }

    /// How many decisions were remembered instead of made, since this was last asked.
    pub fn take_recalled(&self) -> u64 {
        self.memory.as_ref().map_or(0, memory::Memory::take_recalled)
    }

    /// What in it costs more the larger it grows.
    pub fn slow_parts(&self) -> &[SlowPart] {
        &self.slow_parts
    }

    /// Its answer for any input, in JSON, after no calls: what tools ask.
    ///
    /// # Errors
    /// As [`Self::allows`], and [`Denial::InternalError`] for what is no JSON.
    pub fn answer(&self, input: &str, moment: Moment<'_>) -> Result<Consent, Denial> {
        let input = Value::from_json_str(input)
            .map_err(|error| Denial::InternalError(format!("the input is not JSON: {error}")))?;
        self.answer_after(input, moment, Calls::none())
    }

    /// Its answer for any input, after these calls.
    fn answer_after(&self, input: Value, moment: Moment<'_>, calls: Calls<'_>) -> Result<Consent, Denial> {
        match self.read(&self.evaluate(self.entry, input, moment, calls)?)? {
            Outcome::Allow(consent) => Ok(consent),
            Outcome::Deny(rejection) => Err(self.denial(rejection)),
        }
    }

    fn read(&self, evaluated: &Evaluated) -> Result<Outcome, Denial> {
        let mut outcome = Outcome::read(&evaluated.value, self.author)
            .map_err(|problem| Denial::EvaluationError(format!("`{}`: {problem}", self.rule)))?;
        if let (Outcome::Deny(rejection), Some(nanos)) = (&mut outcome, evaluated.count_falls_in) {
            rejection.retry_in(nanos);
        }
        Ok(outcome)
    }

    /// Whether the answer depends on the calls of the recent past. Where it does not, there is no need to know them.
    pub fn counts_calls(&self) -> bool {
        self.program.dependence(self.entry).audit_log
    }

    /// The packages of its modules.
    pub fn packages(&self) -> &[Package] {
        &self.packages
    }

    pub(super) fn new(
        program: Program,
        rule: RulePath,
        entry: usize,
        budget: Budget,
        packages: Vec<Package>,
        slow_parts: Vec<SlowPart>,
    ) -> Self {
        let dependence = program.dependence(entry);
        let of_its_log = |name: &str| program.rule_at(&["system", "log", name].map(str::to_owned));
        let log_rules = LogRules { drop: of_its_log("drop"), mask: of_its_log("mask") };
        let (memory, wanted) = (Memory::for_rule(&dependence), Wanted::by(&dependence));
        Self {
            program,
            rule,
            author: Author::Platform,
            entry,
            memory,
            wanted,
            last_second: RefCell::new(None),
            budget,
            packages,
            slow_parts,
            log_rules,
        }
    }

    /// Whether it has a say in what is logged of its decisions.
    pub fn watches_its_log(&self) -> bool {
        self.log_rules.drop.is_some() || self.log_rules.mask.is_some()
    }

    /// What a rule says of the event of a decision, which is JSON; nothing where it says nothing. Asked later, it answers
    /// as at the instant of the decision.
    ///
    /// # Errors
    /// Why there is no answer.
    pub fn of_its_log(
        &self,
        rule: LogRule,
        event: &str,
        at: Timestamp,
        seed: u64,
    ) -> Result<Option<Json>, Denial> {
        let rule = match rule {
            LogRule::Drop => self.log_rules.drop,
            LogRule::Mask => self.log_rules.mask,
        };
        let Some(rule) = rule else { return Ok(None) };
        let unreadable = |error: String| Denial::InternalError(error);
        let event = data::json(event).map_err(|error| unreadable(error.to_string()))?;
        let moment = Moment { now: at, seed, is_over: &|_| false };
        let answer = self.evaluate(rule, event, moment, Calls::none())?.value;
        if answer == Value::Undefined {
            return Ok(None);
        }
        let text = answer.to_json_str().map_err(|error| unreadable(error.to_string()))?;
        serde_json::from_str(&text).map(Some).map_err(|error| unreadable(error.to_string()))
    }

    /// Takes it apart in slices, with its data where nobody else has that.
    pub async fn retire(self, pace: &Pace) {
        if let Some(memory) = self.memory {
            memory.retire(pace).await;
        }
        self.program.retire(pace).await;
    }

    fn evaluate(
        &self,
        rule: RuleId,
        input: Value,
        moment: Moment<'_>,
        calls: Calls<'_>,
    ) -> Result<Evaluated, Denial> {
        let is_over = || (moment.is_over)(self.author);
        self.program.evaluate(rule, self.asked(input, moment, &calls, &is_over)).map_err(|halt| match halt {
            Halt::OutOfBudget => Denial::BudgetExceeded(self.budget.milliseconds),
            Halt::Error(message) => Denial::EvaluationError(message),
        })
    }

    fn asked<'a>(
        &self,
        input: Value,
        moment: Moment<'_>,
        calls: &'a Calls<'_>,
        watch: &'a dyn Fn() -> bool,
    ) -> Asked<'a> {
        Asked {
            input,
            now_ns: moment.now.unix_nanos(),
            seed: moment.seed,
            calls: Some(calls),
            work: self.budget.milliseconds.saturating_mul(WORK_PER_MILLISECOND),
            watch,
            is_indexed: true,
        }
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

impl fmt::Debug for Moment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Moment").field("now", &self.now).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
