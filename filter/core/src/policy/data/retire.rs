//! Taking large values apart in slices.

use regorus::{Rc, Value};

use crate::pace::Pace;

/// Larger collections are emptied item by item.
const LARGE: usize = 1024;

/// Drops `value` in slices. What others have too stays theirs.
pub(crate) async fn retire(value: Value, pace: &Pace) {
    let mut values = vec![value];
    let mut collections: Vec<Box<dyn Iterator<Item = Value>>> = Vec::new();
    loop {
        pace.spend(1).await;
        let next = match values.pop() {
            Some(value) => Some(value),
            None => match collections.last_mut() {
                Some(items) => items.next(),
                None => return,
            },
        };
        let (items, count): (Box<dyn Iterator<Item = Value>>, usize) = match next {
            None => {
                collections.pop();
                continue;
            }
            Some(Value::Array(items)) => match Rc::try_unwrap(items) {
                Ok(items) => {
                    let count = items.len();
                    (Box::new(items.into_iter()), count)
                }
                Err(_) => continue,
            },
            Some(Value::Set(items)) => match Rc::try_unwrap(items) {
                Ok(items) => {
                    let count = items.len();
                    (Box::new(items.into_iter()), count)
                }
                Err(_) => continue,
            },
            Some(Value::Object(fields)) => match Rc::try_unwrap(fields) {
                Ok(fields) => {
                    let count = fields.len() * 2;
                    (Box::new(fields.into_iter().flat_map(|(key, value)| [key, value])), count)
                }
                Err(_) => continue,
            },
            Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Undefined) => {
                continue;
            }
        };
        if count < LARGE {
            values.extend(items);
        } else {
            collections.push(items);
        }
    }
}
