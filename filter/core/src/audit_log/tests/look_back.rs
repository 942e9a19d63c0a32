//! Which policies are proven not to look further than the log reaches, the shipped function among them.

use super::*;
use crate::{
    authorizer::ActivePolicy,
    policy::{Budget, Data, Library, Module, Policy, Question, RulePath},
};

/// A policy with a body over the log, and what is said of it.
#[track_caller]
fn check_look(rules: &str, audit_log: &str, expect: Option<&str>) {
    let module = crate::policy::Module {
        path: "a.rego".to_owned(),
        text: format!("package hexr.authz\n{rules}"),
        dialect: None,
    };
    let config = format!(
        r#"{{"identity": {{"trust_domains": [{{"name": "a.b"}}]}}, "audit_log": {audit_log},
            "policy": {{"modules": {{"x.rego": "package hexr.authz\nallow if false"}}}}}}"#
    );
    let log = Config::read(&config, &|_| None).unwrap().audit_log;
    let rule = RulePath::parse("hexr/authz/allow").unwrap();
    let budget = Budget { milliseconds: 50 };
    let data = Data::from_json(r#"{"limits": {"ns": 60000000000, "far": 61000000000}}"#).unwrap();
    let policy = Policy::compile(&[module], &data, &rule, budget, &log);
    let errors = policy.err().map(|errors| errors.to_string());
    match (&errors, expect) {
        (None, None) => {}
        (Some(errors), Some(expect))
            if errors.starts_with(expect) && errors.lines().all(|line| line.starts_with("a.rego:")) => {}
        _ => panic!("{rules}\n{audit_log}\n{errors:?} instead of {expect:?}"),
    }
}

