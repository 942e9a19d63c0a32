//! `input` and `data`, base and virtual, and what a `with` puts in their place.

use regorus::Value;

use super::{
    Flow, Halt, Machine, Stand, Then, World, halt,
    operands::walk,
    scan::{Find, member, stored},
};
use crate::rego::{
    height::is_too_high,
    ir::{NodeId, Operand, Replacement, Rule, RuleKind, Step, With},
    names::Tree,
    order::is_composite,
};

impl<'p> Machine<'p> {
    /// Runs a block in a world of its own, and the rest in the one around it.
    pub(super) fn with(
        &mut self,
        with: &'p With,
        rest: &'p [Step],
        then: Then<'_, 'p>,
    ) -> Result<Flow, Halt> {
        let mut world = World {
            input: self.world.input.clone(),
            overlays: self.world.overlays.clone(),
            stands: self.world.stands.clone(),
            computed: Default::default(),
            #[cfg(feature = "trace")]
            number: self.next_world(),
        };
        for replacement in &with.replacements {
            let (Replacement::Input(_, operand)
            | Replacement::Data(_, operand)
            | Replacement::Constant(_, operand)) = replacement
            else {
                if let Replacement::Function(replaced, callee) = replacement {
                    world.stands.push((*replaced, Stand::Function(*callee)));
                }
                continue;
            };
            let value = self.value(operand)?;
            if value == Value::Undefined {
                return Ok(Flow::Continue);
            }
            if is_composite(&value) {
                self.surroundings.work.weigh(&value).map_err(halt)?;
                if is_too_high(&value) {
                    return Err(Halt::OutOfBudget);
                }
            }
            match replacement {
                Replacement::Input(path, _) => patch(&mut world.input, path, value),
                Replacement::Data(path, _) => world.overlays.push((path, value)),
                Replacement::Constant(replaced, _) => world.stands.push((*replaced, Stand::Constant(value))),
                Replacement::Function(..) => {}
            }
        }
        let mut other = std::mem::replace(&mut self.world, world);
        let flow = self.deeper(|machine| {
            machine.run(&with.block.steps, &mut |machine| {
                std::mem::swap(&mut machine.world, &mut other);
                let flow = machine.run(rest, then);
                std::mem::swap(&mut machine.world, &mut other);
                flow
            })
        })?;
        self.world = other;
        Ok(flow)
    }

    /// What a `with` put in the place of a rule, or of something that it is a part of.
    pub(super) fn overlay_of(&self, rule: &Rule) -> Option<Value> {
        if self.world.overlays.is_empty() {
            return None;
        }
        let covering = self.world.overlays.iter().any(|(path, _)| rule.path.starts_with(path));
        covering.then(|| self.overlaid(&rule.path))
    }

    /// Base data at `path`, with what stands over it.
    pub(super) fn base_at(&mut self, path: &[Value]) -> Result<Value, Halt> {
        let is_replaced = self.world.overlays.iter().any(|(at, _)| path.starts_with(at));
        if self.reads_calls(path) && !is_replaced {
            self.read_calls()?;
        }
        Ok(if self.world.overlays.is_empty() { self.base(path) } else { self.overlaid(path) })
    }

    /// Whether the calls of the recent past stand at `path` or below it.
    pub(super) fn reads_calls(&self, path: &[Value]) -> bool {
        self.calls.as_ref().is_some_and(|calls| path.first().is_none_or(|first| *first == calls.name))
    }

    /// Makes a document of the calls, and pays for it.
    fn read_calls(&mut self) -> Result<(), Halt> {
        let Some(log) = self.calls.as_ref().filter(|log| log.document.is_none()) else { return Ok(()) };
        let calls = log.calls;
        self.spend(1 + CALL_WORK.saturating_mul(calls.len() as u64))?;
        if let Some(log) = &mut self.calls {
            log.document = Some(calls.document());
        }
        Ok(())
    }

    /// Base data, with the calls as far as they were read.
    fn base(&self, path: &[Value]) -> Value {
        let data = self.stored_at(path);
        let Some(log) = self.calls.as_ref().filter(|_| self.reads_calls(path)) else { return data.clone() };
        let document = log.document.clone().unwrap_or(Value::Undefined);
        match path.split_first() {
            Some((_, below)) => walk(&document, below).clone(),
            None => {
                let mut data = data.clone();
                patch(&mut data, std::slice::from_ref(&log.name), document);
                data
            }
        }
    }

    fn overlaid(&self, path: &[Value]) -> Value {
        let mut value = self.base(path);
        for (at, replaced) in &self.world.overlays {
            if let Some(rest) = path.strip_prefix(*at) {
                value = walk(replaced, rest).clone();
            } else if let Some(rest) = at.strip_prefix(path) {
                patch(&mut value, rest, replaced.clone());
            }
        }
        value
    }

