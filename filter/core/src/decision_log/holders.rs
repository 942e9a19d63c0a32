//! How many events each worker of an Envoy holds, as it stands in shared data, so that what a worker took with it is known.
//!
//! A worker that ends in good order takes itself off. One whose VM traps does not, and its beat stops: what it held is
//! lost.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::timestamp::Timestamp;

/// The shared-data key of all holders of an Envoy.
pub const HOLDERS_KEY: &str = "hexr-authz/1/decision-log-holders";

/// One worker among the holders.
#[derive(Debug)]
pub struct Holder {
    id: String,
    beat: u64,
    told: Option<u64>,
    told_at_millis: i64,
    last_turn_millis: i64,
    /// The beats of the others, and since when they have stood still.
    others: BTreeMap<String, (u64, i64)>,
}

/// What a worker writes at its turn.
#[derive(Debug, PartialEq, Eq)]
pub struct Turned {
    /// All holders as they are now.
    pub bytes: Vec<u8>,
    /// Events of workers that are gone.
    pub lost: u64,
    /// Events that are held by all of them.
    pub held: u64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Holders(BTreeMap<String, Entry>);

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Entry {
    beat: u64,
    held: u64,
}

/// A worker tells what it holds as soon as that changes, and at least so often that it lives.
const BEAT_MILLIS: i64 = 1_000;
/// One whose beat has stood still for so long is gone.
const GONE_MILLIS: i64 = 10_000;

// === impl Holder ===

impl Holder {
    /// The worker of that name, which nobody else has.
    pub fn new(id: String) -> Self {
        Self { id, beat: 0, told: None, told_at_millis: 0, last_turn_millis: 0, others: BTreeMap::new() }
    }

    /// What is to be written now that this worker holds so many events and `shared` are the holders; nothing where nothing
    /// has changed.
    pub fn turn(&mut self, shared: &[u8], held: u64, now: Timestamp) -> Option<Turned> {
        let now = now.unix_millis();
        // Where this worker stood still, or the clock was set, the others may have: they are watched anew.
        if !(0..BEAT_MILLIS).contains(&now.saturating_sub(self.last_turn_millis)) {
            self.others.clear();
        }
        self.last_turn_millis = now;
        let mut holders: Holders = serde_json::from_slice(shared).unwrap_or_default();
        let gone = self.gone(&holders, now);
        let is_told = self.told == Some(held)
            && holders.0.contains_key(&self.id)
            && (0..BEAT_MILLIS).contains(&now.saturating_sub(self.told_at_millis));
        if gone.is_empty() && is_told {
            return None;
        }
        let lost = gone.iter().filter_map(|id| holders.0.remove(id)).map(|entry| entry.held).sum();
        self.beat = self.beat.wrapping_add(1);
        holders.0.insert(self.id.clone(), Entry { beat: self.beat, held });
        Some(holders.turned(lost))
    }

    /// What [`Self::turn`] wanted written is written.
    pub fn told(&mut self, held: u64, now: Timestamp) {
        (self.told, self.told_at_millis) = (Some(held), now.unix_millis());
    }

    /// What is to be written as this worker ends, with so many events that it can wait no longer for.
    pub fn end(&self, shared: &[u8], held: u64) -> Turned {
        let mut holders: Holders = serde_json::from_slice(shared).unwrap_or_default();
        holders.0.remove(&self.id);
        holders.turned(held)
    }

    /// Those that have not beaten for long.
    fn gone(&mut self, holders: &Holders, now_millis: i64) -> Vec<String> {
        self.others.retain(|id, _| holders.0.contains_key(id));
        let mut gone = Vec::new();
        for (id, entry) in holders.0.iter().filter(|(id, _)| **id != self.id) {
            let watched = self.others.entry(id.clone()).or_insert((entry.beat, now_millis));
            if watched.0 != entry.beat {
                *watched = (entry.beat, now_millis);
            } else if now_millis.saturating_sub(watched.1) >= GONE_MILLIS {
                gone.push(id.clone());
            }
        }
        gone
    }
}

// === impl Holders ===

impl Holders {
    fn turned(&self, lost: u64) -> Turned {
        let held = self.0.values().map(|entry| entry.held).sum();
        Turned { bytes: serde_json::to_vec(self).unwrap_or_default(), lost, held }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Workers that take turns every 100 ms, each with so many events; `None` for one that has stopped.
    struct Workers {
        holders: Vec<Holder>,
        shared: Vec<u8>,
        lost: u64,
        held: u64,
        now: i64,
    }

    impl Workers {
        fn new(count: usize) -> Self {
            let holders = (0..count).map(|number| Holder::new(format!("worker-{number}"))).collect();
            Self { holders, shared: Vec::new(), lost: 0, held: 0, now: 1_000_000 }
        }

        fn run(&mut self, millis: i64, held: &[Option<u64>]) {
            for _ in 0..millis / 100 {
                self.now += 100;
                let now = Timestamp::from_unix_nanos(self.now * 1_000_000);
                for (holder, held) in self.holders.iter_mut().zip(held) {
                    let Some(held) = *held else { continue };
                    if let Some(turned) = holder.turn(&self.shared, held, now) {
                        holder.told(held, now);
                        self.shared = turned.bytes;
                        self.lost += turned.lost;
                        self.held = turned.held;
                    }
                }
            }
        }
    }

    #[test]
    fn what_a_worker_takes_with_it_is_lost() {
        let mut workers = Workers::new(3);
        workers.run(5_000, &[Some(1), Some(20), Some(300)]);
        assert_eq!((workers.held, workers.lost), (321, 0));
        workers.run(GONE_MILLIS - 1_000, &[Some(1), None, Some(300)]);
        assert_eq!((workers.held, workers.lost), (321, 0), "it may only be late");
        workers.run(3_000, &[Some(1), None, Some(300)]);
        assert_eq!((workers.held, workers.lost), (301, 20));
        // Nobody counts it twice.
        workers.run(30_000, &[Some(1), None, Some(0)]);
        assert_eq!((workers.held, workers.lost), (1, 20));
    }

    #[test]
    fn nothing_is_lost_where_all_stood_still() {
        let mut workers = Workers::new(2);
        workers.run(5_000, &[Some(5), Some(7)]);
        workers.now += 60_000;
        workers.run(5_000, &[Some(5), Some(7)]);
        workers.now -= 600_000;
        workers.run(30_000, &[Some(5), Some(7)]);
        assert_eq!((workers.held, workers.lost), (12, 0));
    }

    #[test]
    fn one_that_ends_in_good_order() {
        let mut workers = Workers::new(2);
        workers.run(1_000, &[Some(5), Some(7)]);
        let ended = workers.holders[1].end(&workers.shared, 2);
        assert_eq!((ended.held, ended.lost), (5, 2));
    }

    #[test]
    fn nothing_is_written_where_nothing_changes() {
        let mut holder = Holder::new("one".to_owned());
        let at = |millis: i64| Timestamp::from_unix_nanos(millis * 1_000_000);
        let turned = holder.turn(b"", 0, at(5_000)).unwrap();
        holder.told(0, at(5_000));
        assert_eq!(holder.turn(&turned.bytes, 0, at(5_100)), None);
        assert!(holder.turn(&turned.bytes, 1, at(5_200)).is_some());
        assert!(holder.turn(&turned.bytes, 0, at(6_000)).is_some(), "a beat");
    }
}
