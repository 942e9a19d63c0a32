//! `services` and `bundles`: where the policy comes from.

use std::collections::BTreeMap;

use super::{
    Environment,
    node::{Fields, Node},
    signing::{Keys, check_signing},
};
use crate::bundle::Verification;

/// Where a bundle is fetched, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleSource {
    /// The bundle's name in the configuration.
    pub name: String,
    /// The Envoy cluster of the server.
    pub cluster: String,
    /// The authority of the requests.
    pub authority: String,
    /// Their path.
    pub path: String,
    /// Further headers, with the environment's values in place.
    pub headers: Vec<(String, String)>,
    /// How long the server may take to answer, in milliseconds.
    pub timeout_millis: u64,
    /// How often it is asked.
    pub polling: Polling,
    /// What its bundles must be signed with; nothing where they must not be signed.
    pub signing: Option<Verification>,
}

/// The range of the delay between two polls, in milliseconds; each delay is drawn from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Polling {
    /// The shortest.
    pub min_delay_millis: u64,
    /// The longest, and the longest backoff after errors.
    pub max_delay_millis: u64,
}

struct BundleService {
    cluster: String,
    authority: String,
    path_prefix: String,
    headers: Vec<(String, String)>,
    timeout_millis: u64,
}

pub(super) fn check(
    services: &Node<'_>,
    bundles: &Node<'_>,
    keys: &Keys<'_>,
    environment: Environment<'_>,
) -> Option<BundleSource> {
    let mut known = BTreeMap::new();
    for (name, node) in services.entries() {
        known.insert(name, check_service(node.fields(), environment));
    }
    let mut sources = Vec::new();
    for (name, node) in bundles.entries() {
        sources.extend(check_bundle(name, &node, &known, keys));
    }
    match bundles.entries().len() {
        0 if bundles.is_present() => bundles.problem("at least one bundle is needed"),
        0 | 1 => {}
        _ => bundles.problem("this version fetches one bundle"),
    }
    sources.pop()
}

fn check_service(fields: Fields<'_>, environment: Environment<'_>) -> Option<BundleService> {
    let cluster = fields.field("cluster").required().parsed(non_empty);
    let url_node = fields.field("url");
    let url = if url_node.is_present() {
        url_node.parsed(check_url)
    } else {
        cluster.clone().map(|cluster| (cluster, String::new()))
    };
    let headers = fields
        .field("headers")
        .entries()
        .into_iter()
        .filter_map(|(name, node)| check_header(name, &node, environment))
        .collect();
    let seconds = fields.field("response_header_timeout_seconds").integer(1..=600, 10);
    fields.end();
    let (authority, path_prefix) = url?;
    Some(BundleService { cluster: cluster?, authority, path_prefix, headers, timeout_millis: seconds * 1000 })
}

fn check_bundle(
    name: &str,
    node: &Node<'_>,
    services: &BTreeMap<&str, Option<BundleService>>,
    keys: &Keys<'_>,
) -> Option<BundleSource> {
    let fields = node.fields();
    let signing_node = fields.field("signing");
    let signing = check_signing(&signing_node, keys);
    let service_node = fields.field("service").required();
    let service = service_node.parsed(|service| {
        let known = || services.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        services.get(service).ok_or_else(|| format!("`{service}` is not among `services` ({})", known()))
    });
    let resource_node = fields.field("resource");
    let resource = if resource_node.is_present() {
        resource_node.parsed(check_resource)
    } else {
        let default = check_resource(&format!("bundles/{name}"));
        default
            .map_err(|problem| {
                node.problem(format!("without `resource`, the bundle's name is its path: {problem}"))
            })
            .ok()
    };
    let polling = check_polling(&fields.field("polling"));
    fields.end();
    // A source that is to be verified is never one that is not.
    if signing_node.is_present() && signing.is_none() {
        return None;
    }
    let service = service?.as_ref()?;
    Some(BundleSource {
        name: name.to_owned(),
        cluster: service.cluster.clone(),
        authority: service.authority.clone(),
        path: format!("{}/{}", service.path_prefix, resource?),
        headers: service.headers.clone(),
        timeout_millis: service.timeout_millis,
        polling,
        signing,
    })
}

