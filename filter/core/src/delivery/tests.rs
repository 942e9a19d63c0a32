use super::*;
use crate::{
    config::{Polling, Resource},
    tenant::TenantKey,
    timestamp::Timestamp,
};

fn polling(min_delay_millis: u64, max_delay_millis: u64) -> Polling {
    Polling { min_delay_millis, max_delay_millis, long_polling_timeout_seconds: 30 }
}

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
    let schedule = Schedule::new(polling(200, 300));
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
    let schedule = Schedule::new(polling(100, 1000));
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
    let mut schedule = Schedule::new(polling(100, 100));
    schedule.succeeded(at(1_000_000), 0);
    assert!(!schedule.is_due(at(1_000_050)));
    assert!(schedule.is_due(at(5_000)));
}

#[test]
fn answers() {
    let read = |status: &str, content_type: &str, body: &[u8]| {
        let headers = [
            (&b":status"[..], status.as_bytes()),
            (b"etag", b"\"e\""),
            (b"content-type", content_type.as_bytes()),
        ];
        Fetched::read(headers.into_iter(), body.to_vec())
    };
    for (content_type, speaks_long_polling) in [
        ("application/gzip", false),
        ("application/vnd.openpolicyagent.bundles", true),
        // OPA compares the whole text.
        ("application/vnd.openpolicyagent.bundles; charset=x", false),
    ] {
        let new = Fetched::New { bytes: b"x".to_vec(), etag: Some("\"e\"".to_owned()), speaks_long_polling };
        assert_eq!(read("200", content_type, b"x"), Ok(new));
    }
    assert_eq!(read("304", "", b""), Ok(Fetched::NotModified));
    assert_eq!(read("200", "", b""), Err(FetchError::Empty));
    assert_eq!(read("404", "", b""), Err(FetchError::Missing));
    for status in ["204", "301", "503"] {
        assert_eq!(read(status, "", b"x"), Err(FetchError::Status(status.to_owned())));
    }
    assert_eq!(Fetched::read(std::iter::empty(), Vec::new()), Err(FetchError::NoAnswer));
}

fn held(name: &str, slot: Slot, content: &[u8]) -> Held {
    let digest = Digest::of(content);
    Held {
        name: name.to_owned(),
        slot,
        digest,
        etag: Some("\"e\"".to_owned()),
        issued_at: Some(7),
        revision: "r".to_owned(),
        size: content.len(),
        activated_at: 9,
    }
}

#[test]
fn records() {
    let first = ActiveRecord::following(None, Content::Bundles(vec![held("a", Slot::A, b"1")]));
    let second = ActiveRecord::following(Some(&first), Content::Missing);
    let third = ActiveRecord::following(Some(&second), Content::Bundles(Vec::new()));
    assert_eq!([first.generation, second.generation, third.generation], [1, 2, 3]);
    for record in [first, second] {
        assert_eq!(ActiveRecord::decode(&record.encode()), Some(record));
    }
    assert_eq!(ActiveRecord::decode(b""), None);
    assert_eq!([None, Some(Slot::A), Some(Slot::B)].map(Slot::after), [Slot::A, Slot::B, Slot::A]);
    assert_eq!(Digest::decode(Digest::of(b"1").as_str().as_bytes()), Some(Digest::of(b"1")));
    assert_eq!(Digest::decode(b""), None);
}

fn resource() -> Resource {
    Resource {
        cluster: "c".to_owned(),
        authority: "a".to_owned(),
        path: "/p".to_owned(),
        headers: vec![("authorization".to_owned(), "Bearer x".to_owned())],
        timeout_millis: 10_000,
        polling: polling(1000, 1000),
    }
}

/// The value of a header of the next request.
fn header(download: &Download, name: &str) -> Option<String> {
    download.request().into_iter().find(|(other, _)| *other == name).map(|(_, value)| value.into_owned())
}

fn new(etag: &str, speaks_long_polling: bool) -> Result<Fetched, FetchError> {
    Ok(Fetched::New { bytes: Vec::new(), etag: Some(etag.to_owned()), speaks_long_polling })
}

/// When the next request is due after `answer`, which came after so many milliseconds.
#[track_caller]
fn due_after(download: &mut Download, answer: Result<Fetched, FetchError>, took: i64) -> i64 {
    download.sent(1, at(0));
    assert!(download.expects(1) && !download.expects(2) && !download.is_idle(at(0)));
    let _ = download.answered(answer, at(took), 0);
    (took..took + 20_000).find(|millis| download.is_due(at(*millis))).unwrap() - took
}

const WAITS: &str = "modes=snapshot;wait=30";
const WAITS_NOT: &str = "modes=snapshot";

#[test]
fn a_server_that_can_wait_is_asked_again_at_once() {
    let mut download = Download::new(resource());
    assert_eq!(header(&download, "prefer").as_deref(), Some(WAITS));
    assert_eq!(header(&download, "if-none-match"), None);
    assert_eq!(download.timeout().as_secs(), 40);
    assert_eq!(due_after(&mut download, new("1", true), 5), 0);
    assert_eq!(header(&download, "if-none-match").as_deref(), Some("1"));
    assert_eq!(due_after(&mut download, new("2", true), 5), 0);
    assert_eq!(due_after(&mut download, Ok(Fetched::NotModified), 30_000), 0);
    // One that says that it can and does not is not asked in a loop.
    assert_eq!(due_after(&mut download, new("2", true), 5), 1000);
    assert_eq!(due_after(&mut download, Ok(Fetched::NotModified), 5), 1000);
}

