use super::*;
use crate::{
    policy::{Came, Condition, Data, Fate},
    timestamp::Timestamp,
};

const MOMENT: Moment<'static> =
    Moment { now: Timestamp::from_unix_nanos(1_768_473_000_000_000_000), seed: 0, is_over: &|_| false };

fn modules(texts: &[&str]) -> Vec<Module> {
    let module = |(at, text): (usize, &&str)| Module {
        path: format!("{at}.rego"),
        text: (*text).to_owned(),
        dialect: None,
    };
    texts.iter().enumerate().map(module).collect()
}

/// An explanation on few lines: rules with their values, definitions, conditions with what they speak of.
fn told(trace: &RuleTrace, depth: usize, text: &mut Vec<String>) {
    let indent = "  ".repeat(depth);
    let value = match &trace.value {
        Came::Value(value) => value,
        Came::Undefined => "undefined",
        Came::Error => "error",
    };
    let left_out = if trace.left_out > 0 { format!(" and {} more", trace.left_out) } else { String::new() };
    let cut = if trace.is_cut { " (cut)" } else { "" };
    text.push(format!("{indent}{} = {value}{left_out}{cut}", trace.rule));
    for definition in &trace.definitions {
        let place = format!("{indent}{}:{}", definition.file.trim_end_matches(".rego"), definition.line);
        match &definition.fate {
            Fate::Held(0) => text.push(format!("{place} holds")),
            Fate::Held(number) => text.push(format!("{place} holds by else {number}")),
            Fate::ForOthers => text.push(format!("{place} for others")),
            Fate::Ended => text.push(format!("{place} ended")),
            Fate::Failed(conditions) => {
                for condition in conditions {
                    text.push(format!("{place} fails {}", condition_text(condition)));
                    condition.because.iter().for_each(|rule| told(rule, depth + 1, text));
                }
            }
        }
    }
}

fn condition_text(condition: &Condition) -> String {
    let shown = condition
        .shown
        .iter()
        .map(|shown| format!("{}={}", shown.text, shown.value.as_deref().unwrap_or("undefined")));
    let shown = shown.collect::<Vec<_>>().join(", ");
    let times = if condition.times > 1 { format!(" x{}", condition.times) } else { String::new() };
    format!("{}{times} `{}` [{shown}]", condition.line, condition.text)
}

#[track_caller]
fn check(texts: &[&str], data: &str, input: &str, expect: &[&str]) {
    let modules = modules(texts);
    let library = Library::compile(&modules, &Data::from_json(data).unwrap()).unwrap();
    let insight = Insight::new(&modules).unwrap();
    let path = RulePath::parse("p/allow").unwrap();
    let input = Input::from_json(input).unwrap();
    let trace = library.explain(&insight, &path, &input, MOMENT).unwrap();
    let mut found = Vec::new();
    told(&trace, 0, &mut found);
    assert_eq!(found, expect, "{texts:#?}");
}

