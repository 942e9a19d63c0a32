//! A policy that is asked about requests of the past, of which the whole input is known.

use std::collections::BTreeSet;

use regorus::Value;

use super::{Moment, Policy, facts::evaluators};
use crate::{audit_log::Calls, denial::Denial, policy::Consent, rego::DefinitionId};

/// The input of a request of the past.
#[derive(Clone, Debug)]
pub(crate) struct PastInput(Value);

/// A definition of the rule that decides.
#[derive(Clone, Debug)]
pub(crate) struct Decider {
    id: DefinitionId,
    /// Its module's file and its line.
    pub(crate) place: String,
}

// === impl PastInput ===

impl PastInput {
    /// # Errors
    /// When it has a number that no policy can hold.
    pub(crate) fn new(input: &serde_json::Value) -> Result<Self, String> {
        evaluators(input).map(Self).map_err(|error| error.to_string())
    }
}

// === impl Policy ===

impl Policy {
    /// The paths below `input` that it may read; an empty one stands for all of the input.
    pub(crate) fn reads(&self) -> BTreeSet<Vec<String>> {
        self.program.reads(self.entry)
    }

    /// Its answer for a request of the past, after the calls before it.
    ///
    /// # Errors
    /// As [`Self::allows`].
    pub(crate) fn answer_again(
        &self,
        input: &PastInput,
        moment: Moment<'_>,
        calls: Calls<'_>,
    ) -> Result<Consent, Denial> {
        self.answer_after(input.0.clone(), moment, calls)
    }

    /// The definitions of the rule that decides, in the order of modules and lines, without its default.
    pub(crate) fn deciders(&self) -> Vec<Decider> {
        let views = self.program.definitions().into_iter();
        let own = views.filter(|view| view.id.rule() == self.entry && !view.id.is_default());
        own.map(|view| {
            let module = self.packages.get(view.at.module).map_or("", |package| package.module.as_str());
            Decider { id: view.id, place: format!("{module}:{}", view.at.line) }
        })
        .collect()
    }

    /// The first of the definitions that gives by itself what the whole rule gives.
    pub(crate) fn decider<'d>(
        &self,
        deciders: &'d [Decider],
        input: &PastInput,
        moment: Moment<'_>,
        calls: Calls<'_>,
    ) -> Option<&'d Decider> {
        let whole = self.evaluate(self.entry, input.0.clone(), moment, calls).ok()?.value;
        if whole == Value::Undefined {
            return None;
        }
        let is_over = || (moment.is_over)(self.author);
        deciders.iter().find(|decider| {
            let asked = self.asked(input.0.clone(), moment, &calls, &is_over);
            self.program.evaluate_apart(decider.id, asked).value.is_ok_and(|value| value == whole)
        })
    }
}
