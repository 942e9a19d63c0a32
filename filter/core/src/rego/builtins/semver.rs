//! Semantic versions.

use std::cmp::Ordering;

use regorus::Value;

use super::operand::{operands, text};
use super::{Builtin, Failure, Outcome, Surroundings};

pub(super) const BUILTINS: &[Builtin] =
    &[Builtin::new("semver.compare", 2, compare), Builtin::new("semver.is_valid", 1, is_valid)];

struct Version<'t> {
    numbers: [i64; 3],
    pre_release: &'t str,
}

// === impl Version ===

impl<'t> Version<'t> {
    fn parse(text: &'t str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let (text, metadata) = text.split_once('+').unwrap_or((text, "0"));
        let (text, pre_release) = match text.split_once('-') {
            Some((text, pre_release)) => {
                let has_zeros = |part: &str| part.len() > 1 && part.starts_with('0') && is_decimal(part);
                if !are_identifiers(pre_release) || pre_release.split('.').any(has_zeros) {
                    return None;
                }
                (text, pre_release)
            }
            None => (text, ""),
        };
        if !are_identifiers(metadata) {
            return None;
        }
        let mut parts = text.split('.');
        let mut number = || parts.next().and_then(number);
        let numbers = [number()?, number()?, number()?];
        parts.next().is_none().then_some(Self { numbers, pre_release })
    }

    fn order(&self, other: &Self) -> Ordering {
        self.numbers.cmp(&other.numbers).then_with(|| match (self.pre_release, other.pre_release) {
            (left, right) if left == right => Ordering::Equal,
            // Without a pre-release it is the later one.
            ("", _) => Ordering::Greater,
            (_, "") => Ordering::Less,
            (left, right) => pre_release_order(left, right),
        })
    }
}

fn number(text: &str) -> Option<i64> {
    let plain = is_decimal(text) && (text.len() == 1 || !text.starts_with('0'));
    plain.then(|| text.parse().ok()).flatten()
}

fn is_decimal(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn are_identifiers(text: &str) -> bool {
    text.split('.')
        .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'))
}

fn pre_release_order(left: &str, right: &str) -> Ordering {
    let (mut left, mut right) = (left.split('.'), right.split('.'));
    loop {
        let order = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(left), Some(right)) => match (is_decimal(left), is_decimal(right)) {
                // Numbers beyond 64 bits are all the greatest one.
                (true, true) => saturated(left).cmp(&saturated(right)),
                (true, false) => Ordering::Less,
                (false, true) => Ordering::Greater,
                (false, false) => left.cmp(right),
            },
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

fn saturated(text: &str) -> i64 {
    text.parse().unwrap_or(i64::MAX)
}

fn compare(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [left, right] = operands(arguments)?;
    let (left, right) = (text(left, 1)?, text(right, 2)?);
    surroundings.work.spend_on_text((left.len() + right.len()) * 4)?;
    let parse = |text, position| {
        Version::parse(text).ok_or_else(|| {
            Failure::undefined(format!("operand {position}: string {text} is not a valid SemVer"))
        })
    };
    Ok(Value::from(match parse(left, 1)?.order(&parse(right, 2)?) {
        Ordering::Less => -1,
        Ordering::Equal => 0,
        Ordering::Greater => 1,
    }))
}

fn is_valid(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [value] = operands(arguments)?;
    let Value::String(text) = value else { return Ok(Value::from(false)) };
    surroundings.work.spend_on_text(text.len() * 4)?;
    Ok(Value::from(Version::parse(text).is_some()))
}
