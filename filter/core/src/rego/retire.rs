//! Taking a program apart in slices.

use super::ir::{Definition, Rule};
use crate::pace::Pace;

/// What it takes to free a step with what is in it.
const UNITS_PER_STEP: usize = 6;
/// And one of many small things.
const UNITS_PER_SMALL_THING: usize = 4;

/// Drops rules.
pub(super) async fn rules(rules: Vec<Rule>, pace: &Pace) {
    for rule in rules {
        definitions(rule.definitions, pace).await;
        if let Some(index) = rule.index {
            index.retire(pace).await;
        }
        pace.spend(5).await;
    }
}

/// Drops definitions.
pub(super) async fn definitions(definitions: Vec<Definition>, pace: &Pace) {
    for definition in definitions {
        pace.spend(5 + definition.body.block.steps.len() * UNITS_PER_STEP).await;
    }
}

/// Drops small things of which there are many.
pub(super) async fn all<T>(many: impl IntoIterator<Item = T>, pace: &Pace) {
    for small in many {
        drop(small);
        pace.spend(UNITS_PER_SMALL_THING).await;
    }
}
