//! How numbers are written. The parsers of JSON and of Rego write `1e1000000000` out, and take time by the square of the
//! digits: what is beyond all use is not given to them.

/// The most characters of a number.
const MAX_LENGTH: usize = 1000;
/// The largest power of ten.
const MAX_EXPONENT: u32 = 1000;

/// What is wrong with a number that is not read.
pub(super) const TOO_LARGE: &str = "a number has more than 1000 digits, or an exponent beyond 1000";

/// Where the number ends that begins at `from`: behind everything that may be a part of one.
pub(super) fn end(text: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(byte) = text.get(at) {
        let is_part = match byte {
            b'0'..=b'9' | b'.' | b'e' | b'E' => true,
            b'+' | b'-' => at == from || matches!(text.get(at - 1), Some(b'e' | b'E')),
            _ => false,
        };
        if !is_part {
            break;
        }
        at += 1;
    }
    at
}

/// Whether a number is of a size that is read.
pub(super) fn is_usable(number: &str) -> bool {
    let exponent = number.split_once(['e', 'E']).map_or("", |(_, exponent)| exponent);
    let digits = exponent.trim_start_matches(['+', '-']).trim_start_matches('0');
    // What is no number is for the parser to say.
    let is_small = digits.is_empty()
        || digits.bytes().any(|byte| !byte.is_ascii_digit())
        || digits.parse::<u32>().is_ok_and(|exponent| exponent <= MAX_EXPONENT);
    number.len() <= MAX_LENGTH && is_small
}

/// The line of the first number in JSON that is not of such a size.
pub(super) fn first_unusable(json: &str) -> Option<usize> {
    let bytes = json.as_bytes();
    let (mut at, mut line) = (0, 1);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at = end_of_string(bytes, at),
            b'0'..=b'9' | b'-' => {
                let end = end(bytes, at);
                if json.get(at..end).is_some_and(|number| !is_usable(number)) {
                    return Some(line);
                }
                at = end.max(at + 1);
            }
            b'\n' => {
                line += 1;
                at += 1;
            }
            _ => at += 1,
        }
    }
    None
}

fn end_of_string(bytes: &[u8], from: usize) -> usize {
    let mut at = from + 1;
    loop {
        match bytes.get(at) {
            None | Some(b'\n') => return at,
            Some(b'"') => return at + 1,
            Some(b'\\') => at += 2,
            Some(_) => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, expect: Option<usize>) {
        assert_eq!(first_unusable(json), expect, "{json}");
    }

    #[test]
    fn numbers() {
        check("[0, -1, 1.5e300, 1E-7, 1e+10, 1e000000000001, 12345678901234567890123456789]", None);
        check("[1e1000]", None);
        check("[1e1001]", Some(1));
        check("[\n1,\n-1.5E+99999999999999999999]", Some(3));
        check("[1e-1000000000]", Some(1));
        check(&"9".repeat(1000), None);
        check(&"9".repeat(1001), Some(1));
        check(&format!("[\"{}\"]", "9".repeat(2000)), None);
        check("[\"\\\"1e9999\", \"1e9999\"]", None);
        check("[\"\\\\\", 1e9999]", Some(1));
        check("-", None);
    }
}
