//! A VM that traps refuses, recovers, and forgets nothing; and what Envoy refuses to start with.

use anyhow::Result;
use integration::{
    bundles::{TRAPS_FOR_CRASHER, allowing, packed, unchecked},
    envoy::Envoy,
    envoy_config::EnvoyConfig,
    eventually::eventually,
    scripted_server::{Script, ScriptedServer},
    stack::{Foundation, PATIENCE, Stack},
};

const BIGQUERY: &str = "bigquery.googleapis.com";
const QUERY: &str = "/bigquery/v2/projects/p/queries";

async fn ask(stack: &Stack, role: &str) -> Result<(u16, Option<String>)> {
    let answer = stack.agent(role)?.send("POST", BIGQUERY, QUERY).await?;
    Ok((answer.status.as_u16(), answer.reason()))
}

#[tokio::test]
async fn a_trap_lets_nothing_through_and_keeps_the_policy() -> Result<()> {
    let policy = format!(
        "package hexr.authz\ndefault allow := false\nallow {{ input.role == \"researcher\" }}\n{TRAPS_FOR_CRASHER}"
    );
    let server = ScriptedServer::start(Script::module(&policy, "r1")?).await?;
    let foundation = Foundation::lay().await?;
    let config = foundation
        .config(server.address())?
        .with_filter_config(|config| config["limits"]["evaluation_ms"] = 10_000.into())?;
    let stack = foundation.start(&config, 1).await?;
    stack.wait_until_ready().await?;
    assert_eq!(ask(&stack, "researcher").await?, (200, None));
    // From here on there is nobody to fetch a policy from: what is reloaded comes from this Envoy.
    drop(server);
    stack.exchange.take();
    for round in 1..=3 {
        let (status, reason) = ask(&stack, "crasher").await?;
        assert_eq!((status, reason), (503, None), "Envoy's own answer for a VM that trapped");
        assert_eq!(stack.exchange.count(), 0);
        eventually(PATIENCE, "the reloaded VM", async || {
            let (status, reason) = ask(&stack, "researcher").await.ok()?;
            assert!(reason.is_none() && (status == 200 || status == 503), "{status} {reason:?}");
            (status == 200).then_some(())
        })
        .await?;
        assert_eq!(stack.envoy.stat("wasm.hexr_authz.vm_reload_success").await?, round);
        assert_eq!(ask(&stack, "viewer").await?.1.as_deref(), Some("policy_denied"));
        stack.exchange.take();
    }
    Ok(())
}

/// Two workers under a policy that a bundle brought.
async fn with_the_first_policy() -> Result<(ScriptedServer, Stack)> {
    let server = ScriptedServer::start(Script::module(&allowing("first"), "first")?).await?;
    let foundation = Foundation::lay().await?;
    let config = foundation.config(server.address())?;
    let stack = foundation.start(&config, 2).await?;
    stack.wait_until_ready().await?;
    Ok((server, stack))
}

/// The server is asked on and on, and the first policy is in force.
async fn the_first_policy_stays(server: &ScriptedServer, stack: &Stack) -> Result<()> {
    let polls = server.asked();
    eventually(PATIENCE, "further polls", async || (server.asked() > polls + 3).then_some(())).await?;
    assert_eq!(ask(stack, "first").await?, (200, None));
    Ok(())
}

