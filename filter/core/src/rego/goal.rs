//! Rule bodies with every name resolved and every nested call taken out, before they are put into an order.
//!
//! The shape follows OPA's compiler, because it decides what a negation covers: a call within an expression becomes a
//! goal of its own in front of it, outside of the expression's `not`.

use std::rc::Rc;

use regorus::Value;

use super::ir::{Callee, Position, RuleId, Slot};

/// An expression without calls.
#[derive(Clone, Debug)]
pub(super) enum Term {
    Constant(Value),
    Local(Slot),
    Reference(Box<Reference>),
    Array(Vec<Term>),
    Set(Vec<Term>),
    Object(Vec<(Term, Term)>),
    Comprehension(Rc<Closure>),
}

/// What stands at a path below its head.
#[derive(Clone, Debug)]
pub(super) struct Reference {
    pub(super) head: Head,
    pub(super) path: Vec<Term>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head {
    Input,
    Data,
    Local(Slot),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Collection {
    Array,
    Set,
    Object,
}

/// A comprehension.
#[derive(Debug)]
pub(super) struct Closure {
    pub(super) collection: Collection,
    /// One term, or key and value.
    pub(super) terms: Vec<Term>,
    pub(super) goals: Vec<Goal>,
    /// The locals of bodies around it that it uses.
    pub(super) captured: Vec<Slot>,
    pub(super) at: Position,
}

#[derive(Debug)]
pub(super) struct Goal {
    pub(super) kind: GoalKind,
    pub(super) negated: bool,
    pub(super) with: Rc<Vec<WithTerm>>,
    pub(super) at: Position,
}

#[derive(Debug)]
pub(super) enum GoalKind {
    Term(Term),
    Unify(Term, Term),
    /// Like [`Self::Unify`], once everything in it is bound.
    Equal(Term, Term),
    Call(Callee, Vec<Term>, Option<Term>),
    Every(Box<EveryGoal>),
    /// Holds where the goals do not, all of them together.
    Not(Vec<Goal>),
}

#[derive(Debug)]
pub(super) struct EveryGoal {
    pub(super) domain: Term,
    pub(super) key: Slot,
    pub(super) value: Slot,
    pub(super) goals: Vec<Goal>,
    pub(super) captured: Vec<Slot>,
}

#[derive(Debug)]
pub(super) struct WithTerm {
    pub(super) target: WithTarget,
    pub(super) value: WithValue,
}

#[derive(Debug)]
pub(super) enum WithTarget {
    Input(Vec<Value>),
    Data(Vec<Value>),
    Builtin(&'static str),
    Function(RuleId),
}

#[derive(Debug)]
pub(super) enum WithValue {
    Term(Term),
    Function(Callee),
}

// === impl Term ===

impl Term {
    /// Visits the locals that stand by themselves, outside of references and comprehensions.
    pub(super) fn plain_locals(&self, visit: &mut dyn FnMut(Slot)) {
        match self {
            Self::Local(slot) => visit(*slot),
            Self::Array(items) | Self::Set(items) => items.iter().for_each(|item| item.plain_locals(visit)),
            Self::Object(fields) => fields.iter().for_each(|(key, value)| {
                key.plain_locals(visit);
                value.plain_locals(visit);
            }),
            Self::Constant(_) | Self::Reference(_) | Self::Comprehension(_) => {}
        }
    }

    /// Visits the locals in the brackets of references.
    pub(super) fn bracket_locals(&self, visit: &mut dyn FnMut(Slot)) {
        match self {
            Self::Constant(_) | Self::Local(_) | Self::Comprehension(_) => {}
            Self::Reference(reference) => reference.path.iter().for_each(|part| part.locals(visit)),
            Self::Array(items) | Self::Set(items) => items.iter().for_each(|item| item.bracket_locals(visit)),
            Self::Object(fields) => fields.iter().for_each(|(key, value)| {
                key.bracket_locals(visit);
                value.bracket_locals(visit);
            }),
        }
    }

    /// Visits every local but those that comprehensions have to themselves.
    pub(super) fn locals(&self, visit: &mut dyn FnMut(Slot)) {
        match self {
            Self::Local(slot) => visit(*slot),
            Self::Constant(_) => {}
            Self::Reference(reference) => {
                if let Head::Local(slot) = reference.head {
                    visit(slot);
                }
                reference.path.iter().for_each(|part| part.locals(visit));
            }
            Self::Array(items) | Self::Set(items) => items.iter().for_each(|item| item.locals(visit)),
            Self::Object(fields) => fields.iter().for_each(|(key, value)| {
                key.locals(visit);
                value.locals(visit);
            }),
            Self::Comprehension(closure) => closure.captured.iter().for_each(|slot| visit(*slot)),
        }
    }

    /// Visits the comprehensions in it.
    pub(super) fn closures(&self, visit: &mut dyn FnMut(&Closure)) {
        match self {
            Self::Constant(_) | Self::Local(_) => {}
            Self::Reference(reference) => reference.path.iter().for_each(|part| part.closures(visit)),
            Self::Array(items) | Self::Set(items) => items.iter().for_each(|item| item.closures(visit)),
            Self::Object(fields) => fields.iter().for_each(|(key, value)| {
                key.closures(visit);
                value.closures(visit);
            }),
            Self::Comprehension(closure) => visit(closure),
        }
    }

    pub(super) fn has_reference(&self) -> bool {
        match self {
            Self::Constant(_) | Self::Local(_) | Self::Comprehension(_) => false,
            Self::Reference(_) => true,
            Self::Array(items) | Self::Set(items) => items.iter().any(Self::has_reference),
            Self::Object(fields) => {
                fields.iter().any(|(key, value)| key.has_reference() || value.has_reference())
            }
        }
    }
}

// === impl Goal ===

impl Goal {
    pub(super) fn plain(kind: GoalKind, at: Position) -> Self {
        Self { kind, negated: false, with: Rc::default(), at }
    }

    /// The terms that stand in it, but for those of an `every`'s body.
    pub(super) fn terms(&self) -> Vec<&Term> {
        let mut terms = match &self.kind {
            GoalKind::Term(term) => vec![term],
            GoalKind::Unify(left, right) | GoalKind::Equal(left, right) => vec![left, right],
            GoalKind::Call(_, arguments, result) => arguments.iter().chain(result).collect(),
            GoalKind::Every(every) => vec![&every.domain],
            GoalKind::Not(goals) => goals.iter().flat_map(Goal::terms).collect(),
        };
        terms.extend(self.with.iter().filter_map(|with| match &with.value {
            WithValue::Term(term) => Some(term),
            WithValue::Function(_) => None,
        }));
        terms
    }
}
