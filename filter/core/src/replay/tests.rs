use serde_json::{Value, json};

use super::*;
use crate::{
    audit_log::{Record, Scope},
    policy::{Budget, Data, Module},
};

const BUDGET: Budget = Budget { milliseconds: 50 };
const EDITORS: &str = "package hexr.authz\ndefault allow := false\nallow if input.role == \"editor\"\n";
const TWO_A_MINUTE: &str = "package hexr.authz\nallow if count(recent) < 2\nrecent contains call if {\n\
                            some call in data.audit_log\ncall.agent == input.agent\n\
                            call.timestamp > time.now_ns() - 60000000000\n}\n";

fn policy(text: &str, rule: &RulePath, audit_log: &AuditLog) -> Policy {
    let module = Module { path: "a.rego".to_owned(), text: text.to_owned(), dialect: None };
    Policy::compile(&[module], &Data::default(), rule, BUDGET, audit_log).unwrap()
}

fn replay(text: &str, audit_log: AuditLog) -> Replay {
    let rule = RulePath::parse("hexr/authz/allow").unwrap();
    Replay::new(policy(text, &rule, &audit_log), BTreeMap::new(), rule, audit_log)
}

/// An allowed call of an editor for the first second of a minute, with `changes` over it.
fn event(changes: Value) -> String {
    let mut event = json!({
        "decision_id": "d1", "path": "hexr/authz/allow", "result": true, "timestamp": "2026-01-15T10:30:00.5Z",
        "labels": {"id": "envoy-1"},
        "input": {
            "spiffe_id": "spiffe://hexr.cloud/agent/acme/crew/editor", "tenant": "acme", "agent": "crew", "role": "editor",
            "service": "aws_s3", "action": "GetObject", "timestamp": "2026-01-15T10:30:00Z"
        }
    });
    merge(&mut event, changes);
    event.to_string()
}

fn merge(into: &mut Value, changes: Value) {
    match (into, changes) {
        (Value::Object(fields), Value::Object(changes)) => {
            for (name, change) in changes {
                merge(fields.entry(name).or_insert(Value::Null), change);
            }
        }
        (into, change) => *into = change,
    }
}

fn at(second: &str, changes: Value) -> String {
    let mut changes = changes;
    merge(&mut changes, json!({"timestamp": format!("2026-01-15T10:{second}Z")}));
    event(changes)
}

/// What a replay says, in a line.
fn words(replayed: Replayed) -> String {
    match replayed {
        Replayed::Same => "same".to_owned(),
        Replayed::Changed(change) => {
            let Change { reason, said, decider, .. } = *change;
            let parts = [Some(reason.unwrap_or("allowed").to_owned()), decider, said];
            parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
        }
        Replayed::Uncertain(paths) => format!("uncertain {}", paths.join(" ")),
        Replayed::NotReplayable(reason) => format!("not {reason}"),
    }
}

#[track_caller]
fn check(replay: &mut Replay, rows: &[(String, &str)]) {
    for (event, expect) in rows {
        assert_eq!(words(replay.next(event)), *expect, "{event}");
    }
}

#[test]
fn decisions_are_compared() {
    let viewer = json!({"input": {"role": "viewer"}});
    let denied = json!({"result": false, "reason": "policy_denied"});
    let mut denied_viewer = viewer.clone();
    merge(&mut denied_viewer, denied.clone());
    let rows = [
        (event(json!({})), "same"),
        (event(json!({"result": {"allowed": true}})), "same"),
        (event(denied_viewer), "same"),
        (event(viewer), "policy_denied"),
        (event(denied), "allowed a.rego:3"),
        // An OPA that logs no result has found the decision undefined.
        (event(json!({"result": null})), "allowed a.rego:3"),
        (event(json!({"result": "true"})), "allowed a.rego:3"),
        (event(json!({"result": false, "reason": "evaluation_error"})), "allowed a.rego:3"),
        // The tenant's own policy is not asked, and what it has said stays.
        (event(json!({"result": false, "reason": "tenant_policy_denied"})), "same"),
    ];
    check(&mut replay(EDITORS, AuditLog::default()), &rows);
}

#[test]
fn what_cannot_be_decided_again() {
    let rows = [
        (event(json!({"result": false, "reason": "unknown_service"})), "not unknown_service"),
        (event(json!({"result": false, "reason": "no_policy", "input": null})), "not no_policy"),
        (event(json!({"path": "other/allow"})), "not another_decision"),
        (event(json!({"path": "/hexr/authz/allow"})), "same"),
        (event(json!({"input": {"tenant": null}})), "not incomplete_input"),
        (event(json!({"input": {"spiffe_id": "crew"}})), "not incomplete_input"),
        (event(json!({})).replace("\"tenant\":", "\"tenant\":1,\"tenant\":"), "not unreadable_event"),
    ];
    check(&mut replay(EDITORS, AuditLog::default()), &rows);
}

#[test]
fn what_the_candidate_says() {
    let text = "package hexr.authz\nallow := {\"allowed\": false, \"reason\": \"not on my watch\"} if input.role == \"editor\"\n\
                allow := true if {\ninput.role == \"odd\"\n}\nallow := 1 if input.role == \"wrong\"\n";
    let role = |role: &str| event(json!({"input": {"role": role}}));
    let mut replay = replay(text, AuditLog::default());
    check(&mut replay, &[(role("editor"), "policy_denied a.rego:2 not on my watch"), (role("odd"), "same")]);
    let wrong = words(replay.next(&role("wrong")));
    assert!(wrong.starts_with("evaluation_error a.rego:6 "), "{wrong}");
}

