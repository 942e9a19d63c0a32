//! `hexr-authz test`: runs the tests of policies, and decision cases, on the engine that runs in Envoy.

mod insight;
mod json;
mod junit;
mod pretty;
mod report;
mod suite;
mod watch;

use std::{num::NonZeroUsize, path::PathBuf, process::ExitCode, time::Duration};

use glob::Pattern;
use hexr_authz_core::timestamp::{Timestamp, read_duration};
use regex::Regex;

use self::{
    insight::{CoverageReport, InsightFlags},
    report::Reports,
    suite::{Selection, Suite},
};
use super::instant;
use crate::{
    output::{say, tell},
    source::Ignored,
};

/// Run the tests of policies, as `opa test` does, and decision cases.
///
/// Tests are rules whose names begin with `test_`; with `todo_test_` they are skipped. Every `.rego`, JSON and YAML file
/// below the paths is loaded. The YAML files in a folder `cases` with a `config.json` are decision cases.
///
/// Exit code 0 when everything passed, 2 when something did not or was skipped, 1 when nothing could be run.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Test {
    /// Folders or files; with `--bundle` bundles.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Report what passed too.
    #[arg(short, long)]
    verbose: bool,
    /// Run only the tests whose references match the regular expression, as `data.hexr.authz_test.test_editor`.
    #[arg(short, long, value_name = "REGEX")]
    run: Option<String>,
    /// Skipped tests are no failure.
    #[arg(short = 'z', long)]
    exit_zero_on_skipped: bool,
    /// That no test was run is a failure.
    #[arg(long)]
    fail_on_empty: bool,
    /// Take the paths for bundles, packed or folders. Their signatures are not verified, and there are no decision cases.
    #[arg(short, long)]
    bundle: bool,
    /// Names of files and folders to leave out, as `drafts,*.tmp.rego`.
    #[arg(long, value_name = "PATTERN", value_delimiter = ',', value_parser = Pattern::new)]
    ignore: Vec<Pattern>,
    /// How to report.
    #[arg(short, long, value_enum)]
    format: Option<Format>,
    #[command(flatten)]
    insight: InsightFlags,
    /// The instant that `time.now_ns()` answers with, as `2025-01-15T10:30:00Z`; without it that of each test.
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    time: Option<Timestamp>,
    /// How long one test may take, as `500ms` or `1m30s`.
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    timeout: Duration,
    /// How often to run everything, until something does not pass.
    #[arg(long, value_name = "N", default_value = "1")]
    count: NonZeroUsize,
    /// How many tests run at the same time; 0 is one for each processor.
    #[arg(short, long, value_name = "N", default_value_t = 0)]
    parallel: usize,
    /// Run again whenever a file changes, until interrupted.
    #[arg(short, long)]
    watch: bool,
}

const EXAMPLES: &str = "\
Examples:
  hexr-authz test policies                        all tests and decision cases below a folder
  hexr-authz test policies -v -r authz_test       those of one package, and what passed too
  hexr-authz test policies --watch                again with every change
  hexr-authz test policies --time 2025-01-18T10:30:00Z
                                                  as if it were that Saturday
  hexr-authz test -b bundle.tar.gz                what is in a bundle
  hexr-authz test policies --fail-on-empty --format junit > report.xml
                                                  for CI";

/// How to report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For reading.
    Pretty,
    /// For programs: an array of results.
    Json,
    /// For CI: JUnit's XML, a suite for each file.
    Junit,
}

/// The exit code when something did not pass.
const NOT_PASSED: u8 = 2;
/// The exit code when nothing could be run.
const NOTHING_RUN: u8 = 1;

fn duration(text: &str) -> Result<Duration, String> {
    read_duration(text).ok_or_else(|| format!("`{text}` is no duration, as `500ms` or `1m30s`"))
}

impl Test {
    pub(crate) fn run(self) -> ExitCode {
        ExitCode::from(if self.watch { watch::run(&self) } else { self.run_once() })
    }

    /// Loads, runs and reports everything; the exit code.
    fn run_once(&self) -> u8 {
        let loaded = self.selection().and_then(|selection| Ok((selection, self.suite()?)));
        match loaded {
            Ok((selection, suite)) => {
                let exit_code = |_| {
                    let (reports, coverage) = suite.run(&selection);
                    match coverage.filter(|_| reports.have_passed(true)) {
                        Some(coverage) => self.report_coverage(&coverage),
                        None => self.print(&reports),
                    }
                };
                (0..self.count.get()).map(exit_code).find(|code| *code != 0).unwrap_or(0)
            }
            Err(problem) => {
                tell(problem);
                NOTHING_RUN
            }
        }
    }

    /// Prints what became of the tests; the exit code that stands for it.
    fn print(&self, reports: &Reports) -> u8 {
        if let Err(problem) = self.text(reports).and_then(say) {
            tell(problem);
            return NOTHING_RUN;
        }
        if self.fail_on_empty && reports.are_empty() {
            tell("no tests were run");
            return NOTHING_RUN;
        }
        if reports.have_passed(self.exit_zero_on_skipped) { 0 } else { NOT_PASSED }
    }

    fn report_coverage(&self, coverage: &CoverageReport) -> u8 {
        if let Some(shortfall) = coverage.shortfall(self.insight.threshold.unwrap_or(0.0), self.verbose) {
            tell(shortfall);
            return NOT_PASSED;
        }
        let is_pretty = self.format == Some(Format::Pretty);
        match say(if is_pretty { coverage.pretty() } else { coverage.json() }) {
            Ok(()) => 0,
            Err(problem) => {
                tell(problem);
                NOTHING_RUN
            }
        }
    }

    fn text(&self, reports: &Reports) -> Result<String, String> {
        match self.format.unwrap_or(Format::Pretty) {
            Format::Pretty => Ok(pretty::text(reports, self.verbose)),
            Format::Json => Ok(json::text(reports)),
            Format::Junit => junit::text(reports),
        }
    }

    fn suite(&self) -> Result<Suite, String> {
        let is_looked_into = self.insight.covers() || self.insight.var_values;
        Suite::load(&self.paths, &self.ignored(), self.bundle, is_looked_into)
    }

    fn selection(&self) -> Result<Selection, String> {
        let only = self.run.as_deref().map(Regex::new).transpose().map_err(|error| error.to_string())?;
        let Self { time, timeout, parallel, .. } = *self;
        let InsightFlags { var_values, .. } = self.insight;
        Ok(Selection { only, time, timeout, parallel, covers: self.insight.covers(), var_values })
    }

    fn ignored(&self) -> Ignored {
        Ignored::new(self.ignore.clone())
    }
}
