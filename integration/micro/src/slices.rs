//! Times the activation of a large bundle in slices, as a worker of Envoy does it between requests.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::Result;
use hexr_authz_core::{
    audit_log::AuditLog,
    bundle::{Bundle, BundleLimits, SourceFile, pack},
    delivery::Digest,
    pace::{Pace, Slices},
    policy::{Budget, Policy, RulePath},
    timestamp::Timestamp,
};

use crate::policies;

/// How long a slice is meant to be.
const SLICE: Duration = Duration::from_millis(5);
const RULES: usize = 10_000;
const DATA_BYTES: usize = 10 << 20;
const LIMITS: BundleLimits = BundleLimits { compressed: 16 << 20 };
const NOW: Timestamp = Timestamp::from_unix_nanos(1_800_000_000_000_000_000);
const BUDGET: Budget = Budget { milliseconds: 50 };

/// The best of so many rounds is what it costs: whatever else the machine does only adds to it.
const ROUNDS: usize = 5;

/// What was measured of one part of the work.
struct Part {
    name: &'static str,
    /// The work between any two places where it may be interrupted, which are the same in every round.
    gaps: Vec<Duration>,
}

/// When the work could last be interrupted, and what lay between such places.
#[derive(Clone)]
struct Watch(Rc<Readings>);

struct Readings {
    slice: Cell<Instant>,
    last: Cell<Instant>,
    gaps: RefCell<Vec<Duration>>,
}

/// Prints a line for each part of the work.
///
/// # Errors
/// When the bundle is none.
pub(crate) fn time() -> Result<()> {
    let bytes = Rc::new(bundle()?);
    println!("{RULES} rules and {DATA_BYTES} bytes of data in a bundle of {} bytes", bytes.len());
    let mut parts: Vec<Part> = Vec::new();
    let mut in_one_go = [Duration::MAX; 3];
    for _ in 0..ROUNDS {
        for (best, now) in in_one_go.iter_mut().zip(self::in_one_go(&bytes)?) {
            *best = (*best).min(now);
        }
        for (at, part) in round(&bytes)?.into_iter().enumerate() {
            match parts.get_mut(at) {
                Some(known) => known.improve(&part),
                None => parts.push(part),
            }
        }
    }
    let [read, compile, drop] = in_one_go.map(milliseconds);
    println!("in one go: read {read:.1} ms, compile {compile:.1} ms, drop {drop:.1} ms");
    parts.iter().for_each(Part::print);
    Ok(())
}

/// All of the work in slices.
fn round(bytes: &Rc<Vec<u8>>) -> Result<Vec<Part>> {
    let (digest, _) = in_slices("digest", |pace| {
        let bytes = Rc::clone(bytes);
        async move { Digest::of_in(&bytes, &pace).await }
    });
    let (read, bundle) = in_slices("read", |pace| {
        let bytes = Rc::clone(bytes);
        async move { Bundle::read_in(&bytes, LIMITS, None, NOW, &pace).await }
    });
    let Bundle { modules, data, .. } = bundle?;
    let rule = rule()?;
    let (compile, policy) = in_slices("compile", |pace| async move {
        Policy::compile_in(&modules, &data, &rule, BUDGET, &AuditLog::default(), &pace).await
    });
    let policy = policy?;
    let (retire, ()) = in_slices("retire", |pace| async move { policy.retire(&pace).await });
    Ok(vec![digest, read, compile, retire])
}

fn rule() -> Result<RulePath> {
    RulePath::parse("p/allow").ok_or_else(|| anyhow::anyhow!("this is no path"))
}

/// Ten thousand rules in one module, and a user for every 100 bytes of data or so.
fn bundle() -> Result<Vec<u8>> {
    let mut data = String::from("{\"users\": {");
    let mut at = 0;
    while data.len() < DATA_BYTES {
        let comma = if at == 0 { "" } else { ", " };
        data.push_str(&format!(
            "{comma}\"user-{at}\": {{\"name\": \"User {at}\", \"roles\": [\"r{}\", \"editor\"], \"level\": {}, \"share\": 0.{at}, \
             \"active\": true}}",
            at % 7,
            at % 100
        ));
        at += 1;
    }
    data.push_str("}}");
    let file =
        |path: &str, content: String| SourceFile { path: path.to_owned(), content: content.into_bytes() };
    let files = [file("p.rego", policies::rules(RULES).module), file("data.json", data)];
    pack(&files, "r1").map_err(anyhow::Error::msg)
}

/// How long reading, compiling and dropping take.
fn in_one_go(bytes: &[u8]) -> Result<[Duration; 3]> {
    let started = Instant::now();
    let Bundle { modules, data, .. } = Bundle::read(bytes, LIMITS, None, NOW)?;
    let read = started.elapsed();
    let policy = Policy::compile(&modules, &data, &rule()?, BUDGET, &AuditLog::default())?;
    let compiled = started.elapsed();
    drop((modules, data, policy));
    Ok([read, compiled - read, started.elapsed() - compiled])
}

fn in_slices<T, W: Future<Output = T> + 'static>(
    name: &'static str,
    work: impl FnOnce(Pace) -> W,
) -> (Part, T) {
    let watch = Watch::new();
    let pace = Pace::new({
        let watch = watch.clone();
        move || watch.is_over()
    });
    let mut work = Slices::of(work(pace));
    loop {
        watch.begin();
        let result = work.run();
        if let Some(result) = result {
            // The end of the work is the end of a gap too.
            watch.is_over();
            return (Part { name, gaps: watch.0.gaps.take() }, result);
        }
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

// === impl Part ===

impl Part {
    fn improve(&mut self, other: &Self) {
        for (known, gap) in self.gaps.iter_mut().zip(&other.gaps) {
            *known = (*known).min(*gap);
        }
    }

    fn print(&self) {
        let (mut slices, mut slice, mut longest) = (1, Duration::ZERO, Duration::ZERO);
        for gap in &self.gaps {
            if slice >= SLICE {
                slices += 1;
                slice = Duration::ZERO;
            }
            slice += *gap;
            longest = longest.max(slice);
        }
        let mut by_length: Vec<(Duration, usize)> = self.gaps.iter().copied().zip(1..).collect();
        by_length.sort_unstable_by(|one, other| other.cmp(one));
        let gaps: Vec<String> =
            by_length.iter().take(4).map(|(gap, at)| format!("{:.2} at {at}", milliseconds(*gap))).collect();
        println!(
            "in slices: {:<8}{:>7.1} ms in {slices:>3}, the longest {:.2} ms; {} places, the longest gaps {} ms",
            self.name,
            milliseconds(self.gaps.iter().sum()),
            milliseconds(longest),
            self.gaps.len(),
            gaps.join(", ")
        );
    }
}

// === impl Watch ===

impl Watch {
    fn new() -> Self {
        let now = Instant::now();
        Self(Rc::new(Readings { slice: Cell::new(now), last: Cell::new(now), gaps: RefCell::default() }))
    }

    fn begin(&self) {
        let now = Instant::now();
        self.0.slice.set(now);
        self.0.last.set(now);
    }

    fn is_over(&self) -> bool {
        let now = Instant::now();
        let readings = &*self.0;
        readings.gaps.borrow_mut().push(now - readings.last.get());
        readings.last.set(Instant::now());
        now - readings.slice.get() >= SLICE
    }
}
