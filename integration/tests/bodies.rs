//! Requests whose body decides what they ask for, through a real Envoy: the whole of it, or nothing.

#![expect(
    clippy::unwrap_used,
    reason = "a function that scenarios share stops at the first thing that is not as they say"
)]

use std::time::{Duration, Instant};

use anyhow::Result;
use hyper::HeaderMap;
use integration::{
    agent::{Answer, Connection},
    envoy_config::EnvoyConfig,
    eventually::eventually,
    stack::{Foundation, PATIENCE, Stack},
};
use serde_json::json;

const POLICY: &str = r#"
package hexr.authz

default allow := false

allow if {
    input.service == "aws_sts"
    input.action == "GetCallerIdentity"
}

allow if {
    input.service == "mcp_github"
    input.action in {"tools/list", "tools/call:create_issue", "session/stream"}
}
"#;

const STS: &str = "sts.amazonaws.com";
const MCP: &str = "mcp.example";
const FORM: &[(&str, &str)] = &[("content-type", "application/x-www-form-urlencoded")];
const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
const IDENTITY: &str = "Action=GetCallerIdentity&Version=2011-06-15";
const ROLE: &str = "Action=AssumeRole&Version=2011-06-15";
/// Long enough for bodies that come, short enough to wait for.
const BODY_TIMEOUT: Duration = Duration::from_millis(1500);

async fn stack_with(change: impl FnOnce(&mut EnvoyConfig) -> Result<()>) -> Result<Stack> {
    let foundation = Foundation::lay().await?;
    let mut config = foundation.config_with_policy(POLICY)?.with_filter_config(|config| {
        config["catalog"] = json!({"services": [{"service": "mcp_github", "kind": "mcp", "hosts": [MCP]}]});
        config["limits"] = json!({"body_timeout_ms": u64::try_from(BODY_TIMEOUT.as_millis()).unwrap()});
    })?;
    change(&mut config)?;
    foundation.start(&config, 1).await
}

async fn stack() -> Result<Stack> {
    stack_with(|_| Ok(())).await
}

async fn connect(stack: &Stack, http2: bool) -> Result<Connection> {
    let agent = stack.agent("researcher")?;
    if http2 { agent.connect_http2().await } else { agent.connect().await }
}

async fn post(stack: &Stack, http2: bool, path: &str, body: &str) -> Result<Answer> {
    let mut connection = connect(stack, http2).await?;
    connection.send_body(("POST", STS, path), FORM, body, None).await
}

fn text(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}

