//! A policy is edited while traffic runs: the decision flips, and nothing else happens.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{cast::QUERY, milliseconds};
use crate::{
    agent::{Answer, Connection},
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

/// Agents of one role that take turns: each makes fewer calls than the default policies allow it in a minute.
struct Crowd<'a> {
    stack: &'a Stack,
    role: &'a str,
    crew: &'a str,
    agents: usize,
    calls: usize,
    connection: Option<Connection>,
}

/// How many calls an agent makes before the next one takes over.
const CALLS_PER_AGENT: usize = 90;

// === impl Crowd ===

impl<'a> Crowd<'a> {
    fn new(stack: &'a Stack, role: &'a str, crew: &'a str) -> Self {
        Self { stack, role, crew, agents: 0, calls: 0, connection: None }
    }

    async fn query(&mut self) -> Result<Answer> {
        if self.calls == CALLS_PER_AGENT {
            (self.calls, self.connection) = (0, None);
        }
        self.calls += 1;
        let connection = match &mut self.connection {
            Some(connection) => connection,
            None => {
                self.agents += 1;
                let id = format!(
                    "spiffe://hexr.cloud/agent/acme-corp/{}-crew-{}/{}",
                    self.crew, self.agents, self.role
                );
                self.connection.insert(self.stack.agent_with(&[&id])?.connect().await?)
            }
        };
        connection.send(QUERY.method, QUERY.host, QUERY.path).await
    }
}

/// Grants the viewer a query and takes it back, and shows how long each took.
pub(super) async fn edit_under_load(stack: &Stack, policies: &Policies) -> Result<()> {
    println!(
        "Traffic runs: researcher and viewer query BigQuery without pause. The policy is edited under it.\n"
    );
    let stop = AtomicBool::new(false);
    let edits = async {
        let edited = edit_twice(stack, policies).await;
        stop.store(true, Ordering::SeqCst);
        edited
    };
    let (edited, first, second, third, fourth) = tokio::join!(
        edits,
        ask_until(stack, "researcher", "first", &stop),
        ask_until(stack, "viewer", "second", &stop),
        ask_until(stack, "researcher", "third", &stop),
        ask_until(stack, "viewer", "fourth", &stop),
    );
    edited?;
    let mut total = Tally::default();
    for tally in [first, second, third, fourth] {
        let tally = tally?;
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

async fn edit_twice(stack: &Stack, policies: &Policies) -> Result<()> {
    let shipped = policies.read("data.json")?;
    let mut granted: Value = serde_json::from_str(&shipped)?;
    let viewer = granted.pointer_mut("/roles/viewer").context("the shipped data has no viewer")?;
    viewer["gcp_bigquery"] = json!(["query"]);
    edit(stack, policies, &format!("{granted:#}"), true).await?;
    edit(stack, policies, &shipped, false).await
}

/// Writes the data and waits until it decides.
async fn edit(stack: &Stack, policies: &Policies, data: &str, granted: bool) -> Result<()> {
    let mut probes = Crowd::new(stack, "viewer", if granted { "granted" } else { "withdrawn" });
    let start = Instant::now();
    policies.write("data.json", data)?;
    let what = if granted { "viewer may query" } else { "viewer may not query" };
    eventually(PATIENCE, what, async || {
        let answer = probes.query().await.ok()?;
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

async fn ask_until(stack: &Stack, role: &str, crew: &str, stop: &AtomicBool) -> Result<Tally> {
    let mut tally = Tally::default();
    let mut crowd = Crowd::new(stack, role, crew);
    while !stop.load(Ordering::SeqCst) {
        let answer = crowd.query().await?;
        if answer.status == 200 {
            tally.allowed += 1;
        } else {
            ensure!(answer.reason().as_deref() == Some("policy_denied"), "a request failed: {answer:?}");
            tally.denied.insert(answer.header("x-hexr-decision-id").context("no decision id")?.to_owned());
        }
    }
    Ok(tally)
}
