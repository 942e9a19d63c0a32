//! Builds the filter as it is shipped, small.
//!
//! The profile `wasm` of the workspace makes small what no request waits for, and Binaryen's `wasm-opt` takes out what the
//! compiler leaves: less to send to each Envoy, and less machine code in it.

pub mod cargo;
pub mod debian;
mod wasm_opt;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// Where the filter is to be found below the target folder.
const PLACE: &str = "wasm32-wasip1/release/hexr_authz_filter.wasm";

/// Builds the filter, and says where it is.
///
/// # Errors
/// When it cannot be built.
pub fn filter() -> Result<PathBuf> {
    let built = unoptimized()?;
    let place = target_folder()?.join(PLACE);
    fs::create_dir_all(place.parent().context("the target folder")?)?;
    let unfinished = place.with_extension("unfinished");
    // A copy, because cargo links its own file there when it builds that profile.
    fs::copy(wasm_opt::optimized(&built)?, &unfinished)?;
    fs::rename(unfinished, &place)?;
    Ok(place)
}

/// Builds the filter as it is before `wasm-opt`.
///
/// # Errors
/// When it cannot be built.
pub fn unoptimized() -> Result<PathBuf> {
    cargo::build_wasm("hexr-authz-filter")
}

/// The root of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).map(Path::to_owned).unwrap_or_default()
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
