//! Brings the policy: one worker of an Envoy fetches it, and every worker takes it up.
//!
//! The bundle's bytes and what is active stand in Envoy's shared data. A bundle is compiled for the first time by the
//! worker that fetched it, under a mark; if that VM traps, the mark stays, and the bundle is quarantined instead of
//! trapping one VM after the other.

use std::{rc::Rc, time::Duration};

use hexr_authz_core::{
    authorizer::ActivePolicy,
    bundle::{Bundle, BundleLimits},
    config::{BundleSource, Config},
    delivery::{ActiveRecord, Digest, FetchError, Fetched, Lease, Quarantine, Schedule, SourceKeys},
    timestamp::Timestamp,
};

use crate::{
    host::{self, HeaderMap, HostError, Level},
    worker::Worker,
};

/// How long after its timeout an answer is waited for before it is given up.
const GRACE_MILLIS: i64 = 5_000;

/// The delivery of one bundle source to one worker.
pub(crate) struct Delivery {
    source: BundleSource,
    config: Rc<Config>,
    keys: SourceKeys,
    me: [u8; 16],
    schedule: Schedule,
    call: Option<Call>,
    /// The version of the active record that was looked at last.
    seen_cas: u32,
    /// The version of an active record whose bytes are not there: what is published over it is no step back.
    broken_cas: Option<u32>,
    active: Option<ActiveRecord>,
    /// What the server called the bundle that it sent last, when its bytes are those of the active one.
    etag: Option<String>,
    /// The bundle that was refused last, and why, so that it is not compiled again at each poll.
    refused: Option<(Digest, String)>,
    problem: Option<String>,
}

/// A request to the bundle server that is on its way.
struct Call {
    token: u32,
    given_up_at_millis: i64,
}

// === impl Delivery ===

impl Delivery {
    /// Prepares the shared data. Envoy cannot create a key if it is absent, but configures one VM alone before all
    /// others, so that the keys for compare-and-swap are there when two could race for them.
    pub(crate) fn new(source: BundleSource, config: Rc<Config>) -> Result<Self, HostError> {
        let keys = SourceKeys::new(&source, &config.rule, config.limits.bundle_bytes);
        for key in [&keys.lease, &keys.active] {
            if matches!(host::shared_data(key), Err(HostError::NotFound)) {
                host::set_shared_data(key, &[], None)?;
            }
        }
        let mut me = [0; 16];
        host::fill_random(&mut me)?;
        Ok(Self {
            schedule: Schedule::new(source.polling),
            source,
            config,
            keys,
            me,
            call: None,
            seen_cas: 0,
            broken_cas: None,
            active: None,
            etag: None,
            refused: None,
            problem: None,
        })
    }

    pub(crate) fn keys(&self) -> &SourceKeys {
        &self.keys
    }

    /// Takes up what is active, and fetches when it is this worker's turn.
    pub(crate) fn on_tick(&mut self, worker: &Worker) {
        self.follow(worker);
        let Ok(now) = host::now() else { return };
        if !self.holds_lease(now) {
            return;
        }
        let waiting = self.call.as_ref().is_some_and(|call| now.unix_millis() < call.given_up_at_millis);
        if !waiting && self.schedule.is_due(now) {
            self.fetch(now);
        }
    }

    /// Takes up the active bundle if it is newer than this worker's.
    pub(crate) fn follow(&mut self, worker: &Worker) {
        let Ok(shared) = host::shared_data(&self.keys.active) else { return };
        if shared.cas == self.seen_cas {
            return;
        }
        let known = self.active.as_ref().map_or(0, |active| active.generation);
        let newer = ActiveRecord::decode(&shared.value).filter(|record| record.generation > known);
        if let Some(record) = newer {
            let Ok(bundle) = host::shared_data(self.keys.slot(record.slot)) else { return };
            if Digest::of(&bundle.value) != record.digest {
                // The next bundle is being written, and its record comes at one of the next ticks; or two that published
                // at once have left a record without its bytes, and the next bundle mends it.
                self.broken_cas = Some(shared.cas);
                return;
            }
            match self.load(&bundle.value) {
                Ok(policy) => self.take_up(record, policy, worker),
                // What the others decide by cannot be had here: nothing older, and nothing embedded, takes its place.
                Err(problem) => {
                    worker.withdraw();
                    (self.active, self.etag) = (None, None);
                    self.report(format!("the active bundle cannot be loaded: {problem}"));
                }
            }
        }
        self.seen_cas = shared.cas;
    }

