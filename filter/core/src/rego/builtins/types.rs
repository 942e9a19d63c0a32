//! Types of values, and changing between them.

use regorus::Value;

use super::number::from_text;
use super::operand::{elements, mismatch, operands, text, type_name};
use super::{Builtin, Failure, Outcome, Surroundings};

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin::new("is_null", 1, |_, a| is(a, "null")),
    Builtin::new("is_boolean", 1, |_, a| is(a, "boolean")),
    Builtin::new("is_number", 1, |_, a| is(a, "number")),
    Builtin::new("is_string", 1, |_, a| is(a, "string")),
    Builtin::new("is_array", 1, |_, a| is(a, "array")),
    Builtin::new("is_set", 1, |_, a| is(a, "set")),
    Builtin::new("is_object", 1, |_, a| is(a, "object")),
    Builtin::new("type_name", 1, name),
    Builtin::new("to_number", 1, to_number),
    Builtin::new("cast_array", 1, cast_array),
    Builtin::new("cast_set", 1, cast_set),
    Builtin::new("cast_string", 1, |_, a| cast(a, "string")),
    Builtin::new("cast_boolean", 1, |_, a| cast(a, "boolean")),
    Builtin::new("cast_null", 1, |_, a| cast(a, "null")),
    Builtin::new("cast_object", 1, |_, a| cast(a, "object")),
    Builtin::new("trace", 1, trace),
];

fn is(arguments: &[Value], name: &str) -> Outcome {
    let [value] = operands(arguments)?;
    Ok(Value::from(type_name(value) == name))
}

fn name(_: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [value] = operands(arguments)?;
    Ok(Value::from(type_name(value)))
}

fn cast(arguments: &[Value], name: &str) -> Outcome {
    let [value] = operands(arguments)?;
    if type_name(value) == name { Ok(value.clone()) } else { Err(mismatch(1, name, value)) }
}

fn cast_array(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [value] = operands(arguments)?;
    if let Value::Set(_) = value {
        surroundings.work.weigh(value)?;
    }
    let elements = elements(value).ok_or_else(|| mismatch(1, "one of {array, set}", value))?;
    Ok(Value::from(elements.into_iter().cloned().collect::<Vec<_>>()))
}

fn cast_set(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [value] = operands(arguments)?;
    if let Value::Array(_) = value {
        surroundings.work.weigh(value)?;
    }
    let elements = elements(value).ok_or_else(|| mismatch(1, "one of {array, set}", value))?;
    Ok(Value::from(elements.into_iter().cloned().collect::<std::collections::BTreeSet<_>>()))
}

fn to_number(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [value] = operands(arguments)?;
    match value {
        Value::Null | Value::Bool(false) => Ok(Value::from(0)),
        Value::Bool(true) => Ok(Value::from(1)),
        Value::Number(_) => Ok(value.clone()),
        Value::String(text) => parse(text, surroundings),
        Value::Array(_) | Value::Set(_) | Value::Object(_) | Value::Undefined => {
            Err(mismatch(1, "one of {null, boolean, number, string}", value))
        }
    }
}

/// Go's `ParseFloat` decides what a number is; it must be one of 64 bits too.
fn parse(text: &str, surroundings: &mut Surroundings) -> Outcome {
    let no_number = || Failure::undefined(format!("`{text}` is not a number"));
    surroundings.work.spend_on_text(text.len())?;
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let is_hexadecimal = unsigned.starts_with("0x") || unsigned.starts_with("0X");
    if is_hexadecimal && !unsigned.contains(['p', 'P']) {
        // Go's hexadecimal numbers have an exponent.
        return Err(no_number());
    }
    if is_hexadecimal || unsigned.contains('_') {
        // OPA keeps the text of these as a number, and of what follows from it nothing is sure.
        let like_one = unsigned.starts_with(|char: char| char.is_ascii_digit());
        return Err(if like_one {
            Failure::fatal(format!("`{text}`: hexadecimal numbers and underscores are not known here"))
        } else {
            no_number()
        });
    }
    if !unsigned.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'))
    {
        return Err(no_number());
    }
    match text.parse::<f64>() {
        Ok(float) if float.is_finite() => from_text(text, &mut surroundings.work),
        Ok(_) | Err(_) => Err(no_number()),
    }
}

fn trace(_: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [note] = operands(arguments)?;
    text(note, 1)?;
    Ok(Value::from(true))
}