#[test]
fn how_far_a_policy_looks_back_is_read_from_its_text() {
    const FAR: Option<&str> = Some("a.rego:2:");
    let counting = |body: &str| format!("allow if count([1 | some c in data.audit_log; {body}]) < 3");
    let (own, minute) = ("c.agent == input.agent", "c.timestamp > time.now_ns() - 60000000000");
    for body in [
        format!("{own}; {minute}"),
        format!("{minute}; {own}"),
        format!("input.agent == c.agent; {minute}; c.action == input.action"),
        format!("c.spiffe_id == input.spiffe_id; {minute}"),
        format!("{own}; c.timestamp >= time.now_ns() - 60 * 1000000000"),
        format!("{own}; time.now_ns() - 60000000000 < c.timestamp"),
        format!("{own}; time.now_ns() - c.timestamp < 60000000000"),
        format!("{own}; 60000000000 >= time.now_ns() - c.timestamp"),
        format!("{own}; c.timestamp > time.now_ns() - time.parse_duration_ns(\"1m\")"),
        format!("{own}; c.timestamp > time.now_ns() - data.limits.ns"),
        format!("{own}; since := time.now_ns() - 1; c.timestamp > since"),
        format!("{own}; {minute}; c.timestamp > time.now_ns() - 3600000000000"),
    ] {
        check_look(&counting(&body), "{}", None);
    }
    for (body, expect) in [
        (
            format!("{own}; c.timestamp > time.now_ns() - 60000000001"),
            "a.rego:2:21: the policy looks back 60.000000001 seconds, but",
        ),
        (
            format!("{own}; c.timestamp > time.now_ns() - data.limits.far"),
            "a.rego:2:21: the policy looks back 61 seconds",
        ),
        (
            format!("{own}; c.timestamp > time.now_ns() - time.parse_duration_ns(\"1h\")"),
            "a.rego:2:21: the policy looks back 3600 seconds",
        ),
        (own.to_owned(), "a.rego:2:21: how far this looks back cannot be read"),
        (format!("{own}; c.timestamp < time.now_ns() - 5"), "a.rego:2:21: how far"),
        (format!("{own}; c.timestamp > time.now_ns() - input.role"), "a.rego:2:21: how far"),
        (format!("{own}; not c.timestamp > time.now_ns() - 5"), "a.rego:2:21: how far"),
        (format!("{own}; count([1 | {minute}]) == 1"), "a.rego:2:21: how far"),
        (format!("{own}; c.timestamp + 1 > time.now_ns() - 5"), "a.rego:2:21: how far"),
        (
            minute.to_owned(),
            "a.rego:2:21: this looks at calls that `data.audit_log` does not have with `audit_log.scope` `agent`",
        ),
        (format!("c.agent == input.role; {minute}"), "a.rego:2:21: this looks at calls"),
        (format!("not {own}; {minute}"), "a.rego:2:21: this looks at calls"),
        (format!("c.tenant == input.tenant; {minute}"), "a.rego:2:21: this looks at calls"),
    ] {
        check_look(&counting(&body), "{}", Some(expect));
    }
    // The scope, and what an operator takes on himself.
    check_look(&counting(&format!("c.tenant == input.tenant; {minute}")), r#"{"scope": "tenant"}"#, None);
    check_look(&counting(minute), r#"{"scope": "tenant"}"#, FAR);
    check_look(&counting(minute), r#"{"scope": "all"}"#, None);
    check_look(&counting("true"), r#"{"accept_unproven": true}"#, None);
    let hour = "c.agent == input.agent; c.timestamp > time.now_ns() - 3600000000000";
    check_look(&counting(hour), r#"{"accept_unproven": true}"#, FAR);
    check_look(&counting(hour), r#"{"window_seconds": 3600}"#, None);
    // Rules and functions.
    let function = "in_last(ns) := count([1 | some c in data.audit_log; c.agent == input.agent; c.timestamp > time.now_ns() - ns])";
    check_look(
        &format!("allow if {{ in_last(1000) < 3; in_last(60000000000) < 9 }}\n{function}"),
        "{}",
        None,
    );
    let expect = "a.rego:3:27: the policy looks back 61 seconds";
    check_look(
        &format!("allow if {{ in_last(1000) < 3; in_last(61000000000) < 9 }}\n{function}"),
        "{}",
        Some(expect),
    );
    check_look(&format!("allow if in_last(input.role) < 3\n{function}"), "{}", Some("a.rego:3:"));
    let conditions = "own(c) if c.agent == input.agent\nrecent(c) if c.timestamp > cutoff\ncutoff := time.now_ns() - window\nwindow := 60000000000";
    check_look(&format!("{}\n{conditions}", counting("own(c); recent(c)")), "{}", None);
    check_look(&format!("{}\n{conditions}", counting("own(c); not recent(c)")), "{}", FAR);
    check_look(
        &format!("{}\n{conditions}\nrecent(c) if c.action == \"a\"", counting("own(c); recent(c)")),
        "{}",
        FAR,
    );
    check_look(
        &format!("{}\n{conditions}\ndefault recent(_) := true", counting("own(c); recent(c)")),
        "{}",
        FAR,
    );
    // A rule that nothing needs may look anywhere; what is needed through others may not.
    check_look("allow if true\nunused := data.audit_log", "{}", None);
    check_look("allow if a\na if b[1]\nb contains count(data.audit_log)", "{}", Some("a.rego:4:"));
    // Other ways to the log.
    for rules in [
        "allow if data.audit_log[0].agent == \"a\"",
        "allow if not data.audit_log[3]",
        "allow if { log := data.audit_log; count(log) < 3 }",
        "allow if f(data.audit_log)\nf(log) if count(log) < 3",
        "allow if every c in data.audit_log { c.agent == input.agent }",
        "allow if count(data.audit_log) == 0 with input.agent as \"x\"",
        "allow if [data.audit_log] == [[]]",
        "allow if { [x, _] := [data.audit_log, 1]; count(x) < 3 }",
        "allow if { some c in data.audit_log; not c.timestamp > time.now_ns() - 5 }",
        "allow if not r with input.agent as \"x\"\nr if { some c in data.audit_log; c.agent == input.agent; c.timestamp > time.now_ns() - 5 }",
        "allow if { x := [1]; x[data.audit_log[0].n] }",
    ] {
        check_look(rules, "{}", FAR);
    }
    let alias = "allow if count([1 | log := data.audit_log; some c in log; c.agent == input.agent; c.timestamp > time.now_ns() - 5]) < 2";
    check_look(alias, "{}", None);
}

fn module(path: &str, text: &str) -> Module {
    Module { path: path.to_owned(), text: text.to_owned(), dialect: None }
}

#[test]
fn the_shipped_function_counts_is_proven_and_is_recognised() {
    let shipped = module("calls.rego", include_str!("../../../../../policies/calls/calls.rego"));
    let compile = |duration: &str| {
        let text =
            format!("package hexr.authz\nimport data.hexr.calls\nallow if calls.in_last(\"{duration}\") < 3");
        let rule = RulePath::parse("hexr/authz/allow").unwrap();
        // Too little work for walking over thousands of calls.
        let budget = Budget { milliseconds: 1 };
        let modules = [module("authz.rego", &text), shipped.clone()];
        Policy::compile(&modules, &Data::default(), &rule, budget, &AuditLog::default())
    };
    let error = |duration| compile(duration).map(drop).unwrap_err().to_string();
    assert!(error("61s").contains("the policy looks back 61 seconds"), "{}", error("61s"));
    assert!(error("soon").contains("how far this looks back cannot be read"), "{}", error("soon"));
    let (mut authorizer, shared) = (authorizer(&LIMIT.replace("< 3", "< 9999"), "{}"), Shared::at(START));
    for _ in 0..5_000 {
        ask(&authorizer, &shared, ("acme", "crew"), "POST").unwrap();
    }
    authorizer.activate(ActivePolicy {
        policy: Rc::new(compile("1m").unwrap()),
        revision: String::new(),
        bundles: Rc::default(),
    });
    let denial = ask(&authorizer, &shared, ("acme", "crew"), "POST").unwrap_err();
    assert_eq!(denial.reason().code(), "policy_denied", "{denial}");
    shared.now.set(shared.now.get() + 60 * SECOND);
    ask(&authorizer, &shared, ("acme", "crew"), "POST").unwrap();
}

#[test]
fn the_tests_of_the_shipped_function_pass() {
    let tests = include_str!("../../../../../policies/calls/calls_test.rego");
    let modules = [
        module("calls.rego", include_str!("../../../../../policies/calls/calls.rego")),
        module("calls_test.rego", tests),
    ];
    let library = Library::compile(&modules, &Data::default()).unwrap();
    let names: Vec<&str> =
        tests.lines().filter_map(|line| line.split_once(" if ")?.0.strip_prefix("test_")).collect();
    assert_eq!(names.len(), 4);
    for name in names {
        let path = ["hexr", "calls_test", &format!("test_{name}")];
        let question = Question {
            path: &path,
            input: Some(r#"{"agent": "crew"}"#),
            now_ns: 0,
            work: 1_000_000,
            is_indexed: true,
        };
        assert_eq!(library.ask(question), Ok(Some("true".to_owned())), "{name}");
    }
}
