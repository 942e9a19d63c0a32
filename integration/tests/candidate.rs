//! A candidate policy beside the active one: what it would decide is told, and nothing is decided by it.

use anyhow::{Context, Result};
use integration::{
    agent::Answer,
    bundles::allowing,
    envoy_config::{EnvoyConfig, set},
    eventually::eventually,
    scripted_server::{Script, ScriptedServer},
    stack::{Foundation, PATIENCE, Stack},
};
use serde_json::{Value, json};

const BIGQUERY: &str = "bigquery.googleapis.com";
const QUERY: &str = "/bigquery/v2/projects/p/queries";
const ACTIVE: &str = "/bundles/authz.tar.gz";
const CANDIDATE: &str = "/bundles/next.tar.gz";
const LOGS: &str = "/logs";
const STATUS: &str = "/status";

/// A server with an active policy that allows researchers, and a candidate.
async fn server(candidate: &str) -> Result<ScriptedServer> {
    let server = ScriptedServer::start(Script::body(204, "")).await?;
    server.now_at(ACTIVE, Script::module(&allowing("researcher"), "r1")?);
    server.now_at(CANDIDATE, Script::module(candidate, "r2")?);
    Ok(server)
}

fn config(foundation: &Foundation, server: &ScriptedServer, further: Value) -> Result<EnvoyConfig> {
    let delays = json!({"min_delay_seconds": 1, "max_delay_seconds": 1});
    foundation.config(server.address())?.with_filter_config(|config| {
        set(config, "/bundles/authz", "polling", delays.clone());
        let mut candidate = json!({"service": "bundles", "resource": "bundles/next.tar.gz", "polling": delays,
            "mode": "candidate", "replaces": "authz"});
        if let (Value::Object(candidate), Value::Object(further)) = (&mut candidate, further) {
            candidate.extend(further);
        }
        set(config, "/bundles", "next", candidate);
        config["decision_logs"] = json!({"service": "bundles", "reporting": delays, "only": "denied"});
        config["status"] = json!({"service": "bundles"});
    })
}

async fn start(server: &ScriptedServer, workers: u32) -> Result<Stack> {
    let foundation = Foundation::lay().await?;
    let config = config(&foundation, server, json!({}))?;
    let stack = foundation.start(&config, workers).await?;
    stack.wait_until_ready().await?;
    Ok(stack)
}

async fn ask(stack: &Stack, role: &str, requests: usize) -> Result<Answer> {
    let mut connection = stack.agent(role)?.connect().await?;
    for _ in 1..requests {
        connection.send("POST", BIGQUERY, QUERY).await?;
    }
    connection.send("POST", BIGQUERY, QUERY).await
}

async fn counted(stack: &Stack, comparison: &str) -> Result<u64> {
    stack
        .envoy
        .stat(&format!("wasmcustom.hexr_authz_candidate_decisions_total.comparison.{comparison}"))
        .await
}

/// Waits until every worker asks the candidate of that revision.
async fn wait_until_tried(stack: &Stack, revision: &str, workers: usize) -> Result<()> {
    let line = format!("candidate `next` is tried: revision `{revision}`");
    // The main thread has a VM too.
    let all = async || (stack.envoy.log_lines(&line).len() > workers).then_some(());
    eventually(PATIENCE, &line, all).await?;
    Ok(())
}

/// What the newest status event has of the candidate.
fn told(server: &ScriptedServer) -> Option<Value> {
    let event: Value = serde_json::from_slice(server.posted(STATUS).last()?).ok()?;
    event.pointer("/bundles/next").cloned()
}

#[tokio::test]
async fn what_differs_is_counted_and_told_with_both_results() -> Result<()> {
    let server = server(&allowing("editor")).await?;
    let stack = start(&server, 2).await?;
    wait_until_tried(&stack, "r2", 2).await?;
    let by = |answer: Answer| (answer.status.as_u16(), answer.reason());
    assert_eq!(by(ask(&stack, "researcher", 3).await?), (200, None));
    assert_eq!(by(ask(&stack, "editor", 2).await?), (403, Some("policy_denied".to_owned())));
    assert_eq!(by(ask(&stack, "viewer", 1).await?), (403, Some("policy_denied".to_owned())));
    let unknown = stack.agent("editor")?.send("POST", "nowhere.example", "/").await?;
    assert_eq!(unknown.reason().as_deref(), Some("unknown_service"), "no policy is asked");
    let (events, _) = eventually(PATIENCE, "the events", async || {
        let events = server.events(LOGS).ok()?;
        (events.len() == 7).then_some(events)
    })
    .await?;
    for (comparison, count) in [("would_deny", 3), ("would_allow", 2), ("agrees", 1), ("skipped", 0)] {
        assert_eq!(counted(&stack, comparison).await?, count, "{comparison}");
    }
    let bundles = json!({"next": {"revision": "r2"}});
    let would_deny = json!({"bundles": bundles, "result": false, "reason": "policy_denied"});
    let would_allow = json!({"bundles": bundles, "result": true});
    for (role, reason, candidate, count) in [
        // Allowed ones are logged in spite of `only: denied`, because the candidate would refuse them.
        ("researcher", Value::Null, &would_deny, 3),
        ("editor", json!("policy_denied"), &would_allow, 2),
        ("viewer", json!("policy_denied"), &Value::Null, 1),
        ("editor", json!("unknown_service"), &Value::Null, 1),
    ] {
        let alike = events.iter().filter(|event| {
            event["input"]["role"] == role && event["reason"] == reason && event["candidate"] == *candidate
        });
        assert_eq!(alike.count(), count, "{role} {reason} {candidate}\n{events:#?}");
    }
    assert!(events.iter().all(|event| event["bundles"] == json!({"authz": {"revision": "r1"}})));
    let (status, _) = eventually(PATIENCE, "its status", async || {
        told(&server).filter(|told| told["active_revision"] == "r2")
    })
    .await?;
    assert_eq!(status.get("code"), None, "{status}");
    Ok(())
}

