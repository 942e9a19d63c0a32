//! The tenants' own policies on their way to one worker.
//!
//! A worker puts the tenants that its requests ask for on a roll in shared data. Who fetches goes by the roll, and rings
//! a bell when something has changed; nobody looks at a thousand records on every tick. The server lists the ETags of
//! all tenants under one address, so that one long poll tells of all of them; where it does not, each is polled.

use std::{
    collections::{BTreeMap, VecDeque},
    rc::Rc,
};

use hexr_authz_core::{
    bundle::{BundleLimits, Subject},
    config::{Config, TenantSource},
    delivery::{DeliveryKeys, Download, FetchError, Fetched, TenantIndex, TenantRoll, Terms},
    status::{Problem, Status},
    tenant::TenantKey,
    timestamp::Timestamp,
};

use super::{fetch, line::Line, slice::Slice};
use crate::{
    answer::Answer,
    host::{self, HostError, Level},
    metrics::Metrics,
    worker::Worker,
};

/// The policies of the tenants that this worker has met, or fetches.
pub(super) struct TenantLines {
    source: TenantSource,
    config: Rc<Config>,
    metrics: Metrics,
    lines: BTreeMap<TenantKey, Line>,
    /// Those with work, in the order in which they get their turns.
    turns: VecDeque<TenantKey>,
    bell_cas: u32,
    /// Nothing as long as another worker fetches.
    fetching: Option<Fetching>,
}

/// What the fetching worker has besides.
struct Fetching {
    roll_cas: u32,
    index: Option<IndexPoll>,
    downloads: BTreeMap<TenantKey, Download>,
    /// The last one that was asked for, so that all get their turns.
    last: Option<TenantKey>,
}

/// The list of all tenants.
struct IndexPoll {
    download: Download,
    /// Nothing where the server has no such list.
    index: Option<TenantIndex>,
    is_told: bool,
}

/// How many bundles are on their way at a time.
const MAX_CALLS: usize = 16;
/// How often an entry on the roll is tried again when another worker was faster.
const TRIES: usize = 16;

// === impl TenantLines ===

impl TenantLines {
    pub(super) fn new(source: TenantSource, config: &Rc<Config>, metrics: Metrics) -> Self {
        Self {
            source,
            config: Rc::clone(config),
            metrics,
            lines: BTreeMap::new(),
            turns: VecDeque::new(),
            bell_cas: 0,
            fetching: None,
        }
    }

    pub(super) fn is_busy(&self) -> bool {
        !self.turns.is_empty()
    }

    /// Learns of tenants that requests ask for, and of policies that others have made active.
    pub(super) fn look(&mut self, worker: &Worker, keys: &DeliveryKeys, slice: &Slice, leads: bool) {
        let wanted = worker.take_wanted_tenants();
        let mut unheard = Vec::new();
        for key in wanted {
            let line = self.line(&key, keys);
            if line.is_active() {
                // It had to give way to others.
                line.restart();
            }
            self.look_at(&key, worker, slice);
            if !self.lines.get(&key).is_some_and(Line::is_active) && !self.turns.contains(&key) {
                unheard.push(key);
            }
        }
        if !unheard.is_empty() && !add_to_roll(keys, &unheard) {
            // They are asked for again by their next requests.
            host::log(Level::Warn, "tenants: there is no room for more of them on the roll");
        }
        if let Ok(bell) = host::shared_data(&keys.tenants_changed)
            && bell.cas != self.bell_cas
        {
            self.bell_cas = bell.cas;
            let all: Vec<TenantKey> = self.lines.keys().cloned().collect();
            for key in all {
                self.look_at(&key, worker, slice);
            }
        }
        match (leads, self.fetching.is_some()) {
            (true, false) => self.fetching = Some(Fetching::new(&self.source)),
            (false, true) => self.fetching = None,
            (true, true) | (false, false) => {}
        }
        if let Some(fetching) = &mut self.fetching {
            for key in fetching.read_roll(keys) {
                self.line(&key, keys);
                self.look_at(&key, worker, slice);
                let mut download = Download::of_tenant(self.source.bundle_of(&key).resource);
                download.resume(self.lines.get(&key).and_then(|line| line.etag(key.tenant())));
                if let Some(fetching) = &mut self.fetching {
                    fetching.downloads.insert(key, download);
                }
            }
        }
    }

