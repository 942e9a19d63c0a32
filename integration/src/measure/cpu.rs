//! What the operating system charges to processes.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result};

/// Processes that are measured together: an Envoy, and the server that it asks.
#[derive(Clone, Debug)]
pub struct Processes(Vec<u32>);

// === impl Processes ===

impl Processes {
    /// Those with these ids.
    pub fn new(ids: impl IntoIterator<Item = u32>) -> Self {
        Self(ids.into_iter().collect())
    }

    /// The CPU time of all their threads, as the scheduler counts it. None of them ends threads while it works.
    pub fn cpu(&self) -> Result<Duration> {
        let mut nanos = 0;
        for process in &self.0 {
            for thread in fs::read_dir(format!("/proc/{process}/task"))? {
                let schedstat = fs::read_to_string(thread?.path().join("schedstat"))?;
                nanos += schedstat.split_whitespace().next().context("schedstat")?.parse::<u64>()?;
            }
        }
        Ok(Duration::from_nanos(nanos))
    }

    /// Their memory that is not in files: what each of them needs for itself. In MiB.
    pub fn memory(&self) -> Result<f64> {
        let mut kibibytes = 0;
        for process in &self.0 {
            let status = fs::read_to_string(format!("/proc/{process}/status"))?;
            let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).context("RssAnon")?;
            kibibytes += line.split_whitespace().next().context("RssAnon")?.parse::<u32>()?;
        }
        Ok(f64::from(kibibytes) / 1024.0)
    }
}
