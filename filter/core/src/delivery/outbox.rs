//! What is posted to a server, one request at a time.

use std::{borrow::Cow, time::Duration};

use super::turn::Turn;
use crate::{config::Resource, timestamp::Timestamp};

/// Where something is posted, and when the next time is.
#[derive(Clone, Debug)]
pub struct Outbox {
    resource: Resource,
    turn: Turn,
}

// === impl Outbox ===

impl Outbox {
    /// The first request is due at once.
    pub(crate) fn new(resource: Resource) -> Self {
        Self { turn: Turn::new(resource.polling), resource }
    }

    /// The cluster of the server.
    pub fn cluster(&self) -> &str {
        &self.resource.cluster
    }

    /// How long the server may take.
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.resource.timeout_millis)
    }

    /// The headers of a request with JSON, written as `encoding` says.
    pub fn request(&self, encoding: Option<&'static str>) -> Vec<(&str, Cow<'_, str>)> {
        let encoding = encoding.map(|encoding| ("content-encoding", Cow::Borrowed(encoding)));
        let further = [("content-type", Cow::Borrowed("application/json"))];
        self.resource.request("POST", further.into_iter().chain(encoding))
    }

    /// Whether no request is on its way.
    pub fn is_idle(&self, now: Timestamp) -> bool {
        self.turn.is_idle(now)
    }

    /// Whether it is time for the next request.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.turn.is_due(now)
    }

    /// Whether something may be sent at once that should not wait.
    pub fn may_hurry(&self, now: Timestamp) -> bool {
        self.turn.may_hurry(now)
    }

    /// There is nothing to send: the next time comes after a delay.
    pub(crate) fn postpone(&mut self, now: Timestamp, random: u64) {
        self.turn.schedule.succeeded(now, random);
    }

    /// A request was sent, and its answer comes under `token`.
    pub fn sent(&mut self, token: u32, now: Timestamp) {
        self.turn.sent(token, now, self.timeout());
    }

    /// It could not be sent, or the server did not take it: the next one comes after a backoff.
    pub fn failed(&mut self, now: Timestamp, random: u64) {
        self.turn.end(now);
        self.turn.schedule.failed(now, random);
    }

    /// The server took it.
    pub fn succeeded(&mut self, now: Timestamp, random: u64) {
        self.turn.end(now);
        self.turn.schedule.succeeded(now, random);
    }

    /// Whether an answer under `token` is to the request that is on its way.
    pub fn expects(&self, token: u32) -> bool {
        self.turn.expects(token)
    }
}
