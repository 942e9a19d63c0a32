//! The last good bundles on disk, for a restart while their source is away.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

/// A folder with bundles as they are packed, not signed: `NAME.tar.gz` and `tenants/NAME.tar.gz`.
#[derive(Clone, Debug)]
pub(super) struct Shelf(PathBuf);

const ENDING: &str = ".tar.gz";
const TENANTS: &str = "tenants";

// === impl Shelf ===

impl Shelf {
    pub(super) fn open(folder: &Path) -> Result<Self, String> {
        fs::create_dir_all(folder.join(TENANTS))
            .map_err(|error| format!("--persist: {}: {error}", folder.display()))?;
        Ok(Self(folder.to_owned()))
    }

    /// Keeps a bundle. Whatever happens meanwhile, this one or the one before is there afterwards.
    pub(super) fn keep(&self, name: &str, bundle: &[u8]) -> Result<(), String> {
        let path = self.path(name);
        if fs::read(&path).is_ok_and(|kept| kept == bundle) {
            return Ok(());
        }
        replace(&path, bundle).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// What was kept under that name.
    pub(super) fn kept(&self, name: &str) -> Result<Option<Vec<u8>>, String> {
        let path = self.path(name);
        match fs::read(&path) {
            Ok(bundle) => Ok(Some(bundle)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("{}: {error}", path.display())),
        }
    }

    pub(super) fn remove(&self, name: &str) {
        // What is not there need not go.
        let _ = fs::remove_file(self.path(name));
    }

    /// The tenants whose bundles are kept.
    pub(super) fn tenants(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.0.join(TENANTS)) else { return Vec::new() };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        names.filter_map(|name| name.strip_suffix(ENDING).map(str::to_owned)).collect()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}{ENDING}"))
    }
}

fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(path);
    let mut unfinished = NamedTempFile::new_in(folder)?;
    unfinished.write_all(content)?;
    unfinished.as_file().sync_all()?;
    unfinished.persist(path)?;
    // The name, too, must outlast a power cut.
    File::open(folder)?.sync_all()
}
