use super::*;
use crate::{
    policy::{Data, Module},
    timestamp::Timestamp,
};

const MOMENT: Moment<'static> =
    Moment { now: Timestamp::from_unix_nanos(1_736_937_000_000_000_000), seed: 0, is_over: &|_| false };

const BUDGET: Budget = Budget { milliseconds: 5_000 };

fn library(text: &str) -> Library {
    let module = Module { path: "a_test.rego".to_owned(), text: text.to_owned(), dialect: None };
    Library::compile(&[module], &Data::from_json(r#"{"limit": 3}"#).unwrap()).unwrap()
}

/// Every test of a module as `LINE NAME VERDICT`, and its cases below it, as `opa test -v` of OPA 1.22.2 has them.
#[track_caller]
fn check(body: &str, expect: &[&str]) {
    let library = library(&format!("package a_test\n{body}"));
    let mut lines = Vec::new();
    for test in library.tests() {
        assert_eq!((test.package.as_str(), test.module.as_str()), ("data.a_test", "a_test.rego"));
        let run = library.run(&test, MOMENT, BUDGET);
        let verdict = match run.verdict {
            TestVerdict::Pass => "PASS".to_owned(),
            TestVerdict::Fail => "FAIL".to_owned(),
            TestVerdict::Error(message) => format!("ERROR {message}"),
            TestVerdict::Skip => "SKIPPED".to_owned(),
        };
        lines.push(format!("{} {} {verdict}", test.line, test.name));
        print_cases(&run.cases, "  ", &mut lines);
    }
    assert_eq!(lines, expect, "{body}");
}

fn print_cases(cases: &BTreeMap<String, TestCase>, indent: &str, lines: &mut Vec<String>) {
    for (name, case) in cases {
        lines.push(format!("{indent}{name} {}", if case.has_failed { "FAIL" } else { "PASS" }));
        print_cases(&case.cases, &format!("{indent}  "), lines);
    }
}

#[test]
fn definitions_of_one_name_are_run_apart() {
    check(
        "test_a if true\n\ntest_a if false\n\ntest_a if 1 == 1",
        &["2 test_a PASS", "4 test_a#01 FAIL", "6 test_a#02 PASS"],
    );
    check("default test_a := false\ntest_a if true", &["2 test_a FAIL", "3 test_a#01 PASS"]);
    check("foo.test_a if true\nfoo.test_a if false", &["2 foo.test_a PASS", "3 foo[\"test_a#01\"] FAIL"]);
    // Bodies of v0.
    check("test_a { true } { false }\n{ true }", &["2 test_a PASS", "2 test_a#01 FAIL", "3 test_a#02 PASS"]);
    // They contradict each other, but not themselves.
    check("test_a := true\ntest_a := false", &["2 test_a PASS", "3 test_a#01 FAIL"]);
}

#[test]
fn only_true_passes() {
    check(
        "test_a := 3\ntest_b := \"true\"\ntest_c := {true}\ntest_d := false",
        &["2 test_a FAIL", "3 test_b FAIL", "4 test_c FAIL", "5 test_d FAIL"],
    );
    check("test_a contains x if some x in [true]", &["2 test_a FAIL"]);
    check("test_a.b if true\ntest_c.d.e if true", &["2 test_a FAIL", "3 test_c FAIL"]);
    check("test_a := false if { false } else := true", &["2 test_a PASS"]);
    check("test_a if input.x", &["2 test_a FAIL"]);
    check("test_a(x) if x == 1", &["2 test_a ERROR a function is no test: it is not called"]);
}

#[test]
fn what_is_no_test() {
    check("tes_a if false\nAtest_a if false\nx := {\"test_a\": false}\nfoo.bar if false", &[]);
}

#[test]
fn errors_are_no_failures() {
    check(
        "x := 1 if true\nx := 2 if data.limit\ntest_a if x == 1\ntest_b if not x",
        &[
            "4 test_a ERROR the rule `data.a_test.x` has two values at once",
            "5 test_b ERROR the rule `data.a_test.x` has two values at once",
        ],
    );
    let library = library("package a_test\ntest_a if { some a in numbers.range(1, 99999); a < 0 }");
    let over = Moment { is_over: &|_| true, ..MOMENT };
    let run = library.run(&library.tests()[0], over, BUDGET);
    assert_eq!(run.verdict, TestVerdict::Error("it took too long".to_owned()));
    let poor = Budget { milliseconds: 0 };
    let run = library.run(&library.tests()[0], MOMENT, poor);
    assert_eq!(run.verdict, TestVerdict::Error("it took too long".to_owned()));
}

#[test]
fn what_is_to_do_is_skipped() {
    check(
        "todo_test_a if false\ntodo_test_a if true\ntodo_test_b[x] if some x in [1]",
        &["2 todo_test_a SKIPPED", "3 todo_test_a SKIPPED", "4 todo_test_b SKIPPED"],
    );
}

#[test]
fn cases_that_are_not_there_have_failed() {
    let cases = r#"[{"note": "one", "x": 1}, {"note": "two", "x": 2}, {"note": "three", "x": "z"}]"#;
    check(
        &format!("test_a[tc.note] if {{\n    some tc in {cases}\n    tc.x < 2\n}}"),
        &["2 test_a FAIL", "  one PASS", "  three FAIL", "  two FAIL"],
    );
    check(
        &format!("test_a[note] if {{ some tc in {cases}; note := tc.note; tc.x > 0 }}"),
        &["2 test_a PASS", "  one PASS", "  three PASS", "  two PASS"],
    );
    // What fails before a case has a name is none.
    check(
        &format!("test_a[note] if {{ some tc in {cases}; tc.x < 2; note := tc.note }}"),
        &["2 test_a PASS", "  one PASS"],
    );
    check(
        "test_a[n] := v if some n, v in {\"yes\": true, \"no\": false, \"odd\": 7}",
        &["2 test_a FAIL", "  no FAIL", "  odd FAIL", "  yes PASS"],
    );
    check(
        "test_a[a][b] if {\n    some a in [\"x\", \"y\"]\n    some b in [1, 2]\n    b > 1\n}",
        &["2 test_a FAIL", "  x FAIL", "    1 FAIL", "    2 PASS", "  y FAIL", "    1 FAIL", "    2 PASS"],
    );
    check("test_a[tc] if some tc in []", &["2 test_a PASS"]);
    check(
        "test_a[note] if { note := \"only\"; internal.test_case([note]); false }",
        &["2 test_a FAIL", "  only FAIL"],
    );
    // A case of a name that is used twice fails where it fails once.
    check(
        "test_a[n] if { some n, x in [true, false]; x }\ntest_a[n] if { some n, x in [true]; x }",
        &["2 test_a FAIL", "  0 PASS", "  1 FAIL", "3 test_a#01 PASS", "  0 PASS"],
    );
}

#[test]
fn mocks() {
    let rules = "allow if { input.role in data.roles; count(data.audit_log) < data.limit }\n";
    check(
        &format!(
            "{rules}test_a if {{ allow with input as {{\"role\": \"r\"}} with data.roles as [\"r\"] with data.audit_log as [1, 2] }}\n\
             test_b if {{ not allow with input.role as \"r\" with data.roles as [\"r\"] with data.audit_log as [1, 2, 3] }}\n\
             test_c if {{ x := count([1]) with count as 7; x == 7 }}"
        ),
        &["3 test_a PASS", "4 test_b PASS", "5 test_c PASS"],
    );
}

#[test]
fn packages_are_written_as_references() {
    let library = library("package a[\"b-c\"].d\ntest_a if true\ntest_a if true\nx.test_b if true");
    let tests: Vec<(String, String)> =
        library.tests().into_iter().map(|test| (test.package, test.reference)).collect();
    let package = "data.a[\"b-c\"].d";
    let expect = [".test_a", "[\"test_a#01\"]", ".x.test_b"];
    assert_eq!(tests, expect.map(|name| (package.to_owned(), format!("{package}{name}"))));
}

/// What a test prints, as OPA 1.22.2 prints it.
#[track_caller]
fn check_printed(body: &str, expect: &str) {
    let library = library(&format!("package a_test\n{body}"));
    let printed: Vec<String> =
        library.tests().iter().map(|test| library.run(test, MOMENT, BUDGET).printed).collect();
    assert_eq!(printed.concat(), expect, "{body}");
}

#[test]
fn what_is_printed() {
    check_printed(
        "test_a if { print(\"x is\", 1, [\"a\", null], {\"b\": {1, 2}}, set()) }",
        "x is 1 [\"a\", null] {\"b\": {1, 2}} set()\n",
    );
    check_printed("test_a if { print(input.x, \"is undefined\"); false }", "<undefined> is undefined\n");
    check_printed("test_a if { print() }", "\n");
    check_printed("test_a if { print(walk([1]), \"walked\") }", "[[], [1]] walked\n[[0], 1] walked\n");
    check_printed("test_a if { some x in [1, 2]; print(x); x == 2 }", "1\n2\n");
    check_printed("test_a if { false; print(1) }", "");
    check_printed("x := 1 if print(\"in x\")\ntest_a if not x\ntest_b if false", "in x\n");
    // What was printed before an error is there.
    check_printed("x := 1\nx := 2 if print(\"in x\")\ntest_a if x == 1", "in x\n");
}
