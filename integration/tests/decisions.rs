//! Who asks for what, through a real Envoy: allowed or refused, and what each side sees of it.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "the assertions that scenarios share stop at the first thing that is not as they say"
)]

use std::time::Duration;

use anyhow::Result;
use hyper::{HeaderMap, header::HeaderValue};
use integration::{
    agent::{Agent, Answer},
    eventually::eventually,
    stack::{Foundation, PATIENCE, Stack, spiffe_id},
};
use time::OffsetDateTime;

const POLICY: &str = r#"
package hexr.authz

default allow := false

allow if {
    input.role in {"researcher", "editor"}
    input.service == "gcp_bigquery"
    input.action == "query"
}
"#;

const BIGQUERY: &str = "bigquery.googleapis.com";
const QUERY: &str = "/bigquery/v2/projects/p/queries";
const TABLE: &str = "/bigquery/v2/projects/p/datasets/d/tables/t";

async fn stack() -> Result<Stack> {
    let foundation = Foundation::lay().await?;
    let config = foundation.config_with_policy(POLICY)?;
    foundation.start(&config, 1).await
}

/// A refusal, in every place where it can be seen.
#[track_caller]
fn assert_refused(stack: &Stack, answer: &Answer, status: u16, reason: &str) {
    assert_eq!((answer.status.as_u16(), answer.reason().as_deref()), (status, Some(reason)), "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let body = answer.json().unwrap();
    let id = answer.header("x-hexr-decision-id").unwrap();
    assert_eq!(body["decision_id"], id);
    // An object is what Google's clients read.
    match body["error"].as_object() {
        Some(error) => assert_eq!(error["code"], status),
        None => assert_eq!(body["error"], if status < 500 { "access_denied" } else { "unavailable" }),
    }
    assert_eq!(stack.exchange.take().len(), 0, "a denied request reached the credential exchange");
}

#[tokio::test]
async fn allowed_requests_carry_the_verified_identity() -> Result<()> {
    let stack = stack().await?;
    for http2 in [false, true] {
        let agent = stack.agent("researcher")?;
        let mut connection = if http2 { agent.connect_http2().await? } else { agent.connect().await? };
        let answer = connection.send("POST", BIGQUERY, QUERY).await?;
        assert_eq!(answer.status, 200, "{answer:?}");
        let received = stack.exchange.take();
        let [request] = received.as_slice() else { panic!("{received:?}") };
        for (name, value) in [
            ("x-hexr-spiffe-id", spiffe_id("researcher").as_str()),
            ("x-hexr-tenant", "acme-corp"),
            ("x-hexr-agent", "content-crew"),
            ("x-hexr-role", "researcher"),
            ("x-hexr-service", "gcp_bigquery"),
            ("x-hexr-action", "query"),
        ] {
            assert_eq!(request.all(name), [value], "{name}");
        }
        assert_eq!(request.all("x-hexr-decision-id")[0].len(), 36);
    }
    Ok(())
}

#[tokio::test]
async fn what_the_policy_does_not_allow_is_refused() -> Result<()> {
    let stack = stack().await?;
    let answer = stack.agent("viewer")?.send("POST", BIGQUERY, QUERY).await?;
    assert_refused(&stack, &answer, 403, "policy_denied");
    let body = answer.json().unwrap();
    assert_eq!((&body["service"], &body["action"]), (&"gcp_bigquery".into(), &"query".into()));
    // As Google's clients read it.
    let message = body["error"]["message"].as_str().unwrap();
    let told = "role `viewer` of agent `content-crew` of tenant `acme-corp` asked for `query` on `gcp_bigquery`: the \
                policy does not allow it; ask platform-security@hexr.cloud and name the decision id";
    assert!(message.starts_with(told), "{message}");
    let answer = stack.agent("editor")?.send("DELETE", BIGQUERY, TABLE).await?;
    assert_refused(&stack, &answer, 403, "policy_denied");
    Ok(())
}

#[tokio::test]
async fn a_refusal_can_be_found_in_the_access_log() -> Result<()> {
    let stack = stack().await?;
    stack.agent("viewer")?.send("POST", BIGQUERY, QUERY).await?;
    stack.agent("editor")?.send("POST", BIGQUERY, QUERY).await?;
    let (log, _) = eventually(PATIENCE, "two lines in the access log", async || {
        let log = stack.envoy.access_log();
        (log.len() == 2).then_some(log)
    })
    .await?;
    for (line, decision, reason, details) in [
        (&log[0], "deny", "policy_denied", "hexr_authz_denied{reason=policy_denied}"),
        (&log[1], "allow", "", "via_upstream"),
    ] {
        assert_eq!(line["decision"], decision);
        assert_eq!(line["reason"].as_str().unwrap_or_default(), reason);
        assert_eq!(line["details"], details);
        assert_eq!(line["service"], "gcp_bigquery");
        assert_eq!(line["action"], "query");
        assert_eq!(line["revision"], "embedded");
        assert_eq!(line["decision_id"].as_str().map(str::len), Some(36));
        let micros = line["filter_us"].as_str().and_then(|text| text.parse::<u64>().ok());
        assert!(micros.is_some_and(|micros| micros < 10_000_000), "{line}");
    }
    Ok(())
}

#[tokio::test]
async fn grpc_callers_get_a_grpc_status() -> Result<()> {
    let stack = stack().await?;
    let mut connection = stack.agent("viewer")?.connect_http2().await?;
    let grpc: &[(&str, &[u8])] = &[("content-type", b"application/grpc"), ("te", b"trailers")];
    let publish = "/google.pubsub.v1.Publisher/Publish";
    let answer = connection.send_with("POST", "pubsub.googleapis.com", publish, grpc).await?;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("grpc-status"), Some("7"));
    assert!(answer.header("grpc-message").unwrap().contains("policy_denied"), "{answer:?}");
    assert_eq!(stack.exchange.count(), 0);
    Ok(())
}

