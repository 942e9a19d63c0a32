//! What Envoy counts of the filter's own work. A stat is one for the whole process, whichever thread adds to it.

use std::{cell::RefCell, time::Duration};

use hexr_authz_core::{
    candidate::Comparison,
    decision::Decision,
    decision_log::Counts,
    series::Series,
    status::{Cause, LogTotals},
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
            let took = end.since(begin).as_micros();
            let _ = host::record_metric(self.callbacks, u64::try_from(took).unwrap_or_default());
        }
    }
}

/// The metrics of decisions.
#[derive(Debug)]
pub(crate) struct DecisionMetrics {
    counters: RefCell<Series<u32>>,
    decisions: u32,
    in_all: u32,
    remembered: u32,
    /// In the order of [`Comparison::ALL`].
    rehearsals: [u32; Comparison::ALL.len()],
}

// === impl DecisionMetrics ===

impl DecisionMetrics {
    pub(crate) fn define() -> Result<Self, HostError> {
        let mut rehearsals = [0; Comparison::ALL.len()];
        for (counter, comparison) in rehearsals.iter_mut().zip(Comparison::ALL) {
            let name = format!("hexr_authz_candidate_decisions_total.comparison.{}", comparison.name());
            *counter = host::define_metric(MetricKind::Counter, &name)?;
        }
        let histogram = |name| host::define_metric(MetricKind::Histogram, name);
        Ok(Self {
            rehearsals,
            counters: RefCell::default(),
            decisions: histogram("hexr_authz_decision_duration_microseconds")?,
            remembered: host::define_metric(MetricKind::Counter, "hexr_authz_decisions_remembered_total")?,
            in_all: histogram("hexr_authz_filter_duration_microseconds")?,
        })
    }

    /// Counts decisions that were remembered instead of made.
    pub(crate) fn count_remembered(&self, count: u64) {
        if let Ok(count @ 1..) = i64::try_from(count) {
            let _ = host::add_to_metric(self.remembered, count);
        }
    }

    /// Counts how a candidate's decision compares with the one that was made.
    pub(crate) fn count_rehearsal(&self, comparison: Comparison) {
        let counter = Comparison::ALL.iter().zip(self.rehearsals).find(|(one, _)| **one == comparison);
        if let Some((_, counter)) = counter {
            let _ = host::add_to_metric(counter, 1);
        }
    }

    /// Counts a decision, and records how long it took, and what was done by it in all.
    pub(crate) fn count(&self, decision: &Decision<'_>, took: Duration, in_all: Duration) {
        let counter = self.counters.try_borrow_mut().ok().and_then(|mut counters| {
            counters.of(decision, |name| host::define_metric(MetricKind::Counter, name)).ok()
        });
        if let Some(counter) = counter {
            let _ = host::add_to_metric(counter, 1);
        }
        for (histogram, took) in [(self.decisions, took), (self.in_all, in_all)] {
            let _ = host::record_metric(histogram, u64::try_from(took.as_micros()).unwrap_or_default());
        }
    }
}

/// The metrics of the decision log: what was made was sent, dropped, omitted, is held, or was lost with its worker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogMetrics {
    made: u32,
    sent: u32,
    dropped: u32,
    omitted: u32,
    lost: u32,
    held: u32,
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
            lost: counter("lost")?,
            held: host::define_metric(MetricKind::Gauge, "hexr_authz_decision_log_events_held")?,
            retries: host::define_metric(
                MetricKind::Counter,
                "hexr_authz_decision_log_upload_retries_total",
            )?,
        })
    }

    /// What workers took with them, and what all of them hold.
    pub(crate) fn note_holders(self, lost: u64, held: u64) {
        if let Ok(lost @ 1..) = i64::try_from(lost) {
            let _ = host::add_to_metric(self.lost, lost);
        }
        let _ = host::record_metric(self.held, held);
    }

    /// What became of all events of this Envoy so far.
    pub(crate) fn totals(self) -> LogTotals {
        let total = |metric| host::metric(metric).unwrap_or_default();
        LogTotals {
            made: total(self.made),
            sent: total(self.sent),
            dropped: total(self.dropped),
            omitted: total(self.omitted),
            lost: total(self.lost),
            held: total(self.held),
        }
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
