//! Unpacks a gzip tarball within limits.

use std::{collections::BTreeMap, io::Read};

use flate2::read::MultiGzDecoder;
use tar::EntryType;
use thiserror::Error;

use super::{BundleLimits, MAX_EXPANSION, MAX_FILES};

/// Why bytes are not an archive that is read.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ArchiveError {
    /// More bytes than allowed were received.
    #[error("the bundle has {size} bytes, more than `limits.bundle_bytes` ({limit})")]
    TooLarge {
        /// The bytes received.
        size: usize,
        /// The bytes allowed.
        limit: usize,
    },
    /// It unpacks to more than allowed.
    #[error("the bundle unpacks to more than {limit} bytes")]
    UnpacksTooLarge {
        /// The bytes allowed.
        limit: usize,
    },
    /// It has too many files.
    #[error("the bundle has more than {MAX_FILES} files")]
    TooManyFiles,
    /// It is not a gzip tarball, or a broken one.
    #[error("this is not a gzip tarball: {0}")]
    NotTarGz(String),
    /// A path that leaves the bundle, or stands twice.
    #[error("`{path}`: {problem}")]
    Path {
        /// The path in the archive.
        path: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// The longest path of a file.
const MAX_PATH_BYTES: usize = 1024;
/// The deepest: data is nested as deep as its file's path, and is walked recursively.
const MAX_PATH_SEGMENTS: usize = 64;

/// The files of an archive, by their paths without a leading slash.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

pub(super) fn unpack(bytes: &[u8], limits: BundleLimits) -> Result<Files, ArchiveError> {
    if bytes.len() > limits.compressed {
        return Err(ArchiveError::TooLarge { size: bytes.len(), limit: limits.compressed });
    }
    let limit = limits.compressed.saturating_mul(MAX_EXPANSION);
    let broken = |error: std::io::Error| ArchiveError::NotTarGz(error.to_string());
    let mut unpacked = Vec::new();
    let read_limit = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    MultiGzDecoder::new(bytes).take(read_limit).read_to_end(&mut unpacked).map_err(broken)?;
    if unpacked.len() > limit {
        return Err(ArchiveError::UnpacksTooLarge { limit });
    }
    let mut files = Files::new();
    for entry in tar::Archive::new(unpacked.as_slice()).entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let kind = entry.header().entry_type();
        if matches!(kind, EntryType::Directory | EntryType::XGlobalHeader) {
            continue;
        }
        if !matches!(kind, EntryType::Regular | EntryType::Continuous) {
            return Err(ArchiveError::Path {
                path,
                problem: "links and special files have no place in a bundle",
            });
        }
        let plain = path.trim_start_matches("./").trim_start_matches('/').to_owned();
        if plain.is_empty() || plain.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
            return Err(ArchiveError::Path { path, problem: "this path leaves the bundle" });
        }
        if plain.len() > MAX_PATH_BYTES || plain.split('/').count() > MAX_PATH_SEGMENTS {
            let path = path.chars().take(80).collect();
            return Err(ArchiveError::Path { path, problem: "this path is too long, or too deep" });
        }
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(broken)?;
        if files.insert(plain, content).is_some() {
            return Err(ArchiveError::Path { path, problem: "this path stands twice" });
        }
        if files.len() > MAX_FILES {
            return Err(ArchiveError::TooManyFiles);
        }
    }
    Ok(files)
}
