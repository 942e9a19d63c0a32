//! How it stands with a bundle.

use std::time::Instant;

use axum::body::Bytes;

use super::origin::Look;

/// Where what is served comes from, and what keeps something newer from being it.
#[derive(Clone, Debug, Default)]
pub(super) struct Status {
    pub(super) revision: Option<String>,
    pub(super) problem: Option<String>,
    /// Why the last good one is not on disk.
    pub(super) not_kept: Option<String>,
    pub(super) source: SourceStatus,
    /// Whether what is served was kept on disk by an earlier run.
    pub(super) is_kept: bool,
    pub(super) fingerprint: Option<Look>,
    pub(super) good: Option<Good>,
    pub(super) has_asked_shelf: bool,
}

/// How the last look at a source went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum SourceStatus {
    /// There was none yet, or it could not be read.
    #[default]
    Away,
    /// It was read, and makes no policy.
    Broken,
    /// It is what is served.
    Good,
}

/// The last bundle that compiled.
#[derive(Clone, Debug)]
pub(super) struct Good {
    pub(super) unsigned: Bytes,
    pub(super) published: Instant,
}

// === impl Status ===

impl Status {
    /// As `/health?bundles` has it.
    pub(super) fn report(&self) -> serde_json::Value {
        let source = match self.source {
            SourceStatus::Away => "away",
            SourceStatus::Broken => "broken",
            SourceStatus::Good => "good",
        };
        let served_from = self.good.as_ref().map(|_| if self.is_kept { "disk" } else { "source" });
        serde_json::json!({
            "revision": self.revision,
            "problem": self.problem,
            "source": source,
            "served_from": served_from,
            "not_kept": self.not_kept,
        })
    }

    pub(super) fn is_good(&self) -> bool {
        self.problem.is_none() && self.not_kept.is_none()
    }
}
