//! Times the activation of a large bundle in slices, as a worker of Envoy does it between requests.

use std::{
    cell::Cell,
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

/// What was measured of one part of the work.
struct Part {
    name: &'static str,
    total: Duration,
    slices: usize,
    longest_slice: Duration,
    longest_gap: Duration,
    /// Which of the places where the work may be interrupted ends the longest gap, and of how many.
    gap_ends_at: usize,
    places: usize,
}

/// When the slice began, and when the work could last be interrupted.
#[derive(Clone)]
struct Watch(Rc<Readings>);

struct Readings {
    slice: Cell<Instant>,
    last: Cell<Instant>,
    longest_gap: Cell<Duration>,
    gap_ends_at: Cell<usize>,
    places: Cell<usize>,
}

/// Prints a line for each part of the work.
///
/// # Errors
/// When the bundle is none.
pub(crate) fn time() -> Result<()> {
    let bytes = Rc::new(bundle()?);
    println!("{} bytes of bundle, {RULES} rules, {DATA_BYTES} bytes of data", bytes.len());
    in_one_go(&bytes)?;
    println!("{:<10}{:>10}{:>8}{:>15}{:>13}", "", "total ms", "slices", "longest slice", "longest gap");
    let (part, _) = in_slices("digest", |pace| {
        let bytes = Rc::clone(&bytes);
        async move { Digest::of_in(&bytes, &pace).await }
    });
    part.print();
    let (part, bundle) = in_slices("read", |pace| {
        let bytes = Rc::clone(&bytes);
        async move { Bundle::read_in(&bytes, LIMITS, None, NOW, &pace).await }
    });
    part.print();
    let Bundle { modules, data, .. } = bundle?;
    let rule = rule()?;
    let (part, policy) = in_slices("compile", |pace| async move {
        Policy::compile_in(&modules, &data, &rule, BUDGET, &AuditLog::default(), &pace).await
    });
    part.print();
    let policy = policy?;
    let (part, ()) = in_slices("retire", |pace| async move { policy.retire(&pace).await });
    part.print();
    Ok(())
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

fn in_one_go(bytes: &[u8]) -> Result<()> {
    let started = Instant::now();
    let Bundle { modules, data, .. } = Bundle::read(bytes, LIMITS, None, NOW)?;
    let read = started.elapsed();
    let policy = Policy::compile(&modules, &data, &rule()?, BUDGET, &AuditLog::default())?;
    let compiled = started.elapsed();
    drop((modules, data, policy));
    println!(
        "in one go: read {:.1} ms, compile {:.1} ms, drop {:.1} ms",
        milliseconds(read),
        milliseconds(compiled - read),
        milliseconds(started.elapsed() - compiled)
    );
    Ok(())
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
    let mut part = Part {
        name,
        total: Duration::ZERO,
        slices: 0,
        longest_slice: Duration::ZERO,
        longest_gap: Duration::ZERO,
        gap_ends_at: 0,
        places: 0,
    };
    loop {
        watch.begin();
        let result = work.run();
        let slice = watch.0.slice.get().elapsed();
        // The end of the work ends a gap too.
        watch.is_over();
        part.total += slice;
        part.slices += 1;
        part.longest_slice = part.longest_slice.max(slice);
        if let Some(result) = result {
            part.longest_gap = watch.0.longest_gap.get();
            part.gap_ends_at = watch.0.gap_ends_at.get();
            part.places = watch.0.places.get();
            return (part, result);
        }
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

// === impl Part ===

impl Part {
    fn print(&self) {
        println!(
            "{:<10}{:>10.1}{:>8}{:>12.2} ms{:>10.2} ms  (place {} of {})",
            self.name,
            milliseconds(self.total),
            self.slices,
            milliseconds(self.longest_slice),
            milliseconds(self.longest_gap),
            self.gap_ends_at,
            self.places
        );
    }
}

// === impl Watch ===

impl Watch {
    fn new() -> Self {
        let now = Instant::now();
        Self(Rc::new(Readings {
            slice: Cell::new(now),
            last: Cell::new(now),
            longest_gap: Cell::new(Duration::ZERO),
            gap_ends_at: Cell::new(0),
            places: Cell::new(0),
        }))
    }

    fn begin(&self) {
        let now = Instant::now();
        self.0.slice.set(now);
        self.0.last.set(now);
    }

    fn is_over(&self) -> bool {
        let now = Instant::now();
        let readings = &*self.0;
        readings.places.set(readings.places.get() + 1);
        let gap = now - readings.last.get();
        if gap > readings.longest_gap.get() {
            readings.longest_gap.set(gap);
            readings.gap_ends_at.set(readings.places.get());
        }
        if std::env::var_os("GAPS").is_some() && gap > Duration::from_micros(700) {
            let trace = std::backtrace::Backtrace::force_capture().to_string();
            let lines: Vec<&str> = trace
                .lines()
                .filter(|line| line.contains("hexr_authz_core::") || line.contains("/core/src"))
                .take(8)
                .collect();
            eprintln!("GAP {:?} at {}\n{}", gap, readings.places.get(), lines.join("\n"));
        }
        readings.last.set(now);
        now - readings.slice.get() >= SLICE
    }
}
