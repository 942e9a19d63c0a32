//! `hexr-authz serve` as a sink of decision logs and status events, and `hexr-authz logs`, which shows them.

#![expect(clippy::unwrap_used, reason = "what the tests share stops at the first thing that does not work")]

mod server;
mod tool;

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::Server;

const POLICY: &str = "package hexr.authz\n\ndefault allow := false\n\nallow if input.role == \"editor\"\n";

/// Posts JSON; the status and what is said.
fn post(server: &Server, path: &str, encoding: Option<&str>, body: &[u8]) -> (u16, String) {
    post_as(server, "application/json", path, encoding, body)
}

fn post_as(
    server: &Server,
    media_type: &str,
    path: &str,
    encoding: Option<&str>,
    body: &[u8],
) -> (u16, String) {
    let agent =
        ureq::Agent::new_with_config(ureq::Agent::config_builder().http_status_as_error(false).build());
    let mut request = agent.post(format!("{}{path}", server.url)).header("content-type", media_type);
    if let Some(encoding) = encoding {
        request = request.header("content-encoding", encoding);
    }
    let mut response = request.send(body).unwrap();
    (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
}

/// What `logs` shows, with its exit code.
fn logs(server: &Server, folder: &TempDir, arguments: &[&str]) -> (String, Option<i32>) {
    let ran = tool::run(folder.path(), &[&["logs", "--from", &server.url], arguments].concat(), "");
    (ran.stdout + &ran.stderr, ran.exit_code)
}

fn folder() -> TempDir {
    tool::folder(&[("policies/authz.rego", POLICY), ("token", "secret\n")])
}

fn event(id: &str, second: u32, role: &str) -> Value {
    let is_allowed = role == "editor";
    let mut event = json!({
        "decision_id": id,
        "labels": {"id": "envoy"},
        "path": "hexr/authz/allow",
        "result": is_allowed,
        "timestamp": format!("2026-01-15T10:30:{second:02}Z"),
        "input": {"spiffe_id": format!("spiffe://hexr.cloud/agent/acme/crew/{role}"), "tenant": "acme", "agent": "crew",
            "role": role, "service": "aws_s3", "action": "GetObject", "timestamp": "2026-01-15T10:30:00Z"},
    });
    if !is_allowed {
        event.as_object_mut().unwrap().insert("reason".to_owned(), json!("policy_denied"));
    }
    event
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn what_is_taken_and_what_is_shown() {
    let folder = folder();
    let server = Server::start(folder.path(), &[]);
    let mut hostile = event("d3", 3, "viewer");
    hostile["input"]["agent"] = json!("crew\u{1b}[2J\nallow");
    hostile["policy_reason"] = json!("not \"now\"");
    let chunk = json!([event("d2", 2, "viewer"), event("d1", 1, "editor"), hostile]).to_string();
    for _sent_twice in 0..2 {
        assert_eq!(post(&server, "/logs", Some("gzip"), &gzip(&chunk)), (200, "{}".to_owned()));
    }
    let shadow = json!({"decision_id": "d4", "timestamp": "2026-01-15T10:30:04Z", "result": false, "enforced": false,
        "reason": "no_policy"});
    assert_eq!(post(&server, "/logs", None, json!([shadow]).to_string().as_bytes()).0, 200);

    let [first, second, third, fourth] = [
        "2026-01-15T10:30:01Z allow acme/crew/editor aws_s3 GetObject d1\n",
        "2026-01-15T10:30:02Z deny acme/crew/viewer aws_s3 GetObject policy_denied d2\n",
        "2026-01-15T10:30:03Z deny acme/crew\\u{1b}[2J\\nallow/viewer aws_s3 GetObject policy_denied not \\\"now\\\" d3\n",
        "2026-01-15T10:30:04Z would deny -/-/- - - no_policy d4\n",
    ];
    for (arguments, expected) in [
        (&[][..], vec![first, second, third, fourth]),
        (&["--denied"], vec![second, third, fourth]),
        (&["--agent", "crew"], vec![first, second]),
        (&["--agent", "spiffe://hexr.cloud/agent/acme/crew/editor"], vec![first]),
        (
            &["--tenant", "acme", "--role", "viewer", "--service", "aws_s3", "--action", "GetObject"],
            vec![second, third],
        ),
        (&["--reason", "no_policy"], vec![fourth]),
        (&["--decision-id", "d2"], vec![second]),
        (&["--since", "2026-01-15T10:30:03Z"], vec![third, fourth]),
        (&["--since", "1s"], vec![]),
        (&["--limit", "1"], vec![fourth]),
    ] {
        assert_eq!(logs(&server, &folder, arguments), (expected.concat(), Some(0)), "{arguments:?}");
    }
    let (json, _) = logs(&server, &folder, &["--decision-id", "d1", "--format", "json"]);
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), event("d1", 1, "editor"));
    let (problem, code) = logs(&server, &folder, &["--since", "soon"]);
    assert!(problem.contains("400") && problem.contains("`soon` is no instant"), "{problem}");
    assert_eq!(code, Some(1));
    // What was told can be decided anew.
    let replay = ["replay", &format!("{}/logs", server.url), "--data", "policies"];
    let ran = tool::run(folder.path(), &replay, "");
    assert_eq!(ran.exit_code, Some(0), "{}{}", ran.stdout, ran.stderr);
    let expected =
        "0 of 3 decisions would change\n\nnot decided by a policy, or not by this one: 1\n  no_policy  1\n";
    assert_eq!(ran.stdout, expected);
}

