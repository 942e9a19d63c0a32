//! What `build.rs` packs: tables that would make the filter a fifth larger as they are.

use std::{io::Read as _, sync::OnceLock};

use flate2::read::ZlibDecoder;

/// A table that is unpacked when it is first asked for, and then stays so.
pub(crate) struct Packed {
    packed: &'static [u8],
    unpacked: OnceLock<Vec<u8>>,
}

/// The table of services that `filter/core/catalog/generate.py` makes.
pub(crate) static CATALOG: Packed = Packed::of(include_bytes!(concat!(env!("OUT_DIR"), "/catalog.z")));

/// The time zones of the world: of each its names, with NUL behind every one and behind the last, and then how long a file of
/// RFC 9636 it is, in four bytes, the lowest first, and the file.
pub(crate) static TIME_ZONES: Packed = Packed::of(include_bytes!(concat!(env!("OUT_DIR"), "/time_zones.z")));

impl Packed {
    const fn of(packed: &'static [u8]) -> Self {
        Self { packed, unpacked: OnceLock::new() }
    }

    /// The table; empty if it is broken, so that nothing is known rather than something wrong.
    pub(crate) fn bytes(&'static self) -> &'static [u8] {
        self.unpacked.get_or_init(|| {
            let mut bytes = Vec::new();
            match ZlibDecoder::new(self.packed).read_to_end(&mut bytes) {
                Ok(_) => bytes,
                Err(_) => Vec::new(),
            }
        })
    }
}
