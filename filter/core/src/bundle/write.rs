//! Makes a bundle of source files: the same bytes for the same files.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
};

use flate2::{Compression, GzBuilder};

#[cfg(feature = "signing")]
use super::signature::SIGNATURES;
use super::{
    Bundle, Manifest,
    read::{MANIFEST, parse_data},
    signature::is_signature,
};
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
    written(&content(files, revision)?)
}

/// Packs `files` as [`pack`] does, signed.
///
/// # Errors
/// Everything that is wrong with the files.
#[cfg(feature = "signing")]
pub fn pack_signed(
    files: &[SourceFile],
    revision: &str,
    signer: &super::Signer,
    now: crate::timestamp::Timestamp,
) -> Result<Vec<u8>, String> {
    let mut content = content(files, revision)?;
    let signatures = signer.sign(&content, now)?;
    content.push(SourceFile { path: SIGNATURES.to_owned(), content: signatures });
    written(&content)
}

/// The files of the bundle, the manifest first. A signature among the sources is not one of the bundle.
fn content(files: &[SourceFile], revision: &str) -> Result<Vec<SourceFile>, String> {
    let files = files.iter().filter(|file| !is_signature(&file.path));
    let sources = files.clone().map(|file| (file.path.clone(), file.content.clone())).collect();
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
        files.clone().filter_map(|file| finish(parse_data(&file.path, &file.content, &Pace::unhurried())))
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
    let by_path: BTreeMap<&str, &[u8]> = files
        .filter(|file| file.path != MANIFEST)
        .map(|file| match texts.get(&file.path) {
            Some(text) => (file.path.as_str(), text.as_bytes()),
            None => (file.path.as_str(), file.content.as_slice()),
        })
        .collect();
    let manifest =
        serde_json::to_vec(&manifest).map_err(|error| format!("the manifest cannot be written: {error}"))?;
    let manifest = SourceFile { path: MANIFEST.to_owned(), content: manifest };
    let rest = by_path
        .into_iter()
        .map(|(path, content)| SourceFile { path: path.to_owned(), content: content.to_vec() });
    Ok(std::iter::once(manifest).chain(rest).collect())
}

fn written(files: &[SourceFile]) -> Result<Vec<u8>, String> {
    write(files).map_err(|error| format!("the bundle cannot be written: {error}"))
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

fn write(files: &[SourceFile]) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(GzBuilder::new().mtime(0).write(Vec::new(), Compression::default()));
    for SourceFile { path, content } in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(0);
        archive.append_data(&mut header, path, content.as_slice())?;
    }
    let mut gzip = archive.into_inner()?;
    gzip.flush()?;
    gzip.finish()
}
