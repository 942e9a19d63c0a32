//! Load, and what it cost.

use std::fs;

use anyhow::{Context, Result, ensure};
use integration::stack::Stack;

/// How many connections the load comes over.
const CONNECTIONS: usize = 4;

/// Sends `requests` and gives the CPU of Envoy's threads per request, in microseconds.
pub(crate) async fn measure(stack: &Stack, requests: usize) -> Result<f64> {
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(stack.agent("researcher")?.connect().await?);
    }
    // The handshakes and the first request of each connection are not what is measured.
    for connection in &mut connections {
        connection.send("POST", "bigquery.googleapis.com", "/bigquery/v2/projects/p/queries").await?;
    }
    let before = cpu_nanoseconds(stack.envoy.process_id())?;
    let lanes: Vec<_> = connections
        .into_iter()
        .map(|mut connection| {
            tokio::spawn(async move {
                for _ in 0..requests / CONNECTIONS {
                    let answer = connection
                        .send("POST", "bigquery.googleapis.com", "/bigquery/v2/projects/p/queries")
                        .await?;
                    ensure!(answer.status == 200, "{answer:?}");
                }
                Ok(())
            })
        })
        .collect();
    for lane in lanes {
        lane.await??;
    }
    let after = cpu_nanoseconds(stack.envoy.process_id())?;
    stack.exchange.take();
    Ok((after - before) as f64 / 1000.0 / requests as f64)
}

/// The CPU time of all threads of a process, as the scheduler counts it.
fn cpu_nanoseconds(process: u32) -> Result<u64> {
    let mut total = 0;
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        let schedstat = fs::read_to_string(thread?.path().join("schedstat"))?;
        total += schedstat.split_whitespace().next().context("schedstat")?.parse::<u64>()?;
    }
    Ok(total)
}
