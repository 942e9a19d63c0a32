//! What requests cost through a real Envoy: the Envoys that are measured, their load, what the operating system charges
//! them for it, and figures of many rounds.
//!
//! The benchmarks `compare`, `curves` and `start` are told in these terms. Everything here fails where a process does not
//! start, a request is not allowed, or a file cannot be read or written.

pub mod cpu;
pub mod load;
pub mod plot;
pub mod policies;
pub mod statistics;
pub mod subject;

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;

use crate::target_folder;

/// What a benchmark is asked for.
#[derive(Clone, Debug, Parser)]
pub struct Arguments {
    /// How often everything is measured.
    #[arg(long)]
    rounds: Option<usize>,
    /// The requests that are sent each time.
    #[arg(long)]
    requests: Option<usize>,
    /// Only what has this in its name.
    #[arg(long, default_value_t)]
    only: String,
    /// Two short rounds, to see that all of it works.
    #[arg(long)]
    pub quick: bool,
    /// Cargo passes it.
    #[arg(long, hide = true)]
    bench: bool,
}

// === impl Arguments ===

impl Arguments {
    /// Those of this program. Nothing where `cargo test --benches`, or a tool that lists tests, has started it: there is
    /// nothing to test.
    pub fn read() -> Option<Self> {
        let is_listed = std::env::args().any(|argument| argument == "--list" || argument == "--test");
        (!is_listed).then(Self::parse)
    }

    /// How often everything is measured.
    pub fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick { 2 } else { 30 })
    }

    /// The requests that are sent each time.
    pub fn requests(&self) -> usize {
        self.requests.unwrap_or(if self.quick { 1_000 } else { 1_500 })
    }

    /// The requests before anything is measured: V8 compiles anew what is called often.
    pub fn warm_up(&self) -> usize {
        if self.quick { 1_000 } else { 10_000 }
    }

    /// Whether what has this name is asked for.
    pub fn include(&self, name: &str) -> bool {
        name.contains(&self.only)
    }
}

/// Does the work with two threads for the load, and as many connections as the system lets a process have.
pub fn run(work: impl Future<Output = Result<()>>) -> Result<()> {
    rlimit::increase_nofile_limit(u64::MAX)?;
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(work)
}

/// A file for what a benchmark has found: `target/bench/NAME`.
pub fn result_file(name: &str) -> Result<PathBuf> {
    let file = target_folder()?.join("bench").join(name);
    std::fs::create_dir_all(file.with_file_name(""))?;
    println!("{}", file.display());
    Ok(file)
}

/// Writes all that a benchmark has found, for other programs, as `target/bench/NAME`.
pub fn write(name: &str, found: &serde_json::Value) -> Result<()> {
    Ok(std::fs::write(result_file(name)?, serde_json::to_string_pretty(found)?)?)
}
