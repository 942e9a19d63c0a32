//! What a server is told of the decisions of a real Envoy: each of them once, whatever the server does meanwhile.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use integration::{
    agent::Agent,
    bundle_server::BundleServer,
    bundles::{TRAPS_FOR_CRASHER, allowing},
    envoy::get,
    envoy_config::EnvoyConfig,
    eventually::eventually,
    policies::Policies,
    scripted_server::{Script, ScriptedServer},
    stack::{ANY_PORT, Foundation, PATIENCE, Stack},
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

const BIGQUERY: &str = "bigquery.googleapis.com";
const QUERY: &str = "/bigquery/v2/projects/p/queries";
const BUNDLE: &str = "/bundles/authz.tar.gz";
const LOGS: &str = "/logs";

/// A configuration of which the decisions go to `server`, by these limits.
async fn laid(server: &ScriptedServer, reporting: Value) -> Result<(Foundation, EnvoyConfig)> {
    server.now_at(BUNDLE, Script::module(&allowing("researcher"), "r1")?);
    let foundation = Foundation::lay().await?;
    let config = foundation.config(server.address())?.with_filter_config(|config| {
        config["decision_logs"] = json!({"service": "bundles", "reporting": reporting});
        config["labels"] = json!({"region": "eu-1"});
    })?;
    Ok((foundation, config))
}

fn id(event: &Value) -> String {
    event["decision_id"].as_str().unwrap_or_default().to_owned()
}

/// The sum that Envoy has of events.
async fn counted(stack: &Stack, state: &str) -> Result<u64> {
    stack.envoy.stat(&format!("wasmcustom.hexr_authz_decision_log_events_total.state.{state}")).await
}

/// Waits until Envoy has counted as many.
async fn wait_for(stack: &Stack, state: &str, count: u64) -> Result<()> {
    eventually(PATIENCE, &format!("{count} events {state}"), async || {
        (counted(stack, state).await.ok()? == count).then_some(())
    })
    .await?;
    Ok(())
}

/// An agent that is allowed, and one that is not.
fn agents(stack: &Stack) -> Result<[Agent; 2]> {
    Ok([stack.agent("researcher")?, stack.agent("editor")?])
}

/// Sends requests on a connection of each, in turn allowed and refused, and gives the ids of the refusals.
async fn send([allowed, denied]: [Agent; 2], requests: usize) -> Result<Vec<String>> {
    let [mut allowed, mut denied] = [allowed.connect().await?, denied.connect().await?];
    let mut ids = Vec::new();
    for number in 0..requests {
        if number % 2 == 0 {
            let answer = allowed.send("POST", BIGQUERY, QUERY).await?;
            anyhow::ensure!(answer.status == 200, "{answer:?}");
        } else {
            let answer = denied.send("POST", BIGQUERY, QUERY).await?;
            anyhow::ensure!(answer.status == 403, "{answer:?}");
            ids.push(answer.header("x-hexr-decision-id").context("an id")?.to_owned());
        }
    }
    Ok(ids)
}

