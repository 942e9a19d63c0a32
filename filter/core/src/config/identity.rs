//! `identity`: trust domains, their path templates, and the map of single IDs.

use std::collections::{BTreeMap, BTreeSet};

use spiffe::SpiffeId;

use super::node::{Fields, Node};
use crate::identity::{Part, Parts, PathTemplate, TrustDomain, TrustDomains};

/// The paths of a trust domain that names none.
const DEFAULT_PATH: &str = "/agent/{tenant}/{agent}/{role}";

pub(super) fn check(node: &Node<'_>) -> Option<TrustDomains> {
    let fields = node.fields();
    let domains_node = fields.field("trust_domains");
    let domains_node = if node.is_present() { domains_node.required() } else { domains_node };
    let nodes = domains_node.array();
    if domains_node.raw().is_some_and(|raw| raw.as_array().is_some_and(Vec::is_empty)) {
        domains_node.problem("at least one trust domain is needed");
    }
    let several = nodes.len() > 1;
    let mut names = BTreeSet::new();
    let domains: Option<Vec<TrustDomain>> = nodes
        .iter()
        .map(|node| check_domain(node, several, &mut names))
        .collect::<Vec<_>>()
        .into_iter()
        .collect();
    let map_node = fields.field("map");
    let map = check_map(&map_node, &names);
    fields.end();
    Some(TrustDomains::new(domains?, map))
}

fn check_domain(node: &Node<'_>, several: bool, names: &mut BTreeSet<String>) -> Option<TrustDomain> {
    let fields = node.fields();
    let name_node = fields.field("name").required();
    let name = name_node.parsed(|name| {
        let plain = !name.contains("://") && !name.contains('/');
        spiffe::TrustDomain::new(name).ok().filter(|_| plain).ok_or_else(|| {
            format!("`{name}` is not a trust domain's name: lower-case letters, digits, `.`, `-`, `_`")
        })
    });
    if name.as_ref().is_some_and(|name| !names.insert(name.to_string())) {
        name_node.problem("this trust domain stands twice");
    }
    let paths_node = fields.field("paths");
    let paths = if paths_node.is_present() {
        if paths_node.raw().is_some_and(|raw| raw.as_array().is_some_and(Vec::is_empty)) {
            paths_node
                .problem("at least one path template is needed; without this key it is the default one");
        }
        let paths = paths_node.array();
        paths.iter().filter_map(|node| node.parsed(PathTemplate::parse)).collect()
    } else {
        PathTemplate::parse(DEFAULT_PATH).into_iter().collect()
    };
    let tenants_node = fields.field("tenants");
    if several && !tenants_node.is_present() {
        tenants_node.problem("with more than one trust domain each lists the tenants that it may speak for");
    }
    let tenants = tenants_node.is_present().then(|| {
        let tenants = tenants_node.array();
        tenants.iter().filter_map(|node| node.parsed(identity_part)).collect()
    });
    fields.end();
    Some(TrustDomain { name: name?, paths, tenants })
}

fn check_map(node: &Node<'_>, domains: &BTreeSet<String>) -> BTreeMap<SpiffeId, Parts> {
    let mut map = BTreeMap::new();
    for (id, node) in node.entries() {
        let parts = check_parts(node.fields());
        match SpiffeId::new(id) {
            Ok(id) if domains.contains(id.trust_domain_name()) => {
                map.insert(id, parts);
            }
            Ok(id) => node.problem(format!("trust domain `{}` is not listed", id.trust_domain_name())),
            Err(error) => node.problem(format!("this key is not a SPIFFE ID: {error}")),
        }
    }
    map
}

fn check_parts(fields: Fields<'_>) -> Parts {
    let mut parts = Parts::default();
    for part in Part::ALL {
        *parts.slot(part) = fields.field(part.name()).parsed(identity_part);
    }
    fields.end();
    parts
}

/// The characters of a segment of a SPIFFE ID's path, so that a mapped part looks like a captured one, and fits into
/// a header.
fn identity_part(text: &str) -> Result<String, String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if !matches!(text, "" | "." | "..") && text.bytes().all(allowed) {
        Ok(text.to_owned())
    } else {
        Err(format!("`{text}` must be letters, digits, `-`, `.`, `_`, and not dots alone"))
    }
}
