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
    let moment = Moment { now, seed: 0, is_over: &|| false };
    let id = DecisionId::from_random([0; 16]);
    match authorizer.decide(&peer, &request, moment, ledger, id) {
        Decision::Allow(_) => Ok(()),
        Decision::Deny(refusal) => Err(refusal.denial),
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

/// Workers that interrupt each other wherever one of them turns to the shared data.
struct Workers {
    shared: Shared,
    log: AuditLog,
    limit: usize,
    random: Cell<u64>,
    depth: Cell<u32>,
    /// Who passed when.
    passed: RefCell<Vec<(String, i64)>>,
    ids: RefCell<BTreeMap<String, i64>>,
    outruns: Cell<u32>,
}

impl Workers {
    fn random(&self, most: u64) -> u64 {
        let mut state = self.random.get();
        let drawn = below(&mut state, most);
        self.random.set(state);
        drawn
    }

    fn interrupt(&self) {
        self.depth.set(self.depth.get() + 1);
        self.interrupt_here();
        self.depth.set(self.depth.get() - 1);
    }

    fn interrupt_here(&self) {
        match self.random(12) {
            0 => self
                .shared
                .now
                .set(self.shared.now.get() + i64::try_from(self.random(2_000_000_000)).unwrap()),
            1 => {
                self.shared.now.set(self.shared.now.get() - i64::try_from(self.random(100_000_000)).unwrap())
            }
            2..=4 if self.depth.get() < 5 => self.call(),
            5 if self.depth.get() < 5 => {
                let agent = format!("agent-{}", self.random(3));
                let subject = Subject::new(self.log.scope, &identity("acme", &agent));
                self.log.sweep(subject.shard, self).unwrap();
            }
            _ => {}
        }
    }

    fn call(&self) {
        let agent = format!("agent-{}", self.random(3));
        let identity = identity("acme", &agent);
        let headers = [(":method", "GET"), (":authority", "h"), (":path", "/")];
        let request =
            Request::parse(headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()))).unwrap();
        let catalog = crate::catalog::Catalog::new(Vec::new(), crate::catalog::OnUnknown::Policy);
        let operation = catalog.admit(catalog.derive(&request), &request).unwrap().operation;
        let window = self.log.window_ns();
        let passed = self.log.settle(&identity, &operation, self, |calls, now| {
            let is_looked_at = self.random(4) == 0;
            let document = if is_looked_at { calls.document() } else { Value::from(Vec::<Value>::new()) };
            for call in document.as_array().unwrap().iter() {
                let id = call[&Value::from("id")].as_string().unwrap().to_string();
                let timestamp = call[&Value::from("timestamp")].as_i64().unwrap();
                let known = *self.ids.borrow_mut().entry(id).or_insert(timestamp);
                assert_eq!(known, timestamp, "two calls with one id");
            }
            let now = now.unix_nanos();
            let kinds = vec![true; calls.kinds()];
            let count = calls.count(now - window + 1..=i64::MAX, &kinds);
            if is_looked_at {
                let timestamps = document
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|call| call[&Value::from("timestamp")].as_i64().unwrap());
                assert_eq!(count, timestamps.filter(|timestamp| *timestamp > now - window).count());
            }
            if count < self.limit { Ok(now) } else { Err(Denial::PolicyDenied(Box::default())) }
        });
        match passed {
            Ok(now) => self.passed.borrow_mut().push((agent, now)),
            Err(denial) => assert_eq!(denial.reason().code(), "policy_denied"),
        }
    }
}

impl Ledger for Workers {
    fn read(&self, key: &str) -> Result<Versioned, LedgerFault> {
        let value = self.shared.read(key);
        self.interrupt();
        value
    }

    fn replace(&self, key: &str, value: &[u8], version: u32) -> Result<Swap, LedgerFault> {
        self.interrupt();
        let swap = self.shared.replace(key, value, version);
        if swap == Ok(Swap::Outrun) {
            self.outruns.set(self.outruns.get() + 1);
        }
        swap
    }

    fn now(&self) -> Result<Timestamp, LedgerFault> {
        let now = self.shared.now();
        self.interrupt();
        now
    }
}

