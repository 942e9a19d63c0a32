//! Puts goals into an order in which every variable is bound before it is used, and makes steps of them.
//!
//! The order is OPA's: as written, except that a goal waits until what it needs is bound. A goal whose variables are
//! never bound is an error, as in OPA ("unsafe").

mod operands;
mod unification;

use std::{cell::Cell, collections::HashMap, sync::Arc};

use regorus::Value;

use super::{
    goal::{Closure, EveryGoal, Goal, GoalKind, Term, WithTarget, WithValue},
    ir::{
        Block, Call, Callee, Comprehension, Every, Operand, Outcome, Pattern, Position, Replaced,
        Replacement, Scan, Slot, Step, StepKind, With,
    },
    names::{Declared, Tree},
};

/// What is known when planning, and the locals of one definition.
pub(super) struct Planner<'a> {
    pub(super) tree: &'a Tree,
    pub(super) declared: &'a [Declared],
    /// The operator's names of the locals. What is made here is appended without one.
    pub(super) locals: Vec<Option<String>>,
    closures: HashMap<*const Closure, Arc<Comprehension>>,
    /// What all bodies of a program may still take to be put into an order.
    effort_left: &'a Cell<u64>,
}

/// What finding an order for all bodies may take: some seconds.
pub(super) const MAX_EFFORT: u64 = 300_000_000;

/// Which locals are bound.
#[derive(Clone, Debug, Default)]
pub(super) struct Bound(Vec<bool>);

/// Variables that nothing binds.
#[derive(Debug)]
pub(super) struct Unsafe {
    pub(super) names: Vec<String>,
    pub(super) at: Position,
    /// Whether it is not known if something does, because it takes too long to find out.
    pub(super) is_too_long: bool,
}

/// A goal, or a part of it, has to wait.
#[derive(Debug)]
enum Wait {
    /// For variables to be bound.
    ForVariables,
    /// For ever: what stands in a body within it is not safe.
    Unsafe(Unsafe),
}

type Planned<T> = Result<T, Wait>;

// === impl Bound ===

impl Bound {
    pub(super) fn has(&self, slot: Slot) -> bool {
        self.0.get(slot).copied().unwrap_or(false)
    }

    /// Whether the slot was not bound before.
    pub(super) fn bind(&mut self, slot: Slot) -> bool {
        if self.0.len() <= slot {
            self.0.resize(slot + 1, false);
        }
        self.0.get_mut(slot).is_some_and(|bound| !std::mem::replace(bound, true))
    }

    fn has_all(&self, mut locals: impl FnMut(&mut dyn FnMut(Slot))) -> bool {
        let mut all = true;
        locals(&mut |slot| all &= self.has(slot));
        all
    }
}

// === impl Planner ===

impl<'a> Planner<'a> {
    pub(super) fn new(
        tree: &'a Tree,
        declared: &'a [Declared],
        locals: Vec<Option<String>>,
        effort_left: &'a Cell<u64>,
    ) -> Self {
        Self { tree, declared, locals, closures: HashMap::new(), effort_left }
    }

    pub(super) fn fresh(&mut self) -> Slot {
        self.locals.push(None);
        self.locals.len() - 1
    }

    /// The steps of a body.
    ///
    /// # Errors
    /// For every goal that would wait for ever.
    pub(super) fn body(&mut self, goals: &[&Goal], bound: &mut Bound) -> Result<Block, Vec<Unsafe>> {
        let mut steps = Vec::new();
        let mut waiting: Vec<&Goal> = goals.to_vec();
        let mut found = Vec::new();
        loop {
            let before = waiting.len();
            let mut still = Vec::new();
            for goal in waiting {
                // Most of an attempt is the copy of what is bound.
                let effort = 8 + u64::try_from(bound.0.len() / 16).unwrap_or(u64::MAX);
                let Some(left) = self.effort_left.get().checked_sub(effort) else {
                    return Err(vec![Unsafe { names: Vec::new(), at: goal.at, is_too_long: true }]);
                };
                self.effort_left.set(left);
                let (mut attempt, mut made) = (bound.clone(), Vec::new());
                match self.goal(goal, &mut attempt, &mut made) {
                    Ok(()) => {
                        *bound = attempt;
                        steps.extend(made);
                    }
                    Err(Wait::ForVariables) => still.push(goal),
                    Err(Wait::Unsafe(problem)) => found.push(problem),
                }
            }
            waiting = still;
            if waiting.is_empty() || waiting.len() == before {
                break;
            }
        }
        found.extend(waiting.into_iter().map(|goal| self.unsafe_in(goal, bound)));
        if found.is_empty() { Ok(Block { steps }) } else { Err(found) }
    }

