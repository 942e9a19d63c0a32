//! The numbers in canonical text, for comparing answers that differ in how one is written.

/// Canonical text with every number outside of strings in one spelling.
pub(super) fn with_plain_numbers(text: &str) -> String {
    with_numbers(text, plain_number)
}

/// Canonical text with every number outside of strings as the nearest one of 64 bits.
pub(super) fn with_rounded_numbers(text: &str) -> String {
    with_numbers(text, |number| match number.parse::<f64>() {
        Ok(rounded) => format!("{rounded:e}"),
        Err(_) => number.to_owned(),
    })
}

fn with_numbers(text: &str, written: impl Fn(&str) -> String) -> String {
    let mut plain = String::new();
    let mut number = String::new();
    let (mut in_string, mut escaped) = (false, false);
    for char in text.chars().chain(['\0']) {
        if !in_string
            && (char.is_ascii_digit() || matches!(char, '-' | '+' | '.' | 'e' | 'E'))
            && (char != 'e' || !number.is_empty())
        {
            number.push(char);
            continue;
        }
        if !number.is_empty() {
            plain.push_str(&written(&number));
            number.clear();
        }
        plain.push(char);
        match char {
            _ if escaped => escaped = false,
            '\\' if in_string => escaped = true,
            '"' => in_string = !in_string,
            _ => {}
        }
    }
    plain
}

/// A number as its digits without zeros at either end, and the power of ten of its first digit.
fn plain_number(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let (mantissa, exponent) = lower.split_once('e').unwrap_or((lower.as_str(), "0"));
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    let Ok(exponent) = exponent.trim_start_matches('+').parse::<i64>() else { return text.to_owned() };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_start_matches('0');
    let leading = digits.len() - significant.len();
    let significant = significant.trim_end_matches('0');
    if significant.is_empty() {
        return "0".to_owned();
    }
    let at = |length: usize| i64::try_from(length).unwrap_or_default();
    format!("{sign}{significant}^{}", exponent + at(whole.len()) - at(leading))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(one: &str, other: &str, expect: bool) {
        assert_eq!(with_plain_numbers(one) == with_plain_numbers(other), expect, "{one} {other}");
    }

    #[test]
    fn spellings_of_one_number() {
        check("1", "1.0", true);
        check("{\"a\": [1e2, -0.50]}", "{\"a\": [100, -5e-1]}", true);
        check("0", "-0.0", true);
        check("1", "10", false);
        check("0.1", "0.01", false);
        check("-1", "1", false);
        check("\"1.0\"", "\"1\"", false);
        check("\"a\\\"1.0\"", "\"a\\\"1\"", false);
        check("true", "false", false);
        check("null", "set()", false);
    }

    #[test]
    fn numbers_that_are_the_same_in_64_bits() {
        let same = |one: &str, other: &str| with_rounded_numbers(one) == with_rounded_numbers(other);
        assert!(same("[0.33333333333333333334]", "[0.3333333333333333]"));
        assert!(same("9007199254740993.0", "9007199254740992"));
        assert!(!same("9007199254740991", "9007199254740992"));
        assert!(!same("\"0.33333333333333333334\"", "\"0.3333333333333333\""));
    }
}
