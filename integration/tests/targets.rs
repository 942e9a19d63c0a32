//! An answer does not depend on the target: the differential cases are answered inside WebAssembly, as it is shipped and
//! without a system, just as they are here.

use std::path::PathBuf;

use anyhow::Result;
use integration::{
    differential::{edge_cases, generated},
    wasm_cases::{Target, run, write_answered},
};

/// All edge cases, and some of the generated ones.
fn answered() -> Result<PathBuf> {
    let mut cases = edge_cases()?;
    assert!(cases.len() > 100, "{}", cases.len());
    cases.extend(generated(0..300));
    write_answered(&cases)
}

#[test]
fn answers_do_not_depend_on_the_target() -> Result<()> {
    // One after the other: the build and the file are the same.
    let answered = answered()?;
    for target in [Target::Wasi, Target::Unknown] {
        run(target, &answered)?;
    }
    Ok(())
}