    /// An answer of the server: about all tenants, or about one.
    pub(super) fn on_response(&mut self, answer: Answer, worker: &Worker, slice: &Slice) {
        let Some(fetching) = &mut self.fetching else { return };
        if let Some(poll) = fetching.index.as_mut().filter(|poll| poll.download.expects(answer.token)) {
            let fetched = fetch::receive(&mut poll.download, answer);
            return poll.learn(fetched);
        }
        let mut downloads = fetching.downloads.iter_mut();
        let Some((key, download)) = downloads.find(|(_, download)| download.expects(answer.token)) else {
            return;
        };
        let fetched = fetch::receive(download, answer);
        let Some(line) = self.lines.get_mut(key) else { return };
        let outcome = match fetched {
            Ok(fetched) => {
                line.receive(key.tenant(), fetched, download.etag(), slice);
                Ok(())
            }
            Err(FetchError::Missing) => line.receive_nothing(worker).map_err(Problem::from),
            Err(problem) => Err(Problem::from(&problem)),
        };
        if let Err(problem) = outcome {
            line.report(key.tenant(), problem);
        }
        if line.has_work() && !self.turns.contains(key) {
            self.turns.push_back(key.clone());
        }
    }

    /// Works on one tenant after the other, until the slice is over. A large policy has its slices in turn with others.
    pub(super) fn work(&mut self, worker: &Worker, slice: &Slice) {
        while !slice.is_over()
            && let Some(key) = self.turns.pop_front()
        {
            let Some(line) = self.lines.get_mut(&key) else { continue };
            line.work(worker, slice);
            if line.take_behind()
                && let Some(download) =
                    self.fetching.as_mut().and_then(|fetching| fetching.downloads.get_mut(&key))
            {
                download.resume(line.etag(key.tenant()));
            }
            if line.has_work() {
                self.turns.push_back(key);
            }
        }
    }

    /// Asks for what is due, or has changed.
    pub(super) fn fetch(&mut self, now: Timestamp) {
        let Some(fetching) = &mut self.fetching else { return };
        if let Some(poll) = fetching.index.as_mut().filter(|poll| poll.download.is_due(now)) {
            // Without the list each tenant is polled, and says itself what is wrong.
            let _ = fetch::send(&mut poll.download, now);
        }
        let index = fetching.index.as_ref().and_then(|poll| poll.index.as_ref());
        let is_wanted = |key: &TenantKey, download: &Download| {
            let Some(index) = index else { return download.is_due(now) };
            let is_known = self.lines.get(key).is_some_and(Line::is_active);
            (!is_known || index.etag(key.tenant()) != download.etag()) && download.may_hurry(now)
        };
        let mut free = MAX_CALLS
            .saturating_sub(fetching.downloads.values().filter(|download| !download.is_idle(now)).count());
        let after = fetching.last.clone();
        let wanted =
            |key: &&TenantKey| fetching.downloads.get(*key).is_some_and(|download| is_wanted(key, download));
        let later = fetching.downloads.keys().filter(|key| after.as_ref().is_none_or(|after| *key > after));
        let sooner =
            fetching.downloads.keys().filter(|key| after.as_ref().is_some_and(|after| *key <= after));
        let due: Vec<TenantKey> = later.chain(sooner).filter(wanted).take(free).cloned().collect();
        for key in due {
            let Some(download) = fetching.downloads.get_mut(&key) else { continue };
            free = free.saturating_sub(1);
            if let Err(problem) = fetch::send(download, now)
                && let Some(line) = self.lines.get_mut(&key)
            {
                line.report(key.tenant(), Problem::from(&problem));
            }
            fetching.last = Some(key);
        }
    }

