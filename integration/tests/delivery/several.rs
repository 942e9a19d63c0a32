//! One policy of several bundles.

use anyhow::Result;
use integration::{
    bundles::{bundle_of, packed},
    eventually::eventually,
    scripted_server::{Script, ScriptedServer},
    stack::{PATIENCE, Stack},
};
use serde_json::json;

use crate::{ask_as, start_with, wait_for};

const RULE: &str =
    "package hexr.authz\n\ndefault allow := false\n\nallow if input.role in data.roles.allowed\n";

fn rule(revision: &str) -> Result<Script> {
    Ok(Script::body(200, packed(&[("authz.rego", RULE)], revision)?))
}

fn roles(allowed: &[&str]) -> Result<Script> {
    let data = json!({"allowed": allowed}).to_string();
    Ok(Script::body(200, packed(&[("roles/data.json", &data)], "roles")?))
}

async fn start(server: &ScriptedServer) -> Result<Stack> {
    start_with(server.address(), 2, |config| {
        config.with_filter_config(|config| {
            let bundle = |resource: &str| {
                json!({"service": "bundles", "resource": resource,
                       "polling": {"min_delay_seconds": 1, "max_delay_seconds": 1}})
            };
            config["bundles"] = json!({"rule": bundle("rule"), "roles": bundle("roles")});
        })
    })
    .await
}

#[tokio::test]
async fn none_is_active_before_all_have_come_and_each_is_updated_by_itself() -> Result<()> {
    let server = ScriptedServer::start(Script::body(404, "")).await?;
    server.now_at("/rule", rule("1")?);
    let stack = start(&server).await?;
    eventually(PATIENCE, "the bundle that waits", async || {
        stack.envoy.log_lines("bundle `rule`: it waits for `roles` (there is no policy from it yet)").pop()
    })
    .await?;
    assert_eq!(ask_as(&stack, "researcher").await?.as_deref(), Some("no_policy"));

    server.now_at("/roles", roles(&["researcher"])?);
    wait_for(&stack, "researcher", None).await?;
    server.now_at("/roles", roles(&["editor"])?);
    wait_for(&stack, "editor", None).await?;
    wait_for(&stack, "researcher", Some("policy_denied")).await?;

    // One that is wrong keeps the other from nothing.
    let manifest = json!({"roots": ["hexr/authz"]}).to_string();
    let broken = bundle_of(&[(".manifest", &manifest), ("authz.rego", "package hexr.authz\nallow if {")])?;
    server.now_at("/rule", Script::body(200, broken));
    eventually(PATIENCE, "the complaint", async || {
        stack.envoy.log_lines("bundle `rule`: rule/authz.rego:2:11: ").pop()
    })
    .await?;
    server.now_at("/roles", roles(&["viewer"])?);
    wait_for(&stack, "viewer", None).await?;
    assert_eq!(stack.envoy.stat("wasm.hexr_authz.vm_reload_success").await?, 0);
    Ok(())
}

#[tokio::test]
async fn bundles_that_overlap_are_refused_and_both_named() -> Result<()> {
    let server = ScriptedServer::start(Script::body(404, "")).await?;
    server.now_at("/rule", rule("1")?);
    server.now_at("/roles", Script::body(200, packed(&[("hexr/authz/data.json", "{\"a\": 1}")], "r")?));
    let stack = start(&server).await?;
    eventually(PATIENCE, "the complaint", async || {
        stack.envoy.log_lines("bundles `roles` and `rule` overlap: the root `hexr/authz` of the one").pop()
    })
    .await?;
    assert_eq!(ask_as(&stack, "researcher").await?.as_deref(), Some("no_policy"));
    server.now_at("/roles", roles(&["researcher"])?);
    wait_for(&stack, "researcher", None).await?;
    Ok(())
}

/// As in OPA, a policy may read what the manifests say.
#[tokio::test]
async fn a_policy_reads_the_manifests() -> Result<()> {
    let module =
        "package hexr.authz\n\nallow if data.system.bundles.authz.manifest.metadata.stage == input.role\n";
    let bundle = |stage: &str| {
        let manifest = json!({"roots": ["hexr/authz"], "metadata": {"stage": stage}}).to_string();
        bundle_of(&[(".manifest", &manifest), ("authz.rego", module)])
    };
    let server = ScriptedServer::start(Script::body(200, bundle("researcher")?)).await?;
    let stack = start_with(server.address(), 1, Ok).await?;
    wait_for(&stack, "researcher", None).await?;
    server.now(Script::body(200, bundle("editor")?));
    wait_for(&stack, "editor", None).await?;
    Ok(())
}
