//! Reports for programs, as `opa test --format json` has them.

use std::collections::BTreeMap;

use base64ct::{Base64, Encoding as _};
use hexr_authz_core::policy::{TestCase, TestVerdict};
use serde_json::{Map, Value, json};

use super::report::{Report, Reports};

pub(super) fn text(reports: &Reports) -> String {
    let results = Value::Array(reports.0.iter().map(of_report).collect());
    format!("{results:#}\n")
}

fn of_report(report: &Report) -> Value {
    let mut fields = Map::new();
    let location = json!({"file": report.file, "row": report.row, "col": report.column});
    fields.insert("location".to_owned(), location);
    fields.insert("package".to_owned(), json!(report.package));
    fields.insert("name".to_owned(), json!(report.name));
    match &report.verdict {
        TestVerdict::Pass => {}
        TestVerdict::Fail => drop(fields.insert("fail".to_owned(), json!(true))),
        TestVerdict::Error(message) => {
            fields.insert("error".to_owned(), json!({"message": message}));
        }
        TestVerdict::Skip => drop(fields.insert("skip".to_owned(), json!(true))),
    }
    let nanos = u64::try_from(report.duration.as_nanos()).unwrap_or(u64::MAX);
    fields.insert("duration".to_owned(), json!(nanos));
    if !report.printed.is_empty() {
        let printed = Base64::encode_string(report.printed.as_bytes());
        fields.insert("output".to_owned(), json!(printed));
    }
    if let Some(note) = &report.note {
        fields.insert("message".to_owned(), json!(note));
    }
    if !report.cases.is_empty() {
        fields.insert("sub_results".to_owned(), of_cases(&report.cases));
    }
    Value::Object(fields)
}

fn of_cases(cases: &BTreeMap<String, TestCase>) -> Value {
    let case = |(name, case): (&String, &TestCase)| {
        let mut fields = Map::new();
        fields.insert("name".to_owned(), json!(name));
        if case.has_failed {
            fields.insert("fail".to_owned(), json!(true));
        }
        if !case.cases.is_empty() {
            fields.insert("sub_results".to_owned(), of_cases(&case.cases));
        }
        (name.clone(), Value::Object(fields))
    };
    Value::Object(cases.iter().map(case).collect())
}
