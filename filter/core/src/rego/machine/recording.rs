//! What an evaluation does, written down: which rules were asked for, which definitions were tried, which steps held,
//! and what the variables were where one did not.
//!
//! It is there with the feature `trace` alone, for tools. Without it the notes below are nothing.

#[cfg(not(feature = "trace"))]
use crate::rego::ir::{Definition, RuleId, Step};
#[cfg(feature = "trace")]
pub(crate) use kept::Recording;
#[cfg(feature = "trace")]
pub(in crate::rego) use kept::{Attempt, Frame, Miss};
#[cfg(not(feature = "trace"))]
use regorus::Value;

#[cfg(not(feature = "trace"))]
impl<'p> super::Machine<'p> {
    #[inline(always)]
    pub(super) fn note(&mut self, _step: &'p Step, _holds: bool) {}

    #[inline(always)]
    pub(super) fn attempt(&mut self, _definition: &'p Definition) {}

    #[inline(always)]
    pub(super) fn matched(&mut self, _definition: &'p Definition) {}

    #[inline(always)]
    pub(super) fn enter(&mut self, _rule: RuleId, _given: &[Value]) {}

    #[inline(always)]
    pub(super) fn leave(&mut self, _value: &Value) {}
}

#[cfg(feature = "trace")]
mod kept {
    use std::collections::{HashMap, HashSet};

    use regorus::Value;
    use rustc_hash::FxBuildHasher;

    use crate::rego::{
        ir::{Definition, RuleId, Step},
        machine::Machine,
    };

    /// What was written down of one evaluation.
    #[derive(Debug, Default)]
    pub(crate) struct Recording<'p> {
        /// The values of rules that were asked for, in the order in which they were begun.
        pub(in crate::rego) frames: Vec<Frame<'p>>,
        /// The frames that are not done, the innermost last; nothing for one that is not kept.
        pub(in crate::rego) open: Vec<Option<usize>>,
        /// Whether each of them is of a whole rule, and not for a key or arguments.
        are_whole: Vec<bool>,
        /// How often each step held, and how often it did not.
        pub(in crate::rego) steps: HashMap<*const Step, (u32, u32), FxBuildHasher>,
        /// The definitions that are for what was asked.
        pub(in crate::rego) definitions: HashSet<*const Definition, FxBuildHasher>,
        /// The frames of whole rules, by the world that they were evaluated in.
        whole: HashMap<(u32, RuleId), usize, FxBuildHasher>,
        worlds: u32,
        keeps_frames: bool,
    }

    /// The evaluation of a rule, of what it has at a key, or of a function.
    #[derive(Debug)]
    pub(in crate::rego) struct Frame<'p> {
        pub(in crate::rego) rule: RuleId,
        /// The key, or the arguments.
        pub(in crate::rego) given: Vec<Value>,
        /// Nothing where the evaluation ended on the way.
        pub(in crate::rego) value: Option<Value>,
        pub(in crate::rego) attempts: Vec<Attempt<'p>>,
        world: u32,
    }

    /// A definition that was tried.
    #[derive(Debug)]
    pub(in crate::rego) struct Attempt<'p> {
        pub(in crate::rego) definition: &'p Definition,
        /// Whether it is for the key, or the arguments.
        pub(in crate::rego) is_meant: bool,
        pub(in crate::rego) tried: Vec<Tried<'p>>,
        /// The frames that were begun in it.
        pub(in crate::rego) children: Vec<usize>,
    }

