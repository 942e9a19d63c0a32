//! Our evaluator answers what OPA answers: over the edge cases, over generated policies, and, where there is Go, over
//! policies that are generated anew and over the cases that OPA's authors wrote.

use std::{env, ops::Range};

use anyhow::Result;
use integration::differential::{
    Case, EXCEPTIONS, Oracle, RECORDED_SEEDS, Recording, Tally, compare_all, edge_cases, generated,
};

/// The seeds of the live comparison, unless `DIFFERENTIAL_SEED` names the first.
const LIVE_SEEDS: Range<u64> = 1_000_000..1_000_500;

/// What may be otherwise than in OPA. All of it denies, or is a number.
#[derive(Default)]
struct Most {
    /// Policies that OPA takes and that are refused when they are loaded.
    refused: usize,
    /// Numbers that are the same, and spelled otherwise: `1` for `1.0`.
    spelled_otherwise: usize,
    /// Numbers that are OPA's, rounded to 64 bits.
    rounded: usize,
    /// Errors where OPA has a value, or none.
    errors: usize,
}

#[track_caller]
fn check(cases: &[Case], tally: &Tally, most: &Most) {
    println!("{tally}");
    for difference in tally.differences.iter().take(20) {
        println!("{difference}");
    }
    assert_eq!(tally.differences.len(), 0, "answers are not OPA's");
    for exception in
        EXCEPTIONS.iter().filter(|exception| cases.iter().any(|case| case.name == exception.case))
    {
        let differs = tally.excepted.iter().any(|(known, _)| known.case == exception.case);
        assert!(differs, "{}: the answers are the same: take the exception out", exception.case);
    }
    let errors = tally.errors_only_here.values().map(Vec::len).sum();
    for (what, count, most) in [
        ("policies are refused", tally.refused.len(), most.refused),
        ("numbers are spelled otherwise", tally.spelling.len(), most.spelled_otherwise),
        ("numbers are rounded", tally.rounded.len(), most.rounded),
        ("answers are errors", errors, most.errors),
    ] {
        assert!(count <= most, "{count} {what}, {most} are known");
    }
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
    let cases = edge_cases()?;
    let most = Most { refused: 39, spelled_otherwise: 144, rounded: 82, errors: 120 };
    check(&cases, &recorded(&cases)?, &most);
    Ok(())
}

#[test]
fn generated_policies_are_answered_as_by_opa() -> Result<()> {
    let cases = generated(RECORDED_SEEDS);
    let most = Most { refused: 39, spelled_otherwise: 144, rounded: 82, errors: 298 };
    check(&cases, &recorded(&cases)?, &most);
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
    let most = Most { refused: 10, spelled_otherwise: 60, rounded: 60, errors: 150 };
    check(&cases, &compare_all(&cases, &oracle.ask(&cases)?.1), &most);
    Ok(())
}

#[test]
fn opas_own_cases_are_answered_as_by_opa() -> Result<()> {
    let Some(oracle) = live()? else { return Ok(()) };
    let cases = oracle.conformance_cases()?;
    assert!(cases.len() > 4000, "{} cases are found", cases.len());
    // Most are for builtins that are not here, and for syntax of later versions.
    let most = Most { refused: 798, spelled_otherwise: 38, rounded: 0, errors: 40 };
    check(&cases, &compare_all(&cases, &oracle.ask(&cases)?.1), &most);
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
