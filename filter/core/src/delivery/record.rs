//! What stands in Envoy's shared data about one bundle source.
//!
//! Envoy never deletes a key, keeps them over configuration updates and VM reloads, and shares them with every VM of
//! the same `vm_id`, those of another version of this filter included: hence the format's version in each key.

use std::fmt::Write;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    config::BundleSource,
    pace::{Pace, finish},
    policy::RulePath,
};

/// Changes when the meaning of any record changes.
const FORMAT: &str = "hexr-authz/1";

/// The keys of one bundle source. Another URL is another source: it starts without a policy of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceKeys {
    /// Who fetches: a [`super::Lease`].
    pub lease: String,
    /// What is active: an [`ActiveRecord`].
    pub active: String,
    /// The digest that is being loaded for the first time.
    pub probe: String,
    /// What must not be loaded again: a [`Quarantine`].
    pub quarantine: String,
    /// What keeps a newer bundle from being active, as text; empty when nothing does.
    pub problem: String,
    slots: [String; 2],
}

/// The active bundle, as all workers must see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActiveRecord {
    /// Counts activations; a worker never goes back.
    pub generation: u64,
    /// Where the bundle's bytes stand.
    pub slot: Slot,
    /// Of the bundle's bytes, so that nothing else is loaded in their place.
    pub digest: Digest,
    /// What the server called it, for `If-None-Match`.
    pub etag: Option<String>,
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest(String);

/// Bundles that trapped a VM while they were loaded for the first time. The newest are remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine(Vec<Digest>);

/// How much is digested before the work gives way.
const CHUNK: usize = 32 << 10;
/// How many quarantined bundles are remembered.
const MAX_QUARANTINED: usize = 16;

// === impl SourceKeys ===

impl SourceKeys {
    /// The keys of `source`, for bundles that must have the rule `rule` and at most `bundle_bytes`: during an update of
    /// the configuration, the old one and the new one need not agree on which bundles are good.
    pub fn new(source: &BundleSource, rule: &RulePath, bundle_bytes: usize) -> Self {
        let BundleSource { cluster, authority, path, headers, .. } = source;
        let place = format!("{cluster}\n{authority}\n{path}\n{headers:?}\n{rule}\n{bundle_bytes}");
        let Digest(place) = Digest::of(place.as_bytes());
        let key = |name: &str| format!("{FORMAT}/{place}/{name}");
        Self {
            lease: key("lease"),
            active: key("active"),
            probe: key("probe"),
            quarantine: key("quarantine"),
            problem: key("problem"),
            slots: [key("bundle-a"), key("bundle-b")],
        }
    }

    /// The key of a bundle's bytes.
    pub fn slot(&self, slot: Slot) -> &str {
        let [a, b] = &self.slots;
        match slot {
            Slot::A => a,
            Slot::B => b,
        }
    }
}

// === impl ActiveRecord ===

impl ActiveRecord {
    /// The record that follows `previous`.
    pub fn following(previous: Option<&Self>, digest: Digest, etag: Option<String>) -> Self {
        let (generation, slot) = match previous {
            Some(Self { generation, slot: Slot::A, .. }) => (generation.saturating_add(1), Slot::B),
            Some(Self { generation, slot: Slot::B, .. }) => (generation.saturating_add(1), Slot::A),
            None => (1, Slot::A),
        };
        Self { generation, slot, digest, etag }
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
