//! Our evaluator next to the real OPA: prints where they differ, and records OPA's answers.

use std::ops::Range;

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use integration::differential::{
    Answers, Case, Oracle, RECORDED_SEEDS, Recording, compare_all, edge_cases, generated, shrunk,
};

/// Compares our evaluator with OPA; without an option, over everything that is recorded.
#[derive(Parser)]
#[command(name = "differential")]
struct Arguments {
    /// The edge cases whose name begins with this.
    #[arg(long, value_name = "TOPIC", num_args = 0..=1, default_missing_value = "")]
    edge: Option<String>,
    /// Generated cases, as `0..500` or `17`.
    #[arg(long, value_parser = seeds)]
    seeds: Option<Range<u64>>,
    /// The cases of OPA's own tests whose name begins with this. Needs Go.
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "")]
    conformance: Option<String>,
    /// Record OPA's answers anew.
    #[arg(long)]
    record: bool,
    /// Print the cases and OPA's answers, and compare nothing.
    #[arg(long)]
    show: bool,
    /// Leave out of each printed difference what it does not need. Needs Go.
    #[arg(long)]
    shrink: bool,
    /// How many differences to print.
    #[arg(long, default_value_t = 10)]
    limit: usize,
}

fn seeds(text: &str) -> Result<Range<u64>> {
    match text.split_once("..") {
        Some((from, to)) => Ok(from.parse()?..to.parse()?),
        None => text.parse().map(|seed| seed..seed + 1).map_err(Into::into),
    }
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut cases = Vec::new();
    let all = arguments.seeds.is_none() && arguments.edge.is_none() && arguments.conformance.is_none();
    if all || arguments.edge.is_some() {
        let prefix = arguments.edge.clone().unwrap_or_default();
        cases.extend(edge_cases()?.into_iter().filter(|case| case.name.starts_with(&prefix)));
    }
    if all || arguments.seeds.is_some() {
        cases.extend(generated(arguments.seeds.clone().unwrap_or(RECORDED_SEEDS)));
    }
    if let Some(prefix) = &arguments.conformance {
        let own = oracle()?.conformance_cases()?;
        cases.extend(own.into_iter().filter(|case| case.name.starts_with(prefix)));
    }
    if arguments.record {
        if !all {
            bail!("everything is recorded together: leave out `--edge` and `--seeds`");
        }
        let (version, answers) = oracle()?.ask(&cases)?;
        Recording::write(&version, &cases, &answers)?;
        println!("recorded OPA {version}: {} cases in {}", cases.len(), Recording::path().display());
        return Ok(());
    }
    let answers = answers(&cases)?;
    if arguments.show {
        show(&cases, &answers);
        return Ok(());
    }
    let tally = compare_all(&cases, &answers);
    for refused in tally.refused.iter().take(arguments.limit) {
        println!("refused only here: {}: {}", refused.case, refused.reason);
    }
    for found in tally.errors_only_here.values().flatten().take(arguments.limit) {
        println!("an error only here: {} {}: {} {}", found.case.name, found.path(), found.opa, found.ours);
    }
    for rounded in tally.rounded.iter().take(arguments.limit) {
        println!("rounded: {} {}: {} {}", rounded.case.name, rounded.path(), rounded.opa, rounded.ours);
    }
    for (exception, found) in &tally.excepted {
        println!(
            "known to differ: {} {}: {} {}: {}",
            found.case.name,
            found.path(),
            found.opa,
            found.ours,
            exception.why
        );
    }
    for spelling in tally.spelling.iter().take(3) {
        println!("spelled otherwise: {}: {} {}", spelling.case.name, spelling.opa, spelling.ours);
    }
    let mut last = String::new();
    let by_case = tally.differences.iter().filter(|difference| {
        let first = difference.case.name != last;
        difference.case.name.clone_into(&mut last);
        first
    });
    for difference in by_case.take(arguments.limit) {
        if arguments.shrink {
            println!("{}", shrunk(difference.clone(), &oracle()?)?);
        } else {
            println!("{difference}");
        }
    }
    println!("{tally}");
    Ok(())
}

fn oracle() -> Result<Oracle> {
    Oracle::build()?.context("this asks OPA itself: install Go, and put `go` on the PATH")
}

/// The recorded answers, or OPA's where something else is asked.
fn answers(cases: &[Case]) -> Result<Vec<Answers>> {
    match Recording::read().and_then(|recording| recording.answers(cases)) {
        Ok(answers) => Ok(answers),
        Err(error) => {
            eprintln!("{error}; asking OPA");
            Ok(oracle()?.ask(cases)?.1)
        }
    }
}

fn show(cases: &[Case], answers: &[Answers]) {
    for (case, answers) in cases.iter().zip(answers) {
        println!("=== {}", case.name);
        for module in &case.modules {
            println!("--- {} ({:?})\n{}", module.path, module.dialect, module.text.trim_end());
        }
        match answers {
            Answers::Refused { kind, message } => println!("refused: {kind}: {message}"),
            Answers::Given(rows) => {
                for (input, row) in case.inputs.iter().zip(rows) {
                    println!("--- input: {}", input.as_deref().unwrap_or("none"));
                    for (query, answer) in case.queries.iter().zip(row) {
                        println!("{}: {answer:?}", query.join("."));
                    }
                }
            }
        }
    }
}
