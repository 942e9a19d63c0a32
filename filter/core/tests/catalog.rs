//! The built-in catalog against the clouds' own clients: every operation of AWS and every method of Google, derived back
//! from the request that the client makes of it; and the same requests contradicting themselves, of which none may pass.
//!
//! What makes the requests is downloaded by pip into the target folder, once.

#[path = "catalog/contradictions.rs"]
mod contradictions;
#[path = "catalog/requests.rs"]
mod requests;
#[path = "catalog/sources.rs"]
mod sources;

use std::{collections::BTreeMap, time::Instant};

use anyhow::{Context, Result};
use hexr_authz_core::catalog::{Catalog, Derivation, OnUnknown};
use requests::{Recorded, known};

/// How the requests of one cloud were derived.
#[derive(Debug, Default)]
struct Count {
    requests: usize,
    exact: usize,
    needed_body: usize,
    wrong: Vec<String>,
    refused: Vec<String>,
}

#[test]
fn the_table_is_what_the_sources_make() -> Result<()> {
    let wheels = sources::wheels()?;
    let output = sources::python("python3", "filter/core/catalog/generate.py")
        .args(["--check", "--wheels"])
        .arg(wheels)
        .output()
        .context("python3")?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    Ok(())
}

#[test]
fn aws() -> Result<()> {
    let names = sources::names()?;
    check(
        &requests::made_by("aws_requests.py")?,
        |request| names.aws(&request.service, &request.action),
        0.999,
    )
}

#[test]
fn google() -> Result<()> {
    let names = sources::names()?;
    check(
        &requests::made_by("google_requests.py")?,
        |request| names.google(&request.service, &request.action),
        0.999,
    )
}

fn check(
    recorded: &[Recorded],
    expected: impl Fn(&Recorded) -> Option<(String, String)>,
    least: f64,
) -> Result<()> {
    let catalog = Catalog::new(Vec::new(), OnUnknown::Deny);
    let mut count = Count::default();
    let mut heads = Vec::with_capacity(recorded.len());
    for recorded in recorded {
        let expected = expected(recorded);
        let request = recorded.request()?;
        let first = catalog.derive(&request);
        count.needed_body += usize::from(matches!(first, Derivation::NeedsBody(_)));
        heads.push(first.clone());
        let found = recorded.with_body(&catalog, &request, first);
        count.requests += 1;
        let told = || format!("{} {recorded}: {found:?}", recorded.label);
        match (known(&found), expected) {
            (Some(found), Some(expected)) if found == expected => count.exact += 1,
            (Some(_), _) => count.wrong.push(told()),
            (None, _) => count.refused.push(told()),
        }
    }
    println!(
        "{} requests: {} exact, {} wrong, {} refused; {} need their body",
        count.requests,
        count.exact,
        count.wrong.len(),
        count.refused.len(),
        count.needed_body
    );
    for refused in &count.refused {
        println!("refused: {refused}");
    }
    time(&catalog, recorded)?;
    assert_eq!(count.wrong, Vec::<String>::new());
    #[expect(clippy::cast_precision_loss, reason = "a share of a few thousand")]
    let share = count.exact as f64 / count.requests as f64;
    assert!(share >= least, "{share} of the requests are derived exactly");
    // What the catalog remembers of other requests must not change an answer.
    for (recorded, head) in recorded.iter().zip(&heads).rev() {
        assert_eq!(catalog.derive(&recorded.request()?), *head, "{recorded}");
    }
    contradictory(&catalog, recorded);
    Ok(())
}

/// None of the requests may pass with a contradiction in it.
fn contradictory(catalog: &Catalog, recorded: &[Recorded]) {
    let mut counts = BTreeMap::<&str, [usize; 2]>::new();
    let mut accepted = Vec::new();
    for recorded in recorded {
        for (name, twisted) in contradictions::all(recorded) {
            let [tried, passed] = counts.entry(name).or_default();
            *tried += 1;
            if let Some(found) = twisted.accepted(catalog) {
                *passed += 1;
                accepted.push(format!("{name}: {twisted} is {found:?}"));
            }
        }
    }
    for (name, [tried, passed]) in counts {
        println!("{name}: {tried} tried, {passed} accepted");
    }
    accepted.truncate(20);
    assert_eq!(accepted, Vec::<String>::new());
}

/// What one derivation costs, of which the slowest operation is told.
fn time(catalog: &Catalog, recorded: &[Recorded]) -> Result<()> {
    const ROUNDS: u32 = 5;
    const TIMES: u32 = 8;
    let requests = recorded.iter().map(Recorded::request).collect::<Result<Vec<_>>>()?;
    let mut slowest = (0, String::new());
    let mut all = 0;
    for (request, recorded) in requests.iter().zip(recorded) {
        let mut best = u128::MAX;
        for _ in 0..ROUNDS {
            let start = Instant::now();
            for _ in 0..TIMES {
                std::hint::black_box(catalog.derive(std::hint::black_box(request)));
            }
            best = best.min(start.elapsed().as_nanos() / u128::from(TIMES));
        }
        all += best;
        if best > slowest.0 {
            slowest = (best, recorded.to_string());
        }
    }
    let mean = all / u128::try_from(requests.len().max(1))?;
    println!("{mean} ns on average, {} ns at most: {}", slowest.0, slowest.1);
    Ok(())
}
