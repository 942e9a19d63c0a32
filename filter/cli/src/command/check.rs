//! `hexr-authz check`: what the filter would say of policies or of a configuration, and what bites where it says nothing.

mod config;
mod json_place;
mod report;

use std::{
    io::{self, Read as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use glob::Pattern;
use hexr_authz_core::{
    audit_log::AuditLog,
    bundle::{Bundle, SourceFile, Subject},
    catalog::{Catalog, OnUnknown},
    lint::{Code, Finding, Purpose, findings},
    policy::RulePath,
    tenant::TenantKey,
};

use self::report::{Format, Report};
use super::{BUDGET, DEFAULT_DECISION, exit, rule_path};
use crate::source::{Ignored, Packed, Source, rooted};

/// Check policies, and with `--config` a filter configuration, with the filter's own code.
///
/// Errors are what the filter would refuse; warnings what loads, and most likely means something else than was meant. All
/// of them are printed at once, on stdout. `# hexr-authz:ignore CODE` above a line silences a warning there;
/// docs/lints.md has an example of every code.
///
/// Exit code 0 when there is nothing to mend, 1 with errors (and with warnings under `--strict`), 2 for a wrong command
/// line.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Check {
    /// Folders or files with policies; each is checked as a bundle of its own. `-` is a policy on stdin.
    #[arg(required_unless_present = "config")]
    paths: Vec<PathBuf>,
    /// Names of files and folders to leave out, as `*_test.rego`.
    #[arg(long, value_name = "PATTERN", value_parser = Pattern::new)]
    ignore: Vec<Pattern>,
    /// A filter configuration in JSON. Policies are checked for what it says: how far they may look back, which services
    /// there are besides the clouds', which rule decides.
    #[arg(long)]
    config: Option<PathBuf>,
    /// The rule that decides [default: the configuration's, or hexr/authz/allow].
    #[arg(long, value_parser = rule_path)]
    decision: Option<RulePath>,
    /// Check the policies as the bundle of this tenant.
    #[arg(long, value_name = "NAME", value_parser = tenant_name, conflicts_with = "decision")]
    tenant: Option<String>,
    /// Warnings fail too.
    #[arg(long)]
    strict: bool,
    /// How to print what is found: with the lines it is on, as one JSON document, or as annotations of GitHub Actions.
    #[arg(long, value_enum, default_value_t = Format::Pretty)]
    format: Format,
}

const EXAMPLES: &str = "\
Examples:
  hexr-authz check policies                             a folder, as the bundle that `build` makes of it
  hexr-authz check policies --config filter.json        with the services and the audit log of a configuration
  hexr-authz check --config filter.json                 the configuration alone
  hexr-authz check --tenant acme-corp tenants/acme      a tenant's own policy
  hexr-authz check --strict --format github policies    in a workflow of GitHub Actions
  kubectl get configmap opa-policy -n hexr-system -o jsonpath='{.data.authz\\.rego}' | hexr-authz check -";

/// The path that stands for stdin, what it is called in findings, and in the bundle.
const STDIN: &str = "-";
const STDIN_SHOWN: &str = "<stdin>";
const STDIN_MODULE: &str = "stdin.rego";

/// What all policies of one command line are checked by.
struct Circumstances {
    subject: Subject,
    audit_log: AuditLog,
    catalog: Catalog,
    has_own_services: bool,
}

// === impl Check ===

impl Check {
    pub(crate) fn run(self) -> ExitCode {
        let mut report = Report::default();
        let config = self.config.as_deref().and_then(|path| config::check(path, &mut report));
        let has_own_services = config.is_some();
        let (rule, audit_log, catalog) = match config {
            Some(config) => (Some(config.rule), config.audit_log, config.catalog),
            None => (None, AuditLog::default(), Catalog::new(Vec::new(), OnUnknown::default())),
        };
        let rule = self.decision.or(rule).or_else(|| RulePath::parse(DEFAULT_DECISION));
        let subject = match (self.tenant, rule) {
            (Some(tenant), _) => Subject::Tenant(tenant),
            (None, Some(rule)) => Subject::Platform(rule),
            // The default is the path of a rule.
            (None, None) => return ExitCode::FAILURE,
        };
        let circumstances = Circumstances { subject, audit_log, catalog, has_own_services };
        let ignored = Ignored::new(self.ignore);
        for path in &self.paths {
            circumstances.check(path, &ignored, &mut report);
        }
        match report.print(self.format) {
            Ok(()) if report.fails(self.strict) => ExitCode::FAILURE,
            printed => exit(printed),
        }
    }
}

/// The name of a tenant, as an identity has it.
fn tenant_name(text: &str) -> Result<String, String> {
    match TenantKey::parse(&format!("domain/{text}")) {
        Some(key) => Ok(key.tenant().to_owned()),
        None => Err("a tenant's name has letters, digits, `-`, `.` and `_`".to_owned()),
    }
}

// === impl Circumstances ===

impl Circumstances {
    /// Checks what is at a path.
    fn check(&self, path: &Path, ignored: &Ignored, report: &mut Report) {
        let files =
            if path.as_os_str() == STDIN { from_stdin() } else { Source::new(path, ignored.clone()).files() };
        let files = match files {
            Ok(files) => rooted(files, &self.subject),
            Err(problems) => {
                return problems.lines().for_each(|line| report.add(Finding::new(Code::BundleError, line)));
            }
        };
        let texts = files.iter().filter_map(|file| {
            let text = String::from_utf8(file.content.clone()).ok()?;
            Some((shown(path, &file.path), text))
        });
        report.know(texts);
        let (bundle, problems) = Bundle::of_sources(&files);
        let mut found: Vec<Finding> = problems.iter().map(|problem| of_file(problem, &files)).collect();
        let purpose = Purpose {
            subject: &self.subject,
            audit_log: &self.audit_log,
            catalog: &self.catalog,
            has_own_services: self.has_own_services,
        };
        found.extend(findings(&bundle, purpose));
        if !found.iter().any(report::is_error) {
            // What the parts do not tell: whether they make a bundle, and the filter takes it.
            let packed = Packed::of(&files, None, None, &self.subject, BUDGET, &self.audit_log);
            let problems = packed.err().unwrap_or_default();
            found.extend(problems.lines().map(|problem| of_file(problem, &files)));
        }
        for finding in found {
            let file = finding.file.as_deref().map(|file| shown(path, file));
            report.add(Finding { file, ..finding });
        }
    }
}

fn from_stdin() -> Result<Vec<SourceFile>, String> {
    let mut content = Vec::new();
    io::stdin().lock().read_to_end(&mut content).map_err(|error| format!("{STDIN_SHOWN}: {error}"))?;
    Ok(vec![SourceFile { path: STDIN_MODULE.to_owned(), content }])
}

/// A file of the source at `path`, as the command line would name it.
fn shown(path: &Path, file: &str) -> String {
    if path.as_os_str() == STDIN {
        return STDIN_SHOWN.to_owned();
    }
    let base = if path.is_dir() { path } else { path.parent().unwrap_or(path) };
    let full = base.join(file);
    full.strip_prefix(".").unwrap_or(&full).display().to_string()
}

/// A problem of a bundle, `FILE: MESSAGE` where it is one of a file.
fn of_file(problem: &str, files: &[SourceFile]) -> Finding {
    let named = problem.split_once(": ").filter(|(name, _)| files.iter().any(|file| file.path == *name));
    match named {
        Some((file, message)) => {
            let (message, span) = json_place::taken_out(message);
            let finding = Finding::new(Code::BundleError, message).in_file(file);
            Finding { span, ..finding }
        }
        None => Finding::new(Code::BundleError, problem),
    }
}
