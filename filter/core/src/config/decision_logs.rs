//! `decision_logs`: which decisions are told to whom.

use super::{
    bundle_source::{Services, check_delays, check_resource, find_service},
    node::Node,
};
use crate::decision_log::{LogSettings, Only};

const MIB: u64 = 1 << 20;

pub(super) fn check(node: &Node<'_>, services: &Services<'_>) -> Option<LogSettings> {
    if !node.is_present() {
        return None;
    }
    let fields = node.fields();
    let service = find_service(&fields.field("service").required(), services);
    let resource_node = fields.field("resource");
    let resource = if resource_node.is_present() {
        resource_node.parsed(check_resource)
    } else {
        Some("logs".to_owned())
    };
    let only_node = fields.field("only");
    let only = match only_node.string() {
        Some("all") | None => Only::All,
        Some("denied") => Only::Denied,
        Some(other) => {
            only_node.problem(format!("must be `all` or `denied`, but is `{other}`"));
            Only::All
        }
    };
    let reporting_node = fields.field("reporting");
    let reporting = reporting_node.fields();
    let delays = check_delays(&reporting_node, &reporting, (5, 10));
    let upload_bytes = reporting.field("upload_size_limit_bytes").integer(4096..=(2 * MIB), 32_768);
    let buffer_events = reporting.field("buffer_size_limit_events").integer(1..=1_000_000, 10_000);
    let buffer_bytes = reporting.field("buffer_size_limit_bytes").integer(65_536..=(1024 * MIB), 8 * MIB);
    if upload_bytes > buffer_bytes / 2 {
        reporting_node.problem(format!(
            "`upload_size_limit_bytes` ({upload_bytes}) is more than half of `buffer_size_limit_bytes` ({buffer_bytes})"
        ));
    }
    reporting.end();
    fields.end();
    let bytes = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    Some(LogSettings {
        resource: service?.resource(&resource?, delays),
        only,
        upload_bytes: bytes(upload_bytes),
        buffer_events: bytes(buffer_events),
        buffer_bytes: bytes(buffer_bytes),
    })
}
