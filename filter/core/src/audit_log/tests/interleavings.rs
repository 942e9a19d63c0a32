//! Workers that come in each other's way at every point, by a model of their shared data.

use super::*;

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