/// Nothing was let through, and no VM trapped on the way.
async fn nothing_came_through(stack: &Stack) -> Result<()> {
    assert_eq!(stack.exchange.count(), 0, "{:?}", stack.exchange.take());
    assert_eq!(stack.envoy.stat("wasm.hexr_authz.vm_reload_success").await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_form_decides() -> Result<()> {
    let stack = stack().await?;
    // Long bodies come in many pieces, and what decides may stand in the last one.
    let padding = format!("Padding={}&", "x".repeat(600_000));
    for http2 in [false, true] {
        for before in ["", &padding] {
            let body = format!("{before}{IDENTITY}");
            let answer = post(&stack, http2, "/", &body).await?;
            assert_eq!(answer.status, 200, "{answer:?}");
            let received = stack.exchange.take();
            let [request] = received.as_slice() else { panic!("{} requests", received.len()) };
            assert_eq!(request.all("x-hexr-service"), ["aws_sts"]);
            assert_eq!(request.all("x-hexr-action"), ["GetCallerIdentity"]);
            assert!(request.body == body, "the body arrives as it was sent");

            let answer = post(&stack, http2, "/", &format!("{before}{ROLE}")).await?;
            assert_eq!(answer.status, 403, "{answer:?}");
            let (text, id) = (text(&answer), answer.header("x-hexr-decision-id").unwrap());
            assert!(text.contains("<Code>AccessDenied</Code>"), "{text}");
            assert!(text.contains("`AssumeRole` on `aws_sts`"), "{text}");
            assert!(text.contains(&format!("(decision {id})")), "{text}");
        }
    }
    nothing_came_through(&stack).await
}

#[tokio::test]
async fn query_and_form_agree_or_are_refused() -> Result<()> {
    let stack = stack().await?;
    let asked = format!("/?{IDENTITY}");
    assert_eq!(post(&stack, false, &asked, "").await?.status, 200);
    assert_eq!(post(&stack, false, &asked, "Padding=x").await?.status, 200);
    stack.exchange.take();
    for body in [ROLE, IDENTITY, "action=AssumeRole", "Action=GetCallerIdentity"] {
        let answer = post(&stack, false, &asked, body).await?;
        assert_eq!(answer.status, 403, "{answer:?}");
        assert!(text(&answer).contains("the request is ambiguous"), "{body}: {answer:?}");
    }
    let twice = post(&stack, true, "/", &format!("{IDENTITY}&{ROLE}")).await?;
    assert!(text(&twice).contains("the request is ambiguous"), "{twice:?}");
    nothing_came_through(&stack).await
}

#[tokio::test]
async fn trailers_end_a_body() -> Result<()> {
    let stack = stack().await?;
    let mut trailers = HeaderMap::new();
    trailers.insert("x-hexr-role", "admin".parse()?);
    trailers.insert("x-kept", "yes".parse()?);
    for (body, status) in [(IDENTITY, 200), (ROLE, 403), ("", 403)] {
        let mut connection = stack.agent("researcher")?.connect_http2().await?;
        let asked = connection.send_body(("POST", STS, "/"), FORM, body, Some(trailers.clone()));
        assert_eq!(asked.await?.status.as_u16(), status, "{body}");
    }
    let received = stack.exchange.take();
    let [request] = received.as_slice() else { panic!("{received:?}") };
    assert_eq!(request.body, IDENTITY);
    assert!(!request.trailers.contains_key("x-hexr-role"), "{request:?}");
    nothing_came_through(&stack).await
}

/// The head of a raw request for a form.
fn head(framing: &str) -> String {
    format!(
        "POST / HTTP/1.1\r\nhost: {STS}\r\ncontent-type: application/x-www-form-urlencoded\r\n\
         connection: close\r\n{framing}\r\n\r\n"
    )
}

#[tokio::test]
async fn too_large_a_body_is_refused_at_once() -> Result<()> {
    let stack = stack_with(|config| {
        *config = config.clone().with_filter_config(|config| {
            config["limits"] = json!({"request_body_bytes": 1000, "body_timeout_ms": 60_000});
        })?;
        Ok(())
    })
    .await?;
    let agent = stack.agent("researcher")?;
    let started = Instant::now();
    // Announced, and nothing of it sent.
    let answer = agent.send_raw(head("content-length: 1001").as_bytes()).await?;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("larger than 1000 bytes"), "{answer}");
    // Not announced, and not at its end.
    let chunk = format!("{}7d0\r\n{}\r\n", head("transfer-encoding: chunked"), "x".repeat(2000));
    let answer = agent.send_raw(chunk.as_bytes()).await?;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("larger than 1000 bytes"), "{answer}");
    assert!(started.elapsed() < PATIENCE, "they did not wait for the time");
    nothing_came_through(&stack).await?;
    // Whole, and as large as it may be.
    let padding = "x".repeat(1000 - IDENTITY.len() - "&P=".len());
    assert_eq!(post(&stack, true, "/", &format!("{IDENTITY}&P={padding}")).await?.status, 200);
    assert_eq!(post(&stack, true, "/", &format!("{IDENTITY}&P={padding}x")).await?.status, 413);
    Ok(())
}

#[tokio::test]
async fn a_body_that_does_not_come_is_refused() -> Result<()> {
    let stack = stack().await?;
    let agent = stack.agent("researcher")?;
    let slow = head("content-length: 100000");
    let chunked = format!("{}2b\r\n{IDENTITY}\r\n", head("transfer-encoding: chunked"));
    let (nothing, dripping, unfinished) = tokio::try_join!(
        timed(agent.send_raw(slow.as_bytes())),
        timed(agent.drip(slow.as_bytes(), Duration::from_millis(100))),
        timed(agent.send_raw(chunked.as_bytes())),
    )?;
    for (answer, elapsed) in [nothing, dripping, unfinished] {
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        assert!(answer.contains("<Code>AccessDenied</Code>"), "{answer}");
        assert!(answer.contains("did not come within 1500 ms"), "{answer}");
        assert!(elapsed >= BODY_TIMEOUT && elapsed < PATIENCE, "{elapsed:?}");
    }
    let line =
        eventually(PATIENCE, "a line in the access log", async || stack.envoy.access_log().pop()).await?.0;
    assert_eq!(line["details"], "hexr_authz_denied{reason=body_timeout}");
    assert_eq!((&line["service"], &line["action"]), (&json!("aws_sts"), &json!("unknown")));
    nothing_came_through(&stack).await?;
    assert_eq!(post(&stack, false, "/", IDENTITY).await?.status, 200);
    Ok(())
}

async fn timed(answer: impl Future<Output = Result<String>>) -> Result<(String, Duration)> {
    let started = Instant::now();
    Ok((answer.await?, started.elapsed()))
}

#[tokio::test]
async fn a_client_that_leaves_is_forgotten() -> Result<()> {
    let stack = stack().await?;
    let agent = stack.agent("researcher")?;
    let leaves = head("content-length: 100000");
    let left = tokio::time::timeout(BODY_TIMEOUT / 5, agent.send_raw(leaves.as_bytes())).await;
    assert!(left.is_err(), "{left:?}");
    // The time of the one that left is over before that of one that came later.
    let answer = agent.send_raw(leaves.as_bytes()).await?;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    nothing_came_through(&stack).await
}

