//! Figures as pictures for the documentation.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use crate::measure::statistics::{Spread, figure};

/// A figure of [`bars`].
#[derive(Clone, Debug)]
pub struct Bar {
    /// What it is of.
    pub name: String,
    /// The figure.
    pub value: f64,
    /// Whether it is ours, and stands out.
    pub is_ours: bool,
}

/// A curve of [`panels`].
#[derive(Clone, Debug)]
pub struct Panel {
    /// What grows.
    pub title: String,
    /// How large it is, and what it costs.
    pub points: Vec<(String, Spread)>,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const OURS: RGBColor = RGBColor(0x1f, 0x6f, 0xb4);
const THEIRS: RGBColor = RGBColor(0x9a, 0xa3, 0xad);
const TEXT: RGBColor = RGBColor(0x24, 0x29, 0x2f);

const ROW: i32 = 28;
const NAMES: i32 = 330;
const LONGEST: f64 = 430.0;
const PANEL: (u32, u32) = (420, 220);

/// Draws figures one below the other.
pub fn bars(path: &Path, title: &str, bars: &[Bar]) -> Result<()> {
    let height = 50 + ROW * i32::try_from(bars.len())?;
    let area = SVGBackend::new(path, (860, u32::try_from(height)?)).into_drawing_area();
    area.fill(&WHITE)?;
    write(&area, title, (12, 20), 17, HPos::Left)?;
    let most = bars.iter().map(|bar| bar.value).fold(f64::MIN_POSITIVE, f64::max);
    for (row, bar) in (0..).zip(bars) {
        let (top, color) = (44 + ROW * row, if bar.is_ours { OURS } else { THEIRS });
        let end = NAMES + (bar.value.max(0.0) / most * LONGEST) as i32;
        write(&area, &bar.name, (NAMES - 10, top + 9), 14, HPos::Right)?;
        area.draw(&Rectangle::new([(NAMES, top), (end.max(NAMES + 1), top + 18)], color.filled()))?;
        write(&area, &figure(bar.value), (end + 8, top + 9), 14, HPos::Left)?;
    }
    Ok(area.present()?)
}

/// Draws curves, two in a row: what each costs next to its first point.
pub fn panels(path: &Path, title: &str, panels: &[Panel]) -> Result<()> {
    let rows = panels.len().div_ceil(2);
    let (width, height) = PANEL;
    let area = SVGBackend::new(path, (2 * width, 40 + height * u32::try_from(rows)?)).into_drawing_area();
    area.fill(&WHITE)?;
    write(&area, title, (12, 20), 17, HPos::Left)?;
    let (_, below) = area.split_vertically(40);
    let highest = panels.iter().flat_map(|panel| &panel.points).map(|(_, spread)| spread.high);
    let highest = highest.fold(2.0, f64::max) * 1.1;
    for (panel, area) in panels.iter().zip(below.split_evenly((rows, 2))) {
        draw(&area, panel, highest)?;
    }
    Ok(area.present()?)
}

fn draw(area: &Area<'_>, panel: &Panel, highest: f64) -> Result<()> {
    let last = i32::try_from(panel.points.len())? - 1;
    let label = |at: &i32| {
        let point = usize::try_from(*at).ok().and_then(|at| panel.points.get(at));
        point.map(|(label, _)| label.clone()).unwrap_or_default()
    };
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .caption(&panel.title, ("sans-serif", 15).into_font().color(&TEXT))
        .x_label_area_size(24)
        .y_label_area_size(36)
        .build_cartesian_2d(0..last, 0.0..highest)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(WHITE)
        .x_labels(panel.points.len())
        .y_labels(5)
        .x_label_formatter(&label)
        .label_style(("sans-serif", 12).into_font().color(&TEXT))
        .draw()?;
    let points = || (0..).zip(panel.points.iter().map(|(_, spread)| spread));
    chart.draw_series(points().map(|(at, spread)| {
        PathElement::new([(at, spread.low), (at, spread.high)], THEIRS.stroke_width(2))
    }))?;
    let medians = || points().map(|(at, spread)| (at, spread.median));
    chart.draw_series(LineSeries::new(medians(), OURS.stroke_width(2)))?;
    chart.draw_series(medians().map(|point| Circle::new(point, 4, OURS.filled())))?;
    Ok(())
}

fn write(area: &Area<'_>, text: &str, at: (i32, i32), size: u32, side: HPos) -> Result<()> {
    let style = ("sans-serif", size).into_text_style(area).pos(Pos::new(side, VPos::Center)).color(&TEXT);
    area.draw_text(text, &style, at).map_err(|error| anyhow!("{error}"))
}
