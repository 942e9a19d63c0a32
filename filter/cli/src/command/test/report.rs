//! What became of tests and decision cases.

use std::{collections::BTreeMap, time::Duration};

use hexr_authz_core::{
    cases::{Case, CaseFile},
    policy::{TestCase, TestRule, TestRun, TestVerdict},
};
use serde_json::json;

/// All that was run.
#[derive(Debug)]
pub(super) struct Reports(pub(super) Vec<Report>);

/// One test or decision case, and what became of it.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) file: String,
    pub(super) row: usize,
    pub(super) column: usize,
    pub(super) package: String,
    pub(super) name: String,
    reference: String,
    pub(super) verdict: TestVerdict,
    /// The cases of a parameterised test.
    pub(super) cases: BTreeMap<String, TestCase>,
    /// What it printed.
    pub(super) printed: String,
    /// What there is to say of a failure.
    pub(super) note: Option<String>,
    /// The expression that did not hold, with its values.
    pub(super) condition: Option<String>,
    pub(super) duration: Duration,
}

// === impl Reports ===

impl Reports {
    /// Whether nothing was run.
    pub(super) fn are_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there is nothing but passes, and skipped ones where they are no failure.
    pub(super) fn have_passed(&self, may_skip: bool) -> bool {
        self.0.iter().all(|report| match report.verdict {
            TestVerdict::Pass => true,
            TestVerdict::Skip => may_skip,
            TestVerdict::Fail | TestVerdict::Error(_) => false,
        })
    }
}

// === impl Report ===

impl Report {
    pub(super) fn of_test(test: &TestRule) -> Self {
        let number = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        Self {
            file: test.module.clone(),
            row: number(test.line),
            column: number(test.column),
            package: test.package.clone(),
            name: test.name.clone(),
            reference: test.reference.clone(),
            verdict: TestVerdict::Skip,
            cases: BTreeMap::new(),
            printed: String::new(),
            note: None,
            condition: None,
            duration: Duration::ZERO,
        }
    }

    pub(super) fn of_case(file: &CaseFile, group: &str, case: &Case) -> Self {
        let package = "cases".to_owned();
        let name = format!("{group}[{}]", json!(case.name));
        Self {
            file: file.path.clone(),
            row: file.line_of(case),
            column: 1,
            reference: format!("{package}.{name}"),
            package,
            name,
            verdict: TestVerdict::Skip,
            cases: BTreeMap::new(),
            printed: String::new(),
            note: None,
            condition: None,
            duration: Duration::ZERO,
        }
    }

    pub(super) fn with_run(self, run: TestRun, duration: Duration) -> Self {
        let TestRun { verdict, cases, printed } = run;
        let duration = if verdict == TestVerdict::Skip { Duration::ZERO } else { duration };
        Self { verdict, cases, printed, duration, ..self }
    }

    pub(super) fn with_condition(self, condition: Option<String>) -> Self {
        Self { condition, ..self }
    }

    pub(super) fn with_check(self, checked: Result<(), String>, duration: Duration) -> Self {
        let verdict = if checked.is_ok() { TestVerdict::Pass } else { TestVerdict::Fail };
        Self { verdict, note: checked.err(), duration, ..self }
    }

    /// By what it is chosen.
    pub(super) fn reference(&self) -> &str {
        &self.reference
    }

    /// By what it is told.
    pub(super) fn full_name(&self) -> String {
        format!("{}.{}", self.package, self.name)
    }
}
