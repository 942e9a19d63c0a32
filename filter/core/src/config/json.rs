//! JSON in which no key stands twice: a second `identity` would silently replace the first.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::problem::{Collector, field_path};

/// Parses `text`; duplicate keys are collected as problems, a syntax error ends it.
pub(super) fn parse(text: &str, problems: &Collector) -> Option<Value> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = Document { path: "$".to_owned(), problems }.deserialize(&mut deserializer);
    let value = value.and_then(|value| deserializer.end().map(|()| value));
    value.map_err(|error| problems.add("$", format!("this is not JSON: {error}"))).ok()
}

struct Document<'p> {
    path: String,
    problems: &'p Collector,
}

impl<'de> DeserializeSeed<'de> for Document<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Document<'_> {
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
        let item = |at: usize| Document { path: format!("{}[{at}]", self.path), problems: self.problems };
        while let Some(value) = items.next_element_seed(item(array.len()))? {
            array.push(value);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            let path = field_path(&self.path, &name);
            if object.contains_key(&name) {
                self.problems.add(&path, "this key stands twice");
            }
            let value = fields.next_value_seed(Document { path, problems: self.problems })?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}
