//! An update of Envoy's configuration while policies are being fetched.

use std::time::Duration;

use anyhow::Result;
use integration::{
    bundles::{allowing, packed},
    envoy_config::EnvoyConfig,
    eventually::eventually,
    scripted_server::{Script, ScriptedServer},
    stack::{Foundation, PATIENCE, Stack},
};
use serde_json::Value;

use crate::{ask_as, wait_for};

fn update(stack: &Stack, config: &EnvoyConfig, change: impl FnOnce(&mut Value)) -> Result<EnvoyConfig> {
    let config = config.clone().with_filter_config(change)?;
    config.write_listener(&stack.path("listener.json"))?;
    Ok(config)
}

/// Waits until the filter of the newest listener answers refusals with this contact.
async fn wait_for_contact(stack: &Stack, contact: &str) -> Result<()> {
    eventually(PATIENCE, contact, async || {
        let answer = stack.agent("nobody").ok()?.send("POST", crate::BIGQUERY, crate::QUERY).await.ok()?;
        let is_new = answer.json()?.to_string().contains(contact);
        (is_new && answer.reason().as_deref() == Some("policy_denied")).then_some(())
    })
    .await?;
    Ok(())
}

/// While the old listener drains, its filter goes on ticking beside the new one. Where both fetch the same, one of them
/// does; the policy that is active is in force in the new one from its first request on.
#[tokio::test]
async fn an_update_of_the_configuration_leaves_one_fetcher_and_the_policy() -> Result<()> {
    let bundle = |role: &str| packed(&[("authz.rego", &allowing(role))], role);
    let server = ScriptedServer::start(Script::body(200, bundle("researcher")?)).await?;
    let foundation = Foundation::lay().await?;
    let config = foundation.config(server.address())?;
    let watched = config.clone().with_listener_in(&foundation.path("listener.json"))?;
    let stack = foundation.start(&watched, 2).await?;
    stack.wait_until_ready().await?;
    let mut old = stack.agent("researcher")?.connect().await?;
    assert_eq!(crate::ask(&mut old).await?, None);

    let config = update(&stack, &config, |config| config["decision"]["contact"] = "second".into())?;
    wait_for_contact(&stack, "second").await?;
    assert_eq!(ask_as(&stack, "researcher").await?, None);
    let config = update(&stack, &config, |config| config["decision"]["contact"] = "third".into())?;
    wait_for_contact(&stack, "third").await?;
    let before = server.asked();
    tokio::time::sleep(Duration::from_secs(4)).await;
    let polls = server.asked() - before;
    assert!((2..=6).contains(&polls), "{polls} polls in 4 s: each of the three filters polls by itself");

    // A connection of the first listener is decided by the newest policy, as all others are.
    server.now(Script::body(200, bundle("editor")?));
    wait_for(&stack, "editor", None).await?;
    eventually(PATIENCE, "the new policy on an old connection", async || {
        (crate::ask(&mut old).await.ok()?.as_deref() == Some("policy_denied")).then_some(())
    })
    .await?;

    // A mistake in the configuration changes nothing, fetching included.
    update(&stack, &config, |config| config["unknown"] = true.into())?;
    eventually(PATIENCE, "the complaint", async || stack.envoy.log_lines("$.unknown: unknown key").pop())
        .await?;
    server.now(Script::body(200, bundle("viewer")?));
    wait_for(&stack, "viewer", None).await?;
    Ok(())
}
