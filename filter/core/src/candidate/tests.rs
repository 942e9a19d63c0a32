use serde_json::json;

use super::*;
use crate::{
    audit_log::Book,
    authorizer::Authorizer,
    config::Config,
    decision::DecisionId,
    identity::{Certificate, Validity},
    policy::{Data, Module},
};

const IDENTITY: &str = "spiffe://hexr.cloud/agent/acme-corp/content-crew/researcher";
/// Two calls in a minute.
const LIMIT: &str = "allow if count([1 | some call in data.audit_log; call.agent == input.agent; \
                     call.timestamp > time.now_ns() - 60000000000]) < 2";

fn module(rules: &str) -> String {
    format!("package hexr.authz\n\nimport rego.v1\n\n{rules}\n")
}

fn authorizer(active: &str, candidate: &str, mode: &str) -> Authorizer {
    let config = json!({
        "identity": {"trust_domains": [{"name": "hexr.cloud"}]},
        "decision": {"mode": mode},
        "limits": {"evaluation_ms": 1},
        "policy": {"modules": {"a.rego": module(active)}},
    });
    let config = Rc::new(Config::read(&config.to_string(), &|_| None).unwrap());
    let modules = [Module { path: "next.rego".to_owned(), text: module(candidate), dialect: None }];
    let limits = (config.limits.evaluation, &config.audit_log);
    let policy = Policy::compile(&modules, &Data::default(), &config.rule, limits.0, limits.1).unwrap();
    let bundles = Rc::from([("next".to_owned(), "r2".to_owned())]);
    let mut authorizer = Authorizer::new(config);
    let policy = ActivePolicy { policy: Rc::new(policy), revision: "r2".to_owned(), bundles };
    assert!(authorizer.rehearse(Some(policy)).is_none());
    authorizer
}

/// Decides a request of second `second`, and asks the candidate afterwards, as the filter does.
fn rehearse(authorizer: &Authorizer, book: &Book, host: &str, second: i64) -> Option<Verdict> {
    let certificate = Certificate::of(vec![IDENTITY.to_owned()], Validity::between(i64::MIN, i64::MAX));
    let peer = Rc::new(authorizer.config().trust_domains.peer(&certificate));
    let path = "/bigquery/v2/projects/p/queries?key=1";
    let headers = [(":method", "POST"), (":authority", host), (":path", path)];
    let headers = headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    let request = Request::parse(headers).map(|request| request.ended(true));
    let now = Timestamp::from_unix_nanos(second * 1_000_000_000);
    book.set_clock(now);
    let moment = Moment { now, seed: 0, is_over: &|_| false };
    let decision = authorizer.decide(&peer, &request, moment, book, DecisionId::from_random([7; 16]));
    let rehearsal = Rehearsal::of(&decision, &peer)?;
    Some(rehearsal.run(&authorizer.config().audit_log, book, &|_| false))
}

/// What becomes of requests to BigQuery, one a second.
#[track_caller]
fn check(active: &str, candidate: &str, expected: &[(Comparison, Option<&str>)]) {
    for mode in ["enforce", "shadow"] {
        let authorizer = authorizer(active, candidate, mode);
        let book = Book::at(Timestamp::from_unix_nanos(0));
        let seconds = 1_768_473_000..;
        let verdicts: Vec<_> = seconds
            .zip(expected)
            .map(|(second, _)| rehearse(&authorizer, &book, "bigquery.googleapis.com", second).unwrap())
            .map(|verdict| (verdict.comparison, verdict.reason))
            .collect();
        assert_eq!(verdicts, expected, "{mode}");
    }
}

const AGREES: (Comparison, Option<&str>) = (Comparison::Agrees, None);
const BOTH_DENY: (Comparison, Option<&str>) = (Comparison::Agrees, Some("policy_denied"));
const WOULD_ALLOW: (Comparison, Option<&str>) = (Comparison::WouldAllow, None);
const WOULD_DENY: (Comparison, Option<&str>) = (Comparison::WouldDeny, Some("policy_denied"));

#[test]
fn what_a_candidate_would_decide() {
    const YES: &str = "allow := true";
    const NO: &str = "allow := false";
    check(YES, YES, &[AGREES]);
    check(NO, NO, &[BOTH_DENY]);
    check(NO, YES, &[WOULD_ALLOW]);
    check(YES, NO, &[WOULD_DENY]);
    // Each gets what it refers to.
    check(YES, "allow if input.request.query[\"key\"] == [\"2\"]", &[WOULD_DENY]);
    check(NO, "allow if input.request.path == \"/bigquery/v2/projects/p/queries\"", &[WOULD_ALLOW]);
    check(YES, "allow := 1", &[(Comparison::WouldDeny, Some("evaluation_error"))]);
    // It is asked at the instant of the decision.
    check(YES, "allow if time.now_ns() == 1768473000000000000", &[AGREES, WOULD_DENY]);
}

#[test]
fn the_calls_before_it_count() {
    // Neither that of the decision itself, nor anything that the candidate would do.
    check(LIMIT, LIMIT, &[AGREES, AGREES, BOTH_DENY]);
    check("allow := true", LIMIT, &[AGREES, AGREES, WOULD_DENY, WOULD_DENY]);
    check("allow := false", LIMIT, &[WOULD_ALLOW, WOULD_ALLOW, WOULD_ALLOW]);
    check(LIMIT, "allow := false", &[WOULD_DENY, WOULD_DENY, BOTH_DENY]);
}

#[test]
fn what_no_policy_decides_is_no_rehearsal() {
    let authorizer = authorizer("allow := true", "allow := false", "enforce");
    let book = Book::at(Timestamp::from_unix_nanos(0));
    assert!(rehearse(&authorizer, &book, "nowhere.example", 0).is_none());
}

#[test]
fn one_that_overruns_again_and_again_is_spent() {
    let long = "allow if {\n\tall := numbers.range(1, 2000)\n\tcount([1 | some a in all; some b in all; a * b == 7]) > 9\n}";
    let authorizer = authorizer("allow := true", long, "enforce");
    let book = Book::at(Timestamp::from_unix_nanos(0));
    for _ in 0..MOST_OVERRUNS {
        assert!(!authorizer.candidate().unwrap().is_spent());
        let verdict = rehearse(&authorizer, &book, "bigquery.googleapis.com", 0).unwrap();
        assert_eq!((verdict.comparison, verdict.reason), (Comparison::WouldDeny, Some("budget_exceeded")));
    }
    assert!(authorizer.candidate().unwrap().is_spent());
}
