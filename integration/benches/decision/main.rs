//! `cargo bench --bench decision`: what a decision costs in the core, natively and in WebAssembly, next to regorus' own
//! evaluators in the same run.
//!
//! Both targets run `integration/micro`, WebAssembly in the engine that Envoy has too (V8, in Node).

mod table;

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use integration::{artifacts, certificates::Authority, wasm_cases};

use self::table::Figures;

/// The agent that asks.
const AGENT: &str = "spiffe://hexr.cloud/agent/acme-corp/content-crew/researcher";

fn main() -> Result<()> {
    // `cargo test --benches` and tools that list tests pass arguments of their own.
    if std::env::args().any(|argument| argument == "--list" || argument == "--test") {
        return Ok(());
    }
    let certificate = Authority::new()?.svid(&[AGENT])?.certificate;
    let native = artifacts::micro(false)?;
    let wasm = artifacts::micro(true)?;
    println!("natively, nanoseconds:\n");
    Figures::read(&run(&mut Command::new(native), &certificate)?).print();
    println!("\nin WebAssembly, nanoseconds:\n");
    Figures::read(&run(&mut wasm_cases::wasi_program(&wasm)?, &certificate)?).print();
    Ok(())
}

fn run(command: &mut Command, input: &str) -> Result<String> {
    use std::io::Write as _;
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    child.stdin.take().context("there is no input")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("`micro` ended with {}", output.status);
    }
    Ok(String::from_utf8(output.stdout)?)
}
