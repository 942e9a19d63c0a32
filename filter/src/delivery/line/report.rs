//! Putting a policy in force on this worker, and telling what is wrong.

use hexr_authz_core::{
    delivery::{ActiveRecord, Loaded},
    status::{BundleStatus, Problem},
    tenant::TenantState,
    timestamp::Timestamp,
};

use super::{Line, Owner};
use crate::{
    host::{self, Level},
    worker::Worker,
};

impl Line {
    pub(super) fn take_up(&mut self, record: ActiveRecord, loaded: Option<Loaded>, worker: &Worker) {
        let title = &self.title;
        let message = match &loaded {
            Some(Loaded { policy, .. }) => {
                let (revision, generation) = (&policy.revision, record.generation);
                let state = match self.owner {
                    Owner::Platform | Owner::Tenant(_) => "active",
                    Owner::Candidate => "tried",
                };
                format!("{title} is {state}: revision `{revision}`, generation {generation}")
            }
            None => format!("{title} has no policy of its own"),
        };
        match (&self.owner, loaded) {
            (Owner::Platform, Some(loaded)) => worker.activate(loaded.policy),
            (Owner::Platform, None) => worker.withdraw(),
            (Owner::Candidate, loaded) => worker.rehearse(loaded.map(|loaded| loaded.policy)),
            (Owner::Tenant(key), Some(loaded)) => {
                worker.learn_tenant(key.clone(), TenantState::Active(loaded.policy));
            }
            (Owner::Tenant(key), None) => worker.learn_tenant(key.clone(), TenantState::Missing),
        }
        host::log(Level::Info, &message);
        self.active = Some(record);
        self.has_changed = true;
    }

    /// Counts that something became active.
    pub(super) fn note_activation(&self) {
        match self.owner {
            Owner::Platform | Owner::Tenant(_) => self.metrics.activated(),
            // It decides nothing.
            Owner::Candidate => {}
        }
    }

    /// Logs a problem once, however often it comes back, and tells it to all workers.
    pub(in crate::delivery) fn report(&mut self, name: &str, problem: Problem) {
        if self.problems.get(name) == Some(&problem) {
            return;
        }
        let effect = match (&self.owner, &self.active) {
            (Owner::Platform | Owner::Tenant(_), Some(_)) => "the active policy stays",
            (Owner::Candidate, Some(_)) => "the one before is still tried",
            (_, None) => "there is no policy from it yet",
        };
        let title = self.title_of(name);
        self.metrics.failed(problem.cause);
        for line in problem.text.lines() {
            host::log(Level::Warn, &format!("{title}: {line} ({effect})"));
        }
        self.problems.insert(name.to_owned(), problem);
        self.has_changed = true;
        self.tell_problems();
    }

    pub(super) fn report_recovery(&mut self, name: &str) {
        if self.problems.remove(name).is_some() {
            self.has_changed = true;
            host::log(Level::Info, &format!("{}: the server is fine again", self.title_of(name)));
            self.tell_problems();
        }
    }

    /// Only the answer at `ready_path` depends on it.
    fn tell_problems(&self) {
        let problems: Vec<&str> = self.problems.values().map(|problem| problem.text.as_str()).collect();
        let _ = host::set_shared_data(&self.keys.problem, problems.join("\n").as_bytes(), None);
    }

    /// Whether anything has changed since this was last asked.
    pub(in crate::delivery) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.has_changed)
    }

    /// Whether something keeps a newer policy from being active.
    pub(in crate::delivery) fn is_failing(&self) -> bool {
        !self.problems.is_empty()
    }

    /// What is known of the bundle of that name.
    pub(in crate::delivery) fn status(&self, name: &str) -> BundleStatus {
        let held = self.active.as_ref().and_then(|active| active.bundle(name));
        BundleStatus {
            name: name.to_owned(),
            active_revision: held.map(|held| held.revision.clone()),
            size: held.map(|held| held.size),
            last_successful_activation: held.map(|held| Timestamp::from_unix_nanos(held.activated_at)),
            problem: self.problems.get(name).cloned(),
            ..BundleStatus::default()
        }
    }

    fn title_of(&self, name: &str) -> String {
        match &self.owner {
            Owner::Platform | Owner::Candidate => format!("bundle `{name}`"),
            Owner::Tenant(_) => self.title.clone(),
        }
    }
}