    fn unsafe_in(&self, goal: &Goal, bound: &Bound) -> Unsafe {
        let mut names = Vec::new();
        let mut note = |slot: Slot| {
            if let Some(Some(name)) = self.locals.get(slot).filter(|_| !bound.has(slot))
                && !names.contains(name)
            {
                names.push(name.clone());
            }
        };
        goal.terms().iter().for_each(|term| term.locals(&mut note));
        if let GoalKind::Every(every) = &goal.kind {
            every.captured.iter().for_each(|slot| note(*slot));
        }
        Unsafe { names, at: goal.at, is_too_long: false }
    }

    fn goal(&mut self, goal: &Goal, bound: &mut Bound, steps: &mut Vec<Step>) -> Planned<()> {
        let mut closures_are_ready = true;
        for term in goal.terms() {
            term.closures(&mut |closure| {
                closures_are_ready &= closure.captured.iter().all(|slot| bound.has(*slot));
            });
        }
        let negated_is_ready =
            !goal.negated || goal.terms().iter().all(|term| bound.has_all(|visit| term.locals(visit)));
        if !closures_are_ready || !negated_is_ready {
            return Err(Wait::ForVariables);
        }
        if goal.with.is_empty() {
            return self.unmodified(goal, bound, steps);
        }
        let mut replacements = Vec::new();
        for with in goal.with.iter() {
            replacements.push(self.replacement(&with.target, &with.value, bound, steps)?);
        }
        let mut inner = Vec::new();
        self.unmodified(goal, bound, &mut inner)?;
        let with = With { replacements, block: Block { steps: inner } };
        steps.push(Step { kind: StepKind::With(Box::new(with)), at: goal.at });
        Ok(())
    }

    fn replacement(
        &mut self,
        target: &WithTarget,
        value: &WithValue,
        bound: &mut Bound,
        steps: &mut Vec<Step>,
    ) -> Planned<Replacement> {
        let operand = match value {
            WithValue::Term(term) => Ok(self.ground(term, bound, steps)?),
            WithValue::Function(callee) => Err(*callee),
        };
        let replaced = |replaced: Replaced, operand: Result<Operand, Callee>| match operand {
            Ok(operand) => Replacement::Constant(replaced, operand),
            Err(callee) => Replacement::Function(replaced, callee),
        };
        let value_of =
            |operand: Result<Operand, Callee>| operand.unwrap_or(Operand::Constant(Value::Undefined));
        Ok(match target {
            WithTarget::Input(path) => Replacement::Input(path.clone(), value_of(operand)),
            WithTarget::Data(path) => Replacement::Data(path.clone(), value_of(operand)),
            WithTarget::Builtin(name) => replaced(Replaced::Builtin(name), operand),
            WithTarget::Function(rule) => replaced(Replaced::Function(*rule), operand),
        })
    }

    fn unmodified(&mut self, goal: &Goal, bound: &mut Bound, steps: &mut Vec<Step>) -> Planned<()> {
        let at = goal.at;
        let mut inner = Vec::new();
        match &goal.kind {
            GoalKind::Term(term) => {
                let scan = if goal.negated { None } else { self.scan(term, bound, steps)? };
                match scan {
                    Some((source, hops)) => {
                        let scan = Scan { source, hops, result: Outcome::Truthy };
                        inner.push(Step { kind: StepKind::Scan(Box::new(scan)), at });
                    }
                    None => {
                        let term = self.hoist(term, goal.negated, bound, steps)?;
                        let operand = self.operand(&term, goal.negated, bound, steps)?;
                        inner.push(Step { kind: StepKind::Truthy(operand), at });
                    }
                }
            }
            GoalKind::Equal(left, right) => {
                if !self.is_ready(&[left, right], bound) {
                    return Err(Wait::ForVariables);
                }
                self.unify(left, right, goal, bound, steps, &mut inner)?;
            }
            GoalKind::Unify(left, right) => self.unify(left, right, goal, bound, steps, &mut inner)?,
            GoalKind::Call(callee, arguments, result) => {
                let terms: Vec<&Term> = arguments.iter().collect();
                if !self.is_ready(&terms, bound) {
                    return Err(Wait::ForVariables);
                }
                let operands = self.arguments(&terms, goal, bound, steps)?;
                let result = match result {
                    Some(term) => {
                        let term = self.hoist(term, true, bound, steps)?;
                        Outcome::Match(self.pattern(&term, bound, steps)?)
                    }
                    None => Outcome::Truthy,
                };
                let call = Call { callee: *callee, arguments: operands, result };
                inner.push(Step { kind: StepKind::Call(Box::new(call)), at });
            }
            GoalKind::Every(every) => inner.push(self.every(every, at, bound, steps)?),
            GoalKind::Not(goals) => {
                let is_named = |slot: Slot| self.locals.get(slot).is_some_and(Option::is_some);
                let mut ready = true;
                for term in goals.iter().flat_map(Goal::terms) {
                    term.locals(&mut |slot| ready &= bound.has(slot) || !is_named(slot));
                }
                if !ready {
                    return Err(Wait::ForVariables);
                }
                let goals: Vec<&Goal> = goals.iter().collect();
                let block = self.body(&goals, &mut bound.clone()).map_err(first)?;
                inner.push(Step { kind: StepKind::Not(block), at });
            }
        }
        if goal.negated {
            steps.push(Step { kind: StepKind::Not(Block { steps: inner }), at });
        } else {
            steps.extend(inner);
        }
        Ok(())
    }

