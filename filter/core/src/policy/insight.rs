//! For tools: decisions for any input, and what was done to find them.

use regorus::Value;

use super::{
    Author, CompileErrors, Input, Library, Module, Moment, Outcome, Query, Question, RulePath, TestRule,
    WORK_PER_MILLISECOND, compile::parse, source_text::Checker,
};
use crate::{
    denial::Denial,
    pace::{Pace, finish},
    policy::Budget,
    rego::{
        Asked, Halt,
        trace::{Condition, Coverable, Covered, RuleTrace, Sources, Teller, coverable},
    },
};

/// The sources of a library, by which what happens in it is told in the operator's own words.
pub struct Insight {
    sources: Sources,
    files: Vec<String>,
}

/// What evaluations have touched of a library, for one or many of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage(Covered);

/// What of a module was evaluated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoveredFile {
    /// Its file.
    pub file: String,
    /// Its statements and heads of rules, in their order.
    pub parts: Vec<CoveredPart>,
}

/// A statement or the head of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoveredPart {
    /// Line and column of its beginning, counted from 1.
    pub from: (u32, u32),
    /// Line and column behind its end.
    pub to: (u32, u32),
    /// The name of its rule, in its package.
    pub rule: String,
    /// Whether it was evaluated; for the head of a rule, whether its body held.
    pub is_covered: bool,
}

// === impl Insight ===

impl Insight {
    /// Reads the sources of a library.
    ///
    /// # Errors
    /// Every module that does not parse.
    pub fn new(modules: &[Module]) -> Result<Self, CompileErrors> {
        let (mut parsed, mut errors, mut checker) = (Vec::new(), Vec::new(), Checker::new());
        for module in modules {
            match finish(parse(module, &mut checker, &Pace::unhurried())) {
                Ok((_, source)) => parsed.push(source),
                Err(error) => errors.push(error),
            }
        }
        let files: Vec<String> = modules.iter().map(|module| module.path.clone()).collect();
        match CompileErrors::of(errors) {
            None => Ok(Self { sources: Sources::new(files.clone(), parsed), files }),
            Some(errors) => Err(errors),
        }
    }

    /// What `coverage` says of each module.
    pub fn covered(&self, coverage: &Coverage) -> Vec<CoveredFile> {
        let part = |part: Coverable, module: usize| CoveredPart {
            from: part.extent.begin,
            to: part.extent.end,
            rule: self.sources.rule_name(module, part.rule),
            is_covered: part.is_covered,
        };
        let file = |(at, file): (usize, &String)| {
            let parts = coverable(&self.sources, at, &coverage.0);
            CoveredFile { file: file.clone(), parts: parts.into_iter().map(|it| part(it, at)).collect() }
        };
        self.files.iter().enumerate().map(file).collect()
    }
}

// === impl Coverage ===

impl Coverage {
    /// Adds what another has.
    pub fn merge(&mut self, other: Self) {
        self.0.merge(other.0);
    }
}

// === impl Library ===

impl Library {
    /// What the filter would decide where the rule at `path` is its policy's: the recent calls are what the base data
    /// has at `data.audit_log`.
    ///
    /// # Errors
    /// [`Denial::EvaluationError`] and [`Denial::BudgetExceeded`] where there is no answer, or none that can be read.
    pub fn decide(
        &self,
        path: &RulePath,
        input: &Input,
        moment: Moment<'_>,
        budget: Budget,
    ) -> Result<Outcome, Denial> {
        let work = budget.milliseconds.saturating_mul(WORK_PER_MILLISECOND);
        let is_over = || (moment.is_over)(Author::Platform);
        let asked = asked(input.value(), moment, work, &is_over);
        let evaluated = match self.program.rule_at(path.segments()) {
            Some(rule) => self.program.evaluate(rule, asked).map(|evaluated| evaluated.value),
            None => Ok(Value::Undefined),
        };
        let value = evaluated.map_err(|halt| match halt {
            Halt::OutOfBudget => Denial::BudgetExceeded(budget.milliseconds),
            Halt::Error(message) => Denial::EvaluationError(message),
        })?;
        Outcome::read(&value, Author::Platform)
            .map_err(|problem| Denial::EvaluationError(format!("`{path}`: {problem}")))
    }

    /// The answer of [`Self::ask`], found while everything is written down: to compare the two.
    ///
    /// # Errors
    /// Why there is no answer.
    pub fn ask_recorded(&self, question: Question<'_>) -> Result<Option<String>, String> {
        self.ask_by(question, |program, path, asked| program.document_recorded(path, asked))
    }

    /// Whether there is a rule at `path`.
    pub fn has(&self, path: &RulePath) -> bool {
        self.program.rule_at(path.segments()).is_some()
    }

    /// How the rules come to their values that `query` asks for; this library was compiled with it, and so was `insight`.
    pub fn explain_query(
        &self,
        insight: &Insight,
        query: &Query,
        input: &Input,
        moment: Moment<'_>,
    ) -> Vec<RuleTrace> {
        let Some(rule) = self.program.rule_at(query.rule().segments()) else { return Vec::new() };
        let is_over = || (moment.is_over)(Author::Platform);
        let (_, recording) =
            self.program.traced(rule, asked(input.value(), moment, EXPLAINING_WORK, &is_over));
        Teller::new(&self.program, &recording, &insight.sources).below_first()
    }

    /// How the rule at `path` comes to its value; nothing where there is no rule. It takes more work than a decision.
    pub fn explain(
        &self,
        insight: &Insight,
        path: &RulePath,
        input: &Input,
        moment: Moment<'_>,
    ) -> Option<RuleTrace> {
        let rule = self.program.rule_at(path.segments())?;
        let is_over = || (moment.is_over)(Author::Platform);
        let asked = asked(input.value(), moment, EXPLAINING_WORK, &is_over);
        let (_, recording) = self.program.traced(rule, asked);
        Teller::new(&self.program, &recording, &insight.sources).first()
    }

    /// Runs a test again, and adds what it evaluates to `coverage`.
    pub fn cover(&self, test: &TestRule, moment: Moment<'_>, coverage: &mut Coverage) {
        let is_over = || (moment.is_over)(Author::Platform);
        let asked = asked(Value::Undefined, moment, EXPLAINING_WORK, &is_over);
        let (_, recording) = self.program.traced_apart(test.id, Asked { is_indexed: true, ..asked }, false);
        coverage.0.add(&self.program, &recording);
    }

    /// Runs a test again that has failed: the condition that did not hold, with what it speaks of.
    pub fn failed_condition(
        &self,
        insight: &Insight,
        test: &TestRule,
        moment: Moment<'_>,
    ) -> Option<Condition> {
        let is_over = || (moment.is_over)(Author::Platform);
        let asked = asked(Value::Undefined, moment, EXPLAINING_WORK, &is_over);
        let (_, recording) = self.program.traced_apart(test.id, asked, true);
        Teller::new(&self.program, &recording, &insight.sources).last_failure()
    }
}

/// The work that may be done for an explanation: some seconds.
const EXPLAINING_WORK: u64 = 5_000 * WORK_PER_MILLISECOND;

fn asked<'a>(input: Value, moment: Moment<'_>, work: u64, watch: &'a dyn Fn() -> bool) -> Asked<'a> {
    Asked {
        input,
        now_ns: moment.now.unix_nanos(),
        seed: moment.seed,
        calls: None,
        work,
        watch,
        is_indexed: false,
    }
}

#[cfg(test)]
mod tests;
