//! `hexr-authz test`: what tests cover, and by which expression one fails.

#![expect(clippy::unwrap_used, reason = "what the tests share stops at the first thing that does not work")]

mod tool;

use regex::Regex;

const POLICY: &str = "package p\n\ndefault allow := false\n\nallow if {\n\tinput.role == \"editor\"\n\tinput.team == \"a\"\n}\n";
const TEST: &str =
    "package p_test\n\nimport data.p\n\ntest_denied if not p.allow with input as {\"role\": \"viewer\"}\n";
const FAILING: &str = "\
package q_test

f(x) := x + 1

test_sum if {
	x := f(3)
	x == input.y + 1 with input as {\"y\": 4}
}

test_last if {
  every n in [1, 2, 3] {
      n < 3
  }
}
";

/// Runs the tests of `files`; durations are written as `(0s)`.
#[track_caller]
fn check(files: &[(&str, &str)], arguments: &[&str], exit_code: i32, stdout: &str, stderr: &str) {
    let ran = tool::run(tool::folder(files).path(), &[&["test", "."], arguments].concat(), "");
    let durations = Regex::new(r"\([0-9.]+[nµm]?s\)").unwrap();
    assert_eq!(ran.stderr, stderr, "{arguments:?}");
    assert_eq!(durations.replace_all(&ran.stdout, "(0s)"), stdout, "{arguments:?}");
    assert_eq!(ran.exit_code, Some(exit_code), "{arguments:?}");
}

#[test]
fn coverage() {
    let files = [("p.rego", POLICY), ("p_test.rego", TEST)];
    check(
        &files,
        &["--coverage", "--format", "pretty"],
        0,
        "\
p.rego: 50.00% (2 of 4 lines)
  data.p.allow: 50.00% (2 of 4 lines), not covered: 5, 7
p_test.rego: 100.00% (1 of 1 lines)
  data.p_test.test_denied: 100.00% (1 of 1 lines)
all: 60.00% (3 of 5 lines)
",
        "",
    );
    check(
        &files,
        &["--threshold", "70", "-v"],
        2,
        "",
        "Code coverage threshold not met: got 60.00 instead of 70.00\nLines not covered:\n\tp.rego:5\n\tp.rego:7\n",
    );
    check(
        &files,
        &["--threshold", "60", "-f", "pretty"],
        0,
        "\
p.rego: 50.00% (2 of 4 lines)
  data.p.allow: 50.00% (2 of 4 lines), not covered: 5, 7
p_test.rego: 100.00% (1 of 1 lines)
  data.p_test.test_denied: 100.00% (1 of 1 lines)
all: 60.00% (3 of 5 lines)
",
        "",
    );
    // The form of OPA's report.
    let line = |row: u32, from: u32, to: u32| {
        format!(
            "        {{\n          \"start\": {{\n            \"row\": {row},\n            \"col\": {from}\n          }},\n          \
             \"end\": {{\n            \"row\": {row},\n            \"col\": {to}\n          }}\n        }}"
        )
    };
    let report = format!(
        "{{\n  \"files\": {{\n    \"p.rego\": {{\n      \"covered\": [\n{},\n{}\n      ],\n      \"not_covered\": [\n{},\n{}\n      ],\n      \
         \"covered_lines\": 2,\n      \"not_covered_lines\": 2,\n      \"coverage\": 50\n    }},\n    \"p_test.rego\": {{\n      \
         \"covered\": [\n{},\n{}\n      ],\n      \"covered_lines\": 1,\n      \"coverage\": 100\n    }}\n  }},\n  \"covered_lines\": 3,\n  \
         \"not_covered_lines\": 2,\n  \"coverage\": 60\n}}\n",
        line(3, 1, 8),
        line(6, 2, 24),
        line(5, 1, 6),
        line(7, 2, 19),
        line(5, 1, 12),
        line(5, 16, 60),
    );
    check(&files, &["--coverage"], 0, &report, "");
}

#[test]
fn the_expression_that_fails() {
    let rule = "-".repeat(80);
    check(
        &[("q_test.rego", FAILING)],
        &["--var-values"],
        2,
        &format!(
            "\
q_test.rego:5:
data.q_test.test_sum: FAIL (0s)
q_test.rego:10:
data.q_test.test_last: FAIL (0s)
{rule}
FAILURES
{rule}
data.q_test.test_sum: FAIL (0s)

  q_test.rego:7:
    \tx == input.y + 1 with input as {{\"y\": 4}}
    \t|    |
    \t|    input.y + 1: 5
    \t|    input.y: 4
    \t4

data.q_test.test_last: FAIL (0s)

  q_test.rego:12:
          n < 3
          |
          3

{rule}
FAIL: 2/2
"
        ),
        "",
    );
}
