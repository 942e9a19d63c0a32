//! The filter's configuration: raw JSON in, a checked [`Config`] out, or every mistake in it.
//!
//! The vocabulary is that of OPA's configuration file where OPA has one.

mod audit_log;
mod bundle_source;
mod catalog;
mod decision_logs;
mod identity;
mod json;
mod node;
mod problem;
mod signing;
mod status;
mod tenants;

pub use bundle_source::{BundleSource, CandidateSource, Polling, Resource};
pub use problem::{Problem, Problems};
pub use tenants::TenantSource;

use std::{collections::BTreeMap, rc::Rc};

use self::{
    node::{Fields, Node},
    problem::Collector,
};
use crate::{
    audit_log::AuditLog,
    catalog::Catalog,
    decision::Mode,
    decision_log::LogSettings,
    identity::TrustDomains,
    policy::{Budget, Data, Module, Policy, RulePath},
};

/// A configuration without mistakes.
#[derive(Debug)]
pub struct Config {
    /// Whom the filter knows.
    pub trust_domains: TrustDomains,
    /// What it knows of services.
    pub catalog: Catalog,
    /// The rule that decides.
    pub rule: RulePath,
    /// What becomes of a refusal.
    pub mode: Mode,
    /// Whom a refused caller may ask.
    pub contact: Option<String>,
    /// The policy that holds until a bundle is active, compiled.
    pub embedded_policy: Option<Rc<Policy>>,
    /// Where the policy comes from: all of these together make one, in the order of their names.
    pub bundles: Vec<BundleSource>,
    /// Where a policy comes from that may take its place, if there is one.
    pub candidate: Option<CandidateSource>,
    /// Where the tenants' own policies come from, if they have any.
    pub tenants: Option<TenantSource>,
    /// What one request and one bundle may cost.
    pub limits: Limits,
    /// The calls of the recent past, and how many there may be.
    pub audit_log: AuditLog,
    /// The path at which the filter answers for itself.
    pub ready_path: Option<String>,
    /// Where status events go.
    pub status: Option<Resource>,
    /// Which decisions are logged, and where to.
    pub decision_logs: Option<LogSettings>,
    /// What each event says of where it comes from.
    pub labels: BTreeMap<String, String>,
}

/// Bounds on work and memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest bundle, compressed, in bytes.
    pub bundle_bytes: usize,
    /// The longest evaluation.
    pub evaluation: Budget,
    /// The largest body that is read where the body decides what is asked for, in bytes.
    pub request_body_bytes: usize,
    /// How long such a body is waited for.
    pub body_timeout_millis: u64,
}

/// The environment of the VM: the value of a variable, if set.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What an environment gives that knows only names, as that of a check before the deployment: a key of this value is not
/// looked at, and verifies nothing.
pub const UNKNOWN_VALUE: &str = "\u{fffd}";
/// The path of the decision where the configuration names none.
const DEFAULT_DECISION_PATH: &str = "hexr/authz/allow";
const MIB: u64 = 1 << 20;

// === impl Config ===

impl Config {
    /// Reads a configuration.
    ///
    /// # Errors
    /// Every mistake in it, with its JSON path.
    pub fn read(text: &str, environment: Environment<'_>) -> Result<Self, Problems> {
        let problems = Collector::default();
        let document = json::parse(text, &problems);
        let config =
            document.as_ref().and_then(|document| check(&Node::root(document, &problems), environment));
        problems.finish(config)
    }
}

fn check(root: &Node<'_>, environment: Environment<'_>) -> Option<Config> {
    let fields = root.fields();
    let trust_domains = identity::check(&fields.field("identity").required());
    let (rule, mode, contact) = check_decision(fields.field("decision").fields());
    let limits = check_limits(&fields.field("limits"));
    let audit_log = audit_log::check(&fields.field("audit_log"));
    let policy = fields.field("policy");
    let embedded_policy = match &rule {
        Some(rule) if policy.is_present() => check_policy(&policy, rule, limits.evaluation, &audit_log),
        Some(_) | None => None,
    };
    let services = bundle_source::check_services(&fields.field("services"), environment);
    let keys = signing::check_keys(&fields.field("keys"), environment);
    let bundles_node = fields.field("bundles");
    let bundles = bundle_source::check(&bundles_node, &services, &keys);
    let tenants = tenants::check(&fields.field("tenants"), &services, &keys);
    if !policy.is_present() && !bundles_node.is_present() {
        root.problem("neither `policy` nor `bundles` is there: every request would be refused");
    }
    let status_node = fields.field("status");
    let status = status::check(&status_node, &services);
    let decision_logs = decision_logs::check(&fields.field("decision_logs"), &services);
    let labels = status::check_labels(&fields.field("labels"));
    let catalog = catalog::check(&fields.field("catalog"));
    let ready_path = fields.field("ready_path");
    let ready_path = if ready_path.is_present() { ready_path.parsed(check_ready_path) } else { None };
    fields.end();
    Some(Config {
        trust_domains: trust_domains?,
        catalog,
        rule: rule?,
        mode,
        contact,
        embedded_policy,
        bundles: bundles.active,
        candidate: bundles.candidate,
        tenants,
        limits,
        audit_log,
        ready_path,
        status,
        decision_logs,
        labels,
    })
}

