//! Decision logs, as OPA sends them: an event for each decision, gathered into chunks that are posted to a server.
//!
//! A decision leaves an [`Entry`], which costs its request next to nothing; the event is written later. What the server
//! does not take is kept, within limits, and tried again; what must give way is counted.

mod chunk;
mod entry;
mod event;
mod holders;
mod mask;

pub use entry::{Entry, Trace};
pub use holders::{HOLDERS_KEY, Holder, Turned};

use std::collections::{BTreeMap, VecDeque};

use self::{
    chunk::{Chunk, OpenChunk, Ratio},
    event::Written,
};
use crate::{config::Resource, delivery::Outbox, policy::Policy, timestamp::Timestamp};

/// Which decisions are logged, where to, and how much of the log is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// Where it goes. The range of its polling is that between two uploads; a full chunk does not wait.
    pub resource: Resource,
    /// Which decisions.
    pub only: Only,
    /// The size from which a chunk is full, in bytes as sent.
    pub upload_bytes: usize,
    /// The most events that are held by one worker.
    pub buffer_events: usize,
    /// The most bytes that are held by one worker.
    pub buffer_bytes: usize,
}

/// Which decisions are logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Only {
    /// All of them.
    #[default]
    All,
    /// Those that refuse.
    Denied,
}

/// The log of one worker.
#[derive(Debug)]
pub struct DecisionLog {
    settings: LogSettings,
    /// What every event says of where it comes from.
    labels: BTreeMap<String, String>,
    /// The path of the rule that decides.
    path: String,
    waiting: VecDeque<Entry>,
    open: Option<OpenChunk>,
    ratio: Ratio,
    /// Chunks that are full, or could not be sent, oldest first.
    closed: VecDeque<Chunk>,
    on_its_way: Option<Chunk>,
    outbox: Outbox,
    counts: Counts,
    events: usize,
    bytes: usize,
}

/// What became of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Decisions that are to be logged.
    pub made: u64,
    /// Events that a server took.
    pub sent: u64,
    /// Events that had to give way to newer ones.
    pub dropped: u64,
    /// Events that the policy's `system.log.drop` left out.
    pub omitted: u64,
    /// Uploads that were not taken, and are tried again.
    pub retried: u64,
}

// === impl DecisionLog ===

impl DecisionLog {
    /// An empty log of decisions by the rule at `path`.
    pub fn new(settings: LogSettings, labels: BTreeMap<String, String>, path: &str) -> Self {
        Self {
            outbox: Outbox::new(settings.resource.clone()),
            settings,
            labels,
            path: path.to_owned(),
            waiting: VecDeque::new(),
            open: None,
            ratio: Ratio::default(),
            closed: VecDeque::new(),
            on_its_way: None,
            counts: Counts::default(),
            events: 0,
            bytes: 0,
        }
    }

    /// Where it is posted.
    pub fn outbox(&mut self) -> &mut Outbox {
        &mut self.outbox
    }

    /// Whether a decision is to be logged.
    pub fn wants(&self, is_allowed: bool) -> bool {
        match self.settings.only {
            Only::All => true,
            Only::Denied => !is_allowed,
        }
    }

    /// Takes the entry of a decision.
    pub fn record(&mut self, entry: Entry) {
        self.counts.made += 1;
        self.events += 1;
        self.bytes = self.bytes.saturating_add(entry.bytes());
        self.waiting.push_back(entry);
        while self.events > self.settings.buffer_events || self.bytes > self.settings.buffer_bytes {
            if !self.drop_oldest() {
                break;
            }
        }
    }

    /// What gives way is the oldest, but for what is on its way.
    fn drop_oldest(&mut self) -> bool {
        let (events, bytes) = if let Some(chunk) = self.closed.pop_front() {
            (chunk.events, chunk.bytes.len())
        } else if let Some(chunk) = self.open.take() {
            (chunk.events(), chunk.bytes())
        } else if let Some(entry) = self.waiting.pop_front() {
            (1, entry.bytes())
        } else {
            return false;
        };
        self.counts.dropped += u64::try_from(events).unwrap_or(u64::MAX);
        self.let_go(events, bytes);
        true
    }

