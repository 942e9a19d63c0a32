//! From the bytes of a bundle to a [`Bundle`], or to every reason why not.

use thiserror::Error;

use super::{
    ArchiveError, Bundle, BundleLimits, Manifest, SignatureError, SourceFile, Verification,
    archive::{self, Files},
    signature::{is_signature, verify},
};
use crate::{
    pace::{Pace, finish},
    policy::{Data, Module},
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
    let files = finish(archive::unpack(bytes, limits, &Pace::unhurried()))?;
    Ok(verified(files, verification, now)?)
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

/// The files of a bundle whoever signed it, and its signature among them: for tools that act on nothing that it says.
///
/// # Errors
/// Why it cannot be unpacked.
pub fn unpack_unverified(bytes: &[u8], limits: BundleLimits) -> Result<Vec<SourceFile>, ArchiveError> {
    let files = finish(archive::unpack(bytes, limits, &Pace::unhurried()))?;
    Ok(files.into_iter().map(|(path, content)| SourceFile { path, content }).collect())
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
/// What a file costs, and a unit of work for so many bytes.
const FILE_UNITS: usize = 20;
const BYTES_PER_UNIT: usize = 1024;

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
        let files = archive::unpack(bytes, limits, pace).await?;
        let signed = verify(&files, verification, now, pace).await?;
        Self::of(files, pace).await.map(|bundle| Self { signed, ..bundle })
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
        Self::of(archive::unpack(bytes, limits, pace).await?, pace).await
    }

    /// Reads the files of a bundle. A signature among them is not looked at: see [`verify_files`].
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn from_sources(files: Vec<SourceFile>) -> Result<Self, BundleError> {
        let files = files.into_iter().map(|file| (file.path, file.content)).collect();
        finish(Self::of(files, &Pace::unhurried()))
    }

    async fn of(files: Files, pace: &Pace) -> Result<Self, BundleError> {
        let (bundle, problems) = Self::from_files(files, pace).await;
        if problems.is_empty() { Ok(bundle) } else { Err(BundleError::Files(problems)) }
    }

    /// What can be read of the files of a bundle, and everything that is wrong with the rest, a line each.
    #[cfg(feature = "lint")]
    pub fn of_sources(files: &[SourceFile]) -> (Self, Vec<String>) {
        let files = files.iter().filter(|file| !is_signature(&file.path));
        let files = files.map(|file| (file.path.clone(), file.content.clone())).collect();
        finish(Self::from_files(files, &Pace::unhurried()))
    }

    /// What can be read of the files, and everything that is wrong with the rest.
    pub(super) async fn from_files(files: Files, pace: &Pace) -> (Self, Vec<String>) {
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
        // A file is dropped as soon as it is read.
        for (path, bytes) in files {
            pace.spend(FILE_UNITS + bytes.len() / BYTES_PER_UNIT).await;
            let read = if path.ends_with(".rego") {
                String::from_utf8(bytes).map_err(|error| not_utf8(error.utf8_error())).map(|text| {
                    let dialect = manifest.dialect_of(&path);
                    modules.push(Module { path: path.clone(), text, dialect });
                })
            } else {
                add_data(&mut data, &path, &bytes, &manifest, pace).await
            };
            problems.extend(read.err().map(|problem| format!("{path}: {problem}")));
        }
        (Self { manifest, modules, data, signed: None }, problems)
    }
}

/// Adds a data file at the place that its folder names; other files mean nothing to a bundle.
async fn add_data(
    data: &mut Data,
    path: &str,
    bytes: &[u8],
    manifest: &Manifest,
    pace: &Pace,
) -> Result<(), String> {
    let Some((folder, part)) = parse_data(path, bytes, pace).await else { return Ok(()) };
    let part = part?.at(&folder);
    if let Some(foreign) = part.outside(&manifest.roots, pace).await {
        return Err(format!("`data.{}` lies under none of the manifest's roots", foreign.join(".")));
    }
    data.merge_in(part, pace).await.map_err(|error| error.to_string())
}

/// The folder and the content of a data file; nothing for other files. YAML is read in one go.
pub(super) async fn parse_data<'a>(
    path: &'a str,
    bytes: &[u8],
    pace: &Pace,
) -> Option<(Vec<&'a str>, Result<Data, String>)> {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let data = match name {
        "data.json" => Data::from_json_bytes_in(bytes, pace).await.map_err(|error| error.to_string()),
        "data.yaml" | "data.yml" => {
            text(bytes).and_then(|text| Data::from_yaml(text).map_err(|error| error.to_string()))
        }
        _ => return None,
    };
    Some((folder.split('/').filter(|segment| !segment.is_empty()).collect(), data))
}

fn text(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(not_utf8)
}

fn not_utf8(error: std::str::Utf8Error) -> String {
    format!("this is not UTF-8: {error}")
}
