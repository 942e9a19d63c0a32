//! Puts goals into an order in which every variable is bound before it is used, and makes steps of them.
//!
//! The order is OPA's: as written, except that a goal waits until what it needs is bound. A goal whose variables are
//! never bound is an error, as in OPA ("unsafe").

use std::{cell::Cell, collections::HashMap, rc::Rc};

use regorus::Value;

use super::{
    counting::Choice,
    goal::{Closure, Collection, EveryGoal, Goal, GoalKind, Head, Reference, Term, WithTarget, WithValue},
    ir::{
        Block, Call, Callee, Collects, Comprehension, Every, Hop, Operand, Outcome, Pattern, Position,
        Replaced, Replacement, RuleKind, Scan, Slot, Step, StepKind, With,
    },
    names::{Declared, Tree},
};

/// What is known when planning, and the locals of one definition.
pub(super) struct Planner<'a> {
    pub(super) tree: &'a Tree,
    pub(super) declared: &'a [Declared],
    /// The operator's names of the locals. What is made here is appended without one.
    pub(super) locals: Vec<Option<String>>,
    closures: HashMap<*const Closure, Rc<Comprehension>>,
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

    fn unify(
        &mut self,
        left: &Term,
        right: &Term,
        goal: &Goal,
        bound: &mut Bound,
        steps: &mut Vec<Step>,
        inner: &mut Vec<Step>,
    ) -> Planned<()> {
        let left = self.hoist(left, goal.negated, bound, steps)?;
        let right = self.hoist(right, goal.negated, bound, steps)?;
        let mut pairs = vec![(left, right)];
        while !pairs.is_empty() {
            let before = pairs.len();
            let mut waiting = Vec::new();
            let mut progress = false;
            for (left, right) in pairs {
                match self.pair(left, right, goal, bound, steps, inner)? {
                    Pair::Done => progress = true,
                    Pair::Parts(parts) => {
                        progress = true;
                        waiting.extend(parts);
                    }
                    Pair::Waits(left, right) => waiting.push((left, right)),
                }
            }
            pairs = waiting;
            if !progress && pairs.len() == before {
                return Err(Wait::ForVariables);
            }
        }
        Ok(())
    }

    fn pair(
        &mut self,
        left: Term,
        right: Term,
        goal: &Goal,
        bound: &mut Bound,
        steps: &mut Vec<Step>,
        inner: &mut Vec<Step>,
    ) -> Planned<Pair> {
        let at = goal.at;
        let (left_known, right_known) = (is_known(&left, bound), is_known(&right, bound));
        match (left, right) {
            (Term::Array(left), Term::Array(right)) if !(left_known && right_known) => {
                if left.len() != right.len() {
                    inner.push(Step { kind: StepKind::Fail, at });
                    return Ok(Pair::Done);
                }
                Ok(Pair::Parts(left.into_iter().zip(right).collect()))
            }
            (Term::Object(left), Term::Object(right)) if !(left_known && right_known) => {
                Ok(match object_pairs(left, right) {
                    Some(parts) => Pair::Parts(parts),
                    None => {
                        inner.push(Step { kind: StepKind::Fail, at });
                        Pair::Done
                    }
                })
            }
            (left, right) if right_known => {
                self.matched(left, &right, left_known, goal, bound, steps, inner)?;
                Ok(Pair::Done)
            }
            (left, right) if left_known => {
                self.matched(right, &left, false, goal, bound, steps, inner)?;
                Ok(Pair::Done)
            }
            (left, right) => Ok(Pair::Waits(left, right)),
        }
    }

    /// Matches a pattern with a term that is known.
    #[expect(clippy::too_many_arguments, reason = "the state of planning travels with what is planned")]
    fn matched(
        &mut self,
        pattern: Term,
        known: &Term,
        both_known: bool,
        goal: &Goal,
        bound: &mut Bound,
        steps: &mut Vec<Step>,
        inner: &mut Vec<Step>,
    ) -> Planned<()> {
        let at = goal.at;
        let scan = if goal.negated { None } else { self.scan(known, bound, steps)? };
        if let Some((source, hops)) = scan {
            // The other side may iterate too: then it has to come first.
            let pattern = self.pattern(&pattern, bound, inner)?;
            let scan = Scan { source, hops, result: Outcome::Match(pattern) };
            inner.push(Step { kind: StepKind::Scan(Box::new(scan)), at });
            return Ok(());
        }
        let known = self.operand(known, goal.negated, bound, steps)?;
        let kind = if both_known {
            StepKind::Equal(self.operand_in(&pattern, goal.negated, bound, steps, inner)?, known)
        } else {
            match self.pattern(&pattern, bound, inner)? {
                Pattern::Equal(operand) => StepKind::Equal(operand, known),
                pattern => StepKind::Match(pattern, known),
            }
        };
        inner.push(Step { kind, at });
        Ok(())
    }

    fn operand_in(
        &mut self,
        term: &Term,
        negated: bool,
        bound: &mut Bound,
        steps: &mut Vec<Step>,
        inner: &mut Vec<Step>,
    ) -> Planned<Operand> {
        if negated { self.operand(term, true, bound, steps) } else { self.operand(term, false, bound, inner) }
    }

    fn pattern(&mut self, term: &Term, bound: &mut Bound, steps: &mut Vec<Step>) -> Planned<Pattern> {
        Ok(match term {
            Term::Local(slot) => {
                if bound.bind(*slot) {
                    Pattern::Bind(*slot)
                } else {
                    Pattern::Equal(Operand::Local(*slot))
                }
            }
            Term::Array(items) => Pattern::Array(
                items.iter().map(|item| self.pattern(item, bound, steps)).collect::<Result<_, _>>()?,
            ),
            Term::Object(fields) => {
                let mut patterns = Vec::new();
                for (key, value) in fields {
                    // OPA takes no variables for the keys of what an object is taken apart by.
                    let Term::Constant(key) = key else { return Err(Wait::ForVariables) };
                    patterns.push((Operand::Constant(key.clone()), self.pattern(value, bound, steps)?));
                }
                Pattern::Object(patterns)
            }
            Term::Constant(_) | Term::Reference(_) | Term::Set(_) | Term::Comprehension(_) => {
                Pattern::Equal(self.operand(term, false, bound, steps)?)
            }
        })
    }

    /// The pattern of a parameter.
    pub(super) fn parameter(&mut self, term: &Term, bound: &mut Bound) -> Option<Pattern> {
        let mut steps = Vec::new();
        self.pattern(term, bound, &mut steps).ok().filter(|_| steps.is_empty())
    }

    // --- operands

    /// Takes references out of arrays, sets and objects, so that they are evaluated before what they stand in; and,
    /// `in_keys`, those in the brackets of a reference too.
    fn hoist(
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

    fn hoist_all(&mut self, terms: &[Term], bound: &mut Bound, steps: &mut Vec<Step>) -> Planned<Vec<Term>> {
        terms.iter().map(|term| self.hoist_one(term, bound, steps)).collect()
    }

    fn hoist_one(&mut self, term: &Term, bound: &mut Bound, steps: &mut Vec<Step>) -> Planned<Term> {
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
    fn held(&mut self, operand: Operand, at: Position, bound: &mut Bound, steps: &mut Vec<Step>) -> Operand {
        if matches!(operand, Operand::Local(_) | Operand::Constant(_)) {
            return operand;
        }
        let slot = self.fresh();
        bound.bind(slot);
        steps.push(Step { kind: StepKind::Match(Pattern::Bind(slot), operand), at });
        Operand::Local(slot)
    }

    /// The operand of a term with nothing unbound outside of brackets.
    fn ground(&mut self, term: &Term, bound: &mut Bound, steps: &mut Vec<Step>) -> Planned<Operand> {
        self.operand(term, false, bound, steps)
    }

    /// `hoists`: what stands in brackets is evaluated in `steps` instead of in the operand.
    fn operand(
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

    fn operands(
        &mut self,
        terms: &[Term],
        hoists: bool,
        bound: &mut Bound,
        steps: &mut Vec<Step>,
    ) -> Planned<Vec<Operand>> {
        terms.iter().map(|term| self.operand(term, hoists, bound, steps)).collect()
    }

    /// The source and the hops of a reference with unbound variables in its brackets; nothing for any other term.
    fn scan(
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
    fn at_path(&self, head: Head, keys: Vec<Operand>) -> Operand {
        match head {
            Head::Local(slot) => below(Operand::Local(slot), keys),
            Head::Input => {
                let (path, rest) = constant_prefix(keys);
                below(Operand::Input(path.into()), rest)
            }
            Head::Data => self.at_data(keys),
        }
    }

    fn at_data(&self, keys: Vec<Operand>) -> Operand {
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

    fn comprehension(&mut self, closure: &Rc<Closure>, bound: &Bound) -> Planned<Rc<Comprehension>> {
        if !closure.captured.iter().all(|slot| bound.has(*slot)) {
            return Err(Wait::ForVariables);
        }
        if let Some(planned) = self.closures.get(&Rc::as_ptr(closure)) {
            return Ok(Rc::clone(planned));
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
        let planned = Rc::new(Comprehension { collects, block, at: closure.at, choice });
        self.closures.insert(Rc::as_ptr(closure), Rc::clone(&planned));
        Ok(planned)
    }

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

/// What became of two terms that are to be equal.
enum Pair {
    Done,
    /// They are equal if their parts are.
    Parts(Vec<(Term, Term)>),
    Waits(Term, Term),
}

/// Whether a term's value can be had now. The variables in a reference's brackets are bound by having it.
fn is_known(term: &Term, bound: &Bound) -> bool {
    match term {
        Term::Constant(_) => true,
        Term::Local(slot) => bound.has(*slot),
        Term::Reference(reference) => match reference.head {
            Head::Local(slot) => bound.has(slot),
            Head::Input | Head::Data => true,
        },
        Term::Array(items) | Term::Set(items) => items.iter().all(|item| is_known(item, bound)),
        Term::Object(fields) => {
            fields.iter().all(|(key, value)| is_known(key, bound) && is_known(value, bound))
        }
        Term::Comprehension(closure) => closure.captured.iter().all(|slot| bound.has(*slot)),
    }
}

/// The values of two objects by their keys; nothing where the keys are known to differ.
fn object_pairs(left: Vec<(Term, Term)>, right: Vec<(Term, Term)>) -> Option<Vec<(Term, Term)>> {
    if left.len() != right.len() {
        return None;
    }
    let mut pairs = Vec::new();
    for (key, value) in left {
        let Term::Constant(key) = key else { return None };
        let other = right.iter().find_map(|(other, value)| match other {
            Term::Constant(other) if *other == key => Some(value.clone()),
            _ => None,
        });
        pairs.push((value, other?));
    }
    Some(pairs)
}

fn first(problems: Vec<Unsafe>) -> Wait {
    problems.into_iter().next().map_or(Wait::ForVariables, Wait::Unsafe)
}

fn constant_prefix(keys: Vec<Operand>) -> (Vec<Value>, Vec<Operand>) {
    let mut path = Vec::new();
    let mut keys = keys.into_iter().peekable();
    while let Some(Operand::Constant(value)) = keys.next_if(|key| matches!(key, Operand::Constant(_))) {
        path.push(value);
    }
    (path, keys.collect())
}

fn below(operand: Operand, keys: Vec<Operand>) -> Operand {
    if keys.is_empty() { operand } else { Operand::Path(Box::new((operand, keys))) }
}
