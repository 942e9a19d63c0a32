//! What an Envoy tells of itself by OPA's status API.

use std::time::Duration;

use anyhow::Result;
use integration::{
    bundles::unchecked,
    envoy_config::set,
    eventually::eventually,
    scripted_server::{Script, ScriptedServer},
    stack::{PATIENCE, Stack},
};
use serde_json::{Value, json};

use crate::{ask_as, serving, start_with, wait_for};

const BUNDLE: &str = "/bundles/authz.tar.gz";
const STATUS: &str = "/status/agents";

async fn start(server: &ScriptedServer) -> Result<Stack> {
    start_with(server.address(), 2, |config| {
        config.with_filter_config(|config| {
            config["status"] = json!({"service": "bundles", "partition_name": "agents"});
            config["labels"] = json!({"region": "eu-1"});
            let polling = json!({"min_delay_seconds": 1, "max_delay_seconds": 1});
            set(config, "/bundles/authz", "polling", polling);
        })
    })
    .await
}

/// The newest event.
fn last(server: &ScriptedServer) -> Option<Value> {
    server.posted(STATUS).last().and_then(|body| serde_json::from_slice(body).ok())
}

/// Waits for an event in which the bundle has this at `pointer`.
async fn told(server: &ScriptedServer, pointer: &str, expected: Option<Value>) -> Result<Value> {
    let what = format!("{expected:?} at {pointer}");
    let (bundle, _) = eventually(PATIENCE, &what, async || {
        let bundle = last(server)?.pointer("/bundles/authz")?.clone();
        (bundle.pointer(pointer) == expected.as_ref()).then_some(bundle)
    })
    .await?;
    Ok(bundle)
}

#[tokio::test]
async fn what_is_active_and_what_is_wrong() -> Result<()> {
    const NEVER: &str = "0001-01-01T00:00:00Z";
    let server = ScriptedServer::start(Script::body(200, "")).await?;
    server.now_at(BUNDLE, serving("researcher")?);
    let stack = start(&server).await?;

    let good = told(&server, "/active_revision", Some(json!("researcher"))).await?;
    assert_eq!(good["type"], "snapshot");
    assert_eq!(good.get("code"), None, "{good}");
    for moment in
        ["last_request", "last_successful_request", "last_successful_download", "last_successful_activation"]
    {
        assert!(good[moment].as_str().is_some_and(|text| text.starts_with("20")), "{moment}: {good}");
    }
    let event = last(&server).unwrap_or_default();
    assert_eq!(event["labels"]["region"], "eu-1");
    assert_eq!(event["labels"]["version"], env!("CARGO_PKG_VERSION"));
    let id = event["labels"]["id"].as_str().unwrap_or_default().to_owned();
    assert_eq!(id.len(), 36, "{id}");
    assert_eq!(event["plugins"]["bundle"]["state"], "OK");

    // Each thing that is wrong is told, and nothing of what is active changes.
    for (script, code, message) in [
        (Script::body(200, unchecked("package hexr.authz\nallow if {")?), None, "authz.rego:2:11: "),
        (Script::body(500, ""), Some(500), "the bundle server answered 500"),
        (Script::body(200, "<html>"), None, "this is not a gzip tarball"),
        (Script::body(404, ""), Some(404), "the bundle server answered 404"),
    ] {
        server.now_at(BUNDLE, script);
        let what = format!("an event about {message}");
        let (bad, _) = eventually(PATIENCE, &what, async || {
            let bundle = last(&server)?["bundles"]["authz"].clone();
            bundle["message"].as_str().is_some_and(|text| text.contains(message)).then_some(bundle)
        })
        .await?;
        assert_eq!(bad["code"], "bundle_error", "{bad}");
        assert_eq!(bad.get("http_code").and_then(Value::as_u64), code, "{bad}");
        assert!(bad["errors"].as_array().is_some_and(|errors| !errors.is_empty()), "{bad}");
        assert_eq!(bad["active_revision"], "researcher", "{bad}");
        assert_eq!(ask_as(&stack, "researcher").await?, None);
    }
    server.now_at(BUNDLE, serving("editor")?);
    let mended = told(&server, "/active_revision", Some(json!("editor"))).await?;
    assert_eq!(mended.get("code"), None, "{mended}");
    assert_ne!(mended["last_successful_activation"], NEVER);

    // One Envoy tells once, whatever the number of its workers.
    let told = server.posted(STATUS).len();
    assert!((3..=16).contains(&told), "{told} events");
    let ids = server.posted(STATUS).iter().filter(|body| String::from_utf8_lossy(body).contains(&id)).count();
    assert_eq!(ids, told);
    assert_eq!(stack.envoy.stat("wasm.hexr_authz.vm_reload_success").await?, 0);
    Ok(())
}

/// A server that takes no events, or takes long, is in the way of nothing, and is told once it is back.
#[tokio::test]
async fn a_status_server_in_trouble_delays_no_policy() -> Result<()> {
    let server = ScriptedServer::start(Script::Drip).await?;
    server.now_at(BUNDLE, serving("researcher")?);
    let stack = start(&server).await?;
    wait_for(&stack, "researcher", None).await?;
    server.now_at(STATUS, Script::body(500, ""));
    server.now_at(BUNDLE, serving("editor")?);
    let took = wait_for(&stack, "editor", None).await?;
    assert!(took < Duration::from_secs(5), "{took:?}");
    eventually(2 * PATIENCE, "the complaint", async || {
        stack.envoy.log_lines("status: the bundle server answered 500").pop()
    })
    .await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(stack.envoy.log_lines("status: the bundle server answered 500").len(), 1);
    server.now_at(STATUS, Script::body(204, ""));
    told(&server, "/active_revision", Some(json!("editor"))).await?;
    eventually(PATIENCE, "the recovery", async || {
        stack.envoy.log_lines("status: the server is fine again").pop()
    })
    .await?;
    Ok(())
}
