//! Terms, references and comprehensions.

use std::{collections::BTreeSet, rc::Rc};

use regorus::{
    Value,
    unstable::{Expr, Query, Ref, Span},
};

use super::Resolver;
use crate::rego::{
    goal::{Closure, Collection, Goal, GoalKind, Head, Reference, Term},
    names::Global,
};

impl Resolver<'_> {
    pub(super) fn term(&mut self, expr: &Expr) -> Term {
        match expr {
            Expr::String { value, .. }
            | Expr::RawString { value, .. }
            | Expr::Number { value, .. }
            | Expr::Bool { value, .. }
            | Expr::Null { value, .. } => Term::Constant(value.clone()),
            Expr::Var { span, .. } => self.variable(span),
            Expr::Array { items, .. } => {
                let items: Vec<Term> = items.iter().map(|item| self.term(item)).collect();
                match constants(&items) {
                    Some(values) => Term::Constant(Value::from(values)),
                    None => Term::Array(items),
                }
            }
            Expr::Set { items, .. } => {
                let items: Vec<Term> = items.iter().map(|item| self.term(item)).collect();
                match constants(&items) {
                    Some(values) => Term::Constant(set_of(values)),
                    None => Term::Set(items),
                }
            }
            Expr::Object { fields, .. } => {
                let fields: Vec<(Term, Term)> =
                    fields.iter().map(|(_, key, value)| (self.term(key), self.term(value))).collect();
                constant_object(&fields).map_or(Term::Object(fields), Term::Constant)
            }
            Expr::ArrayCompr { span, term, query, .. } => {
                self.comprehension(Collection::Array, &[term], query, span)
            }
            Expr::SetCompr { span, term, query, .. } => {
                self.comprehension(Collection::Set, &[term], query, span)
            }
            Expr::ObjectCompr { span, key, value, query, .. } => {
                self.comprehension(Collection::Object, &[key, value], query, span)
            }
            Expr::RefDot { .. } | Expr::RefBrack { .. } => self.reference(expr),
            Expr::UnaryExpr { expr: inner, .. } if matches!(&**inner, Expr::Number { .. }) => {
                let Expr::Number { value, .. } = &**inner else { return Term::Constant(Value::Undefined) };
                Term::Constant(negative(value))
            }
            Expr::AssignExpr { span, .. } => {
                self.problem(
                    span,
                    "an assignment cannot stand within an expression: put it on a line of its own".to_owned(),
                );
                Term::Constant(Value::Undefined)
            }
            Expr::Call { .. }
            | Expr::UnaryExpr { .. }
            | Expr::BinExpr { .. }
            | Expr::BoolExpr { .. }
            | Expr::ArithExpr { .. }
            | Expr::Membership { .. } => match self.call(expr, false) {
                Some(Some(GoalKind::Call(callee, arguments, _))) => {
                    let slot = self.fresh();
                    let at = self.at(expr.span());
                    let kind = GoalKind::Call(callee, arguments, Some(Term::Local(slot)));
                    self.push(Goal::plain(kind, at));
                    Term::Local(slot)
                }
                // A problem was noted.
                Some(_) => Term::Constant(Value::Undefined),
                None => Term::Constant(Value::new_set()),
            },
        }
    }

    pub(super) fn variable(&mut self, name: &Span) -> Term {
        match name.text() {
            "_" => Term::Local(self.fresh()),
            text => match self.local(text) {
                Some(slot) => Term::Local(slot),
                None => match self.names.global(text).filter(|_| !self.is_declared_around(text)) {
                    Some(global) => Term::Reference(Box::new(global_reference(global))),
                    None => Term::Local(self.free(text)),
                },
            },
        }
    }

    pub(super) fn reference(&mut self, expr: &Expr) -> Term {
        let mut from_the_end = Vec::new();
        let mut root = expr;
        loop {
            if let Expr::RefDot { refr, field, .. } = root {
                from_the_end.push(Err(field.1.clone()));
                root = refr;
            } else if let Expr::RefBrack { refr, index, .. } = root {
                from_the_end.push(Ok(&**index));
                root = refr;
            } else {
                break;
            }
        }
        let head = self.term(root);
        let mut reference = self.beginning_at(head, root.span());
        for part in from_the_end.into_iter().rev() {
            let part = match part {
                Ok(index) => self.term(index),
                Err(field) => Term::Constant(field),
            };
            reference.path.push(part);
        }
        Term::Reference(Box::new(reference))
    }

    /// The reference that begins at a term. What is neither a reference nor a local becomes a local first.
    pub(super) fn beginning_at(&mut self, term: Term, span: &Span) -> Reference {
        let slot = match term {
            Term::Reference(reference) => return *reference,
            Term::Local(slot) => slot,
            other @ (Term::Constant(_)
            | Term::Array(_)
            | Term::Set(_)
            | Term::Object(_)
            | Term::Comprehension(_)) => {
                let slot = self.fresh();
                let at = self.at(span);
                self.push(Goal::plain(GoalKind::Unify(Term::Local(slot), other), at));
                slot
            }
        };
        Reference { head: Head::Local(slot), path: Vec::new() }
    }

    pub(super) fn comprehension(
        &mut self,
        collection: Collection,
        terms: &[&Ref<Expr>],
        query: &Query,
        span: &Span,
    ) -> Term {
        let heads: Vec<&Expr> = terms.iter().map(|term| &***term).collect();
        let (body, terms) = self.scoped(Some(query), &heads);
        let at = self.at(span);
        let closure = Closure { collection, terms, goals: body.goals, captured: body.captured, at };
        Term::Comprehension(Rc::new(closure))
    }
}

/// Where an expression begins. The parser's spans of infix expressions are those of their operators.
pub(in crate::rego) fn first_span(expr: &Expr) -> &Span {
    let mut expr = expr;
    loop {
        expr = match expr {
            Expr::BinExpr { lhs, .. }
            | Expr::BoolExpr { lhs, .. }
            | Expr::ArithExpr { lhs, .. }
            | Expr::AssignExpr { lhs, .. } => lhs,
            Expr::Membership { key, value, .. } => key.as_ref().unwrap_or(value),
            Expr::Call { fcn, .. } => fcn,
            Expr::RefDot { refr, .. } | Expr::RefBrack { refr, .. } => refr,
            other => return other.span(),
        };
    }
}

pub(super) fn global_reference(global: Global) -> Reference {
    let (head, path) = match global {
        Global::Input(path) => (Head::Input, path),
        Global::Data(path) => (Head::Data, path),
    };
    Reference { head, path: path.into_iter().map(|part| Term::Constant(Value::from(part))).collect() }
}

pub(super) fn constants(terms: &[Term]) -> Option<Vec<Value>> {
    let value = |term: &Term| match term {
        Term::Constant(value) if *value != Value::Undefined => Some(value.clone()),
        _ => None,
    };
    terms.iter().map(value).collect()
}

pub(super) fn constant_object(fields: &[(Term, Term)]) -> Option<Value> {
    let mut object = Value::new_object();
    let entries = object.as_object_mut().ok()?;
    for (key, value) in fields {
        let (Term::Constant(key), Term::Constant(value)) = (key, value) else { return None };
        entries.insert(key.clone(), value.clone());
    }
    Some(object)
}

/// A set of `values`.
pub(in crate::rego) fn set_of(values: Vec<Value>) -> Value {
    Value::from(values.into_iter().collect::<BTreeSet<Value>>())
}

pub(super) fn negative(value: &Value) -> Value {
    value.as_number().ok().and_then(|number| number.neg()).map_or(Value::Undefined, Value::from)
}