fn check_polling(node: &Node<'_>) -> Polling {
    let fields = node.fields();
    fields.field("long_polling_timeout_seconds").not_supported();
    let (min_node, max_node) = (fields.field("min_delay_seconds"), fields.field("max_delay_seconds"));
    let (min, max) = (min_node.integer(1..=86_400, 5), max_node.integer(1..=86_400, 10));
    match (min_node.is_present(), max_node.is_present()) {
        (true, false) => max_node.problem("with `min_delay_seconds` this key is needed too"),
        (false, true) => min_node.problem("with `max_delay_seconds` this key is needed too"),
        (true, true) | (false, false) => {}
    }
    if let (Some(min), Some(max)) = (min_node.given_integer(), max_node.given_integer())
        && min > max
    {
        node.problem(format!("`min_delay_seconds` ({min}) is more than `max_delay_seconds` ({max})"));
    }
    fields.end();
    Polling { min_delay_millis: min * 1000, max_delay_millis: max * 1000 }
}

/// The authority and the path prefix of a service.
fn check_url(url: &str) -> Result<(String, String), String> {
    let problem = || {
        format!(
            "`{url}` must be `http://AUTHORITY`, with a path or without; TLS is the Envoy cluster's matter"
        )
    };
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://")).ok_or_else(problem)?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if !is_authority(authority) {
        return Err(problem());
    }
    let path = path.trim_end_matches('/');
    Ok((authority.to_owned(), if path.is_empty() { String::new() } else { check_path(path)? }))
}

/// A host or an address in brackets, and perhaps a port.
fn is_authority(authority: &str) -> bool {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let Some((address, port)) = rest.split_once(']') else { return false };
            if address.parse::<std::net::Ipv6Addr>().is_err() {
                return false;
            }
            ("address", port.strip_prefix(':').or(port.is_empty().then_some("0")))
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, Some("0")),
        },
    };
    let name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let digits = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    !host.is_empty() && host.bytes().all(name) && port.is_some_and(digits)
}

fn check_resource(resource: &str) -> Result<String, String> {
    let resource = resource.trim_start_matches('/');
    check_path(&format!("/{resource}"))?;
    non_empty(resource)
}

fn check_path(path: &str) -> Result<String, String> {
    let (plain, _query) = path.split_once('?').unwrap_or((path, ""));
    match crate::request::normal_path(plain) {
        Ok(_) if path.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(path.to_owned()),
        Ok(_) => Err("must be printable characters without a space".to_owned()),
        Err(problem) => Err(problem),
    }
}

fn check_header(name: &str, node: &Node<'_>, environment: Environment<'_>) -> Option<(String, String)> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if name.is_empty() || !name.bytes().all(token) {
        node.problem("this key is not a header's name");
    }
    let value = node.parsed(|value| substitute(value, environment))?;
    if !value.bytes().all(|byte| matches!(byte, b'\t' | 0x20..=0x7e | 0x80..)) {
        node.problem("a header's value has no control characters");
    }
    Some((name.to_ascii_lowercase(), value))
}

/// Puts the environment's values in the place of `${NAME}`. A secret belongs there, because Envoy's `/config_dump`
/// shows the configuration.
pub(super) fn substitute(text: &str, environment: Environment<'_>) -> Result<String, String> {
    let mut value = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, behind) = after.split_once('}').ok_or("`${` without its `}`")?;
        let found = environment(name).ok_or_else(|| {
            format!("the VM's environment has no `{name}`: add it to `environment_variables` of the VM configuration")
        })?;
        value.push_str(before);
        value.push_str(&found);
        rest = behind;
    }
    value.push_str(rest);
    Ok(value)
}

fn non_empty(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("must not be empty".to_owned()) } else { Ok(text.to_owned()) }
}
