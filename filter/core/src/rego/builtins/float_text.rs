//! Floats as Go's `strconv` prints them.

/// Prints a float that is not negative by a verb of `fmt`; the shortest digits if there is no precision.
pub(super) fn float_text(float: f64, verb: char, precision: Option<usize>) -> String {
    match verb {
        'f' | 'F' => match precision {
            Some(precision) => format!("{float:.precision$}"),
            None => format!("{float}"),
        },
        'e' | 'E' => {
            let text = match precision {
                Some(precision) => format!("{float:.precision$e}"),
                None => format!("{float:e}"),
            };
            let (digits, exponent) = split(&text);
            with_exponent(digits, exponent, verb)
        }
        _ => general(float, if verb == 'G' { 'E' } else { 'e' }, precision),
    }
}

/// `%g`: with an exponent where it is small or large, and without trailing zeros.
fn general(float: f64, exponent_mark: char, precision: Option<usize>) -> String {
    let text = match precision {
        Some(precision) => format!("{float:.*e}", precision.max(1) - 1),
        None => format!("{float:e}"),
    };
    let (digits, exponent) = split(&text);
    let digits: String = digits.chars().filter(|char| *char != '.').collect();
    let trimmed = digits.trim_end_matches('0');
    let digits = if trimmed.is_empty() { "0" } else { trimmed };
    let count = digits.len() as i64;
    let limit = match precision {
        // Shorter numbers count as their own precision.
        Some(precision) => {
            let precision = precision.max(1) as i64;
            if precision > count && count > exponent { count } else { precision }
        }
        None => 6,
    };
    if exponent < -4 || exponent >= limit {
        let (first, rest) = digits.split_at_checked(1).unwrap_or((digits, ""));
        let digits = if rest.is_empty() { first.to_owned() } else { format!("{first}.{rest}") };
        return with_exponent(&digits, exponent, exponent_mark);
    }
    let Ok(point) = usize::try_from(exponent + 1) else {
        return format!("0.{}{digits}", "0".repeat(usize::try_from(-exponent - 1).unwrap_or(0)));
    };
    if point == 0 {
        return format!("0.{digits}");
    }
    match digits.split_at_checked(point) {
        Some((whole, "")) => whole.to_owned(),
        Some((whole, fraction)) => format!("{whole}.{fraction}"),
        None => format!("{digits:0<point$}"),
    }
}

fn split(text: &str) -> (&str, i64) {
    let (digits, exponent) = text.split_once('e').unwrap_or((text, "0"));
    (digits, exponent.parse().unwrap_or(0))
}

fn with_exponent(digits: &str, exponent: i64, mark: char) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}{mark}{sign}{:02}", exponent.unsigned_abs())
}
