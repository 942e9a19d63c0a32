//! `cargo bench -p integration --bench start`: how large the filter is, how long Envoy takes from its start to the first
//! request that is allowed, and how much memory a worker takes.
//!
//! All of the filter that `HEXR_AUTHZ_WASM` names, or that is built. Memory is what is not in files, after each worker has
//! served; what a worker takes is what three of them take more than one. The last row has its policy from a server, which has
//! changed it [`SWAPS`] times by then.

use std::{
    fs,
    io::Write as _,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use flate2::{Compression, write::GzEncoder};
use integration::{
    artifacts,
    bundles::packed,
    measure::{
        Arguments,
        load::Protocol,
        policies::{EVERY_TIME, policy},
        run,
        statistics::{Spread, figure, table},
        subject::Subject,
        write,
    },
    scripted_server::{Script, ScriptedServer},
};
use serde_json::json;

/// What is started.
#[derive(Clone, Copy)]
enum Started {
    Nothing,
    ByHand,
    Ours(usize),
    Swapped(usize),
}

const ALL: [(&str, Started); 5] = [
    ("no authorization", Started::Nothing),
    ("Wasm: reads SAN and headers, `if`", Started::ByHand),
    ("Hexr Authz, small policy", Started::Ours(1)),
    ("Hexr Authz, 10,000 rules", Started::Ours(10_000)),
    ("Hexr Authz, 10,000 rules, swapped", Started::Swapped(10_000)),
];
const SWAPS: usize = 50;
/// How long all workers may take to follow one.
const PATIENCE: Duration = Duration::from_secs(60);
const MIB: f64 = 1024.0 * 1024.0;
const HOST: &str = "bigquery.googleapis.com";
const QUERY: &str = "/bigquery/v2/projects/p/queries";
/// As many connections reach every worker.
const LANES: usize = 32;
const REQUESTS: usize = 4_000;

/// It takes long, and differs little.
const MOST_ROUNDS: usize = 9;

fn main() -> Result<()> {
    Arguments::read().map_or(Ok(()), |arguments| run(all(arguments)))
}

async fn all(arguments: Arguments) -> Result<()> {
    // Built before any time is taken.
    let (filter, by_hand) = (fs::read(artifacts::filter()?)?, artifacts::by_hand()?);
    let unoptimized = fs::metadata(filter_build::unoptimized()?)?.len() as f64 / MIB;
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(&filter)?;
    let [size, packed] = [filter.len(), packed.finish()?.len()].map(|bytes| bytes as f64 / MIB);
    println!(
        "the filter: {} MiB, {} MiB compressed; before wasm-opt {} MiB",
        figure(size),
        figure(packed),
        figure(unoptimized)
    );
    let (mut lines, mut found) = (Vec::new(), Vec::new());
    let head = ["", "first decision, ms", "of the rounds", "MiB with 1 worker", "MiB a worker"];
    lines.push(head.map(str::to_owned).to_vec());
    for (name, started) in ALL.into_iter().filter(|(name, _)| arguments.include(name)) {
        let (mut times, mut alone, mut each) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..arguments.rounds().min(MOST_ROUNDS) {
            let (time, one) = started.start(1, &by_hand).await?;
            let (_, three) = started.start(3, &by_hand).await?;
            times.push(time);
            alone.push(one);
            each.push((three - one) / 2.0);
        }
        let Spread { median, low, high } = Spread::of(times.iter().copied());
        let [of_one, of_each] = [&alone, &each].map(|values| Spread::of(values.iter().copied()).median);
        lines.push(vec![
            name.to_owned(),
            figure(median),
            format!("{} – {}", figure(low), figure(high)),
            figure(of_one),
            figure(of_each),
        ]);
        found.push(json!({"started": name, "milliseconds": times, "mib": alone, "mib_a_worker": each}));
    }
    println!("\n{}", table(&lines));
    write(
        "start.json",
        &json!({"wasm_mib": size, "wasm_mib_compressed": packed, "wasm_mib_unoptimized": unoptimized, "started": found}),
    )
}

// === impl Started ===

impl Started {
    /// The milliseconds up to the first request that is allowed, and the MiB after some more.
    async fn start(self, workers: u32, by_hand: &Path) -> Result<(f64, f64)> {
        let begin = Instant::now();
        let subject = match self {
            Self::Nothing => Subject::nothing(workers).await?,
            Self::ByHand => Subject::wasm(workers, by_hand).await?,
            Self::Ours(rules) => Subject::ours(workers, &policy(rules, &[EVERY_TIME])).await?,
            Self::Swapped(rules) => served(workers, rules).await?,
        };
        subject.lanes(1, Protocol::Http1).await?;
        let time = begin.elapsed();
        if let (Self::Swapped(rules), Some(server)) = (self, subject.beside::<ScriptedServer>()) {
            swap(&subject, server, rules).await?;
        }
        subject.lanes(LANES, Protocol::Http1).await?.send(REQUESTS).await?;
        Ok((time.as_secs_f64() * 1e3, subject.processes.memory()?))
    }
}

/// One that has its policy from a server.
async fn served(workers: u32, rules: usize) -> Result<Subject> {
    let server = ScriptedServer::start(version(rules, 0)?).await?;
    let subject = Subject::start(workers, |foundation| foundation.config(server.address())).await?;
    subject.stack.wait_until_ready().await?;
    Ok(subject.with(server))
}

/// Changes the policy again and again, and waits for all workers each time.
async fn swap(subject: &Subject, server: &ScriptedServer, rules: usize) -> Result<()> {
    let mut connections = Vec::new();
    for agent in subject.agents(0..LANES, |_| "acme-corp".to_owned())? {
        connections.push(agent.connect().await?);
    }
    for number in 1..=SWAPS {
        server.now(version(rules, number)?);
        let begin = Instant::now();
        for connection in &mut connections {
            while connection.send("POST", HOST, QUERY).await?.status.is_success() != allows(number) {
                ensure!(begin.elapsed() < PATIENCE, "a worker does not follow");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
    Ok(())
}

/// The policy of that number: every other one denies.
fn version(rules: usize, number: usize) -> Result<Script> {
    let role = if allows(number) { "input.role == \"researcher\"" } else { "input.role == \"nobody\"" };
    let policy = policy(rules, &[EVERY_TIME, role]);
    let body = packed(&[("authz.rego", &policy)], &number.to_string())?;
    Ok(Script::Waiting { etag: format!("\"{number}\""), body })
}

fn allows(number: usize) -> bool {
    number.is_multiple_of(2)
}
