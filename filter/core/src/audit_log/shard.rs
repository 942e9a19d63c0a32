//! The bytes of one shard: a header, and a block for each subject that has called within the window.
//!
//! A block has its calls oldest first, eight bytes each: the low 48 bits of the instant, from which the newest, which
//! is kept whole, gives back all of it, and the number of its face. Faces are numbers of texts, which stand once in a
//! block. So a call is entered by copying bytes, and the calls since an instant are found by halving.
//!
//! The bytes are read as if anybody could have written them: what does not fit is an error, never a panic.

use std::borrow::Cow;

use super::subject::{Face, TEXTS};

/// A shard, read in place.
#[derive(Debug)]
pub(super) struct Shard<'b> {
    /// The number that the next block gets. It never comes again.
    pub(super) next_serial: u64,
    /// How long calls are kept: the longest window of any configuration that has written here.
    pub(super) keep_ns: i64,
    pub(super) blocks: Vec<Sealed<'b>>,
}

/// A block of which no more is read than whose it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sealed<'b> {
    pub(super) key: &'b [u8],
    pub(super) charged: u32,
    pub(super) newest: i64,
    bytes: &'b [u8],
}

/// The calls of one subject, read in place.
#[derive(Clone, Debug)]
pub(super) struct Block<'b> {
    pub(super) key: &'b [u8],
    /// The chunks of memory that are paid for.
    pub(super) charged: u32,
    /// Unique within its shard, for all time.
    pub(super) serial: u64,
    /// The number of the oldest call, counted from the block's first one.
    pub(super) first: u64,
    /// The instant of the newest call.
    pub(super) newest: i64,
    texts: Vec<&'b str>,
    faces: &'b [[u8; FACE]],
    calls: &'b [[u8; CALL]],
}

/// A call of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) timestamp: i64,
    pub(super) face: u16,
}

/// Why bytes are no shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Bytes of a call.
const CALL: usize = 8;
/// Bytes of a face: the numbers of its texts, and whether it is of an allowed call.
const FACE: usize = 2 * TEXTS + 1;
/// Bytes of a block besides its length, key, texts, faces and calls.
const BLOCK_HEADER: usize = 2 + 4 + 8 + 8 + 8 + 2 + 2;
/// The most faces, and the most texts, of a block. A block of more is full.
const MAX_NUMBER: u16 = u16::MAX;

const LOW_BITS: i64 = (1 << 48) - 1;

// === impl Shard ===

impl<'b> Shard<'b> {
    /// Reads a shard; no bytes are an empty one.
    pub(super) fn parse(bytes: &'b [u8]) -> Result<Self, Malformed> {
        if bytes.is_empty() {
            return Ok(Self { next_serial: 0, keep_ns: 0, blocks: Vec::new() });
        }
        let mut reader = Reader(bytes);
        let next_serial = u64::from_le_bytes(reader.take()?);
        let keep_ns = i64::from_le_bytes(reader.take()?);
        let mut blocks = Vec::new();
        while !reader.0.is_empty() {
            let length = reader.u32()?;
            blocks.push(Sealed::parse(reader.slice(length)?)?);
        }
        let is_sane = (0..=LOW_BITS).contains(&keep_ns) && next_serial < u64::MAX / 2;
        if is_sane { Ok(Self { next_serial, keep_ns, blocks }) } else { Err(Malformed) }
    }

    pub(super) fn sealed(&self, key: &[u8]) -> Option<&Sealed<'b>> {
        self.blocks.iter().find(|block| block.key == key)
    }

    /// Begins the bytes of a shard; its blocks follow.
    pub(super) fn begin(next_serial: u64, keep_ns: i64, capacity: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(capacity + 16);
        out.extend(next_serial.to_le_bytes());
        out.extend(keep_ns.to_le_bytes());
        out
    }
}

// === impl Sealed ===

