//! Unification: which side is known, and what is taken apart.

use super::{Bound, Planned, Planner, Wait};
use crate::rego::{
    goal::{Goal, Head, Term},
    ir::{Operand, Outcome, Pattern, Scan, Step, StepKind},
};

impl Planner<'_> {
    pub(super) fn unify(
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

    pub(super) fn pair(
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
    pub(super) fn matched(
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

    pub(super) fn operand_in(
        &mut self,
        term: &Term,
        negated: bool,
        bound: &mut Bound,
        steps: &mut Vec<Step>,
        inner: &mut Vec<Step>,
    ) -> Planned<Operand> {
        if negated { self.operand(term, true, bound, steps) } else { self.operand(term, false, bound, inner) }
    }

    pub(super) fn pattern(
        &mut self,
        term: &Term,
        bound: &mut Bound,
        steps: &mut Vec<Step>,
    ) -> Planned<Pattern> {
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
    pub(in crate::rego) fn parameter(&mut self, term: &Term, bound: &mut Bound) -> Option<Pattern> {
        let mut steps = Vec::new();
        self.pattern(term, bound, &mut steps).ok().filter(|_| steps.is_empty())
    }
}

/// What became of two terms that are to be equal.
pub(super) enum Pair {
    Done,
    /// They are equal if their parts are.
    Parts(Vec<(Term, Term)>),
    Waits(Term, Term),
}

/// Whether a term's value can be had now. The variables in a reference's brackets are bound by having it.
pub(super) fn is_known(term: &Term, bound: &Bound) -> bool {
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
pub(super) fn object_pairs(left: Vec<(Term, Term)>, right: Vec<(Term, Term)>) -> Option<Vec<(Term, Term)>> {
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
