//! `status` and `labels`: whom to tell what is active, and as whom.

use std::collections::BTreeMap;

use super::{
    Resource,
    bundle_source::{Services, check_delays, check_resource, find_service},
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
    let reporting_node = fields.field("reporting");
    let reporting = reporting_node.fields();
    let polling = check_delays(&reporting_node, &reporting, (30, 60));
    reporting.end();
    fields.end();
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
