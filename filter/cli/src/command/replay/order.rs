//! Events in the order of their instants, however they come, in bounded memory: what is too much is put into temporary
//! files, each in order, and those are merged.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    fs::File,
    io::{self, BufReader, BufWriter, Read, Seek, Write},
};

use hexr_authz_core::timestamp::Timestamp;

/// Takes events in any order.
#[derive(Default)]
pub(super) struct Unordered {
    run: Vec<(i64, String)>,
    bytes: usize,
    runs: Vec<File>,
}

/// Gives them oldest first; those of one instant as they came.
pub(super) struct Ordered {
    runs: Vec<Run>,
    heads: BinaryHeap<Reverse<Head>>,
}

/// The next event of a run.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Head {
    instant: i64,
    run: usize,
    text: String,
}

/// A part of the events, in order.
enum Run {
    Memory(std::vec::IntoIter<(i64, String)>),
    File(BufReader<File>),
}

/// What is held in memory before it is written to a file.
const RUN_BYTES: usize = 128 << 20;

// === impl Unordered ===

impl Unordered {
    pub(super) fn push(&mut self, instant: Timestamp, text: String) -> io::Result<()> {
        self.bytes += text.len() + size_of::<(i64, String)>();
        self.run.push((instant.unix_nanos(), text));
        if self.bytes < RUN_BYTES {
            return Ok(());
        }
        let mut file = tempfile::tempfile()?;
        let mut writer = BufWriter::new(&mut file);
        for (instant, text) in self.sorted() {
            writer.write_all(&instant.to_le_bytes())?;
            writer.write_all(&(text.len() as u64).to_le_bytes())?;
            writer.write_all(text.as_bytes())?;
        }
        writer.flush()?;
        drop(writer);
        file.rewind()?;
        self.runs.push(file);
        Ok(())
    }

    fn sorted(&mut self) -> Vec<(i64, String)> {
        let mut run = std::mem::take(&mut self.run);
        self.bytes = 0;
        run.sort_by_key(|(instant, _)| *instant);
        run
    }

    pub(super) fn ordered(mut self) -> io::Result<Ordered> {
        let last = Run::Memory(self.sorted().into_iter());
        let files = self.runs.into_iter().map(|file| Run::File(BufReader::new(file)));
        let mut ordered = Ordered { runs: files.chain([last]).collect(), heads: BinaryHeap::new() };
        for run in 0..ordered.runs.len() {
            ordered.refill(run)?;
        }
        Ok(ordered)
    }
}

// === impl Ordered ===

impl Ordered {
    pub(super) fn next(&mut self) -> io::Result<Option<(i64, String)>> {
        let Some(Reverse(head)) = self.heads.pop() else { return Ok(None) };
        self.refill(head.run)?;
        Ok(Some((head.instant, head.text)))
    }

    fn refill(&mut self, run: usize) -> io::Result<()> {
        let next = self.runs.get_mut(run).map(Run::next).transpose()?.flatten();
        self.heads.extend(next.map(|(instant, text)| Reverse(Head { instant, run, text })));
        Ok(())
    }
}

// === impl Run ===

impl Run {
    fn next(&mut self) -> io::Result<Option<(i64, String)>> {
        let file = match self {
            Self::Memory(events) => return Ok(events.next()),
            Self::File(file) => file,
        };
        let mut word = [0; 8];
        match file.read_exact(&mut word) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let instant = i64::from_le_bytes(word);
        file.read_exact(&mut word)?;
        let mut text = String::new();
        file.take(u64::from_le_bytes(word)).read_to_string(&mut text)?;
        Ok(Some((instant, text)))
    }
}
