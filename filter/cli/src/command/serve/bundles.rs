//! The bundles that are served, kept as new as what they are made of.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use hexr_authz_core::policy::RulePath;
use tokio::sync::Notify;

use super::origin::{Look, Origin};
use crate::source::Packed;

/// How often the folders are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// All bundles.
#[derive(Debug)]
pub(super) struct Bundles(Vec<Arc<BundleState>>);

/// One bundle.
#[derive(Debug)]
pub(super) struct BundleState {
    name: String,
    origin: Origin,
    rule: RulePath,
    served: RwLock<Served>,
}

/// What is served, and what keeps something newer from being it.
#[derive(Clone, Debug, Default)]
pub(super) struct Served {
    pub(super) packed: Option<Arc<Packed>>,
    pub(super) problem: Option<String>,
    fingerprint: Option<Look>,
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

    /// Looks at the folders again and again, and at once when something that tells of its changes has `changed`.
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
    pub(super) fn new(name: String, origin: Origin, rule: RulePath) -> Self {
        Self { name, origin, rule, served: RwLock::default() }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn served(&self) -> Served {
        self.served.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How it stands with what the bundle is made of, where that can be out of reach.
    pub(super) fn source(&self) -> Option<String> {
        self.origin.state(self.served().packed.is_some())
    }

    fn refresh(&self) {
        let before = self.served();
        let fingerprint = self.origin.fingerprint();
        if fingerprint.is_ok() && fingerprint.as_ref().ok() == before.fingerprint.as_ref() {
            return;
        }
        let packed = fingerprint.clone().and_then(|_| self.origin.pack(&self.rule));
        if packed.is_ok() && self.origin.fingerprint() != fingerprint {
            // A file was being written, or another version came; the next look sees it whole.
            return;
        }
        let mut served = self.served.write().unwrap_or_else(PoisonError::into_inner);
        served.fingerprint = fingerprint.ok();
        match packed {
            Ok(packed) => {
                let changed = served.packed.as_ref().is_none_or(|current| current.digest != packed.digest);
                if changed || served.problem.is_some() {
                    eprintln!("bundle `{}`: serving revision {}", self.name, packed.revision);
                }
                served.packed = Some(Arc::new(packed));
                served.problem = None;
            }
            Err(problem) => {
                if served.problem.as_ref() != Some(&problem) {
                    let effect = if served.packed.is_some() {
                        "the last good one is served"
                    } else {
                        "nothing is served"
                    };
                    eprintln!("bundle `{}`: {effect}, because:\n{problem}", self.name);
                }
                served.problem = Some(problem);
            }
        }
    }
}
