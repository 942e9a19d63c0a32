//! What a decision costs, in things that can be counted: calls of Envoy, WebAssembly operators, allocations, bytes of code.
//!
//! The filter runs in an interpreter that counts what it executes, before a scripted Envoy ([`envoy`]). The same module and
//! the same requests give the same figures on every machine, however busy it is, so that a change which makes a decision
//! costlier can fail a test. What was measured last is recorded, and compared ([`record`]).

pub mod envoy;
pub mod filter;
mod meter;
pub mod native;
pub mod record;
pub mod scenario;

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context as _, Result, ensure};

use self::{
    envoy::Step,
    filter::{Filter, Served},
    record::{Cost, Costs, Decision},
    scenario::Scenario,
};

/// What a scenario costs in WebAssembly, a request.
#[derive(Clone, Debug)]
pub struct Measured {
    /// What is compared.
    pub decision: Decision,
    /// The calls of Envoy up to the reply, in their order, with what was executed before each.
    pub steps: Vec<Step>,
}

/// Requests before those that are measured. They come a second apart: by then a rate limit's window of a minute is as full
/// as it gets, and what is made once is there. Fewer than the filter makes decision ids at once.
pub(crate) const BEFORE: usize = 90;
/// Requests that are measured.
pub(crate) const MEASURED: usize = 21;

/// Measures one scenario. `allocations` counts those of what it is given.
///
/// # Errors
/// When the filter does not do what the scenario says, or not the same for every request.
pub fn measure(
    filter: &Filter,
    scenario: &Scenario,
    allocations: &dyn Fn(&mut dyn FnMut()) -> u64,
) -> Result<Measured> {
    let mut worker = filter.start(&scenario.config.to_string())?;
    for _ in 0..BEFORE {
        worker.serve(scenario)?;
    }
    let mut served: Vec<Served> =
        (0..MEASURED).map(|_| worker.serve(scenario)).collect::<Result<_>>().context(scenario.name)?;
    let before_reply = cost(served.iter().map(|served| &served.before_reply))?;
    let after_reply = cost(served.iter().map(|served| &served.after_reply))?;
    served.sort_by_key(|served| operators(&served.before_reply));
    let steps = served.swap_remove(MEASURED / 2).before_reply;
    let decision =
        Decision { before_reply, after_reply, allocations: native::allocations(scenario, allocations)? };
    Ok(Measured { decision, steps })
}

/// The calls of each request, which must be the same, and the operators of the median one.
fn cost<'a>(requests: impl Iterator<Item = &'a Vec<Step>>) -> Result<Cost> {
    let mut all: Vec<(u64, BTreeMap<String, u64>)> =
        requests.map(|steps| (operators(steps), host_calls(steps))).collect();
    let host_calls = all.first().context("no request")?.1.clone();
    for (_, other) in &all {
        ensure!(*other == host_calls, "not every request is the same: {host_calls:?} and {other:?}");
    }
    all.sort_by_key(|(operators, _)| *operators);
    let operators = all.get(all.len() / 2).context("no request")?.0;
    Ok(Cost { operators, host_calls })
}

fn operators(steps: &[Step]) -> u64 {
    steps.iter().map(|step| step.operators).sum()
}

fn host_calls(steps: &[Step]) -> BTreeMap<String, u64> {
    let mut calls = BTreeMap::new();
    for step in steps.iter().filter(|step| step.calls > 0) {
        *calls.entry(step.name.clone()).or_default() += step.calls;
    }
    calls
}

/// Measures all scenarios.
///
/// # Errors
/// As [`measure`].
pub fn measure_all(
    wasm: &Path,
    allocations: &dyn Fn(&mut dyn FnMut()) -> u64,
) -> Result<(Costs, Vec<(&'static str, Measured)>)> {
    let filter = Filter::load(wasm)?;
    let scenarios = scenario::all()?;
    let measured = scenarios
        .iter()
        .map(|scenario| Ok((scenario.name, measure(&filter, scenario, allocations)?)))
        .collect::<Result<Vec<_>>>()?;
    let decisions =
        measured.iter().map(|(name, measured)| ((*name).to_owned(), measured.decision.clone())).collect();
    let memory_bytes = filter.start(&scenario::large().to_string())?.memory()?;
    Ok((Costs { wasm_bytes: filter.bytes(), memory_bytes, decisions }, measured))
}
