use std::rc::Rc;

use super::*;
use crate::{
    audit_log::{Ledger, LedgerFault, Swap, Versioned},
    authorizer::Authorizer,
    body::Body,
    config::Config,
    decision::{Decision, DecisionId},
    identity::Peer,
    policy::Moment,
    timestamp::Timestamp,
};

const NOW: Timestamp = Timestamp::from_unix_nanos(1_768_473_000_000_000_000);

/// No call is counted.
struct NoCalls;

impl Ledger for NoCalls {
    fn read(&self, _: &str) -> Result<Versioned, LedgerFault> {
        Err(LedgerFault("no call is counted".to_owned()))
    }

    fn replace(&self, _: &str, _: &[u8], _: u32) -> Result<Swap, LedgerFault> {
        Err(LedgerFault("no call is counted".to_owned()))
    }

    fn now(&self) -> Result<Timestamp, LedgerFault> {
        Err(LedgerFault("no call is counted".to_owned()))
    }
}

fn authorizer(rules: &str) -> Authorizer {
    let config = serde_json::json!({
        "identity": {"trust_domains": [{"name": "hexr.cloud"}]},
        "policy": {"modules": {"authz.rego": format!("package hexr.authz\ndefault allow := false\n{rules}")}},
        "catalog": {"on_unknown": "policy", "services": [
            {"service": "mcp_files", "kind": "mcp", "hosts": ["mcp.example"]},
            {"service": "bank", "hosts": ["bank.example"], "actions": [{"action": "pay", "path": "/**"}]}]},
    });
    let config = Config::read(&config.to_string(), &|_| None).map_err(|problems| problems.to_string());
    Authorizer::new(Rc::new(config.unwrap()))
}

/// What `METHOD HOST/PATH` with these headers and this body comes to: `allow`, or the code of a denial.
fn decide(authorizer: &Authorizer, line: &str, headers: &[(&str, &str)], body: &str) -> &'static str {
    let (method, target) = line.split_once(' ').unwrap();
    let (host, path) = target.split_once('/').unwrap();
    let path = format!("/{path}");
    let head = [(":method", method), (":authority", host), (":path", path.as_str())];
    let all: Vec<(&str, &str)> = head.into_iter().chain(headers.iter().copied()).collect();
    let request = Request::parse(all.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())));
    let peer = Peer::new(
        None,
        authorizer.config().trust_domains.identity_of("spiffe://hexr.cloud/agent/acme/crew/editor"),
    );
    let asked = authorizer.asked(&peer, &request, Body::Whole(body.as_bytes()), NOW).unwrap();
    let moment = Moment { now: NOW, seed: 0, is_over: &|_| false };
    match authorizer.decide_derived(&peer, asked, moment, &NoCalls, DecisionId::from_random([0; 16])) {
        Decision::Allow(_) => "allow",
        Decision::Deny(refusal) => refusal.denial.reason().code(),
        Decision::Waive(waiver) => waiver.refusal().denial.reason().code(),
    }
}

#[track_caller]
fn check(condition: &str, line: &str, headers: &[(&str, &str)], body: &str, expect: &str) {
    let authorizer = authorizer(&format!("allow if {{ {condition} }}"));
    // The second time nothing may be remembered wrongly.
    for _ in 0..2 {
        assert_eq!(
            decide(&authorizer, line, headers, body),
            expect,
            "{condition}: {line} {headers:?} {body}"
        );
    }
}

const OBJECT: &str = "GET s3.eu-central-1.amazonaws.com/reports/2026/january.csv";
const CHAT: &str = "POST api.openai.com/v1/chat/completions";
const MCP: &str = "POST mcp.example/mcp";
const PAY: &str = "POST bank.example/pay%2fnow/%61?to=a%20b&to=c&empty&X-Amz-Signature=s";

fn call(tool: &str, arguments: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}"{arguments}}}}}"#)
}

