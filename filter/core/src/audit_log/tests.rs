use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, HashMap},
    rc::Rc,
};

use regorus::Value;
use spiffe::SpiffeId;

use super::{
    accounts::{CHUNK, keys as account_keys},
    subject::Subject,
    *,
};
use crate::{
    authorizer::Authorizer,
    config::Config,
    decision::{Decision, DecisionId},
    denial::Denial,
    identity::{Identity, Peer},
    policy::Moment,
    rego::RecentCalls,
    request::Request,
};

const SECOND: i64 = NANOS_PER_SECOND;
/// 2026-01-15T10:30:00Z
const START: i64 = 1_768_473_000 * SECOND;

/// Shared data as Envoy has it, and a clock that the test moves.
#[derive(Default)]
struct Shared {
    values: RefCell<HashMap<String, (Vec<u8>, u32)>>,
    writes: Cell<u32>,
    now: Cell<i64>,
}

impl Shared {
    fn at(now: i64) -> Self {
        let shared = Self::default();
        shared.now.set(now);
        shared
    }

    fn value(&self, key: &str) -> Vec<u8> {
        self.values.borrow().get(key).map(|(value, _)| value.clone()).unwrap_or_default()
    }

    /// The bytes in all shards, and how many were written.
    fn size(&self) -> (u64, u64) {
        let values = self.values.borrow();
        let is_shard = |key: &&String| !key.contains("/account/") && !key.ends_with("/total");
        let shards: Vec<u64> = values.keys().filter(is_shard).map(|key| values[key].0.len() as u64).collect();
        (shards.iter().sum(), shards.len() as u64)
    }

    /// The chunks that are paid for, by all tenants together and in all.
    fn paid(&self, log: &AuditLog) -> (u64, u64) {
        let keys: Vec<String> = account_keys(log.scope).collect();
        let (total, accounts) = keys.split_last().unwrap();
        let of_tenants = accounts.iter().map(|key| {
            let (mut bytes, mut sum) = (self.value(key), 0);
            while !bytes.is_empty() {
                let length = usize::from(u16::from_le_bytes([bytes[0], bytes[1]])) + 2;
                sum += u64::from_le_bytes(bytes[length..length + 8].try_into().unwrap());
                bytes.drain(..length + 8);
            }
            sum
        });
        let total = self.value(total).first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        (of_tenants.sum(), total)
    }
}

impl Ledger for Shared {
    fn read(&self, key: &str) -> Result<Versioned, LedgerFault> {
        let values = self.values.borrow();
        let (value, version) = values.get(key).cloned().unwrap_or_default();
        Ok(Versioned { value, version })
    }

    fn replace(&self, key: &str, value: &[u8], version: u32) -> Result<Swap, LedgerFault> {
        let mut values = self.values.borrow_mut();
        let known = values.entry(key.to_owned()).or_default();
        if known.1 != version {
            return Ok(Swap::Outrun);
        }
        self.writes.set(self.writes.get() + 1);
        *known = (value.to_vec(), self.writes.get());
        Ok(Swap::Done)
    }

    fn now(&self) -> Result<Timestamp, LedgerFault> {
        Ok(Timestamp::from_unix_nanos(self.now.get()))
    }
}

fn identity(tenant: &str, agent: &str) -> Identity {
    let id = SpiffeId::new(format!("spiffe://hexr.cloud/agent/{tenant}/{agent}/editor")).unwrap();
    Identity::new(&id, tenant.to_owned(), agent.to_owned(), "editor".to_owned())
}

/// An authorizer with one policy of the body, over the audit log's configuration.
fn authorizer(rules: &str, audit_log: &str) -> Authorizer {
    let config = serde_json::json!({
        "identity": {"trust_domains": [{"name": "hexr.cloud"}]},
        "policy": {"modules": {"authz.rego": format!("package hexr.authz\n{rules}")}},
        "catalog": {"services": [{"service": "gcp_bigquery", "hosts": ["h"], "kind": "http", "actions": [
            {"action": "query", "method": "POST", "path": "/**"}, {"action": "read", "method": "GET", "path": "/**"}]}]},
        "audit_log": serde_json::from_str::<serde_json::Value>(audit_log).unwrap(),
    });
    let config = Config::read(&config.to_string(), &|_| None).map_err(|problems| problems.to_string());
    Authorizer::new(Rc::new(config.unwrap()))
}

