//! Counts calls of the audit log without making documents of them.

use std::ops::RangeInclusive;

use regorus::Value;

use super::{Flow, Halt, Machine};
use crate::rego::{
    counting::{Choice, Comparison, Test},
    ir::{Call, Callee, Definition, Operand, Step},
    order::integer,
};

/// Which calls have passed the tests so far.
struct Chosen {
    instants: RangeInclusive<i64>,
    kinds: Vec<bool>,
}

impl<'p> Machine<'p> {
    /// The answer of `count` where what is counted is a choice of calls; nothing where it has to be evaluated call by
    /// call.
    pub(super) fn counted(&mut self, call: &'p Call) -> Result<Option<Value>, Halt> {
        let is_plain = self.calls.is_some()
            && self.is_indexed
            && self.world.overlays.is_empty()
            && self.world.stands.is_empty();
        let (true, Callee::Builtin(builtin), [argument]) = (is_plain, call.callee, call.arguments.as_slice())
        else {
            return Ok(None);
        };
        if builtin.name != "count" {
            return Ok(None);
        }
        if let Operand::Comprehension(comprehension) = argument {
            let Some(choice) = &comprehension.choice else { return Ok(None) };
            return self.deeper(|machine| machine.counted_in(choice, &comprehension.block.steps));
        }
        let Operand::Rule(id) = argument else { return Ok(None) };
        let rule = self.program.rules.get(*id).filter(|_| !self.world.computed.contains_key(id));
        let (Some(choice), Some([definition])) =
            (rule.and_then(|rule| rule.choice.as_ref()), rule.map(|rule| rule.definitions.as_slice()))
        else {
            return Ok(None);
        };
        self.deeper(|machine| machine.counted_in_rule(choice, definition))
    }

    fn counted_in_rule(
        &mut self,
        choice: &'p Choice,
        definition: &'p Definition,
    ) -> Result<Option<Value>, Halt> {
        self.within(definition, |machine| machine.counted_in(choice, &definition.body.block.steps))
    }

    fn counted_in(&mut self, choice: &'p Choice, steps: &'p [Step]) -> Result<Option<Value>, Halt> {
        let (before, rest) = steps.split_at_checked(choice.walk).unwrap_or((steps, &[]));
        let after = rest.get(1..).unwrap_or_default();
        let mut count = Some(0);
        self.run(before, &mut |machine| {
            count = machine.chosen(choice, after)?;
            Ok(Flow::Stop)
        })?;
        Ok(count.map(Value::from))
    }

    /// How many calls pass all tests; nothing where a test cannot be made this way.
    ///
    /// A step is evaluated only if there is a call for which it would be evaluated: it may end in an error.
    fn chosen(&mut self, choice: &'p Choice, steps: &'p [Step]) -> Result<Option<usize>, Halt> {
        let Some(calls) = self.calls.as_ref().map(|log| log.calls) else { return Ok(None) };
        let mut chosen = Chosen { instants: i64::MIN..=i64::MAX, kinds: vec![true; calls.kinds()] };
        for (step, test) in steps.iter().zip(&choice.tests) {
            self.spend(1)?;
            if calls.count(chosen.instants.clone(), &chosen.kinds) == 0 {
                return Ok(Some(0));
            }
            match test {
                Test::Nothing => {}
                Test::Once => {
                    if !self.holds_here(step)? {
                        return Ok(Some(0));
                    }
                }
                Test::OfInstant(comparison, bound) => {
                    // A bound of another type, or between two instants, is compared call by call.
                    let bound = self.peek(bound).and_then(integer);
                    let Some(instants) = bound.and_then(|bound| comparison.narrow(&chosen.instants, bound))
                    else {
                        return Ok(None);
                    };
                    chosen.instants = instants;
                }
                Test::OfKind => self.choose_kinds(choice, step, &mut chosen)?,
            }
        }
        let count = calls.count(chosen.instants.clone(), &chosen.kinds);
        if count > 0 && *chosen.instants.start() > i64::MIN {
            // The bound moves with the clock: the oldest call is the first to fall behind it.
            let oldest = calls.oldest(chosen.instants.clone(), &chosen.kinds);
            let falls_in =
                oldest.map(|oldest| oldest.saturating_sub(*chosen.instants.start()).saturating_add(1));
            self.count_falls_in = self.count_falls_in.into_iter().chain(falls_in).min();
        }
        Ok(Some(count))
    }

    fn choose_kinds(&mut self, choice: &'p Choice, step: &'p Step, chosen: &mut Chosen) -> Result<(), Halt> {
        let Some(calls) = self.calls.as_ref().map(|log| log.calls) else { return Ok(()) };
        for kind in 0..chosen.kinds.len() {
            self.spend(1)?;
            let only: Vec<bool> = (0..chosen.kinds.len())
                .map(|other| other == kind && chosen.kinds.get(kind) == Some(&true))
                .collect();
            if calls.count(chosen.instants.clone(), &only) == 0 {
                continue;
            }
            let call = calls.of_kind(kind);
            let slot = self.base.saturating_add(choice.call);
            if let Some(local) = self.locals.get_mut(slot) {
                *local = call;
            }
            let holds = self.holds_here(step)?;
            if let Some(counts) = chosen.kinds.get_mut(kind) {
                *counts = holds;
            }
        }
        Ok(())
    }

    /// Whether one step holds, with what it binds kept.
    fn holds_here(&mut self, step: &'p Step) -> Result<bool, Halt> {
        let mut holds = false;
        self.run(std::slice::from_ref(step), &mut |_| {
            holds = true;
            Ok(Flow::Stop)
        })?;
        Ok(holds)
    }
}

// === impl Comparison ===

impl Comparison {
    /// The instants that compare so with `bound`; nothing where they have no end.
    fn narrow(self, instants: &RangeInclusive<i64>, bound: i64) -> Option<RangeInclusive<i64>> {
        let (start, end) = (*instants.start(), *instants.end());
        Some(match self {
            Self::After => start.max(bound.checked_add(1)?)..=end,
            Self::AtOrAfter => start.max(bound)..=end,
            Self::Before => start..=end.min(bound.checked_sub(1)?),
            Self::AtOrBefore => start..=end.min(bound),
        })
    }
}
