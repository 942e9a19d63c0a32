use std::{io::Read as _, rc::Rc, time::Duration};

use flate2::read::GzDecoder;
use serde_json::{Value, json};

use super::*;
use crate::{
    audit_log::{Ledger, LedgerFault, Swap, Versioned},
    authorizer::Authorizer,
    body::Body,
    config::{Config, Polling},
    decision::DecisionId,
    identity::{Certificate, Peer, Validity},
    policy::Moment,
    request::Request,
};

fn at(millis: i64) -> Timestamp {
    Timestamp::from_unix_nanos(millis * 1_000_000)
}

const IDENTITY: &str = "spiffe://hexr.cloud/agent/acme-corp/content-crew/researcher";

/// No policy here counts calls.
struct NoLedger;

impl Ledger for NoLedger {
    fn read(&self, key: &str) -> Result<Versioned, LedgerFault> {
        Err(LedgerFault(key.to_owned()))
    }

    fn replace(&self, key: &str, _value: &[u8], _version: u32) -> Result<Swap, LedgerFault> {
        Err(LedgerFault(key.to_owned()))
    }

    fn now(&self) -> Result<Timestamp, LedgerFault> {
        Err(LedgerFault("no clock".to_owned()))
    }
}

fn authorizer(modules: Value) -> Authorizer {
    let config = json!({
        "identity": {"trust_domains": [{"name": "hexr.cloud"}]},
        "policy": {"modules": modules},
        "catalog": {"services": [{"service": "mcp_github", "hosts": ["mcp.example"], "kind": "mcp"}]},
    });
    Authorizer::new(Rc::new(Config::read(&config.to_string(), &|_| None).unwrap()))
}

fn log(only: Only, upload_bytes: usize, buffer_events: usize) -> DecisionLog {
    let polling =
        Polling { min_delay_millis: 5_000, max_delay_millis: 5_000, long_polling_timeout_seconds: 0 };
    let resource = Resource {
        cluster: "c".to_owned(),
        authority: "h".to_owned(),
        path: "/logs".to_owned(),
        headers: Vec::new(),
        timeout_millis: 10_000,
        polling,
    };
    let settings = LogSettings { resource, only, upload_bytes, buffer_events, buffer_bytes: 1 << 20 };
    DecisionLog::new(settings, BTreeMap::from([("id".to_owned(), "the-id".to_owned())]), "hexr/authz/allow")
}

/// One request to `host`, by its body where it has one.
struct Sent<'a> {
    identity: Option<&'a str>,
    host: &'a str,
    path: &'a str,
    body: &'a str,
}

const QUERY: Sent<'_> = Sent {
    identity: Some(IDENTITY),
    host: "bigquery.googleapis.com",
    path: "/bigquery/v2/projects/p/queries?key=1",
    body: "",
};

