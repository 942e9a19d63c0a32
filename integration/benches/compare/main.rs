//! `cargo bench -p integration --bench compare`: what authorization adds to a request, next to what an operator would
//! compare it with.
//!
//! One real Envoy for each variant, all with the same listener, mTLS and upstream. They are loaded in turn, round after
//! round, so that whatever else the machine does meets all of them; a figure is the median over the rounds, and a ratio the
//! median of the ratios within a round. CPU is what the kernel charged to Envoy and to the server that it asks, in a closed
//! loop; latencies are those of an open loop at a fixed rate, each from when its request was due. Agents keep their
//! connections.
//!
//! `-- --quick` is for trying it. The table is Markdown; `target/bench` gets the figures of all rounds and a picture.

mod report;
mod variants;

use std::time::Duration;

use anyhow::{Context as _, Result};
use integration::measure::{
    Arguments,
    load::{Latencies, Protocol},
    run,
    subject::{Cost, Load, Subject},
};

use self::{
    report::Report,
    variants::{ALL, Variant, check_calls, yes},
};

/// How many requests are on their way at the same time.
const LANES: usize = 16;
/// The open loop: so many requests in a second, for a second of each round.
const RATE: u32 = 1_000;
const SECOND: Duration = Duration::from_secs(1);

/// How Envoy works.
#[derive(Clone, Copy)]
pub(crate) struct Setting {
    pub(crate) protocol: Protocol,
    pub(crate) workers: u32,
}

/// What is found of a variant in a setting.
pub(crate) struct Figures {
    pub(crate) variant: Variant,
    /// Of each round.
    pub(crate) costs: Vec<Cost>,
    /// Of all rounds.
    pub(crate) latencies: Latencies,
    /// Afterwards, in MiB.
    pub(crate) memory: f64,
}

fn main() -> Result<()> {
    if std::env::args().any(|argument| argument == yes::ARGUMENT) {
        return yes::serve();
    }
    Arguments::read().map_or(Ok(()), |arguments| run(compare(arguments)))
}

async fn compare(arguments: Arguments) -> Result<()> {
    let mut report = Report::default();
    for workers in [1, 2] {
        let settings = [Protocol::Http1, Protocol::Http2].map(|protocol| Setting { protocol, workers });
        let settings = settings.into_iter().filter(|setting| arguments.include(&setting.name()));
        let mut subjects = Vec::new();
        for setting in settings {
            if subjects.is_empty() {
                subjects = start(workers, &mut report).await?;
            }
            report.add(setting, measure(&subjects, setting, &arguments).await?);
            println!("\n{}", report.newest());
        }
    }
    println!("{}", report.goals());
    report.write(&arguments)
}

async fn start(workers: u32, report: &mut Report) -> Result<Vec<(Variant, Subject)>> {
    let mut subjects = Vec::new();
    for variant in ALL {
        println!("starting, {workers} worker(s): {}", variant.name());
        match variant.start(workers).await.with_context(|| variant.name())? {
            Some(subject) => subjects.push((variant, subject)),
            None if variant == Variant::Before => {}
            None => report.lacks(variant),
        }
    }
    check(&subjects).await?;
    Ok(subjects)
}

/// That the filter with our host calls has them is not to be believed, but seen.
async fn check(subjects: &[(Variant, Subject)]) -> Result<()> {
    let subject =
        |wanted| subjects.iter().find(|(variant, _)| *variant == wanted).map(|(_, subject)| subject);
    let ours = subject(Variant::Rules(1)).context("ours")?;
    check_calls(ours, subject(Variant::SameCalls).context("the same host calls")?).await
}

async fn measure(
    subjects: &[(Variant, Subject)],
    setting: Setting,
    arguments: &Arguments,
) -> Result<Vec<Figures>> {
    let (mut lanes, mut figures) = (Vec::new(), Vec::new());
    for (variant, subject) in subjects {
        let own = subject.lanes(LANES, setting.protocol).await.with_context(|| variant.name())?;
        own.send(arguments.warm_up()).await?;
        lanes.push(own);
        let latencies = Latencies::new(3)?;
        figures.push(Figures { variant: *variant, costs: Vec::new(), latencies, memory: f64::NAN });
    }
    for round in 1..=arguments.rounds() {
        for (((_, subject), lanes), figures) in subjects.iter().zip(&lanes).zip(&mut figures) {
            figures.costs.push(subject.cost(lanes, Load::Closed(arguments.requests())).await?);
        }
        for (((_, subject), lanes), figures) in subjects.iter().zip(&lanes).zip(&mut figures) {
            figures.latencies.add(lanes.pace(RATE, SECOND).await?)?;
            figures.memory = subject.processes.memory()?;
            subject.stack.exchange.take();
        }
        println!("{}: round {round} of {}", setting.name(), arguments.rounds());
    }
    Ok(figures)
}

// === impl Setting ===

impl Setting {
    pub(crate) fn name(self) -> String {
        let protocol = match self.protocol {
            Protocol::Http1 => "HTTP/1.1",
            Protocol::Http2 => "HTTP/2",
        };
        format!("{protocol}, {} worker{}", self.workers, if self.workers == 1 { "" } else { "s" })
    }
}
