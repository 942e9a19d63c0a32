//! Long polling, as OPA asks for it: `Prefer: modes=snapshot,delta;wait=30`.

use std::{sync::Arc, time::Duration};

use axum::http::{HeaderMap, HeaderValue, header};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{
    document::{Document, Reading},
    metrics::Metrics,
};

/// What a request has already, and how long it would wait for something newer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    etags: Vec<String>,
    /// Nothing where it does not speak of waiting.
    pub(super) wait: Option<Duration>,
}

/// How a request ends.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It has not seen this one.
    New(Arc<Document>),
    /// It has this one, and there is no other.
    Same(Arc<Document>),
    /// There is no first version yet.
    NotYet,
    /// What it asked for was taken away while it waited.
    Gone,
}

/// Tells when the server is asked to stop.
#[derive(Clone, Debug)]
pub(super) struct Stop(watch::Receiver<bool>);

/// The longest wait.
const LONGEST: Duration = Duration::from_secs(600);

// === impl Asked ===

impl Asked {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let texts = |name| headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        let etags = texts(header::IF_NONE_MATCH).flat_map(|value| value.split(',')).map(str::trim);
        // By the weak comparison (RFC 9110, section 13.1.2).
        let etags = etags.map(|tag| tag.strip_prefix("W/").unwrap_or(tag).to_owned());
        // `modes=snapshot,delta;wait=30` is, to RFC 7240, two preferences; OPA means one.
        let preferences = texts(header::HeaderName::from_static("prefer"))
            .flat_map(|value| value.split([',', ';']))
            .filter_map(|preference| preference.split_once('='));
        let mut waits = preferences.filter(|(name, _)| name.trim().eq_ignore_ascii_case("wait"));
        let seconds = waits.find_map(|(_, value)| value.trim().trim_matches('"').parse().ok());
        Self {
            etags: etags.collect(),
            wait: seconds.map(|seconds| Duration::from_secs(seconds).min(LONGEST)),
        }
    }

    fn has(&self, etag: &HeaderValue) -> bool {
        self.etags.iter().any(|known| known == "*" || known.as_bytes() == etag.as_bytes())
    }

    /// Answers with what the request has not seen, as soon as there is such. A client that waits costs a task that sleeps.
    pub(super) async fn answer(&self, mut reading: Reading, mut stop: Stop, metrics: &Metrics) -> Outcome {
        let end = Instant::now() + self.wait.unwrap_or_default();
        let mut waiting = None;
        loop {
            let same = match reading.borrow_and_update().clone() {
                None => return Outcome::NotYet,
                Some(document) if self.has(&document.etag) => document,
                Some(document) => return Outcome::New(document),
            };
            if self.wait.is_none_or(|wait| wait.is_zero()) {
                return Outcome::Same(same);
            }
            waiting.get_or_insert_with(|| metrics.begin_waiting());
            tokio::select! {
                changed = reading.changed() => if changed.is_err() {
                    return Outcome::Gone;
                },
                () = sleep_until(end) => return Outcome::Same(same),
                () = stop.asked() => return Outcome::Same(same),
            }
        }
    }
}

// === impl Stop ===

impl Stop {
    /// Who stops, and what tells of it.
    pub(super) fn new() -> (watch::Sender<bool>, Self) {
        let (sender, receiver) = watch::channel(false);
        (sender, Self(receiver))
    }

    /// Resolves when the server is asked to stop.
    pub(super) async fn asked(&mut self) {
        // An error says that nobody is left who could ask.
        let _ = self.0.wait_for(|is_asked| *is_asked).await;
    }
}
