//! JSON, Base64, hexadecimal and URL encodings.

use std::collections::BTreeMap;

use regorus::Value;

use super::json_text::{self, Layout, key_text};
use super::operand::{elements, mismatch, operands, text};
use super::{Builtin, Failure, Outcome, Surroundings, Work};

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin::new("json.marshal", 1, json_marshal),
    Builtin::new("json.marshal_with_options", 2, json_marshal_with_options),
    Builtin::new("json.unmarshal", 1, json_unmarshal),
    Builtin::new("json.is_valid", 1, json_is_valid),
    Builtin::new("base64.encode", 1, |s, a| encoded(s, a, |bytes| base64_encode(bytes, false, true))),
    Builtin::new("base64.decode", 1, base64_decode),
    Builtin::new("base64.is_valid", 1, base64_is_valid),
    Builtin::new("base64url.encode", 1, |s, a| encoded(s, a, |bytes| base64_encode(bytes, true, true))),
    Builtin::new("base64url.encode_no_pad", 1, |s, a| {
        encoded(s, a, |bytes| base64_encode(bytes, true, false))
    }),
    Builtin::new("base64url.decode", 1, base64url_decode),
    Builtin::new("hex.encode", 1, |s, a| encoded(s, a, hex)),
    Builtin::new("hex.decode", 1, hex_decode),
    Builtin::new("urlquery.encode", 1, |s, a| encoded(s, a, query_escape)),
    Builtin::new("urlquery.decode", 1, urlquery_decode),
    Builtin::new("urlquery.encode_object", 1, urlquery_encode_object),
    Builtin::new("urlquery.decode_object", 1, urlquery_decode_object),
];

/// Go reads no more parameters of a query.
const MOST_PARAMETERS: usize = 10_000;

fn json_marshal(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [value] = operands(arguments)?;
    json_text::write(value, None, &mut surroundings.work).map(Value::from)
}

fn json_marshal_with_options(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [value, options] = operands(arguments)?;
    let Value::Object(options) = options else { return Err(mismatch(2, "object", options)) };
    let mut layout = Layout { prefix: "", indent: "\t" };
    let (mut is_laid_out, mut is_pretty) = (false, None);
    for (key, option) in options.iter() {
        match (key, option) {
            (Value::String(key), Value::String(text)) if &**key == "prefix" => {
                layout.prefix = text;
                is_laid_out = true;
            }
            (Value::String(key), Value::String(text)) if &**key == "indent" => {
                layout.indent = text;
                is_laid_out = true;
            }
            (Value::String(key), Value::Bool(pretty)) if &**key == "pretty" => is_pretty = Some(*pretty),
            _ => return Err(Failure::undefined("operand 2 has an unknown key, or a value of a wrong type")),
        }
    }
    if !is_pretty.unwrap_or(is_laid_out) {
        return json_text::write(value, None, &mut surroundings.work).map(Value::from);
    }
    let text = json_text::write(value, Some(layout), &mut surroundings.work)?;
    Ok(Value::from(format!("{}{text}", layout.prefix)))
}

fn json_unmarshal(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [value] = operands(arguments)?;
    json_text::parse(text(value, 1)?, &mut surroundings.work)
}

fn json_is_valid(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [value] = operands(arguments)?;
    let Value::String(text) = value else { return Ok(Value::from(false)) };
    json_text::is_valid(text, &mut surroundings.work).map(Value::from)
}

fn encoded(surroundings: &mut Surroundings, arguments: &[Value], encode: fn(&[u8]) -> String) -> Outcome {
    let [value] = operands(arguments)?;
    let text = text(value, 1)?;
    surroundings.work.spend_on_new_text(text.len() * 3)?;
    Ok(Value::from(encode(text.as_bytes())))
}

/// A text of the bytes. OPA has strings of any bytes, here they are texts.
pub(super) fn decoded(bytes: Vec<u8>) -> Outcome {
    String::from_utf8(bytes).map(Value::from).map_err(|_| {
        Failure::fatal("what was decoded is no text in UTF-8, which this evaluator has no value for")
    })
}

fn base64_decode(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [value] = operands(arguments)?;
    decoded(base64(text(value, 1)?, false, &mut surroundings.work)?)
}

fn base64_is_valid(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [value] = operands(arguments)?;
    let Value::String(text) = value else { return Ok(Value::from(false)) };
    match base64(text, false, &mut surroundings.work) {
        Ok(_) => Ok(Value::from(true)),
        Err(Failure::Undefined(_)) => Ok(Value::from(false)),
        Err(failure @ (Failure::OutOfBudget | Failure::Fatal(_))) => Err(failure),
    }
}

fn base64url_decode(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [value] = operands(arguments)?;
    decoded(base64url(text(value, 1)?, &mut surroundings.work)?)
}

/// Base64url whose padding may be missing.
pub(super) fn base64url(text: &str, work: &mut Work) -> Result<Vec<u8>, Failure> {
    let padding = match (text.ends_with('='), text.len() % 4) {
        (true, _) | (false, 0) => "",
        (false, 2) => "==",
        (false, 3) => "=",
        (false, _) => return Err(Failure::undefined("illegal base64url string")),
    };
    base64(&format!("{text}{padding}"), true, work)
}