async fn the_second_policy_is_taken(server: &ScriptedServer, stack: &Stack) -> Result<()> {
    server.now(Script::module(&allowing("second"), "second")?);
    eventually(PATIENCE, "the next good bundle", async || {
        (ask(stack, "second").await.ok()? == (200, None)).then_some(())
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn a_bundle_that_would_overflow_the_stack_is_refused() -> Result<()> {
    let (server, stack) = with_the_first_policy().await?;
    // A sum so long that taking it apart would overflow the VM's stack. It is packed by hand: our own tool refuses it.
    let hostile = format!("package hexr.authz\n\nallow if 0 <\n1{}\n", "\n+ 1".repeat(15_000));
    server.now(Script::body(200, unchecked(&hostile)?));
    let (line, _) = eventually(PATIENCE, "the refusal", async || {
        let (status, reason) = ask(&stack, "first").await.ok()?;
        assert_eq!((status, reason), (200, None));
        stack.envoy.log_lines("more than 200 operators").pop()
    })
    .await?;
    assert!(line.contains("the active policy stays"), "{line}");
    the_first_policy_stays(&server, &stack).await?;
    assert_eq!(stack.envoy.log_lines("is in quarantine").len(), 0);
    assert_eq!(stack.envoy.stat("wasm.hexr_authz.vm_reload_success").await?, 0, "no VM trapped");
    the_second_policy_is_taken(&server, &stack).await
}

#[tokio::test]
async fn a_bundle_that_traps_while_loading_is_quarantined() -> Result<()> {
    let (server, stack) = with_the_first_policy().await?;
    // Sixty megabytes of data, within the limit, that take more than the memory of a VM when they are read.
    let data = format!("{{\"x\":[{}[1]]}}", "[1],".repeat(15_000_000));
    let policy = allowing("first");
    server.now(Script::body(200, packed(&[("authz.rego", &policy), ("data.json", &data)], "hostile")?));
    let (line, _) = eventually(PATIENCE, "the quarantine", async || {
        // Requests reload the VM where it was a worker that trapped.
        let (status, reason) = ask(&stack, "first").await.ok()?;
        assert!(status == 200 || (status == 503 && reason.is_none()), "{status} {reason:?}");
        stack.envoy.log_lines("is in quarantine").pop()
    })
    .await?;
    assert!(line.contains("the active policy stays"), "{line}");
    the_first_policy_stays(&server, &stack).await?;
    assert_eq!(stack.envoy.log_lines("is in quarantine").len(), 1);
    assert!(
        stack.envoy.stat("wasm.hexr_authz.vm_reload_success").await? <= 1,
        "one VM trapped, not one after the other"
    );
    the_second_policy_is_taken(&server, &stack).await
}

async fn refusal(change: impl FnOnce(EnvoyConfig) -> Result<EnvoyConfig>) -> Result<String> {
    let foundation = Foundation::lay().await?;
    let config = change(foundation.config_with_policy("package hexr.authz\nallow if false")?)?;
    match Envoy::start(&config, 1, &foundation.path("envoy")).await {
        Ok(_) => anyhow::bail!("Envoy started"),
        Err(error) => Ok(error.to_string()),
    }
}

#[tokio::test]
async fn envoy_refuses_a_wrong_configuration_and_names_every_mistake() -> Result<()> {
    let log = refusal(|config| {
        config.with_filter_config(|config| {
            config["identity"]["trust_domains"][0]["paths"] = serde_json::json!(["agent"]);
            config["decision"]["mode"] = "monitor".into();
            config["policy"]["modules"]["second.rego"] = "package second\nx :=".into();
            config["catalog"] = serde_json::json!({"services": [{"service": "aws_s3", "hosts": ["Host"]}]});
            config["limts"] = serde_json::json!({});
        })
    })
    .await?;
    for mistake in [
        "$.identity.trust_domains[0].paths[0]: ",
        "$.decision.mode: must be `enforce` or `shadow`, but is `monitor`",
        "$.policy.modules[\"second.rego\"]: second.rego:2:5: ",
        "$.catalog.services[0].hosts[0]: `Host` is not a host",
        "$.limts: unknown key",
    ] {
        assert!(log.contains(mistake), "{mistake} is missing in\n{log}");
    }
    Ok(())
}

#[tokio::test]
async fn envoy_refuses_a_vm_without_an_id() -> Result<()> {
    let log = refusal(|mut config| {
        let vm = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters/0/typed_config/config/vm_config";
        config.at(vm)?["vm_id"] = "".into();
        Ok(config)
    })
    .await?;
    assert!(log.contains("`vm_config.vm_id` is empty"), "{log}");
    Ok(())
}
