//! What can be told of an expression without evaluating it: whether it is sure to have a value.

use std::collections::HashSet;

use regorus::unstable::{BoolOp, Expr};

/// The fields of `input` that every request has.
const ALWAYS_DEFINED: [&str; 7] = ["spiffe_id", "tenant", "agent", "role", "service", "action", "timestamp"];

/// What is known where an expression stands.
pub(super) struct Certainty<'m> {
    /// Names of rules and imports, which are no variables, and can be undefined.
    pub(super) globals: HashSet<&'m str>,
    /// Whether `input` is that of a request: no `with` of the policy replaces it.
    pub(super) input_is_whole: bool,
}

impl Certainty<'_> {
    /// Whether a negated expression is answered as OPA answers it.
    pub(super) fn is_safe_negated(&self, expr: &Expr) -> bool {
        let is_defined = |expr: &Expr| self.is_defined(expr);
        match expr {
            // OPA compares in place: an undefined side makes the comparison undefined, and its negation true.
            Expr::BoolExpr { op: BoolOp::Eq, lhs, rhs, .. } | Expr::AssignExpr { lhs, rhs, .. } => {
                [lhs, rhs].into_iter().all(|side| self.is_plain_reference(side) || is_defined(side))
            }
            Expr::Call { params, .. } => params.iter().all(|param| is_defined(param)),
            Expr::RefDot { .. } | Expr::RefBrack { .. } | Expr::Var { .. } => self.is_plain_reference(expr),
            Expr::Membership { key: Some(_), .. } => false,
            Expr::BoolExpr { .. }
            | Expr::Membership { .. }
            | Expr::ArithExpr { .. }
            | Expr::BinExpr { .. }
            | Expr::UnaryExpr { .. } => children(expr).into_iter().all(is_defined),
            Expr::String { .. }
            | Expr::RawString { .. }
            | Expr::Number { .. }
            | Expr::Bool { .. }
            | Expr::Null { .. }
            | Expr::Array { .. }
            | Expr::Set { .. }
            | Expr::Object { .. }
            | Expr::ArrayCompr { .. }
            | Expr::SetCompr { .. }
            | Expr::ObjectCompr { .. } => is_defined(expr),
        }
    }

    /// Whether an expression has a value whatever the request and the data: constants, variables, comprehensions, the
    /// seven fields, and collections of them.
    pub(super) fn is_defined(&self, expr: &Expr) -> bool {
        let mut pending = vec![expr];
        while let Some(expr) = pending.pop() {
            let defined = match expr {
                Expr::String { .. }
                | Expr::RawString { .. }
                | Expr::Number { .. }
                | Expr::Bool { .. }
                | Expr::Null { .. }
                | Expr::ArrayCompr { .. }
                | Expr::SetCompr { .. }
                | Expr::ObjectCompr { .. } => true,
                Expr::Var { .. } => root_name(expr).is_some_and(|name| !self.globals.contains(name)),
                Expr::Array { .. } | Expr::Set { .. } | Expr::Object { .. } => {
                    pending.extend(children(expr));
                    true
                }
                Expr::RefDot { refr, field, .. } => {
                    let known = field.1.as_string().is_ok_and(|name| ALWAYS_DEFINED.contains(&&**name));
                    self.input_is_whole
                        && known
                        && matches!(&**refr, Expr::Var { span, .. } if span.text() == "input")
                }
                Expr::RefBrack { .. }
                | Expr::Call { .. }
                | Expr::UnaryExpr { .. }
                | Expr::BinExpr { .. }
                | Expr::BoolExpr { .. }
                | Expr::ArithExpr { .. }
                | Expr::AssignExpr { .. }
                | Expr::Membership { .. } => false,
            };
            if !defined {
                return false;
            }
        }
        true
    }

    /// Whether an expression is a reference without calls or references in its brackets.
    fn is_plain_reference(&self, expr: &Expr) -> bool {
        let mut expr = expr;
        loop {
            if let Expr::RefDot { refr, .. } = expr {
                expr = refr;
            } else if let Expr::RefBrack { refr, index, .. } = expr
                && self.is_defined(index)
            {
                expr = refr;
            } else {
                return matches!(expr, Expr::Var { .. });
            }
        }
    }
}

/// The parts of an expression, but for the query of a comprehension.
pub(super) fn children(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::String { .. }
        | Expr::RawString { .. }
        | Expr::Number { .. }
        | Expr::Bool { .. }
        | Expr::Null { .. }
        | Expr::Var { .. } => Vec::new(),
        Expr::Array { items, .. } | Expr::Set { items, .. } => items.iter().map(|item| &**item).collect(),
        Expr::Object { fields, .. } => fields.iter().flat_map(|(_, key, value)| [&**key, &**value]).collect(),
        Expr::ArrayCompr { term, .. } | Expr::SetCompr { term, .. } => vec![&**term],
        Expr::ObjectCompr { key, value, .. } => vec![&**key, &**value],
        Expr::Call { fcn, params, .. } => {
            params.iter().map(|param| &**param).chain(std::iter::once(&**fcn)).collect()
        }
        Expr::UnaryExpr { expr, .. } => vec![&**expr],
        Expr::RefDot { refr, .. } => vec![&**refr],
        Expr::RefBrack { refr, index, .. } => vec![&**refr, &**index],
        Expr::BinExpr { lhs, rhs, .. }
        | Expr::BoolExpr { lhs, rhs, .. }
        | Expr::ArithExpr { lhs, rhs, .. }
        | Expr::AssignExpr { lhs, rhs, .. } => vec![&**lhs, &**rhs],
        Expr::Membership { key, value, collection, .. } => {
            key.iter().map(|key| &**key).chain([&**value, &**collection]).collect()
        }
    }
}

/// The name that a reference begins with, or that a variable has.
pub(super) fn root_name(expr: &Expr) -> Option<&str> {
    let mut expr = expr;
    while let Expr::RefDot { refr, .. } | Expr::RefBrack { refr, .. } = expr {
        expr = refr;
    }
    if let Expr::Var { span, .. } = expr { Some(span.text()) } else { None }
}