    /// The answer of the bundle server.
    pub(crate) fn on_response(&mut self, token: u32, num_headers: usize, body_size: usize, worker: &Worker) {
        if self.call.take_if(|call| call.token == token).is_none() {
            return;
        }
        let Ok(now) = host::now() else { return };
        let random = self.random();
        let outcome = match self.read_answer(num_headers, body_size) {
            Ok(fetched) => {
                // The server answers: what is wrong with a bundle is no reason to ask more or less often.
                self.schedule.succeeded(now, random);
                self.receive(fetched, worker)
            }
            Err(problem) => {
                self.schedule.failed(now, random);
                Err(problem)
            }
        };
        match outcome {
            Ok(()) => self.report_recovery(),
            Err(problem) => self.report(problem),
        }
    }

    fn holds_lease(&self, now: Timestamp) -> bool {
        let Ok(shared) = host::shared_data(&self.keys.lease) else { return false };
        let lease = Lease::decode(&shared.value);
        if lease.is_some_and(|lease| lease.is_held(self.me, now) && !lease.is_due(now)) {
            return true;
        }
        let free = lease.is_none_or(|lease| lease.may_be_taken(self.me, now));
        free && host::set_shared_data(&self.keys.lease, &Lease::new(self.me, now).encode(), Some(shared.cas))
            .is_ok()
    }

