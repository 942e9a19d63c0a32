//! Finds the negations that the evaluator answers otherwise than OPA.
//!
//! OPA takes the calls in a negated expression, and what calls take as arguments, out of the negation: in
//! `not input.n - 7 > 35` a missing `n` fails the body. The evaluator negates the expression as a whole, so that the
//! body holds, and what OPA denies would be allowed. Where everything in the negation is sure to be defined, the two
//! agree; what is not sure is refused.

use std::collections::HashSet;

use regorus::unstable::{BoolOp, Expr, Literal, Module, Query, Rule, RuleHead};

use super::compile::rule_ref;

/// The fields of `input` that every request has.
const ALWAYS_DEFINED: [&str; 7] = ["spiffe_id", "tenant", "agent", "role", "service", "action", "timestamp"];

/// The names that stand for rules of `module`: used like variables, in all of its package, they can be undefined.
pub(super) fn rule_names(module: &Module) -> impl Iterator<Item = &str> {
    module.policy.iter().filter_map(|rule| root_name(rule_ref(rule)))
}

/// The lines of negations in `module` that could be answered otherwise than by OPA; `rule_names` are those of its
/// package.
pub(super) fn unsafe_lines(module: &Module, rule_names: &HashSet<&str>) -> Vec<u32> {
    let imported = module.imports.iter().filter_map(|import| match &import.r#as {
        Some(alias) => Some(alias.text()),
        None => import.refr.span().text().rsplit(['.', '"', '[', ']']).find(|part| !part.is_empty()),
    });
    let globals = rule_names.iter().copied().chain(imported).collect();
    let mut search = Search { globals, expressions: Vec::new(), queries: Vec::new(), lines: Vec::new() };
    for rule in &module.policy {
        search.rule(rule);
    }
    search.run()
}

/// Walks with a list of its own instead of recursing: expressions can be as long as a file.
struct Search<'m> {
    /// Names of rules and imports, which are no variables.
    globals: HashSet<&'m str>,
    expressions: Vec<&'m Expr>,
    queries: Vec<&'m Query>,
    lines: Vec<u32>,
}

impl<'m> Search<'m> {
    fn run(mut self) -> Vec<u32> {
        loop {
            if let Some(expr) = self.expressions.pop() {
                self.expression(expr);
            } else if let Some(query) = self.queries.pop() {
                self.query(query);
            } else {
                self.lines.sort_unstable();
                return self.lines;
            }
        }
    }

    fn rule(&mut self, rule: &'m Rule) {
        match rule {
            Rule::Spec { head, bodies, .. } => {
                let assigned = match head {
                    RuleHead::Compr { assign, .. } => assign,
                    RuleHead::Func { args, assign, .. } => {
                        self.expressions.extend(args.iter().map(|arg| &**arg));
                        assign
                    }
                    RuleHead::Set { key, .. } => {
                        self.expressions.extend(key.iter().map(|key| &**key));
                        &None
                    }
                };
                let assigned = assigned.iter().chain(bodies.iter().filter_map(|body| body.assign.as_ref()));
                self.expressions.extend(assigned.map(|assign| &*assign.value));
                self.queries.extend(bodies.iter().map(|body| &*body.query));
            }
            Rule::Default { value, .. } => self.expressions.push(value),
        }
    }

