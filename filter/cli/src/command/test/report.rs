//! What became of tests, as `opa test` reports it.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use hexr_authz_core::{
    cases::{Case, CaseFile},
    policy::{TestCase, TestRule, TestRun, TestVerdict},
};
use serde_json::{Map, Value, json};

/// How to report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// For reading.
    Pretty,
    /// For programs: an array of results.
    Json,
}

/// All that was run.
#[derive(Debug)]
pub(super) struct Reports(pub(super) Vec<Report>);

/// One test or decision case, and what became of it.
#[derive(Debug)]
pub(super) struct Report {
    file: String,
    row: usize,
    column: usize,
    package: String,
    name: String,
    verdict: TestVerdict,
    cases: BTreeMap<String, TestCase>,
    /// What there is to say of a failure.
    note: Option<String>,
    duration: Duration,
}

/// How many of each there are.
#[derive(Debug, Default)]
struct Tally {
    pass: usize,
    fail: usize,
    skip: usize,
    error: usize,
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
            verdict: TestVerdict::Skip,
            cases: BTreeMap::new(),
            note: None,
            duration: Duration::ZERO,
        }
    }

    pub(super) fn of_case(file: &CaseFile, group: &str, case: &Case) -> Self {
        Self {
            file: file.path.clone(),
            row: file.line_of(case),
            column: 1,
            package: "cases".to_owned(),
            name: format!("{group}[{}]", json!(case.name)),
            verdict: TestVerdict::Skip,
            cases: BTreeMap::new(),
            note: None,
            duration: Duration::ZERO,
        }
    }

    pub(super) fn with_run(self, run: TestRun, duration: Duration) -> Self {
        Self { verdict: run.verdict, cases: run.cases, duration, ..self }
    }

    pub(super) fn with_check(self, checked: Result<(), String>, duration: Duration) -> Self {
        let verdict = if checked.is_ok() { TestVerdict::Pass } else { TestVerdict::Fail };
        Self { verdict, note: checked.err(), duration, ..self }
    }

    /// The name by which it is chosen.
    pub(super) fn full_name(&self) -> String {
        format!("{}.{}", self.package, self.name)
    }

    fn line(&self) -> String {
        let name = self.full_name();
        let duration = self.duration;
        match &self.verdict {
            TestVerdict::Pass => format!("{name}: PASS ({duration:?})"),
            TestVerdict::Fail => format!("{name}: FAIL ({duration:?})"),
            TestVerdict::Error(_) => format!("{name}: ERROR ({duration:?})"),
            TestVerdict::Skip => format!("{name}: SKIPPED"),
        }
    }

    fn json(&self) -> Value {
        let mut fields = Map::new();
        let location = json!({"file": self.file, "row": self.row, "col": self.column});
        fields.insert("location".to_owned(), location);
        fields.insert("package".to_owned(), json!(self.package));
        fields.insert("name".to_owned(), json!(self.name));
        match &self.verdict {
            TestVerdict::Pass => {}
            TestVerdict::Fail => drop(fields.insert("fail".to_owned(), json!(true))),
            TestVerdict::Error(message) => {
                fields.insert("error".to_owned(), json!({"message": message}));
            }
            TestVerdict::Skip => drop(fields.insert("skip".to_owned(), json!(true))),
        }
        fields.insert(
            "duration".to_owned(),
            json!(u64::try_from(self.duration.as_nanos()).unwrap_or(u64::MAX)),
        );
        if let Some(note) = &self.note {
            fields.insert("message".to_owned(), json!(note));
        }
        if !self.cases.is_empty() {
            fields.insert("sub_results".to_owned(), cases_json(&self.cases));
        }
        Value::Object(fields)
    }
}

fn cases_json(cases: &BTreeMap<String, TestCase>) -> Value {
    let case = |(name, case): (&String, &TestCase)| {
        let mut fields = Map::new();
        fields.insert("name".to_owned(), json!(name));
        if case.has_failed {
            fields.insert("fail".to_owned(), json!(true));
        }
        if !case.cases.is_empty() {
            fields.insert("sub_results".to_owned(), cases_json(&case.cases));
        }
        (name.clone(), Value::Object(fields))
    };
    Value::Object(cases.iter().map(case).collect())
}

// === impl Reports ===

impl Reports {
    /// Whether there is nothing but passes, and skipped ones where they are no failure.
    pub(super) fn have_passed(&self, may_skip: bool) -> bool {
        self.0.iter().all(|report| match report.verdict {
            TestVerdict::Pass => true,
            TestVerdict::Skip => may_skip,
            TestVerdict::Fail | TestVerdict::Error(_) => false,
        })
    }

    pub(super) fn text(&self, format: Format, is_verbose: bool) -> String {
        match format {
            Format::Pretty => self.pretty(is_verbose),
            Format::Json => {
                let results = Value::Array(self.0.iter().map(Report::json).collect());
                format!("{results:#}\n")
            }
        }
    }

    fn pretty(&self, is_verbose: bool) -> String {
        let mut text = String::new();
        let shown = self.0.iter().filter(|report| is_verbose || report.verdict != TestVerdict::Pass);
        let mut last_file: Option<&str> = None;
        for report in shown {
            if last_file.is_some_and(|file| file != report.file) {
                text.push('\n');
            }
            last_file = Some(&report.file);
            // Writing to a text cannot fail.
            let _ = writeln!(text, "{}:{}:\n{}", report.file, report.row, report.line());
            write_cases(&report.cases, is_verbose, "  ", &mut text);
            let note = match &report.verdict {
                TestVerdict::Error(message) => Some(message),
                TestVerdict::Pass | TestVerdict::Fail | TestVerdict::Skip => report.note.as_ref(),
            };
            if let Some(note) = note {
                let _ = writeln!(text, "  {}", note.replace('\n', "\n  "));
            }
        }
        if last_file.is_some() {
            let _ = writeln!(text, "{}", "-".repeat(80));
        }
        text + &self.tally().text()
    }

    fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for report in &self.0 {
            match report.verdict {
                TestVerdict::Skip => tally.skip += 1,
                TestVerdict::Error(_) => tally.error += 1,
                TestVerdict::Pass | TestVerdict::Fail if !report.cases.is_empty() => {
                    tally.count(&report.cases);
                }
                TestVerdict::Pass => tally.pass += 1,
                TestVerdict::Fail => tally.fail += 1,
            }
        }
        tally
    }
}

fn write_cases(cases: &BTreeMap<String, TestCase>, is_verbose: bool, indent: &str, text: &mut String) {
    for (name, case) in cases {
        if is_verbose || case.has_failed {
            let outcome = if case.has_failed { "FAIL" } else { "PASS" };
            let _ = writeln!(text, "{indent}{name}: {outcome}");
        }
        write_cases(&case.cases, is_verbose, &format!("{indent}  "), text);
    }
}

// === impl Tally ===

impl Tally {
    /// Counts the innermost cases.
    fn count(&mut self, cases: &BTreeMap<String, TestCase>) {
        for case in cases.values() {
            if !case.cases.is_empty() {
                self.count(&case.cases);
            } else if case.has_failed {
                self.fail += 1;
            } else {
                self.pass += 1;
            }
        }
    }

    fn text(&self) -> String {
        let total = self.pass + self.fail + self.skip + self.error;
        let mut text = String::new();
        for (word, count) in
            [("PASS", self.pass), ("FAIL", self.fail), ("SKIPPED", self.skip), ("ERROR", self.error)]
        {
            if count > 0 {
                let _ = writeln!(text, "{word}: {count}/{total}");
            }
        }
        text
    }
}
