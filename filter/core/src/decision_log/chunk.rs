//! Events on their way to the server: gzip of a JSON array.

use std::{fmt, io::Write as _};

use flate2::{Compression, write::GzEncoder};

/// A chunk that takes further events.
pub(super) struct OpenChunk {
    encoder: GzEncoder<Vec<u8>>,
    events: usize,
    /// Bytes that were written, and how many of them when the compressed ones grew last.
    written: usize,
    seen: usize,
    /// How many compressed bytes there were then.
    compressed: usize,
    ratio: Ratio,
}

/// How many bytes of events become one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ratio(usize);

/// A chunk as it is sent.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) bytes: Vec<u8>,
    pub(super) events: usize,
}

/// From how many bytes of events on a ratio tells of the next chunk: few events are not yet like each other.
const TELLING_BYTES: usize = 16 << 10;

impl Default for Ratio {
    fn default() -> Self {
        Self(6)
    }
}

// === impl OpenChunk ===

impl OpenChunk {
    /// An empty one. The ratio of the chunk before it tells how much the encoder makes of what it still holds.
    pub(super) fn new(ratio: Ratio) -> Self {
        // Events are so much alike that the fastest compression takes most of them away.
        let encoder = GzEncoder::new(Vec::new(), Compression::fast());
        Self { encoder, events: 0, written: 0, seen: 0, compressed: 0, ratio }
    }

    pub(super) fn add(&mut self, event: &[u8]) {
        self.write(if self.events == 0 { b"[" } else { b"," });
        self.write(event);
        self.events += 1;
        let compressed = self.encoder.get_ref().len();
        if compressed > self.compressed {
            (self.compressed, self.seen) = (compressed, self.written);
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        // INVARIANT: what is written to a vector is always taken.
        let _ = self.encoder.write_all(bytes);
        self.written = self.written.saturating_add(bytes.len());
    }

    pub(super) fn events(&self) -> usize {
        self.events
    }

    /// About its size as it would be sent, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.compressed.saturating_add(self.written.saturating_sub(self.seen) / self.ratio.0)
    }

    /// The chunk, and the ratio that it came to.
    pub(super) fn close(mut self) -> (Chunk, Ratio) {
        self.write(b"]");
        let bytes = self.encoder.finish().unwrap_or_default();
        let ratio = match self.written.checked_div(bytes.len()) {
            Some(ratio @ 1..) if self.written >= TELLING_BYTES => Ratio(ratio),
            Some(_) | None => self.ratio,
        };
        (Chunk { events: self.events, bytes }, ratio)
    }
}

impl fmt::Debug for OpenChunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenChunk").field("events", &self.events).finish_non_exhaustive()
    }
}
