//! Reports for programs and for CI.

use super::*;
use crate::cases::CASES_CONFIG;

#[test]
fn results_for_programs() {
    let folder = folder(&[("b.rego", "package b\ntest_a if false\ntodo_test_b if true\n")]);
    let ran = run(&folder, &["--format", "json", "."]);
    let mut results: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    for result in results.as_array_mut().unwrap() {
        assert!(result.as_object_mut().unwrap().remove("duration").unwrap().is_u64());
    }
    assert_eq!(
        results,
        serde_json::json!([
            {"location": {"file": "b.rego", "row": 2, "col": 1}, "package": "data.b", "name": "test_a", "fail": true},
            {"location": {"file": "b.rego", "row": 3, "col": 1}, "package": "data.b", "name": "todo_test_b", "skip": true},
        ])
    );
    assert_eq!(ran.code, Some(2));
}

#[test]
fn reports_for_ci() {
    let test = "package a\n\ntest_pass if print(\"<loud>\")\n\ntest_fail if false\n\ntest_error if y == 1\n\n\
                y := 1\n\ny := 2 if print(\"y\")\n\ntodo_test_later if false\n\n\
                test_roles[role][action] := allow if {\n\tsome role in [\"editor\", \"viewer\"]\n\tsome action in [\"r\", \"w\"]\n\t\
                allow := action == \"r\"\n}\n";
    let cases =
        "roles:\n  - name: a viewer & more\n    input: { role: viewer }\n    expect: { decision: allow }\n";
    let files = [
        ("authz.rego", POLICY),
        ("a_test.rego", test),
        ("b_test.rego", "package b\ntest_b if true\n"),
        ("cases/config.json", CASES_CONFIG),
        ("cases/roles.yaml", cases),
    ];
    let ran = run(&folder(&files), &["--format", "junit", "."]);
    let time = regex::Regex::new(" time=\"[0-9.]+\"").unwrap();
    let found = time.replace_all(&ran.stdout, "");
    let expect = r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="hexr-authz test" tests="10" skipped="1" failures="4" errors="1">
    <testsuite name="a_test.rego" tests="8" skipped="1" errors="1" failures="3">
        <testcase name="test_pass" classname="data.a" file="a_test.rego" line="3">
            <system-out>&lt;loud&gt;
</system-out>
        </testcase>
        <testcase name="test_fail" classname="data.a" file="a_test.rego" line="5">
            <failure message="it is not true"/>
        </testcase>
        <testcase name="test_error" classname="data.a" file="a_test.rego" line="7">
            <error message="the rule `data.a.y` has two values at once"/>
            <system-out>y
</system-out>
        </testcase>
        <testcase name="todo_test_later" classname="data.a" file="a_test.rego" line="13">
            <skipped/>
        </testcase>
        <testcase name="test_roles/editor/r" classname="data.a" file="a_test.rego" line="15"/>
        <testcase name="test_roles/editor/w" classname="data.a" file="a_test.rego" line="15">
            <failure message="it is not true"/>
        </testcase>
        <testcase name="test_roles/viewer/r" classname="data.a" file="a_test.rego" line="15"/>
        <testcase name="test_roles/viewer/w" classname="data.a" file="a_test.rego" line="15">
            <failure message="it is not true"/>
        </testcase>
    </testsuite>
    <testsuite name="b_test.rego" tests="1" skipped="0" errors="0" failures="0">
        <testcase name="test_b" classname="data.b" file="b_test.rego" line="2"/>
    </testsuite>
    <testsuite name="cases/roles.yaml" tests="1" skipped="0" errors="0" failures="1">
        <testcase name="roles[&quot;a viewer &amp; more&quot;]" classname="cases" file="cases/roles.yaml" line="2">
            <failure message="decision is `deny`, expected `allow`, reason is `policy_denied`, expected none, status is `403`, expected none, at 2025-01-15T10:30:00Z"/>
        </testcase>
    </testsuite>
</testsuites>
"#;
    assert_eq!(found, expect);
    assert_eq!((ran.code, &*ran.stderr), (Some(2), ""));
    let nothing = run(&folder(&files), &["--format", "junit", "-r", "nobody", "."]);
    assert!(nothing.stdout.contains("tests=\"0\""), "{}", nothing.stdout);
}
