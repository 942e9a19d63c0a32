//! Brings the policies: one worker of an Envoy fetches them, and every worker takes them up.
//!
//! The bundles' bytes and what is active stand in Envoy's shared data. A policy is compiled for the first time by the
//! worker that fetched it, under a mark; if that VM traps, the mark stays, and the bundle is quarantined instead of
//! trapping one VM after the other. No callback works longer than a slice.

mod candidate;
mod feed;
mod fetch;
mod line;
mod slice;
mod tenants;

use std::rc::Rc;

use hexr_authz_core::{
    bundle::{BundleLimits, Subject},
    config::Config,
    delivery::{DeliveryKeys, Terms},
    pace::Slices,
    status::{Reporter, Status, labels},
    timestamp::Timestamp,
};

pub(crate) use self::slice::PAUSE;
use self::{candidate::CandidateFeed, feed::Feed, line::Line, slice::Slice, tenants::TenantLines};
use crate::{
    answer::Answer,
    decision_log,
    host::{self, HostError},
    metrics::{LogMetrics, Metrics},
    post::{self, Complaints},
    worker::Worker,
};

/// The delivery of all policies to one worker.
pub(crate) struct Delivery {
    keys: DeliveryKeys,
    slice: Slice,
    platform: Feed,
    tenants: Option<TenantLines>,
    candidate: Option<CandidateFeed>,
    reporter: Option<Reporter>,
    /// Where decisions are logged.
    log_metrics: Option<LogMetrics>,
    complaints: Complaints,
    /// A policy that is being taken apart.
    retiring: Option<Slices<()>>,
}

// === impl Delivery ===

impl Delivery {
    /// Prepares the shared data. Nothing where the configuration names no server.
    pub(crate) fn new(
        config: &Rc<Config>,
        id: &str,
        metrics: Metrics,
        log_metrics: Option<LogMetrics>,
    ) -> Result<Option<Self>, HostError> {
        if config.bundles.is_empty() && config.tenants.is_none() && config.status.is_none() {
            return Ok(None);
        }
        let keys = DeliveryKeys::new(config);
        host::seed_shared_data([&keys.lease, &keys.platform().active, &keys.roll])?;
        let mut me = [0; 16];
        host::fill_random(&mut me)?;
        let terms = platforms_terms(config);
        let line = Line::of_platform(&config.bundles, terms, &keys, metrics);
        let candidate = config.candidate.as_ref();
        Ok(Some(Self {
            platform: Feed::new(line, &config.bundles, &keys.lease, me),
            tenants: config.tenants.clone().map(|source| TenantLines::new(source, config, metrics)),
            candidate: candidate.map(|source| CandidateFeed::new(source, config, me, metrics)).transpose()?,
            reporter: config
                .status
                .clone()
                .map(|resource| Reporter::new(resource, labels(&config.labels, id))),
            log_metrics,
            complaints: Complaints::of("status"),
            retiring: None,
            slice: Slice::default(),
            keys,
        }))
    }

    /// The shared-data key under which the fetching worker tells why there is no newer policy.
    pub(crate) fn problem_key(&self) -> &str {
        self.platform.line().problem_key()
    }

    /// Takes up at once what is active, as a VM must that was reloaded and has no memory.
    pub(crate) fn catch_up(&mut self, worker: &Worker) {
        self.platform.line_mut().catch_up(worker);
    }

    /// Takes up what is active, fetches when it is this worker's turn, and does a slice of the work that there is.
    pub(crate) fn on_tick(&mut self, worker: &Worker) {
        let Ok(now) = host::now() else { return };
        let begins = self.platform.take_lead(now);
        if let Some(reporter) = self.reporter.as_mut().filter(|_| begins) {
            reporter.note_change();
        }
        self.platform.look(worker, &self.slice);
        if let Some(tenants) = &mut self.tenants {
            tenants.look(worker, &self.keys, &self.slice, self.platform.leads());
        }
        if let Some(candidate) = &mut self.candidate {
            candidate.on_tick(now, worker, &self.slice);
        }
        self.work(worker);
        self.fetch(now);
        if self.platform.leads() {
            self.tell(now);
        }
    }

