//! What is active in an Envoy, as it stands in shared data.

use std::fmt::Write;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::pace::{Pace, finish};

/// One policy, as all workers must see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActiveRecord {
    /// Counts activations; a worker never goes back.
    pub generation: u64,
    /// What is active.
    pub content: Content,
}

/// What a policy is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Content {
    /// These bundles, in the order of the configuration.
    Bundles(Vec<Held>),
    /// The server says that there is none.
    Missing,
}

/// A bundle in shared data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The bundle's name in the configuration.
    pub name: String,
    /// Where its bytes stand.
    pub slot: Slot,
    /// Of its bytes, so that nothing else is loaded in their place.
    pub digest: Digest,
    /// What the server called it, for `If-None-Match`.
    pub etag: Option<String>,
    /// When it was signed, in seconds since 1970: nothing older takes its place.
    pub issued_at: Option<i64>,
    /// Its revision.
    pub revision: String,
    /// Its size, in bytes.
    pub size: usize,
    /// When it became active, in nanoseconds since 1970.
    pub activated_at: i64,
}

/// One of two places for a bundle's bytes: while one is read, the next bundle goes into the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Slot {
    /// The first.
    A,
    /// The second.
    B,
}

/// SHA-256 in hex.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Digest(String);

/// Bundles that trapped a VM while they were loaded for the first time. The newest are remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine(Vec<Digest>);

/// How much is digested before the work gives way.
const CHUNK: usize = 32 << 10;
/// How many quarantined bundles are remembered.
const MAX_QUARANTINED: usize = 16;

// === impl ActiveRecord ===

impl ActiveRecord {
    /// The record that follows `previous`.
    pub fn following(previous: Option<&Self>, content: Content) -> Self {
        let generation = previous.map_or(0, |previous| previous.generation).saturating_add(1);
        Self { generation, content }
    }

    /// The bundles, if there are any.
    pub fn bundles(&self) -> &[Held] {
        match &self.content {
            Content::Bundles(bundles) => bundles,
            Content::Missing => &[],
        }
    }

    /// The bundle of that name.
    pub fn bundle(&self, name: &str) -> Option<&Held> {
        self.bundles().iter().find(|held| held.name == name)
    }

    /// Its form in shared data.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads that form.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

// === impl Slot ===

impl Slot {
    /// Its name in keys.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
        }
    }

    /// The place for what follows on what stands in `held`.
    pub fn after(held: Option<Self>) -> Self {
        match held {
            Some(Self::A) => Self::B,
            Some(Self::B) | None => Self::A,
        }
    }
}

// === impl Digest ===

impl Digest {
    /// Of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        finish(Self::of_in(bytes, &Pace::unhurried()))
    }

    /// As [`Self::of`], in slices.
    pub async fn of_in(bytes: &[u8], pace: &Pace) -> Self {
        let mut digest = Sha256::new();
        for chunk in bytes.chunks(CHUNK) {
            digest.update(chunk);
            pace.give_way().await;
        }
        let mut hex = String::with_capacity(64);
        for byte in digest.finalize() {
            let _ = write!(hex, "{byte:02x}");
        }
        Self(hex)
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads what [`Self::as_str`] gave.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        (text.len() == 64).then(|| Self(text.to_owned()))
    }
}

// === impl Quarantine ===

impl Quarantine {
    /// Whether `digest` must not be loaded.
    pub fn holds(&self, digest: &Digest) -> bool {
        self.0.contains(digest)
    }

    /// Adds `digest`.
    pub fn add(&mut self, digest: Digest) {
        if !self.holds(&digest) {
            self.0.push(digest);
        }
        if self.0.len() > MAX_QUARANTINED {
            self.0.remove(0);
        }
    }

    /// Removes `digest`: whoever was loading it was slow, and not dead.
    pub fn remove(&mut self, digest: &Digest) {
        self.0.retain(|held| held != digest);
    }

    /// Its form in shared data.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads that form; what is not one holds nothing.
    pub fn decode(bytes: &[u8]) -> Self {
        serde_json::from_slice(bytes).unwrap_or_default()
    }
}
