//! Operands: what a step needs, hoisted into steps before it.

use std::{rc::Rc, sync::Arc};

use regorus::Value;

use super::{Bound, Planned, Planner, Wait, first};
use crate::rego::{
    counting::Choice,
    goal::{Closure, Collection, Goal, GoalKind, Head, Reference, Term},
    ir::{Collects, Comprehension, Hop, Operand, Outcome, Pattern, Position, RuleKind, Scan, Step, StepKind},
    names::Tree,
};

impl Planner<'_> {
    /// Takes references out of arrays, sets and objects, so that they are evaluated before what they stand in; and,
    /// `in_keys`, those in the brackets of a reference too.
    pub(super) fn hoist(
        &mut self,
        term: &Term,
        in_keys: bool,
        bound: &mut Bound,
        steps: &mut Vec<Step>,
    ) -> Planned<Term> {
        if !term.has_reference() {
            return Ok(term.clone());
        }
        Ok(match term {
            Term::Array(items) => Term::Array(self.hoist_all(items, bound, steps)?),
            Term::Set(items) => Term::Set(self.hoist_all(items, bound, steps)?),
            Term::Object(fields) => {
                let mut hoisted = Vec::new();
                for (key, value) in fields {
                    let key = self.hoist_one(key, bound, steps)?;
                    hoisted.push((key, self.hoist_one(value, bound, steps)?));
                }
                Term::Object(hoisted)
            }
            Term::Reference(reference) if in_keys => {
                let path = self.hoist_all(&reference.path, bound, steps)?;
                Term::Reference(Box::new(Reference { head: reference.head, path }))
            }
            Term::Constant(_) | Term::Local(_) | Term::Reference(_) | Term::Comprehension(_) => term.clone(),
        })
    }

    pub(super) fn hoist_all(
        &mut self,
        terms: &[Term],
        bound: &mut Bound,
        steps: &mut Vec<Step>,
    ) -> Planned<Vec<Term>> {
        terms.iter().map(|term| self.hoist_one(term, bound, steps)).collect()
    }

    pub(super) fn hoist_one(
        &mut self,
        term: &Term,
        bound: &mut Bound,
        steps: &mut Vec<Step>,
    ) -> Planned<Term> {
        match term {
            Term::Reference(_) => {
                let operand = self.operand(term, false, bound, steps)?;
                let held = self.held(operand, Position::default(), bound, steps);
                Ok(match held {
                    Operand::Local(slot) => Term::Local(slot),
                    Operand::Constant(value) => Term::Constant(value),
                    // INVARIANT: `held` gives a local or a constant.
                    _ => term.clone(),
                })
            }
            other => self.hoist(other, true, bound, steps),
        }
    }

    /// The operand's value in a local of its own, evaluated here.
    pub(super) fn held(
        &mut self,
        operand: Operand,
        at: Position,
        bound: &mut Bound,
        steps: &mut Vec<Step>,
    ) -> Operand {
        if matches!(operand, Operand::Local(_) | Operand::Constant(_)) {
            return operand;
        }
        let slot = self.fresh();
        bound.bind(slot);
        steps.push(Step { kind: StepKind::Match(Pattern::Bind(slot), operand), at });
        Operand::Local(slot)
    }

    /// The operand of a term with nothing unbound outside of brackets.
    pub(super) fn ground(
        &mut self,
        term: &Term,
        bound: &mut Bound,
        steps: &mut Vec<Step>,
    ) -> Planned<Operand> {
        self.operand(term, false, bound, steps)
    }

    /// `hoists`: what stands in brackets is evaluated in `steps` instead of in the operand.
    pub(super) fn operand(
        &mut self,
        term: &Term,
        hoists: bool,
        bound: &mut Bound,
        steps: &mut Vec<Step>,
    ) -> Planned<Operand> {
        Ok(match term {
            Term::Constant(value) => Operand::Constant(value.clone()),
            Term::Local(slot) => {
                if !bound.has(*slot) {
                    return Err(Wait::ForVariables);
                }
                Operand::Local(*slot)
            }
            Term::Reference(reference) => match self.scan(term, bound, steps)? {
                Some((source, hops)) => {
                    let slot = self.fresh();
                    bound.bind(slot);
                    let scan = Scan { source, hops, result: Outcome::Match(Pattern::Bind(slot)) };
                    steps.push(Step { kind: StepKind::Scan(Box::new(scan)), at: Position::default() });
                    Operand::Local(slot)
                }
                None => {
                    let mut keys = Vec::new();
                    for part in &reference.path {
                        let key = self.operand(part, hoists, bound, steps)?;
                        keys.push(if hoists {
                            self.held(key, Position::default(), bound, steps)
                        } else {
                            key
                        });
                    }
                    self.at_path(reference.head, keys)
                }
            },
            Term::Array(items) => Operand::Array(self.operands(items, hoists, bound, steps)?),
            Term::Set(items) => {
                let mut operands = self.operands(items, hoists, bound, steps)?;
                // What is undefined ends it before what may be an error, as in OPA, which has members in their order.
                operands.sort_by_key(|operand| {
                    matches!(operand, Operand::Rule(_) | Operand::Keyed(..) | Operand::Document(..))
                });
                Operand::Set(operands)
            }
            Term::Object(fields) => {
                let mut operands = Vec::new();
                for (key, value) in fields {
                    let key = self.operand(key, hoists, bound, steps)?;
                    operands.push((key, self.operand(value, hoists, bound, steps)?));
                }
                Operand::Object(operands)
            }
            Term::Comprehension(closure) => Operand::Comprehension(self.comprehension(closure, bound)?),
        })
    }

    pub(super) fn operands(
        &mut self,
        terms: &[Term],
        hoists: bool,
        bound: &mut Bound,
        steps: &mut Vec<Step>,
    ) -> Planned<Vec<Operand>> {
        terms.iter().map(|term| self.operand(term, hoists, bound, steps)).collect()
    }

    /// The source and the hops of a reference with unbound variables in its brackets; nothing for any other term.
    pub(super) fn scan(
        &mut self,
        term: &Term,
        bound: &mut Bound,
        steps: &mut Vec<Step>,
    ) -> Planned<Option<(Operand, Vec<Hop>)>> {
        let Term::Reference(reference) = term else { return Ok(None) };
        if let Head::Local(slot) = reference.head
            && !bound.has(slot)
        {
            return Err(Wait::ForVariables);
        }
        let iterates = !bound.has_all(|visit| reference.path.iter().for_each(|part| part.locals(visit)));
        if !iterates {
            return Ok(None);
        }
        // References in brackets come first: they may bind what the brackets compare.
        let mut path = Vec::new();
        for part in &reference.path {
            path.push(if part.has_reference() { self.hoist_one(part, bound, steps)? } else { part.clone() });
        }
        let mut keys = Vec::new();
        let mut parts = path.iter().peekable();
        while let Some(part) = parts.next_if(|part| bound.has_all(|visit| part.locals(visit))) {
            keys.push(self.operand(part, false, bound, steps)?);
        }
        let source = self.at_path(reference.head, keys);
        let mut hops = Vec::new();
        for part in parts {
            hops.push(if bound.has_all(|visit| part.locals(visit)) {
                Hop::Key(self.operand(part, false, bound, steps)?)
            } else {
                Hop::Each(self.pattern(part, bound, steps)?)
            });
        }
        if hops.is_empty() {
            // A reference in the brackets has bound them all.
            let slot = self.fresh();
            bound.bind(slot);
            steps.push(Step { kind: StepKind::Match(Pattern::Bind(slot), source), at: Position::default() });
            return Ok(Some((Operand::Local(slot), hops)));
        }
        Ok(Some((source, hops)))
    }

    /// What stands at `keys` below `head`.
    pub(super) fn at_path(&self, head: Head, keys: Vec<Operand>) -> Operand {
        match head {
            Head::Local(slot) => below(Operand::Local(slot), keys),
            Head::Input => {
                let (path, rest) = constant_prefix(keys);
                below(Operand::Input(path.into()), rest)
            }
            Head::Data => self.at_data(keys),
        }
    }

    pub(super) fn at_data(&self, keys: Vec<Operand>) -> Operand {
        let mut at = Tree::ROOT;
        let mut depth = 0;
        for key in &keys {
            let Some(node) = self.tree.node(at) else { break };
            if node.rule.is_some() {
                break;
            }
            let Operand::Constant(Value::String(name)) = key else { break };
            match node.children.get(&**name) {
                Some(child) => at = *child,
                // No rule stands there: all that can is base data.
                None => {
                    let (path, rest) = constant_prefix(keys);
                    return below(Operand::Base(path.into()), rest);
                }
            }
            depth += 1;
        }
        let mut rest = keys.into_iter().skip(depth);
        let rule = self.tree.node(at).and_then(|node| node.rule);
        let Some(rule) = rule else { return Operand::Document(at, rest.collect()) };
        match self.declared.get(rule).map(|declared| declared.kind) {
            Some(RuleKind::Complete) => below(Operand::Rule(rule), rest.collect()),
            Some(RuleKind::Partial) => match rest.next() {
                Some(key) => below(Operand::Keyed(rule, Box::new(key)), rest.collect()),
                None => Operand::Rule(rule),
            },
            // A function is no value.
            Some(RuleKind::Function { .. }) | None => Operand::Constant(Value::Undefined),
        }
    }

    pub(super) fn comprehension(
        &mut self,
        closure: &Rc<Closure>,
        bound: &Bound,
    ) -> Planned<Arc<Comprehension>> {
        if !closure.captured.iter().all(|slot| bound.has(*slot)) {
            return Err(Wait::ForVariables);
        }
        if let Some(planned) = self.closures.get(&Rc::as_ptr(closure)) {
            return Ok(Arc::clone(planned));
        }
        let mut inner = bound.clone();
        let mut terms = closure.terms.clone();
        let mut extra = Vec::new();
        for term in &mut terms {
            if term.has_reference() {
                let slot = self.fresh();
                let goal = GoalKind::Unify(Term::Local(slot), std::mem::replace(term, Term::Local(slot)));
                extra.push(Goal::plain(goal, closure.at));
            }
        }
        let goals: Vec<&Goal> = closure.goals.iter().chain(&extra).collect();
        let mut block = self.body(&goals, &mut inner).map_err(first)?;
        let mut operands = Vec::new();
        for term in &terms {
            let operand = self.operand(term, false, &mut inner, &mut block.steps);
            operands.push(operand.map_err(|_| Wait::Unsafe(self.unsafe_terms(&terms, &inner, closure.at)))?);
        }
        let mut operands = operands.into_iter();
        let undefined = || Operand::Constant(Value::Undefined);
        let mut next = || operands.next().unwrap_or_else(undefined);
        let collects = match closure.collection {
            Collection::Array => Collects::Array(next()),
            Collection::Set => Collects::Set(next()),
            Collection::Object => {
                let key = next();
                Collects::Object(key, next())
            }
        };
        let choice = Choice::of_comprehension(&collects, &block);
        let planned = Arc::new(Comprehension { collects, block, at: closure.at, choice });
        self.closures.insert(Rc::as_ptr(closure), Arc::clone(&planned));
        Ok(planned)
    }
}

pub(super) fn constant_prefix(keys: Vec<Operand>) -> (Vec<Value>, Vec<Operand>) {
    let mut path = Vec::new();
    let mut keys = keys.into_iter().peekable();
    while let Some(Operand::Constant(value)) = keys.next_if(|key| matches!(key, Operand::Constant(_))) {
        path.push(value);
    }
    (path, keys.collect())
}

pub(super) fn below(operand: Operand, keys: Vec<Operand>) -> Operand {
    if keys.is_empty() { operand } else { Operand::Path(Box::new((operand, keys))) }
}
