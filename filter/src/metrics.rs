//! What Envoy counts of the filter's own work. A stat is one for the whole process, whichever thread adds to it.

use crate::host::{self, HostError, MetricKind};

/// The metrics of one configuration on one thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Metrics {
    activations: u32,
    failures: u32,
    callbacks: u32,
}

// === impl Metrics ===

impl Metrics {
    pub(crate) fn define() -> Result<Self, HostError> {
        Ok(Self {
            activations: host::define_metric(MetricKind::Counter, "hexr_authz_policy_activations")?,
            failures: host::define_metric(MetricKind::Counter, "hexr_authz_delivery_failures")?,
            callbacks: host::define_metric(
                MetricKind::Histogram,
                "hexr_authz_delivery_callback_microseconds",
            )?,
        })
    }

    /// A policy has become the active one of this Envoy.
    pub(crate) fn activated(self) {
        // What is not counted is in the log.
        let _ = host::increment_metric(self.activations);
    }

    /// Something keeps a newer policy from being active.
    pub(crate) fn failed(self) {
        let _ = host::increment_metric(self.failures);
    }

    /// Does the work of a callback, and records how long it kept its thread from everything else.
    pub(crate) fn time(self, work: impl FnOnce()) {
        let begin = host::now();
        work();
        if let (Ok(begin), Ok(end)) = (begin, host::now()) {
            let took = end.unix_nanos().saturating_sub(begin.unix_nanos());
            let _ = host::record_metric(self.callbacks, u64::try_from(took / 1000).unwrap_or_default());
        }
    }
}
