//! JSON in which nothing can be read in two ways: no key twice, bounded depth, nothing behind it. Numbers are kept as
//! they are written.

use std::{borrow::Cow, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Deeper documents are refused.
const DEPTH: usize = 64;

/// Reads the whole of `bytes`.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse(bytes: &[u8]) -> Result<Value, String> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let document = Document { depth: 0 }.deserialize(&mut deserializer);
    let document = document.and_then(|document| deserializer.end().map(|()| document));
    document.map_err(|error| format!("the body is no JSON of one meaning: {error}"))
}

/// The value at `path` of nested objects; `null` is none.
///
/// # Errors
/// When a key differs from one of the path only in case: some parsers take it for the same.
pub(super) fn field<'v>(document: &'v Value, path: &[&str]) -> Result<Option<&'v Value>, String> {
    let mut value = document;
    for name in path {
        let Some(object) = value.as_object() else { return Ok(None) };
        if let Some(twin) = object.keys().find(|key| key.as_str() != *name && folded(key) == folded(name)) {
            return Err(format!("the body has a key `{twin}`, which some read as `{name}`"));
        }
        let Some(below) = object.get(*name) else { return Ok(None) };
        value = below;
    }
    Ok(Some(value).filter(|value| !value.is_null()))
}

/// A key as parsers see it that do not tell upper from lower case, in all of Unicode.
fn folded(key: &str) -> String {
    key.to_uppercase().to_lowercase()
}

struct Document {
    depth: usize,
}

impl Document {
    fn below<E: Error>(&self) -> Result<Self, E> {
        if self.depth < DEPTH {
            Ok(Self { depth: self.depth + 1 })
        } else {
            Err(E::custom("it is nested too deep"))
        }
    }
}

impl<'de> DeserializeSeed<'de> for Document {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Document {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(value) = items.next_element_seed(self.below()?)? {
            array.push(value);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = fields.next_key_seed(KeySeed)? {
            let Key::Name(name) = key else {
                let number: Cow<'de, str> = fields.next_value()?;
                return number.parse::<Number>().map(Value::Number).map_err(A::Error::custom);
            };
            let value = fields.next_value_seed(self.below()?)?;
            if object.contains_key(&name) {
                return Err(A::Error::custom(format!("the key `{name}` stands twice")));
            }
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

/// What stands before a value of a map.
enum Key {
    /// A key of the text.
    Name(String),
    /// The mark by which the parser hands over a number that is no integer of 64 bits. No text can make one.
    Number,
}

/// Reads a [`Key`]. The parser gives a key of the text in bytes where bytes are asked for, and its mark as a text.
struct KeySeed;

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_bytes(self)
    }
}

impl Visitor<'_> for KeySeed {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_bytes<E: Error>(self, key: &[u8]) -> Result<Key, E> {
        let name = std::str::from_utf8(key).map_err(|_| E::custom("a key is not UTF-8"))?;
        Ok(Key::Name(name.to_owned()))
    }

    fn visit_str<E>(self, _mark: &str) -> Result<Key, E> {
        Ok(Key::Number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_meaning() {
        for good in ["{}", r#"{"a":{"b":[1,2.5,"x",null,true]}}"#, " 1 ", r#"{"a":1,"A":2}"#] {
            assert!(parse(good.as_bytes()).is_ok(), "{good}");
        }
        let deep = format!("{}1{}", "[".repeat(65), "]".repeat(65));
        for bad in [
            "",
            "{",
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":1}"#,
            r#"{"x":{"a":1,"a":1}}"#,
            "{} {}",
            "{}x",
            deep.as_str(),
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(parse(b"\"\xff\"").is_err());
        assert!(parse("\u{feff}{}".as_bytes()).is_err());
    }

    /// A number is what is written, and nothing that is written otherwise is a number.
    #[test]
    fn numbers() {
        for number in ["1", "-1", "0.5", "1e+2", "18446744073709551616", "1000.00000000000000001", "-0"] {
            let document = parse(format!(r#"{{"n":[{number}]}}"#).as_bytes()).unwrap();
            assert!(document["n"][0].is_number(), "{number}: {document}");
            assert_eq!(document["n"][0].to_string(), number);
        }
        for text in [
            r#"{"$serde_json::private::Number":"5"}"#,
            r#"{"\u0024serde_json::private::Number":"5"}"#,
            r#"{"$serde_json::private::RawValue":"5"}"#,
        ] {
            let document = parse(text.as_bytes()).unwrap();
            assert_eq!(document.as_object().map(Map::len), Some(1), "{text}: {document}");
        }
        assert!(parse(br#"{"\ud800":1}"#).is_err());
    }

    #[test]
    fn fields() {
        let document = parse(br#"{"configuration":{"query":{}},"none":null,"Model":1}"#).unwrap();
        assert_eq!(field(&document, &["configuration", "query"]), Ok(Some(&Value::Object(Map::new()))));
        assert_eq!(field(&document, &["none"]), Ok(None));
        assert_eq!(field(&document, &["configuration", "load"]), Ok(None));
        assert!(field(&document, &["model"]).is_err());
        let document = parse("{\"param\u{17f}\":1}".as_bytes()).unwrap();
        assert!(field(&document, &["params"]).is_err());
        let document = parse("{\"to\u{212a}en\":1}".as_bytes()).unwrap();
        assert!(field(&document, &["token"]).is_err());
    }
}
