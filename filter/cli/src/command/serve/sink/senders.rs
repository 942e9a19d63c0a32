//! How much each sender may send, so that one does not fill the history with its own.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Instant,
};

/// What senders may still send.
#[derive(Debug, Default)]
pub(super) struct Senders(Mutex<HashMap<IpAddr, Allowance>>);

#[derive(Clone, Copy, Debug)]
struct Allowance {
    /// In bytes.
    left: f64,
    at: Instant,
}

/// What a sender may send at once, and then in a second, in bytes: a busy Envoy's decisions are a few megabytes a second.
const BURST: f64 = 256.0 * 1024.0 * 1024.0;
const PER_SECOND: f64 = 16.0 * 1024.0 * 1024.0;
/// So many senders are told apart. Who has sent nothing for long is forgotten first.
const MAX_SENDERS: usize = 10_000;

// === impl Senders ===

impl Senders {
    /// Whether so many bytes may be taken of a sender now; then they are counted.
    pub(super) fn may_send(&self, sender: IpAddr, bytes: usize, now: Instant) -> bool {
        let mut senders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if senders.len() >= MAX_SENDERS && !senders.contains_key(&sender) {
            senders.retain(|_, allowance| allowance.at_now(now) < BURST);
            if senders.len() >= MAX_SENDERS {
                return false;
            }
        }
        let allowance = senders.entry(sender).or_insert(Allowance { left: BURST, at: now });
        let bytes = f64::from(u32::try_from(bytes).unwrap_or(u32::MAX));
        let left = allowance.at_now(now);
        if left < bytes {
            return false;
        }
        *allowance = Allowance { left: left - bytes, at: now };
        true
    }
}

// === impl Allowance ===

impl Allowance {
    fn at_now(self, now: Instant) -> f64 {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        (self.left + since * PER_SECOND).min(BURST)
    }
}

#[cfg(test)]
mod tests {
    use std::{net::Ipv4Addr, time::Duration};

    use super::*;

    #[test]
    fn a_sender_has_its_share() {
        const HALF: usize = 128 << 20;
        let (senders, now) = (Senders::default(), Instant::now());
        let [one, other] = [1, 2].map(|last| IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)));
        for (sender, bytes, seconds, expected) in [
            (one, HALF, 0, true),
            (one, HALF, 0, true),
            (one, 1, 0, false),
            (other, HALF, 0, true),
            (one, 15 << 20, 1, true),
            (one, 2 << 20, 1, false),
            (one, HALF, 100, true),
        ] {
            let at = now + Duration::from_secs(seconds);
            assert_eq!(senders.may_send(sender, bytes, at), expected, "{sender} {bytes} {seconds}");
        }
    }
}
