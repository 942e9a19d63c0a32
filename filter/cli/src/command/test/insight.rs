//! What tests reach, and why one fails: coverage as OPA reports it, and the failing expression with its values.

use std::{collections::BTreeSet, fmt::Write as _};

use hexr_authz_core::policy::{Condition, CoveredFile, CoveredPart, Shown};
use serde::Serialize;

/// What is told beside the results.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct InsightFlags {
    /// Report which lines the tests reach: as OPA does, or with `--format pretty` by rule.
    #[arg(short, long)]
    pub(super) coverage: bool,
    /// Fail when fewer lines are reached, in percent; reports coverage.
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    pub(super) threshold: Option<f64>,
    /// Tell of each failed test the expression that does not hold, and the values in it.
    #[arg(long)]
    pub(super) var_values: bool,
}

/// Coverage of all files.
pub(super) struct CoverageReport {
    files: Vec<(String, FileReport)>,
    parts: Vec<CoveredFile>,
    lines: Lines,
}

#[derive(Serialize)]
struct FileReport {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    covered: Vec<Range>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_covered: Vec<Range>,
    #[serde(skip_serializing_if = "is_zero")]
    covered_lines: usize,
    #[serde(skip_serializing_if = "is_zero")]
    not_covered_lines: usize,
    #[serde(skip_serializing_if = "is_none")]
    coverage: serde_json::Number,
}

#[derive(Clone, Copy, Serialize)]
struct Range {
    start: Place,
    end: Place,
}

#[derive(Clone, Copy, Serialize)]
struct Place {
    row: u32,
    col: u32,
}

/// How many lines are covered, and how many are not.
#[derive(Clone, Copy, Default)]
struct Lines {
    covered: usize,
    missed: usize,
}

/// How long a value beside an expression may be, as in OPA.
const MAX_VALUE: usize = 100;

fn percent(text: &str) -> Result<f64, String> {
    let percent: f64 = text.parse().map_err(|_| format!("`{text}` is not a number"))?;
    if (0.0..=100.0).contains(&percent) { Ok(percent) } else { Err("must be between 0 and 100".to_owned()) }
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

fn is_none(number: &serde_json::Number) -> bool {
    number.as_f64() == Some(0.0)
}

// === impl InsightFlags ===

impl InsightFlags {
    pub(super) fn covers(&self) -> bool {
        self.coverage || self.threshold.is_some_and(|percent| percent > 0.0)
    }
}

// === impl Lines ===

impl Lines {
    /// The lines of parts, each counted once in what is covered and once in what is not, as in OPA.
    fn of<'p>(parts: impl Iterator<Item = &'p CoveredPart>) -> Self {
        let (mut covered, mut missed) = (BTreeSet::new(), BTreeSet::new());
        for part in parts {
            let rows = if part.is_covered { &mut covered } else { &mut missed };
            rows.extend(part.from.0..=part.to.0);
        }
        Self { covered: covered.len(), missed: missed.len() }
    }

    fn percent(self) -> f64 {
        let count = |lines: usize| f64::from(u32::try_from(lines).unwrap_or(u32::MAX));
        let all = count(self.covered) + count(self.missed);
        if all == 0.0 { 0.0 } else { 100.0 * count(self.covered) / all }
    }

    fn text(self) -> String {
        format!("{:.2}% ({} of {} lines)", self.percent(), self.covered, self.covered + self.missed)
    }
}

// === impl CoverageReport ===

impl CoverageReport {
    pub(super) fn new(parts: Vec<CoveredFile>) -> Self {
        let (mut files, mut lines) = (Vec::new(), Lines::default());
        for file in &parts {
            let of_file = Lines::of(file.parts.iter());
            lines.covered += of_file.covered;
            lines.missed += of_file.missed;
            let ranges =
                |covered: bool| file.parts.iter().filter(move |it| it.is_covered == covered).map(range);
            let report = FileReport {
                covered: ranges(true).collect(),
                not_covered: ranges(false).collect(),
                covered_lines: of_file.covered,
                not_covered_lines: of_file.missed,
                coverage: number(of_file.percent()),
            };
            files.push((file.file.clone(), report));
        }
        Self { files, parts, lines }
    }