impl<'b> Sealed<'b> {
    fn parse(bytes: &'b [u8]) -> Result<Self, Malformed> {
        let header = Header::parse(&mut Reader(bytes))?;
        Ok(Self { key: header.key, charged: header.charged, newest: header.newest, bytes })
    }

    /// Reads all of it.
    pub(super) fn open(&self) -> Result<Block<'b>, Malformed> {
        let block = Block::parse(self.bytes)?;
        block.check().map(|()| block)
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend(u32::try_from(self.bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend(self.bytes);
    }
}

/// What stands at the beginning of a block.
struct Header<'b> {
    key: &'b [u8],
    charged: u32,
    serial: u64,
    first: u64,
    newest: i64,
    texts: usize,
    faces: usize,
}

// === impl Header ===

impl<'b> Header<'b> {
    fn parse(reader: &mut Reader<'b>) -> Result<Self, Malformed> {
        let key_length = reader.u16()?;
        Ok(Self {
            charged: u32::from_le_bytes(reader.take()?),
            serial: u64::from_le_bytes(reader.take()?),
            first: u64::from_le_bytes(reader.take()?),
            newest: i64::from_le_bytes(reader.take()?),
            texts: reader.u16()?,
            faces: reader.u16()?,
            key: reader.slice(key_length)?,
        })
    }
}

// === impl Block ===

impl<'b> Block<'b> {
    fn parse(bytes: &'b [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader(bytes);
        let Header { key, charged, serial, first, newest, texts: text_count, faces } =
            Header::parse(&mut reader)?;
        let mut texts = Vec::with_capacity(text_count.min(64));
        for _ in 0..text_count {
            let length = reader.u16()?;
            texts.push(std::str::from_utf8(reader.slice(length)?).map_err(|_| Malformed)?);
        }
        let faces = reader.slice(faces * FACE)?.as_chunks::<FACE>().0;
        let (calls, rest) = reader.0.as_chunks::<CALL>();
        if rest.is_empty() {
            Ok(Self { key, charged, serial, first, newest, texts, faces, calls })
        } else {
            Err(Malformed)
        }
    }

    /// Whether all that its calls refer to is there, and their order is that of their instants.
    pub(super) fn check(&self) -> Result<(), Malformed> {
        let (mut last, mut largest) = (i64::MAX, 0);
        for call in self.calls {
            let (age, face) = self.age_and_face(call);
            if age > last {
                return Err(Malformed);
            }
            last = age;
            largest = largest.max(face);
        }
        let faces = self.faces.iter().all(|face| {
            texts_of(face).all(|text| usize::from(text) < self.texts.len())
                && matches!(face.last(), Some(0 | 1))
        });
        let in_range = self.calls.is_empty() || usize::from(largest) < self.faces.len();
        // Numbers of calls must not run out, nor instants.
        let is_sane = self.first < u64::MAX / 2 && self.newest.checked_sub(LOW_BITS).is_some();
        if faces && in_range && is_sane { Ok(()) } else { Err(Malformed) }
    }

    fn age_and_face(&self, call: &[u8; CALL]) -> (i64, u16) {
        let [a, b, c, d, e, f, g, h] = *call;
        let low = i64::from_le_bytes([a, b, c, d, e, f, 0, 0]);
        (self.newest.wrapping_sub(low) & LOW_BITS, u16::from_le_bytes([g, h]))
    }

    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    pub(super) fn faces(&self) -> impl ExactSizeIterator<Item = Face<'b>> + '_ {
        self.faces.iter().map(|face| {
            let mut texts = [""; TEXTS];
            for (text, number) in texts.iter_mut().zip(texts_of(face)) {
                *text = self.texts.get(usize::from(number)).copied().unwrap_or_default();
            }
            Face { texts, is_allowed: face.last() == Some(&1) }
        })
    }

