//! What tests print. Elsewhere nobody reads it, and nothing is written.

use regorus::Value;

use super::operand::operands;
use super::term_text::write_term;
use super::{Builtin, Failure, Outcome, Surroundings, Work};
use crate::rego::order::sorted;

/// OPA's name for what a `print` becomes.
pub(in crate::rego) const PRINT: &str = "internal.print";

pub(super) const BUILTINS: &[Builtin] = &[Builtin::new(PRINT, 1, print)];

/// What stands for an operand that has no value.
const UNDEFINED: &str = "<undefined>";

/// Writes a line for each combination of the operands' values: an array of sets, as a variable may have several.
fn print(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [operands] = operands(arguments)?;
    let (Some(printed), Value::Array(operands)) = (&mut surroundings.printed, operands) else {
        return Ok(Value::Bool(true));
    };
    let work = &mut surroundings.work;
    let mut lines = vec![String::new()];
    for (at, operand) in operands.iter().enumerate() {
        let texts = texts(operand, work)?;
        let mut longer = Vec::new();
        for line in &lines {
            for text in &texts {
                work.spend_on_new_text(line.len() + text.len())?;
                let separator = if at > 0 { " " } else { "" };
                longer.push(format!("{line}{separator}{text}"));
            }
        }
        lines = longer;
    }
    for line in lines {
        printed.push_str(&line);
        printed.push('\n');
    }
    Ok(Value::Bool(true))
}

fn texts(operand: &Value, work: &mut Work) -> Result<Vec<String>, Failure> {
    match operand {
        Value::Set(members) if members.is_empty() => Ok(vec![UNDEFINED.to_owned()]),
        Value::Set(members) => sorted(members.iter()).into_iter().map(|member| plain(member, work)).collect(),
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_)
        | Value::Undefined => Ok(vec![plain(operand, work)?]),
    }
}

/// A text as it is, anything else as Rego writes it.
fn plain(value: &Value, work: &mut Work) -> Result<String, Failure> {
    if let Value::String(text) = value {
        work.spend_on_new_text(text.len())?;
        return Ok(text.to_string());
    }
    let mut text = String::new();
    write_term(value, &mut text, work)?;
    Ok(text)
}