/// The ids of the decisions that let a request through to the credential exchange.
fn admitted(stack: &Stack) -> Vec<String> {
    stack.exchange.take().iter().flat_map(|received| received.all("x-hexr-decision-id")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_decision_is_told_once() -> Result<()> {
    const LANES: usize = 10;
    const EACH: usize = 10_000;
    let server = ScriptedServer::start(Script::body(200, "")).await?;
    let reporting = json!({"min_delay_seconds": 1, "max_delay_seconds": 1});
    let (foundation, config) = laid(&server, reporting).await?;
    let stack = foundation.start(&config, 2).await?;
    stack.wait_until_ready().await?;
    let ready = u64::try_from(server.events(LOGS)?.len())?;
    assert_eq!(ready, 0, "readiness is no decision");

    let mut lanes = JoinSet::new();
    for _ in 0..LANES {
        lanes.spawn(send(agents(&stack)?, EACH));
    }
    let mut decided: Vec<String> = Vec::new();
    for refused in lanes.join_all().await {
        decided.extend(refused?);
    }
    decided.extend(admitted(&stack));
    assert_eq!(decided.len(), LANES * EACH);

    let all = u64::try_from(LANES * EACH)?;
    wait_for(&stack, "sent", all).await?;
    assert_eq!(counted(&stack, "made").await?, all);
    assert_eq!(counted(&stack, "dropped").await? + counted(&stack, "omitted").await?, 0);
    let events = server.events(LOGS)?;
    assert_eq!(events.len(), LANES * EACH);
    let told: BTreeSet<String> = events.iter().map(id).collect();
    assert_eq!(told.len(), events.len(), "an id stands once");
    assert_eq!(told, decided.into_iter().collect());

    let denied = events.iter().find(|event| event["result"] == json!(false)).context("a denial")?;
    assert_eq!(denied["reason"], "policy_denied");
    assert_eq!(denied["labels"]["region"], "eu-1");
    assert_eq!(denied["bundles"], json!({"authz": {"revision": "r1"}}));
    assert_eq!(denied["input"]["role"], "editor");
    assert_eq!(denied["input"]["action"], "query");
    assert!(denied["metrics"]["timer_server_handler_ns"].as_u64().is_some_and(|nanos| nanos > 0), "{denied}");
    Ok(())
}

/// A server that is slow, away or broken costs no request anything; what has to give way is counted exactly.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_in_trouble() -> Result<()> {
    const LIMIT: u64 = 100;
    let server = ScriptedServer::start(Script::body(200, "")).await?;
    server.now_at(LOGS, Script::body(500, ""));
    let reporting =
        json!({"min_delay_seconds": 1, "max_delay_seconds": 1, "buffer_size_limit_events": LIMIT});
    let (foundation, config) = laid(&server, reporting).await?;
    let stack = foundation.start(&config, 1).await?;
    stack.wait_until_ready().await?;
    send(agents(&stack)?, 400).await?;
    eventually(PATIENCE, "the complaint", async || {
        stack.envoy.log_lines("decision logs: the bundle server answered 500").pop()
    })
    .await?;
    for script in [Script::Drip, Script::Reset] {
        let asked = server.asked_for(LOGS);
        server.now_at(LOGS, script);
        send(agents(&stack)?, 400).await?;
        // One that never ends its answer is given up after its timeout.
        eventually(2 * PATIENCE, "an upload", async || (server.asked_for(LOGS) > asked).then_some(()))
            .await?;
    }
    server.now_at(LOGS, Script::body(204, ""));
    eventually(2 * PATIENCE, "what was held", async || {
        let [sent, dropped] = [counted(&stack, "sent").await.ok()?, counted(&stack, "dropped").await.ok()?];
        (sent + dropped == 1200).then_some(())
    })
    .await?;
    let sent = counted(&stack, "sent").await?;
    assert!((1..=2 * LIMIT).contains(&sent), "{sent}");
    assert_eq!(counted(&stack, "made").await?, 1200);
    assert!(stack.envoy.stat("wasmcustom.hexr_authz_decision_log_upload_retries_total").await? > 0);
    assert_eq!(stack.envoy.stat("wasm.hexr_authz.vm_reload_success").await?, 0);
    let told: BTreeSet<String> = server.events(LOGS)?.iter().map(id).collect();
    assert!(u64::try_from(told.len())? >= sent, "{} events", told.len());
    eventually(PATIENCE, "the recovery", async || {
        stack.envoy.log_lines("decision logs: the server is fine again").pop()
    })
    .await?;
    Ok(())
}

/// What a VM held that traps is counted, by whoever lives on, so that the sums are complete.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_trap_takes_is_counted() -> Result<()> {
    let server = ScriptedServer::start(Script::body(200, "")).await?;
    server.now_at(LOGS, Script::body(503, ""));
    let reporting = json!({"min_delay_seconds": 1, "max_delay_seconds": 1});
    let (foundation, config) = laid(&server, reporting).await?;
    server.now_at(BUNDLE, Script::module(&format!("{}{TRAPS_FOR_CRASHER}", allowing("researcher")), "r1")?);
    let config = config.with_filter_config(|config| {
        config["limits"]["evaluation_ms"] = 10_000.into();
        config["status"] = json!({"service": "bundles"});
    })?;
    let stack = foundation.start(&config, 1).await?;
    stack.wait_until_ready().await?;
    send(agents(&stack)?, 50).await?;
    wait_for(&stack, "made", 50).await?;
    let held = async || stack.envoy.stat("wasmcustom.hexr_authz_decision_log_events_held").await.ok();
    eventually(PATIENCE, "50 events held", async || (held().await? == 50).then_some(())).await?;
    let trapped = stack.agent("crasher")?.send("POST", BIGQUERY, QUERY).await?;
    assert_eq!(
        (trapped.status.as_u16(), trapped.reason()),
        (503, None),
        "Envoy's own answer for a VM that trapped"
    );
    eventually(PATIENCE, "the reloaded VM", async || {
        let answer = stack.agent("researcher").ok()?.send("POST", BIGQUERY, QUERY).await.ok()?;
        (answer.status == 200).then_some(())
    })
    .await?;
    wait_for(&stack, "lost", 50).await?;
    server.now_at(LOGS, Script::body(204, ""));
    eventually(PATIENCE, "complete sums", async || {
        let mut sum = held().await?;
        for state in ["sent", "dropped", "omitted", "lost"] {
            sum += counted(&stack, state).await.ok()?;
        }
        (sum == counted(&stack, "made").await.ok()? && sum > 50 && held().await? == 0).then_some(())
    })
    .await?;
    let (told, _) = eventually(PATIENCE, "a status event", async || {
        let event: Value = serde_json::from_slice(server.posted("/status").last()?).ok()?;
        let logs = event.get("decision_logs")?.clone();
        (logs["metrics"]["counter_decision_logs_lost"] == 50 && logs.get("code").is_none()).then_some(logs)
    })
    .await?;
    assert!(told["metrics"]["counter_decision_logs_made"].as_u64().is_some_and(|made| made > 50), "{told}");
    let complained = server.posted("/status").iter().any(|body| {
        let event: Value = serde_json::from_slice(body).unwrap_or_default();
        event["decision_logs"]["message"] == "the bundle server answered 503"
    });
    assert!(complained, "status events say why nothing was sent");
    Ok(())
}