#[test]
fn what_the_catalog_knows() {
    for (condition, line, body, expect) in [
        (r#"input.resource == "reports/2026/january.csv""#, OBJECT, "", "allow"),
        (r#"startswith(input.resource, "reports/")"#, OBJECT, "", "allow"),
        (r#"startswith(input.resource, "payroll/")"#, OBJECT, "", "policy_denied"),
        ("input.model", OBJECT, "", "policy_denied"),
        ("input.tool", OBJECT, "", "policy_denied"),
        (r#"input.model == "gpt-5-mini""#, CHAT, r#"{"model":"gpt-5-mini","temperature":0.2}"#, "allow"),
        (r#"input.model == "gpt-5-mini""#, CHAT, r#"{"model":"gpt-5"}"#, "policy_denied"),
        (r#"input.model == "gpt-5-mini""#, CHAT, "{}", "policy_denied"),
        (r#"input["model"] == "gpt-5-mini""#, CHAT, r#"{"model":"gpt-5-mini"}"#, "allow"),
        (r#"some key in ["model"]; input[key] == "m""#, CHAT, r#"{"model":"m"}"#, "allow"),
        (r#"object.get(input, "model", "") == "m""#, CHAT, r#"{"model":"m"}"#, "allow"),
    ] {
        check(condition, line, &[], body, expect);
    }
}

#[test]
fn tools() {
    let path = call("read", r#","arguments":{"path":"/public/a","size":10.5}"#);
    for (condition, body, expect) in [
        (r#"input.tool.name == "read""#, &path, "allow"),
        (r#"startswith(input.tool.arguments.path, "/public/")"#, &path, "allow"),
        (r#"startswith(input.tool.arguments.path, "/secret/")"#, &path, "policy_denied"),
        ("input.tool.arguments.size == 10.5", &path, "allow"),
        ("input.tool.arguments == {}", &call("read", ""), "allow"),
        ("input.tool.arguments == {}", &call("read", r#","arguments":null"#), "allow"),
        ("input.tool.name", &call("read", r#","arguments":[1]"#), "unreadable_body"),
        ("input.tool.name", &call("read", r#","arguments":{"a":1,"a":2}"#), "unreadable_body"),
        ("input.tool.name", &call("read", r#","arguments":{"a":1e9999}"#), "unreadable_body"),
        ("input.action", &call("read", r#","arguments":{"a":1e9999}"#), "allow"),
        // What looks like the parser's own mark of a number is an object.
        (
            "is_number(input.tool.arguments.a)",
            &call("read", r#","arguments":{"a":{"$serde_json::private::Number":"5"}}"#),
            "policy_denied",
        ),
    ] {
        check(condition, MCP, &[], body, expect);
    }
    let uri = r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///a"}}"#;
    check(r#"input.resource == "file:///a"; not input.tool"#, MCP, &[], uri, "allow");
}

#[test]
fn requests() {
    let headers = [
        ("x-approval", "42"),
        ("accept", "a"),
        ("accept", "b"),
        ("x_case", "u"),
        ("authorization", "Bearer secret"),
        ("cookie", "a=b"),
        ("x-amz-security-token", "secret"),
        ("x-api-key", "secret"),
        ("x-hexr-role", "admin"),
    ];
    for (condition, expect) in [
        (r#"input.request.method == "POST""#, "allow"),
        (r#"input.request.host == "bank.example""#, "allow"),
        (r#"input.request.path == "/pay%2Fnow/a""#, "allow"),
        (r#"input.request.query == {"to": ["a b", "c"], "empty": [""]}"#, "allow"),
        (r#""c" in input.request.query.to"#, "allow"),
        (r#"input.request.headers["x-approval"] == "42""#, "allow"),
        (r#"input.request.headers.accept == "a, b""#, "allow"),
        (r#"object.keys(input.request.headers) == {"x-approval", "accept", "x-case"}"#, "allow"),
        (r#"object.keys(input.request) == {"method", "host", "path", "query", "headers"}"#, "allow"),
        (r#"request := input.request; request.method == "POST""#, "allow"),
        (r#"input.request[part] == "POST""#, "allow"),
        ("input.request.other", "policy_denied"),
        ("input.request.headers.authorization", "policy_denied"),
        (r#"input.request.headers["x-hexr-role"]"#, "policy_denied"),
        (r#"input.request.query["X-Amz-Signature"]"#, "policy_denied"),
    ] {
        check(condition, PAY, &headers, "", expect);
    }
}

/// A request is refused only where the policy reads what cannot be read in one way.
#[test]
fn what_has_no_single_meaning() {
    for (line, headers) in [
        ("POST bank.example/pay?a=1;b=2", &[][..]),
        ("POST bank.example/pay?a=%zz", &[]),
        ("POST bank.example/pay?a=%ff", &[]),
    ] {
        check("input.request.query", line, headers, "", "ambiguous_request");
        check("input.request.path", line, headers, "", "allow");
        check("input", line, headers, "", "ambiguous_request");
    }
}

/// What the policy does not refer to is not made, and what it refers to is not remembered.
#[test]
fn only_what_is_wanted() {
    for (condition, facts, parts) in [
        (r#"input.role == "editor""#, 0, 0),
        ("input.model", 1, 0),
        ("input.request.method", 0, 1),
        (r#"input.request.headers["x-a"]; input.request.path"#, 0, 2),
        ("input.request", 0, 5),
        ("input", 3, 5),
        ("f(input)", 3, 5),
        ("some key; input[key]", 3, 5),
    ] {
        let authorizer = authorizer(&format!("allow if {{ {condition} }}\nf(x) if x.role"));
        let wanted = &authorizer.active().unwrap().policy.wanted;
        assert_eq!((wanted.facts.len(), wanted.parts.len()), (facts, parts), "{condition}");
        assert_eq!(authorizer.active().unwrap().policy.memory.is_some(), facts + parts == 0, "{condition}");
    }
}

/// The same agent asks for the same action of another model, tool, object or path.
#[test]
fn facts_are_told_apart_by_one_policy() {
    let authorizer = authorizer(
        r#"allow if input.model == "small"
        allow if startswith(input.tool.arguments.path, "/public/")
        allow if startswith(input.resource, "reports/")
        allow if input.request.query.dry == ["true"]"#,
    );
    let read = |path: &str| call("read", &format!(r#","arguments":{{"path":"{path}"}}"#));
    let (public, secret) = (read("/public/x"), read("/secret/x"));
    let bucket = |bucket: &str| format!("GET s3.amazonaws.com/{bucket}/key");
    let (reports, payroll) = (bucket("reports"), bucket("payroll"));
    for _ in 0..3 {
        for (line, body, expect) in [
            (CHAT, r#"{"model":"small"}"#, "allow"),
            (CHAT, r#"{"model":"large"}"#, "policy_denied"),
            (MCP, public.as_str(), "allow"),
            (MCP, secret.as_str(), "policy_denied"),
            (reports.as_str(), "", "allow"),
            (payroll.as_str(), "", "policy_denied"),
            ("POST bank.example/pay?dry=true", "", "allow"),
            ("POST bank.example/pay?dry=false", "", "policy_denied"),
            ("POST bank.example/pay?dry=true&dry=false", "", "policy_denied"),
        ] {
            assert_eq!(decide(&authorizer, line, &[], body), expect, "{line} {body}");
        }
    }
}

/// Where the policy decides what the catalog does not know, the request itself is known.
#[test]
fn unknown_services() {
    let condition = r#"input.service == "unknown"; input.request.host == "other.example"; not input.model"#;
    check(condition, "GET other.example/x", &[], "", "allow");
    check(condition, "GET another.example/x", &[], "", "policy_denied");
}
