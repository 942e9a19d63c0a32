//! How policies reach the workers of a real Envoy, and what keeps them from it.

mod reconfigured;
mod several;
mod signed;
mod status;
mod tenants;

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::Result;
use integration::{
    agent::Connection,
    bundle_server::BundleServer,
    bundles::{allowing, packed, unchecked},
    envoy_config::EnvoyConfig,
    eventually::eventually,
    policies::Policies,
    scripted_server::{Script, ScriptedServer},
    stack::{ANY_PORT, Foundation, PATIENCE, Stack},
};

const BIGQUERY: &str = "bigquery.googleapis.com";
const QUERY: &str = "/bigquery/v2/projects/p/queries";
const TABLE: &str = "/bigquery/v2/projects/p/datasets/d/tables/t";

/// A server's answer with a bundle that allows `role`.
fn serving(role: &str) -> Result<Script> {
    Script::module(&allowing(role), role)
}

async fn start(bundle_server: SocketAddr, workers: u32) -> Result<Stack> {
    start_with(bundle_server, workers, Ok).await
}

async fn start_with(
    bundle_server: SocketAddr,
    workers: u32,
    change: impl FnOnce(EnvoyConfig) -> Result<EnvoyConfig>,
) -> Result<Stack> {
    let foundation = Foundation::lay().await?;
    let config = change(foundation.config(bundle_server)?)?;
    foundation.start(&config, workers).await
}

/// The reason of a refusal, or nothing for a request that was allowed.
async fn ask(connection: &mut Connection) -> Result<Option<String>> {
    let answer = connection.send("POST", BIGQUERY, QUERY).await?;
    anyhow::ensure!(answer.status == 200 || answer.reason().is_some(), "{answer:?}");
    Ok(answer.reason())
}

async fn ask_as(stack: &Stack, role: &str) -> Result<Option<String>> {
    ask(&mut stack.agent(role)?.connect().await?).await
}

/// Waits until the requests of `role` are answered with `reason`, and says how long it took.
async fn wait_for(stack: &Stack, role: &str, reason: Option<&str>) -> Result<Duration> {
    let what = format!("{reason:?} for {role}");
    let ((), took) = eventually(PATIENCE, &what, async || {
        let answer = ask_as(stack, role).await.ok()?;
        (answer.as_deref() == reason).then_some(())
    })
    .await?;
    Ok(took)
}

#[tokio::test]
async fn an_edited_policy_is_live_without_a_restart() -> Result<()> {
    let foundation = Foundation::lay().await?;
    let policies = Policies::of(&foundation.path("policies"), &allowing("researcher"))?;
    let server = BundleServer::start(ANY_PORT, policies.folder(), &foundation.path("server.log"))?;
    let config = foundation.config(server.address())?;
    let stack = foundation.start(&config, 2).await?;
    stack.wait_until_ready().await?;
    assert_eq!(ask_as(&stack, "researcher").await?, None);
    assert_eq!(ask_as(&stack, "editor").await?.as_deref(), Some("policy_denied"));

    policies.write("authz.rego", &allowing("editor"))?;
    wait_for(&stack, "editor", None).await?;
    wait_for(&stack, "researcher", Some("policy_denied")).await?;

    // What does not compile is not served, and the reason is where operators look.
    policies.write("authz.rego", "package hexr.authz\n\nallow if {\n")?;
    let (health, _) = eventually(PATIENCE, "the bundle server's complaint", async || {
        let (status, body) = integration::envoy::get(server.address(), "/health?bundles").await.ok()?;
        (status == 503).then_some(body)
    })
    .await?;
    assert!(health.contains("authz.rego:4:1: "), "{health}");
    assert_eq!(ask_as(&stack, "editor").await?, None);
    Ok(())
}

