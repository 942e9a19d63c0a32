//! Bundles as `opa test -b` loads them.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use hexr_authz_core::{
    bundle::{Bundle, BundleError, BundleSet, SourceFile, unpack_unverified},
    policy::{Data, Module},
};

use super::shown;
use crate::source::{self, Ignored};

/// The modules and the data of bundles. Modules have the bundle in their paths, which tells one of them from another.
pub(super) fn parts(paths: &[PathBuf], ignored: &Ignored) -> Result<(Vec<Module>, Data), String> {
    let mut problems = Vec::new();
    let mut bundles = Vec::new();
    let mut seen = BTreeSet::new();
    for path in paths.iter().filter(|path| seen.insert(shown(path))) {
        match read(path, ignored) {
            // As OPA has it: the name by which a policy finds the manifest is the path as it was given.
            Ok(bundle) => bundles.push((path.display().to_string(), bundle)),
            Err(problem) => {
                problems.extend(problem.lines().map(|line| format!("{}: {line}", path.display())))
            }
        }
    }
    if !problems.is_empty() {
        return Err(problems.join("\n"));
    }
    BundleSet::new(bundles).into_parts()
}

fn read(path: &Path, ignored: &Ignored) -> Result<Bundle, String> {
    let files = if path.is_dir() {
        let paths = source::files_below(path, ignored, source::belongs)?;
        paths.iter().map(|file| source_file(path, file)).collect::<Result<_, _>>()?
    } else {
        let bytes = fs::read(path).map_err(|error| error.to_string())?;
        unpack_unverified(&bytes, source::LIMITS).map_err(|error| error.to_string())?
    };
    let files = files.into_iter().filter(|file| ignored.leaves(&file.path)).collect();
    let mut bundle = Bundle::from_sources(files).map_err(|error: BundleError| error.to_string())?;
    for module in &mut bundle.modules {
        module.path = shown(&path.join(&module.path));
    }
    Ok(bundle)
}

fn source_file(base: &Path, path: &Path) -> Result<SourceFile, String> {
    let inside = path.strip_prefix(base).unwrap_or(path);
    let segments: Vec<_> = inside.iter().map(|segment| segment.to_string_lossy()).collect();
    let content = fs::read(path).map_err(|error| error.to_string())?;
    Ok(SourceFile { path: segments.join("/"), content })
}