    fn fetch(&mut self, now: Timestamp) {
        let BundleSource { cluster, authority, path, headers, timeout_millis, .. } = &self.source;
        let mut request = vec![
            (":method", "GET"),
            (":path", path.as_str()),
            (":authority", authority.as_str()),
            ("user-agent", concat!("hexr-authz/", env!("CARGO_PKG_VERSION"))),
            ("prefer", "modes=snapshot"),
        ];
        request.extend(self.etag().map(|etag| ("if-none-match", etag)));
        request.extend(headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let sent = host::dispatch_http_call(cluster, request, Duration::from_millis(*timeout_millis));
        match sent {
            Ok(token) => {
                let timeout = i64::try_from(*timeout_millis).unwrap_or(i64::MAX);
                let given_up_at_millis =
                    now.unix_millis().saturating_add(timeout).saturating_add(GRACE_MILLIS);
                self.call = Some(Call { token, given_up_at_millis });
            }
            Err(_) => {
                let random = self.random();
                self.schedule.failed(now, random);
                self.report(FetchError::NotSent(self.source.cluster.clone()).to_string());
            }
        }
    }

    fn read_answer(&self, num_headers: usize, body_size: usize) -> Result<Fetched, String> {
        // Without headers there is no answer, and asking for them is an error.
        let headers = if num_headers == 0 { Ok(HeaderMap::empty()) } else { host::call_response_headers() };
        let body = if body_size == 0 { Ok(Vec::new()) } else { host::call_response_body(body_size) };
        let (Ok(headers), Ok(body)) = (headers, body) else {
            return Err("the bundle server's answer cannot be read".to_owned());
        };
        Fetched::read(headers.iter(), body).map_err(|error| error.to_string())
    }

    fn receive(&mut self, fetched: Fetched, worker: &Worker) -> Result<(), String> {
        let (bytes, etag) = match fetched {
            Fetched::NotModified if self.etag().is_some() => return Ok(()),
            Fetched::NotModified => {
                return Err("the bundle server answered 304 to a request without an ETag".to_owned());
            }
            Fetched::Bundle { bytes, etag } => (bytes, etag),
        };
        let digest = Digest::of(&bytes);
        if self.active.as_ref().is_some_and(|active| active.digest == digest) {
            self.etag = etag;
            return Ok(());
        }
        if let Some((_, problem)) = self.refused.as_ref().filter(|(refused, _)| *refused == digest) {
            return Err(problem.clone());
        }
        let policy = self.load_first(&bytes, &digest)?;
        self.publish(&bytes, digest, etag, policy, worker)
    }

    /// Compiles a bundle that no VM has compiled before.
    fn load_first(&mut self, bytes: &[u8], digest: &Digest) -> Result<ActivePolicy, String> {
        if let Some(left_behind) = self.probe() {
            // Only the holder of the lease loads, so whoever left this mark is no longer at it.
            self.change_quarantine(|quarantine| quarantine.add(left_behind))?;
        }
        if self.quarantine().holds(digest) {
            return Err(self.refuse(
                digest,
                format!(
                    "the bundle with SHA-256 {} is in quarantine, because it trapped the VM that first loaded it",
                    digest.as_str()
                ),
            ));
        }
        host::set_shared_data(&self.keys.probe, digest.as_str().as_bytes(), None).map_err(shared_data)?;
        let loaded = self.load(bytes);
        host::set_shared_data(&self.keys.probe, &[], None).map_err(shared_data)?;
        if self.quarantine().holds(digest) {
            self.change_quarantine(|quarantine| quarantine.remove(digest))?;
        }
        loaded.map_err(|problem| self.refuse(digest, problem))
    }

    /// Remembers why a bundle is refused.
    fn refuse(&mut self, digest: &Digest, problem: String) -> String {
        self.refused = Some((digest.clone(), problem.clone()));
        problem
    }

    /// The digest of the bundle that is, or was, being loaded for the first time.
    fn probe(&self) -> Option<Digest> {
        host::shared_data(&self.keys.probe).ok().and_then(|shared| Digest::decode(&shared.value))
    }

    fn quarantine(&self) -> Quarantine {
        host::shared_data(&self.keys.quarantine)
            .map(|shared| Quarantine::decode(&shared.value))
            .unwrap_or_default()
    }

    fn change_quarantine(&self, change: impl FnOnce(&mut Quarantine)) -> Result<(), String> {
        let mut quarantine = self.quarantine();
        change(&mut quarantine);
        host::set_shared_data(&self.keys.quarantine, &quarantine.encode(), None).map_err(shared_data)
    }

    fn load(&self, bytes: &[u8]) -> Result<ActivePolicy, String> {
        let limits = BundleLimits { compressed: self.config.limits.bundle_bytes };
        let now = host::now().map_err(|error| error.to_string())?;
        let signing = self.source.signing.as_ref();
        let bundle = Bundle::read(bytes, limits, signing, now).map_err(|error| error.to_string())?;
        let policy = bundle
            .compile(&self.config.rule, self.config.limits.evaluation, &self.config.audit_log)
            .map_err(|errors| errors.to_string())?;
        Ok(ActivePolicy { policy: Rc::new(policy), revision: bundle.revision().to_owned() })
    }

    /// Makes a loaded bundle the active one of this Envoy.
    fn publish(
        &mut self,
        bytes: &[u8],
        digest: Digest,
        etag: Option<String>,
        policy: ActivePolicy,
        worker: &Worker,
    ) -> Result<(), String> {
        let current = host::shared_data(&self.keys.active).map_err(shared_data)?;
        if current.cas != self.seen_cas && Some(current.cas) != self.broken_cas {
            // Somebody published since this was asked for: what they have is newer. The next tick follows it.
            return Ok(());
        }
        let record = ActiveRecord::following(ActiveRecord::decode(&current.value).as_ref(), digest, etag);
        host::set_shared_data(self.keys.slot(record.slot), bytes, None).map_err(shared_data)?;
        match host::set_shared_data(&self.keys.active, &record.encode(), Some(current.cas)) {
            Ok(()) => {
                self.take_up(record, policy, worker);
                Ok(())
            }
            // Another worker published in the meantime; the next tick follows it.
            Err(HostError::CasMismatch) => Ok(()),
            Err(error) => Err(shared_data(error)),
        }
    }

    fn take_up(&mut self, record: ActiveRecord, policy: ActivePolicy, worker: &Worker) {
        let message = format!(
            "bundle `{}` is active: revision `{}`, generation {}",
            self.source.name, policy.revision, record.generation
        );
        worker.activate(policy);
        host::log(Level::Info, &message);
        self.etag.clone_from(&record.etag);
        self.active = Some(record);
        self.refused = None;
    }

    /// The ETag of the active bundle, once this worker has it.
    fn etag(&self) -> Option<&str> {
        self.active.as_ref().and(self.etag.as_deref())
    }

    /// Logs a problem once, however often it comes back, and tells it to all workers.
    fn report(&mut self, problem: String) {
        if self.problem.as_ref() == Some(&problem) {
            return;
        }
        let effect =
            if self.active.is_some() { "the active policy stays" } else { "there is no policy from it yet" };
        for line in problem.lines() {
            host::log(Level::Warn, &format!("bundle `{}`: {line} ({effect})", self.source.name));
        }
        // Only the answer at `ready_path` depends on it.
        let _ = host::set_shared_data(&self.keys.problem, problem.as_bytes(), None);
        self.problem = Some(problem);
    }

    fn report_recovery(&mut self) {
        if self.problem.take().is_some() {
            host::log(Level::Info, &format!("bundle `{}`: the server is fine again", self.source.name));
        }
        let _ = host::set_shared_data(&self.keys.problem, &[], None);
    }

    fn random(&self) -> u64 {
        let mut bytes = [0; 8];
        // Without it the delays are the shortest ones.
        let _ = host::fill_random(&mut bytes);
        u64::from_le_bytes(bytes)
    }
}

fn shared_data(error: HostError) -> String {
    format!("Envoy's shared data cannot be written: {error:?}")
}