/// What a worker holds when its listener is replaced is sent before it ends.
#[tokio::test(flavor = "multi_thread")]
async fn a_drained_listener_leaves_nothing_behind() -> Result<()> {
    let server = ScriptedServer::start(Script::body(200, "")).await?;
    let reporting = json!({"min_delay_seconds": 3600, "max_delay_seconds": 3600});
    let (foundation, config) = laid(&server, reporting).await?;
    let watched = config.clone().with_listener_in(&foundation.path("listener.json"))?;
    let stack = foundation.start_with(&watched, 2, &["--drain-time-s", "1"]).await?;
    stack.wait_until_ready().await?;
    send(agents(&stack)?, 100).await?;
    wait_for(&stack, "made", 100).await?;
    let told = server.events(LOGS)?.len();
    assert!(told < 100, "{told} events were told at once");
    let config = config.with_filter_config(|config| config["decision"]["contact"] = "new".into())?;
    config.write_listener(&stack.path("listener.json"))?;
    wait_for(&stack, "sent", 100).await?;
    assert_eq!(server.events(LOGS)?.len(), 100);
    Ok(())
}

/// A small team needs nothing else: the bundle server takes what Envoys tell of themselves, and shows it.
#[tokio::test(flavor = "multi_thread")]
async fn the_bundle_server_takes_them() -> Result<()> {
    let foundation = Foundation::lay().await?;
    let policies = Policies::of(&foundation.path("policies"), &allowing("researcher"))?;
    let server = BundleServer::start(ANY_PORT, policies.folder(), &foundation.path("server.log"))?;
    let config = foundation.config(server.address())?.with_filter_config(|config| {
        let reporting = json!({"min_delay_seconds": 1, "max_delay_seconds": 1});
        config["decision_logs"] = json!({"service": "bundles", "reporting": reporting});
        config["status"] = json!({"service": "bundles"});
    })?;
    let stack = foundation.start(&config, 2).await?;
    stack.wait_until_ready().await?;
    let mut refused = send(agents(&stack)?, 20).await?;
    let (denied, _) = eventually(PATIENCE, "what was denied", async || {
        let (_, text) = get(server.address(), "/logs?denied=true&role=editor").await.ok()?;
        let denied: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        (denied.len() == 10).then_some(denied)
    })
    .await?;
    let mut told: Vec<String> = denied.iter().map(id).collect();
    told.sort();
    refused.sort();
    assert_eq!(told, refused);
    let decided = denied.first().context("a denial")?;
    let expected = [decided.pointer("/labels/id"), decided.pointer("/bundles/authz/revision")];
    assert!(expected.iter().all(Option::is_some), "{decided}");
    // Changes are told at most once a second.
    eventually(PATIENCE, "the status of that Envoy", async || {
        let (_, text) = get(server.address(), "/status").await.ok()?;
        let statuses: Value = serde_json::from_str(&text).ok()?;
        let told =
            ["/0/labels/id", "/0/bundles/authz/active_revision"].map(|pointer| statuses.pointer(pointer));
        (told == expected).then_some(())
    })
    .await?;
    Ok(())
}
