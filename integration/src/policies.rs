//! A folder of policies that a test or the demo edits while it is served.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::repository;

/// The folder.
#[derive(Clone, Debug)]
pub struct Policies {
    folder: PathBuf,
}

impl Policies {
    /// Copies the shipped policies into `folder`.
    ///
    /// # Errors
    /// When a file cannot be copied.
    pub fn shipped(folder: &Path) -> Result<Self> {
        copy(&repository().join("policies"), folder)?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// Begins with one module.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn of(folder: &Path, module: &str) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let policies = Self { folder: folder.to_owned() };
        policies.write("authz.rego", module)?;
        Ok(policies)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes a file in one step, as a deployment does.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, name: &str, content: &str) -> Result<()> {
        let path = self.folder.join(name);
        let unfinished = path.with_extension("unfinished");
        fs::write(&unfinished, content)?;
        Ok(fs::rename(unfinished, path)?)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(&self, name: &str) -> Result<String> {
        fs::read_to_string(self.folder.join(name)).context(name.to_owned())
    }
}

/// The texts of all files below `folder` whose names end so, by their paths in it.
///
/// # Errors
/// When one cannot be read.
pub fn files_below(folder: &Path, ending: &str) -> Result<BTreeMap<String, String>> {
    let mut texts = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(current) = folders.pop() {
        for entry in fs::read_dir(&current)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                let name = path.strip_prefix(folder)?.to_string_lossy().into_owned();
                texts.insert(name, fs::read_to_string(&path)?);
            }
        }
    }
    Ok(texts)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
