use super::*;
use crate::{config::Polling, timestamp::Timestamp};

fn at(millis: i64) -> Timestamp {
    Timestamp::from_unix_nanos(millis * 1_000_000)
}

#[test]
fn one_holder_at_a_time() {
    let (a, b) = ([1; 16], [2; 16]);
    let lease = Lease::decode(&Lease::new(a, at(1_000)).encode()).unwrap();
    for (now, a_holds, b_may) in
        [(1_000, true, false), (5_999, true, false), (6_000, false, true), (-9_000, true, true)]
    {
        assert_eq!(lease.is_held(a, at(now)), a_holds, "at {now}");
        assert!(!lease.is_held(b, at(now)));
        assert_eq!(lease.may_be_taken(b, at(now)), b_may, "at {now}");
        assert!(lease.may_be_taken(a, at(now)));
    }
    assert!(!lease.is_due(at(1_500)));
    assert!(lease.is_due(at(2_000)));
    assert_eq!(Lease::decode(b"short"), None);
    assert_eq!(Lease::decode(&[0; 25]), None);
}

/// The smallest and the largest delay that any random number draws.
fn delays(mut draw: impl FnMut(u64) -> Schedule) -> (i64, i64) {
    let wait = |schedule: Schedule| (0..20_000).find(|millis| schedule.is_due(at(*millis))).unwrap();
    let waits: Vec<i64> = (0..500).map(|n| wait(draw(n * 7919))).collect();
    (*waits.iter().min().unwrap(), *waits.iter().max().unwrap())
}

#[test]
fn polls_within_the_range() {
    let schedule = Schedule::new(Polling { min_delay_millis: 200, max_delay_millis: 300 });
    assert!(schedule.is_due(at(0)));
    let (min, max) = delays(|random| {
        let mut schedule = schedule;
        schedule.succeeded(at(0), random);
        schedule
    });
    assert!((200..220).contains(&min) && (280..=300).contains(&max), "{min} {max}");
}

#[test]
fn backs_off_with_jitter_up_to_the_longest_delay() {
    let schedule = Schedule::new(Polling { min_delay_millis: 100, max_delay_millis: 1000 });
    for (failures, longest) in [(1, 100), (2, 200), (3, 400), (4, 800), (5, 1000), (80, 1000)] {
        let (min, max) = delays(|random| {
            let mut schedule = schedule;
            for _ in 0..failures {
                schedule.failed(at(0), random);
            }
            schedule
        });
        assert!(min >= longest / 2 && min < longest * 6 / 10, "{failures}: {min}");
        assert!(max <= longest && max > longest * 9 / 10, "{failures}: {max}");
    }
}

#[test]
fn a_clock_set_back_does_not_stop_polling() {
    let mut schedule = Schedule::new(Polling { min_delay_millis: 100, max_delay_millis: 100 });
    schedule.succeeded(at(1_000_000), 0);
    assert!(!schedule.is_due(at(1_000_050)));
    assert!(schedule.is_due(at(5_000)));
}

#[test]
fn answers() {
    let read = |status: &str, body: &[u8]| {
        let headers = [(&b":status"[..], status.as_bytes()), (b"etag", b"\"e\"")];
        Fetched::read(headers.into_iter(), body.to_vec())
    };
    assert_eq!(
        read("200", b"x"),
        Ok(Fetched::Bundle { bytes: b"x".to_vec(), etag: Some("\"e\"".to_owned()) })
    );
    assert_eq!(read("304", b""), Ok(Fetched::NotModified));
    assert_eq!(read("200", b""), Err(FetchError::Empty));
    for status in ["204", "301", "404", "503"] {
        assert_eq!(read(status, b"x"), Err(FetchError::Status(status.to_owned())));
    }
    assert_eq!(Fetched::read(std::iter::empty(), Vec::new()), Err(FetchError::NoAnswer));
}

#[test]
fn records() {
    let first = ActiveRecord::following(None, Digest::of(b"1"), None);
    let second = ActiveRecord::following(Some(&first), Digest::of(b"2"), Some("\"e\"".to_owned()));
    let third = ActiveRecord::following(Some(&second), Digest::of(b"3"), None);
    assert_eq!([first.generation, second.generation, third.generation], [1, 2, 3]);
    assert_eq!([first.slot, second.slot, third.slot], [Slot::A, Slot::B, Slot::A]);
    assert_eq!(ActiveRecord::decode(&second.encode()), Some(second));
    assert_eq!(ActiveRecord::decode(b""), None);
    assert_eq!(Digest::decode(Digest::of(b"1").as_str().as_bytes()), Some(Digest::of(b"1")));
    assert_eq!(Digest::decode(b""), None);
}

#[test]
fn the_quarantine_is_bounded() {
    let mut quarantine = Quarantine::default();
    for number in 0..40_u8 {
        quarantine.add(Digest::of(&[number]));
        quarantine.add(Digest::of(&[number]));
    }
    let quarantine = Quarantine::decode(&quarantine.encode());
    assert!(!quarantine.holds(&Digest::of(&[23])));
    assert!(quarantine.holds(&Digest::of(&[24])) && quarantine.holds(&Digest::of(&[39])));
    assert_eq!(Quarantine::decode(b"?"), Quarantine::default());
}