#[tokio::test]
async fn a_broken_candidate_disturbs_nothing() -> Result<()> {
    let server = server(&allowing("editor")).await?;
    server.now_at(CANDIDATE, Script::body(200, "no bundle"));
    let stack = start(&server, 1).await?;
    eventually(PATIENCE, "the problem in status", async || {
        told(&server).filter(|told| told["code"] == "bundle_error" && told.get("active_revision").is_none())
    })
    .await?;
    assert_eq!(ask(&stack, "researcher", 1).await?.status, 200);
    // The next one is good, and the one after it is not: the good one is still tried.
    server.now_at(CANDIDATE, Script::module(&allowing("editor"), "r3")?);
    wait_until_tried(&stack, "r3", 1).await?;
    server.now_at(CANDIDATE, Script::body(200, "no bundle"));
    eventually(PATIENCE, "the problem in status", async || {
        told(&server).filter(|told| told["code"] == "bundle_error" && told["active_revision"] == "r3")
    })
    .await?;
    ask(&stack, "editor", 1).await?;
    eventually(PATIENCE, "what it would allow", async || {
        (counted(&stack, "would_allow").await.ok()? == 1).then_some(())
    })
    .await?;
    Ok(())
}

/// One that takes too long is asked a few times by one worker, and then by none.
#[tokio::test]
async fn one_that_overruns_its_budget_is_given_up() -> Result<()> {
    let slow = "package hexr.authz\n\nallow if {\n\tall := numbers.range(1, 3000)\n\tcount([1 | some a in all; some b in \
                all; a * b == 7]) > 9\n}\n";
    let server = server(slow).await?;
    let stack = start(&server, 2).await?;
    wait_until_tried(&stack, "r2", 2).await?;
    ask(&stack, "researcher", 50).await?;
    let (status, _) = eventually(PATIENCE, "the problem in status", async || {
        told(&server).filter(|told| told["code"] == "bundle_error")
    })
    .await?;
    let message = status["message"].as_str().context("a message")?;
    assert!(
        message.contains("it is not asked any more, because it exceeded its budget of 50 ms"),
        "{message}"
    );
    let asked = counted(&stack, "would_deny").await?;
    assert!((3..=9).contains(&asked), "{asked}");
    for _ in 0..10 {
        ask(&stack, "researcher", 2).await?;
    }
    assert_eq!(counted(&stack, "would_deny").await?, asked);
    // Another one is tried again.
    server.now_at(CANDIDATE, Script::module(&allowing("editor"), "r3")?);
    wait_until_tried(&stack, "r3", 2).await?;
    ask(&stack, "editor", 1).await?;
    eventually(PATIENCE, "what it would allow", async || {
        (counted(&stack, "would_allow").await.ok()? == 1).then_some(())
    })
    .await?;
    let recovered = async || told(&server).filter(|told| told.get("code").is_none());
    eventually(PATIENCE, "its recovery in status", recovered).await?;
    Ok(())
}

/// A candidate comes and goes with the configuration, and no request notices.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_comes_with_the_configuration_disturbs_nothing() -> Result<()> {
    let server = server(&allowing("editor")).await?;
    let foundation = Foundation::lay().await?;
    let with = config(&foundation, &server, json!({"sampling_percent": 0}))?;
    let without = with.clone().with_filter_config(|config| {
        if let Some(bundles) = config.pointer_mut("/bundles").and_then(Value::as_object_mut) {
            bundles.remove("next");
        }
    })?;
    let watched = without.clone().with_listener_in(&foundation.path("listener.json"))?;
    let stack = foundation.start_with(&watched, 2, &["--drain-time-s", "1"]).await?;
    stack.wait_until_ready().await?;
    with.write_listener(&stack.path("listener.json"))?;
    let tried = async || {
        let answer = ask(&stack, "researcher", 1).await.ok()?;
        assert_eq!(answer.status, 200, "{answer:?}");
        (counted(&stack, "would_deny").await.ok()? > 0).then_some(())
    };
    eventually(PATIENCE, "what it would deny", tried).await?;
    without.write_listener(&stack.path("listener.json"))?;
    eventually(PATIENCE, "the end of it", async || {
        let before = counted(&stack, "would_deny").await.ok()?;
        let answer = ask(&stack, "researcher", 5).await.ok()?;
        assert_eq!(answer.status, 200, "{answer:?}");
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        (counted(&stack, "would_deny").await.ok()? == before).then_some(())
    })
    .await?;
    assert_eq!(server.events(LOGS)?.len(), 0, "none of them is sampled");
    Ok(())
}
