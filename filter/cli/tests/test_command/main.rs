//! Command lines of `hexr-authz test`: exit code and output.

#![expect(clippy::unwrap_used, reason = "what the tests share stops at the first thing that does not work")]

mod bundles;
mod cases;
mod dialects;
mod documentation;
mod formats;
mod help;
mod watch;

use std::{fs, path::Path, process::Command};

use tempfile::TempDir;

const POLICY: &str = "package hexr.authz\n\ndefault allow := false\n\nallow if input.role == \"editor\"\n";

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        write(folder.path(), name, content);
    }
    folder
}

fn write(folder: &Path, name: &str, content: &str) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// What a command line came to. Durations are left out.
struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn run(folder: &TempDir, arguments: &[&str]) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_hexr-authz"))
        .arg("test")
        .args(arguments)
        .current_dir(folder.path())
        .output()
        .unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    Ran {
        code: output.status.code(),
        stdout: stdout.split_inclusive('\n').map(without_duration).collect(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A line as it is but for ` (1.5ms)` at its end.
fn without_duration(line: &str) -> String {
    match line.rsplit_once(" (") {
        Some((line, duration)) if duration.ends_with("s)\n") => format!("{line}\n"),
        Some(_) | None => line.to_owned(),
    }
}

/// Runs `test` in a folder with `files`.
#[track_caller]
fn check_test(files: &[(&str, &str)], arguments: &[&str], exit_code: i32, stdout: &[&str], stderr: &[&str]) {
    check_in(&folder(files), arguments, exit_code, stdout, stderr);
}

#[track_caller]
fn check_in(folder: &TempDir, arguments: &[&str], exit_code: i32, stdout: &[&str], stderr: &[&str]) {
    let Ran { code, stdout: found, stderr: errors } = run(folder, arguments);
    assert_eq!(found.lines().collect::<Vec<_>>(), stdout, "{errors}");
    assert_eq!(errors.lines().count(), stderr.len(), "{errors}");
    for (line, expect) in errors.lines().zip(stderr) {
        assert!(line.contains(expect), "{line}\nlacks\n{expect}");
    }
    assert_eq!(code, Some(exit_code), "{found}{errors}");
}

const RULE: &str = "--------------------------------------------------------------------------------";
const TESTED: (&str, &str) = (
    "a_test.rego",
    "package a_test\nimport data.hexr.authz\n\ntest_editor if authz.allow with input.role as \"editor\"\n\n\
     test_viewer if not authz.allow with input.role as \"viewer\"\n\ntodo_test_later if false\n",
);

#[test]
fn tests_are_reported_as_opa_reports_them() {
    let files = [("authz.rego", POLICY), TESTED];
    let skipped =
        ["a_test.rego:8:", "data.a_test.todo_test_later: SKIPPED", RULE, "PASS: 2/3", "SKIPPED: 1/3"];
    check_test(&files, &["."], 2, &skipped, &[]);
    check_test(&files, &["-z", "."], 0, &skipped, &[]);
    let verbose = ["a_test.rego:4:", "data.a_test.test_editor: PASS", RULE, "PASS: 1/1"];
    check_test(&files, &["-v", "-r", "editor$", "."], 0, &verbose, &[]);
    check_test(&files, &["-r", "data.a_test.test", "."], 0, &["PASS: 2/2"], &[]);
    check_test(&files, &["-r", "nobody", "."], 0, &[], &[]);
    check_test(&[("authz.rego", POLICY)], &["."], 0, &[], &[]);
    let failing = "package b\ntest_a if 1 == 2\ntest_a if true\ntest_b[x] if { some x in [\"p\", \"q\"]; x == \"q\" }\n\
                   test_c if y\ny := 1\ny := 2 if input == {}\ntest_d if y with input as {}\n";
    check_test(
        &[("b.rego", failing), TESTED, ("authz.rego", POLICY)],
        &["b.rego", "-v"],
        2,
        &[
            "b.rego:2:",
            "data.b.test_a: FAIL",
            "b.rego:3:",
            "data.b.test_a#01: PASS",
            "b.rego:4:",
            "data.b.test_b: FAIL",
            "  p: FAIL",
            "  q: PASS",
            "b.rego:5:",
            "data.b.test_c: PASS",
            "b.rego:8:",
            "data.b.test_d: ERROR",
            "  the rule `data.b.y` has two values at once",
            RULE,
            "PASS: 3/6",
            "FAIL: 2/6",
            "ERROR: 1/6",
        ],
        &[],
    );
}

#[test]
fn what_cannot_be_run_is_not_a_failure() {
    check_test(&[("a.rego", "package a\nx :=")], &["."], 1, &[], &["a.rego:2:5"]);
    check_test(&[("a.rego", "package a\ntest_x if y == 1")], &["."], 1, &[], &["a.rego:2"]);
    check_test(&[], &["missing"], 1, &[], &["missing"]);
    check_test(
        &[("a.rego", "package a")],
        &["-r", "[", "."],
        1,
        &[],
        &["regex parse error", "[", "^", "error: unclosed"],
    );
}

/// Data is loaded as OPA loads it, not as a bundle.
#[test]
fn all_json_and_yaml_is_data() {
    let test = "package a\ntest_a if data.x.y.z == 1\ntest_b if data.x.list.w == 2\ntest_c if data.top\n";
    let files =
        [("a.rego", test), ("x/y/any.json", "{\"z\": 1}"), ("x/list/b.yaml", "w: 2"), ("c.yml", "top: true")];
    check_test(&files, &["."], 0, &["PASS: 3/3"], &[]);
    let files = [("a.rego", test), ("x/y.json", "{\"z\": 1}"), ("y.yaml", "x: {z: 2}")];
    check_test(&files, &["."], 1, &[], &["y.yaml: `data.x.z` is given twice"]);
}

#[test]
fn what_is_printed_is_shown() {
    let test = "package a\ntest_loud if { print(\"role\", input.role); print([1, {\"a\": \"b\"}]); false }\n\
                test_pass if print(\"passes\")\n";
    let loud = ["a.rego:2:", "data.a.test_loud: FAIL", "", "  role <undefined>", "  [1, {\"a\": \"b\"}]", ""];
    let pass = ["a.rego:3:", "data.a.test_pass: PASS", "", "  passes", ""];
    let tally = [RULE, "PASS: 1/2", "FAIL: 1/2"];
    check_test(&[("a.rego", test)], &["."], 2, &[&loud[..], &tally].concat(), &[]);
    check_test(&[("a.rego", test)], &["-v", "."], 2, &[&loud[..], &pass, &tally].concat(), &[]);
    let ran = run(&folder(&[("a.rego", test)]), &["-f", "json", "-r", "pass", "."]);
    assert!(ran.stdout.contains("\"output\": \"cGFzc2VzCg==\""), "{}", ran.stdout);
}

#[test]
fn tests_are_chosen() {
    let files = [
        ("a/a_test.rego", "package a\ntest_one if true\ntest_one if true\n"),
        ("b/b_test.rego", "package b\ntest_two if false\n"),
    ];
    let second = ["a/a_test.rego:3:", "data.a.test_one#01: PASS", RULE, "PASS: 1/1"];
    check_test(&files, &["-v", "-r", "test_one#01\"\\]$", "."], 0, &second, &[]);
    check_test(&files, &["-r", "one", "."], 0, &["PASS: 2/2"], &[]);
    check_test(&files, &["a"], 0, &["PASS: 2/2"], &[]);
    check_test(&files, &["a", "./a/", "a/a_test.rego"], 0, &["PASS: 2/2"], &[]);
    check_test(&files, &["--ignore", "b", "."], 0, &["PASS: 2/2"], &[]);
    check_test(&files, &["--ignore", "x,b_*", "."], 0, &["PASS: 2/2"], &[]);
    check_test(&files, &["--ignore", "x", "--ignore", "b_test.rego", "."], 0, &["PASS: 2/2"], &[]);
    // What is named itself is not left out.
    let failed = ["b/b_test.rego:2:", "data.b.test_two: FAIL", RULE, "FAIL: 1/1"];
    check_test(&files, &["--ignore", "b", "b"], 2, &failed, &[]);
    check_test(&files, &["--fail-on-empty", "-r", "nobody", "."], 1, &[], &["no tests were run"]);
    check_test(&files, &["--fail-on-empty", "-r", "one", "."], 0, &["PASS: 2/2"], &[]);
    check_test(
        &files,
        &["--fail-on-empty", "-f", "json", "-r", "nobody", "."],
        1,
        &["[]"],
        &["no tests were run"],
    );
}

#[test]
fn tests_are_repeated_until_one_does_not_pass() {
    let files = [("a.rego", "package a\ntest_a if true\n"), ("b.rego", "package b\ntest_b if false\n")];
    check_test(&files, &["--count", "3", "a.rego"], 0, &["PASS: 1/1"; 3], &[]);
    let failed = ["b.rego:2:", "data.b.test_b: FAIL", RULE, "PASS: 1/2", "FAIL: 1/2"];
    check_test(&files, &["--count", "3", "."], 2, &failed, &[]);
}

#[test]
fn the_instant_can_be_set() {
    let test = "package a\ntest_noon if time.now_ns() == 1736942400000000000\n\
                test_mocked if time.now_ns() == 7 with time.now_ns as 7\n\
                test_one_instant if time.now_ns() == time.now_ns()\n";
    check_test(&[("a.rego", test)], &["--time", "2025-01-15T12:00:00Z", "."], 0, &["PASS: 3/3"], &[]);
    check_test(&[("a.rego", test)], &["--time", "2025-01-15T13:00:00+01:00", "."], 0, &["PASS: 3/3"], &[]);
    let failed = ["a.rego:2:", "data.a.test_noon: FAIL", RULE, "PASS: 2/3", "FAIL: 1/3"];
    check_test(&[("a.rego", test)], &["."], 2, &failed, &[]);
    // What is random follows from it.
    let random = "package a\ntest_a if { print(rand.intn(\"a\", 1000000), uuid.rfc4122(\"b\")) }\n";
    let folder = folder(&[("a.rego", random)]);
    let first = run(&folder, &["-v", "--time", "2025-01-15T12:00:00Z", "."]);
    assert_eq!(first.code, Some(0));
    assert_eq!(run(&folder, &["-v", "--time", "2025-01-15T12:00:00Z", "."]).stdout, first.stdout);
    assert_ne!(run(&folder, &["-v", "--time", "2025-01-15T12:00:01Z", "."]).stdout, first.stdout);
}

#[test]
fn a_test_may_take_so_long() {
    let test =
        "package a\ntest_long if { every x in numbers.range(1, 100000) { x > 0 } }\ntest_short if true\n";
    check_test(&[("a.rego", test)], &["."], 0, &["PASS: 2/2"], &[]);
    check_test(&[("a.rego", test)], &["--timeout", "1m0.5s", "."], 0, &["PASS: 2/2"], &[]);
    let late =
        ["a.rego:2:", "data.a.test_long: ERROR", "  it took too long", RULE, "PASS: 1/2", "ERROR: 1/2"];
    check_test(&[("a.rego", test)], &["--timeout", "1ms", "."], 2, &late, &[]);
}

#[test]
fn wrong_flags_are_told() {
    let files = [("a.rego", "package a\ntest_a if true\n")];
    for (arguments, expect) in [
        (&["--time", "noon", "."][..], "`noon` is no instant, as `2025-01-15T10:30:00Z`"),
        (&["--timeout", "5", "."], "`5` is no duration, as `500ms` or `1m30s`"),
        (&["--timeout", "-5s", "."], "unexpected argument '-5' found"),
        (&["--count", "0", "."], "invalid value '0' for '--count <N>'"),
        (&["--parallel", "many", "."], "invalid value 'many' for '--parallel <N>'"),
        (&["--ignore", "[", "."], "invalid value '[' for '--ignore <PATTERN>'"),
        (&["--format", "gobench", "."], "[possible values: pretty, json, junit]"),
        (&[], "<PATHS>..."),
    ] {
        let ran = run(&folder(&files), arguments);
        assert_eq!((ran.code, &*ran.stdout), (Some(2), ""), "{arguments:?}");
        assert!(ran.stderr.contains(expect), "{}\nlacks\n{expect}", ran.stderr);
    }
}

/// However many run at once, the report is the same.
#[test]
fn reports_are_in_the_order_of_the_files() {
    let tests: String = (0..50).map(|at| format!("test_{at} if {} == 0\n", at % 7)).collect();
    let files: Vec<(String, String)> =
        (0..4).map(|at| (format!("f{at}.rego"), format!("package f{at}\n{tests}"))).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let folder = folder(&files);
    let one = run(&folder, &["-v", "-p", "1", "."]);
    assert_eq!(one.code, Some(2));
    assert!(one.stdout.ends_with("\nPASS: 32/200\nFAIL: 168/200\n"), "{}", one.stdout);
    let places: Vec<&str> = one.stdout.lines().filter(|line| line.ends_with(':')).collect();
    let expect: Vec<String> =
        (0..4).flat_map(|file| (0..50).map(move |test| format!("f{file}.rego:{}:", test + 2))).collect();
    assert_eq!(places, expect);
    for threads in ["0", "2", "16", "1000"] {
        assert_eq!(run(&folder, &["-v", "-p", threads, "."]).stdout, one.stdout, "{threads}");
    }
}