#[tokio::test]
async fn what_the_catalog_does_not_know_is_refused() -> Result<()> {
    let stack = stack().await?;
    let agent = stack.agent("researcher")?;
    for (method, host, path, reason) in [
        ("POST", "storage.corp.example", QUERY, "unknown_service"),
        ("POST", "storage.googleapis.com", QUERY, "unknown_action"),
        ("POST", "bigquery.googleapis.com.evil.example", QUERY, "unknown_service"),
        ("GET", BIGQUERY, QUERY, "unknown_action"),
        ("POST", BIGQUERY, "/bigquery/v2/projects/p/nothing", "unknown_action"),
        ("POST", BIGQUERY, "/bigquery/v2/projects/p/datasets/../queries", "ambiguous_request"),
        ("POST", BIGQUERY, "/bigquery/v2/projects/p/datasets/%2e%2e/queries", "ambiguous_request"),
        ("POST", BIGQUERY, "//bigquery/v2/projects/p/queries", "ambiguous_request"),
        ("POST", BIGQUERY, "/bigquery/v2/projects/p%00/queries", "ambiguous_request"),
        ("POST", "user@bigquery.googleapis.com", QUERY, "ambiguous_request"),
    ] {
        let answer = agent.send(method, host, path).await?;
        assert_refused(&stack, &answer, 403, reason);
    }
    let answer =
        agent.send("POST", "BigQuery.GoogleAPIs.com:443", "/bigquery/v2/projects/%70/queries?x=/../").await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    Ok(())
}

#[tokio::test]
async fn requests_that_want_to_be_something_else_are_refused() -> Result<()> {
    let stack = stack().await?;
    let agent = stack.agent("researcher")?;
    for headers in [
        &[("x-http-method-override", &b"DELETE"[..])][..],
        &[("x_http_method_override", b"DELETE")],
        &[("upgrade", b"websocket"), ("connection", b"upgrade")],
    ] {
        let answer = agent.connect().await?.send_with("POST", BIGQUERY, QUERY, headers).await?;
        assert_ne!(answer.status, 200, "{headers:?}");
        assert_eq!(stack.exchange.count(), 0, "{headers:?}");
    }
    // Envoy joins two hosts to one authority.
    let raw = format!(
        "POST {QUERY} HTTP/1.1\r\nhost: {BIGQUERY}\r\nhost: other.example\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
    );
    let answer = agent.send_raw(raw.as_bytes()).await?;
    assert!(answer.starts_with("HTTP/1.1 40"), "{answer}");
    assert_eq!(stack.exchange.count(), 0);
    Ok(())
}

#[tokio::test]
async fn certificates_that_prove_no_identity_are_refused() -> Result<()> {
    let stack = stack().await?;
    let id = spiffe_id("researcher");
    for (uris, reason) in [
        (&["spiffe://evil.example/agent/acme-corp/content-crew/researcher"][..], "untrusted_domain"),
        (&["spiffe://hexr.cloud/agent/acme-corp/researcher"], "unmapped_identity"),
        (&["spiffe://hexr.cloud/workload/acme-corp/content-crew/researcher"], "unmapped_identity"),
        (&["https://hexr.cloud/agent/acme-corp/content-crew/researcher"], "invalid_spiffe_id"),
        (&["spiffe://hexr.cloud/agent/acme-corp//researcher"], "invalid_spiffe_id"),
        (&[], "invalid_spiffe_id"),
        (&[&id, "spiffe://evil.example/other"], "multiple_uri_sans"),
        (&["https://first.example/x", &id], "multiple_uri_sans"),
    ] {
        let answer = stack.agent_with(uris)?.send("POST", BIGQUERY, QUERY).await?;
        assert_refused(&stack, &answer, 403, reason);
    }
    Ok(())
}

