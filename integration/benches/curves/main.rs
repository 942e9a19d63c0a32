//! `cargo bench -p integration --bench curves`: how what a decision adds to a request grows with the policy, its data, the
//! agents, their calls, the tenants, the workers and the headers.
//!
//! Each point is a real Envoy, with one without authorization beside it that gets the same load. The points of a curve are
//! loaded in turn, round after round; what stands in the table is the CPU that is added, as its median over the rounds, and
//! next to that of the smallest point of the curve, as the median of the ratios within a round.
//!
//! `-- --quick` is for trying it; `-- --only NAME` measures one curve.

mod curve;

use std::slice;

use anyhow::{Context as _, Result};
use integration::measure::{
    Arguments,
    load::Lanes,
    plot::{Panel, panels},
    result_file, run,
    statistics::{Spread, figure, ratios, table},
    subject::Subject,
    write,
};
use serde_json::{Value, json};

use self::curve::{ALL, Curve};

/// An Envoy that is loaded, and one without authorization that gets the same load.
struct Point {
    size: usize,
    ours: (Subject, Lanes),
    nothing: (Subject, Lanes),
    /// What is added in each round, in microseconds.
    added: Vec<f64>,
}

/// A curve: its sizes, with what each adds in each round.
type Found = (Curve, Vec<(usize, Vec<f64>)>);

fn main() -> Result<()> {
    Arguments::read().map_or(Ok(()), |arguments| run(all(arguments)))
}

async fn all(arguments: Arguments) -> Result<()> {
    let mut found: Vec<Found> = Vec::new();
    for curve in ALL.into_iter().filter(|curve| arguments.include(curve.name())) {
        let points = measure(curve, &arguments).await.with_context(|| curve.name())?;
        let newest = (curve, points);
        println!("\n{}", lines(slice::from_ref(&newest)));
        found.push(newest);
    }
    println!("\n{}\n{}", lines(&found), goal(&found));
    let curves = found.iter().map(|(curve, points)| {
        let points = points.iter().map(|(size, added)| json!({"size": size, "added_microseconds": added}));
        json!({"curve": curve.name(), "points": points.collect::<Vec<Value>>()})
    });
    write("curves.json", &json!({"rounds": arguments.rounds(), "curves": curves.collect::<Vec<Value>>()}))?;
    let of_all: Vec<Panel> = found.iter().map(panel).collect();
    panels(&result_file("curves.svg")?, "CPU added to a request, next to the first point", &of_all)
}

async fn measure(curve: Curve, arguments: &Arguments) -> Result<Vec<(usize, Vec<f64>)>> {
    let mut points = Vec::new();
    for &size in curve.sizes(arguments.quick) {
        println!("starting: {}, {size}", curve.name());
        let (ours, nothing) = (curve.ours(size).await?, curve.nothing(size).await?);
        for (subject, lanes) in [&ours, &nothing] {
            subject.cost(lanes, curve.load(arguments.warm_up())).await?;
        }
        points.push(Point { size, ours, nothing, added: Vec::new() });
    }
    let load = curve.load(arguments.requests());
    for _ in 0..arguments.rounds() {
        for Point { ours, nothing, added, .. } in &mut points {
            let with = ours.0.cost(&ours.1, load).await?.cpu;
            added.push(with - nothing.0.cost(&nothing.1, load).await?.cpu);
        }
    }
    Ok(points.into_iter().map(|point| (point.size, point.added)).collect())
}

fn lines(found: &[Found]) -> String {
    let head = ["", "", "added, µs", "of the rounds", "× smallest"];
    let mut lines = vec![head.map(str::to_owned).to_vec()];
    for (curve, points) in found {
        for (number, (size, added)) in points.iter().enumerate() {
            let Spread { median, low, high } = Spread::of(added.iter().copied());
            lines.push(vec![
                if number == 0 { curve.name().to_owned() } else { String::new() },
                figure(*size as f64).replace(".00", "").replace(".0", ""),
                figure(median),
                format!("{} – {}", figure(low), figure(high)),
                figure(next_to_smallest(points, added).median),
            ]);
        }
    }
    table(&lines)
}

fn next_to_smallest(points: &[(usize, Vec<f64>)], added: &[f64]) -> Spread {
    points.first().map_or(Spread::of([]), |(_, smallest)| ratios(added, smallest))
}

fn panel((curve, points): &Found) -> Panel {
    let points = points.iter().map(|(size, added)| (size.to_string(), next_to_smallest(points, added)));
    Panel { title: curve.name().to_owned(), points: points.collect() }
}

fn goal(found: &[Found]) -> String {
    let Some((_, points)) = found.iter().find(|(curve, _)| *curve == Curve::Rules) else {
        return String::new();
    };
    let growth = points.last().map_or(f64::NAN, |(_, added)| next_to_smallest(points, added).median);
    let verdict = if growth < 1.5 { "met" } else { "MISSED" };
    format!(
        "from 10 to 10,000 rules the added cost grows {} times, of less than 1.5: {verdict}",
        figure(growth)
    )
}
