//! Unpacks a gzip tarball within limits.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    io::Read,
    rc::Rc,
};

use flate2::read::MultiGzDecoder;
use tar::EntryType;
use thiserror::Error;

use super::{BundleLimits, MAX_EXPANSION, MAX_FILES};
use crate::pace::Pace;

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
    #[error(
        "`{path}`: with this file the bundle unpacks to more than {limit} bytes, {MAX_EXPANSION} times `limits.bundle_bytes`"
    )]
    UnpacksTooLarge {
        /// The file at which it does, or the last one before.
        path: String,
        /// The bytes allowed.
        limit: usize,
    },
    /// It has too many files.
    #[error("`{path}`: with this file the bundle has more than {MAX_FILES} files")]
    TooManyFiles {
        /// The first one too many.
        path: String,
    },
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
    /// A path that is too long.
    #[error(
        "`{path}...`: this path has {bytes} bytes and {segments} segments, more than {MAX_PATH_BYTES} or {MAX_PATH_SEGMENTS}"
    )]
    LongPath {
        /// How it begins.
        path: String,
        /// Its length.
        bytes: usize,
        /// Its depth.
        segments: usize,
    },
}

/// The longest path of a file.
const MAX_PATH_BYTES: usize = 1024;
/// The deepest: data is nested as deep as its file's path, and is walked recursively.
const MAX_PATH_SEGMENTS: usize = 64;

/// The files of an archive, by their paths without a leading slash.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

/// How much is unpacked before the work gives way.
const CHUNK: u64 = 32 << 10;
/// The most that a file's header takes, with the extensions that stand before it: it is read in one go.
const MAX_HEADER: usize = 1 << 16;

/// Reads no more than it may.
struct Metered<R> {
    source: R,
    meter: Rc<Meter>,
}

/// How much may be read, in all and for now.
struct Meter {
    left: Cell<usize>,
    for_now: Cell<usize>,
    /// Whether there was more than might be read in all.
    is_exceeded: Cell<bool>,
    /// The file that is being read.
    path: RefCell<String>,
}

/// Unpacks `bytes` in slices. No more than the limit is ever held.
pub(super) async fn unpack(bytes: &[u8], limits: BundleLimits, pace: &Pace) -> Result<Files, ArchiveError> {
    if bytes.len() > limits.compressed {
        return Err(ArchiveError::TooLarge { size: bytes.len(), limit: limits.compressed });
    }
    let limit = limits.compressed.saturating_mul(MAX_EXPANSION);
    let left = Cell::new(limit);
    let (for_now, is_exceeded, path) = Default::default();
    let meter = Rc::new(Meter { left, for_now, is_exceeded, path });
    let files = files(bytes, &meter, pace).await;
    if meter.is_exceeded.get() {
        return Err(ArchiveError::UnpacksTooLarge { path: shortened(&meter.path.borrow()), limit });
    }
    files
}

async fn files(bytes: &[u8], meter: &Rc<Meter>, pace: &Pace) -> Result<Files, ArchiveError> {
    let source = MultiGzDecoder::new(bytes);
    let mut archive = tar::Archive::new(Metered { source, meter: Rc::clone(meter) });
    let mut files = Files::new();
    let mut entries = archive.entries().map_err(broken)?;
    loop {
        meter.for_now.set(MAX_HEADER);
        let Some(entry) = entries.next() else { break };
        let mut entry = entry.map_err(broken)?;
        let plain = plain_path(&entry)?;
        *meter.path.borrow_mut() = lossy_path(&entry);
        let size = usize::try_from(entry.size()).unwrap_or(usize::MAX);
        let mut content = Vec::with_capacity(size.min(meter.left.get()));
        while read_some(&mut entry, meter, &mut content)? > 0 {
            pace.give_way().await;
        }
        let Some(plain) = plain else { continue };
        if let Some(path) = files.insert(plain, content).map(|_| lossy_path(&entry)) {
            return Err(ArchiveError::Path { path, problem: "this path stands twice" });
        }
        if files.len() > MAX_FILES {
            return Err(ArchiveError::TooManyFiles { path: shortened(&lossy_path(&entry)) });
        }
    }
    // What stands behind the last file says whether the archive is whole.
    let (mut rest, mut behind) = (archive.into_inner(), Vec::new());
    while read_some(&mut rest, meter, &mut behind)? > 0 {
        behind.clear();
        pace.give_way().await;
    }
    Ok(files)
}

/// The path of a file without what stands before it; nothing for a folder.
fn plain_path<R: Read>(entry: &tar::Entry<'_, R>) -> Result<Option<String>, ArchiveError> {
    let path = lossy_path(entry);
    let kind = entry.header().entry_type();
    if matches!(kind, EntryType::Directory | EntryType::XGlobalHeader) {
        return Ok(None);
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
    let (bytes, segments) = (plain.len(), plain.split('/').count());
    if bytes > MAX_PATH_BYTES || segments > MAX_PATH_SEGMENTS {
        return Err(ArchiveError::LongPath { path: shortened(&path), bytes, segments });
    }
    Ok(Some(plain))
}

/// As much of a path as a message has room for.
fn shortened(path: &str) -> String {
    path.chars().take(80).collect()
}

fn lossy_path<R: Read>(entry: &tar::Entry<'_, R>) -> String {
    String::from_utf8_lossy(&entry.path_bytes()).into_owned()
}

/// Reads the next chunk; how long it is.
fn read_some(source: &mut impl Read, meter: &Meter, content: &mut Vec<u8>) -> Result<usize, ArchiveError> {
    meter.for_now.set(usize::MAX);
    source.take(CHUNK).read_to_end(content).map_err(broken)
}

#[expect(clippy::needless_pass_by_value, reason = "a function for `map_err`")]
fn broken(error: std::io::Error) -> ArchiveError {
    ArchiveError::NotTarGz(error.to_string())
}

// === impl Metered ===

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.source.read(buffer)?;
        let Meter { left, for_now, is_exceeded, .. } = &*self.meter;
        let Some(left_now) = left.get().checked_sub(read) else {
            is_exceeded.set(true);
            return Err(std::io::Error::other("it unpacks to more than is allowed"));
        };
        let Some(for_now_now) = for_now.get().checked_sub(read) else {
            return Err(std::io::Error::other("a file's header is too long"));
        };
        left.set(left_now);
        for_now.set(for_now_now);
        Ok(read)
    }
}