/// The property that Envoy shows is the same for both: what was remembered of the first must not help the second.
#[tokio::test]
async fn a_second_certificate_with_the_same_first_san_gets_nothing_from_the_first() -> Result<()> {
    let stack = stack().await?;
    let id = spiffe_id("researcher");
    let mut good = stack.agent("researcher")?.connect().await?;
    assert_eq!(good.send("POST", BIGQUERY, QUERY).await?.status, 200);
    stack.exchange.take();
    let mut second =
        stack.agent_with(&[&id, "spiffe://hexr.cloud/agent/other/crew/admin"])?.connect().await?;
    for _ in 0..3 {
        let answer = second.send("POST", BIGQUERY, QUERY).await?;
        assert_refused(&stack, &answer, 403, "multiple_uri_sans");
        assert_eq!(good.send("POST", BIGQUERY, QUERY).await?.status, 200);
        stack.exchange.take();
    }
    Ok(())
}

#[tokio::test]
async fn a_certificate_that_expires_under_an_open_connection_is_refused() -> Result<()> {
    let stack = stack().await?;
    let not_after = OffsetDateTime::now_utc() + Duration::from_secs(3);
    let svid = stack.authority.svid_until(&[&spiffe_id("researcher")], not_after)?;
    let agent = Agent::new(stack.envoy.agents(), &stack.authority, Some(&svid))?;
    let mut connection = agent.connect().await?;
    assert_eq!(connection.send("POST", BIGQUERY, QUERY).await?.status, 200);
    let mut last = None;
    eventually(PATIENCE, "the certificate's expiry", async || {
        let answer = connection.send("POST", BIGQUERY, QUERY).await.ok()?;
        stack.exchange.take();
        (answer.status != 200).then(|| last = Some(answer))
    })
    .await?;
    assert_refused(&stack, &last.unwrap(), 403, "expired_certificate");
    let answer = connection.send("POST", BIGQUERY, QUERY).await?;
    assert_refused(&stack, &answer, 403, "expired_certificate");
    Ok(())
}

#[tokio::test]
async fn without_a_certificate_there_is_no_way_in() -> Result<()> {
    let stack = stack().await?;
    let anonymous = Agent::new(stack.envoy.agents(), &stack.authority, None)?;
    assert!(anonymous.send("POST", BIGQUERY, QUERY).await.is_err(), "the handshake must fail");

    let foundation = Foundation::lay().await?;
    let config = foundation.config_with_policy(POLICY)?.with_optional_client_certificates()?;
    let lax = foundation.start(&config, 1).await?;
    let anonymous = Agent::new(lax.envoy.agents(), &lax.authority, None)?;
    let answer = anonymous.send("POST", BIGQUERY, QUERY).await?;
    assert_refused(&lax, &answer, 403, "no_client_certificate");
    Ok(())
}

#[tokio::test]
async fn what_an_agent_says_of_itself_is_removed() -> Result<()> {
    let stack = stack().await?;
    let mut connection = stack.agent("researcher")?.connect().await?;
    let spoofed: &[(&str, &[u8])] = &[
        ("x-hexr-role", b"admin"),
        ("x-hexr-role", b"root"),
        ("X-Hexr-Tenant", b"globex"),
        ("x_hexr_agent", b"other"),
        ("x-hexr_spiffe-id", b"spiffe://evil"),
        ("x-hexr-anything", b"else"),
        ("x-forwarded-client-cert", b"URI=spiffe://hexr.cloud/agent/globex/x/admin"),
        ("x-kept", b"yes"),
    ];
    let answer = connection.send_with("POST", BIGQUERY, QUERY, spoofed).await?;
    assert_eq!(answer.status, 200);
    let received = stack.exchange.take();
    let request = &received[0];
    assert_eq!(request.all("x-hexr-role"), ["researcher"]);
    assert_eq!(request.all("x-hexr-tenant"), ["acme-corp"]);
    for gone in ["x_hexr_agent", "x-hexr_spiffe-id", "x-hexr-anything", "x-forwarded-client-cert"] {
        assert!(request.all(gone).is_empty(), "{gone}");
    }
    assert_eq!(request.all("x-kept"), ["yes"]);
    // The same headers help nobody whom the policy refuses.
    let answer = stack.agent("viewer")?.connect().await?.send_with("POST", BIGQUERY, QUERY, spoofed).await?;
    assert_refused(&stack, &answer, 403, "policy_denied");
    Ok(())
}

