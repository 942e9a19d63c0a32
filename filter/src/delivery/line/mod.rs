//! One policy on its way to one worker: the platform's, or a tenant's.

mod attempt;
mod follow;
mod report;

use std::{
    collections::{BTreeMap, VecDeque},
    rc::Rc,
};

use hexr_authz_core::{
    bundle::Verification,
    config::BundleSource,
    delivery::{
        ActiveRecord, Arrival, Assembly, Attempt, Content, DeliveryKeys, Digest, Fetched, LoadError, Loaded,
        Pending, PolicyKeys, Terms, load,
    },
    pace::{Pace, Slices},
    status::Problem,
    tenant::TenantKey,
    timestamp::Timestamp,
};

use super::slice::Slice;
use crate::{
    host::{self, HostError},
    metrics::Metrics,
    worker::Worker,
};

/// A policy, and what has come of a newer one.
pub(super) struct Line {
    owner: Owner,
    /// What it is called in the log.
    title: String,
    terms: Terms,
    /// What the bundles must be signed with, by their names.
    signing: BTreeMap<String, Verification>,
    keys: PolicyKeys,
    /// The mark of a policy that is being compiled for the first time.
    probe: String,
    quarantine: String,
    /// Written when something becomes active, where nobody looks at each record by itself.
    bell: Option<String>,
    /// Bundles of which the digest is being taken.
    arriving: VecDeque<Slices<(String, Pending)>>,
    assembly: Assembly,
    loading: Option<Loading>,
    /// Whether what had come was given up because another worker was ahead, so that it must be asked for again.
    is_behind: bool,
    /// The version of the active record that was looked at last.
    seen_cas: u32,
    /// The version of an active record whose bytes are not there: what is published over it is no step back.
    broken_cas: Option<u32>,
    active: Option<ActiveRecord>,
    /// What is wrong, by the name of the bundle that it is about.
    problems: BTreeMap<String, Problem>,
    /// Whether anything is otherwise than it was when this was last asked.
    has_changed: bool,
    metrics: Metrics,
}

/// What is active was verified when it came; the clock is not asked again.
const EPOCH: Timestamp = Timestamp::from_unix_nanos(0);

/// Whose policy it is.
enum Owner {
    Platform,
    /// Nobody's yet: it is tried beside the platform's.
    Candidate,
    Tenant(TenantKey),
}

/// A policy that is being loaded.
struct Loading {
    work: Slices<Result<Loaded, LoadError>>,
    purpose: Purpose,
}

enum Purpose {
    /// It is active already, for others.
    Follow { record: ActiveRecord, cas: u32 },
    /// It is new.
    Try { attempt: Attempt, digest: Digest },
}

// === impl Line ===

impl Line {
    pub(super) fn of_platform(
        sources: &[BundleSource],
        terms: Terms,
        keys: &DeliveryKeys,
        metrics: Metrics,
    ) -> Self {
        let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
        let title = match names.as_slice() {
            [only] => format!("bundle `{only}`"),
            several => format!("the policy of bundles `{}`", several.join("`, `")),
        };
        Self { title, ..Self::of_bundles(Owner::Platform, sources, terms, keys, metrics) }
    }

    /// `names` are those of its bundles that the platform's policy has not.
    pub(super) fn of_candidate(
        sources: &[BundleSource],
        names: &[String],
        terms: Terms,
        keys: &DeliveryKeys,
        metrics: Metrics,
    ) -> Self {
        let title = format!("candidate `{}`", names.join("`, `"));
        Self { title, ..Self::of_bundles(Owner::Candidate, sources, terms, keys, metrics) }
    }

    fn of_bundles(
        owner: Owner,
        sources: &[BundleSource],
        terms: Terms,
        keys: &DeliveryKeys,
        metrics: Metrics,
    ) -> Self {
        let signing = |source: &BundleSource| Some((source.name.clone(), source.signing.clone()?));
        Self {
            assembly: Assembly::new(sources.iter().map(|source| source.name.clone()).collect()),
            signing: sources.iter().filter_map(signing).collect(),
            ..Self::new(owner, terms, keys.platform(), keys, metrics)
        }
    }

    pub(super) fn of_tenant(
        key: TenantKey,
        signing: Option<Verification>,
        terms: Terms,
        keys: &DeliveryKeys,
        metrics: Metrics,
    ) -> Self {
        Self {
            title: format!("tenant `{key}`"),
            assembly: Assembly::new(vec![key.tenant().to_owned()]),
            signing: signing.map(|signing| (key.tenant().to_owned(), signing)).into_iter().collect(),
            probe: keys.tenant_probe.clone(),
            bell: Some(keys.tenants_changed.clone()),
            ..Self::new(Owner::Tenant(key.clone()), terms, keys.tenant(&key), keys, metrics)
        }
    }

    fn new(
        owner: Owner,
        terms: Terms,
        policy_keys: PolicyKeys,
        keys: &DeliveryKeys,
        metrics: Metrics,
    ) -> Self {
        Self {
            owner,
            title: String::new(),
            terms,
            signing: BTreeMap::new(),
            keys: policy_keys,
            probe: keys.probe.clone(),
            quarantine: keys.quarantine.clone(),
            bell: None,
            arriving: VecDeque::new(),
            assembly: Assembly::new(Vec::new()),
            loading: None,
            is_behind: false,
            seen_cas: 0,
            broken_cas: None,
            active: None,
            problems: BTreeMap::new(),
            has_changed: false,
            metrics,
        }
    }