fn ask(
    authorizer: &Authorizer,
    ledger: &dyn Ledger,
    (tenant, agent): (&str, &str),
    method: &str,
) -> Result<(), Denial> {
    let peer = Peer::new(None, Ok(identity(tenant, agent)));
    let headers = [(":method", method), (":authority", "h"), (":path", "/")];
    let request = Request::parse(headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())));
    let now = ledger.now().unwrap();
    let moment = Moment { now, seed: 0, is_over: &|_| false };
    let id = DecisionId::from_random([0; 16]);
    match authorizer.decide(&peer, &request, moment, ledger, id) {
        Decision::Allow(_) => Ok(()),
        Decision::Deny(refusal) => Err(refusal.denial),
        Decision::Waive(waiver) => Err(waiver.refusal().denial.clone()),
    }
}

const LIMIT: &str = r"
allow if count(recent_calls) < 3
recent_calls contains call if {
    some call in data.audit_log
    call.agent == input.agent
    call.timestamp > time.now_ns() - 60000000000
}";

/// Calls after some time each, by the same or another agent; which of them pass.
#[track_caller]
fn check(rules: &str, audit_log: &str, calls: &[(i64, &str, Result<(), &str>)]) {
    let (authorizer, shared) = (authorizer(rules, audit_log), Shared::at(START));
    for (at, (passed, who, expect)) in calls.iter().enumerate() {
        shared.now.set(shared.now.get() + passed);
        let (tenant, agent) = who.split_once('/').unwrap();
        let outcome = ask(&authorizer, &shared, (tenant, agent), "POST");
        let outcome = outcome.map_err(|denial| denial.reason().code());
        assert_eq!(outcome, *expect, "call {at} of {rules}");
    }
}

const NO: Result<(), &str> = Err("policy_denied");

#[test]
fn limits() {
    let a = "acme/crew";
    let v0 = "allow { count(recent_calls) < 3 }\nrecent_calls[call] {\n call := data.audit_log[_]\n call.agent == input.agent\n \
        call.timestamp > time.now_ns() - 60000000000\n}";
    for rules in [LIMIT, v0] {
        // The first call leaves the window a minute after it was made, to the nanosecond.
        check(
            rules,
            "{}",
            &[
                (0, a, Ok(())),
                (5, a, Ok(())),
                (0, a, Ok(())),
                (0, a, NO),
                (0, "acme/other", Ok(())),
                (0, "globex/crew", Ok(())),
                (60 * SECOND - 6, a, NO),
                (1, a, Ok(())),
                (4, a, NO),
                (1, a, Ok(())),
                (0, a, Ok(())),
                (0, a, NO),
            ],
        );
    }
    // By tenant.
    let rules = "allow if count([1 | some call in data.audit_log; call.tenant == input.tenant; call.timestamp > time.now_ns() - 60000000000]) < 2";
    let calls = [(0, a, Ok(())), (0, "acme/b", Ok(())), (0, "acme/c", NO), (0, "globex/c", Ok(()))];
    check(rules, r#"{"scope": "tenant"}"#, &calls);
    // By all.
    let rules =
        "allow if count([1 | some call in data.audit_log; call.timestamp > time.now_ns() - 60000000000]) < 2";
    check(rules, r#"{"scope": "all"}"#, &[(0, a, Ok(())), (0, "acme/b", Ok(())), (0, "globex/c", NO)]);
    // With denials.
    let rules = "allow if count([1 | some call in data.audit_log; call.agent == input.agent; \
        call.decision == \"deny\"; call.timestamp > time.now_ns() - 60000000000]) > 1";
    let calls = [(0, a, NO), (1, a, NO), (1, a, Ok(())), (60 * SECOND - 2, a, NO)];
    check(rules, r#"{"record": "all"}"#, &calls);
    check(rules, "{}", &[(0, a, NO), (1, a, NO), (1, a, NO)]);
    // Two windows at once.
    let rules = "allow if { in_last(1000000000) < 2; in_last(60000000000) < 3 }\n\
        in_last(ns) := count([1 | some call in data.audit_log; call.agent == input.agent; call.timestamp > time.now_ns() - ns])";
    let calls = [(0, a, Ok(())), (0, a, Ok(())), (0, a, NO), (SECOND, a, Ok(())), (2 * SECOND, a, NO)];
    check(rules, "{}", &calls);
}

#[test]
fn a_clock_that_is_set_back_forgets_nothing() {
    let a = "acme/crew";
    // What is called then counts as called with the newest call, and leaves the window with it.
    let calls =
        [(0, a, Ok(())), (-SECOND, a, Ok(())), (0, a, Ok(())), (60 * SECOND, a, NO), (SECOND, a, Ok(()))];
    check(LIMIT, "{}", &calls);
}

#[test]
fn what_a_policy_reads() {
    let rules = r#"
        allow if { count(data.audit_log) == 0 }
        allow if {
            [call] := data.audit_log
            object.remove(call, ["id"]) == {
                "timestamp": 1768473000000000000, "tenant": "acme", "agent": "crew", "role": "editor",
                "spiffe_id": "spiffe://hexr.cloud/agent/acme/crew/editor", "service": "gcp_bigquery",
                "action": "query", "decision": "allow"}
            is_string(call.id)
            data.audit_log[0].action == "query"
            data["audit_log"][_].id == call.id
            count(data.audit_log) == 2 with data.audit_log as [1, 2]
            data.audit_log == [] with data.audit_log as []
        }
        allow if { count(data.audit_log) == 2; data.audit_log[0].id != data.audit_log[1].id; data.audit_log[1].timestamp == time.now_ns() - 1 }"#;
    let a = "acme/crew";
    check(
        rules,
        r#"{"accept_unproven": true}"#,
        &[(0, a, Ok(())), (5, a, Ok(())), (1, a, Ok(())), (0, a, NO)],
    );
}

/// A random number below `most`.
fn below(state: &mut u64, most: u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)) % most
}

/// The instants in the log, as a policy would see them now.
fn instants(log: &AuditLog, shared: &Shared, agent: &str) -> Vec<i64> {
    let mut seen = Vec::new();
    let headers = [(":method", "GET"), (":authority", "h"), (":path", "/")];
    let request =
        Request::parse(headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()))).unwrap();
    let catalog = crate::catalog::Catalog::new(Vec::new(), crate::catalog::OnUnknown::Policy);
    let operation = catalog.admit(catalog.derive(&request), &request).unwrap().operation;
    let outcome: Judged<()> = log.settle(&identity("acme", agent), &operation, shared, |calls, _| {
        let document = calls.document();
        let timestamp = |call: &Value| call[&Value::from("timestamp")].as_i64().unwrap();
        seen = document.as_array().unwrap().iter().map(timestamp).collect();
        Err(Denial::NoPolicy)
    });
    assert_eq!(outcome, Err(Denial::NoPolicy));
    seen
}