    /// The calls from number `from` of those that are here.
    pub(super) fn entries(&self, from: usize) -> impl Iterator<Item = Entry> + '_ {
        self.calls.iter().skip(from).map(|call| {
            let (age, face) = self.age_and_face(call);
            Entry { timestamp: self.newest.saturating_sub(age), face }
        })
    }

    /// How many calls are older than `instant`.
    pub(super) fn older_than(&self, instant: i64) -> usize {
        // At most this old is young enough.
        let age = self.newest.saturating_sub(instant);
        self.calls.partition_point(|call| self.age_and_face(call).0 > age)
    }

    /// The block as it is.
    pub(super) fn draft(&self) -> Draft<'b> {
        Draft {
            key: self.key,
            charged: self.charged,
            serial: self.serial,
            first: self.first,
            newest: self.newest,
            texts: self.texts.clone(),
            faces: self.faces.to_vec(),
            calls: Cow::Borrowed(self.calls),
            last: None,
        }
    }
}

/// The numbers of a face's texts.
fn texts_of(face: &[u8; FACE]) -> impl Iterator<Item = u16> + '_ {
    face.as_chunks::<2>().0.iter().map(|number| u16::from_le_bytes(*number))
}

/// A block that is being written.
#[derive(Clone, Debug)]
pub(super) struct Draft<'b> {
    key: &'b [u8],
    pub(super) charged: u32,
    serial: u64,
    first: u64,
    newest: i64,
    texts: Vec<&'b str>,
    faces: Vec<[u8; FACE]>,
    calls: Cow<'b, [[u8; CALL]]>,
    last: Option<[u8; CALL]>,
}

// === impl Draft ===

impl<'b> Draft<'b> {
    pub(super) fn new(key: &'b [u8], serial: u64) -> Self {
        Self {
            key,
            charged: 0,
            serial,
            first: 0,
            newest: 0,
            texts: Vec::new(),
            faces: Vec::new(),
            calls: Cow::Borrowed(&[]),
            last: None,
        }
    }

    /// Leaves out the oldest `count` calls.
    pub(super) fn forget(&mut self, count: usize) {
        let count = count.min(self.calls.len());
        match &mut self.calls {
            Cow::Borrowed(calls) => *calls = calls.get(count..).unwrap_or_default(),
            Cow::Owned(calls) => drop(calls.drain(..count)),
        }
        self.first = self.first.saturating_add(count as u64);
    }

    /// Adds the newest call. Its instant must not be before that of the one before, nor three days after the oldest.
    ///
    /// # Errors
    /// When the block has too many kinds of calls.
    pub(super) fn push(&mut self, timestamp: i64, face: &Face<'b>) -> Result<(), Full> {
        let number = match self.number_of(face) {
            Some(number) => number,
            None => {
                self.forget_faces();
                self.add_face(face)?
            }
        };
        let [a, b, c, d, e, f, ..] = timestamp.to_le_bytes();
        let [g, h] = number.to_le_bytes();
        self.last = Some([a, b, c, d, e, f, g, h]);
        self.newest = timestamp;
        Ok(())
    }

    fn number_of(&self, face: &Face<'_>) -> Option<u16> {
        let mut encoded = [0; FACE];
        if let Some(last) = encoded.last_mut() {
            *last = u8::from(face.is_allowed);
        }
        for (place, text) in encoded.as_chunks_mut::<2>().0.iter_mut().zip(face.texts) {
            let number = self.texts.iter().position(|known| *known == text)?;
            *place = u16::try_from(number).ok()?.to_le_bytes();
        }
        self.faces.iter().position(|known| *known == encoded).and_then(|at| u16::try_from(at).ok())
    }

