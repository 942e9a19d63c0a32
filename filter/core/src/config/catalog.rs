//! `catalog`: the operator's own table of services.

use std::collections::HashMap;

use super::node::Node;
use crate::{
    catalog::{Action, Catalog, Host, OnUnknown, Service, UriTemplate},
    policy::Text,
};

pub(super) fn check(node: &Node<'_>) -> Catalog {
    let fields = node.fields();
    let on_unknown_node = fields.field("on_unknown");
    let on_unknown = match on_unknown_node.string() {
        Some("deny") | None => OnUnknown::Deny,
        Some("policy") => OnUnknown::Policy,
        Some(other) => {
            on_unknown_node.problem(format!("must be `deny` or `policy`, but is `{other}`"));
            OnUnknown::Deny
        }
    };
    let mut owners = HashMap::new();
    let services =
        fields.field("services").array().iter().filter_map(|node| check_service(node, &mut owners)).collect();
    fields.end();
    Catalog::new(services, on_unknown)
}

fn check_service(node: &Node<'_>, owners: &mut HashMap<Host, String>) -> Option<Service> {
    let fields = node.fields();
    let service = fields.field("service").required().parsed(name);
    let kind = fields.field("kind");
    match kind.string() {
        Some("http") | None => {}
        Some("mcp") => kind.problem("this version knows `http` only"),
        Some(other) => kind.problem(format!("must be `http`, but is `{other}`")),
    }
    let hosts_node = fields.field("hosts").required();
    let mut hosts = Vec::new();
    for node in hosts_node.array() {
        let Some(host) = node.parsed(Host::parse) else { continue };
        if let Some(owner) = owners.get(&host) {
            node.problem(format!("this host stands at `{owner}` already"));
        } else {
            owners.insert(host.clone(), node.path().to_owned());
            hosts.push(host);
        }
    }
    let actions = fields.field("actions").required().array().iter().filter_map(check_action).collect();
    fields.end();
    Some(Service { service: service?, hosts, actions })
}

fn check_action(node: &Node<'_>) -> Option<Action> {
    let fields = node.fields();
    let action = fields.field("action").required().parsed(name);
    let method_node = fields.field("method");
    let method = method_node.parsed(|method| {
        let token =
            !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-');
        if token && method != "CONNECT" {
            Ok(method.to_owned())
        } else {
            Err(format!("`{method}` is not a method, as `GET`; without this key the action has any"))
        }
    });
    let path = fields.field("path").required().parsed(UriTemplate::parse);
    fields.end();
    if method_node.is_present() && method.is_none() {
        return None;
    }
    Some(Action { action: action?, method, path: path? })
}

/// A name that policies compare with and that fits into a header.
fn name(text: &str) -> Result<Text, String> {
    if text == "unknown" {
        return Err(
            "`unknown` is what the catalog calls what it does not know: choose another name".to_owned()
        );
    }
    if !text.is_empty() && text.len() <= 128 && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(Text::new(text))
    } else {
        Err(format!("`{text}` must be 1 to 128 printable characters without a space"))
    }
}