#[test]
fn never_more_than_the_limit_in_any_window_however_workers_interleave() {
    let (mut passes, mut outruns) = (0, 0);
    for seed in 0..30 {
        let scope = [Scope::Agent, Scope::Tenant, Scope::All][seed as usize % 3];
        let log = AuditLog { window_seconds: 10, scope, ..AuditLog::default() };
        let limit = 2 + seed as usize % 5;
        let workers = Workers {
            shared: Shared::at(START),
            log,
            limit,
            random: Cell::new(seed),
            depth: Cell::new(0),
            passed: RefCell::default(),
            ids: RefCell::default(),
            outruns: Cell::new(0),
        };
        for _ in 0..120 {
            workers.call();
            workers.interrupt();
        }
        let mut by_subject: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
        let passed = workers.passed.borrow();
        for (agent, now) in &*passed {
            let subject = if scope == Scope::Agent { agent.as_str() } else { "" };
            by_subject.entry(subject).or_default().push(*now);
        }
        for instants in by_subject.values_mut() {
            instants.sort_unstable();
            for (at, now) in instants.iter().enumerate() {
                let since =
                    instants[..=at].iter().filter(|earlier| **earlier > now - log.window_ns()).count();
                assert!(since <= limit, "seed {seed}: {since} calls within the window that ends at {now}");
            }
        }
        // What passed is what is in the log, no call more and none less.
        let now = workers.shared.now.get();
        for agent in ["agent-0", "agent-1", "agent-2"] {
            let subject = if scope == Scope::Agent { agent } else { "" };
            let since = by_subject
                .get(subject)
                .and_then(|instants| instants.last())
                .map_or(now, |last| now.max(*last))
                - log.window_ns();
            let expect: Vec<i64> =
                by_subject.get(subject).into_iter().flatten().copied().filter(|at| *at >= since).collect();
            assert_eq!(instants(&log, &workers.shared, agent), expect, "seed {seed}, {agent}");
        }
        let (of_tenants, total) = workers.shared.paid(&log);
        assert_eq!(of_tenants, total, "seed {seed}: the accounts agree");
        let (bytes, shards) = workers.shared.size();
        assert!(bytes <= total * CHUNK + 16 * shards);
        passes += passed.len();
        outruns += workers.outruns.get();
    }
    assert!(passes > 500 && outruns > 500, "{passes} calls passed, {outruns} lost a race");
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

/// A policy with a body over the log, and what is said of it.
#[track_caller]
fn check_look(rules: &str, audit_log: &str, expect: Option<&str>) {
    let module = crate::policy::Module {
        path: "a.rego".to_owned(),
        text: format!("package hexr.authz\n{rules}"),
        dialect: None,
    };
    let config = format!(
        r#"{{"identity": {{"trust_domains": [{{"name": "a.b"}}]}}, "audit_log": {audit_log},
            "policy": {{"modules": {{"x.rego": "package hexr.authz\nallow if false"}}}}}}"#
    );
    let log = Config::read(&config, &|_| None).unwrap().audit_log;
    let rule = crate::policy::RulePath::parse("hexr/authz/allow").unwrap();
    let budget = crate::policy::Budget { milliseconds: 50 };
    let data =
        crate::policy::Data::from_json(r#"{"limits": {"ns": 60000000000, "far": 61000000000}}"#).unwrap();
    let policy = crate::policy::Policy::compile(&[module], &data, &rule, budget, &log);
    let errors = policy.err().map(|errors| errors.to_string());
    match (&errors, expect) {
        (None, None) => {}
        (Some(errors), Some(expect))
            if errors.starts_with(expect) && errors.lines().all(|line| line.starts_with("a.rego:")) => {}
        _ => panic!("{rules}\n{audit_log}\n{errors:?} instead of {expect:?}"),
    }
}