#[test]
fn erased_is_uncertain_where_it_is_read() {
    let erased = |paths: Value| {
        event(json!({"erased": paths, "input": {"tool": {"name": "x"}, "request": {"host": "h"}}}))
    };
    let reads = |condition: &str| {
        replay(&format!("package hexr.authz\nallow if {{ {condition} }}\n"), AuditLog::default())
    };
    let arguments = json!(["/input/tool/arguments/a~1b"]);
    for (condition, paths, expect) in [
        ("input.tool.name == \"x\"", &arguments, "same"),
        ("input.tool.arguments[\"a/b\"] == 1", &arguments, "uncertain input.tool.arguments.a/b"),
        ("input.tool.arguments.c == 1", &arguments, "policy_denied"),
        ("x := input.tool; x.name == \"x\"", &arguments, "uncertain input.tool.arguments.a/b"),
        ("object.get(input, \"tool\", {}) == {}", &arguments, "uncertain input.tool.arguments.a/b"),
        ("input.request.host == \"h\"", &json!(["/input/request"]), "uncertain input.request"),
        // No policy sees it anywhere.
        ("input.request.headers == {}", &json!(["/input/request/headers/authorization"]), "policy_denied"),
        (
            "input.request.headers == {}",
            &json!(["/input/request/headers/x-team"]),
            "uncertain input.request.headers.x-team",
        ),
        ("input.role == \"editor\"", &json!(["/result/body", "/input/request/host"]), "same"),
    ] {
        check(&mut reads(condition), &[(erased(paths.clone()), expect)]);
    }
    let masked = event(json!({"masked": ["/input/role"]}));
    check(&mut replay(EDITORS, AuditLog::default()), &[(masked, "uncertain input.role")]);
}

#[test]
fn calls_before_are_those_that_were_allowed() {
    let denied = json!({"result": false, "reason": "policy_denied"});
    let rows = [
        (at("30:00.1", json!({})), "same"),
        (at("30:00.2", denied.clone()), "allowed a.rego:2"),
        (at("30:00.3", json!({})), "same"),
        // Two are in the window: what was allowed all the same counts too.
        (at("30:00.4", json!({})), "policy_denied"),
        (at("30:01", json!({"labels": {"id": "envoy-2"}})), "same"),
        (at("30:01", json!({"input": {"agent": "other"}})), "same"),
        (at("30:02", json!({"result": false, "reason": "policy_denied"})), "same"),
        // The first and the second have left, to the nanosecond.
        (at("31:00.300000001", json!({})), "same"),
        (at("31:00.399999999", json!({})), "policy_denied"),
    ];
    check(&mut replay(TWO_A_MINUTE, AuditLog::default()), &rows);
    // With `record: all` what the policy denied counts, and nothing else that was refused.
    let all = AuditLog { record: Record::All, ..AuditLog::default() };
    let rows = [
        (at("30:00.1", json!({})), "same"),
        (at("30:00.2", json!({"result": false, "reason": "evaluation_error"})), "allowed a.rego:2"),
        (at("30:00.3", denied), "allowed a.rego:2"),
        (at("30:00.4", json!({})), "policy_denied"),
    ];
    check(&mut replay(TWO_A_MINUTE, all), &rows);
}

#[test]
fn tenants_narrow() {
    let audit_log = AuditLog { scope: Scope::Tenant, ..AuditLog::default() };
    let rule = RulePath::parse("hexr/authz/allow").unwrap();
    let own = "package hexr.tenants.acme\nallow if input.action == \"GetObject\"\n";
    let tenants =
        BTreeMap::from([("acme".to_owned(), policy(own, &RulePath::of_tenant("acme"), &audit_log))]);
    let mut replay = Replay::new(policy(EDITORS, &rule, &audit_log), tenants, rule, audit_log);
    let rows = [
        (event(json!({})), "same"),
        (event(json!({"input": {"action": "PutObject"}})), "tenant_policy_denied"),
        (event(json!({"result": false, "reason": "tenant_policy_denied"})), "allowed a.rego:2"),
        (event(json!({"input": {"tenant": "other", "action": "PutObject"}})), "same"),
    ];
    check(&mut replay, &rows);
}

#[test]
fn instants() {
    let nanos = |text: &str| instant_of(text).map(|instant| instant.map(Timestamp::unix_nanos));
    assert_eq!(nanos(&event(json!({}))), Ok(Some(1_768_473_000_500_000_000)));
    assert_eq!(nanos("{\"level\": \"info\", \"msg\": \"Server started\"}"), Ok(None));
    assert!(nanos("{\"decision_id\": \"x\", \"timestamp\": \"noon\"}").is_err());
    assert!(nanos("{\"decision_id\": \"x\"").is_err());
}

/// A log of any length takes the memory of its window.
#[test]
fn memory_is_that_of_the_window() {
    let mut replay = replay(TWO_A_MINUTE, AuditLog::default());
    for minute in 0..3_000_u32 {
        let instant =
            format!("2026-01-{:02}T{:02}:{:02}:00Z", 1 + minute / 1440, minute / 60 % 24, minute % 60);
        let labels = json!({"id": format!("envoy-{minute}")});
        let said = replay.next(&event(json!({"timestamp": instant, "labels": labels})));
        assert_eq!(said, Replayed::Same);
    }
    assert!(replay.books.len() <= 2 + SWEEP_EVERY, "{}", replay.books.len());
}
