//! `audit_log`: which calls are kept, for whom, how long, and what they may cost.

use super::{MIB, node::Node};
use crate::audit_log::{AuditLog, Record, Scope};

/// A day: instants are kept relative to each other, in the range of three days.
const LONGEST_WINDOW: u64 = 86_400;

pub(super) fn check(node: &Node<'_>) -> AuditLog {
    let default = AuditLog::default();
    let fields = node.fields();
    let window_seconds = fields.field("window_seconds").integer(1..=LONGEST_WINDOW, default.window_seconds);
    let scope = fields.field("scope");
    let scope = match scope.string() {
        None | Some("agent") => Scope::Agent,
        Some("tenant") => Scope::Tenant,
        Some("all") => Scope::All,
        Some(other) => {
            scope.problem(format!("must be `agent`, `tenant` or `all`, but is `{other}`"));
            default.scope
        }
    };
    let record = fields.field("record");
    let record = match record.string() {
        None | Some("allowed") => Record::Allowed,
        Some("all") => Record::All,
        Some(other) => {
            record.problem(format!("must be `allowed` or `all`, but is `{other}`"));
            default.record
        }
    };
    let accept_unproven = fields.field("accept_unproven").boolean(default.accept_unproven);
    let agent_calls = fields.field("agent_calls").integer(1..=1_000_000, u64::from(default.agent_calls));
    let bytes_node = fields.field("bytes");
    let bytes = bytes_node.integer(MIB..=(1024 * MIB), default.bytes);
    let tenant_node = fields.field("tenant_bytes");
    let tenant_bytes = tenant_node.integer(4096..=(1024 * MIB), default.tenant_bytes.min(bytes));
    if tenant_bytes > bytes {
        tenant_node.problem(format!("is more than `bytes`, which all tenants share: {bytes}"));
    }
    fields.end();
    AuditLog {
        window_seconds,
        scope,
        record,
        accept_unproven,
        agent_calls: u32::try_from(agent_calls).unwrap_or(u32::MAX),
        tenant_bytes,
        bytes,
    }
}
