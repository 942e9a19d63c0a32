//! Who fetches: a lease in shared data, taken by compare-and-swap, so that an Envoy fetches once and not once a worker.

use crate::timestamp::Timestamp;

/// How long a lease holds without being renewed. A worker that dies is replaced after that.
const HOLDS_MILLIS: i64 = 5_000;
/// When a holder renews it.
const RENEW_AFTER_MILLIS: i64 = 1_000;

/// The right to fetch, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    holder: [u8; 16],
    until_millis: i64,
}

// === impl Lease ===

impl Lease {
    /// The lease that `me` asks for at `now`.
    pub fn new(me: [u8; 16], now: Timestamp) -> Self {
        Self { holder: me, until_millis: now.unix_millis() + HOLDS_MILLIS }
    }

    /// Whether `me` may write a new lease over this one at `now`.
    pub fn may_be_taken(self, me: [u8; 16], now: Timestamp) -> bool {
        // A lease from further in the future than any is made was written before the clock was set back.
        let remaining = self.until_millis - now.unix_millis();
        self.holder == me || remaining <= 0 || remaining > 2 * HOLDS_MILLIS
    }

    /// Whether `me` holds it at `now`.
    pub fn is_held(self, me: [u8; 16], now: Timestamp) -> bool {
        self.holder == me && now.unix_millis() < self.until_millis
    }

    /// Whether its holder should write a new one.
    pub fn is_due(self, now: Timestamp) -> bool {
        self.until_millis - now.unix_millis() <= HOLDS_MILLIS - RENEW_AFTER_MILLIS
    }

    /// Its form in shared data.
    pub fn encode(self) -> Vec<u8> {
        [self.holder.as_slice(), &self.until_millis.to_le_bytes()].concat()
    }

    /// Reads that form. What is not one is nobody's lease.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (holder, until) = bytes.split_first_chunk::<16>()?;
        Some(Self { holder: *holder, until_millis: i64::from_le_bytes(until.try_into().ok()?) })
    }
}