    /// The document at a package and at `keys` below it.
    pub(super) fn document(&mut self, node: NodeId, keys: &'p [Operand]) -> Result<Value, Halt> {
        let mut at = node;
        let mut keys = keys.iter();
        while let Some(key) = keys.next() {
            let Some(node) = self.program.tree.node(at) else { return Ok(Value::Undefined) };
            let key = self.value(key)?;
            if key == Value::Undefined {
                return Ok(Value::Undefined);
            }
            let child = match &key {
                Value::String(name) => node.children.get(&**name).copied(),
                _ => None,
            };
            match child {
                Some(child) if !self.is_overlaid(at) => at = child,
                Some(_) | None => {
                    let path: Vec<Value> = self.program.tree.path_of(at).into_iter().chain([key]).collect();
                    let find: Find = if self.covers(&path) { member } else { stored };
                    let base = self.base_at(&path)?;
                    return self.below(base, keys, find);
                }
            }
            let rule = self.program.tree.node(at).and_then(|node| node.rule);
            if let Some(rule) = rule {
                let is_partial =
                    self.program.rules.get(rule).is_some_and(|rule| rule.kind == RuleKind::Partial);
                let value = match keys.next() {
                    Some(key) if is_partial => {
                        let key = self.value(key)?;
                        self.keyed(rule, key)?
                    }
                    Some(key) => {
                        let value = self.rule(rule)?;
                        let key = self.value(key)?;
                        member(&value, &key).cloned().unwrap_or(Value::Undefined)
                    }
                    None => self.rule(rule)?,
                };
                return self.below(value, keys, member);
            }
        }
        self.deeper(|machine| machine.whole(at))
    }

    /// What stands at `path` below `data`, whatever it is.
    pub(in crate::rego) fn at(&mut self, path: &[Value]) -> Result<Value, Halt> {
        let mut at = Tree::ROOT;
        for (depth, key) in path.iter().enumerate() {
            let Some(node) = self.program.tree.node(at) else { return Ok(Value::Undefined) };
            if let Some(rule) = node.rule {
                let value = self.rule(rule)?;
                return Ok(walk(&value, path.get(depth..).unwrap_or_default()).clone());
            }
            let child = key.as_string().ok().and_then(|name| node.children.get(&**name));
            match child {
                Some(child) => at = *child,
                None => return self.base_at(path),
            }
        }
        match self.program.tree.node(at).and_then(|node| node.rule) {
            Some(rule) => self.rule(rule),
            None => self.whole(at),
        }
    }

    fn below(
        &mut self,
        mut value: Value,
        keys: std::slice::Iter<'p, Operand>,
        find: Find,
    ) -> Result<Value, Halt> {
        for key in keys {
            let key = self.value(key)?;
            value = find(&value, &key).cloned().unwrap_or(Value::Undefined);
        }
        Ok(value)
    }

    pub(super) fn is_overlaid(&self, node: NodeId) -> bool {
        !self.world.overlays.is_empty() && {
            let path = self.program.tree.path_of(node);
            self.covers(&path)
        }
    }

    /// Whether a `with` has put something in the place of `path` or of what it is a part of.
    pub(super) fn covers(&self, path: &[Value]) -> bool {
        self.world.overlays.iter().any(|(at, _)| path.starts_with(at))
    }

    /// All that stands at a package: its rules and packages, over base data.
    fn whole(&mut self, id: NodeId) -> Result<Value, Halt> {
        let Some(node) = self.program.tree.node(id) else { return Ok(Value::Undefined) };
        let mut whole = self.base_at(&self.program.tree.path_of(id))?;
        if self.is_overlaid(id) {
            return Ok(whole);
        }
        if whole.as_object().is_err() {
            whole = Value::new_object();
        }
        for (name, child) in &node.children {
            self.spend(1)?;
            let rule = self.program.tree.node(*child).and_then(|child| child.rule);
            let value = match rule {
                Some(rule) => self.rule(rule)?,
                None => self.deeper(|machine| machine.whole(*child))?,
            };
            if value != Value::Undefined
                && let Ok(fields) = whole.as_object_mut()
            {
                fields.insert(Value::from(name.as_str()), value);
            }
        }
        Ok(whole)
    }
}

/// Units of work for the document of one call.
const CALL_WORK: u64 = 20;

/// Puts `value` at `path`, and objects where there are none on the way.
fn patch(whole: &mut Value, path: &[Value], value: Value) {
    let Some((key, rest)) = path.split_first() else {
        *whole = value;
        return;
    };
    if whole.as_object().is_err() {
        *whole = Value::new_object();
    }
    if let Ok(fields) = whole.as_object_mut() {
        let inner = fields.get_or_insert_with(key.clone(), Value::new_object);
        patch(inner, rest, value);
    }
}
