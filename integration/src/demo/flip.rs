//! A policy is edited while traffic runs: the decision flips, and nothing else happens.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::{cast::QUERY, milliseconds};
use crate::{
    agent::Agent,
    eventually::eventually,
    policies::Policies,
    stack::{PATIENCE, Stack},
};

/// What the traffic of one agent came to.
#[derive(Default)]
struct Tally {
    allowed: usize,
    denied: HashSet<String>,
}

/// Grants the viewer a query and takes it back, and shows how long each took.
pub(super) async fn edit_under_load(stack: &Stack, policies: &Policies) -> Result<()> {
    println!(
        "Traffic runs: researcher and viewer query BigQuery without pause. The policy is edited under it.\n"
    );
    let stop = Arc::new(AtomicBool::new(false));
    let traffic = ["researcher", "viewer", "researcher", "viewer"]
        .map(|role| Ok::<_, anyhow::Error>(tokio::spawn(ask_until(stack.agent(role)?, Arc::clone(&stop)))));
    let traffic: Vec<JoinHandle<Result<Tally>>> = traffic.into_iter().collect::<Result<_>>()?;

    let shipped = policies.read("data.json")?;
    let mut granted: Value = serde_json::from_str(&shipped)?;
    let viewer = granted.pointer_mut("/grants/viewer").context("the shipped data has no viewer")?;
    viewer["gcp_bigquery"] = json!(["query"]);
    edit(stack, policies, &format!("{granted:#}"), true).await?;
    edit(stack, policies, &shipped, false).await?;

    stop.store(true, Ordering::SeqCst);
    let mut total = Tally::default();
    for agent in traffic {
        let tally = agent.await??;
        total.allowed += tally.allowed;
        total.denied.extend(tally.denied);
    }
    // The probes of `edit` reach the exchange too, when they are allowed.
    let received = stack.exchange.take();
    let leaked = received
        .iter()
        .flat_map(|request| request.all("x-hexr-decision-id"))
        .find(|id| total.denied.contains(id));
    println!(
        "\n{} requests meanwhile, none failed; {} were denied, and the credential exchange saw none of those.",
        total.allowed + total.denied.len(),
        total.denied.len()
    );
    ensure!(leaked.is_none(), "the credential exchange saw the denied request {leaked:?}");
    ensure!(received.len() >= total.allowed, "allowed requests were lost");
    Ok(())
}

/// Writes the data and waits until it decides.
async fn edit(stack: &Stack, policies: &Policies, data: &str, granted: bool) -> Result<()> {
    let mut viewer = stack.agent("viewer")?.connect().await?;
    let start = Instant::now();
    policies.write("data.json", data)?;
    let what = if granted { "viewer may query" } else { "viewer may not query" };
    eventually(PATIENCE, what, async || {
        let answer = viewer.send(QUERY.method, QUERY.host, QUERY.path).await.ok()?;
        ((answer.status == 200) == granted).then_some(())
    })
    .await?;
    let (before, after) = if granted { ("deny", "allow") } else { ("allow", "deny") };
    println!(
        "data.json saved: viewer, gcp_bigquery query: {before} -> {after} after {}",
        milliseconds(start.elapsed())
    );
    Ok(())
}

async fn ask_until(agent: Agent, stop: Arc<AtomicBool>) -> Result<Tally> {
    let mut tally = Tally::default();
    let mut connection = agent.connect().await?;
    while !stop.load(Ordering::SeqCst) {
        let answer = connection.send(QUERY.method, QUERY.host, QUERY.path).await?;
        if answer.status == 200 {
            tally.allowed += 1;
        } else {
            ensure!(answer.reason().as_deref() == Some("policy_denied"), "a request failed: {answer:?}");
            tally.denied.insert(answer.header("x-hexr-decision-id").context("no decision id")?.to_owned());
        }
    }
    Ok(tally)
}
