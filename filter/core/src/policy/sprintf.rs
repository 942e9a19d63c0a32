//! `sprintf` as OPA has it, for the verbs that policies use. The evaluator's own fails where Go writes its complaint
//! into the text, and a rule that fails is a denial that does not happen.

use anyhow::{Result, bail};
use regorus::Value;

/// An argument, as Go's `fmt` sees what OPA passes to it.
enum Argument {
    Int(String),
    Float(String),
    Text(String),
}

/// `sprintf(format, values)`. Undefined where OPA's is: for other types.
///
/// # Errors
/// For verbs and flags other than `%s`, `%v`, `%d` and `%%`: an error ends the evaluation, and so denies.
pub(super) fn sprintf(arguments: &[Value]) -> Result<Value> {
    let [format, values] = arguments else { bail!("sprintf takes two arguments") };
    let (Ok(format), Ok(values)) = (format.as_string(), values.as_array()) else {
        return Ok(Value::Undefined);
    };
    let mut values = values.iter();
    let mut text = String::new();
    let mut rest = &**format;
    while let Some((before, after)) = rest.split_once('%') {
        text.push_str(before);
        let mut after = after.chars();
        let verb = after.next();
        rest = after.as_str();
        match verb {
            Some('%') => text.push('%'),
            Some(verb @ ('s' | 'v' | 'd')) => match values.next() {
                Some(value) => text.push_str(&formatted(verb, argument(value)?)),
                None => text.push_str(&format!("%!{verb}(MISSING)")),
            },
            Some(other) => bail!("sprintf: this version knows `%s`, `%v`, `%d` and `%%`, not `%{other}`"),
            None => text.push_str("%!(NOVERB)"),
        }
    }
    text.push_str(rest);
    let extra: Vec<String> = values.map(|value| Ok(typed(&argument(value)?))).collect::<Result<_>>()?;
    if !extra.is_empty() {
        text.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    Ok(Value::from(text))
}

fn formatted(verb: char, argument: Argument) -> String {
    match (verb, argument) {
        ('d', Argument::Int(text)) | ('s', Argument::Text(text)) => text,
        ('v', Argument::Int(text) | Argument::Float(text) | Argument::Text(text)) => text,
        (verb, argument) => format!("%!{verb}({})", typed(&argument)),
    }
}

fn typed(argument: &Argument) -> String {
    match argument {
        Argument::Int(text) => format!("int64={text}"),
        Argument::Float(text) => format!("float64={text}"),
        Argument::Text(text) => format!("string={text}"),
    }
}

fn argument(value: &Value) -> Result<Argument> {
    match value {
        Value::String(text) => Ok(Argument::Text(text.to_string())),
        Value::Number(_) if value.as_i64().is_ok() => Ok(Argument::Int(value.to_string())),
        Value::Number(_) => {
            let number = value.as_f64()?;
            // Outside of this range Go writes an exponent.
            if !(1e-4..1e21).contains(&number.abs()) {
                bail!("sprintf: this version cannot write {value}");
            }
            Ok(Argument::Float(format!("{number}")))
        }
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Set(_) | Value::Object(_) => {
            Ok(Argument::Text(term(value)))
        }
        Value::Undefined => bail!("sprintf of undefined"),
    }
}

/// A value as OPA writes terms.
fn term(value: &Value) -> String {
    let list = |items: Vec<String>, open: &str, close: &str| format!("{open}{}{close}", items.join(", "));
    match value {
        Value::Array(items) => list(items.iter().map(term).collect(), "[", "]"),
        Value::Set(items) if items.is_empty() => "set()".to_owned(),
        Value::Set(items) => list(items.iter().map(term).collect(), "{", "}"),
        Value::Object(fields) => list(
            fields.iter().map(|(key, value)| format!("{}: {}", term(key), term(value))).collect(),
            "{",
            "}",
        ),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Undefined => {
            value.to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What OPA 1.22.2 answers.
    #[test]
    fn as_opa() {
        for (format, values, expect) in [
            ("role %s of %s", "[\"a\"]", "role a of %!s(MISSING)"),
            ("%v and %d%%", "[\"a\", 5]", "a and 5%"),
            ("%s", "[5]", "%!s(int64=5)"),
            ("%d", "[\"x\"]", "%!d(string=x)"),
            ("%d", "[0.5]", "%!d(float64=0.5)"),
            ("%v %v %v", "[[\"a\", 1], {\"b\": null}, true]", "[\"a\", 1] {\"b\": null} true"),
            ("none", "[1, \"x\"]", "none%!(EXTRA int64=1, string=x)"),
            ("100%", "[]", "100%!(NOVERB)"),
        ] {
            let arguments = [Value::from(format), Value::from_json_str(values).unwrap()];
            assert_eq!(sprintf(&arguments).unwrap(), Value::from(expect), "{format}");
        }
    }

    #[test]
    fn what_it_cannot_is_an_error() {
        for format in ["%5s", "%+d", "%6.2f", "%T", "%*d", "%x"] {
            assert!(
                sprintf(&[Value::from(format), Value::from_json_str("[1, 2]").unwrap()]).is_err(),
                "{format}"
            );
        }
        let undefined = sprintf(&[Value::from(1), Value::from_json_str("[]").unwrap()]);
        assert_eq!(undefined.unwrap(), Value::Undefined);
    }
}
