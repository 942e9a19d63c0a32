//! Makes a bundle of source files: the same bytes for the same files.

use std::{collections::BTreeSet, io::Write};

use flate2::{Compression, GzBuilder};

use super::{Bundle, Manifest};
use crate::policy::module_package;

/// One file that goes into a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Its path in the bundle, with `/` between segments.
    pub path: String,
    /// Its content.
    pub content: Vec<u8>,
}

/// Packs `files` with a manifest that names the revision and, explicitly, the roots that the packages and the data
/// need. A `.manifest` among the files gives what is not derived: metadata, versions, its own roots.
///
/// # Errors
/// Everything that is wrong with the files.
pub fn pack(files: &[SourceFile], revision: &str) -> Result<Vec<u8>, String> {
    let sources = files.iter().map(|file| (file.path.clone(), file.content.clone())).collect();
    let bundle = Bundle::from_files(&sources).map_err(|error| error.to_string())?;
    let mut manifest = bundle.manifest.clone();
    manifest.revision = revision.to_owned();
    if manifest.roots == Manifest::default().roots {
        manifest.roots = roots(&bundle)?;
    }
    write(files, &manifest).map_err(|error| format!("the bundle cannot be written: {error}"))
}

/// The fewest roots that own every package and every datum, none within another.
fn roots(bundle: &Bundle) -> Result<Vec<String>, String> {
    let mut paths = BTreeSet::new();
    for module in &bundle.modules {
        paths.insert(module_package(module).map_err(|error| error.to_string())?);
    }
    // A datum is owned through the object that holds it, so that a new key next to it needs no new root.
    paths.extend(bundle.data.leaves().into_iter().filter_map(|mut leaf| {
        if leaf.len() > 1 {
            leaf.pop();
        }
        (!leaf.is_empty()).then_some(leaf)
    }));
    let minimal =
        paths.iter().filter(|path| !paths.iter().any(|other| other != *path && path.starts_with(other)));
    Ok(minimal.map(|path| path.join("/")).collect())
}

fn write(files: &[SourceFile], manifest: &Manifest) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(GzBuilder::new().mtime(0).write(Vec::new(), Compression::default()));
    let mut append = |path: &str, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(0);
        archive.append_data(&mut header, path, content)
    };
    append(".manifest", &serde_json::to_vec(manifest)?)?;
    let mut sorted: Vec<&SourceFile> = files.iter().filter(|file| file.path != ".manifest").collect();
    sorted.sort_by(|a, b| a.path.cmp(&b.path));
    for file in sorted {
        append(&file.path, &file.content)?;
    }
    let mut gzip = archive.into_inner()?;
    gzip.flush()?;
    gzip.finish()
}
