//! Replacing in strings, as Go's `strings.Replacer` does.

use regorus::Value;

use super::operand::{mismatch, operands, text};
use super::{Failure, Outcome, Surroundings, Work};

pub(super) fn replace(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [whole, old, new] = operands(arguments)?;
    let (whole, old, new) = (text(whole, 1)?, text(old, 2)?, text(new, 3)?);
    replaced(whole, &[(old, new)], &mut surroundings.work)
}

/// Replaces the keys of an object by its values. Where several keys match, the first in order is taken.
pub(super) fn replace_n(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [patterns, whole] = operands(arguments)?;
    let Value::Object(entries) = patterns else { return Err(mismatch(1, "object", patterns)) };
    let whole = text(whole, 2)?;
    surroundings.work.spend_on(entries.len())?;
    let mut pairs = Vec::new();
    for (key, value) in entries.iter() {
        let (Value::String(key), Value::String(value)) = (key, value) else {
            return Err(Failure::undefined("operand 1 non-string key or value found in pattern object"));
        };
        pairs.push((&**key, &**value));
    }
    replaced(whole, &pairs, &mut surroundings.work)
}

fn replaced(whole: &str, pairs: &[(&str, &str)], work: &mut Work) -> Outcome {
    work.spend_on_text(whole.len())?;
    work.spend_on(whole.len().saturating_mul(pairs.len()))?;
    if !whole.is_ascii() && pairs.iter().any(|(old, new)| old.is_empty() && !new.is_empty()) {
        // OPA puts it between the bytes of a character, which makes no text.
        return Err(Failure::fatal("an empty string cannot be replaced in a text that is not ASCII"));
    }
    let mut out = String::new();
    let (mut at, mut copied) = (0, 0);
    let mut was_empty = false;
    while at <= whole.len() {
        // Within a character nothing begins.
        let rest = whole.get(at..).unwrap_or_default();
        let is_boundary = whole.is_char_boundary(at);
        let found = pairs
            .iter()
            .find(|(old, _)| is_boundary && rest.starts_with(old) && !(old.is_empty() && was_empty));
        let Some((old, new)) = found else {
            was_empty = false;
            at += 1;
            continue;
        };
        was_empty = old.is_empty();
        let before = whole.get(copied..at).unwrap_or_default();
        work.spend_on_new_text(before.len() + new.len())?;
        out.push_str(before);
        out.push_str(new);
        at += old.len();
        copied = at;
    }
    let tail = whole.get(copied..).unwrap_or_default();
    work.spend_on_new_text(tail.len())?;
    out.push_str(tail);
    Ok(Value::from(out))
}
