//! Runs cargo, always on the sources at hand.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::repository;

/// Builds a package for the filter's target, in the filter's profile.
///
/// # Errors
/// When it cannot be built.
pub fn build_wasm(package: &str) -> Result<PathBuf> {
    install_wasm_target()?;
    build(&["build", "--profile", "wasm", "--target", "wasm32-wasip1", "-p", package], ".wasm")
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
///
/// # Errors
/// When cargo fails, or makes no such file.
pub fn build(arguments: &[&str], ending: &str) -> Result<PathBuf> {
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