    /// Whether every variable is bound, or will be by the brackets of a reference beside it.
    fn is_ready(&self, terms: &[&Term], bound: &Bound) -> bool {
        let mut in_brackets = Vec::new();
        terms.iter().for_each(|term| term.bracket_locals(&mut |slot| in_brackets.push(slot)));
        let mut ready = true;
        for term in terms {
            term.plain_locals(&mut |slot| ready &= bound.has(slot) || in_brackets.contains(&slot));
        }
        ready
    }

    /// The operands of a call; those that bind variables come first.
    fn arguments(
        &mut self,
        terms: &[&Term],
        goal: &Goal,
        bound: &mut Bound,
        steps: &mut Vec<Step>,
    ) -> Planned<Vec<Operand>> {
        let mut operands: Vec<Option<Operand>> = terms.iter().map(|_| None).collect();
        for with_references in [true, false] {
            for (term, operand) in terms.iter().zip(&mut operands) {
                if term.has_reference() == with_references {
                    let planned = self.operand(term, goal.negated, bound, steps)?;
                    *operand =
                        Some(if goal.negated { self.held(planned, goal.at, bound, steps) } else { planned });
                }
            }
        }
        Ok(operands.into_iter().flatten().collect())
    }

    fn every(
        &mut self,
        every: &EveryGoal,
        at: Position,
        bound: &mut Bound,
        steps: &mut Vec<Step>,
    ) -> Planned<Step> {
        if !every.captured.iter().all(|slot| bound.has(*slot)) {
            return Err(Wait::ForVariables);
        }
        let domain = self.ground(&every.domain, bound, steps)?;
        let mut inner = bound.clone();
        inner.bind(every.key);
        inner.bind(every.value);
        let goals: Vec<&Goal> = every.goals.iter().collect();
        let body = self.body(&goals, &mut inner).map_err(first)?;
        let (key, value) = (Pattern::Bind(every.key), Pattern::Bind(every.value));
        Ok(Step { kind: StepKind::Every(Box::new(Every { domain, key, value, body })), at })
    }

    // --- unification

    // --- operands

    /// The operand of a term of a rule's head.
    ///
    /// # Errors
    /// When the body does not bind it.
    pub(super) fn head(
        &mut self,
        term: &Term,
        bound: &mut Bound,
        block: &mut Block,
        at: Position,
    ) -> Result<Operand, Vec<Unsafe>> {
        self.operand(term, false, bound, &mut block.steps).map_err(|wait| match wait {
            Wait::Unsafe(problem) => vec![problem],
            Wait::ForVariables => vec![self.unsafe_terms(std::slice::from_ref(term), bound, at)],
        })
    }

    fn unsafe_terms(&self, terms: &[Term], bound: &Bound, at: Position) -> Unsafe {
        let mut names = Vec::new();
        for term in terms {
            term.locals(&mut |slot| {
                if let Some(Some(name)) = self.locals.get(slot).filter(|_| !bound.has(slot)) {
                    names.push(name.clone());
                }
            });
        }
        Unsafe { names, at, is_too_long: false }
    }
}

fn first(problems: Vec<Unsafe>) -> Wait {
    problems.into_iter().next().map_or(Wait::ForVariables, Wait::Unsafe)
}
