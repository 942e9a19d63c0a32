//! Status events, as OPA sends them to its status API (`POST /status`): what is active in this Envoy, and what keeps
//! something newer from it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::{
    config::Resource,
    delivery::{FetchError, Outbox},
    timestamp::Timestamp,
};

/// What is known of one bundle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BundleStatus {
    /// The bundle's name.
    pub name: String,
    /// The revision that is active.
    pub active_revision: Option<String>,
    /// Its size as received, in bytes.
    pub size: Option<usize>,
    /// When it was asked for last.
    pub last_request: Option<Timestamp>,
    /// When that was answered last, with a bundle or that there is nothing newer.
    pub last_successful_request: Option<Timestamp>,
    /// When a bundle came last.
    pub last_successful_download: Option<Timestamp>,
    /// When one became active last.
    pub last_successful_activation: Option<Timestamp>,
    /// What keeps a newer one from being active.
    pub problem: Option<Problem>,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Everything that is wrong, a line each.
    pub text: String,
    /// What the server answered, where that is what is wrong.
    pub http_code: Option<u16>,
    /// What kind of thing is wrong.
    pub cause: Cause,
}

/// What kind of thing keeps a policy from being active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Nothing usable came from the server.
    Fetch,
    /// What came is no policy that may be active.
    Refused,
}

/// What one event tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The platform's bundles.
    pub bundles: Vec<BundleStatus>,
    /// Whether a policy of theirs is active.
    pub is_active: bool,
    /// How many tenants this Envoy knows.
    pub tenants: usize,
    /// Those whose policies are not as their server has them.
    pub failing_tenants: Vec<BundleStatus>,
    /// What became of decision logs, where there are any.
    pub decision_logs: Option<LogStatus>,
}

/// What became of decision logs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogStatus {
    /// Of this Envoy's events.
    pub totals: LogTotals,
    /// Why the last upload was not taken.
    pub problem: Option<String>,
}

/// What became of the events of an Envoy: what was made is one of the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogTotals {
    /// Decisions that are to be logged.
    pub made: u64,
    /// Taken by a server.
    pub sent: u64,
    /// Gave way to newer ones, or are such as the server never takes.
    pub dropped: u64,
    /// Left out by the policy's `system.log.drop`.
    pub omitted: u64,
    /// Held by a worker that is gone.
    pub lost: u64,
    /// Held still.
    pub held: u64,
}

/// Tells the newest state when something has changed, and now and then.
#[derive(Clone, Debug)]
pub struct Reporter {
    outbox: Outbox,
    labels: BTreeMap<String, String>,
    has_changed: bool,
    /// What was not sent, and will not be, and why nothing is sent: as it was looked at last.
    logs: (u64, Option<String>),
    last_millis: i64,
}

/// Changes come at least so far apart, so that what flaps does not flood.
const APART_MILLIS: i64 = 1_000;
/// What an event holds at most: bytes of a message, lines of it, and tenants.
const MAX_MESSAGE: usize = 8 << 10;
const MAX_ERRORS: usize = 100;
const MAX_TENANTS: usize = 100;
/// OPA's for what has never been.
const NEVER: &str = "0001-01-01T00:00:00Z";

// === impl Cause ===

impl Cause {
    /// The name by which it is counted.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Refused => "refused",
        }
    }
}

// === impl Problem ===

impl From<String> for Problem {
    fn from(text: String) -> Self {
        Self { text, http_code: None, cause: Cause::Refused }
    }
}

impl From<&FetchError> for Problem {
    fn from(error: &FetchError) -> Self {
        Self { text: error.to_string(), http_code: error.http_code(), cause: Cause::Fetch }
    }
}

// === impl BundleStatus ===

