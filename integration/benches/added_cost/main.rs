//! `cargo bench`: the CPU that a decision adds to a request, next to what an operator would compare it with.
//!
//! One real Envoy a variant, all with the same listener, mTLS and upstream, one worker each. They are loaded in turn,
//! round after round, so that whatever else the machine does meets all of them; a figure is the median over the
//! rounds, and a ratio the median of the ratios within a round. CPU is what the kernel charged to Envoy's threads.

mod load;
mod variant;

use anyhow::Result;
use integration::stack::Stack;

use self::{
    load::measure,
    variant::{VARIANTS, Variant},
};

/// How often every variant is measured.
const ROUNDS: usize = 9;
/// The requests of one measurement.
const REQUESTS: usize = 6_000;

#[tokio::main]
async fn main() -> Result<()> {
    // `cargo test --benches` and tools that list tests pass arguments of their own.
    if std::env::args().any(|argument| argument == "--list" || argument == "--test") {
        return Ok(());
    }
    let mut stacks: Vec<(&Variant, Stack)> = Vec::new();
    for variant in &VARIANTS {
        println!("starting: {}", variant.name);
        stacks.push((variant, variant.start().await?));
    }
    for (_, stack) in &stacks {
        measure(stack, REQUESTS).await?;
    }
    let mut rounds: Vec<Vec<f64>> = Vec::new();
    for round in 1..=ROUNDS {
        let mut costs = Vec::new();
        for (_, stack) in &stacks {
            costs.push(measure(stack, REQUESTS).await?);
        }
        println!("round {round}: {}", costs.iter().map(|cost| format!("{cost:8.1}")).collect::<String>());
        rounds.push(costs);
    }
    report(&stacks, &rounds);
    Ok(())
}

fn report(stacks: &[(&Variant, Stack)], rounds: &[Vec<f64>]) {
    let column = |of: &dyn Fn(&[f64]) -> f64| median(rounds.iter().map(|costs| of(costs)).collect());
    let added = |costs: &[f64], at: usize| {
        costs.get(at).zip(costs.first()).map_or(f64::NAN, |(cost, nothing)| cost - nothing)
    };
    let noop = VARIANTS.iter().position(|variant| variant.name == variant::NOOP_WASM).unwrap_or_default();
    println!("\nCPU per request in Envoy, medians of {ROUNDS} rounds of {REQUESTS} requests\n");
    println!("{:<44}{:>10}{:>12}{:>16}", "", "total µs", "added µs", "added/no-op");
    for (at, (variant, _)) in stacks.iter().enumerate() {
        let total = column(&|costs| costs.get(at).copied().unwrap_or(f64::NAN));
        print!("{:<44}{total:>10.1}", variant.name);
        if at > 0 {
            let ratio = column(&|costs| added(costs, at) / added(costs, noop));
            print!("{:>12.1}{ratio:>16.2}", column(&|costs| added(costs, at)));
        }
        println!();
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
