//! `catalog`: the operator's own table of services.

use std::collections::HashMap;

use super::node::{Fields, Node};
use crate::{
    catalog::{Action, Catalog, Host, JsonField, Kind, OnUnknown, Service, UriTemplate},
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
    let service_node = fields.field("service").required();
    let service = service_node.parsed(name);
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
    let kind = check_kind(&fields, service.as_ref(), &service_node);
    fields.end();
    Some(Service { service: service?, hosts, kind: kind? })
}

fn check_kind(fields: &Fields<'_>, service: Option<&Text>, service_node: &Node<'_>) -> Option<Kind> {
    let kind = fields.field("kind");
    let (actions, path) = (fields.field("actions"), fields.field("path"));
    match kind.string() {
        Some("mcp") => {
            if actions.is_present() {
                actions.problem("an MCP server's actions are its JSON-RPC methods: remove them");
            }
            if !path.is_present() {
                return Some(Kind::Mcp(None));
            }
            path.parsed(UriTemplate::parse).map(|path| Kind::Mcp(Some(path)))
        }
        Some("http") | None => {
            if path.is_present() {
                path.problem("only an entry of `kind: mcp` has a path of its own; actions have theirs");
            }
            if actions.is_present() {
                return Some(Kind::Actions(check_actions(&actions)));
            }
            let service = service?.as_str();
            if Catalog::is_built_in(service) {
                return Some(Kind::BuiltIn);
            }
            service_node.problem(format!(
                "no service `{service}` is built in: give its `actions`, or the name of one that is"
            ));
            None
        }
        Some(other) => {
            kind.problem(format!("must be `http` or `mcp`, but is `{other}`"));
            None
        }
    }
}

fn check_actions(node: &Node<'_>) -> Vec<Action> {
    let mut actions: Vec<(Action, String)> = Vec::new();
    for node in node.array() {
        let Some(action) = check_action(&node) else { continue };
        if let Some((first, place)) = actions.iter().find(|(first, _)| first.hides(&action)) {
            let (first, hidden) = (first.action.as_str(), action.action.as_str());
            node.problem(format!(
                "`{hidden}` is never reached: whatever fits it is `{first}` at `{place}` already"
            ));
        }
        actions.push((action, node.path().to_owned()));
    }
    actions.into_iter().map(|(action, _)| action).collect()
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
    let headers = fields.field("headers").array().iter().filter_map(|node| node.parsed(header)).collect();
    let json = fields.field("json").array().iter().filter_map(check_json_field).collect();
    fields.end();
    if method_node.is_present() && method.is_none() {
        return None;
    }
    Some(Action { action: action?, method, path: path?, headers, json })
}

fn check_json_field(node: &Node<'_>) -> Option<JsonField> {
    let fields = node.fields();
    let path = fields.field("field").required().parsed(|text| {
        let path: Vec<String> = text.split('.').map(str::to_owned).collect();
        if path.iter().any(String::is_empty) {
            Err(format!("`{text}` must be keys with a dot between them, as `configuration.query`"))
        } else {
            Ok(path)
        }
    });
    let value_node = fields.field("value");
    let value = value_node.raw().cloned();
    if value.as_ref().is_some_and(|value| value.is_object() || value.is_array() || value.is_null()) {
        value_node.problem("must be a text, a number or a boolean; without it the field must only be there");
    }
    fields.end();
    Some(JsonField { path: path?, value })
}

fn header(text: &str) -> Result<String, String> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !text.is_empty() && text.bytes().all(allowed) {
        Ok(text.to_owned())
    } else {
        Err(format!("`{text}` is not a header's name in lower case"))
    }
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
