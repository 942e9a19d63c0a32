//! Times the derivation of service and action, of every request that it is given.

use std::{hint::black_box, time::Instant};

use anyhow::{Context as _, Result};
use hexr_authz_core::{
    catalog::{Catalog, OnUnknown},
    request::Request,
};
use serde_json::Value;

/// A request is measured so many times in a row.
const TIMES: u32 = 64;
/// So many rounds of that one after the other, in each pass over all requests.
const ROUNDS: u32 = 3;
/// The best of all rounds is what a request costs: whatever else the machine does only adds to it, and takes longer than
/// a round, so that the passes are apart.
const PASSES: u32 = 5;

/// Prints what the derivations of the requests, a line of JSON each, cost in nanoseconds.
///
/// # Errors
/// When a line is no request.
pub(crate) fn time(lines: &str) -> Result<()> {
    let catalog = Catalog::new(Vec::new(), OnUnknown::Deny);
    let requests = lines
        .lines()
        .map(|line| {
            let recorded: Value = serde_json::from_str(line)?;
            let name = format!("{} {}", text(&recorded, "service"), text(&recorded, "action"));
            Ok((headers(&recorded)?, name))
        })
        .collect::<Result<Vec<_>>>()?;
    let mut costs: Vec<(u128, &str)> = requests.iter().map(|(_, name)| (u128::MAX, name.as_str())).collect();
    for _ in 0..PASSES {
        for ((headers, name), (best, _)) in requests.iter().zip(&mut costs) {
            let pairs = headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
            let request = Request::parse(pairs).map_err(|denial| anyhow::anyhow!("{name}: {denial}"))?;
            for _ in 0..ROUNDS {
                let started = Instant::now();
                for _ in 0..TIMES {
                    black_box(catalog.derive(black_box(&request)));
                }
                *best = (*best).min(started.elapsed().as_nanos() / u128::from(TIMES));
            }
        }
    }
    costs.sort_unstable();
    let at = |share: usize| costs.get(costs.len().saturating_sub(1) * share / 1000);
    println!("requests\t{}, each the best of {} rounds of {TIMES}", costs.len(), PASSES * ROUNDS);
    for (name, share) in [("p50", 500), ("p99", 990), ("p99.9", 999), ("most", 1000)] {
        let (cost, operation) = at(share).context("there are no requests")?;
        println!("{name}\t{cost}\t{operation}");
    }
    for limit in [1000, 2000] {
        println!("over {limit} ns\t{}", costs.iter().filter(|(cost, _)| *cost > limit).count());
    }
    Ok(())
}

fn headers(recorded: &Value) -> Result<Vec<(String, String)>> {
    let head = [(":method", "method"), (":authority", "authority"), (":path", "path")];
    let mut headers: Vec<_> =
        head.iter().map(|(name, field)| ((*name).to_owned(), text(recorded, field))).collect();
    let others = recorded.get("headers").cloned().unwrap_or_default();
    headers.extend(serde_json::from_value::<Vec<(String, String)>>(others)?);
    Ok(headers)
}

fn text(recorded: &Value, field: &str) -> String {
    recorded.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
}
