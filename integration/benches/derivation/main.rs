//! `cargo bench --bench derivation`: what the derivation of service and action costs for every operation of AWS and every
//! method of Google, natively and in WebAssembly (V8, in Node).
//!
//! The requests are those that `cargo test -p hexr-authz-core --test catalog` has the clouds' own clients make.

use std::{
    fs::{self, File},
    path::Path,
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use integration::{artifacts, target_folder, wasm_cases};

fn main() -> Result<()> {
    // `cargo test --benches` and tools that list tests pass arguments of their own.
    if std::env::args().any(|argument| argument == "--list" || argument == "--test") {
        return Ok(());
    }
    let folder = target_folder()?.join("catalog");
    let native = artifacts::micro(false)?;
    let wasm = artifacts::micro(true)?;
    for cloud in ["aws", "google"] {
        let requests = folder.join(format!("{cloud}_requests.jsonl"));
        ensure!(
            requests.exists(),
            "run `cargo test -p hexr-authz-core --test catalog` first: it makes the requests"
        );
        println!("{cloud}, natively, nanoseconds:\n");
        run(Command::new(&native).arg("derivations"), &requests)?;
        println!("\n{cloud}, in WebAssembly, nanoseconds:\n");
        run(wasm_cases::wasi_program(&wasm)?.arg("derivations"), &requests)?;
        println!();
    }
    Ok(())
}

fn run(command: &mut Command, requests: &Path) -> Result<()> {
    let input = File::open(requests).with_context(|| requests.display().to_string())?;
    ensure!(fs::metadata(requests)?.len() > 0, "there are no requests");
    let status = command.stdin(input).status()?;
    ensure!(status.success(), "`micro` ended with {status}");
    Ok(())
}