    fn query(&mut self, query: &'m Query) {
        for statement in &query.stmts {
            self.expressions.extend(statement.with_mods.iter().map(|with| &*with.r#as));
            match &statement.literal {
                Literal::SomeVars { .. } => {}
                Literal::SomeIn { collection, .. } => self.expressions.push(collection),
                Literal::Expr { expr, .. } => self.expressions.push(expr),
                Literal::NotExpr { expr, .. } => {
                    if !self.is_safe(expr, statement.with_mods.is_empty()) {
                        self.lines.push(expr.span().line);
                    }
                    self.expressions.push(expr);
                }
                Literal::Every { domain, query, .. } => {
                    self.expressions.push(domain);
                    self.queries.push(query);
                }
            }
        }
    }

    fn expression(&mut self, expr: &'m Expr) {
        if let Expr::ArrayCompr { query, .. }
        | Expr::SetCompr { query, .. }
        | Expr::ObjectCompr { query, .. } = expr
        {
            self.queries.push(query);
        }
        self.expressions.extend(children(expr));
    }
}

/// The parts of an expression, but for the query of a comprehension.
fn children(expr: &Expr) -> Vec<&Expr> {
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

/// What a negation may be sure of.
impl Search<'_> {
    /// Whether a negated expression is answered as OPA answers it. A `with` can take from `input` what every request
    /// has; `whole` tells that there is none.
    fn is_safe(&self, expr: &Expr, whole: bool) -> bool {
        let is_defined = |expr: &Expr| self.is_defined(expr, whole);
        match expr {
            // OPA compares in place: an undefined side makes the comparison undefined, and its negation true.
            Expr::BoolExpr { op: BoolOp::Eq, lhs, rhs, .. } | Expr::AssignExpr { lhs, rhs, .. } => {
                [lhs, rhs].into_iter().all(|side| self.is_plain_reference(side, whole) || is_defined(side))
            }
            Expr::Call { params, .. } => params.iter().all(|param| is_defined(param)),
            Expr::RefDot { .. } | Expr::RefBrack { .. } | Expr::Var { .. } => {
                self.is_plain_reference(expr, whole)
            }
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
    fn is_defined(&self, expr: &Expr, whole: bool) -> bool {
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
                    whole && known && matches!(&**refr, Expr::Var { span, .. } if span.text() == "input")
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
    fn is_plain_reference(&self, expr: &Expr, whole: bool) -> bool {
        let mut expr = expr;
        loop {
            if let Expr::RefDot { refr, .. } = expr {
                expr = refr;
            } else if let Expr::RefBrack { refr, index, .. } = expr
                && self.is_defined(index, whole)
            {
                expr = refr;
            } else {
                return matches!(expr, Expr::Var { .. });
            }
        }
    }
}

/// The name that a reference begins with, or that a variable has.
fn root_name(expr: &Expr) -> Option<&str> {
    let mut expr = expr;
    while let Expr::RefDot { refr, .. } | Expr::RefBrack { refr, .. } = expr {
        expr = refr;
    }
    if let Expr::Var { span, .. } = expr { Some(span.text()) } else { None }
}

#[cfg(test)]
mod tests {
    use regorus::Engine;

    use super::{rule_names, unsafe_lines};

    #[track_caller]
    fn check(body: &str, safe: bool) {
        let mut engine = Engine::new();
        let text =
            format!("package p\nimport data.lib\nallow if {{\n{body}\n}}\nf(x) := x\nrule := data.missing");
        engine.add_policy("p.rego".to_owned(), text).unwrap();
        let module = &engine.get_modules()[0];
        let names = rule_names(module).collect();
        let lines = unsafe_lines(module, &names);
        assert_eq!(lines, if safe { vec![] } else { vec![4] }, "{body}");
    }

    /// Each was asked of OPA 1.22.2 with a missing `input.n` and missing data.
    #[test]
    fn as_opa() {
        for body in [
            "not input.n",
            "not input.n == 5",
            "not 5 == data.x.y",
            "not input.role == data.x[input.role]",
            "not data.q[input.role]",
            "not startswith(input.role, \"a\")",
            "not input.role in {\"a\", \"b\"}",
            "not to_number(input.role)",
            "not input.role > \"a\"",
            "x := data.q; not \"a\" in x",
            "not rule",
            "not rule == 5",
            "not data.lib.x",
        ] {
            check(body, true);
        }
    }

    #[test]
    fn otherwise_than_opa() {
        for body in [
            "not 1 / 0 == 1",
            "not input.n - 7 > 35",
            "not input.n > 5",
            "not input.n != 5",
            "not startswith(data.q[input.role], \"a\")",
            "not input.n in {1, 2}",
            "not \"a\" in data.q",
            "not f(input.n)",
            "not startswith(rule, \"a\")",
            "not rule > 5",
            "not lib in {1, 2}",
            "not [rule] == [1]",
            "not startswith(input.role, \"a\") with input as {}",
            "not f(input.role) == 2",
            "not data.q[f(input.role)]",
            "not {\"a\": input.n} == {\"a\": 1}",
            "not to_number(input.role) == 3",
            "x := [y | some y in [1]; not input.n > 5]",
            "every y in [1] { not y + input.n > 1 }",
        ] {
            check(body, false);
        }
    }
}
