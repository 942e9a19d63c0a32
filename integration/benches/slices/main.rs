//! `cargo bench --bench slices`: the activation of 10,000 rules with 10 MiB of data in slices, natively and in WebAssembly
//! (V8, in Node): how long all of it takes, the longest slice, and the longest way between two places where the work may
//! be interrupted.

use std::process::Command;

use anyhow::{Result, ensure};
use integration::{artifacts, wasm_cases};

fn main() -> Result<()> {
    // `cargo test --benches` and tools that list tests pass arguments of their own.
    if std::env::args().any(|argument| argument == "--list" || argument == "--test") {
        return Ok(());
    }
    let native = artifacts::micro(false)?;
    let wasm = artifacts::micro(true)?;
    println!("natively:\n");
    run(&mut Command::new(native))?;
    println!("\nin WebAssembly:\n");
    run(&mut wasm_cases::wasi_program(&wasm)?)
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.arg("slices").status()?;
    ensure!(status.success(), "`micro` ended with {status}");
    Ok(())
}