    fn let_go(&mut self, events: usize, bytes: usize) {
        self.events = self.events.saturating_sub(events);
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// Writes the event of the oldest entry that waits; says whether there was one. `policy` is the active one: it may mask
    /// and drop events.
    pub fn write_one(&mut self, policy: Option<&Policy>) -> bool {
        let Some(entry) = self.waiting.pop_front() else { return false };
        self.bytes = self.bytes.saturating_sub(entry.bytes());
        match event::write(&entry, &self.labels, &self.path, policy) {
            Written::Event(event) => {
                let mut open = self.open.take().unwrap_or_else(|| OpenChunk::new(self.ratio));
                let before = open.bytes();
                open.add(&event);
                // Its size is an estimate, which may turn out to be less than it was.
                self.bytes = self.bytes.saturating_sub(before).saturating_add(open.bytes());
                self.open = Some(open);
                if self.open.as_ref().is_some_and(|open| open.bytes() >= self.settings.upload_bytes) {
                    self.close();
                }
            }
            Written::Omitted => {
                self.counts.omitted += 1;
                self.events = self.events.saturating_sub(1);
            }
        }
        true
    }

    /// Whether entries wait to be written.
    pub fn has_work(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// How many events are held.
    pub fn held(&self) -> u64 {
        u64::try_from(self.events).unwrap_or(u64::MAX)
    }

    /// Whether nothing is held, so that nothing is lost when this worker ends.
    pub fn is_empty(&self) -> bool {
        self.events == 0
    }

    fn close(&mut self) {
        let Some(open) = self.open.take() else { return };
        self.bytes = self.bytes.saturating_sub(open.bytes());
        let (chunk, ratio) = open.close();
        self.ratio = ratio;
        self.bytes = self.bytes.saturating_add(chunk.bytes.len());
        self.closed.push_back(chunk);
    }

    /// The body of the upload that is due now: gzip of a JSON array. `random` draws the delay to the next one; in a
    /// `hurry`, as when the worker ends, nothing is waited for but the server.
    pub fn upload(&mut self, now: Timestamp, random: u64, in_a_hurry: bool) -> Option<Vec<u8>> {
        if !self.outbox.is_idle(now) {
            return None;
        }
        if self.on_its_way.is_some() {
            // Its answer never came.
            self.failed(now, random);
            return None;
        }
        if self.closed.is_empty() {
            let is_due = if in_a_hurry { self.outbox.may_hurry(now) } else { self.outbox.is_due(now) };
            if !is_due {
                return None;
            }
            self.close();
        } else if !self.outbox.may_hurry(now) {
            return None;
        }
        let Some(chunk) = self.closed.pop_front() else {
            self.outbox.postpone(now, random);
            return None;
        };
        let body = chunk.bytes.clone();
        self.on_its_way = Some(chunk);
        Some(body)
    }

    /// The server took what was on its way.
    pub fn succeeded(&mut self, now: Timestamp, random: u64) {
        self.outbox.succeeded(now, random);
        if let Some(chunk) = self.on_its_way.take() {
            self.counts.sent += u64::try_from(chunk.events).unwrap_or(u64::MAX);
            self.let_go(chunk.events, chunk.bytes.len());
        }
    }

    /// It did not, or it could not be sent: it is tried again.
    pub fn failed(&mut self, now: Timestamp, random: u64) {
        self.outbox.failed(now, random);
        if let Some(chunk) = self.on_its_way.take() {
            self.counts.retried += 1;
            self.closed.push_front(chunk);
        }
    }

    /// The server will never take what was on its way: it makes room for what it may.
    pub fn rejected(&mut self, now: Timestamp, random: u64) {
        self.outbox.failed(now, random);
        if let Some(chunk) = self.on_its_way.take() {
            self.counts.dropped += u64::try_from(chunk.events).unwrap_or(u64::MAX);
            self.let_go(chunk.events, chunk.bytes.len());
        }
    }

    /// What became of events since this was last asked.
    pub fn take_counts(&mut self) -> Counts {
        std::mem::take(&mut self.counts)
    }
}

#[cfg(test)]
mod tests;
