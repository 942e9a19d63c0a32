//! From the bytes of a bundle to a [`Bundle`], or to every reason why not.

use thiserror::Error;

use super::{
    ArchiveError, Bundle, BundleLimits, Manifest, SignatureError, SourceFile, Verification,
    archive::{self, Files},
    signature::{is_signature, verify},
};
use crate::{
    pace::{Pace, finish},
    policy::{Data, DataError, Module},
    timestamp::Timestamp,
};

/// The reasons why bytes are not a bundle; one line each.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum BundleError {
    /// The archive cannot be unpacked.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// It is not signed as it must be.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// Files in it cannot be read.
    #[error("{}", .0.join("\n"))]
    Files(Vec<String>),
}

/// The files of a bundle, without its signature, for whoever makes another one of them. Verified as by
/// [`Bundle::read`].
///
/// # Errors
/// Why it cannot be unpacked, or why its signature does not count.
pub fn unpack(
    bytes: &[u8],
    limits: BundleLimits,
    verification: Option<&Verification>,
    now: Timestamp,
) -> Result<Vec<SourceFile>, BundleError> {
    Ok(verified(archive::unpack(bytes, limits)?, verification, now)?)
}

/// The files of a bundle that is not packed, likewise.
///
/// # Errors
/// Why the signature does not count.
pub fn verify_files(
    files: Vec<SourceFile>,
    verification: Option<&Verification>,
    now: Timestamp,
) -> Result<Vec<SourceFile>, SignatureError> {
    verified(files.into_iter().map(|file| (file.path, file.content)).collect(), verification, now)
}

fn verified(
    mut files: Files,
    verification: Option<&Verification>,
    now: Timestamp,
) -> Result<Vec<SourceFile>, SignatureError> {
    finish(verify(&files, verification, now, &Pace::unhurried()))?;
    files.retain(|path, _| !is_signature(path));
    Ok(files.into_iter().map(|(path, content)| SourceFile { path, content }).collect())
}

pub(super) const MANIFEST: &str = ".manifest";

impl Bundle {
    /// Reads a gzip tarball. With a `verification` it must be signed, without one it must not.
    ///
    /// # Errors
    /// Why it cannot be unpacked, why its signature does not count, or everything that is wrong with the files in it.
    pub fn read(
        bytes: &[u8],
        limits: BundleLimits,
        verification: Option<&Verification>,
        now: Timestamp,
    ) -> Result<Self, BundleError> {
        finish(Self::read_in(bytes, limits, verification, now, &Pace::unhurried()))
    }

    /// Reads a gzip tarball in slices.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub async fn read_in(
        bytes: &[u8],
        limits: BundleLimits,
        verification: Option<&Verification>,
        now: Timestamp,
        pace: &Pace,
    ) -> Result<Self, BundleError> {
        let files = archive::unpack(bytes, limits)?;
        pace.give_way().await;
        let signed = verify(&files, verification, now, pace).await?;
        Self::of(&files).map(|bundle| Self { signed, ..bundle })
    }

    /// Reads a gzip tarball in slices that was verified before, as its digest tells: whose signature it has is not asked
    /// again.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub async fn read_verified_in(
        bytes: &[u8],
        limits: BundleLimits,
        pace: &Pace,
    ) -> Result<Self, BundleError> {
        let files = archive::unpack(bytes, limits)?;
        pace.give_way().await;
        Self::of(&files)
    }

    fn of(files: &Files) -> Result<Self, BundleError> {
        let (bundle, problems) = Self::from_files(files);
        if problems.is_empty() { Ok(bundle) } else { Err(BundleError::Files(problems)) }
    }

    /// What can be read of the files, and everything that is wrong with the rest.
    pub(super) fn from_files(files: &Files) -> (Self, Vec<String>) {
        let mut problems = Vec::new();
        if files.contains_key("patch.json") {
            problems.push("patch.json: delta bundles are not read; serve the whole bundle".to_owned());
        }
        let manifest = match files.get(MANIFEST) {
            Some(bytes) => text(bytes).and_then(Manifest::parse).unwrap_or_else(|problem| {
                problems.push(format!("{MANIFEST}: {problem}"));
                Manifest::default()
            }),
            None => Manifest::default(),
        };
        let mut modules = Vec::new();
        let mut data = Data::default();
        for (path, bytes) in files {
            let read = if path.ends_with(".rego") {
                text(bytes).map(|text| {
                    let dialect = manifest.dialect_of(path);
                    modules.push(Module { path: path.clone(), text: text.to_owned(), dialect });
                })
            } else {
                add_data(&mut data, path, bytes, &manifest)
            };
            problems.extend(read.err().map(|problem| format!("{path}: {problem}")));
        }
        (Self { manifest, modules, data, signed: None }, problems)
    }
}

/// Adds a data file at the place that its folder names; other files mean nothing to a bundle.
fn add_data(data: &mut Data, path: &str, bytes: &[u8], manifest: &Manifest) -> Result<(), String> {
    let Some((folder, part)) = parse_data(path, bytes) else { return Ok(()) };
    let part = part?.at(&folder);
    if let Some(foreign) = part.leaves().into_iter().find(|leaf| !leaf.is_empty() && !manifest.owns(leaf)) {
        return Err(format!("`data.{}` lies under none of the manifest's roots", foreign.join(".")));
    }
    data.merge(part).map_err(|error| error.to_string())
}

/// The folder and the content of a data file; nothing for other files.
pub(super) fn parse_data<'a>(path: &'a str, bytes: &[u8]) -> Option<(Vec<&'a str>, Result<Data, String>)> {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let parse: fn(&str) -> Result<Data, DataError> = match name {
        "data.json" => Data::from_json,
        "data.yaml" | "data.yml" => Data::from_yaml,
        _ => return None,
    };
    let folder = folder.split('/').filter(|segment| !segment.is_empty()).collect();
    Some((folder, text(bytes).and_then(|text| parse(text).map_err(|error| error.to_string()))))
}

fn text(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|error| format!("this is not UTF-8: {error}"))
}
