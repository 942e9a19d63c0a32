//! Strings. Positions and lengths are counted in characters, as OPA does.

use num_bigint::BigInt;
use regorus::{Rc, Value};

use super::letter_case::{lower, upper};
use super::number::{Numeric, spend_on_digits};
use super::operand::{elements, integer, mismatch, number, operands, text, texts};
use super::replace::{replace, replace_n};
use super::{Builtin, Failure, Outcome, Surroundings};

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin::new("concat", 2, concat),
    Builtin::new("contains", 2, |s, a| pair(s, a, |text, part| text.contains(part))),
    Builtin::new("startswith", 2, |s, a| pair(s, a, |text, part| text.starts_with(part))),
    Builtin::new("endswith", 2, |s, a| pair(s, a, |text, part| text.ends_with(part))),
    Builtin::new("strings.any_prefix_match", 2, |s, a| {
        any_affix(s, a, |text, affix| text.starts_with(affix))
    }),
    Builtin::new("strings.any_suffix_match", 2, |s, a| any_affix(s, a, |text, affix| text.ends_with(affix))),
    Builtin::new("strings.count", 2, count),
    Builtin::new("strings.reverse", 1, reverse),
    Builtin::new("strings.replace_n", 2, replace_n),
    Builtin::new("strings.split_n", 3, split_n),
    Builtin::new("format_int", 2, format_int),
    Builtin::new("indexof", 2, index_of),
    Builtin::new("indexof_n", 2, index_of_n),
    Builtin::new("lower", 1, |s, a| changed(s, a, lower)),
    Builtin::new("upper", 1, |s, a| changed(s, a, upper)),
    Builtin::new("replace", 3, replace),
    Builtin::new("split", 2, split),
    Builtin::new("substring", 3, substring),
    Builtin::new("trim", 2, |s, a| trimmed(s, a, |text, cut| text.trim_matches(|char| cut.contains(char)))),
    Builtin::new("trim_left", 2, |s, a| {
        trimmed(s, a, |text, cut| text.trim_start_matches(|char| cut.contains(char)))
    }),
    Builtin::new("trim_right", 2, |s, a| {
        trimmed(s, a, |text, cut| text.trim_end_matches(|char| cut.contains(char)))
    }),
    Builtin::new("trim_prefix", 2, |s, a| trimmed(s, a, |text, cut| text.strip_prefix(cut).unwrap_or(text))),
    Builtin::new("trim_suffix", 2, |s, a| trimmed(s, a, |text, cut| text.strip_suffix(cut).unwrap_or(text))),
    Builtin::new("trim_space", 1, |s, a| changed(s, a, |text| text.trim().to_owned())),
];

fn changed(surroundings: &mut Surroundings, arguments: &[Value], change: fn(&str) -> String) -> Outcome {
    let [value] = operands(arguments)?;
    let text = text(value, 1)?;
    surroundings.work.spend_on_new_text(text.len())?;
    Ok(Value::from(change(text)))
}

fn two_texts<'v>(
    surroundings: &mut Surroundings,
    arguments: &'v [Value],
) -> Result<(&'v str, &'v str), Failure> {
    let [left, right] = operands(arguments)?;
    let (left, right) = (text(left, 1)?, text(right, 2)?);
    surroundings.work.spend_on_text(left.len() + right.len())?;
    Ok((left, right))
}

fn pair(surroundings: &mut Surroundings, arguments: &[Value], holds: fn(&str, &str) -> bool) -> Outcome {
    let (text, part) = two_texts(surroundings, arguments)?;
    Ok(Value::from(holds(text, part)))
}

fn trimmed(
    surroundings: &mut Surroundings,
    arguments: &[Value],
    trim: for<'t> fn(&'t str, &str) -> &'t str,
) -> Outcome {
    let (text, cut) = two_texts(surroundings, arguments)?;
    // Each character of the text may be looked for in the whole cut set.
    surroundings.work.spend_on_new_text(text.len().saturating_mul(1 + cut.len() / 16))?;
    Ok(Value::from(trim(text, cut)))
}

fn concat(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [delimiter, collection] = operands(arguments)?;
    let delimiter = text(delimiter, 1)?;
    let parts = elements(collection).ok_or_else(|| mismatch(2, "one of {set, array}", collection))?;
    surroundings.work.spend_on(parts.len())?;
    let parts = parts.into_iter().map(|part| text(part, 2)).collect::<Result<Vec<_>, _>>()?;
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let delimiters = delimiter.len().saturating_mul(parts.len());
    surroundings.work.spend_on_new_text(length.saturating_add(delimiters))?;
    Ok(Value::from(parts.into_iter().map(|part| &**part).collect::<Vec<_>>().join(delimiter)))
}

/// One string or a collection of them.
fn one_or_many(value: &Value, position: usize) -> Result<Vec<&Rc<str>>, Failure> {
    match value {
        Value::String(text) => Ok(vec![text]),
        Value::Array(_) | Value::Set(_) => texts(value, position),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) | Value::Undefined => {
            Err(mismatch(position, "one of {string, set, array}", value))
        }
    }
}

