//! What Envoy counts of the filter's own work. A stat is one for the whole process, whichever thread adds to it.

use std::cell::RefCell;

use hexr_authz_core::{
    decision::Decision, decision_log::Counts, series::Series, status::Cause, timestamp::Timestamp,
};

use crate::host::{self, HostError, MetricKind};

/// The metrics of one configuration on one thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Metrics {
    activations: u32,
    activated_at: u32,
    failed_fetches: u32,
    refusals: u32,
    callbacks: u32,
}

// === impl Metrics ===

impl Metrics {
    pub(crate) fn define() -> Result<Self, HostError> {
        let failures = |cause: Cause| {
            let name = format!("hexr_authz_delivery_failures_total.cause.{}", cause.name());
            host::define_metric(MetricKind::Counter, &name)
        };
        Ok(Self {
            activations: host::define_metric(MetricKind::Counter, "hexr_authz_policy_activations_total")?,
            activated_at: host::define_metric(MetricKind::Gauge, "hexr_authz_policy_activated_at_seconds")?,
            failed_fetches: failures(Cause::Fetch)?,
            refusals: failures(Cause::Refused)?,
            callbacks: host::define_metric(
                MetricKind::Histogram,
                "hexr_authz_delivery_callback_microseconds",
            )?,
        })
    }

    /// A policy has become the active one of this Envoy.
    pub(crate) fn activated(self) {
        // What is not counted is in the log.
        let _ = host::add_to_metric(self.activations, 1);
        if let Ok(now) = host::now() {
            let seconds = u64::try_from(now.unix_seconds()).unwrap_or_default();
            let _ = host::record_metric(self.activated_at, seconds);
        }
    }

    /// Something keeps a newer policy from being active.
    pub(crate) fn failed(self, cause: Cause) {
        let counter = match cause {
            Cause::Fetch => self.failed_fetches,
            Cause::Refused => self.refusals,
        };
        let _ = host::add_to_metric(counter, 1);
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

/// The metrics of decisions.
#[derive(Debug)]
pub(crate) struct DecisionMetrics {
    counters: RefCell<Series<u32>>,
    durations: u32,
}

// === impl DecisionMetrics ===

impl DecisionMetrics {
    pub(crate) fn define() -> Result<Self, HostError> {
        let name = "hexr_authz_decision_duration_microseconds";
        Ok(Self {
            counters: RefCell::default(),
            durations: host::define_metric(MetricKind::Histogram, name)?,
        })
    }

    /// Counts a decision, and records how long it took.
    pub(crate) fn count(&self, decision: &Decision<'_>, began: Timestamp, ended: Timestamp) {
        let counter = self.counters.try_borrow_mut().ok().and_then(|mut counters| {
            counters.of(decision, |name| host::define_metric(MetricKind::Counter, name)).ok()
        });
        if let Some(counter) = counter {
            let _ = host::add_to_metric(counter, 1);
        }
        let took = ended.unix_nanos().saturating_sub(began.unix_nanos());
        let _ = host::record_metric(self.durations, u64::try_from(took / 1000).unwrap_or_default());
    }
}

/// The metrics of the decision log: what was made was sent, dropped, omitted, is held, or was lost with its worker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogMetrics {
    made: u32,
    sent: u32,
    dropped: u32,
    omitted: u32,
    retries: u32,
}

// === impl LogMetrics ===

impl LogMetrics {
    pub(crate) fn define() -> Result<Self, HostError> {
        let counter = |name: &str| {
            host::define_metric(
                MetricKind::Counter,
                &format!("hexr_authz_decision_log_events_total.state.{name}"),
            )
        };
        Ok(Self {
            made: counter("made")?,
            sent: counter("sent")?,
            dropped: counter("dropped")?,
            omitted: counter("omitted")?,
            retries: host::define_metric(
                MetricKind::Counter,
                "hexr_authz_decision_log_upload_retries_total",
            )?,
        })
    }

    /// Adds what became of events.
    pub(crate) fn count(self, counts: Counts) {
        for (metric, count) in [
            (self.made, counts.made),
            (self.sent, counts.sent),
            (self.dropped, counts.dropped),
            (self.omitted, counts.omitted),
            (self.retries, counts.retried),
        ] {
            if let Ok(count @ 1..) = i64::try_from(count) {
                let _ = host::add_to_metric(metric, count);
            }
        }
    }
}
