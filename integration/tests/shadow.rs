//! A first rollout: everything goes on, and what would have become of it is told.

use anyhow::{Context, Result};
use integration::{
    bundles::allowing,
    envoy_config::set,
    eventually::eventually,
    stack::{Foundation, PATIENCE, Stack},
};
use serde_json::{Value, json};

const BIGQUERY: &str = "bigquery.googleapis.com";
const QUERY: &str = "/bigquery/v2/projects/p/queries";
const SPOOFED: [(&str, &[u8]); 3] =
    [("x-hexr-role", b"admin"), ("x_hexr_tenant", b"other"), ("x-hexr-decision-id", b"mine")];

async fn start(change: impl FnOnce(&mut Value)) -> Result<Stack> {
    let foundation = Foundation::lay().await?;
    let config = foundation.config_with_policy(&allowing("researcher"))?.with_filter_config(|config| {
        set(config, "/decision", "mode", json!("shadow"));
        change(config);
    })?;
    foundation.start(&config.with_optional_client_certificates()?, 1).await
}

/// What reached the credential exchange of one request, by the headers that it trusts.
fn reached(stack: &Stack) -> Result<Value> {
    let received = stack.exchange.take().pop().context("it goes on")?;
    let ours = received.headers.iter().filter(|(name, _)| {
        let name = name.as_str().replace('_', "-");
        name.starts_with("x-hexr-") && name != "x-hexr-decision-id" && name != "x-hexr-spiffe-id"
    });
    let ours = ours.map(|(name, value)| (name.to_string(), json!(String::from_utf8_lossy(value.as_bytes()))));
    let spoofed = received.all("x-hexr-decision-id").contains(&"mine".to_owned());
    anyhow::ensure!(!spoofed, "{received:?}");
    Ok(Value::Object(ours.collect()))
}

#[tokio::test]
async fn nothing_is_refused_and_everything_is_told() -> Result<()> {
    let stack = start(|_| {}).await?;
    let agent = |role: &str| json!({"x-hexr-tenant": "acme-corp", "x-hexr-agent": "content-crew", "x-hexr-role": role});
    let with = |mut headers: Value, service: &str, action: &str| {
        headers["x-hexr-service"] = json!(service);
        headers["x-hexr-action"] = json!(action);
        headers
    };
    let anonymous = integration::agent::Agent::new(stack.envoy.agents(), &stack.authority, None)?;
    for (who, host, path, decision, reason, told) in [
        (
            stack.agent("researcher")?,
            BIGQUERY,
            QUERY,
            "allow",
            None,
            with(agent("researcher"), "gcp_bigquery", "query"),
        ),
        (
            stack.agent("editor")?,
            BIGQUERY,
            QUERY,
            "deny",
            Some("policy_denied"),
            with(agent("editor"), "gcp_bigquery", "query"),
        ),
        (
            stack.agent("editor")?,
            "nowhere.example",
            "/",
            "deny",
            Some("unknown_service"),
            with(agent("editor"), "unknown", "unknown"),
        ),
        (stack.agent("editor")?, BIGQUERY, "/a/../b", "deny", Some("ambiguous_request"), agent("editor")),
        (anonymous, BIGQUERY, QUERY, "deny", Some("no_client_certificate"), json!({})),
        (
            stack.agent_with(&["spiffe://elsewhere.example/agent/a/b/c"])?,
            BIGQUERY,
            QUERY,
            "deny",
            Some("untrusted_domain"),
            json!({}),
        ),
    ] {
        let before = stack.envoy.access_log().len();
        let answer = who.connect().await?.send_with("POST", host, path, &SPOOFED).await?;
        assert_eq!(answer.status, 200, "{host}{path}: {answer:?}");
        assert_eq!(reached(&stack)?, told, "{host}{path}");
        let (line, _) =
            eventually(PATIENCE, "the access log", async || stack.envoy.access_log().into_iter().nth(before))
                .await?;
        assert_eq!(line["decision"], json!(decision), "{line}");
        assert_eq!(
            line.get("reason").and_then(Value::as_str).filter(|reason| *reason != "-"),
            reason,
            "{line}"
        );
    }
    assert_eq!(stack.envoy.stat("wasm.hexr_authz.vm_reload_success").await?, 0);
    Ok(())
}

/// A body that decides and does not come is waited for, and then goes on as it comes.
#[tokio::test]
async fn a_body_that_does_not_come_goes_on() -> Result<()> {
    let stack = start(|config| config["limits"] = json!({"body_timeout_ms": 300})).await?;
    let head = "POST / HTTP/1.1\r\nhost: dynamodb.us-east-1.amazonaws.com\r\ncontent-length: 9\r\n\
                content-type: application/x-www-form-urlencoded\r\nconnection: close\r\n\r\n";
    let agent = stack.agent("editor")?;
    let answer = agent.drip(head.as_bytes(), std::time::Duration::from_millis(150)).await?;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let received = stack.exchange.take();
    assert_eq!(received.len(), 1);
    assert_eq!(received.first().map(|received| &*received.body), Some(&b"xxxxxxxxx"[..]));
    Ok(())
}
