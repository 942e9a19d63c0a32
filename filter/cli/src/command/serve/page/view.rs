//! What the page shows.

use std::time::{Duration, Instant};

use askama::{Template, filters::HtmlSafe};
use hexr_authz_core::timestamp::Timestamp;
use serde_json::Value;

use super::{
    charts::{self, Svg},
    text::{grouped, shown, shown_lines},
};
use crate::{
    command::serve::{
        bundles::BundleState,
        http::Served,
        sink::Statuses,
        tally::{Counts, Decided, Facet, Outcome, Series, first_minute},
    },
    source::now,
};

/// The part of the page that changes.
#[derive(Template)]
#[template(path = "overview.html")]
pub(super) struct Overview {
    hour: Row,
    agents: Vec<Row>,
    services: Vec<Row>,
    reasons: Vec<Row>,
    envoys: Vec<Envoy>,
    /// How many are not shown.
    further_envoys: usize,
    bundles: Vec<Bundle>,
    tenants: Option<usize>,
    decisions: Vec<Decision>,
}

/// The decisions of an hour, all or those with a name.
struct Row {
    /// None for all others together.
    name: Option<String>,
    allow: String,
    would_deny: String,
    deny: String,
    chart: Svg,
}

/// What is active in an Envoy.
struct Envoy {
    id: String,
    labels: String,
    heard: String,
    is_silent: bool,
    bundles: Vec<Bundle>,
}

/// A bundle, here or in an Envoy.
struct Bundle {
    name: String,
    revision: Option<String>,
    since: Option<String>,
    problem: Option<String>,
}

struct Decision {
    at: String,
    outcome: Outcome,
    agent: String,
    role: String,
    service: String,
    action: String,
    reason: String,
    policy_reason: String,
    id: String,
    /// The query by which its input is found.
    query: String,
}

/// So many agents, services and reasons have a line of their own.
const MOST_NAMES: usize = 10;
const MOST_ENVOYS: usize = 100;
/// So many bundles of each, and tenants with problems.
const MOST_BUNDLES: usize = 20;
/// So many characters of a name, of a sentence, and of what is wrong.
const NAME: usize = 80;
const SENTENCE: usize = 240;
const PROBLEM: usize = 2_000;
/// An Envoy that has a server for its status tells it every minute.
const SILENT_AFTER: Duration = Duration::from_secs(3 * 60);
/// Each start of an Envoy has an id of its own; those of the past are forgotten.
const GONE_AFTER: Duration = Duration::from_secs(60 * 60);

impl HtmlSafe for Overview {}

/// The changing part of the page, in HTML.
///
/// # Errors
/// When it cannot be written.
pub(super) fn overview(served: &Served) -> Result<String, askama::Error> {
    Overview::of(served).render()
}

// === impl Overview ===

impl Overview {
    pub(super) fn of(served: &Served) -> Self {
        let now = now();
        let (hour, [agents, services, reasons], decisions) = served.sink.counted(|tally| {
            let facets = [Facet::Agent, Facet::Service, Facet::Reason];
            let by = facets.map(|facet| tally.by(facet, MOST_NAMES, now));
            (tally.all(now), by, tally.newest().map(Decision::of).collect())
        });
        let rows = |all: Vec<Series>| all.into_iter().map(Row::of).collect();
        let (envoys, further_envoys) = served.sink.statuses(|statuses| envoys(statuses, Instant::now()));
        let tenants = served.tenants.as_ref().map(|tenants| tenants.all());
        let mut bundles: Vec<Bundle> = served.bundles.iter().map(Bundle::served).collect();
        let of_tenants = tenants.iter().flatten().map(|(_, bundle)| Bundle::served(bundle));
        bundles.extend(of_tenants.filter(|bundle| bundle.problem.is_some()).take(MOST_BUNDLES));
        Self {
            hour: Row::new(None, hour.total, charts::large(&hour.minutes, first_minute(now))),
            agents: rows(agents),
            services: rows(services),
            reasons: rows(reasons),
            envoys,
            further_envoys,
            bundles,
            tenants: tenants.map(|tenants| tenants.len()),
            decisions,
        }
    }
}

/// Those heard of in the last hour, and how many more there are.
fn envoys(statuses: &Statuses, now: Instant) -> (Vec<Envoy>, usize) {
    let mut heard: Vec<_> = statuses
        .iter()
        .map(|(id, (came, status))| (id, now.saturating_duration_since(*came), status))
        .collect();
    heard.sort_by_key(|(_, ago, _)| *ago);
    heard.truncate(heard.partition_point(|(_, ago, _)| *ago < GONE_AFTER).min(MOST_ENVOYS));
    // In an order that stays.
    heard.sort_by_key(|(id, ago, _)| (*ago >= SILENT_AFTER, *id));
    let further = statuses.len().saturating_sub(heard.len());
    (heard.into_iter().map(|(id, ago, status)| Envoy::of(id, ago, status)).collect(), further)
}

