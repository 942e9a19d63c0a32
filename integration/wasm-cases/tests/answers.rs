//! Asks again what was answered natively. Nothing is here on a machine: there the answers are made.

#![cfg(target_family = "wasm")]

use wasm_cases::Answered;

/// Written by `integration/tests/targets.rs`.
const ANSWERED: &str = include_str!(env!("HEXR_AUTHZ_CASES"));

#[cfg_attr(target_os = "unknown", wasm_bindgen_test::wasm_bindgen_test)]
#[cfg_attr(not(target_os = "unknown"), test)]
fn answers_do_not_depend_on_the_target() {
    let answered: Vec<Answered> = serde_json::from_str(ANSWERED).unwrap();
    assert!(answered.len() > 100, "only {} cases", answered.len());
    let mut differing = Vec::new();
    for Answered { case, answers } in &answered {
        let here = case.answers();
        if here != *answers {
            differing.push(format!("{}: {here:?}, natively {answers:?}", case.name));
        }
    }
    assert!(differing.is_empty(), "{} of {}:\n{}", differing.len(), answered.len(), differing.join("\n"));
}
