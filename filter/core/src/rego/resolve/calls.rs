//! Calls, and what `with` puts in the place of functions and documents.

use regorus::{
    Value,
    unstable::{ArithOp, BinOp, BoolOp, Expr, Span, WithModifier},
};

use super::{Resolver, terms::first_span};
use crate::rego::{
    builtins::builtin,
    goal::{GoalKind, Term, WithTarget, WithTerm, WithValue},
    ir::{Callee, RuleKind},
    names::{Global, constant_path},
};

impl Resolver<'_> {
    pub(super) fn with(&mut self, modifier: &WithModifier) -> Option<WithTerm> {
        let path = constant_path(&modifier.refr);
        let target = self.with_target(&path, &modifier.span)?;
        let value = match &target {
            WithTarget::Builtin(_) | WithTarget::Function(_) => match self.function_value(&modifier.r#as) {
                Some(callee) => WithValue::Function(callee),
                None => WithValue::Term(self.term(&modifier.r#as)),
            },
            WithTarget::Input(_) | WithTarget::Data(_) => WithValue::Term(self.term(&modifier.r#as)),
        };
        Some(WithTerm { target, value })
    }

    pub(super) fn with_target(&mut self, path: &[String], span: &Span) -> Option<WithTarget> {
        let (root, rest) = path.split_first()?;
        let values = |path: &[String]| path.iter().map(|part| Value::from(part.as_str())).collect();
        match self.names.global(root) {
            Some(Global::Input(below)) => Some(WithTarget::Input(values(&[below.as_slice(), rest].concat()))),
            Some(Global::Data(below)) => {
                let path = [below.as_slice(), rest].concat();
                let function = self.tree.rule_at(&path).filter(|rule| {
                    self.declared
                        .get(*rule)
                        .is_some_and(|declared| matches!(declared.kind, RuleKind::Function { .. }))
                });
                Some(match function {
                    Some(rule) => WithTarget::Function(rule),
                    None => WithTarget::Data(values(&path)),
                })
            }
            None => {
                let name = path.join(".");
                match builtin(&name) {
                    Some(builtin) => Some(WithTarget::Builtin(builtin.name)),
                    None => {
                        let message = format!(
                            "`with` replaces `input`, `data` or a function: `{name}` is none of them"
                        );
                        self.problem(span, message);
                        None
                    }
                }
            }
        }
    }

    /// The function that an expression names.
    pub(super) fn function_value(&self, expr: &Expr) -> Option<Callee> {
        matches!(expr, Expr::Var { .. } | Expr::RefDot { .. } | Expr::RefBrack { .. })
            .then(|| self.callee(&constant_path(expr)))
            .flatten()
            .map(|(callee, _)| callee)
    }

    pub(super) fn callee(&self, path: &[String]) -> Option<(Callee, usize)> {
        let (root, rest) = path.split_first()?;
        if let Some(Global::Data(below)) = self.names.global(root) {
            let rule = self.tree.rule_at(&[below.as_slice(), rest].concat())?;
            return match self.declared.get(rule)?.kind {
                RuleKind::Function { arity } => Some((Callee::Function(rule), arity)),
                RuleKind::Complete | RuleKind::Partial => None,
            };
        }
        // Unification is no function: it is written `=`.
        let builtin = builtin(&path.join(".")).filter(|builtin| builtin.name != "eq")?;
        Some((Callee::Builtin(builtin), builtin.arity))
    }

    /// The call that an expression is; the outer nothing where it is none, the inner where it is a wrong one.
    pub(super) fn call(&mut self, expr: &Expr, is_statement: bool) -> Option<Option<GoalKind>> {
        let operator = |name: &str| builtin(name).map(Callee::Builtin);
        let (callee, parts): (Option<Callee>, Vec<&Expr>) = match expr {
            Expr::Call { fcn, params, .. } => {
                let (path, span) = (constant_path(fcn), first_span(fcn));
                if path == ["set"] && params.is_empty() {
                    return None;
                }
                if path.first().is_some_and(|root| self.is_variable(root)) {
                    let name = path.join(".");
                    let message = format!(
                        "a variable stands for `{name}` here, and cannot be called: rename the variable"
                    );
                    self.problem(span, message);
                    return Some(None);
                }
                let Some((callee, arity)) = self.callee(&path) else {
                    let name = path.join(".");
                    let message = format!(
                        "there is no function `{name}`: neither a rule nor a builtin of this version has that name"
                    );
                    self.problem(span, message);
                    return Some(None);
                };
                let with_result = is_statement && params.len() == arity + 1;
                if params.len() != arity && !with_result {
                    let name = path.join(".");
                    let message =
                        format!("`{name}` takes {arity} arguments, but is called with {}", params.len());
                    self.problem(span, message);
                    return Some(None);
                }
                let mut terms: Vec<Term> = params.iter().map(|param| self.term(param)).collect();
                let result = if with_result { terms.pop() } else { None };
                return Some(Some(GoalKind::Call(callee, terms, result)));
            }
            Expr::BoolExpr { lhs, rhs, .. }
            | Expr::ArithExpr { lhs, rhs, .. }
            | Expr::BinExpr { lhs, rhs, .. } => (operator_name(expr).and_then(operator), vec![lhs, rhs]),
            Expr::Membership { key: None, value, collection, .. } => {
                (operator("internal.member_2"), vec![value, collection])
            }
            Expr::Membership { key: Some(key), value, collection, .. } => {
                (operator("internal.member_3"), vec![key, value, collection])
            }
            Expr::UnaryExpr { expr, .. } if !matches!(&**expr, Expr::Number { .. }) => {
                let is_operation = matches!(
                    &**expr,
                    Expr::ArithExpr { .. }
                        | Expr::BinExpr { .. }
                        | Expr::BoolExpr { .. }
                        | Expr::Membership { .. }
                );
                if is_operation {
                    // In OPA it covers the next term only, and no brackets.
                    let message =
                        "a `-` before more than one term is read in another way than in OPA: write `0 - x`";
                    self.problem(expr.span(), message.to_owned());
                }
                let term = self.term(expr);
                let zero = Term::Constant(Value::from(0_i64));
                return Some(operator("minus").map(|minus| GoalKind::Call(minus, vec![zero, term], None)));
            }
            _ => return None,
        };
        let terms = parts.into_iter().map(|part| self.term(part)).collect();
        Some(callee.map(|callee| GoalKind::Call(callee, terms, None)))
    }
}

/// The name of the builtin that an operator with two sides is.
pub(in crate::rego) fn operator_name(expr: &Expr) -> Option<&'static str> {
    Some(match expr {
        Expr::BoolExpr { op, .. } => match op {
            BoolOp::Lt => "lt",
            BoolOp::Le => "lte",
            BoolOp::Eq => "equal",
            BoolOp::Ge => "gte",
            BoolOp::Gt => "gt",
            BoolOp::Ne => "neq",
        },
        Expr::ArithExpr { op, .. } => match op {
            ArithOp::Add => "plus",
            ArithOp::Sub => "minus",
            ArithOp::Mul => "mul",
            ArithOp::Div => "div",
            ArithOp::Mod => "rem",
        },
        Expr::BinExpr { op, .. } => match op {
            BinOp::Intersection => "and",
            BinOp::Union => "or",
        },
        _ => return None,
    })
}
