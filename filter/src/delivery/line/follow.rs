//! Following what another worker has made active.

use std::rc::Rc;

use hexr_authz_core::delivery::{ActiveRecord, Content, Held, LoadError, Loaded, Origin, Part};

use super::{Line, Owner};
use crate::{host, worker::Worker};

impl Line {
    /// The active record if it is newer than what is in force here, its version, and its bundles. That there is nothing
    /// takes no loading.
    pub(super) fn newer(&mut self, worker: &Worker) -> Option<(ActiveRecord, u32, Vec<Part>)> {
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
    pub(super) fn part(&self, held: &Held) -> Option<Part> {
        let shared = host::shared_data(&self.keys.slot(&held.name, held.slot)).ok()?;
        let (name, bytes) = (held.name.clone(), Rc::new(shared.value));
        let origin = Origin::SharedData { digest: held.digest.clone(), issued_at: held.issued_at };
        Some(Part { name, bytes, origin })
    }

    pub(super) fn followed(
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
                    Owner::Candidate => worker.rehearse(None),
                    Owner::Tenant(key) => worker.forget_tenant(key),
                }
                self.active = None;
                let name = self.assembly.names().first().cloned().unwrap_or_default();
                self.report(&name, format!("what is active cannot be loaded: {problem}").into());
            }
        }
        self.seen_cas = cas;
    }
}
