//! `hexr-authz test`: runs the tests of policies, and decision cases, on the engine that runs in Envoy.

mod report;

use std::{
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant, SystemTime},
};

use hexr_authz_core::{
    cases::{Case, CaseFile, Judge},
    policy::{Library, Moment, TestRule, TestRun, TestVerdict},
    timestamp::Timestamp,
};
use regex::Regex;

use self::report::{Format, Report, Reports};
use crate::loaded::Loaded;

/// Run the tests of policies, as `opa test` does, and decision cases.
///
/// Tests are rules whose names begin with `test_`; with `todo_test_` they are skipped. Every `.rego`, JSON and YAML file
/// below the paths is loaded. The YAML files in a folder `cases` with a `config.json` are decision cases.
///
/// Exit code 0 when everything passed, 2 when something did not or was skipped, 1 when nothing could be run.
#[derive(clap::Args)]
pub(crate) struct Test {
    /// Folders or files.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Report what passed too.
    #[arg(short, long)]
    verbose: bool,
    /// Run only the tests whose names match the regular expression.
    #[arg(short, long, value_name = "REGEX")]
    run: Option<String>,
    /// Skipped tests are no failure.
    #[arg(short = 'z', long)]
    exit_zero_on_skipped: bool,
    /// How to report.
    #[arg(short, long, value_enum, default_value_t = Format::Pretty)]
    format: Format,
}

/// How long one test may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The exit code when something did not pass.
const NOT_PASSED: u8 = 2;

impl Test {
    pub(crate) fn run(self) -> ExitCode {
        match self.reports() {
            Ok(reports) => {
                print!("{}", reports.text(self.format, self.verbose));
                if reports.have_passed(self.exit_zero_on_skipped) {
                    ExitCode::SUCCESS
                } else {
                    ExitCode::from(NOT_PASSED)
                }
            }
            Err(problem) => {
                eprintln!("{problem}");
                ExitCode::FAILURE
            }
        }
    }

    fn reports(&self) -> Result<Reports, String> {
        let only = self.run.as_deref().map(Regex::new).transpose().map_err(|error| error.to_string())?;
        let is_wanted = |report: &Report| only.as_ref().is_none_or(|only| only.is_match(&report.full_name()));
        let loaded = Loaded::from(&self.paths)?;
        let library = Library::compile(&loaded.modules, &loaded.data).map_err(|errors| errors.to_string())?;
        let mut reports = Vec::new();
        for test in library.tests() {
            let report = Report::of_test(&test);
            if is_wanted(&report) {
                let start = Instant::now();
                reports.push(report.with_run(run(&library, &test, start), start.elapsed()));
            }
        }
        let modules =
            loaded.modules.iter().map(|module| (module.path.clone(), module.text.clone())).collect();
        for cases in &loaded.cases {
            let data = loaded.data.to_json().map_err(|error| error.to_string())?;
            let data = serde_json::from_str(&data).map_err(|error| error.to_string())?;
            let judge = Judge::new(cases, &modules, data)?;
            for (file, group, case) in rows(cases.files()) {
                let report = Report::of_case(file, group, case);
                if is_wanted(&report) {
                    let start = Instant::now();
                    let checked = judge.check(case);
                    reports.push(report.with_check(checked, start.elapsed()));
                }
            }
        }
        Ok(Reports(reports))
    }
}

fn run(library: &Library, test: &TestRule, start: Instant) -> TestRun {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let nanos = since_1970.ok().and_then(|time| i64::try_from(time.as_nanos()).ok());
    let Some(nanos) = nanos else {
        let verdict = TestVerdict::Error("the clock shows no time between 1970 and 2262".to_owned());
        return TestRun { verdict, cases: Default::default() };
    };
    let moment = Moment {
        now: Timestamp::from_unix_nanos(nanos),
        seed: nanos.cast_unsigned(),
        is_over: &|_| start.elapsed() > PATIENCE,
    };
    library.run(test, moment)
}

fn rows(files: &[CaseFile]) -> impl Iterator<Item = (&CaseFile, &str, &Case)> {
    files.iter().flat_map(|file| {
        file.groups
            .iter()
            .flat_map(move |(group, cases)| cases.iter().map(move |case| (file, group.as_str(), case)))
    })
}