    pub(super) fn problem_key(&self) -> &str {
        &self.keys.problem
    }

    /// What the server called the active bundle of that name.
    pub(super) fn etag(&self, name: &str) -> Option<&str> {
        self.active.as_ref()?.bundle(name)?.etag.as_deref()
    }

    /// Whether something is being loaded, or waits for it.
    pub(super) fn has_work(&self) -> bool {
        self.loading.is_some() || !self.arriving.is_empty() || self.assembly.has_attempts()
    }

    /// Whether anything is in force here.
    pub(super) fn is_active(&self) -> bool {
        self.active.is_some()
    }

    /// The number of the activation that is in force here.
    pub(super) fn generation(&self) -> Option<u64> {
        self.active.as_ref().map(|active| active.generation)
    }

    /// Whether what had come was given up, and must be asked for again.
    pub(super) fn take_behind(&mut self) -> bool {
        std::mem::take(&mut self.is_behind)
    }

    /// Forgets what is in force, so that it is loaded anew.
    pub(super) fn restart(&mut self) {
        (self.active, self.seen_cas) = (None, 0);
    }

    /// Takes up what is active, in one go.
    pub(super) fn catch_up(&mut self, worker: &Worker) {
        if let Some((record, cas, parts)) = self.newer(worker) {
            let loaded = load(parts, self.terms.clone(), EPOCH, Pace::unhurried()).finish();
            self.followed(record, cas, loaded, worker);
        }
    }

    /// Begins to load the active policy if it is newer than this worker's.
    pub(super) fn look(&mut self, worker: &Worker, slice: &Slice) {
        if self.loading.is_some() {
            return;
        }
        let Some((record, cas, parts)) = self.newer(worker) else { return };
        let work = load(parts, self.terms.clone(), EPOCH, slice.pace());
        self.loading = Some(Loading { work, purpose: Purpose::Follow { record, cas } });
    }

    /// The server has answered about the bundle of that name; `etag` is what it calls what it has.
    pub(super) fn receive(&mut self, name: &str, fetched: Fetched, etag: Option<&str>, slice: &Slice) {
        let (bytes, etag) = match fetched {
            Fetched::NotModified if etag == self.etag(name) => return self.report_recovery(name),
            // What was refused is still what the server has.
            Fetched::NotModified => return,
            Fetched::New { bytes, etag, .. } => (bytes, etag),
        };
        let (name, bytes, pace) = (name.to_owned(), Rc::new(bytes), slice.pace());
        self.arriving.push_back(Slices::of(async move {
            let digest = Digest::of_in(&bytes, &pace).await;
            (name, Pending { digest, bytes, etag })
        }));
    }

    /// A bundle has come as a whole.
    fn arrived(&mut self, name: &str, new: Pending) {
        match self.assembly.arrived(name, new, self.active.as_ref()) {
            Arrival::Active => self.report_recovery(name),
            Arrival::Tried => {}
            Arrival::Refused(problem) => self.report(name, problem.into()),
            Arrival::Waits(missing) => {
                self.report(name, format!("it waits for `{}`", missing.join("`, `")).into());
            }
        }
    }

    /// The server says that there is nothing.
    pub(super) fn receive_nothing(&mut self, worker: &Worker) -> Result<(), String> {
        if self.active.as_ref().is_some_and(|active| active.content == Content::Missing) {
            return Ok(());
        }
        self.assembly.forget();
        let current = host::shared_data(&self.keys.active).ok();
        let previous = current.as_ref().and_then(|shared| ActiveRecord::decode(&shared.value));
        let record = ActiveRecord::following(previous.as_ref(), Content::Missing);
        if self.write(&record, current.map(|shared| shared.cas))? {
            self.take_up(record, None, worker);
        } else {
            self.is_behind = true;
        }
        Ok(())
    }

    /// Works on what there is, until the slice is over.
    pub(super) fn work(&mut self, worker: &Worker, slice: &Slice) {
        while let Some(arriving) = self.arriving.front_mut() {
            let Some((name, new)) = arriving.run() else { return };
            self.arriving.pop_front();
            self.arrived(&name, new);
        }
        loop {
            if self.loading.is_none() {
                self.try_next(slice);
            }
            let Some(loading) = &mut self.loading else { return };
            // The mark stays where the VM traps, and says by which bundle.
            let mark = match &loading.purpose {
                Purpose::Follow { .. } => None,
                Purpose::Try { digest, .. } => Some(digest.as_str().as_bytes()),
            };
            if mark.is_some_and(|mark| host::set_shared_data(&self.probe, mark, None).is_err()) {
                return;
            }
            let loaded = loading.work.run();
            if mark.is_some() && host::set_shared_data(&self.probe, &[], None).is_err() {
                return;
            }
            let Some(loaded) = loaded else { return };
            let Some(Loading { purpose, .. }) = self.loading.take() else { return };
            match purpose {
                Purpose::Follow { record, cas } => self.followed(record, cas, loaded, worker),
                Purpose::Try { attempt, digest } => self.tried(attempt, &digest, loaded, worker),
            }
            if slice.is_over() {
                return;
            }
        }
    }
}

fn shared_data(error: HostError) -> String {
    format!("Envoy's shared data cannot be written: {error:?}")
}
