//! Which events are asked for.

use std::time::{SystemTime, UNIX_EPOCH};

use hexr_authz_core::timestamp::{Timestamp, read_duration};
use serde::Deserialize;
use serde_json::Value;

/// The query of `GET /logs`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::command::serve) struct Asked {
    agent: Option<String>,
    tenant: Option<String>,
    role: Option<String>,
    service: Option<String>,
    action: Option<String>,
    reason: Option<String>,
    decision_id: Option<String>,
    denied: Option<bool>,
    since: Option<String>,
    limit: Option<usize>,
}

/// The same, checked.
#[derive(Debug)]
pub(super) struct Selection {
    asked: Asked,
    /// The first instant, in nanoseconds since 1970.
    pub(super) from_nanos: i64,
    /// The most events, the newest.
    pub(super) limit: usize,
}

// === impl Selection ===

impl Selection {
    /// # Errors
    /// When `since` is neither an instant nor a duration.
    pub(super) fn of(asked: Asked) -> Result<Self, String> {
        let from_nanos = asked.since.as_deref().map_or(Ok(i64::MIN), since)?;
        let limit = asked.limit.unwrap_or(usize::MAX);
        Ok(Self { asked, from_nanos, limit })
    }

    /// Whether an event is asked for.
    pub(super) fn has(&self, event: &Value) -> bool {
        let Asked { agent, tenant, role, service, action, reason, decision_id, denied, .. } = &self.asked;
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str);
        let is = |wanted: &Option<String>, pointer: &str| {
            wanted.as_deref().is_none_or(|wanted| text(pointer) == Some(wanted))
        };
        let is_agent = is(agent, "/input/agent") || is(agent, "/input/spiffe_id");
        let is_denied = event.get("result") != Some(&Value::Bool(true));
        is_agent
            && is(tenant, "/input/tenant")
            && is(role, "/input/role")
            && is(service, "/input/service")
            && is(action, "/input/action")
            && is(reason, "/reason")
            && is(decision_id, "/decision_id")
            && denied.is_none_or(|denied| denied == is_denied)
    }
}

/// An instant in RFC 3339, or so long ago: `10m`.
fn since(text: &str) -> Result<i64, String> {
    if let Some(instant) = Timestamp::from_rfc3339(text) {
        return Ok(instant.unix_nanos());
    }
    let Some(ago) = read_duration(text) else {
        return Err(format!("`{text}` is no instant, as `2026-01-15T10:30:00Z`, and no duration, as `10m`"));
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(i64::try_from(now.saturating_sub(ago).as_nanos()).unwrap_or(i64::MAX))
}
