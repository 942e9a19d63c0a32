//! `hexr-authz build`: makes a bundle of a folder.

use std::{fs, path::PathBuf, process::ExitCode};

use glob::Pattern;
use hexr_authz_core::policy::RulePath;

use super::{ANY_AUDIT_LOG, BUDGET, DEFAULT_DECISION, exit, rule_path};
use crate::source::{Ignored, Source};

/// Make an OPA bundle of the policies and data in a folder.
///
/// The same files give the same bytes. What does not compile is not built.
#[derive(clap::Args)]
pub(crate) struct Build {
    /// The folder, or a single file.
    path: PathBuf,
    /// Where the bundle goes.
    #[arg(short, long, default_value = "bundle.tar.gz")]
    output: PathBuf,
    /// The revision; without it one is made of the content.
    #[arg(short, long)]
    revision: Option<String>,
    /// Names of files and folders to leave out, as `*_test.rego`.
    #[arg(long, value_name = "PATTERN", value_parser = Pattern::new)]
    ignore: Vec<Pattern>,
    /// The rule that decides.
    #[arg(long, default_value = DEFAULT_DECISION, value_parser = rule_path)]
    decision: RulePath,
}

impl Build {
    pub(crate) fn run(self) -> ExitCode {
        exit(self.build())
    }

    fn build(self) -> Result<(), String> {
        let packed = Source::new(&self.path, Ignored::new(self.ignore)).pack(
            self.revision.as_deref(),
            &self.decision,
            BUDGET,
            &ANY_AUDIT_LOG,
        )?;
        fs::write(&self.output, packed.bytes).map_err(|error| format!("{}: {error}", self.output.display()))
    }
}
