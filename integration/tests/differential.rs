//! Our evaluator answers what OPA answers: over the edge cases, over generated policies, and, where there is Go, over
//! policies that are generated anew and over the cases that OPA's authors wrote.

use std::{env, ops::Range};

use anyhow::Result;
use integration::differential::{
    Case, Oracle, RECORDED_SEEDS, Recording, Tally, compare_all, edge_cases, generated,
};

/// The seeds of the live comparison, unless `DIFFERENTIAL_SEED` names the first.
const LIVE_SEEDS: Range<u64> = 1_000_000..1_000_500;

/// What may be otherwise than in OPA.
struct Most {
    /// Policies that OPA takes and that are refused when they are loaded.
    refused: usize,
    /// Numbers that are the same, and spelled otherwise: `1` for `1.0`.
    spelled_otherwise: usize,
}

#[track_caller]
fn check(tally: &Tally, most: &Most) {
    println!("{tally}");
    for (name, reason) in &tally.refused {
        println!("refused only here: {name}: {reason}");
    }
    for difference in tally.differences.iter().chain(&tally.spelling).take(20) {
        println!("{difference}");
    }
    assert_eq!(tally.differences.len(), 0, "answers are not OPA's");
    assert!(
        tally.refused.len() <= most.refused,
        "{} policies are refused that OPA takes",
        tally.refused.len()
    );
    assert!(
        tally.spelling.len() <= most.spelled_otherwise,
        "{} numbers are spelled otherwise",
        tally.spelling.len()
    );
}

fn recorded(cases: &[Case]) -> Result<Tally> {
    Ok(compare_all(cases, &Recording::read()?.answers(cases)?))
}

/// OPA itself, where it can be built.
fn live() -> Result<Option<Oracle>> {
    let oracle = Oracle::build()?;
    if oracle.is_none() {
        println!("there is no Go here, and so no OPA");
    }
    Ok(oracle)
}

#[test]
fn edge_cases_are_answered_as_by_opa() -> Result<()> {
    check(&recorded(&edge_cases()?)?, &Most { refused: 0, spelled_otherwise: 0 });
    Ok(())
}

#[test]
fn generated_policies_are_answered_as_by_opa() -> Result<()> {
    check(&recorded(&generated(RECORDED_SEEDS))?, &Most { refused: 0, spelled_otherwise: 0 });
    Ok(())
}

#[test]
fn generated_policies_are_mostly_ones_that_opa_takes() -> Result<()> {
    let answers = Recording::read()?.answers(&generated(RECORDED_SEEDS))?;
    let refused = answers.iter().filter(|answers| answers.is_refusal()).count();
    assert!(refused * 100 < answers.len() * 15, "OPA refuses {refused} of {}", answers.len());
    Ok(())
}

#[test]
fn a_live_opa_is_answered_as_well() -> Result<()> {
    let Some(oracle) = live()? else { return Ok(()) };
    let seeds = match env::var("DIFFERENTIAL_SEED") {
        Ok(first) => {
            let first = first.parse()?;
            first..first + 500
        }
        Err(_) => LIVE_SEEDS,
    };
    let cases = generated(seeds);
    check(&compare_all(&cases, &oracle.ask(&cases)?.1), &Most { refused: 0, spelled_otherwise: 0 });
    Ok(())
}

#[test]
fn opas_own_cases_are_answered_as_by_opa() -> Result<()> {
    let Some(oracle) = live()? else { return Ok(()) };
    let cases = oracle.conformance_cases()?;
    assert!(cases.len() > 4000, "{} cases are found", cases.len());
    check(&compare_all(&cases, &oracle.ask(&cases)?.1), &Most { refused: 0, spelled_otherwise: 0 });
    Ok(())
}

#[test]
fn the_records_are_what_opa_answers() -> Result<()> {
    let Some(oracle) = live()? else { return Ok(()) };
    let recording = Recording::read()?;
    let cases: Vec<Case> = edge_cases()?.into_iter().chain(generated(RECORDED_SEEDS)).step_by(7).collect();
    let (version, answers) = oracle.ask(&cases)?;
    assert_eq!(version, recording.version, "record anew: see `integration::differential`");
    for (case, (live, kept)) in cases.iter().zip(answers.iter().zip(recording.answers(&cases)?)) {
        assert!(live.are_recorded_as(&kept), "{}: {live:?} is recorded as {kept:?}", case.name);
    }
    Ok(())
}
