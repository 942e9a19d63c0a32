use serde_json::Value;

use super::*;
use crate::config::Polling;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_unix_nanos(millis * 1_000_000)
}

fn reporter() -> Reporter {
    let polling =
        Polling { min_delay_millis: 30_000, max_delay_millis: 30_000, long_polling_timeout_seconds: 0 };
    let resource = Resource {
        cluster: "c".to_owned(),
        authority: "h".to_owned(),
        path: "/p/status".to_owned(),
        headers: vec![("authorization".to_owned(), "Bearer x".to_owned())],
        timeout_millis: 10_000,
        polling,
    };
    Reporter::new(resource, labels(&BTreeMap::from([("region".to_owned(), "eu-1".to_owned())]), "the-id"))
}

fn tell(reporter: &mut Reporter, token: u32, at: Timestamp) {
    reporter.told(at);
    reporter.outbox().sent(token, at);
}

#[test]
fn told_at_changes_and_now_and_then() {
    let mut reporter = reporter();
    assert!(reporter.is_due(at(1_000)), "the first is due at once");
    tell(&mut reporter, 7, at(1_000));
    assert!(reporter.outbox().expects(7) && !reporter.outbox().expects(8));
    reporter.note_change();
    assert!(!reporter.is_due(at(9_000)), "one is on its way");
    reporter.outbox().succeeded(at(9_000), 0);
    assert!(reporter.is_due(at(9_000)), "what has changed meanwhile is told");
    tell(&mut reporter, 8, at(9_000));
    reporter.outbox().succeeded(at(9_100), 0);
    assert!(!reporter.is_due(at(39_000)) && reporter.is_due(at(39_100)), "now and then");
    reporter.note_change();
    assert!(!reporter.is_due(at(9_900)) && reporter.is_due(at(10_000)), "changes are apart");
}

#[test]
fn what_is_not_taken_is_told_again_after_a_backoff() {
    let mut reporter = reporter();
    tell(&mut reporter, 7, at(1_000));
    reporter.outbox().failed(at(1_000), 0);
    assert!(!reporter.is_due(at(1_020)) && reporter.is_due(at(1_100)));
    reporter.note_change();
    assert!(!reporter.is_due(at(1_020)), "a change does not shorten the backoff");
    // An answer that never comes is given up.
    tell(&mut reporter, 8, at(1_100));
    assert!(!reporter.is_due(at(16_000)) && reporter.is_due(at(16_100)));
}

#[test]
fn what_is_gone_from_the_log_is_told_at_once() {
    let mut reporter = reporter();
    tell(&mut reporter, 7, at(1_000));
    reporter.outbox().succeeded(at(1_000), 0);
    let status = |dropped, lost, problem: Option<&str>| LogStatus {
        totals: LogTotals { dropped, lost, made: 1_000, ..LogTotals::default() },
        problem: problem.map(str::to_owned),
    };
    for (status, is_told) in [
        (status(0, 0, None), false),
        (status(1, 0, None), true),
        (status(1, 0, None), false),
        (status(1, 4, None), true),
        (status(1, 4, Some("away")), true),
        (status(1, 4, Some("away")), false),
        (status(1, 4, None), true),
    ] {
        reporter.note_logs(&status);
        assert_eq!(reporter.is_due(at(5_000)), is_told, "{status:?}");
        reporter.has_changed = false;
    }
}

#[test]
fn an_event() {
    let good = BundleStatus {
        name: "authz".to_owned(),
        active_revision: Some("r1".to_owned()),
        size: Some(10),
        last_request: Some(at(2_000)),
        ..BundleStatus::default()
    };
    let bad = BundleStatus {
        name: "lists".to_owned(),
        problem: Some(Problem::from(&FetchError::Status("503".to_owned()))),
        ..BundleStatus::default()
    };
    let long = format!("{}\nsecond", "é".repeat(MAX_MESSAGE));
    let tenant = BundleStatus {
        name: "tenants/d/t".to_owned(),
        problem: Some(long.into()),
        ..BundleStatus::default()
    };
    let totals = LogTotals { made: 9, sent: 1, dropped: 2, omitted: 3, lost: 1, held: 2 };
    let logs = LogStatus { totals, problem: Some("the bundle server answered 503".to_owned()) };
    let status = Status {
        bundles: vec![good, bad],
        is_active: false,
        tenants: 3,
        failing_tenants: vec![tenant],
        decision_logs: Some(logs),
    };
    let event: Value = serde_json::from_str(&reporter().event(&status)).unwrap();
    let labels = json!({"region": "eu-1", "id": "the-id", "version": env!("CARGO_PKG_VERSION")});
    let never = "0001-01-01T00:00:00Z";
    for (pointer, expected) in [
        ("/labels", labels),
        ("/plugins/bundle/state", json!("NOT_READY")),
        ("/tenants", json!({"known": 3, "failing": 1})),
        (
            "/bundles/authz",
            json!({"name": "authz", "type": "snapshot", "size": 10, "active_revision": "r1",
                "last_request": "1970-01-01T00:00:02Z", "last_successful_request": never,
                "last_successful_download": never, "last_successful_activation": never}),
        ),
        ("/bundles/lists/code", json!("bundle_error")),
        ("/bundles/lists/http_code", json!(503)),
        ("/decision_logs/code", json!("decision_log_error")),
        ("/decision_logs/message", json!("the bundle server answered 503")),
        ("/decision_logs/metrics/counter_decision_logs_dropped", json!(2)),
        ("/decision_logs/metrics/gauge_decision_logs_held", json!(2)),
        ("/bundles/lists/errors", json!([{"message": "the bundle server answered 503"}])),
        ("/bundles/tenants~1d~1t/errors/1/message", json!("second")),
    ] {
        assert_eq!(event.pointer(pointer), Some(&expected), "{pointer}");
    }
    let message = event.pointer("/bundles/tenants~1d~1t/message").and_then(Value::as_str).unwrap();
    assert_eq!(message.len(), MAX_MESSAGE);
}
