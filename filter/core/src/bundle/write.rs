//! Makes a bundle of source files: the same bytes for the same files.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
};

use flate2::{Compression, GzBuilder};

use super::{Bundle, Manifest, read::parse_data};
use crate::{
    pace::{Pace, finish},
    policy::{Dialect, module_header},
};

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
    let (bundle, mut problems) = finish(Bundle::from_files(sources, &Pace::unhurried()));
    let mut owned = BTreeSet::new();
    let mut old = BTreeMap::new();
    let mut texts = BTreeMap::new();
    for module in &bundle.modules {
        match module_header(module) {
            Ok((package, portable)) => {
                owned.insert(package);
                if module.dialect.is_none() && portable.dialect == Dialect::V0 {
                    old.insert(module.path.clone(), 0);
                }
                texts.insert(&module.path, portable.text);
            }
            Err(error) => problems.push(error.to_string()),
        }
    }
    if !problems.is_empty() {
        return Err(problems.join("\n"));
    }
    for (folder, data) in
        files.iter().filter_map(|file| finish(parse_data(&file.path, &file.content, &Pace::unhurried())))
    {
        // A folder is owned as a whole, so that a new key in its data needs no new root.
        match data {
            Ok(data) if folder.is_empty() => owned.extend(data.keys().into_iter().map(|key| vec![key])),
            Ok(_) => drop(owned.insert(folder.into_iter().map(str::to_owned).collect())),
            Err(problem) => return Err(problem),
        }
    }
    let mut manifest = Manifest { revision: revision.to_owned(), ..bundle.manifest };
    // OPA tries no dialects: what is not written here it takes for the current one. It compares the paths as they
    // stand in the archive, where they begin without a slash.
    manifest.file_rego_versions.extend(old);
    if manifest.roots == Manifest::default().roots {
        manifest.roots = outermost(&owned);
    }
    let files = files.iter().map(|file| match texts.get(&file.path) {
        Some(text) => (file.path.as_str(), text.as_bytes()),
        None => (file.path.as_str(), file.content.as_slice()),
    });
    write(files.collect(), &manifest).map_err(|error| format!("the bundle cannot be written: {error}"))
}

/// The paths that lie within none of the others, as roots. In this order a path comes right before those within it.
fn outermost(paths: &BTreeSet<Vec<String>>) -> Vec<String> {
    let mut outermost: Vec<&Vec<String>> = Vec::new();
    for path in paths {
        if !outermost.last().is_some_and(|last| path.starts_with(last)) {
            outermost.push(path);
        }
    }
    outermost.into_iter().map(|path| path.join("/")).collect()
}

fn write(files: BTreeMap<&str, &[u8]>, manifest: &Manifest) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(GzBuilder::new().mtime(0).write(Vec::new(), Compression::default()));
    let mut append = |path: &str, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(0);
        archive.append_data(&mut header, path, content)
    };
    append(".manifest", &serde_json::to_vec(manifest)?)?;
    for (path, content) in files {
        if path != ".manifest" {
            append(path, content)?;
        }
    }
    let mut gzip = archive.into_inner()?;
    gzip.flush()?;
    gzip.finish()
}
