//! Brings the policies: one worker of an Envoy fetches them, and every worker takes them up.
//!
//! The bundles' bytes and what is active stand in Envoy's shared data. A policy is compiled for the first time by the
//! worker that fetched it, under a mark; if that VM traps, the mark stays, and the bundle is quarantined instead of
//! trapping one VM after the other. No callback works longer than a slice.

mod fetch;
mod line;
mod slice;
mod tenants;

use std::rc::Rc;

use hexr_authz_core::{
    bundle::{BundleLimits, Subject},
    config::Config,
    delivery::{DeliveryKeys, Download, Lease, Terms},
    pace::Slices,
    status::{Problem, Reporter, Status, labels},
    timestamp::Timestamp,
};

pub(crate) use self::slice::PAUSE;
use self::{line::Line, slice::Slice, tenants::TenantLines};
use crate::{
    host::{self, HostError},
    metrics::Metrics,
    post::{self, Complaints},
    worker::Worker,
};

/// The delivery of all policies to one worker.
pub(crate) struct Delivery {
    keys: DeliveryKeys,
    me: [u8; 16],
    slice: Slice,
    leads: bool,
    platform: Line,
    /// What the platform's policy is made of, by the bundles' names.
    downloads: Vec<(String, Download)>,
    tenants: Option<TenantLines>,
    reporter: Option<Reporter>,
    complaints: Complaints,
    /// A policy that is being taken apart.
    retiring: Option<Slices<()>>,
}

// === impl Delivery ===

impl Delivery {
    /// Prepares the shared data. Envoy cannot create a key if it is absent, but configures one VM alone before all
    /// others, so that the keys for compare-and-swap are there when two could race for them. Nothing where the
    /// configuration names no server.
    pub(crate) fn new(config: &Rc<Config>, id: &str, metrics: Metrics) -> Result<Option<Self>, HostError> {
        if config.bundles.is_empty() && config.tenants.is_none() && config.status.is_none() {
            return Ok(None);
        }
        let keys = DeliveryKeys::new(config);
        let platform_keys = keys.platform();
        for key in [&keys.lease, &platform_keys.active, &keys.roll] {
            if matches!(host::shared_data(key), Err(HostError::NotFound)) {
                host::set_shared_data(key, &[], None)?;
            }
        }
        let mut me = [0; 16];
        host::fill_random(&mut me)?;
        let terms = Terms {
            subject: Subject::Platform(config.rule.clone()),
            limits: BundleLimits { compressed: config.limits.bundle_bytes },
            budget: config.limits.evaluation,
            audit_log: config.audit_log,
        };
        let downloads = config.bundles.iter();
        Ok(Some(Self {
            platform: Line::of_platform(&config.bundles, terms, &keys, metrics),
            downloads: downloads
                .map(|source| (source.name.clone(), Download::new(source.resource.clone())))
                .collect(),
            tenants: config.tenants.clone().map(|source| TenantLines::new(source, config, metrics)),
            reporter: config
                .status
                .clone()
                .map(|resource| Reporter::new(resource, labels(&config.labels, id))),
            complaints: Complaints::of("status"),
            retiring: None,
            me,
            slice: Slice::default(),
            leads: false,
            keys,
        }))
    }

    /// The shared-data key under which the fetching worker tells why there is no newer policy.
    pub(crate) fn problem_key(&self) -> &str {
        self.platform.problem_key()
    }

    /// Takes up at once what is active, as a VM must that was reloaded and has no memory.
    pub(crate) fn catch_up(&mut self, worker: &Worker) {
        self.platform.catch_up(worker);
    }

    /// Takes up what is active, fetches when it is this worker's turn, and does a slice of the work that there is.
    pub(crate) fn on_tick(&mut self, worker: &Worker) {
        let Ok(now) = host::now() else { return };
        let leads = self.holds_lease(now);
        let led = std::mem::replace(&mut self.leads, leads);
        if self.leads && !led {
            self.resume();
            if let Some(reporter) = &mut self.reporter {
                reporter.note_change();
            }
        }
        self.platform.look(worker, &self.slice);
        if let Some(tenants) = &mut self.tenants {
            tenants.look(worker, &self.keys, &self.slice, self.leads);
        }
        self.work(worker);
        if self.leads {
            self.fetch(now);
            self.tell(now);
        }
    }

    /// An answer of a server.
    pub(crate) fn on_response(&mut self, token: u32, num_headers: usize, body_size: usize, worker: &Worker) {
        let Ok(now) = host::now() else { return };
        let platform = &mut self.platform;
        if let Some((name, download)) =
            self.downloads.iter_mut().find(|(_, download)| download.expects(token))
        {
            match fetch::answer(download, num_headers, body_size, now) {
                Ok(fetched) => platform.receive(name, fetched, download.etag(), &self.slice),
                Err(problem) => platform.report(name, Problem::from(&problem)),
            }
        } else if let Some(outbox) = self.reporter.as_mut().map(Reporter::outbox)
            && outbox.expects(token)
        {
            let taken = post::answer(num_headers);
            match &taken {
                Ok(()) => outbox.succeeded(now, post::random()),
                Err(_) => outbox.failed(now, post::random()),
            }
            return self.complaints.note(taken);
        } else if let Some(tenants) = &mut self.tenants {
            tenants.on_response(token, num_headers, body_size, now, worker, &self.slice);
        }
        // An answer that means work is worked on at once, and the server is asked for the next one.
        self.work(worker);
        if self.leads {
            self.fetch(now);
        }
    }

    /// Whether there is work that does not wait for the server.
    pub(crate) fn is_busy(&self) -> bool {
        self.retiring.is_some()
            || self.platform.has_work()
            || self.tenants.as_ref().is_some_and(TenantLines::is_busy)
    }

    /// Works for a slice. The platform's policy comes first: no tenant delays it.
    fn work(&mut self, worker: &Worker) {
        self.slice.begin(worker.take_served());
        self.platform.work(worker, &self.slice);
        if let Some(tenants) = self.tenants.as_mut().filter(|_| !self.platform.has_work()) {
            tenants.work(worker, &self.slice);
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
        if self.platform.take_behind() {
            self.resume();
        }
        for (name, download) in &mut self.downloads {
            if download.is_due(now)
                && let Err(problem) = fetch::send(download, now)
            {
                self.platform.report(name, Problem::from(&problem));
            }
        }
        if let Some(tenants) = &mut self.tenants {
            tenants.fetch(now);
        }
    }

    /// Sends a status event if one is due. It comes last, and nothing waits for it.
    fn tell(&mut self, now: Timestamp) {
        let Some(reporter) = &mut self.reporter else { return };
        let of_tenants = self.tenants.as_mut().is_some_and(TenantLines::take_changed);
        if self.platform.take_changed() || of_tenants {
            reporter.note_change();
        }
        if !reporter.is_due(now) {
            return;
        }
        let mut status =
            Status { is_active: self.downloads.is_empty() || self.platform.is_active(), ..Status::default() };
        for (name, download) in &self.downloads {
            let mut bundle = self.platform.status(name);
            download.describe(&mut bundle);
            status.bundles.push(bundle);
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

    /// Begins to fetch where the one that fetched before has ended.
    fn resume(&mut self) {
        for (name, download) in &mut self.downloads {
            download.resume(self.platform.etag(name));
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
}
