//! One policy on its way to one worker: the platform's, or a tenant's.

use std::{collections::BTreeMap, rc::Rc};

use hexr_authz_core::{
    bundle::Verification,
    config::BundleSource,
    delivery::{
        ActiveRecord, Arrival, Assembly, Attempt, Content, DeliveryKeys, Digest, Fetched, Held, LoadError,
        Loaded, Origin, Part, Pending, PolicyKeys, Quarantine, Slot, Terms, load,
    },
    pace::{Pace, Slices, finish},
    tenant::{TenantKey, TenantState},
    timestamp::Timestamp,
};

use super::slice::Slice;
use crate::{
    host::{self, HostError, Level},
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
    assembly: Assembly,
    loading: Option<Loading>,
    /// The version of the active record that was looked at last.
    seen_cas: u32,
    /// The version of an active record whose bytes are not there: what is published over it is no step back.
    broken_cas: Option<u32>,
    active: Option<ActiveRecord>,
    /// What is wrong, by the name of the bundle that it is about.
    problems: BTreeMap<String, String>,
}

/// What is active was verified when it came; the clock is not asked again.
const EPOCH: Timestamp = Timestamp::from_unix_nanos(0);

/// Whose policy it is.
enum Owner {
    Platform,
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
    pub(super) fn of_platform(sources: &[BundleSource], terms: Terms, keys: &DeliveryKeys) -> Self {
        let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
        let title = match names.as_slice() {
            [only] => format!("bundle `{only}`"),
            several => format!("the policy of bundles `{}`", several.join("`, `")),
        };
        Self {
            title,
            assembly: Assembly::new(names.into_iter().map(str::to_owned).collect()),
            signing: sources
                .iter()
                .filter_map(|source| Some((source.name.clone(), source.signing.clone()?)))
                .collect(),
            ..Self::new(Owner::Platform, terms, keys.platform(), keys)
        }
    }

    pub(super) fn of_tenant(
        key: TenantKey,
        signing: Option<Verification>,
        terms: Terms,
        keys: &DeliveryKeys,
    ) -> Self {
        Self {
            title: format!("tenant `{key}`"),
            assembly: Assembly::new(vec![key.tenant().to_owned()]),
            signing: signing.map(|signing| (key.tenant().to_owned(), signing)).into_iter().collect(),
            probe: keys.tenant_probe.clone(),
            bell: Some(keys.tenants_changed.clone()),
            ..Self::new(Owner::Tenant(key.clone()), terms, keys.tenant(&key), keys)
        }
    }

