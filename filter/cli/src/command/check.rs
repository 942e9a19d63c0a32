//! `hexr-authz check`: what the filter would say of policies or of a configuration.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use glob::Pattern;
use hexr_authz_core::{
    audit_log::AuditLog,
    bundle::Subject,
    config::{BundleSource, Config, UNKNOWN_VALUE},
    policy::RulePath,
};

use super::{BUDGET, DEFAULT_DECISION, exit, rule_path};
use crate::source::{Ignored, Source};

/// Check policies, and with `--config` a filter configuration, with the filter's own code.
///
/// Exit code 0 when there is nothing to say, 1 with findings, 2 for a wrong command line.
#[derive(clap::Args)]
pub(crate) struct Check {
    /// Folders or files with policies; each is checked as a bundle of its own.
    #[arg(required_unless_present = "config")]
    paths: Vec<PathBuf>,
    /// Names of files and folders to leave out, as `*_test.rego`.
    #[arg(long, value_name = "PATTERN", value_parser = Pattern::new)]
    ignore: Vec<Pattern>,
    /// A filter configuration in JSON. How far policies may look back is as it says, or as the filter's defaults do.
    #[arg(long)]
    config: Option<PathBuf>,
    /// The rule that decides.
    #[arg(long, default_value = DEFAULT_DECISION, value_parser = rule_path)]
    decision: RulePath,
}

/// An update that takes longer is one that operators do not expect.
const SLOW_UPDATE_MILLIS: u64 = 30_000;

impl Check {
    pub(crate) fn run(self) -> ExitCode {
        let mut findings = Vec::new();
        let ignored = Ignored::new(self.ignore);
        let mut audit_log = AuditLog::default();
        if let Some(path) = &self.config {
            match check_config(path) {
                Ok(of_config) => audit_log = of_config,
                Err(problems) => {
                    findings.extend(problems.lines().map(|line| format!("{}: {line}", path.display())))
                }
            }
        }
        let subject = Subject::Platform(self.decision);
        for path in &self.paths {
            match Source::new(path, ignored.clone()).pack(None, &subject, BUDGET, &audit_log) {
                Ok(packed) => packed.slow_parts.iter().for_each(|part| {
                    eprintln!("{}:{}: slow: {}", part.module, part.line, part.message);
                }),
                Err(finding) => findings.push(finding),
            }
        }
        exit(if findings.is_empty() { Ok(()) } else { Err(findings.join("\n")) })
    }
}

/// What policies are checked by: how far the audit log of this configuration reaches.
fn check_config(path: &Path) -> Result<AuditLog, String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    // The values of the environment are the VM's; here only the names can be looked at.
    let config = Config::read(&text, &|_name| Some(UNKNOWN_VALUE.to_owned()))
        .map_err(|problems| problems.to_string())?;
    for bundle in &config.bundles {
        for warning in warnings(bundle) {
            eprintln!("{}: warning: {warning}", path.display());
        }
    }
    Ok(config.audit_log)
}

/// What works, and should be otherwise.
fn warnings(bundle: &BundleSource) -> Vec<String> {
    let mut warnings = Vec::new();
    if bundle.resource.polling.max_delay_millis > SLOW_UPDATE_MILLIS {
        warnings.push(format!(
            "with `max_delay_seconds` {} an update of bundle `{}` can take over 30 seconds",
            bundle.resource.polling.max_delay_millis / 1000,
            bundle.name
        ));
    }
    for key in bundle.signing.iter().flat_map(|signing| signing.keys()) {
        if let Some(missing) = key.missing_bytes() {
            warnings.push(format!(
                "the secret of key `{}` is {missing} bytes shorter than its algorithm's digest, and easier to guess",
                key.id()
            ));
        }
    }
    warnings
}