#[test]
fn whoever_always_loses_is_told_so() {
    struct Outrun(Shared);
    impl Ledger for Outrun {
        fn read(&self, key: &str) -> Result<Versioned, LedgerFault> {
            self.0.read(key)
        }
        fn replace(&self, _: &str, _: &[u8], _: u32) -> Result<Swap, LedgerFault> {
            Ok(Swap::Outrun)
        }
        fn now(&self) -> Result<Timestamp, LedgerFault> {
            self.0.now()
        }
    }
    let authorizer = authorizer(LIMIT, "{}");
    let denial = ask(&authorizer, &Outrun(Shared::at(START)), ("acme", "crew"), "POST").unwrap_err();
    assert_eq!((denial.reason().code(), denial.reason().status()), ("audit_log_contention", 503));
    assert_eq!(denial.retry_after_seconds(), Some(1));
}

#[test]
fn bytes_that_are_no_shard_deny_and_do_not_panic() {
    let rules = format!("{LIMIT}\nunused := data.audit_log");
    let authorizer = authorizer(&rules, r#"{"accept_unproven": true}"#);
    let log = authorizer.config().audit_log;
    let key = log.scope.shard_key(Subject::new(Scope::Agent, &identity("acme", "crew")).shard);
    let shared = Shared::at(START);
    for method in ["POST", "GET", "POST"] {
        ask(&authorizer, &shared, ("acme", "crew"), method).unwrap();
    }
    let good = shared.value(&key);
    let (mut random, mut refused) = (1, 0);
    for _ in 0..6_000 {
        let mut bytes = good.clone();
        match below(&mut random, 3) {
            0 => bytes = (0..below(&mut random, 300)).map(|_| below(&mut random, 256) as u8).collect(),
            1 => bytes.truncate(below(&mut random, good.len() as u64) as usize),
            _ => {
                for _ in 0..=below(&mut random, 4) {
                    let at = below(&mut random, bytes.len() as u64) as usize;
                    bytes[at] = below(&mut random, 256) as u8;
                }
            }
        }
        shared.values.borrow_mut().insert(key.clone(), (bytes, 7));
        let outcome = ask(&authorizer, &shared, ("acme", "crew"), "POST");
        refused += u32::from(outcome.is_err_and(|denial| denial.reason().code() == "internal_error"));
    }
    assert!(refused > 1_500, "{refused}");
}

#[test]
fn an_agent_fills_its_own_room_only() {
    let rules = "allow if count([1 | some call in data.audit_log; call.agent == input.agent; call.timestamp > time.now_ns() - 1000000000]) < 1000";
    let (authorizer, shared) = (authorizer(rules, r#"{"agent_calls": 5}"#), Shared::at(START));
    for _ in 0..5 {
        ask(&authorizer, &shared, ("acme", "crew"), "POST").unwrap();
        shared.now.set(shared.now.get() + SECOND);
    }
    let denial = ask(&authorizer, &shared, ("acme", "crew"), "POST").unwrap_err();
    assert_eq!((denial.reason().code(), denial.reason().status()), ("audit_log_full", 429));
    assert_eq!(denial.retry_after_seconds(), Some(56), "{denial}");
    ask(&authorizer, &shared, ("acme", "other"), "POST").unwrap();
    shared.now.set(shared.now.get() + 56 * SECOND);
    ask(&authorizer, &shared, ("acme", "crew"), "POST").unwrap();
}

/// What the caller is told after calls at 0, 10 and 20 seconds, when it asks at 30.5.
#[track_caller]
fn check_retry_after(refusal: &str, recent: &str, expected: Option<i64>) {
    let recent = recent.replace("recent", "some call in data.audit_log; call.agent == input.agent");
    let rules = format!(
        "allow := {{\"allowed\": true}} if is_within else := {refusal}\nis_within if {{ {recent} }}",
    );
    let (authorizer, shared) = (authorizer(&rules, r#"{"accept_unproven": true}"#), Shared::at(START));
    for _ in 0..3 {
        ask(&authorizer, &shared, ("acme", "crew"), "POST").unwrap();
        shared.now.set(shared.now.get() + 10 * SECOND);
    }
    shared.now.set(shared.now.get() + SECOND / 2);
    let denial = ask(&authorizer, &shared, ("acme", "crew"), "POST").unwrap_err();
    assert_eq!(denial.retry_after_seconds(), expected, "{refusal} {recent}");
    if let Some(seconds) = expected {
        shared.now.set(shared.now.get() + (seconds - 1) * SECOND);
        ask(&authorizer, &shared, ("acme", "crew"), "POST").unwrap_err();
        shared.now.set(shared.now.get() + SECOND);
        let has_one_limit = recent.matches("count").count() == 1;
        assert_eq!(ask(&authorizer, &shared, ("acme", "crew"), "POST").is_ok(), has_one_limit);
    }
}

#[test]
fn who_calls_too_often_is_told_when_a_call_will_be_forgotten() {
    let minute = "count([1 | recent; call.timestamp > time.now_ns() - 60000000000]) < 3";
    let limited = r#"{"allowed": false, "http_status": 429}"#;
    check_retry_after(limited, minute, Some(30));
    // Of several counts the first that goes down: before, asking again is in vain.
    let both = format!("count([1 | recent; call.timestamp > time.now_ns() - 40000000000]) < 100; {minute}");
    check_retry_after(limited, &both.replace("60000000000", "55000000000"), Some(10));
    // Nobody counts, or not so that it can be known.
    check_retry_after(limited, "count([call | recent]) < 3", None);
    check_retry_after(limited, "count([call | recent; call.timestamp / 2 > 0]) < 3", None);
    // It is no limit, or the policy says it itself.
    check_retry_after("false", minute, None);
    check_retry_after(r#"{"allowed": false}"#, minute, None);
    let own = r#"{"allowed": false, "http_status": 429, "headers": {"retry-after": "7"}}"#;
    check_retry_after(own, minute, None);
}

#[test]
fn a_tenant_fills_its_own_room_only_and_gets_it_back() {
    let settings = r#"{"tenant_bytes": 4096, "window_seconds": 1}"#;
    let rules = LIMIT.replace("60000000000", "1000000000");
    let (authorizer, shared) = (authorizer(&rules, settings), Shared::at(START));
    let log = authorizer.config().audit_log;
    let mut passed = 0;
    let denial = loop {
        match ask(&authorizer, &shared, ("acme", &format!("agent-{passed}")), "POST") {
            Ok(()) => passed += 1,
            Err(denial) => break denial,
        }
    };
    assert_eq!((denial.reason().code(), denial.reason().status()), ("audit_log_full", 429));
    assert_eq!(u64::from(passed as u32), 4096 / CHUNK, "an agent with a call takes a chunk");
    ask(&authorizer, &shared, ("globex", "crew"), "POST").unwrap();
    assert_eq!(shared.paid(&log), (17, 17));
    // The agents fall silent.
    shared.now.set(shared.now.get() + 2 * SECOND);
    let mut sweep = Sweep::new(77);
    for _ in 0..log.scope.shards() / 32 {
        sweep.turn(&log, &shared).unwrap();
    }
    assert_eq!(shared.paid(&log), (0, 0));
    ask(&authorizer, &shared, ("acme", "crew"), "POST").unwrap();
}

#[test]
fn a_hundred_thousand_agents_with_twenty_calls_each_have_room() {
    let rules = LIMIT.replace("< 3", "< 100");
    let (authorizer, shared) = (authorizer(&rules, "{}"), Shared::at(START));
    let log = authorizer.config().audit_log;
    let agents = 200;
    for at in 0..agents {
        for call in 0..20 {
            let method = if call % 2 == 0 { "POST" } else { "GET" };
            ask(
                &authorizer,
                &shared,
                (&format!("tenant-{}", at % 7), &format!("agent-of-some-name-{at}")),
                method,
            )
            .unwrap();
        }
    }
    let each = shared.paid(&log).1 * CHUNK / agents;
    assert!(each * 100_000 <= log.bytes, "{each} bytes each");
    let (bytes, shards) = shared.size();
    assert!(bytes <= shared.paid(&log).1 * CHUNK + 16 * shards);
}

#[test]
fn kinds_of_calls_that_are_gone_take_no_room() {
    let identity = identity("acme", "crew");
    let subject = Subject::new(Scope::Agent, &identity);
    let mut bytes = Vec::new();
    for call in 0..1000_i64 {
        let shard = shard::Shard::parse(&bytes).unwrap();
        let block = shard.sealed(&subject.key).map(|block| block.open().unwrap());
        let mut draft =
            block.as_ref().map_or_else(|| shard::Draft::new(&subject.key, 0), shard::Block::draft);
        draft.forget(block.as_ref().map_or(0, |block| block.older_than(call - 10)));
        let action = format!("tools/call:{call}");
        let face = subject::Face {
            texts: ["acme", "crew", "editor", identity.spiffe_id(), "mcp_github", &action],
            is_allowed: call % 3 == 0,
        };
        draft.push(call, &face).unwrap();
        assert!(draft.size() < 1000, "{} bytes", draft.size());
        let mut next = shard::Shard::begin(1, 0, 0);
        draft.write(&mut next);
        bytes = next;
        let shard = shard::Shard::parse(&bytes).unwrap();
        let block = shard.sealed(&subject.key).unwrap().open().unwrap();
        let faces: Vec<subject::Face<'_>> = block.faces().collect();
        for entry in block.entries(0) {
            let kept = faces[usize::from(entry.face)];
            assert_eq!(
                (kept.texts[5], kept.is_allowed),
                (format!("tools/call:{}", entry.timestamp).as_str(), entry.timestamp % 3 == 0)
            );
        }
        assert_eq!(block.len(), usize::try_from(call.min(10) + 1).unwrap());
    }
}

#[test]
fn a_longer_window_of_another_configuration_is_kept() {
    let long = authorizer(LIMIT, "{}");
    let rules = LIMIT.replace("60000000000", "1000000000");
    let short = authorizer(&rules, r#"{"window_seconds": 1}"#);
    let shared = Shared::at(START);
    let a = ("acme", "crew");
    for authorizer in [&long, &short, &short] {
        ask(authorizer, &shared, a, "POST").unwrap();
        shared.now.set(shared.now.get() + 2 * SECOND);
    }
    assert_eq!(ask(&long, &shared, a, "POST").map_err(|denial| denial.reason().code()), NO);
    ask(&short, &shared, a, "POST").unwrap();
}

#[test]
fn a_policy_that_counts_no_calls_leaves_the_log_alone() {
    let (authorizer, shared) = (authorizer("allow if input.role == \"editor\"", "{}"), Shared::at(START));
    ask(&authorizer, &shared, ("acme", "crew"), "POST").unwrap();
    assert!(shared.values.borrow().is_empty());
}

mod interleavings;
mod look_back;