    fn add_face(&mut self, face: &Face<'b>) -> Result<u16, Full> {
        let number =
            u16::try_from(self.faces.len()).ok().filter(|number| *number < MAX_NUMBER).ok_or(Full)?;
        let mut encoded = [0; FACE];
        if let Some(last) = encoded.last_mut() {
            *last = u8::from(face.is_allowed);
        }
        for (place, text) in encoded.as_chunks_mut::<2>().0.iter_mut().zip(face.texts) {
            let at = self.texts.iter().position(|known| *known == text).unwrap_or_else(|| {
                self.texts.push(text);
                self.texts.len() - 1
            });
            let at = u16::try_from(at).ok().filter(|at| *at < MAX_NUMBER).ok_or(Full)?;
            if text.len() > usize::from(MAX_NUMBER) {
                return Err(Full);
            }
            *place = at.to_le_bytes();
        }
        self.faces.push(encoded);
        Ok(number)
    }

    /// Takes out the faces and texts that no call has any more. Names of actions may be an agent's own choice, and must
    /// not fill its block for ever.
    fn forget_faces(&mut self) {
        let mut used = vec![false; self.faces.len()];
        for call in &*self.calls {
            if let Some(used) = used.get_mut(usize::from(face_of(call))) {
                *used = true;
            }
        }
        if used.iter().all(|used| *used) {
            return;
        }
        let (mut texts, mut faces, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
        for (face, used) in self.faces.iter().zip(used) {
            numbers.push(u16::try_from(faces.len()).unwrap_or(MAX_NUMBER).to_le_bytes());
            if !used {
                continue;
            }
            let mut kept = *face;
            for (place, number) in kept.as_chunks_mut::<2>().0.iter_mut().zip(texts_of(face)) {
                let text = self.texts.get(usize::from(number)).copied().unwrap_or_default();
                let at = texts.iter().position(|known| *known == text).unwrap_or_else(|| {
                    texts.push(text);
                    texts.len() - 1
                });
                *place = u16::try_from(at).unwrap_or(MAX_NUMBER).to_le_bytes();
            }
            faces.push(kept);
        }
        for call in self.calls.to_mut() {
            let number = numbers.get(usize::from(face_of(call))).copied().unwrap_or_default();
            let [.., g, h] = call;
            [*g, *h] = number;
        }
        (self.texts, self.faces) = (texts, faces);
    }

    /// The bytes that it takes, with its length in front.
    pub(super) fn size(&self) -> usize {
        let texts: usize = self.texts.iter().map(|text| text.len() + 2).sum();
        let calls = self.calls.len() + usize::from(self.last.is_some());
        4 + BLOCK_HEADER + self.key.len() + texts + self.faces.len() * FACE + calls * CALL
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let number = |length: usize| u16::try_from(length).unwrap_or(u16::MAX).to_le_bytes();
        out.extend(u32::try_from(self.size() - 4).unwrap_or(u32::MAX).to_le_bytes());
        out.extend(number(self.key.len()));
        out.extend(self.charged.to_le_bytes());
        out.extend(self.serial.to_le_bytes());
        out.extend(self.first.to_le_bytes());
        out.extend(self.newest.to_le_bytes());
        out.extend(number(self.texts.len()));
        out.extend(number(self.faces.len()));
        out.extend(self.key);
        for text in &self.texts {
            out.extend(number(text.len()));
            out.extend(text.as_bytes());
        }
        out.extend(self.faces.as_flattened());
        out.extend(self.calls.as_flattened());
        out.extend(self.last.as_ref().map(<[u8; CALL]>::as_slice).unwrap_or_default());
    }
}

fn face_of(call: &[u8; CALL]) -> u16 {
    let [.., g, h] = *call;
    u16::from_le_bytes([g, h])
}

/// A block has as many kinds of calls as it can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// Takes bytes from the front.
struct Reader<'b>(&'b [u8]);

// === impl Reader ===

impl<'b> Reader<'b> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn u16(&mut self) -> Result<usize, Malformed> {
        Ok(usize::from(u16::from_le_bytes(self.take()?)))
    }

    fn u32(&mut self) -> Result<usize, Malformed> {
        usize::try_from(u32::from_le_bytes(self.take()?)).map_err(|_| Malformed)
    }

    fn slice(&mut self, length: usize) -> Result<&'b [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }
}
