use super::*;
use crate::audit_log::AuditLog;
use crate::{
    catalog::{Action, Catalog, Derivation, Host, Kind, OnUnknown, Service, UriTemplate},
    request::Request,
};

const BUDGET: Budget = Budget { milliseconds: 1000 };

fn compile(modules: &[&str], data: &str) -> Result<Policy, CompileErrors> {
    let module = |(at, text): (usize, &&str)| Module {
        path: format!("{at}.rego"),
        text: (*text).to_owned(),
        dialect: None,
    };
    let modules: Vec<Module> = modules.iter().enumerate().map(module).collect();
    Policy::compile(
        &modules,
        &Data::from_json(data).unwrap(),
        &RulePath::parse("hexr/authz/allow").unwrap(),
        BUDGET,
        &AuditLog::default(),
    )
}

/// 2026-01-15T10:30:00.25Z
const NOW: Timestamp = Timestamp::from_unix_nanos(1_768_473_000_250_000_000);
const MOMENT: Moment<'static> = Moment { now: NOW, seed: 0, is_over: &|_| false };

fn decide(policy: &Policy) -> Result<(), Denial> {
    let action = Action {
        action: Text::new("query"),
        method: None,
        path: UriTemplate::parse("/**").unwrap(),
        headers: Vec::new(),
        json: Vec::new(),
    };
    let service = Service {
        service: Text::new("gcp_bigquery"),
        hosts: vec![Host::parse("h").unwrap()],
        kind: Kind::Actions(vec![action]),
    };
    let catalog = Catalog::new(vec![service], OnUnknown::Deny);
    let headers: [(&[u8], &[u8]); 3] = [(b":method", b"GET"), (b":authority", b"h"), (b":path", b"/")];
    let request = Request::parse(headers.into_iter()).unwrap();
    let id = spiffe::SpiffeId::new("spiffe://hexr.cloud/agent/acme/crew/editor").unwrap();
    let identity = Identity::new(&id, "acme".to_owned(), "crew".to_owned(), "editor".to_owned());
    let Derivation::Known(derived) = catalog.derive(&request) else { panic!("everything is known") };
    let further = policy.further(&derived, &request)?;
    policy.allows(&identity, &derived.operation, &further, MOMENT, Calls::none()).map(drop)
}

#[track_caller]
fn check(modules: &[&str], data: &str, expect: Result<(), &str>) {
    let decision = decide(&compile(modules, data).unwrap());
    assert_eq!(decision.map_err(|denial| denial.reason().code()), expect, "{modules:#?}");
}

#[test]
fn decisions() {
    let rule = |body: &str| format!("package hexr.authz\n{body}");
    for (body, expect) in [
        ("default allow := false\nallow if input.role == \"editor\"", Ok(())),
        ("default allow := false\nallow if input.role == \"viewer\"", Err("policy_denied")),
        ("allow if input.role == \"viewer\"", Err("policy_denied")),
        ("allow if data.missing", Err("policy_denied")),
        ("allow := \"true\"", Err("evaluation_error")),
        ("allow := 1", Err("evaluation_error")),
        ("allow := {true}", Err("evaluation_error")),
        ("allow := null", Err("evaluation_error")),
        (
            "allow := true if input.role == \"editor\"\nallow := false if input.tenant == \"acme\"",
            Err("evaluation_error"),
        ),
        ("allow if 1 / 0 == 1", Err("policy_denied")),
        ("allow if { print(\"x\"); true }", Ok(())),
        // What a negation covers: a call's arguments stand outside of it.
        ("allow if not input.n > 3", Err("policy_denied")),
        ("allow if not input.n == 3", Ok(())),
        ("allow if not startswith(input.x, \"a\")", Err("policy_denied")),
        ("allow if not 1 / 0 == 1", Err("policy_denied")),
        ("allow if same(1, 2)\nsame(t, t) if true", Err("policy_denied")),
        ("allow if ok({\"a\": 1, \"b\": 2})\nok({\"a\": t}) if t", Err("policy_denied")),
        ("allow if every g in [\"r\", \"s\"] { g = \"r\" }", Err("policy_denied")),
        ("allow if f(1)\nf(x) := true if x == 1\nf(x) := false if x == 1", Err("evaluation_error")),
        // v0
        ("allow { input.role == \"editor\" }", Ok(())),
        ("allow = true { input.role == \"viewer\" }", Err("policy_denied")),
        // v0 with keywords that nobody imported
        ("allow { input.service in {\"gcp_bigquery\", \"aws_s3\"} }", Ok(())),
        ("allow { not input.service in {\"aws_s3\"} }", Ok(())),
        ("allow { every r in [\"viewer\"] { input.role == r } }", Err("policy_denied")),
    ] {
        check(&[&rule(body)], "{}", expect);
    }
}

