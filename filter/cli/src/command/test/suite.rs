//! Tests and decision cases that are loaded, and how they are run.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use hexr_authz_core::{
    cases::{Case, CaseFile, Cases, Judge},
    policy::{Budget, Coverage, Insight, Library, Moment, TestRule, TestRun, TestVerdict},
    timestamp::Timestamp,
};
use regex::Regex;

use super::{
    insight::{self, CoverageReport},
    report::{Report, Reports},
};
use crate::{loaded::Loaded, source::Ignored};

/// What was loaded, compiled.
pub(super) struct Suite {
    library: Library,
    /// The sources once more, where it is asked what tests reach, or why one fails.
    insight: Option<Insight>,
    cases: Vec<(Cases, Judge)>,
}

/// A test that was run, and the instant of that.
type Ran = (Report, Option<Timestamp>);

/// Which tests are run, and how.
pub(super) struct Selection {
    /// What their references match.
    pub(super) only: Option<Regex>,
    /// The instant of each; the real one where there is none.
    pub(super) time: Option<Timestamp>,
    /// How long one may take.
    pub(super) timeout: Duration,
    /// How many run at the same time; 0 for as many as there are processors.
    pub(super) parallel: usize,
    /// Whether it is noted what they reach.
    pub(super) covers: bool,
    /// Whether it is told of a failed one which expression does not hold.
    pub(super) var_values: bool,
}

/// The stack of a thread that runs tests, as large as that of the main thread: rules may nest.
const STACK_BYTES: usize = 8 << 20;

// === impl Suite ===

impl Suite {
    /// Loads files and folders, or bundles, and compiles them.
    ///
    /// # Errors
    /// Everything that keeps them from being run, a line each.
    pub(super) fn load(
        paths: &[PathBuf],
        ignored: &Ignored,
        are_bundles: bool,
        is_looked_into: bool,
    ) -> Result<Self, String> {
        let loaded =
            if are_bundles { Loaded::from_bundles(paths, ignored)? } else { Loaded::from(paths, ignored)? };
        let library = Library::compile(&loaded.modules, &loaded.data).map_err(|errors| errors.to_string())?;
        let insight = is_looked_into.then(|| Insight::new(&loaded.modules)).transpose();
        let insight = insight.map_err(|errors| errors.to_string())?;
        let modules: BTreeMap<String, String> =
            loaded.modules.iter().map(|module| (module.path.clone(), module.text.clone())).collect();
        let mut judged = Vec::new();
        for cases in loaded.cases {
            let data = loaded.data.to_json().map_err(|error| error.to_string())?;
            let data = serde_json::from_str(&data).map_err(|error| error.to_string())?;
            let judge = Judge::new(&cases, &modules, data)?;
            judged.push((cases, judge));
        }
        Ok(Self { library, insight, cases: judged })
    }

    /// Runs what is selected: tests in the order of their modules and lines, then decision cases. Also what the tests
    /// reach, where that is asked for.
    pub(super) fn run(&self, selection: &Selection) -> (Reports, Option<CoverageReport>) {
        let tests: Vec<TestRule> =
            self.library.tests().into_iter().filter(|test| selection.has(&test.reference)).collect();
        let coverage = Mutex::new(Coverage::default());
        let ran = run_all(&self.library, &tests, selection, &coverage);
        let mut reports: Vec<Report> = tests
            .iter()
            .zip(ran)
            .map(|(test, (report, now))| {
                let condition = now.and_then(|now| self.failed_condition(test, &report, now, selection));
                report.with_condition(condition)
            })
            .collect();
        for (cases, judge) in &self.cases {
            for (file, group, case) in rows(cases.files()) {
                let report = Report::of_case(file, group, case);
                if selection.has(report.reference()) {
                    let start = Instant::now();
                    let checked = judge.check(case);
                    reports.push(report.with_check(checked, start.elapsed()));
                }
            }
        }
        let covered = coverage.into_inner().unwrap_or_else(PoisonError::into_inner);
        let insight = self.insight.as_ref().filter(|_| selection.covers);
        let coverage = insight.map(|insight| CoverageReport::new(insight.covered(&covered)));
        (Reports(reports), coverage)
    }

