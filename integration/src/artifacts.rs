//! Builds what is tested, always from the sources at hand.

use std::{
    path::PathBuf,
    sync::{Mutex, OnceLock, PoisonError},
};

use anyhow::Result;
use filter_build::cargo::{build, build_wasm};

/// The filter, as `cargo wasm` builds it. `HEXR_AUTHZ_WASM` names a built one instead.
///
/// # Errors
/// When it cannot be built.
pub fn filter() -> Result<PathBuf> {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    if let Some(path) = std::env::var_os("HEXR_AUTHZ_WASM") {
        return Ok(PathBuf::from(path));
    }
    once(&BUILT, filter_build::filter)
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
    if in_wasm { build_wasm("micro") } else { build(&["build", "--release", "-p", "micro"], "micro") }
}

/// The filter that is written by hand for one rule.
///
/// # Errors
/// When it cannot be built.
pub fn by_hand() -> Result<PathBuf> {
    build_wasm("peers")
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
