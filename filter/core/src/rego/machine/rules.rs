//! The values of rules and functions.

use std::collections::BTreeSet;

use regorus::Value;

use super::{Flow, Halt, Machine, scan::member};
use crate::rego::ir::{Body, Definition, Pattern, Rule, RuleId, RuleKind};

impl<'p> Machine<'p> {
    /// The value of a rule, computed once.
    pub(crate) fn rule(&mut self, id: RuleId) -> Result<Value, Halt> {
        let Some(rule) = self.program.rules.get(id) else { return Ok(Value::Undefined) };
        if let Some(value) = self.overlay_of(rule) {
            return Ok(value);
        }
        if let Some(value) = self.world.computed.get(&id) {
            return Ok(value.clone());
        }
        self.enter(id, &[]);
        let value = self.deeper(|machine| match rule.kind {
            RuleKind::Complete => machine.complete(rule),
            RuleKind::Partial => machine.partial(rule, machine.candidates(rule, &[])),
            RuleKind::Function { .. } => Ok(Value::Undefined),
        })?;
        self.leave(&value);
        self.world.computed.insert(id, value.clone());
        Ok(value)
    }

    fn complete(&mut self, rule: &'p Rule) -> Result<Value, Halt> {
        let mut found = None;
        for definition in self.candidates(rule, &[]) {
            self.solve(rule, definition, &[], &mut found)?;
            if found.is_some() && rule.one_is_enough {
                break;
            }
        }
        if let (None, Some(default)) = (&found, &rule.default) {
            self.solve(rule, default, &[], &mut found)?;
        }
        Ok(found.unwrap_or(Value::Undefined))
    }

    /// The result of a function.
    pub(super) fn function(&mut self, id: RuleId, arguments: &[Value]) -> Result<Value, Halt> {
        let Some(rule) = self.program.rules.get(id) else { return Ok(Value::Undefined) };
        self.enter(id, arguments);
        let value = self.deeper(|machine| {
            let mut found = None;
            for definition in machine.candidates(rule, arguments) {
                machine.solve(rule, definition, arguments, &mut found)?;
                if found.is_some() && rule.one_is_enough {
                    break;
                }
            }
            if let (None, Some(default)) = (&found, &rule.default) {
                machine.solve(rule, default, arguments, &mut found)?;
            }
            Ok(found.unwrap_or(Value::Undefined))
        })?;
        self.leave(&value);
        Ok(value)
    }

    /// The value that a definition gives, which must be the one that is `found`, if any is.
    fn solve(
        &mut self,
        rule: &'p Rule,
        definition: &'p Definition,
        arguments: &[Value],
        found: &mut Option<Value>,
    ) -> Result<(), Halt> {
        self.within(definition, |machine| {
            if !machine.take_arguments(&definition.parameters, arguments)? {
                return Ok(());
            }
            machine.matched(definition);
            for body in std::iter::once(&definition.body).chain(&definition.otherwise) {
                if machine.solve_body(rule, body, found)? {
                    break;
                }
            }
            Ok(())
        })
    }

