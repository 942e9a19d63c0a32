//! How long a change of the policy takes, from the server's answer to the last worker's first new decision, under load.
//!
//! `cargo bench -p integration --bench update`. Each update turns around which of two actions is allowed. Thirty-two
//! connections, spread over two workers, ask for one of them at a fixed rate all the time. What is printed of requests are
//! those of the whole run: how many failed, and how long they took since they were due, so that a request which waits makes
//! those behind it late too. `-- --updates N` and `-- --rate N` ask for other numbers; with rate 0 every connection asks
//! without a pause, which takes all of a small machine, so that Envoy itself is kept waiting for a core.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use integration::{
    bundles::packed,
    envoy_config::set,
    scripted_server::{Script, ScriptedServer},
    stack::{Foundation, Stack},
};
use serde_json::json;

const HOST: &str = "bigquery.googleapis.com";
const QUERY: &str = "/bigquery/v2/projects/p/queries";
const LANES: u32 = 32;
const WORKERS: u32 = 2;
/// An update that takes longer than this is one that failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is updated, and how.
struct Scenario {
    name: &'static str,
    rules: usize,
    data_mib: usize,
    waits: bool,
    updates: usize,
}

/// What the lanes see.
#[derive(Default)]
struct Seen {
    /// How many lanes have seen the answer that the newest version gives.
    agreeing: Vec<AtomicU64>,
    failed: AtomicU64,
    requests: AtomicU64,
    ends: AtomicBool,
}

#[derive(Parser)]
struct Arguments {
    /// How many times a policy is updated; a fourth of it with much data.
    #[arg(long, default_value_t = 200)]
    updates: usize,
    /// Requests in a second.
    #[arg(long, default_value_t = 1000)]
    rate: u32,
    /// Run only the scenario of that number.
    #[arg(long)]
    only: Option<usize>,
    /// Cargo passes it.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    // `cargo test --benches` and tools that list tests pass arguments of their own.
    if std::env::args().any(|argument| argument == "--list" || argument == "--test") {
        return Ok(());
    }
    let Arguments { updates, rate, only, .. } = Arguments::parse();
    let scenario = |name, rules, data_mib, waits, updates| Scenario { name, rules, data_mib, waits, updates };
    let scenarios = [
        scenario("100 rules, long polling", 100, 0, true, updates),
        scenario("100 rules, polling every second", 100, 0, false, updates),
        scenario("10,000 rules, long polling", 10_000, 0, true, updates),
        scenario("10,000 rules and 10 MiB of data, long polling", 10_000, 10, true, updates / 4),
    ];
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    for (number, scenario) in scenarios.iter().enumerate() {
        if only.is_none_or(|only| only == number) {
            runtime.block_on(run(scenario, rate))?;
        }
    }
    Ok(())
}

async fn run(scenario: &Scenario, rate: u32) -> Result<()> {
    let data = data(scenario.data_mib);
    let server = ScriptedServer::start(version(scenario, 0, &data)?).await?;
    let stack = start(&server).await?;
    stack.wait_until_ready().await?;
    let seen =
        Arc::new(Seen { agreeing: (0..LANES).map(|_| AtomicU64::new(0)).collect(), ..Seen::default() });
    let between = if rate == 0 { Duration::ZERO } else { Duration::from_secs(LANES.into()) / rate };
    let mut lanes = Vec::new();
    for lane in 0..LANES {
        let mut connection = stack.agent("researcher")?.connect().await?;
        let seen = Arc::clone(&seen);
        lanes.push(tokio::spawn(async move {
            let mut took = Vec::new();
            let mut due = Instant::now() + between / LANES * lane;
            while !seen.ends.load(Ordering::Relaxed) {
                if between.is_zero() {
                    due = Instant::now();
                } else {
                    tokio::time::sleep_until(due.into()).await;
                }
                let answer = connection.send("POST", HOST, QUERY).await?;
                took.push(due.elapsed());
                due += between;
                seen.requests.fetch_add(1, Ordering::Relaxed);
                let parity = match answer.status.as_u16() {
                    200 => 2,
                    403 => 1,
                    _ => {
                        seen.failed.fetch_add(1, Ordering::Relaxed);
                        continue;
                    }
                };
                if let Some(slot) = seen.agreeing.get(lane as usize) {
                    slot.store(parity, Ordering::Release);
                }
            }
            anyhow::Ok(took)
        }));
    }
    wait_for(&seen, 2).await?;
    let mut latencies = Vec::new();
    for number in 1..=scenario.updates {
        let script = version(scenario, number, &data)?;
        let begin = Instant::now();
        server.now(script);
        wait_for(&seen, if number % 2 == 0 { 2 } else { 1 }).await?;
        latencies.push(begin.elapsed());
        // A pause of its own for each, so that updates fall on every phase of ticks and polls.
        tokio::time::sleep(Duration::from_millis(40 + (number as u64 * 37) % 160)).await;
    }
    seen.ends.store(true, Ordering::Relaxed);
    let mut requests = Vec::new();
    for lane in lanes {
        requests.extend(lane.await??);
    }
    report(scenario, latencies, requests, &seen, &stack).await
}

