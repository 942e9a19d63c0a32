//! Our evaluator answers what OPA answers: over the edge cases, and over thousands of generated policies.

use std::{env, ops::Range};

use integration::differential::{
    Case, Oracle, RECORDED_SEEDS, Recording, Tally, compare_all, edge_cases, generated,
};

/// How many policies that OPA takes may be refused when they are loaded.
const MOST_REFUSED: usize = 0;

/// How many answers may be spelled otherwise, as `1` for `1.0`.
const MOST_SPELLED_OTHERWISE: usize = 0;

/// The seeds of the live comparison, unless `DIFFERENTIAL_SEED` names the first.
const LIVE_SEEDS: Range<u64> = 1_000_000..1_000_500;

#[track_caller]
fn check(tally: &Tally) {
    println!("{tally}");
    for (name, reason) in &tally.refused {
        println!("refused only here: {name}: {reason}");
    }
    for difference in tally.differences.iter().chain(&tally.spelling).take(20) {
        println!("{difference}");
    }
    assert_eq!(tally.differences.len(), 0, "answers are not OPA's");
    assert!(
        tally.refused.len() <= MOST_REFUSED,
        "{} policies are refused that OPA takes",
        tally.refused.len()
    );
    assert!(tally.spelling.len() <= MOST_SPELLED_OTHERWISE, "{} numbers", tally.spelling.len());
}

fn recorded(cases: &[Case]) -> Tally {
    compare_all(cases, &Recording::read().unwrap().answers(cases).unwrap())
}

#[test]
fn edge_cases_are_answered_as_by_opa() {
    check(&recorded(&edge_cases().unwrap()));
}

#[test]
fn generated_policies_are_answered_as_by_opa() {
    check(&recorded(&generated(RECORDED_SEEDS)));
}

#[test]
fn generated_policies_are_mostly_ones_that_opa_takes() {
    let answers = Recording::read().unwrap().answers(&generated(RECORDED_SEEDS)).unwrap();
    let refused = answers.iter().filter(|answers| answers.is_refusal()).count();
    assert!(refused * 100 < answers.len() * 15, "OPA refuses {refused} of {}", answers.len());
}

#[test]
fn a_live_opa_is_answered_as_well() {
    let Some(oracle) = Oracle::build().unwrap() else {
        println!("there is no Go here, and so no OPA");
        return;
    };
    let seeds = match env::var("DIFFERENTIAL_SEED") {
        Ok(first) => {
            let first = first.parse().unwrap();
            first..first + 500
        }
        Err(_) => LIVE_SEEDS,
    };
    let cases = generated(seeds);
    check(&compare_all(&cases, &oracle.ask(&cases).unwrap().1));
}

#[test]
fn the_records_are_what_opa_answers() {
    let Some(oracle) = Oracle::build().unwrap() else {
        println!("there is no Go here, and so no OPA");
        return;
    };
    let recording = Recording::read().unwrap();
    let cases: Vec<Case> =
        edge_cases().unwrap().into_iter().chain(generated(RECORDED_SEEDS)).step_by(7).collect();
    let (version, answers) = oracle.ask(&cases).unwrap();
    assert_eq!(version, recording.version, "record anew: see `integration::differential`");
    for (case, (live, kept)) in cases.iter().zip(answers.iter().zip(recording.answers(&cases).unwrap())) {
        assert!(live.are_recorded_as(&kept), "{}: {live:?} is recorded as {kept:?}", case.name);
    }
}
