//! `status` and `labels`: whom to tell what is active, and as whom.

use std::collections::BTreeMap;

use super::{
    Polling, Resource,
    bundle_source::{Services, check_resource, find_service},
    node::Node,
};

/// What the filter says of itself; the operator has no say in these.
const OWN: [&str; 2] = ["id", "version"];

/// Where status events go. The range of its polling is that between two events when nothing changes.
pub(super) fn check(node: &Node<'_>, services: &Services<'_>) -> Option<Resource> {
    if !node.is_present() {
        return None;
    }
    let fields = node.fields();
    let service = find_service(&fields.field("service").required(), services);
    let partition = fields.field("partition_name");
    let path = if partition.is_present() {
        partition.parsed(|name| check_resource(&format!("status/{name}")))
    } else {
        Some("status".to_owned())
    };
    let reporting = fields.field("reporting").fields();
    let (min_node, max_node) = (reporting.field("min_delay_seconds"), reporting.field("max_delay_seconds"));
    let (min, max) = (min_node.integer(1..=86_400, 30), max_node.integer(1..=86_400, 60));
    if min_node.is_present() != max_node.is_present() {
        node.problem("`min_delay_seconds` and `max_delay_seconds` are needed both, or neither");
    } else if min > max {
        node.problem(format!("`min_delay_seconds` ({min}) is more than `max_delay_seconds` ({max})"));
    }
    reporting.end();
    fields.end();
    let polling = Polling {
        min_delay_millis: min * 1000,
        max_delay_millis: max * 1000,
        long_polling_timeout_seconds: 0,
    };
    Some(service?.resource(&path?, polling))
}

/// Names and values that each event carries.
pub(super) fn check_labels(node: &Node<'_>) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    if node.is_present() {
        for (name, value) in node.entries() {
            if OWN.contains(&name) {
                value.problem("this label is the filter's own; choose another name");
            } else if let Some(text) = value.string() {
                labels.insert(name.to_owned(), text.to_owned());
            }
        }
    }
    labels
}