/// Waits until every lane's last answer is that of the newest version.
async fn wait_for(seen: &Seen, parity: u64) -> Result<()> {
    let begin = Instant::now();
    while !seen.agreeing.iter().all(|lane| lane.load(Ordering::Acquire) == parity) {
        ensure!(begin.elapsed() < PATIENCE, "an update has not come to all workers");
        tokio::time::sleep(Duration::from_micros(500)).await;
    }
    Ok(())
}

async fn start(server: &ScriptedServer) -> Result<Stack> {
    let foundation = Foundation::lay().await?;
    let config = foundation.config(server.address())?.with_filter_config(|config| {
        let polling =
            json!({"min_delay_seconds": 1, "max_delay_seconds": 1, "long_polling_timeout_seconds": 30});
        set(config, "/bundles/authz", "polling", polling);
        set(config, "", "limits", json!({"bundle_bytes": 64 << 20}));
    })?;
    foundation.start(&config, WORKERS).await
}

/// The version of that number: even ones allow the query, odd ones something else.
fn version(scenario: &Scenario, number: usize, data: &str) -> Result<Script> {
    let action = if number.is_multiple_of(2) { "query" } else { "tables.delete" };
    let mut module = format!(
        "package hexr.authz\n\ndefault allow := false\n\nallow if {{ input.role == \"researcher\"; input.action == \
         \"{action}\" }}\n"
    );
    for rule in 1..scenario.rules {
        module.push_str(&format!(
            "\nallow if {{\n    input.tenant == \"t{}\"\n    input.role == \"r{rule}\"\n    input.service == \
             \"gcp_bigquery\"\n}}\n",
            rule % 100
        ));
    }
    let release = format!("{{\"number\": {number}}}");
    let mut files = vec![("authz.rego", module.as_str()), ("release/data.json", release.as_str())];
    if !data.is_empty() {
        files.push(("grants/data.json", data));
    }
    let (body, etag) = (packed(&files, &number.to_string())?, format!("\"{number}\""));
    Ok(match scenario.waits {
        true => Script::Waiting { etag, body },
        false => Script::body(200, body),
    })
}

/// So much JSON, as grants look.
fn data(mib: usize) -> String {
    if mib == 0 {
        return String::new();
    }
    let mut text = String::from("{");
    let mut number = 0;
    while text.len() < mib << 20 {
        if number > 0 {
            text.push(',');
        }
        text.push_str(&format!(
            "\"agent-{number}\": {{\"role\": \"r{}\", \"services\": [\"aws_s3\", \"gcp_bigquery\"], \"limit\": {number}}}",
            number % 100
        ));
        number += 1;
    }
    text.push('}');
    text
}

async fn report(
    scenario: &Scenario,
    mut latencies: Vec<Duration>,
    mut requests: Vec<Duration>,
    seen: &Seen,
    stack: &Stack,
) -> Result<()> {
    latencies.sort_unstable();
    requests.sort_unstable();
    let at = |sorted: &[Duration], share: f64| -> Result<f64> {
        let index = ((sorted.len() as f64 - 1.0) * share).round() as usize;
        Ok(sorted.get(index).context("nothing was measured")?.as_secs_f64() * 1000.0)
    };
    println!("{}: {} updates", scenario.name, latencies.len());
    println!(
        "  update, ms: p50 {:.0}, p99 {:.0}, most {:.0}",
        at(&latencies, 0.5)?,
        at(&latencies, 0.99)?,
        at(&latencies, 1.0)?
    );
    println!(
        "  requests: {}, {} failed; ms: p50 {:.2}, p99 {:.2}, p99.9 {:.2}, most {:.2}",
        seen.requests.load(Ordering::Relaxed),
        seen.failed.load(Ordering::Relaxed),
        at(&requests, 0.5)?,
        at(&requests, 0.99)?,
        at(&requests, 0.999)?,
        at(&requests, 1.0)?
    );
    println!("  callbacks of the delivery on all threads: {}", callbacks(stack).await?);
    Ok(())
}

/// How many of the filter's callbacks about the delivery took how long, by its own histogram.
async fn callbacks(stack: &Stack) -> Result<String> {
    let path = "/stats/prometheus?filter=hexr_authz_delivery_callback";
    let (_, text) = integration::envoy::get(stack.envoy.admin(), path).await?;
    let up_to = |micros: &str| -> Result<u64> {
        let bucket = format!("_bucket{{le=\"{micros}\"}} ");
        let line = text.lines().find_map(|line| line.split_once(&bucket)).with_context(|| text.clone())?;
        Ok(line.1.trim().parse()?)
    };
    let all = up_to("+Inf")?;
    Ok(format!("{all}, {} over 5 ms, {} over 10 ms", all - up_to("5000")?, all - up_to("10000")?))
}