/// Each bundle is a rule and a datum that belong together: a worker that had one of them without the other would deny.
#[tokio::test]
async fn updates_under_load_fail_and_halve_nothing() -> Result<()> {
    const UPDATES: u32 = 5;
    let version = |number: u32| -> Result<Script> {
        let module = format!(
            "package hexr.authz\n\ndefault allow := false\n\nallow if {{ data.release.number == {number}; \
             input.action == data.release.action }}\n"
        );
        // The allowed action changes with every version, so that a request tells which one decided.
        let action = if number.is_multiple_of(2) { "query" } else { "tables.delete" };
        let data = format!(r#"{{"number": {number}, "action": "{action}"}}"#);
        Ok(Script::body(
            200,
            packed(&[("authz.rego", &module), ("release/data.json", &data)], &number.to_string())?,
        ))
    };
    let server = ScriptedServer::start(version(0)?).await?;
    let stack = start(server.address(), 2).await?;
    stack.wait_until_ready().await?;

    let mut load = Vec::new();
    for lane in 0..16 {
        // One connection stays with one worker.
        let mut connection = stack.agent("researcher")?.connect().await?;
        load.push(tokio::spawn(async move {
            // When which version was first seen to decide.
            let mut seen: Vec<(Instant, bool)> = Vec::new();
            let mut requests = 0_u64;
            let mut denied_in_a_row = 0;
            while seen.len() <= UPDATES as usize {
                for (method, path, parity) in [("POST", QUERY, true), ("DELETE", TABLE, false)] {
                    requests += 1;
                    let answer = connection.send(method, BIGQUERY, path).await?;
                    denied_in_a_row = if answer.status == 200 { 0 } else { denied_in_a_row + 1 };
                    // Every version allows one of the two; a rule without its data would allow neither.
                    anyhow::ensure!(denied_in_a_row <= 2, "lane {lane}: neither action is allowed");
                    match (answer.status.as_u16(), answer.reason().as_deref()) {
                        (200, None) if seen.last().is_none_or(|(_, last)| *last != parity) => {
                            seen.push((Instant::now(), parity));
                        }
                        (200, None) | (403, Some("policy_denied")) => {}
                        other => anyhow::bail!("lane {lane}: {other:?}"),
                    }
                }
            }
            Ok((seen, requests))
        }));
    }
    for number in 1..=UPDATES {
        let before = server.asked();
        server.now(version(number)?);
        eventually(PATIENCE, "two polls", async || (server.asked() >= before + 2).then_some(())).await?;
    }
    let mut lanes = Vec::new();
    let mut requests = 0;
    for lane in load {
        let (seen, sent) = tokio::time::timeout(PATIENCE, lane).await???;
        lanes.push(seen);
        requests += sent;
    }
    // A worker that saw each version exactly once, in order, has never gone back.
    for seen in &lanes {
        let parities: Vec<bool> = seen.iter().map(|(_, parity)| *parity).collect();
        assert_eq!(parities, (0..=UPDATES).map(|number| number % 2 == 0).collect::<Vec<_>>());
    }
    for update in 1..=UPDATES as usize {
        let first = lanes.iter().map(|seen| seen[update].0).min().unwrap();
        let last = lanes.iter().map(|seen| seen[update].0).max().unwrap();
        println!("update {update}: all workers within {:?}", last - first);
        assert!(last - first < Duration::from_millis(250), "update {update}");
    }
    println!("{requests} requests");
    assert_eq!(stack.envoy.stat("wasm.hexr_authz.vm_reload_success").await?, 0);
    Ok(())
}

#[tokio::test]
async fn without_a_first_policy_everything_is_refused() -> Result<()> {
    let reserved = std::net::TcpListener::bind(ANY_PORT)?;
    let address = reserved.local_addr()?;
    drop(reserved);
    let stack = start(address, 2).await?;
    let answer = stack.agent("researcher")?.send("POST", BIGQUERY, QUERY).await?;
    assert_eq!((answer.status.as_u16(), answer.reason().as_deref()), (503, Some("no_policy")));
    assert_eq!(answer.header("retry-after"), Some("1"));
    eventually(PATIENCE, "the cause at the ready path", async || {
        let answer = stack.readiness().await.ok()?;
        let cause = answer.json()?["cause"].as_str()?.to_owned();
        (answer.status == 503 && cause == "the bundle server answered 503").then_some(())
    })
    .await?;
    assert_eq!(stack.exchange.count(), 0);

    let policies = Policies::of(&stack.path("policies"), &allowing("researcher"))?;
    let server = BundleServer::start(address, policies.folder(), &stack.path("server.log"))?;
    stack.wait_until_ready().await?;
    assert_eq!(ask_as(&stack, "researcher").await?, None);
    let ready = stack.readiness().await?.json().unwrap();
    assert_eq!(ready["ready"], true);
    assert_eq!(ready["revision"].as_str().map(str::len), Some(12));

    // Away again: what was good stays.
    drop(server);
    eventually(PATIENCE, "the filter's complaint", async || {
        stack.envoy.log_lines("the bundle server answered 503 (the active policy stays)").pop()
    })
    .await?;
    assert_eq!(ask_as(&stack, "researcher").await?, None);
    assert_eq!(ask_as(&stack, "viewer").await?.as_deref(), Some("policy_denied"));
    Ok(())
}

#[tokio::test]
async fn the_embedded_policy_holds_until_the_first_bundle() -> Result<()> {
    let server = ScriptedServer::start(Script::body(404, "")).await?;
    let stack = start_with(server.address(), 1, |config| {
        config.with_filter_config(|config| {
            config["policy"] = serde_json::json!({"modules": {"embedded.rego": allowing("embedded")}});
        })
    })
    .await?;
    assert_eq!(ask_as(&stack, "embedded").await?, None);
    server.now(serving("bundled")?);
    wait_for(&stack, "bundled", None).await?;
    assert_eq!(ask_as(&stack, "embedded").await?.as_deref(), Some("policy_denied"));
    Ok(())
}

#[tokio::test]
async fn what_is_no_bundle_changes_nothing_and_is_logged_once() -> Result<()> {
    let server = ScriptedServer::start(serving("researcher")?).await?;
    let stack = start_with(server.address(), 2, |config| {
        config.with_filter_config(|config| {
            config["limits"] = serde_json::json!({"bundle_bytes": 100_000});
            config["services"]["bundles"]["response_header_timeout_seconds"] = 1.into();
            // Without waiting, so that a slow answer is late soon.
            config["bundles"]["authz"]["polling"]["long_polling_timeout_seconds"] = 0.into();
        })
    })
    .await?;
    stack.wait_until_ready().await?;
    let good = packed(&[("authz.rego", &allowing("other"))], "x")?;
    let noise: Vec<u8> = (0..200_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for (script, complaint) in [
        (Script::body(500, "oops"), "the bundle server answered 500"),
        (Script::body(301, "moved"), "the bundle server answered 301"),
        (Script::body(200, "<html>login</html>"), "this is not a gzip tarball: invalid gzip header"),
        (Script::body(200, good.slice(..good.len() / 2)), "this is not a gzip tarball: incomplete"),
        (Script::body(200, ""), "the bundle server answered 200 without a body"),
        (Script::body(200, noise), "more than `limits.bundle_bytes` (100000)"),
        (Script::body(200, vec![0; 40 << 20]), "larger than Envoy buffers"),
        (Script::Reset, "the bundle server answered 503"),
        (Script::Drip, "the bundle server's answer broke off"),
        (Script::body(200, unchecked("package hexr.authz\nallow if {")?), "authz.rego:2:11: "),
        (Script::body(200, unchecked("package other\nallow := true")?), "no rule `data.hexr.authz.allow`"),
    ] {
        let (before, told) = (server.asked(), stack.envoy.log_lines(complaint).len());
        server.now(script);
        let is_told = async || (stack.envoy.log_lines(complaint).len() > told).then_some(());
        eventually(PATIENCE, complaint, is_told).await?;
        eventually(PATIENCE, "two more polls", async || (server.asked() >= before + 3).then_some(())).await?;
        assert_eq!(stack.envoy.log_lines(complaint).len(), told + 1, "{complaint}");
        assert_eq!(ask_as(&stack, "researcher").await?, None, "{complaint}");
        assert_eq!(ask_as(&stack, "other").await?.as_deref(), Some("policy_denied"), "{complaint}");
        // Each complaint is one of its own again after something good.
        server.now(serving("researcher")?);
        let recoveries = stack.envoy.log_lines("the server is fine again").len();
        eventually(PATIENCE, "the recovery", async || {
            (stack.envoy.log_lines("the server is fine again").len() > recoveries).then_some(())
        })
        .await?;
    }
    assert_eq!(stack.envoy.stat("wasm.hexr_authz.vm_reload_success").await?, 0, "no VM has trapped");
    server.now(serving("other")?);
    wait_for(&stack, "other", None).await?;
    Ok(())
}

#[tokio::test]
async fn an_unchanged_bundle_is_fetched_once_by_one_worker() -> Result<()> {
    let body = packed(&[("authz.rego", &allowing("researcher"))], "r1")?;
    let server = ScriptedServer::start(Script::Answer { status: 200, etag: Some("\"r1\""), body }).await?;
    let begin = Instant::now();
    let stack = start(server.address(), 2).await?;
    stack.wait_until_ready().await?;
    eventually(PATIENCE, "five polls", async || (server.asked() >= 5).then_some(())).await?;
    let seconds = begin.elapsed().as_secs() as usize;
    assert!(
        server.asked() <= seconds + 2,
        "{} polls in {seconds} s: more than one worker polls",
        server.asked()
    );
    // The main thread and two workers, each once.
    assert_eq!(stack.envoy.log_lines("is active: revision `r1`, generation 1").len(), 3);
    assert_eq!(stack.envoy.log_lines("generation 2").len(), 0);
    assert_eq!(ask_as(&stack, "researcher").await?, None);
    Ok(())
}

/// An answer that the filter has not asked for is not a policy.
#[tokio::test]
async fn a_304_out_of_nowhere_is_a_mistake() -> Result<()> {
    let server = ScriptedServer::start(Script::NotModified).await?;
    let stack = start(server.address(), 1).await?;
    eventually(PATIENCE, "the complaint", async || {
        stack
            .envoy
            .log_lines("answered 304 to a request without an ETag (there is no policy from it yet)")
            .pop()
    })
    .await?;
    assert_eq!(ask_as(&stack, "researcher").await?.as_deref(), Some("no_policy"));
    Ok(())
}

/// An `ETag` that stays although the content changes, and one that changes although the content stays.
#[tokio::test]
async fn an_etag_that_lies() -> Result<()> {
    let bundle = |role: &str| packed(&[("authz.rego", &allowing(role))], role);
    let server = ScriptedServer::start(Script::body(404, "")).await?;
    let stack = start(server.address(), 1).await?;
    let answer = |etag, body| Script::Answer { status: 200, etag: Some(etag), body };
    server.now(answer("\"1\"", bundle("researcher")?));
    wait_for(&stack, "researcher", None).await?;
    // The server says that nothing is new: what is decided by stays what it was.
    server.now(answer("\"1\"", bundle("editor")?));
    let before = server.asked();
    eventually(PATIENCE, "two polls", async || (server.asked() >= before + 2).then_some(())).await?;
    assert_eq!(ask_as(&stack, "researcher").await?, None);
    // The same bytes under another name are no new bundle.
    server.now(answer("\"2\"", bundle("researcher")?));
    let before = server.asked();
    eventually(PATIENCE, "two polls", async || (server.asked() >= before + 2).then_some(())).await?;
    assert_eq!(stack.envoy.log_lines("generation 2").len(), 0);
    server.now(answer("\"3\"", bundle("editor")?));
    wait_for(&stack, "editor", None).await?;
    Ok(())
}

/// The server holds the request until there is something new, so that nothing waits for the next poll.
#[tokio::test]
async fn an_update_comes_at_once_from_a_server_that_waits() -> Result<()> {
    let bundle = |role: &str| -> Result<Script> {
        let body = packed(&[("authz.rego", &allowing(role))], role)?;
        Ok(Script::Waiting { etag: format!("\"{role}\""), body })
    };
    let server = ScriptedServer::start(bundle("researcher")?).await?;
    let stack = start_with(server.address(), 2, |config| {
        config.with_filter_config(|config| {
            config["bundles"]["authz"]["polling"] = serde_json::json!({
                "min_delay_seconds": 60, "max_delay_seconds": 60, "long_polling_timeout_seconds": 20});
        })
    })
    .await?;
    stack.wait_until_ready().await?;
    for role in ["editor", "viewer", "researcher"] {
        server.now(bundle(role)?);
        let took = wait_for(&stack, role, None).await?;
        println!("{role} after {took:?}");
        assert!(took < Duration::from_secs(5), "{took:?}: polling alone would take a minute");
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(server.asked() <= 8, "{} requests: it asks in a loop", server.asked());
    Ok(())
}
