//! Rate limits over all workers of a real Envoy: exact in a race, and not forgotten by a trap or an update.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use integration::{
    bundles::{TRAPS_FOR_CRASHER, packed},
    eventually::eventually,
    scripted_server::{Script, ScriptedServer},
    stack::{Foundation, PATIENCE, Stack},
};

const BIGQUERY: &str = "bigquery.googleapis.com";
const QUERY: &str = "/bigquery/v2/projects/p/queries";
const LIMIT: usize = 100;
const WINDOW: Duration = Duration::from_secs(12);
const WORKERS: u32 = 4;

/// As operators write it. A role that fills the VM's memory is beside it.
fn policy(remark: &str) -> String {
    let window = WINDOW.as_nanos();
    format!(
        r#"package hexr.authz

# {remark}
default allow := false

allow {{ input.role == "researcher"; count(recent_calls) < {LIMIT} }}

recent_calls[call] {{
    call := data.audit_log[_]
    call.agent == input.agent
    call.timestamp > time.now_ns() - {window}
}}
{TRAPS_FOR_CRASHER}"#
    )
}

/// Sends `count` requests over each of some connections at once; how many were allowed, and how long all took.
async fn burst(stack: &Stack, connections: usize, count: usize) -> Result<(usize, Duration)> {
    let mut open = Vec::new();
    for _ in 0..connections {
        open.push(stack.agent("researcher")?.connect().await?);
    }
    let began = Instant::now();
    let tasks: Vec<_> = open
        .into_iter()
        .map(|mut connection| {
            tokio::spawn(async move {
                let mut allowed = 0;
                for _ in 0..count {
                    let answer = connection.send("POST", BIGQUERY, QUERY).await?;
                    let reason = answer.reason();
                    match (answer.status.as_u16(), reason.as_deref()) {
                        (200, None) => allowed += 1,
                        (403, Some("policy_denied")) => {}
                        _ => anyhow::bail!("{answer:?}"),
                    }
                }
                Ok(allowed)
            })
        })
        .collect();
    let mut allowed = 0;
    for task in tasks {
        allowed += task.await??;
    }
    Ok((allowed, began.elapsed()))
}

/// Asks once on each of many connections, which reach all workers.
async fn all_say(stack: &Stack, status: u16, reason: Option<&str>) -> Result<()> {
    for _ in 0..16 {
        let answer = stack.agent("researcher")?.send("POST", BIGQUERY, QUERY).await?;
        ensure!(answer.status == status && answer.reason().as_deref() == reason, "{answer:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_caller_over_its_limit_is_told_when_to_come_back() -> Result<()> {
    let policy = r#"package hexr.authz
default allow := {"allowed": false, "http_status": 429, "reason": "two calls in five seconds"}
allow := {"allowed": true} if count(recent) < 2
recent contains call if {
    some call in data.audit_log
    call.agent == input.agent
    call.timestamp > time.now_ns() - 5000000000
}
"#;
    let foundation = Foundation::lay().await?;
    let config = foundation.config_with_policy(policy)?;
    let stack = foundation.start(&config, 2).await?;
    stack.wait_until_ready().await?;
    let mut connection = stack.agent("researcher")?.connect().await?;
    let mut ask = async || connection.send("POST", BIGQUERY, QUERY).await;
    let began = Instant::now();
    assert_eq!((ask().await?.status.as_u16(), ask().await?.status.as_u16()), (200, 200));
    let refused = ask().await?;
    assert_eq!((refused.status.as_u16(), refused.reason().as_deref()), (429, Some("policy_denied")));
    let seconds: u64 = refused.header("retry-after").unwrap_or_default().parse()?;
    ensure!((1..=5).contains(&seconds), "{seconds}");
    // The caller waits as it was told.
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    assert_eq!(ask().await?.status, 200);
    ensure!(began.elapsed() >= Duration::from_secs(5));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_limit_is_exact_over_all_workers_and_survives() -> Result<()> {
    let server = ScriptedServer::start(Script::module(&policy("first"), "r1")?).await?;
    let foundation = Foundation::lay().await?;
    let config = foundation.config(server.address())?.with_filter_config(|config| {
        config["limits"]["evaluation_ms"] = 10_000.into();
        config["audit_log"] = serde_json::json!({"window_seconds": WINDOW.as_secs()});
    })?;
    let stack = foundation.start(&config, WORKERS).await?;
    stack.wait_until_ready().await?;
    stack.exchange.take();

    // No request of these is before the window of the first one ends.
    let began = Instant::now();
    let (allowed, took) = burst(&stack, 24, 20).await?;
    ensure!(took < WINDOW, "the machine is too slow for this: {took:?}");
    assert_eq!((allowed, stack.exchange.count()), (LIMIT, LIMIT));

    // A worker's VM traps and is made anew.
    let answer = stack.agent("crasher")?.send("POST", BIGQUERY, QUERY).await?;
    assert_eq!(
        (answer.status.as_u16(), answer.reason()),
        (503, None),
        "Envoy's own answer for a VM that trapped"
    );
    // Only a request that reaches that worker makes its VM anew.
    eventually(PATIENCE, "the reloaded VM", async || {
        all_say(&stack, 403, Some("policy_denied")).await.ok()?;
        (stack.envoy.stat("wasm.hexr_authz.vm_reload_success").await.ok()? == 1).then_some(())
    })
    .await?;

    // Another revision of the policy comes.
    server.now(Script::body(200, packed(&[("authz.rego", &policy("second"))], "r2")?));
    eventually(PATIENCE, "the second revision", async || {
        (stack.envoy.log_lines("revision `r2`").len() > WORKERS as usize).then_some(())
    })
    .await?;
    all_say(&stack, 403, Some("policy_denied")).await?;
    ensure!(began.elapsed() < WINDOW, "the machine is too slow for this");
    assert_eq!(stack.exchange.count(), LIMIT);

    // When the window has moved on, calls pass again, and as many.
    eventually(2 * WINDOW, "the end of the window", async || {
        let answer = stack.agent("researcher").ok()?.send("POST", BIGQUERY, QUERY).await.ok()?;
        (answer.status == 200).then_some(())
    })
    .await?;
    let passed_after = began.elapsed();
    assert!(passed_after >= WINDOW, "the first call left the window after {passed_after:?}");
    assert!(
        passed_after < WINDOW + Duration::from_secs(2),
        "the next one passed only after {passed_after:?}"
    );
    // All of the first burst have left it a moment later.
    tokio::time::timeout(PATIENCE, async {
        while began.elapsed() < WINDOW + took {
            tokio::task::yield_now().await;
        }
    })
    .await?;
    let (allowed, _) = burst(&stack, 24, 10).await?;
    assert_eq!(allowed + 1, LIMIT);
    assert_eq!(stack.exchange.count(), 2 * LIMIT);
    Ok(())
}
