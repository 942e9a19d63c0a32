//! What tests are run on: as `opa test` loads it, every module and every JSON and YAML file below the paths, and the
//! decision cases; or bundles.

mod bundles;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use hexr_authz_core::{
    cases::Cases,
    policy::{Data, Module},
};

use crate::source::{self, Ignored};

/// Modules, data and cases.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) modules: Vec<Module>,
    pub(crate) data: Data,
    pub(crate) cases: Vec<Cases>,
}

/// The folder of cases, and the file in it that makes it one.
const CASES: &str = "cases";
const CASES_CONFIG: &str = "config.json";

impl Loaded {
    /// Loads bundles, packed or as folders. Their signatures are not verified, as `opa test` does not.
    ///
    /// # Errors
    /// Everything that is wrong with them, a line each.
    pub(crate) fn from_bundles(paths: &[PathBuf], ignored: &Ignored) -> Result<Self, String> {
        let (modules, data) = bundles::parts(paths, ignored)?;
        Ok(Self { modules, data, cases: Vec::new() })
    }

    /// Loads files, and folders with all that is in them. Data stands at the place that its folders name.
    ///
    /// # Errors
    /// Everything that cannot be read, a line each.
    pub(crate) fn from(paths: &[PathBuf], ignored: &Ignored) -> Result<Self, String> {
        let mut loaded = Self::default();
        let mut problems = Vec::new();
        let mut case_folders: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for base in paths {
            let files = match source::files_below(base, ignored, is_known) {
                Ok(files) => files,
                Err(problem) => {
                    problems.push(problem);
                    continue;
                }
            };
            for path in files {
                if !seen.insert(shown(&path)) {
                    continue;
                }
                match case_folder(&path) {
                    Some(folder) => case_folders.entry(folder.to_owned()).or_default().push(path),
                    None => problems.extend(loaded.add(base, &path).err()),
                }
            }
        }
        for (folder, files) in case_folders {
            match read_cases(&folder, &files) {
                Ok(cases) => loaded.cases.push(cases),
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() { Ok(loaded) } else { Err(problems.join("\n")) }
    }

    fn add(&mut self, base: &Path, path: &Path) -> Result<(), String> {
        let name = shown(path);
        let text = read(path)?;
        if path.extension().is_some_and(|extension| extension == "rego") {
            self.modules.push(Module { path: name, text, dialect: None });
            return Ok(());
        }
        let inside = path.strip_prefix(base).unwrap_or(path);
        let folders: Vec<String> = inside
            .parent()
            .map(|parent| parent.iter().map(|part| part.to_string_lossy().into_owned()).collect())
            .unwrap_or_default();
        let folders: Vec<&str> = folders.iter().map(String::as_str).collect();
        let is_json = path.extension().is_some_and(|extension| extension == "json");
        let data =
            if is_json { Data::from_json_at(&text, &folders) } else { Data::from_yaml_at(&text, &folders) };
        data.and_then(|data| self.data.merge(data)).map_err(|error| format!("{name}: {error}"))
    }
}

/// Whether OPA reads files of that name.
pub(crate) fn is_known(name: &str) -> bool {
    [".rego", ".json", ".yaml", ".yml"].iter().any(|ending| name.ends_with(ending))
}

/// The folder of cases that a file stands in.
fn case_folder(path: &Path) -> Option<&Path> {
    let folder = path.parent()?;
    let is_one = folder.file_name().is_some_and(|name| name == CASES) && folder.join(CASES_CONFIG).is_file();
    (is_one && path.extension().is_some_and(|extension| extension != "rego")).then_some(folder)
}

fn read_cases(folder: &Path, files: &[PathBuf]) -> Result<Cases, String> {
    let config = folder.join(CASES_CONFIG);
    let mut texts = Vec::new();
    for path in files.iter().filter(|path| **path != config) {
        texts.push((shown(path), read(path)?));
    }
    Cases::read((&shown(&config), &read(&config)?), &texts)
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", shown(path)))
}

/// A path as messages have it.
fn shown(path: &Path) -> String {
    let path: PathBuf = path.components().collect();
    path.strip_prefix(".").unwrap_or(&path).display().to_string()
}
