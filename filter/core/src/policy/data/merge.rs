//! Two objects made one, in slices.

use regorus::{Rc, Value};

use super::{DataError, key_text};
use crate::pace::Pace;

/// Adds `from` to `into`; objects are merged, everything else may stand once.
///
/// # Errors
/// When both have a value at the same path.
pub(super) async fn merge(into: &mut Value, from: Value, pace: &Pace) -> Result<(), DataError> {
    merge_at(into, from, &mut vec!["data".to_owned()], pace).await
}

async fn merge_at(
    into: &mut Value,
    mut from: Value,
    path: &mut Vec<String>,
    pace: &Pace,
) -> Result<(), DataError> {
    let (Ok(known), Ok(added)) = (into.as_object(), from.as_object()) else {
        return Err(DataError::Conflict(format!("`{}` is given twice", path.join("."))));
    };
    // The smaller one is taken apart.
    if known.len() < added.len() {
        std::mem::swap(into, &mut from);
    }
    let (Ok(target), Value::Object(source)) = (into.as_object_mut(), from) else { return Ok(()) };
    for (key, value) in Rc::unwrap_or_clone(source) {
        pace.spend(5).await;
        match target.get_mut(&key) {
            Some(present) => {
                path.push(key_text(&key));
                Box::pin(merge_at(present, value, path, pace)).await?;
                path.pop();
            }
            None => drop(target.insert(key, value)),
        }
    }
    Ok(())
}
