//! Builds what is tested, always from the sources at hand.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    sync::{Mutex, OnceLock, PoisonError},
};

use anyhow::{Context, Result, bail};

use crate::repository;

/// The filter, as `cargo wasm` builds it. `HEXR_AUTHZ_WASM` names a built one instead.
///
/// # Errors
/// When it cannot be built.
pub fn filter() -> Result<PathBuf> {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    if let Some(path) = std::env::var_os("HEXR_AUTHZ_WASM") {
        return Ok(PathBuf::from(path));
    }
    once(&BUILT, || {
        install_wasm_target()?;
        build(&["build", "--release", "--target", "wasm32-wasip1", "-p", "hexr-authz-filter"], ".wasm")
    })
}

/// The operator's tool, as fast as the benchmark that asks for it, or as soon built as a test.
///
/// # Errors
/// When it cannot be built.
pub fn cli() -> Result<PathBuf> {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    once(&BUILT, || program("hexr-authz"))
}

/// The rate limit service.
///
/// # Errors
/// When it cannot be built.
pub fn rate_limit_service() -> Result<PathBuf> {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    once(&BUILT, || program("rate-limit-service"))
}

/// What times the core's decisions, natively or for the filter's target.
///
/// # Errors
/// When it cannot be built.
pub fn micro(in_wasm: bool) -> Result<PathBuf> {
    if in_wasm {
        install_wasm_target()?;
        return build(&["build", "--release", "--target", "wasm32-wasip1", "-p", "micro"], ".wasm");
    }
    build(&["build", "--release", "-p", "micro"], "micro")
}

/// The filter that is written by hand for one rule.
///
/// # Errors
/// When it cannot be built.
pub fn by_hand() -> Result<PathBuf> {
    install_wasm_target()?;
    build(&["build", "--release", "--target", "wasm32-wasip1", "-p", "peers"], ".wasm")
}

/// A program of the workspace's default members. They are all chosen, as by `cargo test`, so that nothing is compiled
/// again with other features.
fn program(name: &str) -> Result<PathBuf> {
    let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
    build(&["build", "--profile", profile, "--bin", name], name)
}

fn once(built: &OnceLock<PathBuf>, make: impl FnOnce() -> Result<PathBuf>) -> Result<PathBuf> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(path) = built.get() {
        return Ok(path.clone());
    }
    let path = make()?;
    Ok(built.get_or_init(|| path).clone())
}

/// Rustup installs the target that `rust-toolchain.toml` names, unless it found the toolchain there without it.
fn install_wasm_target() -> Result<()> {
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).current_dir(repository()).output()?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&sysroot.stdout).trim());
    if sysroot.join("lib/rustlib/wasm32-wasip1").exists() {
        return Ok(());
    }
    let status =
        Command::new("rustup").args(["target", "add", "wasm32-wasip1"]).current_dir(repository()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(_) | Err(_) => {
            bail!("`rustup target add wasm32-wasip1` failed: install that target for the toolchain in use")
        }
    }
}

/// Runs cargo, with its progress on the terminal, and finds what it made by the end of the file's name.
fn build(arguments: &[&str], ending: &str) -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // What cargo told this program of its own package is not about the one to be built, and makes build scripts that look at
    // it run again.
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_about_a_package(&name.to_string_lossy())) {
        command.env_remove(name);
    }
    let output = command
        .args(arguments)
        .arg("--message-format=json-render-diagnostics")
        .current_dir(repository())
        .stderr(Stdio::inherit())
        .output()
        .context("cargo cannot be started")?;
    if !output.status.success() {
        bail!("`cargo {}` failed", arguments.join(" "));
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let artifacts = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut files = artifacts.flat_map(|message| {
        let files = message.get("filenames").and_then(|files| files.as_array()).cloned().unwrap_or_default();
        files.into_iter().filter_map(|file| file.as_str().map(PathBuf::from))
    });
    files
        .rfind(|file| file.file_name().is_some_and(|name| name.to_string_lossy().ends_with(ending)))
        .with_context(|| format!("`cargo {}` made no file `{ending}`", arguments.join(" ")))
}

fn is_about_a_package(variable: &str) -> bool {
    ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"]
        .iter()
        .any(|beginning| variable.starts_with(beginning))
        || variable == "OUT_DIR"
}