// === impl Row ===

impl Row {
    fn of(series: Series) -> Self {
        let name = series.name.map(|name| shown(&name, NAME));
        Self::new(name, series.total, charts::small(&series.minutes))
    }

    fn new(name: Option<String>, counts: Counts, chart: Svg) -> Self {
        let [allow, would_deny, deny] = [counts.allow, counts.would_deny, counts.deny].map(grouped);
        Self { name, allow, would_deny, deny, chart }
    }
}

// === impl Envoy ===

impl Envoy {
    fn of(id: &str, ago: Duration, status: &Value) -> Self {
        let labels = status.get("labels").and_then(Value::as_object).into_iter().flatten();
        let labels = labels.filter(|(name, _)| *name != "id").take(MOST_BUNDLES);
        let labels: Vec<String> = labels.map(|(name, value)| format!("{name} {}", plain(value))).collect();
        let bundles = status.get("bundles").and_then(Value::as_object).into_iter().flatten();
        Self {
            id: shown(id, NAME),
            labels: shown(&labels.join(", "), SENTENCE),
            heard: match ago.as_secs() / 60 {
                0 => "just now".to_owned(),
                minutes => format!("{minutes} min ago"),
            },
            is_silent: ago >= SILENT_AFTER,
            bundles: bundles.take(MOST_BUNDLES).map(|(name, bundle)| Bundle::told(name, bundle)).collect(),
        }
    }
}

// === impl Bundle ===

impl Bundle {
    /// As an Envoy tells of it.
    fn told(name: &str, bundle: &Value) -> Self {
        let text = |field: &str| bundle.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
        // One that has not been is told as the year 1, which is none.
        let since = text("last_successful_activation").and_then(Timestamp::from_rfc3339);
        // A code without words is a problem too.
        let errors = bundle.get("errors").and_then(Value::as_array).into_iter().flatten();
        let errors = errors.take(MOST_BUNDLES).filter_map(|error| {
            let message = error.get("message").unwrap_or(error);
            Some(plain(message)).filter(|message| !message.is_empty())
        });
        let message = ["message", "code"].iter().find_map(|field| bundle.get(*field));
        let mut lines: Vec<String> =
            message.map(plain).into_iter().filter(|message| !message.is_empty()).collect();
        for error in errors {
            if !lines.iter().any(|line| line.contains(&error)) {
                lines.push(error);
            }
        }
        Self {
            name: shown(name, NAME),
            revision: text("active_revision").map(|revision| shown(revision, NAME)),
            since: since.map(Timestamp::to_rfc3339),
            problem: (!lines.is_empty()).then(|| shown_lines(&lines.join("\n"), PROBLEM)),
        }
    }

    /// As it is served here.
    fn served(bundle: &BundleState) -> Self {
        let status = bundle.status();
        Self {
            name: bundle.name().to_owned(),
            revision: status.revision.map(|revision| shown(&revision, NAME)),
            since: None,
            problem: status.problem.or(status.not_kept).map(|problem| shown_lines(&problem, PROBLEM)),
        }
    }
}

/// A value as it is read, without what makes it large.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.chars().take(PROBLEM).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(_) | Value::Object(_) => "…".to_owned(),
    }
}

// === impl Decision ===

impl Decision {
    fn of(decided: &Decided) -> Self {
        let nanos = decided.instant.unix_nanos().to_string();
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("at", &nanos).append_pair("decision", &decided.id);
        let agent = match [&decided.tenant, &decided.agent].map(String::as_str) {
            ["", ""] => decided.spiffe_id.clone(),
            both => both.join("/"),
        };
        Self {
            at: decided.instant.to_rfc3339(),
            outcome: decided.outcome,
            agent: shown(&agent, NAME),
            role: shown(&decided.role, NAME),
            service: shown(&decided.service, NAME),
            action: shown(&decided.action, NAME),
            reason: shown(&decided.reason, NAME),
            policy_reason: shown(&decided.policy_reason, SENTENCE),
            id: shown(&decided.id, NAME),
            query: query.finish(),
        }
    }
}

// === impl Outcome ===

impl Outcome {
    /// Its name in `page.css`.
    fn class(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::WouldDeny => "would-deny",
            Self::Deny => "deny",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::WouldDeny => "would deny",
            Self::Deny => "deny",
        }
    }
}
