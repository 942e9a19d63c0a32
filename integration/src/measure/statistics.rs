//! Figures of many rounds.

/// What a figure was over the rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// Half of the rounds are below it.
    pub median: f64,
    /// A quarter of the rounds is below it.
    pub low: f64,
    /// A quarter of the rounds is above it.
    pub high: f64,
}

// === impl Spread ===

impl Spread {
    /// Of a figure of each round. Without any, nothing is a number.
    pub fn of(rounds: impl IntoIterator<Item = f64>) -> Self {
        let mut rounds: Vec<f64> = rounds.into_iter().collect();
        rounds.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let index = (rounds.len().saturating_sub(1) as f64 * share).round() as usize;
            rounds.get(index).copied().unwrap_or(f64::NAN)
        };
        Self { median: at(0.5), low: at(0.25), high: at(0.75) }
    }
}

/// What figures of the same rounds are next to others: a ratio for each round, so that what the machine does meanwhile
/// meets both parts of it.
pub fn ratios(figures: &[f64], others: &[f64]) -> Spread {
    Spread::of(figures.iter().zip(others).map(|(figure, other)| figure / other))
}

/// What figures are more than others of the same rounds.
pub fn differences(figures: &[f64], others: &[f64]) -> Vec<f64> {
    figures.iter().zip(others).map(|(figure, other)| figure - other).collect()
}

/// Lines of cells as a table in Markdown, the first line its head, with columns that are as wide as they must be.
pub fn table(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default().max(3)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            text.push_str(&if column == 0 {
                format!("| {cell:<width$} ")
            } else {
                format!("| {cell:>width$} ")
            });
        }
        text.push_str("|\n");
        if number == 0 {
            for (column, width) in widths.iter().enumerate() {
                text.push_str(&format!("|{}{}", "-".repeat(width + 1), if column == 0 { "-" } else { ":" }));
            }
            text.push_str("|\n");
        }
    }
    text
}

/// A figure to three digits, which is what it is good for.
pub fn figure(value: f64) -> String {
    let digits = match value.abs() {
        _ if value.is_nan() => return "–".to_owned(),
        size if size < 10.0 => 2,
        size if size < 100.0 => 1,
        _ => 0,
    };
    let text = format!("{value:.digits$}");
    match text.split_at_checked(text.len().saturating_sub(3)) {
        Some((thousands, rest)) if digits == 0 && thousands.ends_with(|last: char| last.is_ascii_digit()) => {
            format!("{thousands},{rest}")
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_rounds() {
        let spread = Spread::of([5.0, 1.0, 3.0, 2.0, 4.0]);
        assert_eq!(spread, Spread { median: 3.0, low: 2.0, high: 4.0 });
        assert!(Spread::of([]).median.is_nan());
        // Ten times as much in each round, however the rounds differ.
        assert_eq!(ratios(&[10.0, 200.0], &[1.0, 20.0]), Spread { median: 10.0, low: 10.0, high: 10.0 });
        assert_eq!(differences(&[3.0, 5.0], &[1.0, 1.0]), [2.0, 4.0]);
    }

    #[test]
    fn figures_as_text() {
        let texts = [0.128, 12.34, 123.4, 12345.0, -1.5, f64::NAN].map(figure);
        assert_eq!(texts, ["0.13", "12.3", "123", "12,345", "-1.50", "–"]);
        let line = |name: &str, value: &str| vec![name.to_owned(), value.to_owned()];
        let table = table(&[line("", "µs"), line("nothing", "1.00")]);
        assert_eq!(table, "|         |   µs |\n|---------|-----:|\n| nothing | 1.00 |\n");
    }
}
