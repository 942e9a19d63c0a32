//! The bundles that are served, kept as new as what they are made of.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use axum::body::Bytes;
use hexr_authz_core::{
    bundle::Subject,
    policy::{RulePath, SlowPart},
};
use tokio::sync::Notify;

use super::{
    document::{Document, Kind, Publication, Reading},
    metrics::{self, Metrics},
    origin::{Look, Origin},
    persistence::Shelf,
    signing::Signing,
    status::{Good, SourceStatus, Status},
};
use crate::{
    command::{ANY_AUDIT_LOG, BUDGET},
    output::tell,
    source,
};

/// How often the folders are looked at.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The platform's bundles.
#[derive(Debug)]
pub(super) struct Bundles(Vec<Arc<BundleState>>);

/// What all bundles have in common.
#[derive(Debug)]
pub(super) struct Terms {
    pub(super) signing: Option<Signing>,
    pub(super) shelf: Option<Shelf>,
    pub(super) metrics: Metrics,
}

/// One bundle.
#[derive(Debug)]
pub(super) struct BundleState {
    name: String,
    origin: Origin,
    subject: Subject,
    terms: Arc<Terms>,
    served: Publication,
    status: Mutex<Status>,
}

// === impl Bundles ===

impl Bundles {
    pub(super) fn new(bundles: Vec<BundleState>) -> Self {
        Self(bundles.into_iter().map(Arc::new).collect())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &BundleState> {
        self.0.iter().map(|bundle| &**bundle)
    }

    /// The bundle that is served as `file`.
    pub(super) fn find(&self, file: &str) -> Option<&BundleState> {
        let name = file.strip_suffix(".tar.gz").unwrap_or(file);
        self.iter().find(|bundle| bundle.name == name)
    }

    /// Looks at every origin, and packs those that have changed.
    pub(super) async fn refresh(&self) {
        for bundle in &self.0 {
            let bundle = Arc::clone(bundle);
            // Compiling takes its time; requests are answered meanwhile.
            let _ = tokio::task::spawn_blocking(move || bundle.refresh()).await;
        }
    }

    /// Looks again and again, and at once when something that tells of its changes has `changed`.
    pub(super) async fn watch(self: Arc<Self>, changed: Arc<Notify>) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = changed.notified() => {}
            }
            self.refresh().await;
        }
    }
}

// === impl BundleState ===

