//! No decision has become costlier: what is counted of it is what is recorded in `guard/expected.json`.
//!
//! Nothing here depends on how fast or how busy the machine is. `HEXR_AUTHZ_RECORD=1 cargo test --test guard` records
//! anew; `cargo test --test guard -- --nocapture` shows what each decision spends, and on what.

use std::sync::{Mutex, PoisonError};

use anyhow::{Result, anyhow};
use integration::{
    artifacts,
    guard::{
        Measured,
        envoy::Step,
        filter::Filter,
        measure, measure_all,
        record::{Costs, RECORD},
        scenario::{self, FEW_RULES, FIRST, MANY_RULES},
    },
};

/// Measured once for all tests.
fn measured() -> Result<Costs> {
    static MEASURED: Mutex<Option<Costs>> = Mutex::new(None);
    let mut measured = MEASURED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(costs) = &*measured {
        return Ok(costs.clone());
    }
    let count = |work: &mut dyn FnMut()| allocation_counter::measure(work).count_total;
    let (costs, decisions) = measure_all(&artifacts::filter()?, &count)?;
    for (name, decision) in decisions {
        show(name, &decision);
    }
    Ok(measured.insert(costs).clone())
}

/// What a decision executes, and for what: what is executed between two calls of Envoy is named by the second one.
fn show(name: &str, measured: &Measured) {
    let decision = &measured.decision;
    let all: u64 = measured.steps.iter().map(|step| step.operators).sum();
    let calls: u64 = decision.before_reply.host_calls.values().sum();
    println!(
        "{name}: {all} operators, {calls} host calls, {} allocations; after the reply {} operators, {} host calls",
        decision.allocations,
        decision.after_reply.operators,
        decision.after_reply.host_calls.values().sum::<u64>(),
    );
    for Step { name, calls, operators } in &measured.steps {
        println!("    {operators:>9} {:>3} %  {calls:>2} × {name}", operators * 100 / all.max(1));
    }
}

#[test]
fn no_decision_has_become_costlier() -> Result<()> {
    let measured = measured()?;
    if std::env::var_os(RECORD).is_some() {
        return measured.record();
    }
    let complaints = measured.complaints(&Costs::recorded()?);
    assert!(
        complaints.is_empty(),
        "{}\nWhere that is as it should be: {RECORD}=1 cargo test --test guard",
        complaints.join("\n")
    );
    Ok(())
}

#[test]
fn more_rules_do_not_make_a_decision_costlier() -> Result<()> {
    let measured = measured()?;
    let operators = |name: &str| {
        let decision = measured.decisions.get(name).ok_or_else(|| anyhow!("{name} is not measured"));
        decision.map(|decision| decision.before_reply.operators)
    };
    let (few, many) = (operators(FEW_RULES)?, operators(MANY_RULES)?);
    assert!(many * 2 < few * 3, "{many} operators with 1,000 rules, {few} with 10");
    Ok(())
}

/// The same requests of another certificate, in a filter that is started anew, execute just as much, or the comparison
/// would say nothing.
#[test]
fn the_same_requests_cost_the_same() -> Result<()> {
    let (measured, filter) = (measured()?, Filter::load(&artifacts::filter()?)?);
    let uncounted = |work: &mut dyn FnMut()| {
        work();
        0
    };
    for scenario in scenario::all()?.iter().filter(|scenario| [FIRST, FEW_RULES].contains(&scenario.name)) {
        let again = measure(&filter, scenario, &uncounted)?.decision;
        let first = &measured.decisions[scenario.name];
        assert_eq!(again.before_reply, first.before_reply, "{}", scenario.name);
        assert_eq!(again.after_reply, first.after_reply, "{}", scenario.name);
    }
    Ok(())
}