    /// Whether anything has changed since this was last asked.
    pub(super) fn take_changed(&mut self) -> bool {
        // Each of them is asked.
        self.lines.values_mut().filter_map(|line| line.take_changed().then_some(())).count() > 0
    }

    /// Adds what is known of the tenants.
    pub(super) fn describe(&self, status: &mut Status) {
        status.tenants = self.lines.len();
        for (key, line) in self.lines.iter().filter(|(_, line)| line.is_failing()) {
            let mut of_tenant = line.status(key.tenant());
            let download = self.fetching.as_ref().and_then(|fetching| fetching.downloads.get(key));
            if let Some(download) = download {
                download.describe(&mut of_tenant);
            }
            of_tenant.name = format!("tenants/{key}");
            status.failing_tenants.push(of_tenant);
        }
    }

    fn line(&mut self, key: &TenantKey, keys: &DeliveryKeys) -> &mut Line {
        let (source, config, metrics) = (&self.source, &self.config, self.metrics);
        self.lines.entry(key.clone()).or_insert_with(|| {
            let terms = Terms {
                subject: Subject::Tenant(key.tenant().to_owned()),
                limits: BundleLimits { compressed: source.bundle_bytes },
                budget: config.limits.evaluation,
                audit_log: config.audit_log,
            };
            Line::of_tenant(key.clone(), source.signing.clone(), terms, keys, metrics)
        })
    }

    /// Begins to load the policy of a tenant if there is a newer one.
    fn look_at(&mut self, key: &TenantKey, worker: &Worker, slice: &Slice) {
        let Some(line) = self.lines.get_mut(key) else { return };
        line.look(worker, slice);
        if line.has_work() && !self.turns.contains(key) {
            self.turns.push_back(key.clone());
        }
    }
}

// === impl Fetching ===

impl Fetching {
    fn new(source: &TenantSource) -> Self {
        let poll =
            |resource| IndexPoll { download: Download::of_index(resource), index: None, is_told: false };
        Self { roll_cas: 0, index: source.index().map(poll), downloads: BTreeMap::new(), last: None }
    }

    /// The tenants that are new on the roll.
    fn read_roll(&mut self, keys: &DeliveryKeys) -> Vec<TenantKey> {
        let Ok(shared) = host::shared_data(&keys.roll) else { return Vec::new() };
        if shared.cas == self.roll_cas {
            return Vec::new();
        }
        self.roll_cas = shared.cas;
        let roll = TenantRoll::decode(&shared.value);
        roll.iter().filter(|key| !self.downloads.contains_key(key)).cloned().collect()
    }
}

// === impl IndexPoll ===

impl IndexPoll {
    fn learn(&mut self, answer: Result<Fetched, FetchError>) {
        let index = match answer {
            Ok(Fetched::NotModified) => return,
            Ok(Fetched::New { bytes, .. }) => TenantIndex::read(&bytes),
            Err(problem) => Err(problem.to_string()),
        };
        match index {
            Ok(index) => (self.index, self.is_told) = (Some(index), false),
            Err(problem) => {
                self.index = None;
                self.download.resume(None);
                if !std::mem::replace(&mut self.is_told, true) {
                    host::log(
                        Level::Warn,
                        &format!(
                            "tenants: each is polled by itself, because there is no list of them: {problem}"
                        ),
                    );
                }
            }
        }
    }
}

/// Puts tenants on the roll; says whether they are there.
fn add_to_roll(keys: &DeliveryKeys, new: &[TenantKey]) -> bool {
    for _ in 0..TRIES {
        let Ok(shared) = host::shared_data(&keys.roll) else { return false };
        let mut roll = TenantRoll::decode(&shared.value);
        if !roll.add(new) {
            return !roll.is_full();
        }
        match host::set_shared_data(&keys.roll, &roll.encode(), Some(shared.cas)) {
            Ok(()) => return true,
            Err(HostError::CasMismatch) => {}
            Err(_) => return false,
        }
    }
    // Their next requests try it again.
    true
}
