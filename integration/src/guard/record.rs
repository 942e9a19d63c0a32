//! What was measured last, in `integration/tests/guard/expected.json`, and how it is compared.

use std::{collections::BTreeMap, fs, path::PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::repository;

/// All that is recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Costs {
    /// The size of the filter's module.
    pub wasm_bytes: u64,
    /// The memory that an instance of it has once it has loaded 10,000 rules.
    pub memory_bytes: u64,
    /// By the scenarios' names.
    pub decisions: BTreeMap<String, Decision>,
}

/// What one request of a scenario costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// Until it goes on, or is answered.
    pub before_reply: Cost,
    /// From then on: what no request waits for.
    pub after_reply: Cost,
    /// Allocations in the core, natively.
    pub allocations: u64,
}

/// What a part of it costs in WebAssembly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// WebAssembly operators that compute.
    pub operators: u64,
    /// Calls of each function of the host.
    pub host_calls: BTreeMap<String, u64>,
}

/// How much dearer than recorded is no complaint, in hundredths: libraries are compiled a little differently now and then.
const MORE_OPERATORS: u64 = 5;
/// How much cheaper is none. Beyond that the record would let too much pass.
const LESS_OPERATORS: u64 = 10;
const MORE_BYTES: u64 = 1;
const LESS_BYTES: u64 = 10;

/// The variable that has the costs recorded instead of compared.
pub const RECORD: &str = "HEXR_AUTHZ_RECORD";

fn file() -> PathBuf {
    repository().join("integration/tests/guard/expected.json")
}

// === impl Costs ===

impl Costs {
    /// What is recorded.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn recorded() -> Result<Self> {
        let text = fs::read_to_string(file()).with_context(|| format!("set {RECORD}=1 to record anew"))?;
        Ok(serde_json::from_str(&text)?)
    }

    /// Records these.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn record(&self) -> Result<()> {
        Ok(fs::write(file(), serde_json::to_string_pretty(self)? + "\n")?)
    }

    /// Where these are not what was recorded.
    pub fn complaints(&self, recorded: &Self) -> Vec<String> {
        let mut complaints = Vec::new();
        for (what, now, then) in [
            ("the module's bytes", self.wasm_bytes, recorded.wasm_bytes),
            ("bytes of memory with 10,000 rules", self.memory_bytes, recorded.memory_bytes),
        ] {
            within(what, now, then, MORE_BYTES, LESS_BYTES, &mut complaints);
        }
        for name in recorded.decisions.keys().filter(|name| !self.decisions.contains_key(*name)) {
            complaints.push(format!("{name}: it is recorded, and not measured any more"));
        }
        for (name, now) in &self.decisions {
            let Some(then) = recorded.decisions.get(name) else {
                complaints.push(format!("{name}: it is not recorded"));
                continue;
            };
            for (part, now, then) in [
                ("before the reply", &now.before_reply, &then.before_reply),
                ("after the reply", &now.after_reply, &then.after_reply),
            ] {
                let what = format!("{name}, operators {part}");
                within(&what, now.operators, then.operators, MORE_OPERATORS, LESS_OPERATORS, &mut complaints);
                let functions = now.host_calls.keys().chain(then.host_calls.keys());
                let functions: std::collections::BTreeSet<&String> = functions.collect();
                let of =
                    |cost: &Cost, function: &str| cost.host_calls.get(function).copied().unwrap_or_default();
                for function in functions {
                    let what = format!("{name}, calls of {function} {part}");
                    within(&what, of(now, function), of(then, function), 0, 0, &mut complaints);
                }
            }
            let what = format!("{name}, allocations");
            within(&what, now.allocations, then.allocations, 0, 0, &mut complaints);
        }
        complaints
    }
}

/// Complains of a figure that is not within so many hundredths above and below what was recorded.
fn within(what: &str, now: u64, then: u64, more: u64, less: u64, complaints: &mut Vec<String>) {
    let share = |hundredths: u64| then.saturating_mul(hundredths) / 100;
    if now > then.saturating_add(share(more)) {
        complaints.push(format!("{what}: {now}, more than the {then} that are recorded"));
    } else if now < then.saturating_sub(share(less)) {
        complaints.push(format!("{what}: {now}, less than the {then} that are recorded: record it anew"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn costs() -> Costs {
        let cost = |operators| Cost { operators, host_calls: [("proxy_get_property".to_owned(), 2)].into() };
        let decision = Decision { before_reply: cost(1_000), after_reply: cost(100), allocations: 7 };
        Costs {
            wasm_bytes: 4_000_000,
            memory_bytes: 30 << 20,
            decisions: [("allowed".to_owned(), decision)].into(),
        }
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut Costs, &mut Decision), expect: &[&str]) {
        let (recorded, mut now) = (costs(), costs());
        let mut decision = now.decisions["allowed"].clone();
        change(&mut now, &mut decision);
        if let Some(changed) = now.decisions.get_mut("allowed") {
            *changed = decision;
        }
        assert_eq!(now.complaints(&recorded), expect);
    }

    #[test]
    fn what_is_dearer_is_complained_of() {
        check(|_, _| {}, &[]);
        check(|_, now| now.before_reply.operators = 1_050, &[]);
        check(
            |_, now| now.before_reply.operators = 1_051,
            &["allowed, operators before the reply: 1051, more than the 1000 that are recorded"],
        );
        check(
            |_, now| now.after_reply.operators = 106,
            &["allowed, operators after the reply: 106, more than the 100 that are recorded"],
        );
        check(|_, now| now.allocations = 8, &["allowed, allocations: 8, more than the 7 that are recorded"]);
        check(
            |_, now| *now.before_reply.host_calls.entry("proxy_get_property".to_owned()).or_default() += 1,
            &["allowed, calls of proxy_get_property before the reply: 3, more than the 2 that are recorded"],
        );
        check(
            |_, now| *now.after_reply.host_calls.entry("proxy_log".to_owned()).or_default() += 1,
            &["allowed, calls of proxy_log after the reply: 1, more than the 0 that are recorded"],
        );
        check(|now, _| now.wasm_bytes = 4_040_000, &[]);
        check(
            |now, _| now.wasm_bytes = 4_040_001,
            &["the module's bytes: 4040001, more than the 4000000 that are recorded"],
        );
        check(
            |now, _| now.memory_bytes = 31 << 20,
            &["bytes of memory with 10,000 rules: 32505856, more than the 31457280 that are recorded"],
        );
    }

    #[test]
    fn what_is_much_cheaper_is_to_be_recorded() {
        check(|_, now| now.before_reply.operators = 900, &[]);
        check(
            |_, now| now.before_reply.operators = 899,
            &[
                "allowed, operators before the reply: 899, less than the 1000 that are recorded: record it anew",
            ],
        );
        check(
            |_, now| now.allocations = 6,
            &["allowed, allocations: 6, less than the 7 that are recorded: record it anew"],
        );
        check(
            |_, now| now.before_reply.host_calls.clear(),
            &[
                "allowed, calls of proxy_get_property before the reply: 0, less than the 2 that are recorded: record it anew",
            ],
        );
    }

    #[test]
    fn what_is_measured_is_what_is_recorded() {
        check(
            |now, _| {
                now.decisions.clear();
            },
            &["allowed: it is recorded, and not measured any more"],
        );
        check(
            |now, decision| drop(now.decisions.insert("denied".to_owned(), decision.clone())),
            &["denied: it is not recorded"],
        );
    }
}
