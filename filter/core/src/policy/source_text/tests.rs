//! What is refused by its text.

use super::*;
use crate::pace::finish;

#[track_caller]
fn check_line(text: &str, expect: Option<usize>) {
    let refused = finish(Checker::new().check(text, &Pace::unhurried())).err();
    let start: String = text.chars().take(200).collect();
    assert_eq!(refused.as_ref().map(|refused| refused.line), expect, "{refused:?}: {start}");
}

/// `part`, `count` times, between `before` and `after`.
fn repeated(before: &str, part: &str, count: usize, after: &str) -> String {
    [before, &part.repeat(count), after].concat()
}

#[test]
fn nesting() {
    let nested = |depth: usize| format!("package p\nx := {}1{}", "[".repeat(depth), "]".repeat(depth));
    check_line(&nested(12), None);
    check_line(&nested(13), Some(2));
    check_line(&repeated("package p\nx := ", "- ", 12, "input"), None);
    check_line(&repeated("package p\nx := ", "- ", 13, "input"), Some(2));
    check_line(&repeated("package p\nx := 1", " + -input.a", 13, ""), Some(2));
    check_line(&repeated("package p\nx := [-input.a", ", -input.a", 50, "]"), None);
    check_line(&format!("# {}", "[".repeat(99)), None);
    check_line(&format!("x := \"{}\"", "[".repeat(99)), None);
    check_line(&format!("x := \"\\\"{}\"", "[".repeat(99)), None);
    check_line(&format!("x := \"\\\\\"{}", "[".repeat(99)), Some(1));
    check_line(&format!("x := `\n{}`", "[".repeat(99)), None);
    check_line(&format!("x := `\n`\n{}", "[".repeat(99)), Some(3));
}

#[test]
fn chains() {
    check_line(&repeated("package p\nx := 1", "+1", 199, ""), None);
    check_line(&repeated("package p\nx := 1", "+1", 200, ""), Some(2));
    check_line(&repeated("package p\nx := 1", "-1", 200, ""), Some(2));
    check_line(&repeated("package p\nx := 1", " in [1]", 250, ""), Some(2));
    check_line(&repeated("package p\nx := input", ".a", 199, ""), None);
    check_line(&repeated("package p\nx := input", ".a", 200, ""), Some(2));
    check_line(&repeated("package p\nx := input", "[\"a\"]", 201, ""), Some(2));
    check_line(&repeated("package p\nx", ".a", 201, " := 1"), Some(2));
    // Over lines, and around comments.
    check_line(&repeated("package p\nx := 1", "\n+1", 300, ""), Some(202));
    check_line(&repeated("package p\nx := 1", " # c\n+ # d\n1", 300, ""), Some(401));
    // Within brackets that stand first within others.
    let nested = format!(
        "package p\nx := {}1{}",
        "(".repeat(10),
        "+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1)".repeat(10)
    );
    check_line(&nested, Some(2));
    // Beside one another.
    check_line(&repeated("package p\nx := [1", ", 1 + 1", 1000, "]"), None);
    check_line(&repeated("package p\nx if {\n", "1 + 1 == 2\n", 1000, "}"), None);
    check_line(&repeated("package p\nx if { true", "; 1 + 1 == 2", 1000, "}"), None);
    check_line(&repeated("package p\nx := 1 if { input.a }", "\nelse := 2 if { input.b }", 1000, ""), None);
    check_line(&repeated("package p\n", "x := 1 + 1\n", 1000, ""), None);
    check_line(&repeated("package p\nx if input.a", " with input.a as 1", 100, ""), None);
}

#[test]
fn what_is_read_again() {
    check_line(&repeated("package p\nx := ", "{1|", 8, &"|2}".repeat(8)), None);
    check_line(&repeated("package p\nx := ", "{1|", 9, &"|2}".repeat(9)), Some(2));
    check_line(&repeated("package p\nx := ", "{1|\n", 9, &"|2}".repeat(9)), Some(10));
    check_line(&repeated("package p\nx := ", "{1|x\n+", 9, &"|2}".repeat(9)), Some(10));
    check_line(&repeated("package p\nx := ", "{1\n|", 9, &"|2}".repeat(9)), Some(10));
    check_line(&repeated("package p\nx := ", "{1:", 12, &"}".repeat(12)), None);
    check_line(&repeated("package p\nx := ", "[y | some y in ", 12, &"]".repeat(12)), None);
    check_line(&repeated("package p\nx if { ", "every y in [1] { ", 11, &"}".repeat(12)), None);
    // Much text in the first bracket of many.
    let wide = |count: usize| {
        format!("package p\nx := {}{}1{}", "[".repeat(12), "1,\n".repeat(count), "]".repeat(12))
    };
    check_line(&wide(5_000), None);
    let refused = finish(Checker::new().check(&wide(20_000), &Pace::unhurried())).unwrap_err();
    assert!(refused.message.contains("again and again"), "{refused:?}");
    // Much text in few brackets, or behind the first.
    let object = |before: &str, after: &str| repeated(before, "\"k\": {\"a\": [1, 2]},\n", 100_000, after);
    check_line(&object("package p\nx := {\"a\": {\"b\": {", "}}}"), None);
    check_line(
        &object("package p\nx := {\"z\": 1, \"a\": {\"z\": 1, \"b\": {\"z\": 1, \"c\": {", "}}}}"),
        None,
    );
}

#[test]
fn modules_share_what_is_read_again() {
    let text = repeated("package p\n", &format!("x := {}1{}\n", "[".repeat(12), "]".repeat(12)), 1000, "");
    let mut checker = Checker::new();
    let taken = (0..100).take_while(|_| finish(checker.check(&text, &Pace::unhurried())).is_ok()).count();
    assert!((2..10).contains(&taken), "{taken}");
}

#[test]
fn lines() {
    check_line(&repeated("package p\nx := [1", ",1", 29_000, "]"), None);
    check_line(&repeated("package p\nx := [1", ",1", 30_000, "]"), Some(2));
    check_line(&repeated("package p\nx := [1", ",\n1", 90_000, "]"), None);
    check_line(&repeated("package p\n# ", "c", 60_001, ""), Some(2));
    check_line(&repeated("package p\nx := `", "c", 60_001, "`"), Some(2));
    check_line(&repeated("package p\n", &repeated("", "x := 1 ", 8_000, "\n"), 10, ""), Some(2));
    check_line(&repeated("package p\n", &repeated("", "x := 1 ", 100, "\n"), 1000, ""), None);
}

#[test]
fn imports() {
    check_line(&repeated("package p\n", "import data.a\n", 1000, ""), None);
    check_line(&repeated("package p\n", "import data.a\n", 1001, ""), Some(1002));
}

#[test]
fn numbers() {
    check_line("package p\nx := [1, -1.5e300, 1e1000, 1e-7]", None);
    check_line("package p\nx := 1e1000000000", Some(2));
    check_line("package p\n\nx := [1,\n-1.5E+1000000000]", Some(4));
    check_line("package p\nx := \"1e1000000000\"", None);
    check_line(&repeated("package p\nx := ", "9", 1001, ""), Some(2));
}

#[test]
fn the_parser_would_end_at_a_nul() {
    check_line("package p\nallow := true # \0\nallow := false", Some(2));
    check_line("package p\nx := \"\\u0000\"", None);
}
