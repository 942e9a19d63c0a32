//! Durations as Go writes them, and with OPA's days, weeks and years.

/// Nanoseconds of a duration; none for what is none.
pub(crate) fn parse_duration(text: &str) -> Option<i64> {
    if text.contains(['d', 'w', 'y']) { plain(&rewritten(text)?) } else { plain(text) }
}

/// Writes days, weeks and years as hours.
fn rewritten(text: &str) -> Option<String> {
    let mut rest = text;
    let mut result = String::new();
    if let Some(after) = rest.strip_prefix(['-', '+']) {
        result.push_str(rest.get(..1)?);
        rest = after;
    }
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (digits, after) = number(rest);
        let unit = ["ms", "us", "µs", "ns"].into_iter().find(|unit| after.starts_with(unit));
        let unit = match unit {
            Some(unit) => unit,
            None => after.get(..1).filter(|unit| unit.bytes().all(|byte| byte.is_ascii_lowercase()))?,
        };
        if digits.is_empty() {
            return None;
        }
        let hours = match unit {
            "d" => Some(24.0),
            "w" => Some(7.0 * 24.0),
            "y" => Some(365.0 * 24.0),
            _ => None,
        };
        match hours {
            Some(hours) => result.push_str(&format!("{}h", digits.parse::<f64>().ok()? * hours)),
            None => {
                result.push_str(digits);
                result.push_str(unit);
            }
        }
        rest = after.get(unit.len()..)?;
    }
    Some(result)
}

fn number(text: &str) -> (&str, &str) {
    let end = text.find(|char: char| !char.is_ascii_digit() && char != '.').unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// The greatest number that Go reads before it takes the sign.
const MOST: u64 = 1 << 63;

fn plain(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0_u64;
    while !rest.is_empty() {
        let (value, after) = segment(rest)?;
        total = total.checked_add(value).filter(|total| *total <= MOST)?;
        rest = after;
    }
    if negative { 0_i64.checked_sub_unsigned(total) } else { i64::try_from(total).ok() }
}

/// Reads a number and its unit.
fn segment(text: &str) -> Option<(u64, &str)> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let (whole, rest) = text.split_at_checked(digits(text))?;
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at_checked(digits(rest))?,
        None => ("", rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let end = rest.find(|char: char| char == '.' || char.is_ascii_digit()).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at_checked(end)?;
    let unit: u64 = match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let whole =
        if whole.is_empty() { 0 } else { whole.parse::<u64>().ok().filter(|whole| *whole <= MOST)? };
    let mut value = Some(whole).filter(|whole| *whole <= MOST / unit)?.checked_mul(unit)?;
    let (part, scale) = fraction_of(fraction);
    if part > 0 {
        // Not below zero, and less than a unit.
        value = value.checked_add((part as f64 * (unit as f64 / scale)) as u64)?;
    }
    (value <= MOST).then_some((value, rest))
}

/// The digits of a fraction and their scale, as many as fit.
fn fraction_of(digits: &str) -> (u64, f64) {
    let (mut part, mut scale) = (0_u64, 1.0);
    for digit in digits.bytes() {
        if part > (MOST - 1) / 10 {
            break;
        }
        let next = part * 10 + u64::from(digit - b'0');
        if next > MOST {
            break;
        }
        part = next;
        scale *= 10.0;
    }
    (part, scale)
}