    fn new(owner: Owner, terms: Terms, policy_keys: PolicyKeys, keys: &DeliveryKeys) -> Self {
        Self {
            owner,
            title: String::new(),
            terms,
            signing: BTreeMap::new(),
            keys: policy_keys,
            probe: keys.probe.clone(),
            quarantine: keys.quarantine.clone(),
            bell: None,
            assembly: Assembly::new(Vec::new()),
            loading: None,
            seen_cas: 0,
            broken_cas: None,
            active: None,
            problems: BTreeMap::new(),
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
        self.loading.is_some() || self.assembly.has_attempts()
    }

    /// Whether anything is in force here.
    pub(super) fn is_active(&self) -> bool {
        self.active.is_some()
    }

    /// Forgets what is in force, so that it is loaded anew.
    pub(super) fn restart(&mut self) {
        (self.active, self.seen_cas) = (None, 0);
    }

    /// Takes up what is active, in one go.
    pub(super) fn catch_up(&mut self, worker: &Worker) {
        if let Some((record, cas, parts)) = self.newer(worker) {
            let loaded = finish(load(parts, self.terms.clone(), EPOCH, Pace::unhurried()));
            self.followed(record, cas, loaded, worker);
        }
    }

    /// Begins to load the active policy if it is newer than this worker's.
    pub(super) fn look(&mut self, worker: &Worker, slice: &Slice) {
        if self.loading.is_some() {
            return;
        }
        let Some((record, cas, parts)) = self.newer(worker) else { return };
        let work = Slices::of(load(parts, self.terms.clone(), EPOCH, slice.pace()));
        self.loading = Some(Loading { work, purpose: Purpose::Follow { record, cas } });
    }

    /// The server has answered about the bundle of that name; `etag` is what it calls what it has.
    pub(super) fn receive(&mut self, name: &str, fetched: Fetched, etag: Option<&str>) {
        let (bytes, etag) = match fetched {
            Fetched::NotModified if etag == self.etag(name) => return self.report_recovery(name),
            // What was refused is still what the server has.
            Fetched::NotModified => return,
            Fetched::New { bytes, etag, .. } => (bytes, etag),
        };
        let pending = Pending { digest: Digest::of(&bytes), bytes: Rc::new(bytes), etag };
        match self.assembly.arrived(name, pending, self.active.as_ref()) {
            Arrival::Active => self.report_recovery(name),
            Arrival::Tried => {}
            Arrival::Refused(problem) => self.report(name, problem),
            Arrival::Waits(missing) => {
                self.report(name, format!("it waits for `{}`", missing.join("`, `")));
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
        self.write(&record, current.map(|shared| shared.cas))?;
        self.take_up(record, None, worker);
        Ok(())
    }

    /// Works on what there is, until the slice is over.
    pub(super) fn work(&mut self, worker: &Worker, slice: &Slice) {
        loop {
            if self.loading.is_none() {
                self.try_next(slice);
            }
            let Some(loading) = &mut self.loading else { return };
            let Some(loaded) = loading.work.run() else { return };
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

/// Following others.
impl Line {
    /// The active record if it is newer than what is in force here, its version, and its bundles. That there is nothing
    /// takes no loading.
    fn newer(&mut self, worker: &Worker) -> Option<(ActiveRecord, u32, Vec<Part>)> {
        let shared = host::shared_data(&self.keys.active).ok()?;
        if shared.cas == self.seen_cas {
            return None;
        }
        let known = self.active.as_ref().map_or(0, |active| active.generation);
        let Some(record) = ActiveRecord::decode(&shared.value).filter(|record| record.generation > known)
        else {
            self.seen_cas = shared.cas;
            return None;
        };
        if record.content == Content::Missing {
            self.seen_cas = shared.cas;
            self.take_up(record, None, worker);
            return None;
        }
        let Some(parts) = record.bundles().iter().map(|held| self.part(held)).collect() else {
            self.broken_cas = Some(shared.cas);
            return None;
        };
        Some((record, shared.cas, parts))
    }

    /// The bytes of an active bundle.
    fn part(&self, held: &Held) -> Option<Part> {
        let shared = host::shared_data(&self.keys.slot(&held.name, held.slot)).ok()?;
        let (name, bytes) = (held.name.clone(), Rc::new(shared.value));
        let origin = Origin::SharedData { digest: held.digest.clone(), issued_at: held.issued_at };
        Some(Part { name, bytes, origin })
    }

    fn followed(
        &mut self,
        record: ActiveRecord,
        cas: u32,
        loaded: Result<Loaded, LoadError>,
        worker: &Worker,
    ) {
        match loaded {
            Ok(loaded) => self.take_up(record, Some(loaded), worker),
            // The next bundle is being written, and its record comes at one of the next ticks; or two that published at
            // once have left a record without its bytes, and the next bundle mends it.
            Err(LoadError::Replaced) => {
                self.broken_cas = Some(cas);
                return;
            }
            // What the others decide by cannot be had here: nothing older, and nothing embedded, takes its place.
            Err(LoadError::Refused(problem)) => {
                match &self.owner {
                    Owner::Platform => worker.withdraw(),
                    Owner::Tenant(key) => worker.forget_tenant(key),
                }
                self.active = None;
                let name = self.title.clone();
                self.report(&name, format!("what is active cannot be loaded: {problem}"));
            }
        }
        self.seen_cas = cas;
    }
}

/// Trying what is new.
impl Line {
    /// Begins to compile what no VM has compiled before.
    fn try_next(&mut self, slice: &Slice) {
        let Some(attempt) = self.assembly.next_attempt() else { return };
        let digest = attempt.digest();
        let parts = self.begin(&attempt, &digest);
        let now = host::now().map_err(|_| "there is no clock".to_owned());
        match parts.and_then(|parts| Ok((parts, now?))) {
            Ok((parts, now)) => {
                let work = Slices::of(load(parts, self.terms.clone(), now, slice.pace()));
                self.loading = Some(Loading { work, purpose: Purpose::Try { attempt, digest } });
            }
            Err(problem) => self.refuse(&attempt, &problem),
        }
    }

    /// Marks the attempt and gathers its bundles.
    fn begin(&self, attempt: &Attempt, digest: &Digest) -> Result<Vec<Part>, String> {
        if let Some(left_behind) = self.probe() {
            // Only the holder of the lease loads, so whoever left this mark is no longer at it.
            self.change_quarantine(|quarantine| quarantine.add(left_behind))?;
            host::set_shared_data(&self.probe, &[], None).map_err(shared_data)?;
        }
        if self.quarantine().holds(digest) {
            return Err(format!(
                "the bundle with SHA-256 {} is in quarantine, because it trapped the VM that first loaded it",
                digest.as_str()
            ));
        }
        let held = |name: &String| self.active.as_ref().and_then(|active| self.part(active.bundle(name)?));
        let part = |name: &String| match attempt.bundle(name) {
            Some(new) => {
                let active = self.active.as_ref().and_then(|active| active.bundle(name));
                let not_before = active.and_then(|held| held.issued_at);
                let origin = Origin::Server { signing: self.signing.get(name).cloned(), not_before };
                Some(Part { name: name.clone(), bytes: Rc::clone(&new.bytes), origin })
            }
            None => held(name),
        };
        let parts: Option<Vec<Part>> = self.assembly.names().iter().map(part).collect();
        let parts = parts.ok_or("a bundle that is active is not there any more")?;
        host::set_shared_data(&self.probe, digest.as_str().as_bytes(), None).map_err(shared_data)?;
        Ok(parts)
    }

    fn tried(
        &mut self,
        attempt: Attempt,
        digest: &Digest,
        loaded: Result<Loaded, LoadError>,
        worker: &Worker,
    ) {
        let unmarked = host::set_shared_data(&self.probe, &[], None).map_err(shared_data);
        let freed = if self.quarantine().holds(digest) {
            self.change_quarantine(|quarantine| quarantine.remove(digest))
        } else {
            Ok(())
        };
        let published = match (unmarked.and(freed), loaded) {
            (Ok(()), Ok(loaded)) => self.publish(&attempt, loaded, worker),
            (Ok(()), Err(LoadError::Refused(problem))) => Err(problem),
            (Ok(()), Err(LoadError::Replaced)) => Err("a bundle was replaced while it was loaded".to_owned()),
            (Err(problem), _) => Err(problem),
        };
        if let Err(problem) = published {
            self.refuse(&attempt, &problem);
        }
    }

    fn refuse(&mut self, attempt: &Attempt, problem: &str) {
        self.assembly.refused(attempt, problem);
        for name in self.assembly.names().to_vec() {
            if attempt.bundle(&name).is_some() {
                self.report(&name, problem.to_owned());
                // Once is enough where several came together.
                break;
            }
        }
    }

    /// Makes a loaded policy the active one of this Envoy.
    fn publish(&mut self, attempt: &Attempt, loaded: Loaded, worker: &Worker) -> Result<(), String> {
        let current = match host::shared_data(&self.keys.active) {
            Ok(current) => Some(current),
            Err(HostError::NotFound) => None,
            Err(error) => return Err(shared_data(error)),
        };
        let cas = current.as_ref().map(|current| current.cas);
        if cas.is_some_and(|cas| cas != self.seen_cas && Some(cas) != self.broken_cas) {
            // Somebody published since this was asked for: what they have is newer. The next tick follows it.
            self.assembly.forget();
            return Ok(());
        }
        let previous = current.and_then(|current| ActiveRecord::decode(&current.value));
        let mut bundles = Vec::new();
        for (name, issued_at) in self.assembly.names().iter().zip(&loaded.issued_at) {
            let held = previous.as_ref().and_then(|previous| previous.bundle(name));
            match (attempt.bundle(name), held) {
                (Some(new), held) => {
                    let slot = Slot::after(held.map(|held| held.slot));
                    let key = self.keys.slot(name, slot);
                    host::set_shared_data(&key, &new.bytes, None).map_err(shared_data)?;
                    bundles.push(Held {
                        name: name.clone(),
                        slot,
                        digest: new.digest.clone(),
                        etag: new.etag.clone(),
                        issued_at: *issued_at,
                    });
                }
                (None, Some(held)) => bundles.push(held.clone()),
                (None, None) => return Err(format!("bundle `{name}` is not there any more")),
            }
        }
        let record = ActiveRecord::following(previous.as_ref(), Content::Bundles(bundles));
        self.write(&record, cas)?;
        self.assembly.succeeded(attempt);
        for name in self.assembly.names().to_vec() {
            if attempt.bundle(&name).is_some() {
                self.report_recovery(&name);
            }
        }
        self.take_up(record, Some(loaded), worker);
        Ok(())
    }

    fn write(&mut self, record: &ActiveRecord, cas: Option<u32>) -> Result<(), String> {
        match host::set_shared_data(&self.keys.active, &record.encode(), cas) {
            Ok(()) => {}
            Err(HostError::CasMismatch) => return Err("another worker was faster".to_owned()),
            Err(error) => return Err(shared_data(error)),
        }
        if let Ok(shared) = host::shared_data(&self.keys.active)
            && ActiveRecord::decode(&shared.value).as_ref() == Some(record)
        {
            self.seen_cas = shared.cas;
        }
        match &self.bell {
            Some(bell) => host::set_shared_data(bell, &[], None).map_err(shared_data),
            None => Ok(()),
        }
    }

    /// The digest of the bundle that is, or was, being loaded for the first time.
    fn probe(&self) -> Option<Digest> {
        host::shared_data(&self.probe).ok().and_then(|shared| Digest::decode(&shared.value))
    }

    fn quarantine(&self) -> Quarantine {
        host::shared_data(&self.quarantine)
            .map(|shared| Quarantine::decode(&shared.value))
            .unwrap_or_default()
    }

    fn change_quarantine(&self, change: impl FnOnce(&mut Quarantine)) -> Result<(), String> {
        let mut quarantine = self.quarantine();
        change(&mut quarantine);
        host::set_shared_data(&self.quarantine, &quarantine.encode(), None).map_err(shared_data)
    }
}

/// What becomes of it.
impl Line {
    fn take_up(&mut self, record: ActiveRecord, loaded: Option<Loaded>, worker: &Worker) {
        let title = &self.title;
        let message = match &loaded {
            Some(Loaded { policy, .. }) => {
                let (revision, generation) = (&policy.revision, record.generation);
                format!("{title} is active: revision `{revision}`, generation {generation}")
            }
            None => format!("{title} has no policy of its own"),
        };
        match (&self.owner, loaded) {
            (Owner::Platform, Some(loaded)) => worker.activate(loaded.policy),
            (Owner::Platform, None) => worker.withdraw(),
            (Owner::Tenant(key), Some(loaded)) => {
                worker.learn_tenant(key.clone(), TenantState::Active(loaded.policy));
            }
            (Owner::Tenant(key), None) => worker.learn_tenant(key.clone(), TenantState::Missing),
        }
        host::log(Level::Info, &message);
        self.active = Some(record);
    }

    /// Logs a problem once, however often it comes back, and tells it to all workers.
    pub(super) fn report(&mut self, name: &str, problem: String) {
        if self.problems.get(name) == Some(&problem) {
            return;
        }
        let effect =
            if self.active.is_some() { "the active policy stays" } else { "there is no policy from it yet" };
        let title = self.title_of(name);
        for line in problem.lines() {
            host::log(Level::Warn, &format!("{title}: {line} ({effect})"));
        }
        self.problems.insert(name.to_owned(), problem);
        self.tell_problems();
    }

    fn report_recovery(&mut self, name: &str) {
        if self.problems.remove(name).is_some() {
            host::log(Level::Info, &format!("{}: the server is fine again", self.title_of(name)));
            self.tell_problems();
        }
    }

    /// Only the answer at `ready_path` depends on it.
    fn tell_problems(&self) {
        let problems: Vec<&str> = self.problems.values().map(String::as_str).collect();
        let _ = host::set_shared_data(&self.keys.problem, problems.join("\n").as_bytes(), None);
    }

    fn title_of(&self, name: &str) -> String {
        match &self.owner {
            Owner::Platform => format!("bundle `{name}`"),
            Owner::Tenant(_) => self.title.clone(),
        }
    }
}

fn shared_data(error: HostError) -> String {
    format!("Envoy's shared data cannot be written: {error:?}")
}