fn any_affix(
    surroundings: &mut Surroundings,
    arguments: &[Value],
    matches: fn(&str, &str) -> bool,
) -> Outcome {
    let [searched, affixes] = operands(arguments)?;
    surroundings.work.weigh(searched)?;
    surroundings.work.weigh(affixes)?;
    let (searched, affixes) = (one_or_many(searched, 1)?, one_or_many(affixes, 2)?);
    for text in searched {
        surroundings.work.spend_on(affixes.len())?;
        if affixes.iter().any(|affix| matches(text, affix)) {
            return Ok(Value::from(true));
        }
    }
    Ok(Value::from(false))
}

fn count(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let (text, part) = two_texts(surroundings, arguments)?;
    surroundings.work.spend_on_new_text(text.len())?;
    // The empty string is before each character and at the end.
    let count = if part.is_empty() { text.chars().count() + 1 } else { text.matches(part).count() };
    Ok(Value::from(count))
}

fn reverse(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    changed(surroundings, arguments, |text| text.chars().rev().collect())
}

fn format_int(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [value, base] = operands(arguments)?;
    let (number, base) = (number(value, 1)?, number(base, 2)?);
    let work = &mut surroundings.work;
    work.spend(1)?;
    let base = match base {
        Numeric::Integer(base @ (2 | 8 | 10 | 16)) => u32::try_from(base).unwrap_or(10),
        Numeric::Integer(_) | Numeric::Big(_) | Numeric::Float(_) => {
            return Err(Failure::undefined("operand 2 must be one of {2, 8, 10, 16}"));
        }
    };
    let integer = match number {
        Numeric::Integer(integer) => BigInt::from(integer),
        Numeric::Big(big) => (*big).clone(),
        Numeric::Float(_) => number.to_big_float(work)?.truncated(),
    };
    spend_on_digits(integer.bits(), work)?;
    Ok(Value::from(integer.to_str_radix(base)))
}

fn searched<'v>(
    surroundings: &mut Surroundings,
    arguments: &'v [Value],
) -> Result<(&'v str, &'v str), Failure> {
    let (text, part) = two_texts(surroundings, arguments)?;
    if part.is_empty() { Err(Failure::undefined("empty search character")) } else { Ok((text, part)) }
}

fn index_of(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let (text, part) = searched(surroundings, arguments)?;
    let found = text.find(part).and_then(|at| text.get(..at));
    Ok(found.map_or(Value::from(-1), |before| Value::from(before.chars().count())))
}

/// All positions, of overlapping occurrences too.
fn index_of_n(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let (text, part) = searched(surroundings, arguments)?;
    let mut positions = Vec::new();
    let (mut rest, mut passed) = (text, 0);
    while let Some(at) = rest.find(part) {
        surroundings.work.spend_on_new_text(16 + part.len())?;
        let (before, found) = rest.split_at_checked(at).unwrap_or((rest, ""));
        passed += before.chars().count();
        positions.push(Value::from(passed));
        let mut chars = found.chars();
        chars.next();
        passed += 1;
        rest = chars.as_str();
    }
    Ok(Value::from(positions))
}

fn parts<'t>(text: &'t str, delimiter: &str, limit: usize) -> Vec<&'t str> {
    if !delimiter.is_empty() {
        return text.splitn(limit, delimiter).collect();
    }
    // Without a delimiter, character by character.
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(char) = rest.chars().next() {
        if parts.len() + 1 >= limit {
            parts.push(rest);
            return parts;
        }
        let (first, after) = rest.split_at_checked(char.len_utf8()).unwrap_or((rest, ""));
        parts.push(first);
        rest = after;
    }
    parts
}

fn split(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let (text, delimiter) = two_texts(surroundings, arguments)?;
    surroundings.work.spend_on_new_text(text.len())?;
    let parts = parts(text, delimiter, usize::MAX);
    surroundings.work.spend(parts.len() as u64)?;
    Ok(Value::from(parts.into_iter().map(Value::from).collect::<Vec<_>>()))
}

/// The first parts, or with a negative number the last ones.
fn split_n(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [whole, delimiter, count] = operands(arguments)?;
    let (whole, delimiter) = (text(whole, 1)?, text(delimiter, 2)?);
    let count = integer(count, 3)?;
    surroundings.work.spend_on_new_text(whole.len())?;
    let wanted = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    let (skipped, parts) = if count >= 0 {
        (0, parts(whole, delimiter, wanted.saturating_add(1)))
    } else {
        let parts = parts(whole, delimiter, usize::MAX);
        (parts.len().saturating_sub(wanted), parts)
    };
    surroundings.work.spend(parts.len() as u64)?;
    Ok(Value::from(parts.into_iter().skip(skipped).take(wanted).map(Value::from).collect::<Vec<_>>()))
}

fn substring(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [whole, start, length] = operands(arguments)?;
    let whole = text(whole, 1)?;
    let (start, length) = (integer(start, 2)?, integer(length, 3)?);
    surroundings.work.spend_on_new_text(whole.len())?;
    let start = usize::try_from(start).map_err(|_| Failure::undefined("negative offset"))?;
    let rest = whole.char_indices().nth(start).and_then(|(at, _)| whole.get(at..)).unwrap_or_default();
    // A negative length means all the rest.
    let end = usize::try_from(length).ok().and_then(|length| rest.char_indices().nth(length));
    let taken = end.and_then(|(end, _)| rest.get(..end)).unwrap_or(rest);
    Ok(Value::from(taken))
}
