//! Who, what, decision, reason, time.

use std::time::Duration;

use super::{
    cast::{Character, Operation},
    milliseconds,
};
use crate::agent::Answer;

/// One request of the demo, and what became of it.
pub(super) struct Scene {
    pub(super) character: &'static Character,
    pub(super) operation: &'static Operation,
    pub(super) answer: Answer,
    pub(super) took: Duration,
}

impl Scene {
    pub(super) fn is_allowed(&self) -> bool {
        self.answer.status == 200
    }
}

pub(super) fn print_table(scenes: &[Scene]) {
    row(["who", "what", "decision", "reason", "time"]);
    row(["---", "----", "--------", "------", "----"]);
    for scene in scenes {
        let decision = if scene.is_allowed() {
            "allow".to_owned()
        } else {
            format!("deny {}", scene.answer.status.as_u16())
        };
        let reason = scene.answer.reason().unwrap_or_default();
        row([scene.character.name, scene.operation.name, &decision, &reason, &milliseconds(scene.took)]);
    }
}

fn row([who, what, decision, reason, time]: [&str; 5]) {
    println!("{who:<12}{what:<30}{decision:<12}{reason:<22}{time:>8}");
}