#[test]
fn the_input_is_the_seven_fields_and_the_request() {
    let fields = r#"{
        "spiffe_id": "spiffe://hexr.cloud/agent/acme/crew/editor", "tenant": "acme", "agent": "crew",
        "role": "editor", "service": "gcp_bigquery", "action": "query", "timestamp": "2026-01-15T10:30:00Z"}"#;
    let request = r#"{"method": "GET", "host": "h", "path": "/", "query": {}, "headers": {}}"#;
    let rule =
        format!("package hexr.authz\nallow if input == object.union({fields}, {{\"request\": {request}}})");
    check(&[&rule], "{}", Ok(()));
}

#[test]
fn one_instant_per_decision() {
    let module = "package hexr.authz\nallow if { time.now_ns() == 1768473000250000000; time.clock(time.now_ns())[0] == 10 }";
    check(&[module], "{}", Ok(()));
}

#[test]
fn dialects_mix() {
    let v1 = "package hexr.authz\nallow if data.hexr.old.editors[input.role]";
    let v0 = "package hexr.old\neditors[r] { r := data.roles[_] }";
    check(&[v1, v0], r#"{"roles": ["editor"]}"#, Ok(()));
}

#[test]
fn a_bound_dialect_binds() {
    let module = |dialect| Module {
        path: "a.rego".to_owned(),
        text: "package hexr.authz\nallow { true }".to_owned(),
        dialect: Some(dialect),
    };
    let rule = RulePath::parse("hexr/authz/allow").unwrap();
    let compile =
        |dialect| Policy::compile(&[module(dialect)], &Data::default(), &rule, BUDGET, &AuditLog::default());
    assert!(compile(Dialect::V0).is_ok());
    assert!(compile(Dialect::V1).is_err());
    let bare = Module { text: "package hexr.authz\nallow".to_owned(), ..module(Dialect::V0) };
    let error = Policy::compile(&[bare], &Data::default(), &rule, BUDGET, &AuditLog::default())
        .map(|_| ())
        .unwrap_err()
        .to_string();
    assert!(error.contains("a.rego:2:1: this rule has neither a value nor a body"), "{error}");
}

#[test]
fn what_is_not_activated() {
    let good = "package hexr.authz\nallow if true";
    for (modules, data, expect) in [
        (&["package hexr.authz\nallow if {"][..], "{}", "0.rego:2:11: "),
        (&["package hexr.authz\nallow if {", "package other\nx :="], "{}", "\n1.rego:2:"),
        (&["package other\nallow if true"], "{}", "no rule `data.hexr.authz.allow`"),
        (&[], "{}", "no rule `data.hexr.authz.allow`"),
        (&["package hexr.authz\nallow if x == 1"], "{}", "0.rego:2:10: "),
        (
            &[good],
            r#"{"hexr": {"authz": {"allow": true}}}"#,
            "0.rego:2:1: the rule `data.hexr.authz.allow` has base data in its way",
        ),
        (&[good], r#"{"hexr": {"authz": 1}}"#, "base data in its way at `data.hexr.authz`"),
        (&[good, "package a\nb[x] := 1 if x := 2"], r#"{"a": {"b": {}}}"#, "1.rego:2:1: the rule `data.a.b`"),
        (&[good, "package a\nb.c := 1"], r#"{"a": {"b": {"c": 2}}}"#, "1.rego:2:1: the rule `data.a.b.c`"),
        (
            &[
                "package hexr.authz\nimport data[\"b\"]\nallow if b.f(1)",
                "package b\nimport data.hexr.authz\nf(x) if authz.allow",
            ],
            "{}",
            "is recursive: it needs its own value",
        ),
        (&["package hexr.authz\nallow if f(1)\nf(x) if f(x)"], "{}", "is recursive: it needs its own value"),
        (
            &[
                "package hexr.authz\nallow if data.b.c",
                "package b\nc if data.d.e(1)",
                "package d\nimport data.b\ne(x) if b.c",
            ],
            "{}",
            "2.rego:3:1: the rule `data.d.e` is recursive",
        ),
        (&["package hexr.authz\nallow if not data.blocked[_] == input.agent"], "{}", "0.rego:2:"),
        (
            &["package hexr.authz\nallow if http.send({})"],
            "{}",
            "0.rego:2:10: there is no function `http.send`",
        ),
        (
            &["package hexr.authz\nallow if f(1)\nf(x, y) if x == y"],
            "{}",
            "`f` takes 2 arguments, but is called with 1",
        ),
        (&["package hexr.authz\nallow if { x := 1; x := 2 }"], "{}", "`x` is declared twice"),
        (&[good, "package hexr.authz\nallow(x) := x"], "{}", "is defined in different ways"),
        (
            &["package hexr.authz\ndefault allow := false\ndefault allow := true"],
            "{}",
            "has a second default",
        ),
        (&[good, "package hexr.authz.allow\nx := 1"], "{}", "is in the way of"),
        (&["package hexr.authz\nallow"], "{}", "0.rego:2:1: rule must have a body or assignment"),
        (&[good], r#"{"audit_log": []}"#, "`data.audit_log` is the filter's own"),
        (
            &["package hexr.authz\nallow if count(data.audit_log) < 3"],
            "{}",
            "0.rego:2:15: how far this looks back cannot be read from the text",
        ),
        (&[good, "package audit_log\nx := 1"], "{}", "`data.audit_log` is the filter's own"),
        (&[good, "package audit_log.x\ny := 1"], "{}", "`data.audit_log` is the filter's own"),
    ] {
        let errors = compile(modules, data).map(|_| ()).unwrap_err().to_string();
        assert!(errors.contains(expect), "{modules:?} {data}: {errors}");
    }
    assert!(compile(&[good], r#"{"hexr": {"authz": {"grants": {}}, "other": 1}}"#).is_ok());
}

/// The evaluator leaves `with` in place when an evaluation ends in an error within it.
/// Names that a rule declares for itself are not the rules of that name.
#[test]
fn what_only_looks_recursive_is_not() {
    let module = "package hexr.authz\ndefault allow := false\nallow if f(user)\nf(user) if user == input.role\n\
        user := role if { role := input.role }\nrole := user\nx.a := 1\nx.b := x.a\n\
        test_it if allow with input as {\"role\": \"a\"}";
    check(&[module], "{}", Ok(()));
}

#[test]
fn an_error_leaves_nothing_behind() {
    let module = "package hexr.authz\n\ndefault allow := false\n\nallow if data.open\n\n\
        allow if { input.role == \"crash\"; some x in conflict with data.open as true; x }\n\n\
        conflict := [1] if data.open\n\nconflict := [2] if data.open";
    let policy = compile(&[module], r#"{"closed": true}"#).unwrap();
    let ask = |role: &str| {
        let text = format!("{{\"role\": \"{role}\"}}");
        policy
            .evaluate(policy.entry, Value::from_json_str(&text).unwrap(), MOMENT, Calls::none())
            .map(|evaluated| evaluated.value)
    };
    assert_eq!(ask("editor"), Ok(Value::Bool(false)));
    assert!(matches!(ask("crash"), Err(Denial::EvaluationError(_))));
    assert_eq!(ask("editor"), Ok(Value::Bool(false)));
}

#[test]
fn time_runs_out_inside_of_a_function_too() {
    let module = "package hexr.authz\nallow if f(1)\nf(y) if { x := numbers.range(1, 3000); some a in x; some b in x; a + b + y == 0 }";
    let rule = RulePath::parse("hexr/authz/allow").unwrap();
    let modules = [Module { path: "a.rego".to_owned(), text: module.to_owned(), dialect: None }];
    let policy =
        Policy::compile(&modules, &Data::default(), &rule, Budget { milliseconds: 20 }, &AuditLog::default())
            .unwrap();
    assert_eq!(decide(&policy), Err(Denial::BudgetExceeded(20)));
}

#[test]
fn a_denial_with_a_text_is_a_denial() {
    let module = |format: &str| {
        format!(
            "package hexr.authz\ndefault allow := false\nallow if count(deny) == 0\ndeny contains sprintf(\"{format}\", [input.role]) if true"
        )
    };
    check(&[&module("role %s of %s")], "{}", Err("policy_denied"));
    check(&[&module("%6.2f")], "{}", Err("policy_denied"));
}

#[test]
fn an_endless_evaluation_ends() {
    let module = "package hexr.authz\nallow if { x := numbers.range(1, 3000); some a in x; some b in x; some c in x; a + b + c == 0 }";
    let rule = RulePath::parse("hexr/authz/allow").unwrap();
    let modules = [Module { path: "a.rego".to_owned(), text: module.to_owned(), dialect: None }];
    let policy =
        Policy::compile(&modules, &Data::default(), &rule, Budget { milliseconds: 20 }, &AuditLog::default())
            .unwrap();
    assert_eq!(decide(&policy), Err(Denial::BudgetExceeded(20)));
    assert_eq!(decide(&policy), Err(Denial::BudgetExceeded(20)), "the policy is usable after it");
}
