//! A request on its way to a server.

use std::time::Duration;

use crate::timestamp::Timestamp;

/// One request of which the answer has not come yet. Only one of its kind is on its way at a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    token: u32,
    sent_millis: i64,
    given_up_at_millis: i64,
}

/// How long after its timeout an answer is waited for before it is given up.
const GRACE_MILLIS: i64 = 5_000;

// === impl Call ===

impl Call {
    /// Its answer comes under `token`, or does not after `timeout`.
    pub(crate) fn sent(token: u32, now: Timestamp, timeout: Duration) -> Self {
        let sent_millis = now.unix_millis();
        let timeout = i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX);
        let given_up_at_millis = sent_millis.saturating_add(timeout).saturating_add(GRACE_MILLIS);
        Self { token, sent_millis, given_up_at_millis }
    }

    /// Whether an answer under `token` is this one's.
    pub(crate) fn expects(&self, token: u32) -> bool {
        self.token == token
    }

    /// Whether no answer is waited for any more.
    pub(crate) fn is_given_up(&self, now: Timestamp) -> bool {
        now.unix_millis() >= self.given_up_at_millis
    }

    /// Milliseconds since it was sent.
    pub(crate) fn took_millis(&self, now: Timestamp) -> i64 {
        now.unix_millis().saturating_sub(self.sent_millis)
    }
}