impl BundleStatus {
    fn to_json(&self) -> Value {
        let instant = |when: Option<Timestamp>| when.map_or_else(|| NEVER.to_owned(), Timestamp::to_rfc3339);
        let mut fields = Map::from_iter([
            ("name".to_owned(), json!(self.name)),
            ("type".to_owned(), json!("snapshot")),
            ("last_request".to_owned(), json!(instant(self.last_request))),
            ("last_successful_request".to_owned(), json!(instant(self.last_successful_request))),
            ("last_successful_download".to_owned(), json!(instant(self.last_successful_download))),
            ("last_successful_activation".to_owned(), json!(instant(self.last_successful_activation))),
        ]);
        if let Some(revision) = &self.active_revision {
            fields.insert("active_revision".to_owned(), json!(revision));
        }
        if let Some(size) = self.size {
            fields.insert("size".to_owned(), json!(size));
        }
        if let Some(Problem { text, http_code, .. }) = &self.problem {
            let errors: Vec<Value> =
                text.lines().take(MAX_ERRORS).map(|line| json!({"message": shortened(line)})).collect();
            fields.insert("code".to_owned(), json!("bundle_error"));
            fields.insert("message".to_owned(), json!(shortened(text)));
            fields.insert("errors".to_owned(), Value::Array(errors));
            if let Some(code) = http_code {
                fields.insert("http_code".to_owned(), json!(code));
            }
        }
        Value::Object(fields)
    }
}

// === impl LogStatus ===

impl LogStatus {
    fn to_json(&self) -> Value {
        let LogTotals { made, sent, dropped, omitted, lost, held } = self.totals;
        let metrics = json!({
            "counter_decision_logs_made": made,
            "counter_decision_logs_sent": sent,
            "counter_decision_logs_dropped": dropped,
            "counter_decision_logs_omitted": omitted,
            "counter_decision_logs_lost": lost,
            "gauge_decision_logs_held": held,
        });
        match &self.problem {
            Some(problem) => {
                json!({"code": "decision_log_error", "message": shortened(problem), "metrics": metrics})
            }
            None => json!({"metrics": metrics}),
        }
    }
}

fn shortened(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MAX_MESSAGE)).unwrap_or_default()
}

// === impl Reporter ===

impl Reporter {
    /// The first event is due at once.
    pub fn new(resource: Resource, labels: BTreeMap<String, String>) -> Self {
        Self {
            outbox: Outbox::new(resource),
            labels,
            has_changed: true,
            logs: (0, None),
            last_millis: i64::MIN,
        }
    }

    /// Where events are posted.
    pub fn outbox(&mut self) -> &mut Outbox {
        &mut self.outbox
    }

    /// Something is otherwise than in the last event.
    pub fn note_change(&mut self) {
        self.has_changed = true;
    }

    /// Where more events of the decision log are gone, or something else keeps them from being sent, that is a change.
    pub fn note_logs(&mut self, logs: &LogStatus) {
        let gone = logs.totals.dropped.saturating_add(logs.totals.lost);
        if self.logs.0 != gone || self.logs.1 != logs.problem {
            self.logs = (gone, logs.problem.clone());
            self.has_changed = true;
        }
    }

    /// Whether it is time for an event. What comes while one is on its way is told by the next.
    pub fn is_due(&self, now: Timestamp) -> bool {
        let since = now.unix_millis().saturating_sub(self.last_millis);
        let may_tell = self.has_changed && self.outbox.may_hurry(now) && !(0..APART_MILLIS).contains(&since);
        may_tell || self.outbox.is_due(now)
    }

    /// The event.
    pub fn event(&self, status: &Status) -> String {
        let failing = status.failing_tenants.iter().take(MAX_TENANTS);
        let bundles: Map<String, Value> = status
            .bundles
            .iter()
            .chain(failing)
            .map(|bundle| (bundle.name.clone(), bundle.to_json()))
            .collect();
        let state = if status.is_active { "OK" } else { "NOT_READY" };
        let mut event = Map::from_iter([
            ("labels".to_owned(), json!(self.labels)),
            ("bundles".to_owned(), Value::Object(bundles)),
            ("plugins".to_owned(), json!({"bundle": {"state": state}})),
        ]);
        if let Some(logs) = &status.decision_logs {
            event.insert("decision_logs".to_owned(), logs.to_json());
        }
        if status.tenants > 0 {
            let counts = json!({"known": status.tenants, "failing": status.failing_tenants.len()});
            event.insert("tenants".to_owned(), counts);
        }
        Value::Object(event).to_string()
    }

    /// An event was made, and is on its way.
    pub fn told(&mut self, now: Timestamp) {
        (self.has_changed, self.last_millis) = (false, now.unix_millis());
    }
}

/// What every event says of where it comes from: the operator's labels, the Envoy's `id`, and the filter's version.
pub fn labels(own: &BTreeMap<String, String>, id: &str) -> BTreeMap<String, String> {
    let mut labels = own.clone();
    labels.insert("id".to_owned(), id.to_owned());
    labels.insert("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
    labels
}

#[cfg(test)]
mod tests;
