//! The policy that is tried beside the active one, on its way to one worker.

use std::rc::Rc;

use hexr_authz_core::{
    config::{CandidateSource, Config},
    delivery::DeliveryKeys,
    status::{BundleStatus, Problem},
    timestamp::Timestamp,
};

use super::{feed::Feed, line::Line, platforms_terms, slice::Slice};
use crate::{
    answer::Answer,
    host::{self, HostError, Level},
    metrics::Metrics,
    worker::Worker,
};

/// A candidate's bundles, and whether it is asked at all.
pub(super) struct CandidateFeed {
    feed: Feed,
    /// Those of its bundles that are not the active policy's.
    names: Vec<String>,
    keys: DeliveryKeys,
    given_up_cas: u32,
    /// The generation that is not asked any more.
    given_up: Option<u64>,
    budget_millis: u64,
    has_changed: bool,
}

// === impl CandidateFeed ===

impl CandidateFeed {
    pub(super) fn new(
        source: &CandidateSource,
        config: &Rc<Config>,
        me: [u8; 16],
        metrics: Metrics,
    ) -> Result<Self, HostError> {
        let keys = DeliveryKeys::of_candidate(config, source);
        host::seed_shared_data([&keys.lease, &keys.platform().active])?;
        let terms = platforms_terms(config);
        let is_active = |name: &str| config.bundles.iter().any(|active| active.name == name);
        let names = source.bundles.iter().map(|bundle| bundle.name.clone());
        let names: Vec<String> = names.filter(|name| !is_active(name)).collect();
        let line = Line::of_candidate(&source.bundles, &names, terms, &keys, metrics);
        Ok(Self {
            feed: Feed::new(line, &source.bundles, &keys.lease, me),
            names,
            keys,
            given_up_cas: 0,
            given_up: None,
            budget_millis: config.limits.evaluation.milliseconds,
            has_changed: false,
        })
    }

    pub(super) fn has_work(&self) -> bool {
        self.feed.line().has_work()
    }

    pub(super) fn on_tick(&mut self, now: Timestamp, worker: &Worker, slice: &Slice) {
        self.feed.take_lead(now);
        self.feed.look(worker, slice);
        self.give_up_what_is_spent(worker);
    }

    pub(super) fn work(&mut self, worker: &Worker, slice: &Slice) {
        self.feed.line_mut().work(worker, slice);
        self.give_up_what_is_spent(worker);
    }

    pub(super) fn fetch(&mut self, now: Timestamp) {
        self.feed.fetch(now);
    }

    /// Whether an answer is about one of its bundles; then it is taken.
    pub(super) fn on_response(&mut self, answer: Answer, slice: &Slice) -> bool {
        self.feed.on_response(answer, slice)
    }

    /// One that takes too long again and again on any worker is asked by none any more, until there is another one.
    fn give_up_what_is_spent(&mut self, worker: &Worker) {
        let Some(generation) = self.feed.line().generation() else { return };
        if worker.is_candidate_spent() && self.given_up != Some(generation) {
            // Where it cannot be told, each worker finds it out by itself.
            let _ = host::set_shared_data(&self.keys.given_up, generation.to_string().as_bytes(), None);
            self.give_up(generation, worker);
        }
        if let Ok(shared) = host::shared_data(&self.keys.given_up)
            && shared.cas != self.given_up_cas
        {
            self.given_up_cas = shared.cas;
            let told = std::str::from_utf8(&shared.value).ok().and_then(|text| text.parse().ok());
            if told == Some(generation) && self.given_up != told {
                self.give_up(generation, worker);
            }
        }
        // A worker that takes it up later does not begin again.
        if self.given_up == Some(generation) {
            worker.rehearse(None);
        }
    }

    fn give_up(&mut self, generation: u64, worker: &Worker) {
        self.given_up = Some(generation);
        self.has_changed = true;
        worker.rehearse(None);
        host::log(Level::Error, &format!("candidate `{}`: {}", self.names.join("`, `"), self.problem()));
    }

    fn problem(&self) -> String {
        format!(
            "it is not asked any more, because it exceeded its budget of {} ms several times in a row",
            self.budget_millis
        )
    }

    /// Whether anything has changed since this was last asked.
    pub(super) fn take_changed(&mut self) -> bool {
        self.feed.line_mut().take_changed() | std::mem::take(&mut self.has_changed)
    }

    /// What is known of the bundles that are not the active policy's. What keeps them from being tried is known to the
    /// worker that fetches them, and to the others as text.
    pub(super) fn statuses(&self) -> impl Iterator<Item = BundleStatus> + '_ {
        let line = self.feed.line();
        let is_given_up = self.given_up.is_some() && self.given_up == line.generation();
        let told = || host::shared_data(line.problem_key()).ok().filter(|shared| !shared.value.is_empty());
        let told = (!self.feed.leads()).then(told).flatten();
        let told = told.map(|shared| String::from_utf8_lossy(&shared.value).into_owned());
        let problem = if is_given_up { Some(self.problem()) } else { told };
        let statuses = self.feed.statuses().filter(|status| self.names.contains(&status.name));
        statuses.map(move |status| BundleStatus {
            problem: status.problem.or_else(|| problem.clone().map(Problem::from)),
            ..status
        })
    }
}