#[test]
fn the_first_condition_that_does_not_hold() {
    let policy = "package p\nallow if {\n\tinput.role == \"editor\"\n\tinput.service in {\"s3\", \"ec2\"}\n}";
    check(
        &[policy],
        "{}",
        r#"{"role": "viewer", "service": "s3"}"#,
        &["data.p.allow = undefined", "0:2 fails 3 `input.role == \"editor\"` [input.role=\"viewer\"]"],
    );
    check(
        &[policy],
        "{}",
        r#"{"role": "editor", "service": "gcs"}"#,
        &[
            "data.p.allow = undefined",
            "0:2 fails 4 `input.service in {\"s3\", \"ec2\"}` [input.service=\"gcs\"]",
        ],
    );
    check(&[policy], "{}", r#"{"role": "editor", "service": "s3"}"#, &["data.p.allow = true", "0:2 holds"]);
    check(
        &[policy],
        "{}",
        r#"{"role": "editor"}"#,
        &[
            "data.p.allow = undefined",
            "0:2 fails 4 `input.service in {\"s3\", \"ec2\"}` [input.service=undefined]",
        ],
    );
}

#[test]
fn rules_that_a_condition_depends_on() {
    let policy = "package p\nimport data.roles\ndefault allow := false\nallow if {\n roles.permit\n not blocked\n}\n\
                  blocked if input.agent == \"a\"";
    let roles = "package roles\npermit if input.action in data.grants[input.role]";
    let data = r#"{"grants": {"editor": ["Get", "Put"]}}"#;
    check(
        &[policy, roles],
        data,
        r#"{"role": "editor", "action": "Delete"}"#,
        &[
            "data.p.allow = false",
            "0:4 fails 5 `roles.permit` [roles.permit=undefined]",
            "  data.roles.permit = undefined",
            "  1:2 fails 2 `input.action in data.grants[input.role]` [input.action=\"Delete\", \
             data.grants[input.role]=[\"Get\", \"Put\"], input.role=\"editor\"]",
            "0:3 holds",
        ],
    );
    check(
        &[policy, roles],
        data,
        r#"{"role": "editor", "action": "Get", "agent": "a"}"#,
        &[
            "data.p.allow = false",
            "0:4 fails 6 `not blocked` [blocked=true]",
            "  data.p.blocked = true",
            "  0:8 holds",
            "0:3 holds",
        ],
    );
}

#[test]
fn values_of_variables_calls_and_iterations() {
    check(
        &["package p\nallow if {\n some g in data.grants\n g.agent == input.agent\n}"],
        r#"{"grants": [{"agent": "a"}, {"agent": "b"}]}"#,
        r#"{"agent": "c"}"#,
        &[
            "data.p.allow = undefined",
            "0:2 fails 4 x2 `g.agent == input.agent` [g={\"agent\": \"b\"}, g.agent=\"b\", input.agent=\"c\"]",
        ],
    );
    check(
        &["package p\nallow if count(calls) + 1 < 3\ncalls contains c if some c in input.calls"],
        "{}",
        r#"{"calls": [1, 2]}"#,
        &[
            "data.p.allow = undefined",
            "0:2 fails 2 `count(calls) + 1 < 3` [count(calls)=2, count(calls) + 1=3, calls={1, 2}]",
        ],
    );
    check(
        &["package p\nallow if {\n every x in input.n {\n  x < limit\n }\n}\nlimit := 2"],
        "{}",
        r#"{"n": [1, 5]}"#,
        &["data.p.allow = undefined", "0:2 fails 4 `x < limit` [x=5, limit=2]"],
    );
    check(
        &[
            "package p\nallow if f(input.n) == \"big\"\nf(n) := \"small\" if n < 3\nelse := \"big\" if n > 9\nf(\"x\") := 1",
        ],
        "{}",
        r#"{"n": 5}"#,
        &[
            "data.p.allow = undefined",
            "0:2 fails 2 `f(input.n) == \"big\"` [input.n=5]",
            "  data.p.f(5) = undefined",
            "  0:3 fails 3 `n < 3` [n=5]",
            "  0:3 fails 4 `n > 9` [n=5]",
            "  0:5 for others",
        ],
    );
}

#[test]
fn many_definitions_and_errors() {
    let mut policy = "package p\n".to_owned();
    for number in 0..20 {
        policy.push_str(&format!("allow if {{ input.a == {number}; input.b == {number} }}\n"));
    }
    let modules_of_many = [policy.as_str()];
    let modules = modules(&modules_of_many);
    let library = Library::compile(&modules, &Data::default()).unwrap();
    let insight = Insight::new(&modules).unwrap();
    let input = Input::from_json(r#"{"a": 13}"#).unwrap();
    let trace = library.explain(&insight, &RulePath::parse("p/allow").unwrap(), &input, MOMENT).unwrap();
    assert_eq!((trace.definitions.len(), trace.left_out), (8, 12));
    let mut found = Vec::new();
    told(&trace, 0, &mut found);
    let closest = "0:15 fails 15 `input.b == 13` [input.b=undefined]";
    assert!(found.iter().any(|line| line == closest), "{found:#?}");
    check(
        &["package p\nallow := 1 if input.a\nallow := 2 if input.b"],
        "{}",
        r#"{"a": 1, "b": 1}"#,
        &["data.p.allow = error", "0:2 holds", "0:3 holds"],
    );
}

/// What is covered, as `LINE:COLUMN-LINE:COLUMN`, and what is not.
#[track_caller]
fn check_coverage(texts: &[&str], covered: &[&str], missed: &[&str]) {
    let modules = modules(texts);
    let library = Library::compile(&modules, &Data::default()).unwrap();
    let mut coverage = Coverage::default();
    for test in library.tests() {
        library.cover(&test, MOMENT, &mut coverage);
    }
    let files = Insight::new(&modules).unwrap().covered(&coverage);
    let parts = |wanted: bool| -> Vec<String> {
        let first = files.first().map(|file| file.parts.as_slice()).unwrap_or_default();
        let of = first.iter().filter(|part| part.is_covered == wanted);
        of.map(|part| format!("{}:{}-{}:{}", part.from.0, part.from.1, part.to.0, part.to.1)).collect()
    };
    assert_eq!((parts(true), parts(false)), (owned(covered), owned(missed)), "{texts:#?}");
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn what_tests_cover() {
    let policy = "package p\n\ndefault allow := false\n\nallow if {\n\tinput.role == \"editor\"\n\tinput.team\n}\n\n\
                  allow if {\n\tinput.role == \"admin\"\n\tevery x in input.n { x > 0 }\n}\n\nunused if input.z\n\
                  f(x) := 1 if x > 5\nelse := 2 if x > 1\nelse := 3 if x > 0";
    check_coverage(
        &[
            policy,
            "package t\nimport data.p\ntest_a if { not p.allow with input as {\"role\": \"editor\"}; p.f(3) == 2 }",
        ],
        &["3:1-3:8", "6:2-6:24", "7:2-7:12", "11:2-11:23", "16:14-16:19", "17:1-17:10", "17:14-17:19"],
        &[
            "5:1-5:6",
            "10:1-10:6",
            "12:2-12:30",
            "12:23-12:28",
            "15:1-15:7",
            "15:11-15:18",
            "16:1-16:10",
            "18:1-18:10",
            "18:14-18:19",
        ],
    );
}

/// The condition that a test fails by.
#[test]
fn the_condition_of_a_failed_test() {
    let texts = ["package t\ntest_a if {\n\tx := 2\n\tx == input.y + 1 with input as {\"y\": 4}\n}"];
    let modules = modules(&texts);
    let library = Library::compile(&modules, &Data::default()).unwrap();
    let insight = Insight::new(&modules).unwrap();
    let tests = library.tests();
    let condition = library.failed_condition(&insight, &tests[0], MOMENT).unwrap();
    assert_eq!(
        condition_text(&condition),
        "4 `x == input.y + 1 with input as {\"y\": 4}` [x=2, input.y=4, input.y + 1=5]"
    );
    assert_eq!((condition.file.as_str(), condition.indent.as_str()), ("0.rego", "\t"));
}
