//! The figures as tables, a picture, and JSON; and whether they are what they should be.

use anyhow::Result;
use integration::measure::{
    Arguments,
    plot::{Bar, bars},
    result_file,
    statistics::{Spread, differences, figure, ratios, table},
    write,
};
use serde_json::{Value, json};

use super::{Figures, RATE, Setting, variants::Variant};

/// What was found, setting by setting.
#[derive(Default)]
pub(crate) struct Report {
    settings: Vec<(Setting, Vec<Figures>)>,
    lacking: Vec<Variant>,
}

const EVALUATED: Variant = Variant::Rules(1);

/// What must be at most so many times something else.
const GOALS: [(Variant, Variant, f64); 3] =
    [(EVALUATED, Variant::ByHand, 2.0), (EVALUATED, Variant::SameCalls, 1.3), (EVALUATED, Variant::Opa, 0.1)];

// === impl Report ===

impl Report {
    pub(crate) fn add(&mut self, setting: Setting, figures: Vec<Figures>) {
        self.settings.push((setting, figures));
    }

    /// This machine does not have it.
    pub(crate) fn lacks(&mut self, variant: Variant) {
        if !self.lacking.contains(&variant) {
            self.lacking.push(variant);
        }
    }

    /// The table of the newest setting.
    pub(crate) fn newest(&self) -> String {
        let Some((setting, figures)) = self.settings.last() else { return String::new() };
        let name = setting.name();
        let head = [
            name.as_str(),
            "CPU, µs",
            "added, µs",
            "of the rounds",
            "at least",
            "× `if`",
            "× host calls",
            "requests/s",
            "half, ms",
            "99 %",
            "99.9 %",
            "MiB",
        ];
        let mut lines = vec![head.map(str::to_owned).to_vec()];
        for one in figures {
            let added = added(figures, one.variant);
            let next_to = |other| match one.variant == Variant::Nothing {
                true => String::new(),
                false => figure(ratios(&added, &self::added(figures, other)).median),
            };
            let Spread { median, low, high } = Spread::of(added.iter().copied());
            let is_added = one.variant != Variant::Nothing;
            let millis = |quantile| figure(one.latencies.value_at_quantile(quantile) as f64 / 1e6);
            lines.push(vec![
                one.variant.name().to_owned(),
                figure(Spread::of(cpu(one)).median),
                if is_added { figure(median) } else { String::new() },
                if is_added { format!("{} – {}", figure(low), figure(high)) } else { String::new() },
                if is_added { figure(least(figures, one.variant)) } else { String::new() },
                next_to(Variant::ByHand),
                next_to(Variant::SameCalls),
                figure(Spread::of(one.costs.iter().map(|cost| cost.per_second)).median),
                millis(0.5),
                millis(0.99),
                millis(0.999),
                figure(one.memory),
            ]);
        }
        for variant in &self.lacking {
            lines.push(vec![format!("{}: not on this machine", variant.name())]);
        }
        table(&lines)
    }

    /// Whether the goals are met, in each setting.
    pub(crate) fn goals(&self) -> String {
        let mut text = String::new();
        for (setting, figures) in &self.settings {
            for (ours, other, most) in GOALS {
                let ratio = ratios(&added(figures, ours), &added(figures, other)).median;
                let verdict = match ratio {
                    _ if ratio.is_nan() => "not measured",
                    _ if ratio <= most => "met",
                    _ => "MISSED",
                };
                text.push_str(&format!(
                    "{}: {} adds {} times what is added by {}; at most {most}: {verdict}\n",
                    setting.name(),
                    ours.name(),
                    figure(ratio),
                    other.name(),
                ));
            }
        }
        text
    }

    /// Writes all figures, and a picture of the first setting.
    pub(crate) fn write(&self, arguments: &Arguments) -> Result<()> {
        let of = |one: &Figures| {
            let quantile = |quantile| one.latencies.value_at_quantile(quantile);
            json!({
                "variant": one.variant.name(),
                "cpu_microseconds": cpu(one).collect::<Vec<_>>(),
                "requests_per_second": one.costs.iter().map(|cost| cost.per_second).collect::<Vec<_>>(),
                "latency_nanoseconds": {"p50": quantile(0.5), "p99": quantile(0.99), "p99.9": quantile(0.999)},
                "memory_mib": one.memory,
            })
        };
        let settings = self.settings.iter().map(|(setting, figures)| {
            json!({"setting": setting.name(), "variants": figures.iter().map(of).collect::<Vec<_>>()})
        });
        let found = json!({
            "rounds": arguments.rounds(),
            "requests": arguments.requests(),
            "rate": RATE,
            "settings": settings.collect::<Vec<Value>>(),
        });
        write("compare.json", &found)?;
        let Some((setting, figures)) = self.settings.first() else { return Ok(()) };
        let bar = |one: &Figures| Bar {
            name: one.variant.name().replace('`', ""),
            value: least(figures, one.variant),
            is_ours: one.variant.is_ours(),
        };
        let is_shown = |one: &&Figures| !matches!(one.variant, Variant::Nothing | Variant::Before);
        let of_all: Vec<Bar> = figures.iter().filter(is_shown).map(bar).collect();
        let title = format!("CPU added to a request at least, µs ({})", setting.name());
        bars(&result_file("compare.svg")?, &title, &of_all)
    }
}

/// CPU of each round.
fn cpu(figures: &Figures) -> impl Iterator<Item = f64> {
    figures.costs.iter().map(|cost| cost.cpu)
}

/// What a variant adds in each round; nothing where it is lacking.
fn added(figures: &[Figures], variant: Variant) -> Vec<f64> {
    differences(&rounds(figures, variant), &rounds(figures, Variant::Nothing))
}

/// What it adds where nothing disturbs: its cheapest round next to the cheapest one without authorization. What else a machine
/// does only adds to a round.
fn least(figures: &[Figures], variant: Variant) -> f64 {
    let cheapest = |variant| rounds(figures, variant).into_iter().fold(f64::INFINITY, f64::min);
    cheapest(variant) - cheapest(Variant::Nothing)
}

fn rounds(figures: &[Figures], variant: Variant) -> Vec<f64> {
    figures.iter().filter(|one| one.variant == variant).flat_map(cpu).collect()
}
