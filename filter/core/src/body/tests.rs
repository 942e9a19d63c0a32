use std::rc::Rc;

use super::*;
use crate::config::Config;

const CONFIG: &str = r#"{"identity": {"trust_domains": [{"name": "hexr.cloud"}]},
    "policy": {"modules": {"a.rego": "package hexr.authz\nallow if input.action == \"tools/call:good\""}},
    "catalog": {"services": [{"service": "mcp", "kind": "mcp", "hosts": ["mcp.example"]}]},
    "limits": {"request_body_bytes": 80, "body_timeout_ms": 300}}"#;
const CALL: &[u8] = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"good"}}"#;
const LARGE: &[u8] = &[b' '; 81];

/// What is found of a request by a peer that is known, or not: an action, the code of a refusal, or `waits`.
#[track_caller]
fn check(is_known: bool, line: &str, headers: &[(&str, &str)], body: Body<'_>, expect: &str) {
    let authorizer = Authorizer::new(Rc::new(Config::read(CONFIG, &|_| None).unwrap()));
    let identity = authorizer.config().trust_domains.identity_of("spiffe://hexr.cloud/agent/a/b/c");
    let peer = if is_known { Peer::new(None, identity) } else { Peer::anonymous() };
    let (method, host) = line.split_once(' ').unwrap();
    let head = [(":method", method), (":authority", host), (":path", "/")];
    let all = head.into_iter().chain(headers.iter().copied());
    let request = Request::parse(all.map(|(name, value)| (name.as_bytes(), value.as_bytes())));
    let now = Timestamp::from_unix_nanos(1_768_473_000_000_000_000);
    let found = match authorizer.asked(&peer, &request, body, now) {
        None => "waits".to_owned(),
        Some(asked) => {
            let found = asked
                .and_then(|(request, derivation)| authorizer.config().catalog.admit(derivation, request));
            match found {
                Ok(derived) => derived.operation.action().to_owned(),
                Err(denial) => denial.reason().code().to_owned(),
            }
        }
    };
    assert_eq!(found, expect, "{is_known} {line} {headers:?} {body:?}");
}

#[test]
fn a_body_that_decides_is_waited_for() {
    let post = "POST mcp.example";
    check(true, post, &[], Body::Coming, "waits");
    check(true, post, &[("content-length", "80")], Body::Coming, "waits");
    check(true, post, &[], Body::Whole(CALL), "tools/call:good");
    check(true, post, &[("content-length", "1")], Body::Whole(CALL), "tools/call:good");
    check(true, post, &[], Body::Whole(b"{"), "unreadable_body");
    check(true, post, &[], Body::Whole(b""), "unreadable_body");
    check(true, post, &[], Body::Absent, "unreadable_body");
    check(true, post, &[], Body::TooLate, "body_timeout");
}

#[test]
fn a_body_that_is_too_large_is_not() {
    let post = "POST mcp.example";
    for length in ["81", "99999999999999999999999999", "x", ""] {
        check(true, post, &[("content-length", length)], Body::Coming, "body_too_large");
    }
    check(true, post, &[], Body::TooLarge, "body_too_large");
    check(true, post, &[], Body::Whole(LARGE), "body_too_large");
}

#[test]
fn a_body_that_decides_nothing_is_not() {
    for body in [Body::Coming, Body::Absent, Body::Whole(LARGE), Body::TooLarge, Body::TooLate] {
        check(true, "GET mcp.example", &[], body, "session/stream");
        check(true, "POST nowhere.example", &[], body, "unknown_service");
        check(true, "POST mcp.example", &[("content-encoding", "gzip")], body, "ambiguous_request");
        check(true, "POST a,b", &[], body, "ambiguous_request");
    }
}

/// It is refused for who it is; what it asks for stays unknown.
#[test]
fn nobodys_body_is_not_waited_for() {
    check(false, "POST mcp.example", &[], Body::Coming, "unknown_action");
}