    /// A step that was tried. One that can hold in several ways counts as one that did not before it did.
    #[derive(Debug)]
    pub(in crate::rego) struct Tried<'p> {
        pub(in crate::rego) step: &'p Step,
        pub(in crate::rego) held: u32,
        pub(in crate::rego) failed: u32,
        /// The last time that it did not hold.
        pub(in crate::rego) failure: Option<Miss<'p>>,
    }

    /// What was known where a step did not hold.
    #[derive(Debug)]
    pub(in crate::rego) struct Miss<'p> {
        pub(in crate::rego) locals: Vec<Value>,
        pub(in crate::rego) input: Value,
        pub(in crate::rego) overlays: Vec<(&'p [Value], Value)>,
        world: u32,
    }

    /// More frames are not kept: nobody reads them, and a policy may call a function a million times.
    const MAX_FRAMES: usize = 20_000;

    // === impl Recording ===

    impl<'p> Recording<'p> {
        /// One that keeps frames, which explanations are made of; `false` keeps what coverage needs.
        pub(in crate::rego) fn new(keeps_frames: bool) -> Self {
            Self { keeps_frames, ..Self::default() }
        }

        /// The frame in which the value of a rule was found that `failure` saw.
        pub(in crate::rego) fn whole(&self, failure: &Miss<'p>, rule: RuleId) -> Option<usize> {
            self.whole.get(&(failure.world, rule)).copied()
        }

        fn attempt(&mut self) -> Option<&mut Attempt<'p>> {
            let frame = self.open.last().copied().flatten()?;
            self.frames.get_mut(frame)?.attempts.last_mut()
        }
    }

    // === impl Attempt ===

    impl<'p> Attempt<'p> {
        /// What became of `step`, where it was tried.
        pub(in crate::rego) fn of(&self, step: &Step) -> Option<&Tried<'p>> {
            self.tried.iter().find(|tried| std::ptr::eq(tried.step, step))
        }

        fn entry(&mut self, step: &'p Step) -> Option<&mut Tried<'p>> {
            let known = self.tried.iter().position(|tried| std::ptr::eq(tried.step, step));
            let at = known.unwrap_or_else(|| {
                self.tried.push(Tried { step, held: 0, failed: 0, failure: None });
                self.tried.len() - 1
            });
            self.tried.get_mut(at)
        }
    }

    impl<'p> Machine<'p> {
        /// The same machine, with all that it does written down.
        pub(in crate::rego) fn recorded(self, recording: Recording<'p>) -> Self {
            Self { recording: Some(recording), ..self }
        }

        pub(in crate::rego) fn into_recording(self) -> Recording<'p> {
            self.recording.unwrap_or_default()
        }

        /// A number for a world that a `with` makes.
        pub(in crate::rego::machine) fn next_world(&mut self) -> u32 {
            let Some(recording) = &mut self.recording else { return 0 };
            recording.worlds = recording.worlds.saturating_add(1);
            recording.worlds
        }

        #[inline]
        pub(in crate::rego::machine) fn note(&mut self, step: &'p Step, holds: bool) {
            if self.recording.is_some() {
                self.write_down(step, holds);
            }
        }

        fn write_down(&mut self, step: &'p Step, holds: bool) {
            let Some(recording) = &mut self.recording else { return };
            let (held, failed) = recording.steps.entry(std::ptr::from_ref(step)).or_default();
            let count = if holds { held } else { failed };
            *count = count.saturating_add(1);
            if !recording.keeps_frames {
                return;
            }
            let Some(tried) = recording.attempt().and_then(|attempt| attempt.entry(step)) else { return };
            if holds {
                tried.held = tried.held.saturating_add(1);
                return;
            }
            tried.failed = tried.failed.saturating_add(1);
            tried.failure = Some(Miss {
                locals: self.locals.get(self.base..).unwrap_or_default().to_vec(),
                input: self.world.input.clone(),
                overlays: self.world.overlays.clone(),
                world: self.world.number,
            });
        }

        #[inline]
        pub(in crate::rego::machine) fn attempt(&mut self, definition: &'p Definition) {
            let Some(recording) = &mut self.recording else { return };
            let is_meant = recording.are_whole.last().copied().unwrap_or(true);
            if is_meant {
                recording.definitions.insert(std::ptr::from_ref(definition));
            }
            if let Some(frame) = recording.open.last().copied().flatten()
                && let Some(frame) = recording.frames.get_mut(frame)
            {
                let (tried, children) = (Vec::new(), Vec::new());
                frame.attempts.push(Attempt { definition, is_meant, tried, children });
            }
        }

        #[inline]
        pub(in crate::rego::machine) fn matched(&mut self, definition: &'p Definition) {
            let Some(recording) = &mut self.recording else { return };
            recording.definitions.insert(std::ptr::from_ref(definition));
            if let Some(attempt) = recording.attempt() {
                attempt.is_meant = true;
            }
        }

        #[inline]
        pub(in crate::rego::machine) fn enter(&mut self, rule: RuleId, given: &[Value]) {
            let Some(recording) = &mut self.recording else { return };
            recording.are_whole.push(given.is_empty());
            if !recording.keeps_frames || recording.frames.len() >= MAX_FRAMES {
                recording.open.push(None);
                return;
            }
            let frame = recording.frames.len();
            if let Some(attempt) = recording.attempt() {
                attempt.children.push(frame);
            }
            let world = self.world.number;
            let given = given.to_vec();
            recording.frames.push(Frame { rule, given, value: None, attempts: Vec::new(), world });
            recording.open.push(Some(frame));
        }

        #[inline]
        pub(in crate::rego::machine) fn leave(&mut self, value: &Value) {
            let Some(recording) = &mut self.recording else { return };
            recording.are_whole.pop();
            let Some(Some(at)) = recording.open.pop() else { return };
            let Some(frame) = recording.frames.get_mut(at) else { return };
            frame.value = Some(value.clone());
            if frame.given.is_empty() {
                recording.whole.insert((frame.world, frame.rule), at);
            }
        }
    }
}
