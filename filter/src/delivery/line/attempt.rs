//! Trying what has come, and making it the active policy of this Envoy.

use std::rc::Rc;

use hexr_authz_core::delivery::{
    ActiveRecord, Attempt, Content, Digest, Held, LoadError, Loaded, Origin, Part, Quarantine, Slot, load,
};

use super::{Line, Loading, Purpose, shared_data};
use crate::{
    delivery::slice::Slice,
    host::{self, HostError},
    worker::Worker,
};

impl Line {
    /// Begins to compile what no VM has compiled before.
    pub(super) fn try_next(&mut self, slice: &Slice) {
        let Some(attempt) = self.assembly.next_attempt() else { return };
        let digest = attempt.digest();
        let parts = self.begin(&attempt, &digest);
        let now = host::now().map_err(|_| "there is no clock".to_owned());
        match parts.and_then(|parts| Ok((parts, now?))) {
            Ok((parts, now)) => {
                let work = load(parts, self.terms.clone(), now, slice.pace());
                self.loading = Some(Loading { work, purpose: Purpose::Try { attempt, digest } });
            }
            Err(problem) => self.refuse(&attempt, &problem),
        }
    }

    /// Gathers the bundles of an attempt, unless one of them is in quarantine.
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
        parts.ok_or_else(|| "a bundle that is active is not there any more".to_owned())
    }

    pub(super) fn tried(
        &mut self,
        attempt: Attempt,
        digest: &Digest,
        loaded: Result<Loaded, LoadError>,
        worker: &Worker,
    ) {
        let freed = if self.quarantine().holds(digest) {
            self.change_quarantine(|quarantine| quarantine.remove(digest))
        } else {
            Ok(())
        };
        let published = match (freed, loaded) {
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
                self.report(&name, problem.to_owned().into());
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
            self.give_up();
            return Ok(());
        }
        let previous = current.and_then(|current| ActiveRecord::decode(&current.value));
        let mut bundles = Vec::new();
        let activated_at = host::now().map_or(0, |now| now.unix_nanos());
        for (issued_at, (name, revision)) in loaded.issued_at.iter().zip(loaded.policy.bundles.iter()) {
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
                        revision: revision.clone(),
                        size: new.bytes.len(),
                        activated_at,
                    });
                }
                (None, Some(held)) => bundles.push(held.clone()),
                (None, None) => return Err(format!("bundle `{name}` is not there any more")),
            }
        }
        let record = ActiveRecord::following(previous.as_ref(), Content::Bundles(bundles));
        if !self.write(&record, cas)? {
            self.give_up();
            return Ok(());
        }
        self.note_activation();
        self.assembly.succeeded(attempt);
        for name in self.assembly.names().to_vec() {
            if attempt.bundle(&name).is_some() {
                self.report_recovery(&name);
            }
        }
        self.take_up(record, Some(loaded), worker);
        Ok(())
    }

    /// Leaves it to the worker that is ahead.
    fn give_up(&mut self) {
        self.assembly.forget();
        self.is_behind = true;
    }

    /// Writes the active record; says whether nobody else was faster.
    pub(super) fn write(&mut self, record: &ActiveRecord, cas: Option<u32>) -> Result<bool, String> {
        match host::set_shared_data(&self.keys.active, &record.encode(), cas) {
            Ok(()) => {}
            Err(HostError::CasMismatch) => return Ok(false),
            Err(error) => return Err(shared_data(error)),
        }
        if let Ok(shared) = host::shared_data(&self.keys.active)
            && ActiveRecord::decode(&shared.value).as_ref() == Some(record)
        {
            self.seen_cas = shared.cas;
        }
        if let Some(bell) = &self.bell {
            host::set_shared_data(bell, &[], None).map_err(shared_data)?;
        }
        Ok(true)
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
