//! Times decisions of the core, natively or in WebAssembly, next to regorus' interpreter and virtual machine.
//!
//! Reads an agent's certificate in PEM from its input, and prints a line for each figure: its name, a tab, nanoseconds.
//! `cargo bench -p integration --bench decision` builds it for both targets, runs it, and makes a table of it. With the
//! argument `derivations` it reads requests and times those (`--bench derivation`); with `slices` it reads nothing, and times
//! the activation of a large bundle (`--bench slices`).

mod derivations;
mod peers;
mod policies;
mod slices;
mod whole;

use std::{
    hint::black_box,
    io::Read as _,
    time::{Duration, Instant},
};

use anyhow::Result;
use hexr_authz_core::policy::{Data, Input, Library, Module};

use self::{
    peers::{Interpreter, Machine},
    policies::{Policy, SIZES, grants, rules, small},
    whole::Whole,
};

/// How long one figure is measured at a time.
const SLICE: Duration = Duration::from_millis(20);
/// How often; the figure is the median.
const SLICES: usize = 9;

fn main() -> Result<()> {
    if std::env::args().nth(1).as_deref() == Some("slices") {
        return slices::time();
    }
    let mut input = String::new();
    std::io::stdin().read_to_string(&mut input)?;
    if std::env::args().nth(1).as_deref() == Some("derivations") {
        return derivations::time(&input);
    }
    let pem = input;
    whole_decisions(&pem)?;
    compare("small policy", &small())?;
    for size in SIZES {
        compare(&format!("{size} rules"), &rules(size))?;
    }
    for entries in [10, 1_000, 100_000] {
        compare(&format!("{entries} grants in data"), &grants(entries))?;
    }
    Ok(())
}

/// A request's whole way through the core, and the policy's part of it.
fn whole_decisions(pem: &str) -> Result<()> {
    for (name, policy) in [
        ("remembered", "allow if input.role in {\"editor\", \"researcher\"}"),
        ("evaluated", "allow if { input.role in {\"editor\", \"researcher\"}; input.timestamp != \"\" }"),
    ] {
        let whole = Whole::new(policy)?;
        let peer = whole.peer(pem);
        figure(&format!("whole decision, {name}"), || whole.decide(&peer));
        figure(&format!("policy's part, {name}"), whole.policy(&peer)?);
    }
    Ok(())
}

fn compare(name: &str, policy: &Policy) -> Result<()> {
    let modules = [Module { path: "policy.rego".to_owned(), text: policy.module.clone(), dialect: None }];
    let started = Instant::now();
    let library = Library::compile(&modules, &Data::from_json(&policy.data)?)?;
    print(&format!("{name}: compile"), started.elapsed().as_nanos());
    let input = Input::from_json(&policy.input)?;
    let entry = library.rule(&["p", "allow"]);
    for (way, is_indexed) in [("ours", true), ("ours without index", false)] {
        assert_eq!(library.is_true(entry, &input, 0, is_indexed), Ok(true), "{name}");
        figure(&format!("{name}: {way}"), || library.is_true(entry, &input, 0, is_indexed));
    }
    let mut interpreter = Interpreter::new(policy)?;
    assert!(interpreter.is_true()?, "{name}");
    figure(&format!("{name}: regorus interpreter"), || interpreter.is_true());
    match Machine::new(policy) {
        Ok(mut machine) => {
            assert!(machine.is_true()?, "{name}");
            figure(&format!("{name}: regorus machine"), || machine.is_true());
        }
        Err(_) => println!("{name}: regorus machine\trefused"),
    }
    Ok(())
}

/// Prints the median time of one call.
fn figure<T>(name: &str, mut call: impl FnMut() -> T) {
    let mut slices: Vec<u128> = (0..SLICES)
        .map(|_| {
            let started = Instant::now();
            let mut calls = 0_u32;
            while started.elapsed() < SLICE {
                for _ in 0..16 {
                    black_box(call());
                }
                calls += 16;
            }
            started.elapsed().as_nanos() / u128::from(calls.max(1))
        })
        .collect();
    slices.sort_unstable();
    print(name, slices.get(SLICES / 2).copied().unwrap_or_default());
}

fn print(name: &str, nanoseconds: u128) {
    println!("{name}\t{nanoseconds}");
}
