//! When the bundle server is asked again.

use crate::{config::Polling, timestamp::Timestamp};

/// The first delay after an error; it doubles with every further one, up to the longest polling delay.
const FIRST_BACKOFF_MILLIS: u64 = 100;

/// When the next poll is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    polling: Polling,
    next_millis: i64,
    failures: u32,
}

// === impl Schedule ===

impl Schedule {
    /// The first poll is due at once.
    pub fn new(polling: Polling) -> Self {
        Self { polling, next_millis: i64::MIN, failures: 0 }
    }

    /// Whether it is time to poll.
    pub fn is_due(&self, now: Timestamp) -> bool {
        // A clock that was set back must not stop the polling for as long.
        let longest = i64::try_from(self.polling.max_delay_millis).unwrap_or(i64::MAX);
        let wait = self.next_millis.saturating_sub(now.unix_millis());
        wait <= 0 || wait > longest
    }

    /// The server answered: the next poll comes after a delay from the configured range; `random` draws it.
    pub fn succeeded(&mut self, now: Timestamp, random: u64) {
        let Polling { min_delay_millis, max_delay_millis, .. } = self.polling;
        self.failures = 0;
        self.wait(now, min_delay_millis, max_delay_millis, random);
    }

    /// The server holds requests until there is something new: the next poll is due at once.
    pub fn succeeded_by_waiting(&mut self) {
        (self.next_millis, self.failures) = (i64::MIN, 0);
    }

    /// Whether the last poll failed, so that the next one must wait until it is due.
    pub fn backs_off(&self) -> bool {
        self.failures > 0
    }

    /// It did not, or with nothing usable: the next poll comes after a backoff with jitter.
    pub fn failed(&mut self, now: Timestamp, random: u64) {
        let longest = self.polling.max_delay_millis;
        let backoff = FIRST_BACKOFF_MILLIS.checked_shl(self.failures.min(32)).unwrap_or(longest).min(longest);
        self.failures = self.failures.saturating_add(1);
        self.wait(now, backoff / 2, backoff, random);
    }

    fn wait(&mut self, now: Timestamp, shortest: u64, longest: u64, random: u64) {
        let range = longest.saturating_sub(shortest).saturating_add(1);
        let delay = shortest.saturating_add(random.checked_rem(range).unwrap_or_default());
        self.next_millis = now.unix_millis().saturating_add(i64::try_from(delay).unwrap_or(i64::MAX));
    }
}