#[test]
fn how_far_a_policy_looks_back_is_read_from_its_text() {
    const FAR: Option<&str> = Some("a.rego:2:");
    let counting = |body: &str| format!("allow if count([1 | some c in data.audit_log; {body}]) < 3");
    let (own, minute) = ("c.agent == input.agent", "c.timestamp > time.now_ns() - 60000000000");
    for body in [
        format!("{own}; {minute}"),
        format!("{minute}; {own}"),
        format!("input.agent == c.agent; {minute}; c.action == input.action"),
        format!("c.spiffe_id == input.spiffe_id; {minute}"),
        format!("{own}; c.timestamp >= time.now_ns() - 60 * 1000000000"),
        format!("{own}; time.now_ns() - 60000000000 < c.timestamp"),
        format!("{own}; time.now_ns() - c.timestamp < 60000000000"),
        format!("{own}; 60000000000 >= time.now_ns() - c.timestamp"),
        format!("{own}; c.timestamp > time.now_ns() - time.parse_duration_ns(\"1m\")"),
        format!("{own}; c.timestamp > time.now_ns() - data.limits.ns"),
        format!("{own}; since := time.now_ns() - 1; c.timestamp > since"),
        format!("{own}; {minute}; c.timestamp > time.now_ns() - 3600000000000"),
    ] {
        check_look(&counting(&body), "{}", None);
    }
    for (body, expect) in [
        (
            format!("{own}; c.timestamp > time.now_ns() - 60000000001"),
            "a.rego:2:21: the policy looks back 60.000000001 seconds, but",
        ),
        (
            format!("{own}; c.timestamp > time.now_ns() - data.limits.far"),
            "a.rego:2:21: the policy looks back 61 seconds",
        ),
        (
            format!("{own}; c.timestamp > time.now_ns() - time.parse_duration_ns(\"1h\")"),
            "a.rego:2:21: the policy looks back 3600 seconds",
        ),
        (own.to_owned(), "a.rego:2:21: how far this looks back cannot be read"),
        (format!("{own}; c.timestamp < time.now_ns() - 5"), "a.rego:2:21: how far"),
        (format!("{own}; c.timestamp > time.now_ns() - input.role"), "a.rego:2:21: how far"),
        (format!("{own}; not c.timestamp > time.now_ns() - 5"), "a.rego:2:21: how far"),
        (format!("{own}; count([1 | {minute}]) == 1"), "a.rego:2:21: how far"),
        (format!("{own}; c.timestamp + 1 > time.now_ns() - 5"), "a.rego:2:21: how far"),
        (
            minute.to_owned(),
            "a.rego:2:21: this looks at calls that `data.audit_log` does not have with `audit_log.scope` `agent`",
        ),
        (format!("c.agent == input.role; {minute}"), "a.rego:2:21: this looks at calls"),
        (format!("not {own}; {minute}"), "a.rego:2:21: this looks at calls"),
        (format!("c.tenant == input.tenant; {minute}"), "a.rego:2:21: this looks at calls"),
    ] {
        check_look(&counting(&body), "{}", Some(expect));
    }
    // The scope, and what an operator takes on himself.
    check_look(&counting(&format!("c.tenant == input.tenant; {minute}")), r#"{"scope": "tenant"}"#, None);
    check_look(&counting(minute), r#"{"scope": "tenant"}"#, FAR);
    check_look(&counting(minute), r#"{"scope": "all"}"#, None);
    check_look(&counting("true"), r#"{"accept_unproven": true}"#, None);
    let hour = "c.agent == input.agent; c.timestamp > time.now_ns() - 3600000000000";
    check_look(&counting(hour), r#"{"accept_unproven": true}"#, FAR);
    check_look(&counting(hour), r#"{"window_seconds": 3600}"#, None);
    // Rules and functions.
    let function = "in_last(ns) := count([1 | some c in data.audit_log; c.agent == input.agent; c.timestamp > time.now_ns() - ns])";
    check_look(
        &format!("allow if {{ in_last(1000) < 3; in_last(60000000000) < 9 }}\n{function}"),
        "{}",
        None,
    );
    let expect = "a.rego:3:27: the policy looks back 61 seconds";
    check_look(
        &format!("allow if {{ in_last(1000) < 3; in_last(61000000000) < 9 }}\n{function}"),
        "{}",
        Some(expect),
    );
    check_look(&format!("allow if in_last(input.role) < 3\n{function}"), "{}", Some("a.rego:3:"));
    let conditions = "own(c) if c.agent == input.agent\nrecent(c) if c.timestamp > cutoff\ncutoff := time.now_ns() - window\nwindow := 60000000000";
    check_look(&format!("{}\n{conditions}", counting("own(c); recent(c)")), "{}", None);
    check_look(&format!("{}\n{conditions}", counting("own(c); not recent(c)")), "{}", FAR);
    check_look(
        &format!("{}\n{conditions}\nrecent(c) if c.action == \"a\"", counting("own(c); recent(c)")),
        "{}",
        FAR,
    );
    check_look(
        &format!("{}\n{conditions}\ndefault recent(_) := true", counting("own(c); recent(c)")),
        "{}",
        FAR,
    );
    // A rule that nothing needs may look anywhere; what is needed through others may not.
    check_look("allow if true\nunused := data.audit_log", "{}", None);
    check_look("allow if a\na if b[1]\nb contains count(data.audit_log)", "{}", Some("a.rego:4:"));
    // Other ways to the log.
    for rules in [
        "allow if data.audit_log[0].agent == \"a\"",
        "allow if not data.audit_log[3]",
        "allow if { log := data.audit_log; count(log) < 3 }",
        "allow if f(data.audit_log)\nf(log) if count(log) < 3",
        "allow if every c in data.audit_log { c.agent == input.agent }",
        "allow if count(data.audit_log) == 0 with input.agent as \"x\"",
        "allow if [data.audit_log] == [[]]",
        "allow if { [x, _] := [data.audit_log, 1]; count(x) < 3 }",
        "allow if { some c in data.audit_log; not c.timestamp > time.now_ns() - 5 }",
        "allow if not r with input.agent as \"x\"\nr if { some c in data.audit_log; c.agent == input.agent; c.timestamp > time.now_ns() - 5 }",
        "allow if { x := [1]; x[data.audit_log[0].n] }",
    ] {
        check_look(rules, "{}", FAR);
    }
    let alias = "allow if count([1 | log := data.audit_log; some c in log; c.agent == input.agent; c.timestamp > time.now_ns() - 5]) < 2";
    check_look(alias, "{}", None);
}

#[test]
fn the_shipped_function_counts_is_proven_and_is_recognised() {
    let module = |path: &str, text: &str| crate::policy::Module {
        path: path.to_owned(),
        text: text.to_owned(),
        dialect: None,
    };
    let shipped = module("calls.rego", include_str!("../../../../policies/calls/calls.rego"));
    let compile = |duration: &str| {
        let text =
            format!("package hexr.authz\nimport data.hexr.calls\nallow if calls.in_last(\"{duration}\") < 3");
        let rule = crate::policy::RulePath::parse("hexr/authz/allow").unwrap();
        // Too little work for walking over thousands of calls.
        let budget = crate::policy::Budget { milliseconds: 1 };
        let modules = [module("authz.rego", &text), shipped.clone()];
        crate::policy::Policy::compile(
            &modules,
            &crate::policy::Data::default(),
            &rule,
            budget,
            &AuditLog::default(),
        )
    };
    let error = |duration| compile(duration).map(drop).unwrap_err().to_string();
    assert!(error("61s").contains("the policy looks back 61 seconds"), "{}", error("61s"));
    assert!(error("soon").contains("how far this looks back cannot be read"), "{}", error("soon"));
    let (mut authorizer, shared) = (authorizer(&LIMIT.replace("< 3", "< 9999"), "{}"), Shared::at(START));
    for _ in 0..5_000 {
        ask(&authorizer, &shared, ("acme", "crew"), "POST").unwrap();
    }
    authorizer.activate(crate::authorizer::ActivePolicy {
        policy: Rc::new(compile("1m").unwrap()),
        revision: String::new(),
    });
    let denial = ask(&authorizer, &shared, ("acme", "crew"), "POST").unwrap_err();
    assert_eq!(denial.reason().code(), "policy_denied", "{denial}");
    shared.now.set(shared.now.get() + 60 * SECOND);
    ask(&authorizer, &shared, ("acme", "crew"), "POST").unwrap();
}

#[test]
fn the_tests_of_the_shipped_function_pass() {
    let module = |path: &str, text: &str| crate::policy::Module {
        path: path.to_owned(),
        text: text.to_owned(),
        dialect: None,
    };
    let tests = include_str!("../../../../policies/calls/calls_test.rego");
    let modules = [
        module("calls.rego", include_str!("../../../../policies/calls/calls.rego")),
        module("calls_test.rego", tests),
    ];
    let library = crate::policy::Library::compile(&modules, &crate::policy::Data::default()).unwrap();
    let names: Vec<&str> =
        tests.lines().filter_map(|line| line.split_once(" if ")?.0.strip_prefix("test_")).collect();
    assert_eq!(names.len(), 4);
    for name in names {
        let path = ["hexr", "calls_test", &format!("test_{name}")];
        let question = crate::policy::Question {
            path: &path,
            input: Some(r#"{"agent": "crew"}"#),
            now_ns: 0,
            work: 1_000_000,
            is_indexed: true,
        };
        assert_eq!(library.ask(question), Ok(Some("true".to_owned())), "{name}");
    }
}
