//! Values in Rego's own notation: strings as JSON writes them, sets and objects in OPA's order.

use regorus::Value;

use super::order::compare;

/// The text of a value. Nesting is bounded by the policy and the data that the value is of.
pub(crate) fn term_text(value: &Value) -> String {
    let mut text = String::new();
    write(value, &mut text);
    text
}

fn write(value: &Value, text: &mut String) {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            text.push_str(&value.to_json_str().unwrap_or_default());
        }
        Value::Array(items) => write_all(items.iter().collect(), ('[', ']'), text),
        Value::Set(members) if members.is_empty() => text.push_str("set()"),
        Value::Set(members) => write_all(in_order(members.iter()), ('{', '}'), text),
        Value::Object(fields) => {
            text.push('{');
            for (at, key) in in_order(fields.keys()).into_iter().enumerate() {
                if at > 0 {
                    text.push_str(", ");
                }
                write(key, text);
                text.push_str(": ");
                write(fields.get(key).unwrap_or(&Value::Undefined), text);
            }
            text.push('}');
        }
        Value::Undefined => text.push_str("undefined"),
    }
}

fn write_all(items: Vec<&Value>, (open, close): (char, char), text: &mut String) {
    text.push(open);
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            text.push_str(", ");
        }
        write(item, text);
    }
    text.push(close);
}

fn in_order<'v>(values: impl Iterator<Item = &'v Value>) -> Vec<&'v Value> {
    let mut values: Vec<&Value> = values.collect();
    values.sort_by(|left, right| compare(left, right));
    values
}
