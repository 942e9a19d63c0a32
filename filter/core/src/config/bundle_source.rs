//! `services` and `bundles`: where the policy comes from, and the one that may take its place.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use serde_json::json;

use super::{
    Environment,
    node::{Fields, Node},
    signing::{Keys, check_signing},
};
use crate::bundle::Verification;

/// Where a bundle comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleSource {
    /// The bundle's name in the configuration.
    pub name: String,
    /// Where it is fetched, and how often.
    pub resource: Resource,
    /// What its bundles must be signed with; nothing where they must not be signed.
    pub signing: Option<Verification>,
}

/// Where a policy comes from that decides nothing yet, and is told what it would decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CandidateSource {
    /// All bundles of that policy, in the order of their names: the candidates, and the others as they are.
    pub bundles: Vec<BundleSource>,
    /// Of how many decisions in a hundred that differ the decision log tells what the candidate's is.
    pub sampling_percent: u64,
}

/// What `bundles` says.
#[derive(Debug, Default)]
pub(super) struct Bundles {
    pub(super) active: Vec<BundleSource>,
    pub(super) candidate: Option<CandidateSource>,
}

/// A bundle that may take the place of another one.
struct Replacement {
    replaces: String,
    sampling_percent: u64,
    source: BundleSource,
}

/// What is fetched from a server, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
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
}

/// The range of the delay between two polls, in milliseconds; each delay is drawn from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Polling {
    /// The shortest.
    pub min_delay_millis: u64,
    /// The longest, and the longest backoff after errors.
    pub max_delay_millis: u64,
    /// For how many seconds a server that can is asked to hold a request until there is something new; 0 for never.
    pub long_polling_timeout_seconds: u64,
}

/// More than any policy is spread over.
const MAX_BUNDLES: usize = 64;

/// The services by their names; nothing for one that has mistakes of its own.
pub(super) type Services<'a> = BTreeMap<&'a str, Option<Service>>;

pub(super) struct Service {
    cluster: String,
    authority: String,
    path_prefix: String,
    headers: Vec<(String, String)>,
    timeout_millis: u64,
}

pub(super) fn check_services<'a>(services: &Node<'a>, environment: Environment<'_>) -> Services<'a> {
    let service = |(name, node): (&'a str, Node<'a>)| (name, check_service(node.fields(), environment));
    services.entries().into_iter().map(service).collect()
}

pub(super) fn check(bundles: &Node<'_>, services: &Services<'_>, keys: &Keys<'_>) -> Bundles {
    let entries = bundles.entries();
    if entries.len() > MAX_BUNDLES {
        bundles.problem(format!("there are {} bundles, more than {MAX_BUNDLES}", entries.len()));
    }
    let is_candidate =
        |node: &Node<'_>| node.raw().and_then(|bundle| bundle.get("mode")) == Some(&json!("candidate"));
    let deciding: BTreeSet<&str> =
        entries.iter().filter(|(_, node)| !is_candidate(node)).map(|(name, _)| *name).collect();
    if bundles.is_present() && deciding.is_empty() {
        bundles.problem("at least one bundle is needed that decides");
    }
    let mut active = Vec::new();
    let mut replacements: Vec<Replacement> = Vec::new();
    for (name, node) in &entries {
        let (source, replaces) = check_bundle(name, node, services, keys, &deciding);
        match (source, replaces) {
            (source, None) if !is_candidate(node) => active.extend(source),
            (Some(source), Some((replaces, sampling_percent))) => {
                if replacements.iter().any(|other| other.replaces == replaces) {
                    node.problem(format!("another candidate replaces `{replaces}` too: one at a time"));
                }
                replacements.push(Replacement { replaces, sampling_percent, source });
            }
            (_, _) => {}
        }
    }
    let candidate = candidate(&active, replacements);
    Bundles { active, candidate }
}

/// The policy of the active bundles, each that is replaced by its candidate.
fn candidate(active: &[BundleSource], replacements: Vec<Replacement>) -> Option<CandidateSource> {
    let sampling_percent = replacements.iter().map(|replacement| replacement.sampling_percent).min()?;
    let is_replaced = |name: &str| replacements.iter().any(|replacement| replacement.replaces == name);
    let mut bundles: Vec<BundleSource> =
        active.iter().filter(|source| !is_replaced(&source.name)).cloned().collect();
    bundles.extend(replacements.into_iter().map(|replacement| replacement.source));
    bundles.sort_by(|one, other| one.name.cmp(&other.name));
    Some(CandidateSource { bundles, sampling_percent })
}

