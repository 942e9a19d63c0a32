//! `hexr-authz logs`: the decisions that a bundle server was told of.

use std::{
    collections::HashSet,
    fmt::Write as _,
    io::{BufRead as _, BufReader},
    process::ExitCode,
    thread,
    time::Duration,
};

use serde_json::Value;

use super::exit;
use crate::{output::say, remote::RemoteFlags};

const EXAMPLES: &str = "\
Examples:
  hexr-authz logs --denied --since 10m
  hexr-authz logs --agent content-crew --service gcp_bigquery --follow
  hexr-authz logs --decision-id 1b4e28ba-2fa1-41d2-883f-0016d3cca427 --format json
  hexr-authz logs --from https://bundles.corp.example:8443 --token-file token --limit 20";

/// Show decisions that Envoys have told `hexr-authz serve` of, oldest first.
///
/// Exit code 0, also where there are none, 1 when the server cannot be asked.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Logs {
    /// The server.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8181")]
    from: String,
    /// Only those of this agent, by its name or its whole SPIFFE ID.
    #[arg(long)]
    agent: Option<String>,
    /// Only those of this tenant.
    #[arg(long)]
    tenant: Option<String>,
    /// Only those of this role.
    #[arg(long)]
    role: Option<String>,
    /// Only those for this service, as `gcp_bigquery`.
    #[arg(long)]
    service: Option<String>,
    /// Only those for this action, as `query`.
    #[arg(long)]
    action: Option<String>,
    /// Only those refused for this reason, as `policy_denied`.
    #[arg(long)]
    reason: Option<String>,
    /// Only the one with this id.
    #[arg(long, value_name = "ID")]
    decision_id: Option<String>,
    /// Only refusals.
    #[arg(long)]
    denied: bool,
    /// Only those since an instant, as `2026-01-15T10:30:00Z`, or for so long, as `10m`.
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Only the newest so many.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    limit: usize,
    /// Go on with those that come, until interrupted.
    #[arg(short, long)]
    follow: bool,
    /// How to show them.
    #[arg(long, value_enum, default_value_t = Format::Pretty)]
    format: Format,
    #[command(flatten)]
    remote: RemoteFlags,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A line for each.
    Pretty,
    /// The events, a line each.
    Json,
}

/// How often a server is asked for what is new.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// How far back it is asked again: what has come later may have been decided earlier, by so much.
const LOOK_BACK: &str = "10m";

impl Logs {
    pub(crate) fn run(self) -> ExitCode {
        exit(self.show())
    }

    fn show(&self) -> Result<(), String> {
        let remote = self.remote.remote()?;
        let mut shown = HashSet::new();
        let mut since = self.since.as_deref();
        // What comes later is shown, however much it is.
        let mut limit = Some(self.limit);
        loop {
            let events = BufReader::new(remote.get(&self.url(since, limit))?);
            let mut seen = HashSet::new();
            for line in events.lines() {
                let line = line.map_err(|error| format!("{}: {error}", self.from))?;
                let event: Value =
                    serde_json::from_str(&line).map_err(|error| format!("{}: {error}", self.from))?;
                let id = text(&event, "/decision_id").to_owned();
                if !shown.contains(&id) {
                    say(match self.format {
                        Format::Pretty => pretty(&event),
                        Format::Json => line + "\n",
                    })?;
                }
                seen.insert(id);
            }
            if !self.follow {
                return Ok(());
            }
            (shown, since, limit) = (seen, Some(LOOK_BACK), None);
            thread::sleep(ASK_EVERY);
        }
    }

    fn url(&self, since: Option<&str>, limit: Option<usize>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in [
            ("agent", &self.agent),
            ("tenant", &self.tenant),
            ("role", &self.role),
            ("service", &self.service),
            ("action", &self.action),
            ("reason", &self.reason),
            ("decision_id", &self.decision_id),
        ] {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        if self.denied {
            query.append_pair("denied", "true");
        }
        if let Some(since) = since {
            query.append_pair("since", since);
        }
        if let Some(limit) = limit {
            query.append_pair("limit", &limit.to_string());
        }
        format!("{}/logs?{}", self.from.trim_end_matches('/'), query.finish())
    }
}

/// A line for reading. What an agent can influence is escaped: a terminal obeys control characters.
fn pretty(event: &Value) -> String {
    let shown = |pointer: &str| match text(event, pointer) {
        "" => "-".to_owned(),
        text => text.escape_debug().to_string(),
    };
    let is_allowed = event.get("result") == Some(&Value::Bool(true));
    let decision = match (is_allowed, event.get("enforced")) {
        (true, _) => "allow",
        (false, Some(Value::Bool(false))) => "would deny",
        (false, _) => "deny",
    };
    let mut line = format!(
        "{} {decision} {}/{}/{} {} {}",
        shown("/timestamp"),
        shown("/input/tenant"),
        shown("/input/agent"),
        shown("/input/role"),
        shown("/input/service"),
        shown("/input/action"),
    );
    for pointer in ["/reason", "/policy_reason"] {
        if !text(event, pointer).is_empty() {
            // Writing to a text cannot fail.
            let _ = write!(line, " {}", shown(pointer));
        }
    }
    let _ = writeln!(line, " {}", shown("/decision_id"));
    line
}

fn text<'v>(event: &'v Value, pointer: &str) -> &'v str {
    event.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
