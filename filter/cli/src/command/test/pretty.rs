//! Reports for reading, as `opa test` prints them.

use std::{collections::BTreeMap, fmt::Write as _};

use hexr_authz_core::policy::{TestCase, TestVerdict};

use super::report::{Report, Reports};

/// How many of each there are. Of a parameterised test its innermost cases are counted.
#[derive(Debug, Default)]
struct Tally {
    pass: usize,
    fail: usize,
    skip: usize,
    error: usize,
}

pub(super) fn text(reports: &Reports, is_verbose: bool) -> String {
    let mut text = String::new();
    let shown = reports.0.iter().filter(|report| is_verbose || report.verdict != TestVerdict::Pass);
    let mut last_file: Option<&str> = None;
    for report in shown {
        if last_file.is_some_and(|file| file != report.file) {
            text.push('\n');
        }
        last_file = Some(&report.file);
        write_report(report, is_verbose, &mut text);
    }
    let rule = "-".repeat(80);
    let failures: Vec<String> = reports.0.iter().filter_map(failure).collect();
    if !failures.is_empty() {
        // Writing to a text cannot fail.
        let _ = write!(text, "{rule}\nFAILURES\n{rule}\n{}", failures.concat());
    }
    if last_file.is_some() {
        let _ = writeln!(text, "{rule}");
    }
    text + &Tally::of(reports).text()
}

/// The expression that did not hold, with its values, where those are asked for.
fn failure(report: &Report) -> Option<String> {
    let condition = report.condition.as_ref()?;
    Some(format!("{}\n\n{condition}\n", line(report)))
}

fn write_report(report: &Report, is_verbose: bool, text: &mut String) {
    let _ = writeln!(text, "{}:{}:\n{}", report.file, report.row, line(report));
    write_cases(&report.cases, is_verbose, "  ", text);
    if !report.printed.is_empty() {
        let _ = writeln!(text, "\n  {}\n", report.printed.trim().replace('\n', "\n  "));
    }
    let note = match &report.verdict {
        TestVerdict::Error(message) => Some(message),
        TestVerdict::Pass | TestVerdict::Fail | TestVerdict::Skip => report.note.as_ref(),
    };
    if let Some(note) = note {
        let _ = writeln!(text, "  {}", note.replace('\n', "\n  "));
    }
}

fn line(report: &Report) -> String {
    let name = report.full_name();
    let duration = report.duration;
    match &report.verdict {
        TestVerdict::Pass => format!("{name}: PASS ({duration:?})"),
        TestVerdict::Fail => format!("{name}: FAIL ({duration:?})"),
        TestVerdict::Error(_) => format!("{name}: ERROR ({duration:?})"),
        TestVerdict::Skip => format!("{name}: SKIPPED"),
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
    fn of(reports: &Reports) -> Self {
        let mut tally = Self::default();
        for report in &reports.0 {
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