fn check_decision(fields: Fields<'_>) -> (Option<RulePath>, Mode, Option<String>) {
    let path = fields.field("path");
    let rule = if path.is_present() {
        path.parsed(|text| {
            RulePath::parse(text)
                .ok_or("must be the path of a rule, as `hexr/authz/allow`: package and rule, names only")
        })
    } else {
        RulePath::parse(DEFAULT_DECISION_PATH)
    };
    let mode_node = fields.field("mode");
    let mode = match mode_node.string() {
        Some("enforce") | None => Mode::Enforce,
        Some("shadow") => Mode::Shadow,
        Some(other) => {
            mode_node.problem(format!("must be `enforce` or `shadow`, but is `{other}`"));
            Mode::Enforce
        }
    };
    let contact = fields.field("contact").string().map(str::to_owned);
    fields.end();
    (rule, mode, contact)
}

fn check_limits(node: &Node<'_>) -> Limits {
    let fields = node.fields();
    let bundle_bytes = fields.field("bundle_bytes").integer(1..=(256 * MIB), 16 * MIB);
    let milliseconds = fields.field("evaluation_ms").integer(1..=10_000, 50);
    let request_body_bytes = fields.field("request_body_bytes").integer(1..=(64 * MIB), MIB);
    let body_timeout_millis = fields.field("body_timeout_ms").integer(1..=60_000, 5_000);
    fields.end();
    Limits {
        bundle_bytes: usize::try_from(bundle_bytes).unwrap_or(usize::MAX),
        evaluation: Budget { milliseconds },
        request_body_bytes: usize::try_from(request_body_bytes).unwrap_or(usize::MAX),
        body_timeout_millis,
    }
}

fn check_policy(
    node: &Node<'_>,
    rule: &RulePath,
    budget: Budget,
    audit_log: &AuditLog,
) -> Option<Rc<Policy>> {
    let fields = node.fields();
    let modules_node = fields.field("modules").required();
    let module = |(path, node): (&str, Node<'_>)| {
        Some(Module { path: path.to_owned(), text: node.string()?.to_owned(), dialect: None })
    };
    let entries = modules_node.entries();
    let places: BTreeMap<String, String> =
        entries.iter().map(|(path, node)| ((*path).to_owned(), node.path().to_owned())).collect();
    let modules: Option<Vec<Module>> = entries.into_iter().map(module).collect();
    let data_node = fields.field("data");
    let data = match data_node.raw() {
        Some(raw) => {
            Data::from_json(&raw.to_string()).map_err(|error| data_node.problem(error.to_string())).ok()
        }
        None => Some(Data::default()),
    };
    fields.end();
    match Policy::compile(&modules?, &data?, rule, budget, audit_log) {
        Ok(policy) => Some(Rc::new(policy)),
        Err(errors) => {
            for error in errors.iter() {
                let text = error.to_string();
                let at = places.iter().find(|(path, _)| text.starts_with(&format!("{path}:")));
                match at {
                    Some((_, place)) => modules_node.problem_at(place, text),
                    None => node.problem(text),
                }
            }
            None
        }
    }
}

fn check_ready_path(path: &str) -> Result<String, String> {
    match crate::request::normal_path(path) {
        Ok(normal) if normal == path && !path.contains('?') => Ok(path.to_owned()),
        Ok(_) => Err("must be a plain path, without a query and without escapes".to_owned()),
        Err(problem) => Err(problem),
    }
}

#[cfg(test)]
mod tests;