/// To some servers trailers are headers that come later.
#[tokio::test]
async fn trailers_speak_for_nobody_either() -> Result<()> {
    let foundation = Foundation::lay().await?;
    let config = foundation.config_with_policy(POLICY)?.with_http2_to("credential-exchange")?;
    let stack = foundation.start(&config, 1).await?;
    let mut connection = stack.agent("researcher")?.connect_http2().await?;
    let mut trailers = HeaderMap::new();
    for (name, value) in [("x-hexr-role", "admin"), ("x_hexr_tenant", "globex"), ("x-kept", "yes")] {
        trailers.append(name, HeaderValue::from_static(value));
    }
    let answer = connection.send_with_trailers("POST", BIGQUERY, QUERY, trailers).await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    let received = stack.exchange.take();
    assert_eq!(received[0].trailers.keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["x-kept"]);
    assert_eq!(received[0].all("x-hexr-role"), ["researcher"]);
    Ok(())
}

/// A health check names the host by an address, and need not be an agent.
#[tokio::test]
async fn readiness_is_anybodys_to_ask() -> Result<()> {
    let stack = stack().await?;
    let stranger = stack.agent_with(&["spiffe://other.example/x"])?;
    for host in ["localhost", "[fd00::1]:10000", "10.0.0.1:10000"] {
        let answer = stranger.send("GET", host, "/hexr-authz/ready?probe=1").await?;
        assert_eq!(
            (answer.status.as_u16(), answer.json().unwrap()["ready"].as_bool()),
            (200, Some(true)),
            "{host}"
        );
    }
    let answer = stranger.send("GET", BIGQUERY, "/hexr-authz/ready/more").await?;
    assert_refused(&stack, &answer, 403, "untrusted_domain");
    Ok(())
}

#[tokio::test]
async fn odd_headers_harm_nobody() -> Result<()> {
    let stack = stack().await?;
    let mut connection = stack.agent("researcher")?.connect().await?;
    let long = vec![b'x'; 40_000];
    for headers in [
        &[("x-bad", &b"\xff\xfe\xe9"[..])][..],
        &[("x-same", b"a"), ("x-same", b"b"), ("x-same", b"\xff")],
        &[("x-long", &long)],
        &[("x-empty", b"")],
        &[("x-hexr-role", b"\xff\xfe")],
    ] {
        let answer = connection.send_with("POST", BIGQUERY, QUERY, headers).await?;
        assert_eq!(answer.status, 200, "{headers:?}");
        let received = stack.exchange.take();
        assert_eq!(received[0].all("x-hexr-role"), ["researcher"]);
        let others: Vec<_> = headers.iter().filter(|(name, _)| !name.starts_with("x-hexr")).collect();
        assert!(others.iter().all(|(name, _)| !received[0].all(name).is_empty()));
    }
    let raw = format!(
        "POST {QUERY} HTTP/1.1\r\nhost: {BIGQUERY}\r\nx-h\u{e9}: v\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
    );
    let answer = stack.agent("researcher")?.send_raw(raw.as_bytes()).await?;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert_eq!(stack.envoy.stat("wasm.hexr_authz.vm_reload_success").await?, 0, "no VM has trapped");
    Ok(())
}

#[tokio::test]
async fn a_policy_without_an_answer_denies() -> Result<()> {
    for (module, status, reason) in [
        ("package hexr.authz\nallow := \"yes\"", 500, "evaluation_error"),
        (
            "package hexr.authz\nallow := true if input.role == \"researcher\"\nallow := false if input.tenant == \"acme-corp\"",
            500,
            "evaluation_error",
        ),
        (
            "package hexr.authz\nallow if { x := numbers.range(1, 2000); some a in x; some b in x; some c in x; a + b + c == 0 }",
            500,
            "budget_exceeded",
        ),
    ] {
        let foundation = Foundation::lay().await?;
        let config = foundation.config_with_policy(module)?;
        let stack = foundation.start(&config, 1).await?;
        let answer = stack.agent("researcher")?.send("POST", BIGQUERY, QUERY).await?;
        assert_refused(&stack, &answer, status, reason);
        let id = answer.header("x-hexr-decision-id").unwrap().to_owned();
        eventually(PATIENCE, "the operator's line in the log", async || {
            stack.envoy.log_lines(&id).pop().filter(|line| line.contains(reason))
        })
        .await?;
    }
    Ok(())
}
