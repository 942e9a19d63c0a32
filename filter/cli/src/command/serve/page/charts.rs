//! Charts as SVG, drawn here so that a browser needs no library for them.

use std::{error::Error, fmt, ops::Range};

use askama::filters::HtmlSafe;
use hexr_authz_core::timestamp::Timestamp;
use plotters::{
    chart::ChartBuilder,
    drawing::IntoDrawingArea as _,
    element::Rectangle,
    prelude::SVGBackend,
    style::{Color as _, IntoFont as _, RGBColor, TRANSPARENT, TextStyle},
};

use crate::command::serve::tally::Counts;

/// An SVG element. Nothing that was told by an Envoy is in one: only numbers and times.
#[derive(Clone, Debug, Default)]
pub(super) struct Svg(String);

/// `page.css` has these by other names, and others in the dark.
const DENY: RGBColor = RGBColor(0xC2, 0x41, 0x2D);
const WOULD_DENY: RGBColor = RGBColor(0xB7, 0x79, 0x1F);
const ALLOW: RGBColor = RGBColor(0x2F, 0x7D, 0x5B);
const TEXT: RGBColor = RGBColor(0x6B, 0x6B, 0x70);
const GRID: RGBColor = RGBColor(0xDD, 0xDD, 0xE0);
const LARGE: (u32, u32) = (1080, 220);
const SMALL: (u32, u32) = (240, 28);
/// So many minutes are one bar of a small chart.
const TOGETHER: usize = 2;

/// Decisions of each minute, with axes; `first` is the first minute, in minutes since 1970.
pub(super) fn large(minutes: &[Counts], first: i64) -> Svg {
    drawn(|svg| draw_large(minutes, first, svg))
}

/// The same in a line of a table.
pub(super) fn small(minutes: &[Counts]) -> Svg {
    let bars: Vec<Counts> = minutes
        .chunks(TOGETHER)
        .map(|chunk| {
            let mut sum = Counts::default();
            chunk.iter().for_each(|minute| sum.add(*minute));
            sum
        })
        .collect();
    drawn(|svg| draw_small(&bars, svg))
}

/// A chart that cannot be drawn is none; the numbers stand beside it.
fn drawn(draw: impl FnOnce(&mut String) -> Result<(), Box<dyn Error>>) -> Svg {
    let mut svg = String::new();
    match draw(&mut svg) {
        Ok(()) => Svg(svg),
        Err(_) => Svg::default(),
    }
}

fn draw_large(minutes: &[Counts], first: i64, svg: &mut String) -> Result<(), Box<dyn Error>> {
    let area = SVGBackend::with_string(svg, LARGE).into_drawing_area();
    let (last, top) = (first.saturating_add(whole(minutes.len())), top(minutes));
    let mut chart = ChartBuilder::on(&area)
        .margin_top(8)
        .margin_right(28)
        .x_label_area_size(28)
        .y_label_area_size(52)
        .build_cartesian_2d(first..last, 0..top)?;
    let text = TextStyle::from(("system-ui, sans-serif", 15).into_font()).color(&TEXT);
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(GRID)
        .label_style(text)
        .x_labels(7)
        .y_labels(4)
        .x_label_formatter(&|minute| time_of_day(*minute))
        .y_label_formatter(&|count| count.to_string())
        .draw()?;
    chart.draw_series(bars(minutes, first, 2))?;
    area.present()?;
    Ok(())
}

fn draw_small(minutes: &[Counts], svg: &mut String) -> Result<(), Box<dyn Error>> {
    let area = SVGBackend::with_string(svg, SMALL).into_drawing_area();
    let mut chart = ChartBuilder::on(&area).build_cartesian_2d(0..whole(minutes.len()), 0..top(minutes))?;
    chart.draw_series(bars(minutes, 0, 1))?;
    area.present()?;
    Ok(())
}

/// Bars from the bottom up: refused, refused in shadow mode, allowed.
fn bars(minutes: &[Counts], first: i64, gap: u32) -> impl Iterator<Item = Rectangle<(i64, i64)>> {
    (first..).zip(minutes).flat_map(move |(at, counts)| {
        let mut from = 0;
        let parts = [(counts.deny, DENY), (counts.would_deny, WOULD_DENY), (counts.allow, ALLOW)];
        parts.into_iter().filter(|(count, _)| *count > 0).map(move |(count, color)| {
            let Range { start, end } = from..height(count).saturating_add(from);
            from = end;
            let mut bar = Rectangle::new([(at, start), (at.saturating_add(1), end)], color.filled());
            bar.set_margin(0, 0, gap, gap);
            bar
        })
    })
}

/// The end of the vertical axis.
fn top(minutes: &[Counts]) -> i64 {
    let most = minutes.iter().map(|counts| height(counts.sum())).max().unwrap_or_default();
    most.saturating_add(most / 10).max(1)
}

fn height(count: u64) -> i64 {
    // More than that in a minute is not to be told apart in a chart.
    i64::try_from(count).unwrap_or(i64::MAX).min(1 << 40)
}

fn whole(length: usize) -> i64 {
    i64::try_from(length).unwrap_or_default()
}

/// `10:30`, in UTC.
fn time_of_day(minute: i64) -> String {
    let instant = Timestamp::from_unix_nanos(minute.saturating_mul(60_000_000_000)).to_rfc3339();
    instant.get(11..16).unwrap_or_default().to_owned()
}

// === impl Svg ===

impl fmt::Display for Svg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl HtmlSafe for Svg {}
