//! `hexr-authz replay`: what another policy would have decided of the requests of a decision log.

mod objects;
mod order;
mod progress;
mod report;

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    path::PathBuf,
    process::ExitCode,
};

use clap::ValueEnum;
use glob::Pattern;
use hexr_authz_core::{
    audit_log::AuditLog,
    bundle::Subject,
    config::{Config, UNKNOWN_VALUE},
    policy::{Budget, RulePath},
    replay::{Replay, instant_of},
};

use self::{
    objects::Objects,
    order::{Ordered, Unordered},
    progress::Progress,
    report::Report,
};
use super::{BUDGET, DEFAULT_DECISION, rule_path};
use crate::{
    output::{say, tell},
    remote::RemoteFlags,
    source::{Ignored, Source},
};

const EXAMPLES: &str = "\
Examples:
  hexr-authz replay decisions.json.gz --data policies --ignore '*_test.rego'
  hexr-authz replay monday.jsonl tuesday.jsonl --bundle bundle.tar.gz --config filter.json
  hexr-authz replay http://127.0.0.1:8181/logs --data policies
  kubectl logs deploy/opa | hexr-authz replay - --data policies --format json
  hexr-authz replay decisions.json --data policies --tenant acme-corp=tenants/acme-corp";

/// Show which decisions of the past another policy would change: the check before a rollout.
///
/// A log is in OPA's format of decision events: an array, or one event after the other, packed by gzip or not. Each is
/// decided at its own instant, with the calls that were allowed before it as `data.audit_log`. Exit code 0 when every
/// decision that can be made again stays as it was, 2 when one changes, 1 when nothing could be decided.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Rehearsal {
    /// Files of decision events; `-` reads them from standard input, and a URL from a server that was told of them, as
    /// `http://127.0.0.1:8181/logs`.
    #[arg(required = true, value_name = "LOG")]
    logs: Vec<PathBuf>,
    /// The candidate: a folder with policies and data, or a file.
    #[arg(short, long, value_name = "PATH", required_unless_present = "bundle")]
    data: Option<PathBuf>,
    /// The candidate: a bundle, packed or not.
    #[arg(short, long, value_name = "PATH", conflicts_with = "data")]
    bundle: Option<PathBuf>,
    /// A tenant's own policy, asked after the candidate has allowed. Without it a tenant's earlier refusal stays.
    #[arg(long = "tenant", value_name = "NAME=PATH", value_parser = tenant)]
    tenants: Vec<(String, PathBuf)>,
    /// Names of files and folders to leave out, as `*_test.rego`.
    #[arg(long, value_name = "PATTERN", value_parser = Pattern::new)]
    ignore: Vec<Pattern>,
    /// A filter configuration in JSON: how far the audit log reaches, the rule that decides, the budget.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The rule that decides, unless the configuration names it [default: hexr/authz/allow].
    #[arg(long, value_name = "PATH", value_parser = rule_path, conflicts_with = "config")]
    decision: Option<RulePath>,
    /// How to say it.
    #[arg(long, default_value = "pretty")]
    format: Format,
    #[command(flatten)]
    remote: RemoteFlags,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Pretty,
    Json,
}

/// By what the filter would decide, besides the policy.
struct Terms {
    rule: RulePath,
    audit_log: AuditLog,
    budget: Budget,
}

/// What a log has that is no decision to make again.
#[derive(Default)]
struct Aside {
    /// Other objects, as the lines of an OPA's own log.
    other: u64,
    /// Decisions that were sent twice.
    repeated: u64,
}

/// A decision would change.
const CHANGED: u8 = 2;

fn tenant(text: &str) -> Result<(String, PathBuf), String> {
    let (name, path) = text.split_once('=').ok_or("must be NAME=PATH, as `acme-corp=tenants/acme-corp`")?;
    Ok((name.to_owned(), PathBuf::from(path)))
}

fn is_url(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://")
}