/// Reads padded Base64 as Go does: line breaks are passed over, and unused bits may be set.
pub(super) fn base64(text: &str, url: bool, work: &mut Work) -> Result<Vec<u8>, Failure> {
    work.spend_on_new_text(text.len())?;
    let illegal = || Failure::undefined("illegal base64 data");
    let symbols: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b'\n' | b'\r')).collect();
    if !symbols.len().is_multiple_of(4) {
        return Err(illegal());
    }
    let padding = symbols.iter().rev().take_while(|byte| **byte == b'=').count();
    let data = symbols.get(..symbols.len() - padding).unwrap_or_default();
    if padding > 2 {
        return Err(illegal());
    }
    let mut bytes = Vec::with_capacity(data.len());
    for group in data.chunks(4) {
        let mut bits = 0_u32;
        for symbol in group {
            let six = match symbol {
                b'A'..=b'Z' => symbol - b'A',
                b'a'..=b'z' => symbol - b'a' + 26,
                b'0'..=b'9' => symbol - b'0' + 52,
                b'+' if !url => 62,
                b'/' if !url => 63,
                b'-' if url => 62,
                b'_' if url => 63,
                _ => return Err(illegal()),
            };
            bits = bits << 6 | u32::from(six);
        }
        let missing = 4 - group.len();
        let [_, first, second, third] = (bits << (6 * missing)).to_be_bytes();
        bytes.extend([first, second, third].into_iter().take(3 - missing));
    }
    Ok(bytes)
}

fn base64_encode(bytes: &[u8], url: bool, padded: bool) -> String {
    let symbol = |six: u32| {
        let six = (six & 63) as u8;
        char::from(match six {
            0..=25 => b'A' + six,
            26..=51 => b'a' + six - 26,
            52..=61 => b'0' + six - 52,
            62 => {
                if url {
                    b'-'
                } else {
                    b'+'
                }
            }
            _ => {
                if url {
                    b'_'
                } else {
                    b'/'
                }
            }
        })
    };
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let mut padded_group = [0; 4];
        for (to, from) in padded_group.iter_mut().skip(1).zip(group) {
            *to = *from;
        }
        let bits = u32::from_be_bytes(padded_group);
        let symbols = [symbol(bits >> 18), symbol(bits >> 12), symbol(bits >> 6), symbol(bits)];
        text.extend(symbols.into_iter().take(group.len() + 1));
        if padded {
            text.extend(std::iter::repeat_n('=', 3 - group.len()));
        }
    }
    text
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hex_decode(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [value] = operands(arguments)?;
    let text = text(value, 1)?;
    surroundings.work.spend_on_new_text(text.len())?;
    let nibbles: Option<Vec<u8>> =
        text.chars().map(|char| char.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let nibbles = nibbles.filter(|nibbles| nibbles.len() % 2 == 0);
    let nibbles = nibbles.ok_or_else(|| Failure::undefined("invalid hexadecimal text"))?;
    decoded(nibbles.chunks(2).map(|pair| pair.iter().fold(0, |byte, nibble| byte << 4 | nibble)).collect())
}

fn query_escape(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(*byte).to_string()
            }
            b' ' => "+".to_owned(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

fn query_unescape(text: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16));
                let (high, low) = (digit(), digit());
                let code = high.zip(low).and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
                code.ok_or_else(|| Failure::undefined("invalid URL escape"))?
            }
            _ => byte,
        });
    }
    Ok(bytes)
}

fn urlquery_decode(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [value] = operands(arguments)?;
    let text = text(value, 1)?;
    surroundings.work.spend_on_new_text(text.len())?;
    decoded(query_unescape(text)?)
}

fn urlquery_encode_object(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [value] = operands(arguments)?;
    let Value::Object(entries) = value else { return Err(mismatch(1, "object", value)) };
    let work = &mut surroundings.work;
    let mut parameters: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (key, value) in crate::rego::order::sorted_entries(entries.iter()) {
        let values = if let Value::String(text) = value {
            vec![&**text]
        } else {
            let wrong =
                || Failure::undefined("operand 1 values must be string, array[string], or set[string]");
            let items = elements(value).ok_or_else(wrong)?;
            items.into_iter().map(|item| text(item, 1).map(|text| &**text)).collect::<Result<_, _>>()?
        };
        parameters.insert(key_text(key, work)?, values);
    }
    let mut parts = Vec::new();
    for (key, values) in &parameters {
        for value in values {
            work.spend_on_new_text((key.len() + value.len()) * 3)?;
            parts.push(format!("{}={}", query_escape(key.as_bytes()), query_escape(value.as_bytes())));
        }
    }
    Ok(Value::from(parts.join("&")))
}

fn urlquery_decode_object(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [value] = operands(arguments)?;
    let text = text(value, 1)?;
    surroundings.work.spend_on_new_text(text.len() * 2)?;
    if text.bytes().filter(|byte| *byte == b'&').count() >= MOST_PARAMETERS {
        return Err(Failure::undefined("too many parameters"));
    }
    let mut parameters: BTreeMap<Value, Vec<Value>> = BTreeMap::new();
    for part in text.split('&').filter(|part| !part.is_empty()) {
        surroundings.work.spend(2)?;
        if part.contains(';') {
            return Err(Failure::undefined("invalid semicolon separator in query"));
        }
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        let (key, value) = (query_unescape(key)?, query_unescape(value)?);
        parameters.entry(decoded(key)?).or_default().push(decoded(value)?);
    }
    let entries = parameters.into_iter().map(|(key, values)| (key, Value::from(values)));
    Ok(Value::from(entries.collect::<BTreeMap<_, _>>()))
}