fn check_service(fields: Fields<'_>, environment: Environment<'_>) -> Option<Service> {
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
    Some(Service { cluster: cluster?, authority, path_prefix, headers, timeout_millis: seconds * 1000 })
}

/// The bundle, and for a candidate which one of those `deciding` it replaces, and how much of it is logged.
fn check_bundle(
    name: &str,
    node: &Node<'_>,
    services: &Services<'_>,
    keys: &Keys<'_>,
    deciding: &BTreeSet<&str>,
) -> (Option<BundleSource>, Option<(String, u64)>) {
    let fields = node.fields();
    let candidacy = check_candidacy(&fields, deciding);
    let signing_node = fields.field("signing");
    let signing = check_signing(&signing_node, keys);
    let service = find_service(&fields.field("service").required(), services);
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
        return (None, candidacy);
    }
    let source = service.zip(resource).map(|(service, resource)| BundleSource {
        name: name.to_owned(),
        resource: service.resource(&resource, polling),
        signing,
    });
    (source, candidacy)
}

fn check_candidacy(fields: &Fields<'_>, deciding: &BTreeSet<&str>) -> Option<(String, u64)> {
    let (mode, replaces) = (fields.field("mode"), fields.field("replaces"));
    let sampling = fields.field("sampling_percent");
    let is_candidate = match mode.string() {
        None | Some("active") => false,
        Some("candidate") => true,
        Some(other) => {
            mode.problem(format!("must be `active` or `candidate`, but is `{other}`"));
            return None;
        }
    };
    if !is_candidate {
        for node in [replaces, sampling].iter().filter(|node| node.is_present()) {
            node.problem("only a bundle with `mode` `candidate` has this key");
        }
        return None;
    }
    let replaces = replaces.required().parsed(|name| {
        let known = || deciding.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        if deciding.contains(name) {
            Ok(name.to_owned())
        } else {
            Err(format!("`{name}` is not among the bundles that decide ({})", known()))
        }
    });
    Some((replaces?, sampling.integer(0..=100, 100)))
}

/// The service that a bundle names; nothing if there is none, or none without mistakes.
pub(super) fn find_service<'s>(node: &Node<'_>, services: &'s Services<'_>) -> Option<&'s Service> {
    let service = node.parsed(|service| {
        let known = || services.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        services.get(service).ok_or_else(|| format!("`{service}` is not among `services` ({})", known()))
    });
    service?.as_ref()
}

impl Resource {
    /// The headers of a request for it: the pseudo-headers, `further` ones, and the service's own.
    pub(crate) fn request<'r>(
        &'r self,
        method: &'static str,
        further: impl IntoIterator<Item = (&'r str, Cow<'r, str>)>,
    ) -> Vec<(&'r str, Cow<'r, str>)> {
        let mut request: Vec<(&'r str, Cow<'r, str>)> = vec![
            (":method", Cow::Borrowed(method)),
            (":path", Cow::Borrowed(self.path.as_str())),
            (":authority", Cow::Borrowed(self.authority.as_str())),
            ("user-agent", Cow::Borrowed(concat!("hexr-authz/", env!("CARGO_PKG_VERSION")))),
        ];
        request.extend(further);
        let own = self.headers.iter().map(|(name, value)| (name.as_str(), Cow::Borrowed(value.as_str())));
        request.extend(own);
        request
    }
}

impl Service {
    /// What stands at `resource` of this service.
    pub(super) fn resource(&self, resource: &str, polling: Polling) -> Resource {
        Resource {
            cluster: self.cluster.clone(),
            authority: self.authority.clone(),
            path: format!("{}/{resource}", self.path_prefix),
            headers: self.headers.clone(),
            timeout_millis: self.timeout_millis,
            polling,
        }
    }
}

pub(super) fn check_polling(node: &Node<'_>) -> Polling {
    let fields = node.fields();
    let long_polling_timeout_seconds = fields.field("long_polling_timeout_seconds").integer(0..=600, 30);
    let polling = check_delays(node, &fields, (5, 10));
    fields.end();
    Polling { long_polling_timeout_seconds, ..polling }
}

/// The range of a delay, with its default in seconds: both ends, or neither.
pub(super) fn check_delays(node: &Node<'_>, fields: &Fields<'_>, default: (u64, u64)) -> Polling {
    let (min_node, max_node) = (fields.field("min_delay_seconds"), fields.field("max_delay_seconds"));
    let (min, max) = (min_node.integer(1..=86_400, default.0), max_node.integer(1..=86_400, default.1));
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
    Polling { min_delay_millis: min * 1000, max_delay_millis: max * 1000, long_polling_timeout_seconds: 0 }
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

pub(super) fn check_resource(resource: &str) -> Result<String, String> {
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
