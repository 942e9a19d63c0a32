//! A policy made of bundles: one worker fetches them, and every worker takes up what they make.

use hexr_authz_core::{
    config::BundleSource,
    delivery::{Download, Lease},
    status::{BundleStatus, Problem},
    timestamp::Timestamp,
};

use super::{fetch, line::Line, slice::Slice};
use crate::{answer::Answer, host, worker::Worker};

/// The bundles of one policy on their way to one worker.
pub(super) struct Feed {
    lease: String,
    me: [u8; 16],
    leads: bool,
    line: Line,
    /// By the bundles' names.
    downloads: Vec<(String, Download)>,
}

// === impl Feed ===

impl Feed {
    /// Of these bundles; `me` is one of those who may hold the lease at that key.
    pub(super) fn new(line: Line, sources: &[BundleSource], lease: &str, me: [u8; 16]) -> Self {
        let download = |source: &BundleSource| (source.name.clone(), Download::new(source.resource.clone()));
        Self {
            lease: lease.to_owned(),
            me,
            leads: false,
            line,
            downloads: sources.iter().map(download).collect(),
        }
    }

    pub(super) fn line(&self) -> &Line {
        &self.line
    }

    pub(super) fn line_mut(&mut self) -> &mut Line {
        &mut self.line
    }

    pub(super) fn leads(&self) -> bool {
        self.leads
    }

    /// Finds out whose turn it is to fetch; says whether it has just become this worker's.
    pub(super) fn take_lead(&mut self, now: Timestamp) -> bool {
        let leads = self.holds_lease(now);
        let led = std::mem::replace(&mut self.leads, leads);
        if self.leads && !led {
            self.resume();
        }
        self.leads && !led
    }

    fn holds_lease(&self, now: Timestamp) -> bool {
        let Ok(shared) = host::shared_data(&self.lease) else { return false };
        let lease = Lease::decode(&shared.value);
        if lease.is_some_and(|lease| lease.is_held(self.me, now) && !lease.is_due(now)) {
            return true;
        }
        let free = lease.is_none_or(|lease| lease.may_be_taken(self.me, now));
        free && host::set_shared_data(&self.lease, &Lease::new(self.me, now).encode(), Some(shared.cas))
            .is_ok()
    }

    /// Begins to fetch where the one that fetched before has ended.
    fn resume(&mut self) {
        for (name, download) in &mut self.downloads {
            download.resume(self.line.etag(name));
        }
    }

    /// Begins to load what is active, if it is newer than this worker's.
    pub(super) fn look(&mut self, worker: &Worker, slice: &Slice) {
        self.line.look(worker, slice);
    }

    /// Asks for what is due.
    pub(super) fn fetch(&mut self, now: Timestamp) {
        if !self.leads {
            return;
        }
        if self.line.take_behind() {
            self.resume();
        }
        for (name, download) in &mut self.downloads {
            if download.is_due(now)
                && let Err(problem) = fetch::send(download, now)
            {
                self.line.report(name, Problem::from(&problem));
            }
        }
    }

    /// Whether an answer is about one of these bundles; then it is taken.
    pub(super) fn on_response(&mut self, answer: Answer, slice: &Slice) -> bool {
        let mut downloads = self.downloads.iter_mut();
        let Some((name, download)) = downloads.find(|(_, download)| download.expects(answer.token)) else {
            return false;
        };
        match fetch::receive(download, answer) {
            Ok(fetched) => self.line.receive(name, fetched, download.etag(), slice),
            Err(problem) => self.line.report(name, Problem::from(&problem)),
        }
        true
    }

    /// What is known of each bundle.
    pub(super) fn statuses(&self) -> impl Iterator<Item = BundleStatus> + '_ {
        self.downloads.iter().map(|(name, download)| {
            let mut status = self.line.status(name);
            download.describe(&mut status);
            status
        })
    }
}