    /// An answer of a server.
    pub(crate) fn on_response(&mut self, answer: Answer, worker: &Worker) {
        let (now, slice) = (answer.came, &self.slice);
        let of_bundle = self.platform.on_response(answer, slice)
            || self.candidate.as_mut().is_some_and(|candidate| candidate.on_response(answer, slice));
        if !of_bundle {
            if let Some(outbox) = self.reporter.as_mut().map(Reporter::outbox)
                && outbox.expects(answer.token)
            {
                let taken = answer.taken();
                match &taken {
                    Ok(()) => outbox.succeeded(now, post::random()),
                    Err(_) => outbox.failed(now, post::random()),
                }
                self.complaints.note(taken);
                return;
            }
            if let Some(tenants) = &mut self.tenants {
                tenants.on_response(answer, worker, slice);
            }
        }
        // An answer that means work is worked on at once, and the server is asked for the next one.
        self.work(worker);
        self.fetch(now);
    }

    /// Whether there is work that does not wait for the server.
    pub(crate) fn is_busy(&self) -> bool {
        self.retiring.is_some()
            || self.platform.line().has_work()
            || self.tenants.as_ref().is_some_and(TenantLines::is_busy)
            || self.candidate.as_ref().is_some_and(CandidateFeed::has_work)
    }

    /// Works for a slice. The platform's policy comes first: no tenant delays it, and what decides nothing comes last.
    fn work(&mut self, worker: &Worker) {
        self.slice.begin(worker.take_served());
        self.platform.line_mut().work(worker, &self.slice);
        if let Some(tenants) = self.tenants.as_mut().filter(|_| !self.platform.line().has_work()) {
            tenants.work(worker, &self.slice);
        }
        if let Some(candidate) = &mut self.candidate
            && !self.platform.line().has_work()
            && !self.slice.is_over()
        {
            candidate.work(worker, &self.slice);
        }
        self.retire(worker);
    }

    /// Takes apart what is not in force any more.
    fn retire(&mut self, worker: &Worker) {
        if self.retiring.is_none() {
            let retired = worker.take_retired();
            if !retired.is_empty() {
                let pace = self.slice.pace();
                self.retiring = Some(Slices::of(async move {
                    for policy in retired {
                        policy.retire(&pace).await;
                    }
                }));
            }
        }
        if self.retiring.as_mut().is_some_and(|retiring| !self.slice.is_over() && retiring.run().is_some()) {
            self.retiring = None;
        }
    }

    fn fetch(&mut self, now: Timestamp) {
        self.platform.fetch(now);
        if let Some(tenants) = self.tenants.as_mut().filter(|_| self.platform.leads()) {
            tenants.fetch(now);
        }
        if let Some(candidate) = &mut self.candidate {
            candidate.fetch(now);
        }
    }

    /// Sends a status event if one is due. It comes last, and nothing waits for it.
    fn tell(&mut self, now: Timestamp) {
        let Some(reporter) = &mut self.reporter else { return };
        let of_tenants = self.tenants.as_mut().is_some_and(TenantLines::take_changed);
        let of_candidate = self.candidate.as_mut().is_some_and(CandidateFeed::take_changed);
        if self.platform.line_mut().take_changed() || of_tenants || of_candidate {
            reporter.note_change();
        }
        if let Some(metrics) = self.log_metrics {
            reporter.note_logs(&decision_log::status(metrics));
        }
        if !reporter.is_due(now) {
            return;
        }
        let mut status = Status {
            bundles: self.platform.statuses().collect(),
            decision_logs: self.log_metrics.map(decision_log::status),
            ..Status::default()
        };
        status.is_active = status.bundles.is_empty() || self.platform.line().is_active();
        if let Some(candidate) = &self.candidate {
            status.bundles.extend(candidate.statuses());
        }
        if let Some(tenants) = &self.tenants {
            tenants.describe(&mut status);
        }
        let event = reporter.event(&status);
        reporter.told(now);
        if let Err(problem) = post::send(reporter.outbox(), None, event.as_bytes(), now) {
            reporter.outbox().failed(now, post::random());
            self.complaints.note(Err(problem));
        }
    }
}

/// What a policy must be like that decides for the platform, or may come to.
fn platforms_terms(config: &Config) -> Terms {
    Terms {
        subject: Subject::Platform(config.rule.clone()),
        limits: BundleLimits { compressed: config.limits.bundle_bytes },
        budget: config.limits.evaluation,
        audit_log: config.audit_log,
    }
}