impl Rehearsal {
    pub(crate) fn run(self) -> ExitCode {
        match self.rehearse() {
            Ok(false) => ExitCode::SUCCESS,
            Ok(true) => ExitCode::from(CHANGED),
            Err(problem) => {
                tell(problem);
                ExitCode::FAILURE
            }
        }
    }

    /// Whether a decision would change.
    fn rehearse(self) -> Result<bool, String> {
        let terms = self.terms()?;
        let mut replay = self.replay(terms)?;
        let mut progress = Progress::new();
        let mut aside = Aside::default();
        let mut log = self.read(&mut aside, &mut progress)?;
        let mut report = Report::default();
        let mut of_instant = (i64::MIN, HashSet::new());
        let said = |error: std::io::Error| format!("temporary files: {error}");
        while let Some((instant, text)) = log.next().map_err(said)? {
            if of_instant.0 != instant {
                of_instant = (instant, HashSet::new());
            }
            // What was sent again, because nobody had said that it arrived, is the same to the letter.
            if of_instant.1.contains(&text) {
                aside.repeated += 1;
                continue;
            }
            progress.step("decided");
            report.add(replay.next(&text));
            of_instant.1.insert(text);
        }
        progress.end();
        if report.decided() == 0 {
            return Err(report.nothing(&aside));
        }
        say(match self.format {
            Format::Pretty => report.pretty(&aside),
            Format::Json => report.json(&aside),
        })?;
        Ok(report.changed() > 0)
    }

    fn terms(&self) -> Result<Terms, String> {
        let Some(path) = &self.config else {
            let rule = self.decision.clone().map_or_else(|| rule_path(DEFAULT_DECISION), Ok)?;
            return Ok(Terms { rule, audit_log: AuditLog::default(), budget: BUDGET });
        };
        let said = |problem: String| format!("{}: {problem}", path.display());
        let text = fs::read_to_string(path).map_err(|error| said(error.to_string()))?;
        // The values of the environment are the VM's; no decision depends on them.
        let config = Config::read(&text, &|_name| Some(UNKNOWN_VALUE.to_owned()));
        let config = config.map_err(|problems| said(problems.to_string()))?;
        Ok(Terms { rule: config.rule, audit_log: config.audit_log, budget: config.limits.evaluation })
    }

    fn replay(&self, terms: Terms) -> Result<Replay, String> {
        let ignored = Ignored::new(self.ignore.clone());
        let source = match (&self.data, &self.bundle) {
            (_, Some(path)) => Source::new(path, ignored.clone()).into_bundle(None),
            (Some(path), None) => Source::new(path, ignored.clone()),
            (None, None) => return Err("`--data` or `--bundle` names the candidate".to_owned()),
        };
        let Terms { rule, audit_log, budget } = terms;
        let platform = source.policy(&Subject::Platform(rule.clone()), budget, &audit_log)?;
        let mut tenants = BTreeMap::new();
        for (name, path) in &self.tenants {
            let source = Source::new(path, ignored.clone());
            let policy = source.policy(&Subject::Tenant(name.clone()), budget, &audit_log)?;
            if tenants.insert(name.clone(), policy).is_some() {
                return Err(format!("there are two policies of tenant `{name}`"));
            }
        }
        Ok(Replay::new(platform, tenants, rule, audit_log))
    }

    fn read(&self, aside: &mut Aside, progress: &mut Progress) -> Result<Ordered, String> {
        let mut log = Unordered::default();
        for path in &self.logs {
            let said = |problem: String| format!("{}: {problem}", path.display());
            let mut objects = match path.to_str().filter(|text| is_url(text)) {
                Some(url) => Objects::read(self.remote.remote()?.get(url)?).map_err(said)?,
                None => Objects::open(path).map_err(said)?,
            };
            while let Some(text) = objects.next().map_err(said)? {
                progress.step("read");
                match instant_of(&text).map_err(said)? {
                    Some(instant) => log.push(instant, text).map_err(|error| said(error.to_string()))?,
                    None => aside.other += 1,
                }
            }
        }
        log.ordered().map_err(|error| format!("temporary files: {error}"))
    }
}
