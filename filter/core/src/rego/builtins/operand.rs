//! The arguments of a call, and OPA's complaints about them.

use num_bigint::BigInt;
use regorus::{Rc, Value};

use super::Failure;
use super::number::{Numeric, numeric};
use crate::rego::order::sorted;

pub(super) fn operands<const N: usize>(arguments: &[Value]) -> Result<&[Value; N], Failure> {
    arguments
        .try_into()
        .map_err(|_| Failure::fatal(format!("a builtin of {N} arguments was given {}", arguments.len())))
}

pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Set(_) => "set",
        Value::Object(_) => "object",
        Value::Undefined => "undefined",
    }
}

pub(super) fn mismatch(position: usize, expected: &str, got: &Value) -> Failure {
    Failure::undefined(format!("operand {position} must be {expected} but got {}", type_name(got)))
}

pub(super) fn text(value: &Value, position: usize) -> Result<&Rc<str>, Failure> {
    if let Value::String(text) = value { Ok(text) } else { Err(mismatch(position, "string", value)) }
}

pub(super) fn number(value: &Value, position: usize) -> Result<Numeric, Failure> {
    numeric(value).ok_or_else(|| mismatch(position, "number", value))
}

/// An integer of 64 bits, which may have zeros behind a point.
pub(super) fn integer(value: &Value, position: usize) -> Result<i64, Failure> {
    number(value, position)?.integer().ok_or_else(|| {
        Failure::undefined(format!("operand {position} must be integer number but got floating-point number"))
    })
}

/// A number that is whole, however it is written.
pub(super) fn whole(value: &Value, position: usize) -> Result<BigInt, Failure> {
    number(value, position)?.whole().ok_or_else(|| {
        Failure::undefined(format!("operand {position} must be integer number but got floating-point number"))
    })
}

/// The strings of an array, or of a set in its order.
pub(super) fn texts(value: &Value, position: usize) -> Result<Vec<&Rc<str>>, Failure> {
    elements(value)
        .ok_or_else(|| mismatch(position, "one of {array, set}", value))?
        .into_iter()
        .map(|element| text(element, position))
        .collect()
}

/// The elements of an array, or of a set in its order.
pub(super) fn elements(value: &Value) -> Option<Vec<&Value>> {
    match value {
        Value::Array(items) => Some(items.iter().collect()),
        Value::Set(items) => Some(sorted(items.iter())),
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Object(_)
        | Value::Undefined => None,
    }
}
