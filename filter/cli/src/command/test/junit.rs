//! Reports for CI, in the XML of JUnit: a suite for each file, a test case for each test, and one for each case of a
//! parameterised test.

use std::collections::BTreeMap;

use hexr_authz_core::policy::{TestCase as Case, TestVerdict};
use quick_junit::{NonSuccessKind, Report as Document, TestCase, TestCaseStatus, TestSuite};

use super::report::{Report, Reports};

/// The document with all reports.
///
/// # Errors
/// When it cannot be written.
pub(super) fn text(reports: &Reports) -> Result<String, String> {
    let mut document = Document::new("hexr-authz test");
    document.set_time(reports.0.iter().map(|report| report.duration).sum());
    document
        .add_test_suites(reports.0.chunk_by(|report, next| report.file == next.file).map(suite_of_one_file));
    document.to_string().map_err(|error| format!("the report cannot be written: {error}"))
}

fn suite_of_one_file(reports: &[Report]) -> TestSuite {
    let mut suite = TestSuite::new(reports.first().map_or("", |report| &*report.file));
    suite.set_time(reports.iter().map(|report| report.duration).sum());
    for report in reports {
        let mut cases = Vec::new();
        if report.cases.is_empty() {
            cases.push(whole(report));
        } else {
            add_cases(report, &report.name, &report.cases, &mut cases);
        }
        if let Some(first) = cases.first_mut().filter(|_| !report.printed.is_empty()) {
            first.set_system_out(&report.printed);
        }
        suite.add_test_cases(cases);
    }
    suite
}

fn whole(report: &Report) -> TestCase {
    let status = match &report.verdict {
        TestVerdict::Pass => TestCaseStatus::success(),
        TestVerdict::Fail => failure(report.note.as_deref()),
        TestVerdict::Error(message) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
            status.set_message(message);
            status
        }
        TestVerdict::Skip => TestCaseStatus::skipped(),
    };
    let mut case = test_case(report, &report.name, status);
    case.set_time(report.duration);
    case
}

/// The innermost cases, each by the names that lead to it: `test_role/editor`. Time and output are
/// known of all together.
fn add_cases(report: &Report, path: &str, cases: &BTreeMap<String, Case>, found: &mut Vec<TestCase>) {
    for (name, case) in cases {
        let path = format!("{path}/{name}");
        if !case.cases.is_empty() {
            add_cases(report, &path, &case.cases, found);
            continue;
        }
        let status = if case.has_failed { failure(None) } else { TestCaseStatus::success() };
        found.push(test_case(report, &path, status));
    }
}

fn test_case(report: &Report, name: &str, status: TestCaseStatus) -> TestCase {
    let mut case = TestCase::new(name, status);
    case.set_classname(&report.package);
    // Where CI systems look for the line.
    case.extra.insert("file".into(), report.file.as_str().into());
    case.extra.insert("line".into(), report.row.to_string().into());
    case
}

fn failure(note: Option<&str>) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    status.set_message(note.unwrap_or("it is not true"));
    status
}