#[test]
fn a_server_that_cannot_wait_is_polled() {
    let mut download = Download::new(resource());
    assert_eq!(due_after(&mut download, new("1", false), 5), 1000);
    assert_eq!(header(&download, "prefer").as_deref(), Some(WAITS_NOT));
    assert_eq!(download.timeout().as_secs(), 10);
    // What comes back after an error may be another server.
    assert_eq!(due_after(&mut download, Err(FetchError::NoAnswer), 5), 50);
    assert_eq!(header(&download, "prefer").as_deref(), Some(WAITS));
    let mut resource = resource();
    resource.polling.long_polling_timeout_seconds = 0;
    assert_eq!(header(&Download::new(resource), "prefer").as_deref(), Some(WAITS_NOT));
}

#[test]
fn a_tenants_bundle_may_be_absent() {
    let mut download = Download::of_tenant(resource());
    assert_eq!(header(&download, "prefer").as_deref(), Some(WAITS_NOT));
    assert_eq!(due_after(&mut download, new("1", true), 5), 1000);
    assert_eq!(due_after(&mut download, Err(FetchError::Missing), 5), 1000);
    assert_eq!(download.etag(), None);
    assert!(download.may_hurry(at(5)));
    due_after(&mut download, Err(FetchError::NoAnswer), 5);
    assert!(!download.may_hurry(at(5)) && download.may_hurry(at(60)));
}

/// It is JSON whether the server can wait or not.
#[test]
fn a_list_of_tenants_is_waited_for() {
    let mut download = Download::of_index(resource());
    assert_eq!(due_after(&mut download, new("1", false), 5), 0);
    assert_eq!(header(&download, "prefer").as_deref(), Some(WAITS));
    assert_eq!(due_after(&mut download, Ok(Fetched::NotModified), 30_000), 0);
    assert_eq!(due_after(&mut download, new("2", false), 5), 0);
    // A server that cannot is polled.
    assert_eq!(due_after(&mut download, Ok(Fetched::NotModified), 5), 1000);
    assert_eq!(due_after(&mut download, new("2", false), 5), 1000);
}

#[test]
fn a_call_whose_answer_never_comes_is_given_up() {
    let mut download = Download::new(resource());
    download.sent(1, at(0));
    assert!(!download.is_idle(at(44_999)) && download.is_idle(at(45_000)));
    assert_eq!(
        download.answered(Ok(Fetched::NotModified), at(0), 0),
        Err(FetchError::OutOfNowhere),
        "nothing was named that could be unmodified"
    );
}

fn pending(content: &[u8]) -> Pending {
    Pending { bytes: std::rc::Rc::new(content.to_vec()), digest: Digest::of(content), etag: None }
}

#[test]
fn bundles_are_tried_together() {
    let mut assembly = Assembly::new(vec!["a".to_owned(), "b".to_owned()]);
    let arrival = assembly.arrived("a", pending(b"a1"), None);
    assert_eq!(arrival, Arrival::Waits(vec!["b".to_owned()]));
    assert!(assembly.next_attempt().is_none());
    assert_eq!(assembly.arrived("b", pending(b"b1"), None), Arrival::Tried);
    let attempt = assembly.next_attempt().unwrap();
    assert!(attempt.bundle("a").is_some() && attempt.bundle("b").is_some());
    assert!(assembly.next_attempt().is_none(), "neither is active without the other");
    assembly.succeeded(&attempt);

    let active = Content::Bundles(vec![held("a", Slot::A, b"a1"), held("b", Slot::A, b"b1")]);
    let active = Some(ActiveRecord::following(None, active));
    assert_eq!(assembly.arrived("a", pending(b"a1"), active.as_ref()), Arrival::Active);
    assert_eq!(assembly.arrived("a", pending(b"a2"), active.as_ref()), Arrival::Tried);
    let attempt = assembly.next_attempt().unwrap();
    assert!(attempt.bundle("a").is_some() && attempt.bundle("b").is_none());
    assert_eq!(attempt.digest(), Digest::of(b"a2"));
    assembly.refused(&attempt, "no");
    assert_eq!(assembly.arrived("a", pending(b"a2"), active.as_ref()), Arrival::Refused("no".to_owned()));
    // With a new `b` it may be right; by itself the new `b` is.
    assert_eq!(assembly.arrived("b", pending(b"b2"), active.as_ref()), Arrival::Tried);
    let both = assembly.next_attempt().unwrap();
    assert!(both.bundle("a").is_some() && both.bundle("b").is_some());
    assembly.refused(&both, "no");
    let alone = assembly.next_attempt().unwrap();
    assert!(alone.bundle("a").is_none() && alone.bundle("b").is_some());
    assert_ne!(both.digest(), alone.digest());
}

#[test]
fn the_roll_of_tenants() {
    let key = |text: &str| TenantKey::parse(text).unwrap();
    let mut roll = TenantRoll::default();
    assert!(roll.add(&[key("hexr.cloud/acme"), key("hexr.cloud/globex")]));
    assert!(!roll.add(&[key("hexr.cloud/acme")]));
    assert_eq!(TenantRoll::decode(&roll.encode()), roll);
    assert_eq!(TenantRoll::decode(b"no tenant\nhexr.cloud/..\n"), TenantRoll::default());
    let many: Vec<TenantKey> = (0..20_000).map(|n| key(&format!("d/{n}"))).collect();
    assert!(roll.add(&many) && roll.is_full() && !roll.add(&[key("d/one-more")]));
    let index = TenantIndex::read(br#"{"tenants": {"acme": "\"e\""}}"#).unwrap();
    assert_eq!((index.etag("acme"), index.etag("globex")), (Some("\"e\""), None));
    assert!(TenantIndex::read(b"<html>").is_err());
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
