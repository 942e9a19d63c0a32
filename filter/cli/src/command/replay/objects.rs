//! The JSON objects of a file: those of an array, of several, or one after the other as on lines; packed or not.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use flate2::bufread::MultiGzDecoder;

/// Reads one object after the other, without what stands between them.
pub(super) struct Objects {
    source: Box<dyn BufRead>,
    /// How many arrays are open.
    open: usize,
    found: u64,
}

/// What reading an object has come to.
#[derive(Default)]
struct Object {
    bytes: Vec<u8>,
    depth: usize,
    is_in_string: bool,
    is_escaped: bool,
}

/// No event is larger.
const MOST_BYTES: usize = 64 << 20;
/// What a gzip file begins with.
const GZIP: [u8; 2] = [0x1f, 0x8b];
const BUFFER: usize = 256 << 10;

// === impl Objects ===

impl Objects {
    /// Opens a file, or standard input where it is `-`.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        if path == Path::new("-") {
            return Self::read(io::stdin());
        }
        Self::read(File::open(path).map_err(|error| error.to_string())?)
    }

    /// Reads what comes from somewhere else.
    pub(super) fn read(raw: impl Read + 'static) -> Result<Self, String> {
        let mut raw = BufReader::with_capacity(BUFFER, raw);
        let is_packed = raw.fill_buf().map_err(|error| error.to_string())?.starts_with(&GZIP);
        let source: Box<dyn BufRead> = if is_packed {
            // Chunks that were put one behind the other are one file too.
            Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(raw)))
        } else {
            Box::new(raw)
        };
        Ok(Self { source, open: 0, found: 0 })
    }

    /// The next object; nothing at the end.
    ///
    /// # Errors
    /// Where it stops being JSON objects, as far as that shows.
    pub(super) fn next(&mut self) -> Result<Option<String>, String> {
        let said = |found: u64, problem: &str| format!("behind {found} objects: {problem}");
        loop {
            let buffer = self.source.fill_buf().map_err(|error| said(self.found, &error.to_string()))?;
            match buffer.first() {
                None if self.open == 0 => return Ok(None),
                None => return Err(said(self.found, "the array does not end")),
                Some(b'{') => break,
                Some(b'[') => self.open += 1,
                Some(b']') if self.open > 0 => self.open -= 1,
                Some(b' ' | b'\t' | b'\r' | b'\n' | b',') => {}
                Some(_) => return Err(said(self.found, "this is no JSON object")),
            }
            self.source.consume(1);
        }
        let mut object = Object::default();
        loop {
            let buffer = self.source.fill_buf().map_err(|error| said(self.found, &error.to_string()))?;
            if buffer.is_empty() {
                return Err(said(self.found, "the object does not end"));
            }
            let (taken, is_complete) = object.take(buffer);
            self.source.consume(taken);
            if object.bytes.len() > MOST_BYTES {
                return Err(said(self.found, "the object is larger than any event"));
            }
            if is_complete {
                self.found += 1;
                return String::from_utf8(object.bytes)
                    .map(Some)
                    .map_err(|_| said(self.found, "this is not UTF-8"));
            }
        }
    }
}

// === impl Object ===

impl Object {
    /// Takes bytes up to the end of the object; how many, and whether that is there.
    fn take(&mut self, buffer: &[u8]) -> (usize, bool) {
        let mut end = None;
        for (at, byte) in buffer.iter().enumerate() {
            if self.is_in_string {
                match byte {
                    _ if self.is_escaped => self.is_escaped = false,
                    b'\\' => self.is_escaped = true,
                    b'"' => self.is_in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.is_in_string = true,
                b'{' => self.depth += 1,
                b'}' => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        end = Some(at + 1);
                        break;
                    }
                }
                _ => {}
            }
        }
        let taken = end.unwrap_or(buffer.len());
        self.bytes.extend(buffer.iter().take(taken));
        (taken, end.is_some())
    }
}