    fn take_arguments(&mut self, parameters: &'p [Pattern], arguments: &[Value]) -> Result<bool, Halt> {
        for (pattern, argument) in parameters.iter().zip(arguments) {
            if !self.matches(pattern, argument.clone())? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the body holds.
    fn solve_body(
        &mut self,
        rule: &'p Rule,
        body: &'p Body,
        found: &mut Option<Value>,
    ) -> Result<bool, Halt> {
        let Some(term) = &body.value else { return Ok(false) };
        let mut holds = false;
        self.run(&body.block.steps, &mut |machine| {
            let value = machine.value(term)?;
            if value == Value::Undefined {
                return Ok(Flow::Continue);
            }
            holds = true;
            match found {
                Some(known) if !machine.same(known, &value)? => Err(conflict(rule)),
                Some(_) => Ok(Flow::Continue),
                None => {
                    *found = Some(value);
                    Ok(if rule.one_is_enough { Flow::Stop } else { Flow::Continue })
                }
            }
        })?;
        Ok(holds)
    }

    /// The value that one definition gives by itself; none stands for the default.
    pub(in crate::rego) fn apart(&mut self, id: RuleId, definition: Option<usize>) -> Result<Value, Halt> {
        let Some(rule) = self.program.rules.get(id) else { return Ok(Value::Undefined) };
        let definition = definition.map_or(rule.default.as_ref(), |at| rule.definitions.get(at));
        let Some(definition) = definition else { return Ok(Value::Undefined) };
        self.enter(id, &[]);
        let value = self.deeper(|machine| match rule.kind {
            RuleKind::Complete => {
                let mut found = None;
                machine.solve(rule, definition, &[], &mut found)?;
                Ok(found.unwrap_or(Value::Undefined))
            }
            RuleKind::Partial => machine.partial(rule, std::iter::once(definition)),
            RuleKind::Function { .. } => Ok(Value::Undefined),
        })?;
        self.leave(&value);
        Ok(value)
    }

    /// Keeps what is printed from here on.
    pub(in crate::rego) fn keep_prints(&mut self) {
        self.surroundings.printed = Some(String::new());
    }

    /// The cases of tests that were begun so far, and what was printed.
    pub(in crate::rego) fn into_notes(self) -> (Vec<Value>, String) {
        (self.surroundings.test_cases, self.surroundings.printed.unwrap_or_default())
    }

    /// What definitions of a partial rule give.
    fn partial(
        &mut self,
        rule: &'p Rule,
        definitions: impl Iterator<Item = &'p Definition>,
    ) -> Result<Value, Halt> {
        let is_set = rule
            .definitions
            .iter()
            .all(|definition| definition.body.value.is_none() && definition.body.keys.len() == 1);
        if is_set {
            return self.partial_set(definitions);
        }
        let mut whole = Whole { value: Value::new_object(), ends: BTreeSet::new() };
        for definition in definitions {
            self.within(definition, |machine| {
                for body in std::iter::once(&definition.body).chain(&definition.otherwise) {
                    let mut holds = false;
                    machine.run(&body.block.steps, &mut |machine| {
                        let Some(keys) = machine.arguments(&body.keys)? else { return Ok(Flow::Continue) };
                        let value = match &body.value {
                            Some(term) => match machine.value(term)? {
                                Value::Undefined => return Ok(Flow::Continue),
                                value => Some(value),
                            },
                            None => None,
                        };
                        holds = true;
                        if whole.insert(machine, &keys, value)? {
                            Ok(Flow::Continue)
                        } else {
                            Err(conflict(rule))
                        }
                    })?;
                    if holds {
                        break;
                    }
                }
                Ok(())
            })?;
        }
        Ok(whole.value)
    }

    fn partial_set(&mut self, definitions: impl Iterator<Item = &'p Definition>) -> Result<Value, Halt> {
        let mut members = BTreeSet::new();
        for definition in definitions {
            self.within(definition, |machine| {
                machine.run(&definition.body.block.steps, &mut |machine| {
                    if let Some(keys) = machine.arguments(&definition.body.keys)? {
                        for key in &keys {
                            machine.pay_for_key(key)?;
                        }
                        members.extend(keys);
                    }
                    Ok(Flow::Continue)
                })?;
                Ok(())
            })?;
        }
        Ok(Value::from(members))
    }

    /// What a partial rule has at `key`.
    pub(super) fn keyed(&mut self, id: RuleId, key: Value) -> Result<Value, Halt> {
        let Some(rule) = self.program.rules.get(id) else { return Ok(Value::Undefined) };
        let is_computed = self.world.computed.contains_key(&id);
        self.pay_for_key(&key)?;
        let can = rule.definitions.iter().all(|definition| definition.keyed.is_some());
        if is_computed || !can || self.overlay_of(rule).is_some() {
            let whole = self.rule(id)?;
            return Ok(member(&whole, &key).cloned().unwrap_or(Value::Undefined));
        }
        self.enter(id, std::slice::from_ref(&key));
        let value = self.deeper(|machine| {
            let mut found = None;
            for definition in machine.candidates(rule, &[]) {
                machine
                    .within(definition, |machine| machine.solve_keyed(rule, definition, &key, &mut found))?;
            }
            Ok(found.unwrap_or(Value::Undefined))
        })?;
        self.leave(&value);
        Ok(value)
    }

    fn solve_keyed(
        &mut self,
        rule: &'p Rule,
        definition: &'p Definition,
        key: &Value,
        found: &mut Option<Value>,
    ) -> Result<(), Halt> {
        let Some(keyed) = &definition.keyed else { return Ok(()) };
        if !self.matches(&keyed.key, key.clone())? {
            return Ok(());
        }
        self.matched(definition);
        if keyed.body.value.is_some() {
            self.solve_body(rule, &keyed.body, found)?;
        } else {
            let flow = self.run(&keyed.body.block.steps, &mut |_| Ok(Flow::Stop))?;
            if flow == Flow::Stop {
                *found = Some(key.clone());
            }
        }
        Ok(())
    }

    /// Evaluates in the locals of `definition`.
    pub(super) fn within<T>(
        &mut self,
        definition: &'p Definition,
        go: impl FnOnce(&mut Self) -> Result<T, Halt>,
    ) -> Result<T, Halt> {
        self.spend(1)?;
        self.attempt(definition);
        let base = std::mem::replace(&mut self.base, self.locals.len());
        self.locals.resize(self.base + definition.slots, Value::Undefined);
        let result = go(self)?;
        self.locals.truncate(self.base);
        self.base = base;
        Ok(result)
    }

    /// The definitions that may hold.
    fn candidates(&self, rule: &'p Rule, arguments: &[Value]) -> Candidates<'p> {
        let replaces_nothing = self.world.overlays.is_empty() && self.world.stands.is_empty();
        match &rule.index {
            Some(index) if self.is_indexed && replaces_nothing => {
                Candidates::Found(index.lookup(&self.world.input, arguments), &rule.definitions, 0)
            }
            Some(_) | None => Candidates::All(rule.definitions.iter()),
        }
    }
}

/// Definitions, in the order of the source.
enum Candidates<'p> {
    All(std::slice::Iter<'p, Definition>),
    Found(Vec<u32>, &'p [Definition], usize),
}

impl<'p> Iterator for Candidates<'p> {
    type Item = &'p Definition;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::All(all) => all.next(),
            Self::Found(found, definitions, at) => {
                let id = found.get(*at)?;
                *at += 1;
                definitions.get(usize::try_from(*id).ok()?)
            }
        }
    }
}

fn conflict(rule: &Rule) -> Halt {
    Halt::Error(format!("the rule `{}` has two values at once", rule.name))
}

/// A partial rule that is being put together.
struct Whole {
    value: Value,
    /// The paths at which definitions gave values. Nothing goes below them, be they objects or not.
    ends: BTreeSet<Vec<Value>>,
}

impl Whole {
    /// Puts a value, or a member of a set, at `keys`; whether no other definition says otherwise.
    fn insert(
        &mut self,
        machine: &mut Machine<'_>,
        keys: &[Value],
        value: Option<Value>,
    ) -> Result<bool, Halt> {
        let Some((last, path)) = keys.split_last() else { return Ok(true) };
        for key in keys {
            machine.pay_for_key(key)?;
        }
        if keys.len() > 1 {
            let is_below = (1..keys.len())
                .any(|length| keys.get(..length).is_some_and(|above| self.ends.contains(above)));
            if is_below {
                return Ok(false);
            }
        }
        let mut at = &mut self.value;
        for (depth, key) in path.iter().enumerate() {
            let is_set = value.is_none() && depth + 1 == path.len();
            let Ok(fields) = at.as_object_mut() else { return Ok(false) };
            at = fields.get_or_insert_with(key.clone(), || {
                if is_set { Value::new_set() } else { Value::new_object() }
            });
        }
        let Some(value) = value else {
            let Ok(members) = at.as_set_mut() else { return Ok(false) };
            members.insert(last.clone());
            return Ok(true);
        };
        let Ok(fields) = at.as_object_mut() else { return Ok(false) };
        match fields.get(last) {
            Some(present) if !machine.same(present, &value)? => return Ok(false),
            Some(_) => {}
            None => {
                fields.insert(last.clone(), value);
            }
        }
        self.ends.insert(keys.to_vec());
        Ok(true)
    }
}
