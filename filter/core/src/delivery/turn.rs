//! The requests for one thing, one after the other.

use std::time::Duration;

use super::Schedule;
use crate::{config::Polling, timestamp::Timestamp};

/// When the next request may be sent: only one is on its way at a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    pub(crate) schedule: Schedule,
    call: Option<Call>,
}

/// One request of which the answer has not come yet.
#[derive(Clone, Copy, Debug)]
struct Call {
    token: u32,
    sent_millis: i64,
    given_up_at_millis: i64,
}

/// How long after its timeout an answer is waited for before it is given up.
const GRACE_MILLIS: i64 = 5_000;

// === impl Turn ===

impl Turn {
    /// The first request is due at once.
    pub(crate) fn new(polling: Polling) -> Self {
        Self { schedule: Schedule::new(polling), call: None }
    }

    /// Whether no request is on its way.
    pub(crate) fn is_idle(&self, now: Timestamp) -> bool {
        self.call.is_none_or(|call| call.is_given_up(now))
    }

    /// Whether it is time for the next request.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        self.is_idle(now) && self.schedule.is_due(now)
    }

    /// Whether something may be sent at once that should not wait.
    pub(crate) fn may_hurry(&self, now: Timestamp) -> bool {
        self.is_idle(now) && (!self.schedule.backs_off() || self.schedule.is_due(now))
    }

    /// A request was sent, and its answer comes under `token`, or does not after `timeout`.
    pub(crate) fn sent(&mut self, token: u32, now: Timestamp, timeout: Duration) {
        self.call = Some(Call::sent(token, now, timeout));
    }

    /// Whether an answer under `token` is to the request that is on its way.
    pub(crate) fn expects(&self, token: u32) -> bool {
        self.call.is_some_and(|call| call.token == token)
    }

    /// The request is not on its way any more; how many milliseconds it took.
    pub(crate) fn end(&mut self, now: Timestamp) -> i64 {
        self.call.take().map_or(0, |call| now.unix_millis().saturating_sub(call.sent_millis))
    }
}

// === impl Call ===

impl Call {
    fn sent(token: u32, now: Timestamp, timeout: Duration) -> Self {
        let sent_millis = now.unix_millis();
        let timeout = i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX);
        let given_up_at_millis = sent_millis.saturating_add(timeout).saturating_add(GRACE_MILLIS);
        Self { token, sent_millis, given_up_at_millis }
    }

    /// Whether no answer is waited for any more.
    fn is_given_up(self, now: Timestamp) -> bool {
        now.unix_millis() >= self.given_up_at_millis
    }
}