    /// OPA's report.
    pub(super) fn json(&self) -> String {
        #[derive(Serialize)]
        struct Report<'a> {
            files: std::collections::BTreeMap<&'a str, &'a FileReport>,
            covered_lines: usize,
            not_covered_lines: usize,
            coverage: serde_json::Number,
        }
        let report = Report {
            files: self.files.iter().map(|(file, report)| (file.as_str(), report)).collect(),
            covered_lines: self.lines.covered,
            not_covered_lines: self.lines.missed,
            coverage: number(self.lines.percent()),
        };
        serde_json::to_string_pretty(&report).unwrap_or_default() + "\n"
    }

    /// By file and rule, with the lines that no test reaches.
    pub(super) fn pretty(&self) -> String {
        let mut text = String::new();
        for file in &self.parts {
            // Writing to a text cannot fail.
            let _ = writeln!(text, "{}: {}", file.file, Lines::of(file.parts.iter()).text());
            let mut rules: Vec<&str> = Vec::new();
            for part in &file.parts {
                if !rules.contains(&part.rule.as_str()) {
                    rules.push(&part.rule);
                }
            }
            for rule in rules {
                let parts = || file.parts.iter().filter(|part| part.rule == rule);
                let _ = write!(text, "  {rule}: {}", Lines::of(parts()).text());
                let missed = spans(parts().filter(|part| !part.is_covered));
                let missed: Vec<String> = missed.into_iter().map(span_text).collect();
                let _ = match missed.as_slice() {
                    [] => writeln!(text),
                    missed => writeln!(text, ", not covered: {}", missed.join(", ")),
                };
            }
        }
        let _ = writeln!(text, "all: {}", self.lines.text());
        text
    }

    /// What is wrong where less than `threshold` percent are covered.
    pub(super) fn shortfall(&self, threshold: f64, is_verbose: bool) -> Option<String> {
        let coverage = self.lines.percent();
        if coverage >= threshold {
            return None;
        }
        let mut text =
            format!("Code coverage threshold not met: got {coverage:.2} instead of {threshold:.2}");
        if is_verbose {
            text.push_str("\nLines not covered:");
            for file in &self.parts {
                for span in spans(file.parts.iter().filter(|part| !part.is_covered)) {
                    let _ = write!(text, "\n\t{}:{}", file.file, span_text(span));
                }
            }
        }
        Some(text)
    }
}

fn range(part: &CoveredPart) -> Range {
    let place = |(row, col): (u32, u32)| Place { row, col };
    Range { start: place(part.from), end: place(part.to) }
}

/// A number as Go writes it: `100`, and not `100.0`.
fn number(percent: f64) -> serde_json::Number {
    let text = format!("{percent}");
    serde_json::from_str(&text).unwrap_or_else(|_| serde_json::Number::from(0))
}

/// The lines of parts, those next to each other together.
fn spans<'p>(parts: impl Iterator<Item = &'p CoveredPart>) -> Vec<(u32, u32)> {
    let rows: BTreeSet<u32> = parts.flat_map(|part| part.from.0..=part.to.0).collect();
    let mut spans: Vec<(u32, u32)> = Vec::new();
    for row in rows {
        match spans.last_mut() {
            Some((_, last)) if *last + 1 == row => *last = row,
            Some(_) | None => spans.push((row, row)),
        }
    }
    spans
}

fn span_text((first, last): (u32, u32)) -> String {
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}

/// The expression that fails with the values in it below their places, as OPA shows them.
pub(super) fn failure(condition: &Condition) -> String {
    let mut text = format!("  {}:{}:\n", condition.file, condition.line);
    let mut block = format!("{}{}", condition.indent, condition.text);
    let mut shown: Vec<&Shown> = condition.shown.iter().collect();
    // Of one column the last line comes first, so that the values stand in the order of the expression.
    shown.sort_by(|one, other| {
        one.column.cmp(&other.column).then(other.line.cmp(&one.line)).then_with(|| one.text.cmp(&other.text))
    });
    if !shown.is_empty() {
        block.push('\n');
        block.push_str(&arrows(&shown, None, &condition.indent));
        for at in (0..shown.len()).rev() {
            block.push('\n');
            block.push_str(&arrows(&shown, Some(at), &condition.indent));
        }
    }
    for line in block.lines() {
        let _ = writeln!(text, "    {line}");
    }
    text
}

/// A line of arrows; the last one is the value of `value_at`.
fn arrows(shown: &[&Shown], value_at: Option<usize>, indent: &str) -> String {
    let (mut line, mut before) = (String::new(), 0);
    let drawn = shown.get(..value_at.map_or(shown.len(), |at| at + 1)).unwrap_or_default();
    for (at, value) in drawn.iter().enumerate() {
        let is_last = at + 1 == drawn.len();
        let shares = |other: Option<usize>| {
            other.and_then(|other| shown.get(other)).is_some_and(|other| other.column == value.column)
        };
        if !is_last && shares(Some(at + 1)) {
            continue;
        }
        for column in before + 1..value.column {
            let place = usize::try_from(column).unwrap_or(usize::MAX).saturating_sub(1);
            line.push(if indent.chars().nth(place) == Some('\t') { '\t' } else { ' ' });
        }
        if is_last && value_at.is_some() {
            let text = truncated(value.value.as_deref().unwrap_or("undefined"));
            if shares(at.checked_sub(1)) || shares(Some(at + 1)) {
                // Another one stands in this column.
                line.push_str(&format!("{}: {text}", value.text));
            } else {
                line.push_str(&text);
            }
        } else {
            line.push('|');
        }
        before = value.column;
    }
    line
}

fn truncated(value: &str) -> String {
    if value.chars().count() <= MAX_VALUE {
        return value.to_owned();
    }
    value.chars().take(MAX_VALUE - 3).collect::<String>() + "..."
}