    /// The expression that fails, with its values. The test runs again for it, at the same instant.
    fn failed_condition(
        &self,
        test: &TestRule,
        report: &Report,
        now: Timestamp,
        selection: &Selection,
    ) -> Option<String> {
        if !selection.var_values || report.verdict != TestVerdict::Fail {
            return None;
        }
        let condition = self.library.failed_condition(self.insight.as_ref()?, test, unhurried(now))?;
        Some(insight::failure(&condition))
    }
}

/// Runs tests on several threads, each of which takes the next one until there is none.
fn run_all(
    library: &Library,
    tests: &[TestRule],
    selection: &Selection,
    coverage: &Mutex<Coverage>,
) -> Vec<Ran> {
    let next = AtomicUsize::new(0);
    let finished = Mutex::new(BTreeMap::new());
    let work = || {
        while let Some((at, test)) = take(tests, &next) {
            let ran = run_one(library, test, selection, coverage);
            finished.lock().unwrap_or_else(PoisonError::into_inner).insert(at, ran);
        }
    };
    thread::scope(|scope| {
        for _ in 1..selection.threads().min(tests.len()) {
            // Where there is no further thread, the others do its work.
            let _ = thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, work);
        }
        work();
    });
    finished.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect()
}

fn run_one(library: &Library, test: &TestRule, selection: &Selection, coverage: &Mutex<Coverage>) -> Ran {
    let (start, report) = (Instant::now(), Report::of_test(test));
    let Some(now) = selection.time.or_else(now) else {
        let problem = "the clock shows no time between 1970 and 2262: pass `--time`";
        let run = TestRun::of(TestVerdict::Error(problem.to_owned()));
        return (report.with_run(run, start.elapsed()), None);
    };
    let timeout = selection.timeout;
    let moment = Moment { is_over: &|_| start.elapsed() > timeout, ..unhurried(now) };
    let run = library.run(test, moment, budget(timeout));
    let elapsed = start.elapsed();
    if selection.covers && !test.is_todo {
        let mut coverage = coverage.lock().unwrap_or_else(PoisonError::into_inner);
        library.cover(test, unhurried(now), &mut coverage);
    }
    (report.with_run(run, elapsed), Some(now))
}

/// An instant for a test that is looked into, and has run in time.
fn unhurried(now: Timestamp) -> Moment<'static> {
    Moment { now, seed: now.unix_nanos().cast_unsigned(), is_over: &|_| false }
}

/// The next test that nobody has taken, and its number.
fn take<'t>(tests: &'t [TestRule], next: &AtomicUsize) -> Option<(usize, &'t TestRule)> {
    let at = next.fetch_add(1, Ordering::Relaxed);
    tests.get(at).map(|test| (at, test))
}

/// The work that is done in that time; the clock decides what is less than a millisecond.
fn budget(timeout: Duration) -> Budget {
    Budget { milliseconds: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX).saturating_add(1) }
}

fn now() -> Option<Timestamp> {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
    i64::try_from(since_1970.as_nanos()).ok().map(Timestamp::from_unix_nanos)
}

fn rows(files: &[CaseFile]) -> impl Iterator<Item = (&CaseFile, &str, &Case)> {
    files.iter().flat_map(|file| {
        file.groups
            .iter()
            .flat_map(move |(group, cases)| cases.iter().map(move |case| (file, group.as_str(), case)))
    })
}

// === impl Selection ===

impl Selection {
    fn has(&self, reference: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.is_match(reference))
    }

    fn threads(&self) -> usize {
        match self.parallel {
            0 => thread::available_parallelism().map_or(1, NonZeroUsize::get),
            some => some,
        }
    }
}
