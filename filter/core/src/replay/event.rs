//! One event of a decision log, as OPA writes them: JSON in, what can be decided again out.

use serde_json::Value;
use spiffe::SpiffeId;

use crate::{
    catalog::{Operation, strict_json},
    decision::DecisionId,
    identity::Identity,
    policy::{PastInput, RulePath, Text},
    timestamp::Timestamp,
};

/// What was decided once.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) id: DecisionId,
    pub(super) instant: Timestamp,
    /// Which process decided: each has an audit log of its own.
    pub(super) origin: String,
    pub(super) past: Past,
    /// The paths below `input` that were taken out of it, or changed.
    pub(super) erased: Vec<Vec<String>>,
    /// Who asked for what; the reason why it cannot be decided again, where that is so.
    pub(super) asked: Result<Asked, String>,
}

/// How it was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    /// Whether the request went on.
    pub is_allowed: bool,
    /// The code of the reason of a denial, where the log has one.
    pub reason: Option<String>,
}

/// Who asked for what.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) identity: Identity,
    pub(super) operation: Operation,
    pub(super) input: PastInput,
}

/// What the policy was asked about, and has answered or failed to answer.
const DECIDED_BY_POLICY: [&str; 4] =
    ["policy_denied", "tenant_policy_denied", "evaluation_error", "budget_exceeded"];
/// Why an event cannot be decided again that has no code of its own.
const ANOTHER_DECISION: &str = "another_decision";
const INCOMPLETE_INPUT: &str = "incomplete_input";

// === impl Event ===

impl Event {
    /// Reads an event; nothing where the text is none.
    pub(super) fn read(text: &str, rule: &RulePath) -> Option<Self> {
        let event = strict_json(text.as_bytes()).ok()?;
        let id = text_at(&event, "decision_id")?;
        let instant = Timestamp::from_rfc3339(text_at(&event, "timestamp")?)?;
        let reason = text_at(&event, "reason").map(str::to_owned);
        let past = Past { is_allowed: reason.is_none() && is_allowed(event.get("result")), reason };
        let path = text_at(&event, "path").and_then(RulePath::parse);
        let asked = match (&past.reason, path) {
            (_, Some(path)) if path != *rule => Err(ANOTHER_DECISION.to_owned()),
            (Some(reason), _) if !DECIDED_BY_POLICY.contains(&reason.as_str()) => Err(reason.clone()),
            _ => Asked::of(event.get("input")).ok_or_else(|| INCOMPLETE_INPUT.to_owned()),
        };
        let pointers = ["erased", "masked"].into_iter().filter_map(|name| event.get(name)?.as_array());
        let erased = pointers.flatten().filter_map(|pointer| below_input(pointer.as_str()?)).collect();
        let origin = event.pointer("/labels/id").and_then(Value::as_str).unwrap_or_default().to_owned();
        Some(Self { id: DecisionId::of_past(id), instant, origin, past, erased, asked })
    }
}

/// When an event was decided; nothing where the text is none.
///
/// # Errors
/// When it is no JSON, or a decision without an instant.
pub fn instant_of(text: &str) -> Result<Option<Timestamp>, String> {
    /// An event that is looked at without being read.
    #[derive(serde::Deserialize)]
    struct Glance {
        #[serde(default)]
        decision_id: Option<serde::de::IgnoredAny>,
        #[serde(default)]
        timestamp: Option<Value>,
    }
    let glance: Glance = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if glance.decision_id.is_none() {
        return Ok(None);
    }
    let instant = glance.timestamp.as_ref().and_then(Value::as_str).and_then(Timestamp::from_rfc3339);
    instant.map(Some).ok_or_else(|| "a decision has no `timestamp` in RFC 3339".to_owned())
}

// === impl Asked ===

impl Asked {
    /// The seven fields that are always there, and all that is there besides.
    fn of(input: Option<&Value>) -> Option<Self> {
        let input = input?;
        let field = |name| text_at(input, name);
        let spiffe_id = SpiffeId::new(field("spiffe_id")?).ok()?;
        field("timestamp")?;
        let part = |name| field(name).map(str::to_owned);
        Some(Self {
            identity: Identity::new(&spiffe_id, part("tenant")?, part("agent")?, part("role")?),
            operation: Operation::new(Text::new(field("service")?), Text::new(field("action")?)),
            input: PastInput::new(input).ok()?,
        })
    }
}

fn text_at<'v>(object: &'v Value, name: &str) -> Option<&'v str> {
    object.get(name)?.as_str()
}

/// Only a real `true` allows, by itself or in the object of opa-envoy-plugin.
fn is_allowed(result: Option<&Value>) -> bool {
    let allowed = result.map(|result| result.get("allowed").unwrap_or(result));
    allowed == Some(&Value::Bool(true))
}

/// The names of a JSON pointer that leads into the input.
fn below_input(pointer: &str) -> Option<Vec<String>> {
    let inside = pointer.strip_prefix("/input")?;
    let names = match inside {
        "" => Vec::new(),
        _ => inside.strip_prefix('/')?.split('/').map(unescaped).collect(),
    };
    Some(names)
}

fn unescaped(name: &str) -> String {
    name.replace("~1", "/").replace("~0", "~")
}
