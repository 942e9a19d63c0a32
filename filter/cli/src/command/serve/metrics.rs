//! `/metrics`, in the text format of OpenMetrics.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// The type of what [`Metrics::text`] gives.
pub(super) const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// The label of all tenants' bundles together: a series for each would have no bound.
pub(super) const TENANTS: &str = "tenants";

type Labels = Vec<(&'static str, String)>;

/// What is counted.
#[derive(Debug)]
pub(super) struct Metrics {
    registry: Registry,
    revisions: Family<Labels, Gauge>,
    activations: Family<Labels, Counter>,
    failures: Family<Labels, Counter>,
    last_success: Family<Labels, Gauge>,
    tenants: Family<Labels, Gauge>,
    waiting: Gauge,
    requests: Family<Labels, Counter>,
    /// One reader at a time: what is as it is now is set while it is read.
    reading: Mutex<()>,
}

/// A request that waits; it does so no more when dropped.
pub(super) struct Waiting(Gauge);

/// What is not counted but as it is now.
#[derive(Clone, Debug, Default)]
pub(super) struct Now {
    /// The platform's bundles, and their revisions.
    pub(super) revisions: Vec<(String, String)>,
    /// How many tenants have a policy that is as their folder says, and how many have a problem.
    pub(super) tenants: Option<(usize, usize)>,
}

// === impl Metrics ===

impl Metrics {
    pub(super) fn new() -> Self {
        let mut registry = Registry::with_prefix("hexr_authz_server");
        let (revisions, last_success, tenants) =
            (Family::<Labels, Gauge>::default(), Family::<Labels, Gauge>::default(), Family::default());
        let (activations, failures, requests) =
            (Family::<Labels, Counter>::default(), Family::<Labels, Counter>::default(), Family::default());
        let waiting = Gauge::default();
        registry.register("bundle", "The revision that is served", revisions.clone());
        registry.register("activations", "New contents that were taken up", activations.clone());
        registry.register("failures", "Problems that kept one from it", failures.clone());
        registry.register(
            "last_success_timestamp_seconds",
            "When the source was last found to be good and new",
            last_success.clone(),
        );
        registry.register("tenants", "Tenants by the state of their policies", Family::clone(&tenants));
        registry.register("waiting", "Requests that wait for something new", waiting.clone());
        registry.register("requests", "Answers by bundle and status", Family::clone(&requests));
        Self {
            registry,
            revisions,
            activations,
            failures,
            last_success,
            tenants,
            waiting,
            requests,
            reading: Mutex::new(()),
        }
    }

    pub(super) fn activated(&self, bundle: &str) {
        self.activations.get_or_create(&of(bundle)).inc();
    }

    pub(super) fn failed(&self, bundle: &str) {
        self.failures.get_or_create(&of(bundle)).inc();
    }

    pub(super) fn succeeded(&self, bundle: &str) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        self.last_success.get_or_create(&of(bundle)).set(i64::try_from(now).unwrap_or(i64::MAX));
    }

    pub(super) fn answered(&self, bundle: &str, status: u16) {
        let mut labels = of(bundle);
        labels.push(("status", status.to_string()));
        self.requests.get_or_create(&labels).inc();
    }

    pub(super) fn begin_waiting(&self) -> Waiting {
        self.waiting.inc();
        Waiting(self.waiting.clone())
    }

    pub(super) fn text(&self, now: &Now) -> Result<String, fmt::Error> {
        let _guard = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        self.revisions.clear();
        for (bundle, revision) in &now.revisions {
            let mut labels = of(bundle);
            labels.push(("revision", revision.clone()));
            self.revisions.get_or_create(&labels).set(1);
        }
        if let Some((good, bad)) = now.tenants {
            for (state, count) in [("good", good), ("problem", bad)] {
                let labels = vec![("state", state.to_owned())];
                self.tenants.get_or_create(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
            }
        }
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

fn of(bundle: &str) -> Labels {
    vec![("bundle", bundle.to_owned())]
}

// === impl Waiting ===

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.dec();
    }
}