#[test]
fn what_is_no_log_changes_nothing() {
    let folder = folder();
    let server = Server::start(folder.path(), &[]);
    let good = event("d1", 1, "editor");
    let without = |field: &str| {
        let mut event = event("d2", 2, "editor");
        event.as_object_mut().unwrap().remove(field);
        json!([good, event]).to_string()
    };
    let long = json!([{"decision_id": "x".repeat(300), "timestamp": "2026-01-15T10:30:00Z"}]).to_string();
    let bomb = gzip(&" ".repeat(70 << 20));
    for (path, encoding, body, status, problem) in [
        ("/logs", Some("gzip"), b"plain".to_vec(), 400, "not gzip"),
        ("/logs", Some("br"), b"[]".to_vec(), 400, "a body is plain or gzip"),
        ("/logs", None, b"{}".to_vec(), 400, "not a JSON array of events"),
        ("/logs", None, without("decision_id").into_bytes(), 400, "event 1 has no `decision_id`"),
        ("/logs", None, without("timestamp").into_bytes(), 400, "event 1 has no `timestamp`"),
        ("/logs", None, long.into_bytes(), 400, "event 0 has no `decision_id` of at most 256 bytes"),
        ("/logs", Some("gzip"), bomb, 413, "more than 67108864 bytes"),
        ("/logs", None, vec![b' '; 17 << 20], 413, ""),
        ("/status", None, b"[]".to_vec(), 400, "a status has a `labels.id`"),
        ("/status", None, b"nothing".to_vec(), 400, "not JSON"),
    ] {
        let (found, said) = post(&server, path, encoding, &body);
        assert_eq!(found, status, "{path} {said}");
        assert!(said.contains(problem), "{said}\nlacks\n{problem}");
    }
    let chunk = json!([good]).to_string();
    for media_type in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp"] {
        assert_eq!(post_as(&server, media_type, "/logs", None, chunk.as_bytes()).0, 415, "{media_type}");
    }
    assert_eq!(logs(&server, &folder, &[]), (String::new(), Some(0)));
    let typed = post_as(&server, "application/json; charset=utf-8", "/logs", None, chunk.as_bytes());
    assert_eq!(typed.0, 200);
}

#[test]
fn a_history_outlives_the_server_and_has_its_bounds() {
    let folder = folder();
    let arguments = ["--history", "decisions.redb", "--history-events", "2"];
    let server = Server::start(folder.path(), &arguments);
    let chunk =
        json!([event("d1", 1, "editor"), event("d2", 2, "editor"), event("d3", 3, "editor")]).to_string();
    assert_eq!(post(&server, "/logs", None, chunk.as_bytes()).0, 200);
    drop(server);
    let server = Server::start(folder.path(), &arguments);
    let (shown, _) = logs(&server, &folder, &[]);
    let ids: Vec<&str> = shown.lines().filter_map(|line| line.split(' ').next_back()).collect();
    assert_eq!(ids, ["d2", "d3"]);
}

#[test]
fn the_newest_status_of_each_envoy() {
    let folder = folder();
    let server = Server::start(folder.path(), &[]);
    for (path, id, revision) in
        [("/status", "a", "r1"), ("/status/agents", "b", "r1"), ("/status", "a", "r2")]
    {
        let status = json!({"labels": {"id": id}, "bundles": {"authz": {"active_revision": revision}}});
        assert_eq!(post(&server, path, None, status.to_string().as_bytes()).0, 200);
    }
    let mut response = ureq::get(format!("{}/status", server.url)).call().unwrap();
    let told: Value = serde_json::from_str(&response.body_mut().read_to_string().unwrap()).unwrap();
    let revisions: Vec<&Value> = told
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|it| it.pointer("/bundles/authz/active_revision"))
        .collect();
    assert_eq!(revisions, ["r2", "r1"]);
}

#[test]
fn only_who_has_the_token_tells_and_asks() {
    let folder = folder();
    let server = Server::start(folder.path(), &["--authentication=token", "--token-file", "token"]);
    assert_eq!(post(&server, "/logs", None, b"[]").0, 401);
    let (problem, code) = logs(&server, &folder, &[]);
    assert!(problem.contains("401"), "{problem}");
    assert_eq!(code, Some(1));
    assert_eq!(logs(&server, &folder, &["--token-file", "token"]), (String::new(), Some(0)));
}