/// The entry of a decision at second `second`.
fn entry(authorizer: &Authorizer, sent: &Sent<'_>, id: u8, second: i64) -> Entry {
    let peer = Rc::new(sent.identity.map_or_else(Peer::anonymous, |id| {
        let certificate = Certificate::of(vec![id.to_owned()], Validity::between(i64::MIN, i64::MAX));
        authorizer.config().trust_domains.peer(&certificate)
    }));
    let headers = [
        (":method", "POST"),
        (":authority", sent.host),
        (":path", sent.path),
        ("content-type", "application/json"),
        ("authorization", "Bearer hidden"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ];
    let headers = headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    let request = Request::parse(headers).map(|request| request.ended(sent.body.is_empty()));
    let body = if sent.body.is_empty() { Body::Absent } else { Body::Whole(sent.body.as_bytes()) };
    let asked = authorizer.asked(&peer, &request, body, at(second * 1000)).unwrap();
    let moment = Moment { now: at(second * 1000), seed: 0, is_over: &|_| false };
    let id = DecisionId::from_random([id; 16]);
    let decision = authorizer.decide_derived(&peer, asked, moment, &NoLedger, id);
    Entry::new(&decision, &peer, request.as_ref().ok(), Duration::from_nanos(1500))
}

/// The events of an upload.
fn events(body: &[u8]) -> Vec<Value> {
    let mut text = String::new();
    GzDecoder::new(body).read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The event of one entry, as it is sent.
fn event(authorizer: &Authorizer, sent: &Sent<'_>) -> Value {
    let mut log = log(Only::All, 32_768, 10);
    log.record(entry(authorizer, sent, 1, 1_768_473_000));
    assert!(log.write_one(authorizer.active().map(|active| &*active.policy)));
    let mut events = events(&log.upload(at(0), 0, false).unwrap());
    assert_eq!(events.len(), 1);
    events.remove(0)
}

const POLICY: &str = "package hexr.authz\n\nimport rego.v1\n\nallow if input.action == \"query\"\n\n\
                      allow if input.tool.arguments.repo == \"a\"\n\nallow if input.request.headers.x\n";

#[test]
fn an_allowed_request() {
    let authorizer = authorizer(json!({"a.rego": POLICY}));
    let expected = json!({
        "labels": {"id": "the-id"},
        "decision_id": "01010101-0101-4101-8101-010101010101",
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "span_id": "b7ad6b7169203331",
        "bundles": {},
        "path": "hexr/authz/allow",
        "input": {
            "spiffe_id": IDENTITY, "tenant": "acme-corp", "agent": "content-crew", "role": "researcher",
            "service": "gcp_bigquery", "action": "query", "timestamp": "2026-01-15T10:30:00Z",
            "resource": null,
            "request": {"headers": {"content-type": "application/json",
                "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}},
        },
        "result": true,
        "timestamp": "2026-01-15T10:30:00.000000000Z",
        "metrics": {"timer_server_handler_ns": 1500},
    });
    let mut event = event(&authorizer, &QUERY);
    // The policy does not ask for it.
    event["input"]["resource"] = Value::Null;
    assert_eq!(event, expected);
}

#[test]
fn a_refused_request() {
    let authorizer = authorizer(json!({"a.rego": POLICY}));
    for (sent, reason, input) in [
        (
            Sent { identity: None, ..QUERY },
            "no_client_certificate",
            json!({"service": "gcp_bigquery", "action": "query", "timestamp": "2026-01-15T10:30:00Z"}),
        ),
        (
            Sent { host: "nowhere.example", ..QUERY },
            "unknown_service",
            json!({"spiffe_id": IDENTITY, "tenant": "acme-corp", "agent": "content-crew", "role": "researcher",
                "service": "unknown", "action": "unknown", "timestamp": "2026-01-15T10:30:00Z"}),
        ),
    ] {
        let event = event(&authorizer, &sent);
        assert_eq!(event["result"], json!(false));
        assert_eq!((&event["reason"], &event["input"]), (&json!(reason), &input));
        assert_eq!(event.get("error"), None);
    }
}

#[test]
fn a_tools_arguments_are_erased() {
    let authorizer = authorizer(json!({"a.rego": POLICY}));
    let sent = Sent {
        host: "mcp.example",
        path: "/",
        body: r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"open","arguments":{"repo":"a","to/ken":"b"}}}"#,
        ..QUERY
    };
    let event = event(&authorizer, &sent);
    assert_eq!(event["input"]["tool"], json!({"name": "open", "arguments": {}}));
    assert_eq!(event["erased"], json!(["/input/tool/arguments/repo", "/input/tool/arguments/to~1ken"]));
    assert_eq!(event["result"], json!(true));
    assert!(!event.to_string().contains("hidden"), "{event}");
}

/// What the policy's rules make of an event.
#[test]
fn masks_and_drops() {
    let rules = |text: &str| json!({"a.rego": POLICY, "log.rego": format!("package system.log\n\nimport rego.v1\n\n{text}\n")});
    for (text, pointer, expected, erased, masked) in [
        ("mask contains \"/input/role\"", "/input/role", None, json!(["/input/role"]), Value::Null),
        ("mask contains \"/input/none\"", "/input/role", Some(json!("researcher")), Value::Null, Value::Null),
        ("mask contains \"/input\"", "/input", None, json!(["/input"]), Value::Null),
        (
            "mask contains {\"op\": \"upsert\", \"path\": \"/input/role\", \"value\": \"x\"} if input.input.role",
            "/input/role",
            Some(json!("x")),
            Value::Null,
            json!(["/input/role"]),
        ),
        (
            "mask contains {\"op\": \"remove\", \"path\": \"/result\"}",
            "/result",
            None,
            json!(["/result"]),
            Value::Null,
        ),
        // What cannot be told hides everything.
        ("mask contains \"/labels\"", "/input", Some(json!({})), json!(["/input"]), Value::Null),
        ("mask contains 7", "/input", Some(json!({})), json!(["/input"]), Value::Null),
        ("mask := \"x\"", "/input", Some(json!({})), json!(["/input"]), Value::Null),
        ("mask := 1 if true\nmask := 2 if true", "/input", Some(json!({})), json!(["/input"]), Value::Null),
        // A drop that has no answer drops nothing.
        (
            "drop := 1 if true\ndrop := 2 if true",
            "/input/role",
            Some(json!("researcher")),
            Value::Null,
            Value::Null,
        ),
        (
            "drop if input.input.role == \"editor\"",
            "/input/role",
            Some(json!("researcher")),
            Value::Null,
            Value::Null,
        ),
    ] {
        let event = event(&authorizer(rules(text)), &QUERY);
        assert_eq!(event.pointer(pointer), expected.as_ref(), "{text}");
        for (name, listed) in [("erased", erased), ("masked", masked)] {
            assert_eq!(event.get(name).unwrap_or(&Value::Null), &listed, "{text}: {name}");
        }
    }
    let authorizer = authorizer(rules("drop if input.input.role == \"researcher\""));
    let mut log = log(Only::All, 32_768, 10);
    log.record(entry(&authorizer, &QUERY, 1, 0));
    assert!(log.write_one(authorizer.active().map(|active| &*active.policy)));
    assert_eq!(log.upload(at(0), 0, false), None);
    assert!(log.is_empty());
    assert_eq!(log.take_counts(), Counts { made: 1, omitted: 1, ..Counts::default() });
}

#[test]
fn what_is_sent_and_what_gives_way() {
    let authorizer = authorizer(json!({"a.rego": POLICY}));
    let mut log = log(Only::All, 32_768, 3);
    let record = |log: &mut DecisionLog, id| log.record(entry(&authorizer, &QUERY, id, 0));
    let ids = |body: &[u8]| -> Vec<String> {
        let first = |event: &Value| event["decision_id"].as_str().unwrap().split_at(2).0.to_owned();
        events(body).iter().map(first).collect()
    };
    record(&mut log, 1);
    record(&mut log, 2);
    let policy = || authorizer.active().map(|active| &*active.policy);
    while log.write_one(policy()) {}
    assert_eq!(ids(&log.upload(at(0), 0, false).unwrap()), ["01", "02"]);
    log.outbox().sent(7, at(0));
    assert_eq!(log.upload(at(1), 0, true), None, "one is on its way");
    // While it is, newer ones come: the oldest that can give way do.
    for id in 3..=5 {
        record(&mut log, id);
        log.write_one(policy());
    }
    assert_eq!(log.take_counts(), Counts { made: 5, dropped: 2, ..Counts::default() });
    log.failed(at(10), 0);
    assert_eq!(log.upload(at(10), 0, true), None, "it backs off");
    let again = log.upload(at(2_000), 0, false).unwrap();
    assert_eq!(ids(&again), ["01", "02"], "what was not taken is sent again");
    log.outbox().sent(8, at(2_000));
    log.succeeded(at(2_010), 0);
    assert_eq!(log.upload(at(2_020), 0, false), None, "the next one waits for its time");
    assert_eq!(ids(&log.upload(at(7_010), 0, false).unwrap()), ["05"]);
    log.outbox().sent(9, at(7_010));
    log.succeeded(at(7_020), 0);
    assert!(log.is_empty());
    assert_eq!(log.take_counts(), Counts { sent: 3, retried: 1, ..Counts::default() });
    assert_eq!((log.events, log.bytes), (0, 0));
}

#[test]
fn a_full_chunk_does_not_wait() {
    let authorizer = authorizer(json!({"a.rego": POLICY}));
    let mut log = log(Only::All, 4_096, 10_000);
    let mut sent = 0;
    for number in 0..400_i64 {
        log.record(entry(&authorizer, &QUERY, u8::try_from(number % 256).unwrap(), number));
        log.write_one(authorizer.active().map(|active| &*active.policy));
        if let Some(body) = log.upload(at(number), 0, false) {
            // The first upload is due at once, whatever there is.
            if sent > 0 {
                assert!((1_000..=8_192).contains(&body.len()), "{} bytes", body.len());
            }
            sent += events(&body).len();
            log.outbox().sent(7, at(0));
            log.succeeded(at(0), 0);
        }
    }
    assert!(sent > 200, "{sent}");
    assert_eq!(log.events, 400 - sent);
}

#[test]
fn only_what_is_denied() {
    assert!(log(Only::All, 4_096, 1).wants(true));
    let denied = log(Only::Denied, 4_096, 1);
    assert!(!denied.wants(true) && denied.wants(false));
}

/// However its sizes were estimated, what was sent takes no room.
#[test]
fn what_was_sent_takes_no_room() {
    let authorizer = authorizer(json!({"a.rego": POLICY}));
    let mut log = log(Only::All, 32_768, 100_000);
    let mut uploads = 0;
    for number in 0..12_000_i64 {
        log.record(entry(&authorizer, &QUERY, u8::try_from(number % 251).unwrap(), number));
        log.write_one(authorizer.active().map(|active| &*active.policy));
        if log.upload(at(number), 0, false).is_some() {
            uploads += 1;
            log.outbox().sent(7, at(number));
            log.succeeded(at(number), 0);
        }
    }
    while log.upload(at(1_000_000), 0, true).is_some() {
        log.succeeded(at(1_000_000), 0);
    }
    assert!(uploads > 3, "{uploads}");
    assert_eq!((log.events, log.bytes), (0, 0));
}

#[test]
fn what_is_never_taken_makes_room() {
    let authorizer = authorizer(json!({"a.rego": POLICY}));
    let mut log = log(Only::All, 32_768, 10);
    log.record(entry(&authorizer, &QUERY, 1, 0));
    log.write_one(authorizer.active().map(|active| &*active.policy));
    assert!(log.upload(at(0), 0, false).is_some());
    log.outbox().sent(7, at(0));
    log.rejected(at(10), 0);
    assert_eq!(log.take_counts(), Counts { made: 1, dropped: 1, ..Counts::default() });
    assert_eq!((log.events, log.bytes), (0, 0));
}

/// Where the policy is gone that decided it, so is what it wanted hidden.
#[test]
fn without_its_policy_an_event_has_no_input() {
    let authorizer = authorizer(json!({"a.rego": POLICY}));
    let mut log = log(Only::All, 32_768, 10);
    log.record(entry(&authorizer, &QUERY, 1, 0));
    log.write_one(None);
    let events = events(&log.upload(at(0), 0, false).unwrap());
    assert_eq!(events[0]["input"], json!({}));
    assert_eq!(events[0]["erased"], json!(["/input"]));
}
