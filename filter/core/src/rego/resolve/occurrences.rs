//! The names that occur in a body, and those that it declares.

use std::collections::HashSet;

use regorus::unstable::{AssignOp, Expr, Literal, Query, Span};

/// The names that occur in the statements of a body, outside of the bodies within it and of what it declares.
pub(super) fn direct_names(query: &Query, names: &mut HashSet<String>) {
    for statement in &query.stmts {
        match &statement.literal {
            Literal::SomeVars { .. } => {}
            Literal::SomeIn { key, value, collection, .. } => {
                key.iter().chain([value, collection]).for_each(|part| expression_names(part, names));
            }
            Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => match &**expr {
                Expr::AssignExpr { op: AssignOp::ColEq, rhs, .. } => expression_names(rhs, names),
                other => expression_names(other, names),
            },
            Literal::Every { domain, .. } => expression_names(domain, names),
        }
        statement.with_mods.iter().for_each(|with| expression_names(&with.r#as, names));
    }
}

/// The names that the statements of a body declare, with those of an `every`'s body, as OPA counts them.
pub(super) fn declared_names(query: &Query, names: &mut HashSet<String>) {
    for statement in &query.stmts {
        match &statement.literal {
            Literal::SomeVars { vars, .. } => names.extend(vars.iter().map(|name| name.text().to_owned())),
            Literal::SomeIn { key, value, .. } => {
                key.iter().chain([value]).for_each(|pattern| pattern_names(pattern, names));
            }
            Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => {
                if let Expr::AssignExpr { op: AssignOp::ColEq, lhs, .. } = &**expr {
                    pattern_names(lhs, names);
                }
            }
            Literal::Every { query, .. } => declared_names(query, names),
        }
    }
}

pub(super) fn pattern_names(pattern: &Expr, names: &mut HashSet<String>) {
    names.extend(pattern_variables(pattern).into_iter().map(|name| name.text().to_owned()));
}

/// The variables of a pattern, in their order.
pub(super) fn pattern_variables(pattern: &Expr) -> Vec<&Span> {
    let mut pending = vec![pattern];
    let mut found = Vec::new();
    while let Some(part) = pending.pop() {
        match part {
            Expr::Var { span, .. } if span.text() != "_" => found.push(span),
            Expr::Array { items, .. } | Expr::Set { items, .. } => {
                pending.extend(items.iter().map(|item| &**item));
            }
            Expr::Object { fields, .. } => pending.extend(fields.iter().map(|(_, _, value)| &**value)),
            _ => {}
        }
    }
    found.reverse();
    found
}

pub(super) fn expression_names(expr: &Expr, names: &mut HashSet<String>) {
    let mut pending = vec![expr];
    while let Some(expr) = pending.pop() {
        match expr {
            Expr::Var { span, .. } => {
                names.insert(span.text().to_owned());
            }
            Expr::Array { items, .. } | Expr::Set { items, .. } => {
                pending.extend(items.iter().map(|item| &**item));
            }
            Expr::Object { fields, .. } => {
                pending.extend(fields.iter().flat_map(|(_, key, value)| [&**key, &**value]));
            }
            Expr::Call { params, .. } => pending.extend(params.iter().map(|param| &**param)),
            Expr::UnaryExpr { expr, .. } => pending.push(expr),
            Expr::RefDot { refr, .. } => pending.push(refr),
            Expr::RefBrack { refr, index, .. } => pending.extend([&**refr, &**index]),
            Expr::BinExpr { lhs, rhs, .. }
            | Expr::BoolExpr { lhs, rhs, .. }
            | Expr::ArithExpr { lhs, rhs, .. }
            | Expr::AssignExpr { lhs, rhs, .. } => pending.extend([&**lhs, &**rhs]),
            Expr::Membership { key, value, collection, .. } => {
                pending.extend(key.iter().map(|key| &**key).chain([&**value, &**collection]));
            }
            Expr::String { .. }
            | Expr::RawString { .. }
            | Expr::Number { .. }
            | Expr::Bool { .. }
            | Expr::Null { .. }
            | Expr::ArrayCompr { .. }
            | Expr::SetCompr { .. }
            | Expr::ObjectCompr { .. } => {}
        }
    }
}