#[tokio::test]
async fn a_request_without_a_body_does_not_wait() -> Result<()> {
    let stack = stack_with(|config| {
        *config = config.clone().with_filter_config(|config| {
            config["limits"] = json!({"body_timeout_ms": 60_000});
        })?;
        Ok(())
    })
    .await?;
    let started = Instant::now();
    for http2 in [false, true] {
        let answer = post(&stack, http2, "/", "").await?;
        assert_eq!(answer.status, 403, "{answer:?}");
        assert!(text(&answer).contains("no known action"), "{answer:?}");
        let answer = connect(&stack, http2).await?.send("POST", MCP, "/").await?;
        assert_eq!((answer.status.as_u16(), answer.reason().as_deref()), (400, Some("unreadable_body")));
        // Envoy closes a connection of HTTP/1.1 on which something was a 400.
        let mut connection = connect(&stack, http2).await?;
        assert_eq!(connection.send("GET", MCP, "/").await?.status, 200);
    }
    // Whoever is refused anyway does not wait either.
    let stranger = stack.agent_with(&["spiffe://other.example/agent/a/b/c"])?;
    let answer = stranger.send_raw(head("content-length: 10").as_bytes()).await?;
    assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("other.example"), "{answer}");
    assert!(started.elapsed() < PATIENCE);
    stack.exchange.take();
    nothing_came_through(&stack).await
}

fn call(tool: &str) -> String {
    json!({"jsonrpc": "2.0", "id": "a-1", "method": "tools/call", "params": {"name": tool, "arguments": {"n": 1}}})
        .to_string()
}

#[tokio::test]
async fn tools_are_called_or_refused() -> Result<()> {
    let stack = stack().await?;
    for http2 in [false, true] {
        let mut connection = connect(&stack, http2).await?;
        let body = call("create_issue");
        let answer = connection.send_body(("POST", MCP, "/mcp"), JSON, &body, None).await?;
        assert_eq!(answer.json().unwrap()["credential"], "short-lived");
        let received = stack.exchange.take();
        assert_eq!(received[0].all("x-hexr-action"), ["tools/call:create_issue"]);
        assert_eq!(received[0].body, body);

        let answer =
            connection.send_body(("POST", MCP, "/mcp"), JSON, &call("delete_repository"), None).await?;
        let document = answer.json().unwrap();
        assert_eq!((answer.status.as_u16(), &document["id"]), (200, &json!("a-1")), "{document}");
        assert_eq!(document["error"]["code"], -32003);
        assert_eq!(document["error"]["data"]["reason"], "policy_denied");
        assert_eq!(document["error"]["data"]["action"], "tools/call:delete_repository");
        let id = answer.header("x-hexr-decision-id").unwrap();
        assert!(document["error"]["message"].as_str().unwrap().contains(id), "{document}");

        // A notification wants no answer, a batch is no message, and a header may not contradict the body.
        let notification = r#"{"jsonrpc": "2.0", "method": "notifications/cancelled"}"#;
        let answer = connection.send_body(("POST", MCP, "/mcp"), JSON, notification, None).await?;
        assert_eq!((answer.status.as_u16(), answer.reason().as_deref()), (403, Some("policy_denied")));
        let headers = [JSON, &[("mcp-method", "tools/list")]].concat();
        let mut connection = connect(&stack, http2).await?;
        let answer =
            connection.send_body(("POST", MCP, "/mcp"), &headers, &call("create_issue"), None).await?;
        assert_eq!(answer.json().unwrap()["error"]["data"]["reason"], "ambiguous_request");
        // Comes last: Envoy closes a connection of HTTP/1.1 after a 400.
        let batch = format!("[{}]", call("create_issue"));
        let answer = connection.send_body(("POST", MCP, "/mcp"), JSON, &batch, None).await?;
        assert_eq!((answer.status.as_u16(), answer.reason().as_deref()), (400, Some("unreadable_body")));
    }
    nothing_came_through(&stack).await
}

#[tokio::test]
async fn without_envoys_flag_nothing_hangs_and_nothing_passes() -> Result<()> {
    let stack = stack_with(|config| {
        let filter = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters/0/typed_config/config";
        config.at(filter)?.as_object_mut().unwrap().remove("allow_on_headers_stop_iteration");
        Ok(())
    })
    .await?;
    for http2 in [false, true] {
        let started = Instant::now();
        let answer = post(&stack, http2, "/", IDENTITY).await?;
        assert_eq!(answer.status, 408, "{answer:?}");
        assert!(text(&answer).contains("did not come within 1500 ms"), "{answer:?}");
        assert!(started.elapsed() >= BODY_TIMEOUT && started.elapsed() < PATIENCE);
    }
    nothing_came_through(&stack).await?;
    // What the head decides does not need the flag.
    assert_eq!(post(&stack, false, &format!("/?{IDENTITY}"), "").await?.status, 200);
    Ok(())
}
