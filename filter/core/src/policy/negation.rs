//! Finds the negations that the evaluator answers otherwise than OPA.
//!
//! OPA takes the calls in a negated expression, and what calls take as arguments, out of the negation: in
//! `not input.n - 7 > 35` a missing `n` fails the body. The evaluator negates the expression as a whole, so that the
//! body holds, and what OPA denies would be allowed. Where everything in the negation is sure to be defined, the two
//! agree; what is not sure is refused.

use regorus::unstable::{BoolOp, Expr, Literal, Module, Query, Rule, RuleHead};

/// The fields of `input` that every request has.
const ALWAYS_DEFINED: [&str; 7] = ["spiffe_id", "tenant", "agent", "role", "service", "action", "timestamp"];

/// The lines of negations in `module` that could be answered otherwise than by OPA.
pub(super) fn unsafe_lines(module: &Module) -> Vec<u32> {
    let mut search = Search::default();
    for rule in &module.policy {
        search.rule(rule);
    }
    search.run()
}

/// Walks with a list of its own instead of recursing: expressions can be as long as a file.
#[derive(Default)]
struct Search<'m> {
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
                    if !is_safe(expr) {
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

/// Whether a negated expression is answered as OPA answers it.
fn is_safe(expr: &Expr) -> bool {
    match expr {
        // OPA compares in place: an undefined side makes the comparison undefined, and its negation true.
        Expr::BoolExpr { op: BoolOp::Eq, lhs, rhs, .. } | Expr::AssignExpr { lhs, rhs, .. } => {
            [lhs, rhs].into_iter().all(|side| is_plain_reference(side) || is_defined(side))
        }
        Expr::Call { params, .. } => params.iter().all(|param| is_defined(param)),
        Expr::RefDot { .. } | Expr::RefBrack { .. } => is_plain_reference(expr),
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
        | Expr::Var { .. }
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
fn is_defined(expr: &Expr) -> bool {
    let mut pending = vec![expr];
    while let Some(expr) = pending.pop() {
        match expr {
            Expr::String { .. }
            | Expr::RawString { .. }
            | Expr::Number { .. }
            | Expr::Bool { .. }
            | Expr::Null { .. }
            | Expr::Var { .. }
            | Expr::ArrayCompr { .. }
            | Expr::SetCompr { .. }
            | Expr::ObjectCompr { .. } => {}
            Expr::Array { .. } | Expr::Set { .. } | Expr::Object { .. } => pending.extend(children(expr)),
            Expr::RefDot { refr, field, .. } => {
                let known = field.1.as_string().is_ok_and(|name| ALWAYS_DEFINED.contains(&&**name));
                if !(known && is_input(refr)) {
                    return false;
                }
            }
            Expr::RefBrack { .. }
            | Expr::Call { .. }
            | Expr::UnaryExpr { .. }
            | Expr::BinExpr { .. }
            | Expr::BoolExpr { .. }
            | Expr::ArithExpr { .. }
            | Expr::AssignExpr { .. }
            | Expr::Membership { .. } => return false,
        }
    }
    true
}

/// Whether an expression is a reference without calls or references in its brackets.
fn is_plain_reference(expr: &Expr) -> bool {
    let mut expr = expr;
    loop {
        if let Expr::RefDot { refr, .. } = expr {
            expr = refr;
        } else if let Expr::RefBrack { refr, index, .. } = expr
            && is_defined(index)
        {
            expr = refr;
        } else {
            return matches!(expr, Expr::Var { .. });
        }
    }
}

fn is_input(expr: &Expr) -> bool {
    matches!(expr, Expr::Var { value, .. } if value.as_string().is_ok_and(|name| &**name == "input"))
}

#[cfg(test)]
mod tests {
    use regorus::Engine;

    use super::unsafe_lines;

    #[track_caller]
    fn check(body: &str, safe: bool) {
        let mut engine = Engine::new();
        let text = format!("package p\nimport rego.v1\nallow if {{\n{body}\n}}\nf(x) := x");
        engine.add_policy("p.rego".to_owned(), text).unwrap();
        let lines = unsafe_lines(&engine.get_modules()[0]);
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