impl BundleState {
    pub(super) fn new(name: String, origin: Origin, subject: Subject, terms: Arc<Terms>) -> Self {
        Self { name, origin, subject, terms, served: Publication::new(), status: Mutex::default() }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The name in metrics.
    pub(super) fn label(&self) -> &str {
        match &self.subject {
            Subject::Platform(_) => &self.name,
            Subject::Tenant(_) => metrics::TENANTS,
        }
    }

    /// The rule that decides.
    pub(super) fn rule(&self) -> RulePath {
        match &self.subject {
            Subject::Platform(rule) => rule.clone(),
            Subject::Tenant(tenant) => RulePath::of_tenant(tenant),
        }
    }

    pub(super) fn reading(&self) -> Reading {
        self.served.reading()
    }

    pub(super) fn current(&self) -> Option<Arc<Document>> {
        self.served.current()
    }

    /// As `/health?bundles` has it. An origin that is elsewhere says itself how it stands with it.
    pub(super) fn report(&self) -> serde_json::Value {
        let status = self.status();
        let mut report = status.report();
        if let (Some(state), Some(fields)) =
            (self.origin.state(status.good.is_some()), report.as_object_mut())
        {
            fields.insert("source".to_owned(), state.into());
        }
        report
    }

    pub(super) fn status(&self) -> Status {
        self.locked().clone()
    }

    /// Looks at the origin, and packs it if it has changed; says whether there is something new.
    pub(super) fn refresh(&self) -> bool {
        let fingerprint = self.origin.fingerprint();
        if fingerprint.is_ok() && fingerprint.as_ref().ok() == self.locked().fingerprint.as_ref() {
            return self.sign_again();
        }
        let packed = fingerprint.clone().and_then(|_| self.origin.pack(&self.subject));
        if packed.is_ok() && self.origin.fingerprint() != fingerprint {
            // A file was being written, or another version came; the next look sees it whole.
            return false;
        }
        let found = if fingerprint.is_err() { SourceStatus::Away } else { SourceStatus::Broken };
        let published = packed.and_then(|packed| {
            let unsigned = Bytes::from(packed.bytes);
            Ok((self.publish(unsigned.clone())?, unsigned, packed.revision, packed.slow_parts))
        });
        match published {
            Ok((is_new, unsigned, revision, slow_parts)) => {
                let not_kept = self.keep(&unsigned).err();
                for part in slow_parts.iter().filter(|_| is_new) {
                    let SlowPart { module, line, message } = part;
                    tell(format!("bundle `{}`: {module}:{line}: slow: {message}", self.name));
                }
                self.accept(is_new, (revision, unsigned.len()), not_kept, fingerprint.ok());
                is_new
            }
            Err(problem) => {
                let is_new = self.fall_back();
                self.complain(problem, found, fingerprint.ok());
                is_new || self.sign_again()
            }
        }
    }

    fn accept(
        &self,
        is_new: bool,
        (revision, bytes): (String, usize),
        not_kept: Option<String>,
        fingerprint: Option<Look>,
    ) {
        self.terms.metrics.succeeded(self.label());
        let mut status = self.locked();
        if is_new || status.problem.is_some() {
            tell(format!("bundle `{}`: serving revision {revision}, {bytes} bytes", self.name));
        }
        if let Some(problem) = not_kept.as_ref().filter(|problem| status.not_kept.as_ref() != Some(problem)) {
            tell(format!("bundle `{}`: served, but not kept on disk: {problem}", self.name));
        }
        (status.revision, status.problem, status.not_kept) = (Some(revision), None, not_kept);
        (status.source, status.is_kept, status.fingerprint) = (SourceStatus::Good, false, fingerprint);
    }

    fn complain(&self, problem: String, found: SourceStatus, fingerprint: Option<Look>) {
        let mut status = self.locked();
        (status.source, status.fingerprint) = (found, fingerprint);
        if status.problem.as_ref() == Some(&problem) {
            return;
        }
        let effect = match (&status.good, status.is_kept) {
            (None, _) => "nothing is served",
            (Some(_), true) => "the last good one of an earlier run is served",
            (Some(_), false) => "the last good one is served",
        };
        tell(format!("bundle `{}`: {effect}, because:\n{problem}", self.name));
        self.terms.metrics.failed(self.label());
        status.problem = Some(problem);
    }

    /// Serves a bundle, signed if bundles are; says whether it is another one than that before.
    fn publish(&self, unsigned: Bytes) -> Result<bool, String> {
        let body = match &self.terms.signing {
            // The same content under a new signature is no news; its own time brings that.
            Some(_) if self.locked().good.as_ref().is_some_and(|good| good.unsigned == unsigned) => {
                return Ok(self.sign_again());
            }
            Some(signing) => Bytes::from(signing.sign(&unsigned)?),
            None => unsigned.clone(),
        };
        let is_new = self.served.publish(Document::new(body, Kind::Bundle));
        self.locked().good = Some(Good { unsigned, published: Instant::now() });
        if is_new {
            self.terms.metrics.activated(self.label());
        }
        Ok(is_new)
    }

    /// Signs what is served anew once its signature is old, whatever has become of the source.
    fn sign_again(&self) -> bool {
        let Some(signing) = &self.terms.signing else { return false };
        let Some(good) = self.locked().good.clone().filter(|good| signing.is_due(good.published)) else {
            return false;
        };
        // It could be signed before; the next look tries again.
        let Ok(body) = signing.sign(&good.unsigned) else { return false };
        self.locked().good = Some(Good { published: Instant::now(), ..good });
        self.served.publish(Document::new(Bytes::from(body), Kind::Bundle))
    }

    /// Serves what an earlier run has kept, if there is nothing else.
    fn fall_back(&self) -> bool {
        let Some(shelf) = &self.terms.shelf else { return false };
        {
            let mut status = self.locked();
            if status.good.is_some() || std::mem::replace(&mut status.has_asked_shelf, true) {
                return false;
            }
        }
        let kept = shelf.kept(&self.name).and_then(|kept| {
            let Some(unsigned) = kept else { return Ok(None) };
            let (revision, _) = source::compile(&unsigned, &self.subject, BUDGET, &ANY_AUDIT_LOG)?;
            Ok(Some((self.publish(Bytes::from(unsigned))?, revision)))
        });
        match kept {
            Ok(Some((is_new, revision))) => {
                let mut status = self.locked();
                (status.revision, status.is_kept) = (Some(revision), true);
                is_new
            }
            Ok(None) => false,
            Err(problem) => {
                tell(format!("bundle `{}`: what was kept on disk is of no use: {problem}", self.name));
                false
            }
        }
    }

    fn keep(&self, unsigned: &[u8]) -> Result<(), String> {
        self.terms.shelf.as_ref().map_or(Ok(()), |shelf| shelf.keep(&self.name, unsigned))
    }

    fn locked(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
