//! An entry as an event of OPA's format: <https://www.openpolicyagent.org/docs/management-decision-logs>.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer, ser::SerializeMap as _};

use super::{
    entry::Entry,
    mask::{self, Masked},
};
use crate::policy::Policy;

/// What became of an entry.
#[derive(Debug)]
pub(super) enum Written {
    /// This event, as JSON.
    Event(Vec<u8>),
    /// The policy does not want it logged.
    Omitted,
}

#[derive(Serialize)]
struct Event<'e> {
    labels: &'e BTreeMap<String, String>,
    decision_id: &'e str,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    span_id: Option<&'e str>,
    bundles: Bundles<'e>,
    path: &'e str,
    input: Input<'e>,
    result: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy_reason: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'e str>,
    /// Absent where it is `true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    enforced: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Fault<'e>>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    erased: &'e [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    candidate: Option<Instead<'e>>,
    timestamp: String,
    metrics: Metrics,
}

/// The revisions of the active bundles, by their names.
struct Bundles<'e>(&'e [(String, String)]);

/// The policy's input, as far as it is known.
struct Input<'e>(&'e Entry);

#[derive(Serialize)]
struct Revision<'e> {
    revision: &'e str,
}

/// What a candidate would have decided.
#[derive(Serialize)]
struct Instead<'e> {
    bundles: Bundles<'e>,
    result: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy_reason: Option<&'e str>,
}

/// What the operator has to mend.
#[derive(Serialize)]
struct Fault<'e> {
    code: &'e str,
    message: &'e str,
}

#[derive(Serialize)]
struct Metrics {
    timer_server_handler_ns: u64,
}

/// Writes the event of an entry.
pub(super) fn write(
    entry: &Entry,
    labels: &BTreeMap<String, String>,
    path: &str,
    policy: Option<&Policy>,
) -> Written {
    let refusal = entry.refusal.as_ref();
    let event = Event {
        labels,
        decision_id: entry.id.as_str(),
        trace_id: entry.trace.as_ref().map(|trace| trace.trace_id.as_str()),
        span_id: entry.trace.as_ref().map(|trace| trace.span_id.as_str()),
        bundles: Bundles(&entry.bundles),
        path,
        input: Input(entry),
        result: refusal.is_none(),
        reason: refusal.map(|refusal| refusal.reason),
        policy_reason: entry.policy_reason.as_deref(),
        message: refusal.map(|refusal| refusal.message.as_str()),
        enforced: (!entry.is_enforced).then_some(false),
        error: refusal
            .filter(|refusal| refusal.is_fault)
            .map(|refusal| Fault { code: refusal.reason, message: &refusal.message }),
        erased: &entry.erased,
        candidate: entry.candidate.as_ref().map(|verdict| Instead {
            bundles: Bundles(&verdict.bundles),
            result: verdict.reason.is_none(),
            reason: verdict.reason,
            policy_reason: verdict.policy_reason.as_deref(),
        }),
        timestamp: entry.at.to_rfc3339_nanos(),
        metrics: Metrics {
            timer_server_handler_ns: u64::try_from(entry.took.as_nanos()).unwrap_or(u64::MAX),
        },
    };
    // INVARIANT: names are texts and values are JSON, so that it can be written.
    let text = serde_json::to_vec(&event).unwrap_or_default();
    let masked = match policy {
        Some(policy) if policy.watches_its_log() => mask::apply(text, policy, entry),
        // The policy that decided it is gone, and with it what it wanted hidden.
        None if entry.has_policy => mask::hidden(text),
        Some(_) | None => return Written::Event(text),
    };
    match masked {
        Masked::Event(text) => Written::Event(text),
        Masked::Omitted => Written::Omitted,
    }
}

impl Serialize for Bundles<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, revision)| (name, Revision { revision })))
    }
}

impl Serialize for Input<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(entry) = self;
        let mut input = serializer.serialize_map(None)?;
        if let Some(identity) = entry.identity() {
            input.serialize_entry("spiffe_id", identity.spiffe_id())?;
            input.serialize_entry("tenant", identity.tenant())?;
            input.serialize_entry("agent", identity.agent())?;
            input.serialize_entry("role", identity.role())?;
        }
        if let Some(operation) = &entry.operation {
            input.serialize_entry("service", operation.service())?;
            input.serialize_entry("action", operation.action())?;
        }
        input.serialize_entry("timestamp", &entry.at.to_rfc3339())?;
        entry.further.serialize_into(&mut input)?;
        input.end()
    }
}
