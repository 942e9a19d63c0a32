//! Policies of every dialect.

use super::*;

/// A module that is modern, one that is old, and one that is old but for the keywords that nobody imported.
#[test]
fn every_dialect_is_tested() {
    let tested = "import data.hexr.authz\n\ntest_editor";
    for (dialect, policy, test) in [
        ("v1", POLICY, format!("package t\n{tested} if authz.allow with input.role as \"editor\"\n")),
        (
            "v0",
            "package hexr.authz\n\ndefault allow = false\n\nallow { input.role == \"editor\" }\n",
            format!("package t\n{tested} {{ authz.allow with input.role as \"editor\" }}\n"),
        ),
        (
            "v0 with keywords",
            "package hexr.authz\n\ndefault allow = false\n\nallow { input.role in {\"editor\"} }\n",
            format!(
                "package t\n{tested} {{ r := \"editor\"; r in [\"editor\"]; authz.allow with input.role as r }}\n"
            ),
        ),
    ] {
        let test = format!("{test}\ntodo_test_later := true\n");
        let files = [("authz.rego", policy), ("authz_test.rego", &*test)];
        let skipped =
            ["authz_test.rego:6:", "data.t.todo_test_later: SKIPPED", RULE, "PASS: 1/2", "SKIPPED: 1/2"];
        println!("{dialect}");
        check_test(&files, &["."], 2, &skipped, &[]);
        check_test(&files, &["-z", "."], 0, &skipped, &[]);
    }
    // Several side by side.
    let old =
        ("old_test.rego", "package old\ntest_a { data.hexr.authz.allow with input.role as \"editor\" }\n");
    check_test(
        &[("authz.rego", POLICY), old, TESTED],
        &["-z", "-r", "test_(a|editor)$", "."],
        0,
        &["PASS: 2/2"],
        &[],
    );
}
