//! `cargo bench -p integration --bench start`: how large the filter is, how long Envoy takes from its start to the first
//! request that is allowed, and how much memory a worker takes.
//!
//! All of the filter that `HEXR_AUTHZ_WASM` names, or that is built. Memory is what is not in files, after each worker has
//! served; what a worker takes is what three of them take more than one.

use std::{fs, io::Write as _, path::Path, time::Instant};

use anyhow::Result;
use flate2::{Compression, write::GzEncoder};
use integration::{
    artifacts,
    measure::{
        Arguments,
        load::Protocol,
        policies::{EVERY_TIME, policy},
        run,
        statistics::{Spread, figure, table},
        subject::Subject,
        write,
    },
};
use serde_json::json;

/// What is started.
#[derive(Clone, Copy)]
enum Started {
    Nothing,
    ByHand,
    Ours(usize),
}

const ALL: [(&str, Started); 4] = [
    ("no authorization", Started::Nothing),
    ("Wasm: reads SAN and headers, `if`", Started::ByHand),
    ("Hexr Authz, small policy", Started::Ours(1)),
    ("Hexr Authz, 10,000 rules", Started::Ours(10_000)),
];
const MIB: f64 = 1024.0 * 1024.0;
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
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(&filter)?;
    let [size, packed] = [filter.len(), packed.finish()?.len()].map(|bytes| bytes as f64 / MIB);
    println!("the filter: {} MiB, {} MiB compressed", figure(size), figure(packed));
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
    write("start.json", &json!({"wasm_mib": size, "wasm_mib_compressed": packed, "started": found}))
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
        };
        subject.lanes(1, Protocol::Http1).await?;
        let time = begin.elapsed();
        subject.lanes(LANES, Protocol::Http1).await?.send(REQUESTS).await?;
        Ok((time.as_secs_f64() * 1e3, subject.processes.memory()?))
    }
}
