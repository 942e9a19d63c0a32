//! Hexr Authz on real parts: Envoy, mTLS with SPIFFE certificates, the bundle server, HTTP.
//!
//! [`stack::Stack`] starts all of it; the demo, the scenarios under `tests` and the benchmarks are told in its terms.

pub mod agent;
pub mod artifacts;
pub mod browser;
pub mod bundle_server;
pub mod bundles;
pub mod certificates;
mod chromium_binary;
pub mod clients;
pub mod credential_exchange;
mod debian;
pub mod demo;
pub mod differential;
pub mod dns;
pub mod envoy;
pub mod envoy_binary;
pub mod envoy_config;
pub mod eventually;
pub mod guard;
pub mod kube_api;
pub mod measure;
pub mod policies;
pub mod process;
pub mod rate_limits;
mod redis_binary;
pub mod scripted_server;
pub mod stack;
pub mod wasm_cases;
mod wheel;

use std::path::{Path, PathBuf};

use anyhow::Result;

/// The root of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned).unwrap_or_default()
}

/// The build's folder.
///
/// # Errors
/// When this program's own place is not known.
pub fn target_folder() -> Result<PathBuf> {
    let executable = std::env::current_exe()?;
    let target = executable.ancestors().find(|folder| folder.join("CACHEDIR.TAG").exists());
    Ok(target.map_or_else(|| repository().join("target"), Path::to_owned))
}
