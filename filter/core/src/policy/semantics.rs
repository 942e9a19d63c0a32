//! Finds the expressions that the evaluator answers otherwise than OPA, and would sometimes allow what OPA denies.
//!
//! - OPA takes the calls in a negated expression, and what calls take as arguments, out of the negation: in
//!   `not input.n - 7 > 35` a missing `n` fails the body. The evaluator negates the expression as a whole.
//! - In `not data.blocked[_] == input.agent` the evaluator takes the wildcard out of the negation: "some element is
//!   another". OPA refuses a negation with a variable that nothing else binds.
//! - Patterns are matched otherwise ([`super::patterns`]), and texts by other libraries ([`super::text_patterns`]).
//! - The evaluator's `in` is false for a collection that is undefined; OPA's is undefined.
//!
//! Where everything in such an expression is sure to be defined and bound, the two agree; the rest is refused.

use std::{collections::HashSet, rc::Rc};

use regorus::unstable::{AssignOp, BUILTINS, Expr, Import, Literal, Module, Query, Rule, RuleHead, Span};

use super::{
    certainty::{Certainty, children, root_name},
    compile::{rule_ref, static_path},
    patterns::{are_safe_together, is_safe_assignment},
    text_patterns::is_safe_call,
};

/// An expression that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Finding {
    /// Its line, counted from 1.
    pub(super) line: u32,
    /// What is wrong with it.
    pub(super) doubt: Doubt,
}

/// Why an expression could be answered otherwise than by OPA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Doubt {
    /// A part of it can be undefined.
    Undefined,
    /// It is negated, and has a variable that nothing else binds.
    Unbound,
    /// It has a pattern that is matched otherwise.
    Pattern,
    /// It has a regular expression or a glob that may be read otherwise.
    Text,
}

/// The names that stand for rules of `module`: used like variables, in all of its package, they can be undefined.
pub(super) fn rule_names(module: &Module) -> impl Iterator<Item = &str> {
    module.policy.iter().filter_map(|rule| root_name(rule_ref(rule)))
}

/// The name that an import stands under in its module.
pub(super) fn import_name(import: &Import) -> Option<&str> {
    match &import.r#as {
        Some(alias) => Some(alias.text()),
        None => import.refr.span().text().rsplit(['.', '"', '[', ']']).find(|part| !part.is_empty()),
    }
}

/// Whether a rule of `modules` replaces `input` by a `with`. Tests do, and no decision depends on them, unless another
/// rule names them.
pub(super) fn replace_input<'m>(modules: impl Iterator<Item = &'m Module>) -> bool {
    let mut search = Search::new(Certainty { globals: HashSet::new(), input_is_whole: true });
    let (mut tests, mut named) = (HashSet::new(), HashSet::new());
    for rule in modules.flat_map(|module| &module.policy) {
        let name = root_name(rule_ref(rule)).unwrap_or_default();
        if name.starts_with("test_") || name.starts_with("todo_test_") {
            tests.insert(name);
        } else {
            search.rule(rule);
            search.run();
            named.extend(search.references.drain(..).flatten());
        }
    }
    search.replaces_input || tests.into_iter().any(|test| named.contains(test))
}

/// What `rule` refers to, in its values and bodies: the root's name and the constant segments behind it. Names that
/// the rule declares for itself are left out.
pub(super) fn references(rule: &Rule) -> Vec<Vec<String>> {
    let mut search = Search::new(Certainty { globals: HashSet::new(), input_is_whole: true });
    search.rule(rule);
    search.run();
    let declared = search.declared;
    let foreign =
        |reference: &Vec<String>| reference.first().is_some_and(|root| !declared.contains(root.as_str()));
    search.references.into_iter().filter(foreign).collect()
}

/// The findings in `module`; `rule_names` are those of its package.
pub(super) fn findings(module: &Module, rule_names: &HashSet<&str>, input_is_whole: bool) -> Vec<Finding> {
    let imported = module.imports.iter().filter_map(import_name);
    let globals = rule_names.iter().copied().chain(imported).collect();
    let mut search = Search::new(Certainty { globals, input_is_whole });
    module.policy.iter().for_each(|rule| search.rule(rule));
    search.run();
    search.findings.sort_unstable();
    search.findings
}

/// What is known of the variables at a place.
#[derive(Clone, Default)]
struct Scope<'m> {
    bound: HashSet<&'m str>,
    /// Those of the `every`s around it.
    quantified: HashSet<&'m str>,
}

type Bound<'m> = Rc<Scope<'m>>;

enum Place<'m> {
    /// An expression that is a statement by itself, negated or not.
    Statement(&'m Expr),
    Expression(&'m Expr),
    Query(&'m Query),
}

/// Walks with a list of its own instead of recursing: expressions can be as long as a file.
struct Search<'m> {
    certainty: Certainty<'m>,
    pending: Vec<(Place<'m>, Bound<'m>)>,
    findings: Vec<Finding>,
    replaces_input: bool,
    references: Vec<Vec<String>>,
    declared: HashSet<&'m str>,
}

impl<'m> Search<'m> {
    fn new(certainty: Certainty<'m>) -> Self {
        Self {
            certainty,
            pending: Vec::new(),
            findings: Vec::new(),
            replaces_input: false,
            references: Vec::new(),
            declared: HashSet::new(),
        }
    }

    fn run(&mut self) {
        while let Some((place, bound)) = self.pending.pop() {
            match place {
                Place::Statement(expr) => self.expression(expr, true, &bound),
                Place::Expression(expr) => self.expression(expr, false, &bound),
                Place::Query(query) => self.query(query, &bound),
            }
        }
    }

    fn push(&mut self, expr: &'m Expr, bound: &Bound<'m>) {
        self.pending.push((Place::Expression(expr), Rc::clone(bound)));
    }

    fn doubt(&mut self, expr: &Expr, doubt: Doubt) {
        self.findings.push(Finding { line: expr.span().line, doubt });
    }

    fn rule(&mut self, rule: &'m Rule) {
        let Rule::Spec { head, bodies, .. } = rule else { return };
        let mut scope = Scope::default();
        let mut values = Vec::new();
        match head {
            RuleHead::Compr { assign, .. } => values.extend(assign.iter().map(|assign| &*assign.value)),
            RuleHead::Func { args, assign, .. } => {
                let patterns: Vec<&Expr> = args.iter().map(|arg| &**arg).collect();
                patterns.iter().for_each(|arg| bind(arg, &mut scope.bound));
                self.declared.extend(&scope.bound);
                if let Some(first) = patterns.first().filter(|_| !are_safe_together(&patterns)) {
                    self.doubt(first, Doubt::Pattern);
                }
                values.extend(assign.iter().map(|assign| &*assign.value));
            }
            RuleHead::Set { key, .. } => values.extend(key.iter().map(|key| &**key)),
        }
        values.extend(bodies.iter().filter_map(|body| body.assign.as_ref()).map(|assign| &*assign.value));
        let bound = Rc::new(scope);
        for value in values {
            self.push(value, &bound);
        }
        for body in bodies {
            self.pending.push((Place::Query(&body.query), Rc::clone(&bound)));
        }
    }

    fn query(&mut self, query: &'m Query, outer: &Bound<'m>) {
        let mut scope = Scope::clone(outer);
        for statement in &query.stmts {
            match &statement.literal {
                Literal::SomeVars { .. } | Literal::NotExpr { .. } => {}
                Literal::SomeIn { key, value, collection, .. } => {
                    key.iter().chain([value, collection]).for_each(|part| bind(part, &mut scope.bound));
                }
                Literal::Expr { expr, .. } => bind(expr, &mut scope.bound),
                Literal::Every { domain, .. } => bind(domain, &mut scope.bound),
            }
        }
        let bound = Rc::new(scope);
        for statement in &query.stmts {
            for with in &statement.with_mods {
                self.replaces_input |= root_name(&with.refr) == Some("input");
                self.push(&with.refr, &bound);
                self.push(&with.r#as, &bound);
            }
            match &statement.literal {
                Literal::SomeVars { vars, .. } => self.declared.extend(vars.iter().map(Span::text)),
                Literal::SomeIn { key, value, collection, .. } => {
                    let patterns: Vec<&Expr> = key.iter().chain([value]).map(|part| &**part).collect();
                    patterns.iter().for_each(|pattern| bind(pattern, &mut self.declared));
                    if !are_safe_together(&patterns) {
                        self.doubt(value, Doubt::Pattern);
                    }
                    self.push(collection, &bound);
                }
                Literal::Expr { expr, .. } => self.pending.push((Place::Statement(expr), Rc::clone(&bound))),
                Literal::NotExpr { expr, .. } => {
                    if !self.certainty.is_safe_negated(expr) {
                        self.doubt(expr, Doubt::Undefined);
                    } else if !self.is_bound(expr, &bound.bound) {
                        self.doubt(expr, Doubt::Unbound);
                    }
                    self.pending.push((Place::Statement(expr), Rc::clone(&bound)));
                }
                Literal::Every { key, value, domain, query, .. } => {
                    self.push(domain, &bound);
                    let mut inner = Scope::clone(&bound);
                    for name in key.iter().chain([value]).map(Span::text) {
                        inner.bound.insert(name);
                        inner.quantified.insert(name);
                        self.declared.insert(name);
                    }
                    self.pending.push((Place::Query(query), Rc::new(inner)));
                }
            }
        }
    }

    fn expression(&mut self, expr: &'m Expr, is_statement: bool, bound: &Bound<'m>) {
        match expr {
            Expr::Membership { key, value, collection, .. } => {
                let defined = |part: &Expr| self.certainty.is_defined(part);
                // As a statement, `x in undefined` fails here and there; with a key, undefined equals undefined here,
                // and a set has no keys.
                let sure = match key {
                    Some(key) => is_statement && defined(key) && defined(value),
                    None => is_statement || (defined(value) && defined(collection)),
                };
                if !sure {
                    self.doubt(expr, Doubt::Undefined);
                }
            }
            Expr::AssignExpr { op, lhs, rhs, .. } => {
                if !is_safe_assignment(op, lhs, rhs, &bound.quantified) {
                    self.doubt(expr, Doubt::Pattern);
                }
                if *op == AssignOp::ColEq {
                    bind(lhs, &mut self.declared);
                }
            }
            Expr::Call { fcn, params, .. } => {
                let params: Vec<&Expr> = params.iter().map(|param| &**param).collect();
                if !is_safe_call(fcn, &params) {
                    self.doubt(expr, Doubt::Text);
                }
                // The last argument of too many is a pattern for the result.
                let arity = BUILTINS.get(fcn.span().text()).map(|(_, arity)| usize::from(*arity));
                let result = params.last().filter(|_| arity.is_some_and(|arity| params.len() > arity));
                if result.is_some_and(|result| {
                    !is_safe_assignment(&AssignOp::ColEq, result, result, &bound.quantified)
                }) {
                    self.doubt(expr, Doubt::Pattern);
                }
            }
            Expr::ArrayCompr { query, .. }
            | Expr::SetCompr { query, .. }
            | Expr::ObjectCompr { query, .. } => {
                self.pending.push((Place::Query(query), Rc::clone(bound)));
            }
            Expr::Var { .. } | Expr::RefDot { .. } | Expr::RefBrack { .. } => {
                return self.reference(expr, bound);
            }
            Expr::String { .. }
            | Expr::RawString { .. }
            | Expr::Number { .. }
            | Expr::Bool { .. }
            | Expr::Null { .. }
            | Expr::Array { .. }
            | Expr::Set { .. }
            | Expr::Object { .. }
            | Expr::UnaryExpr { .. }
            | Expr::BinExpr { .. }
            | Expr::BoolExpr { .. }
            | Expr::ArithExpr { .. } => {}
        }
        for part in children(expr) {
            self.push(part, bound);
        }
    }

    /// Notes a reference as a whole, and looks into its brackets.
    fn reference(&mut self, expr: &'m Expr, bound: &Bound<'m>) {
        self.references.push(static_path(expr));
        let mut expr = expr;
        while let Expr::RefDot { refr, .. } | Expr::RefBrack { refr, .. } = expr {
            if let Expr::RefBrack { index, .. } = expr {
                self.push(index, bound);
            }
            expr = refr;
        }
        if !matches!(expr, Expr::Var { .. }) {
            self.push(expr, bound);
        }
    }

    /// Whether every variable of a negated expression is bound outside of it.
    fn is_bound(&self, expr: &'m Expr, bound: &HashSet<&'m str>) -> bool {
        let mut names = HashSet::new();
        bind(expr, &mut names);
        names.into_iter().all(|name| {
            matches!(name, "input" | "data") || bound.contains(name) || self.certainty.globals.contains(name)
        }) && !wildcard(expr)
    }
}

/// Collects the variables of an expression, but for those of comprehensions, the names of functions, and wildcards.
fn bind<'m>(expr: &'m Expr, names: &mut HashSet<&'m str>) {
    for_each_variable(expr, |name| {
        if name != "_" {
            names.insert(name);
        }
    });
}

fn wildcard(expr: &Expr) -> bool {
    let mut found = false;
    for_each_variable(expr, |name| found |= name == "_");
    found
}

fn for_each_variable<'m>(expr: &'m Expr, mut visit: impl FnMut(&'m str)) {
    let mut pending = vec![expr];
    while let Some(expr) = pending.pop() {
        if let Expr::Var { span, .. } = expr {
            visit(span.text());
        } else if let Expr::Call { params, .. } = expr {
            pending.extend(params.iter().map(|param| &**param));
        } else if !matches!(expr, Expr::ArrayCompr { .. } | Expr::SetCompr { .. } | Expr::ObjectCompr { .. })
        {
            pending.extend(children(expr));
        }
    }
}

#[cfg(test)]
mod tests {
    use regorus::Engine;

    use super::{findings, replace_input, rule_names};

    #[track_caller]
    fn check(body: &str, safe: bool) {
        let mut engine = Engine::new();
        let text =
            format!("package p\nimport data.lib\nallow if {{\n{body}\n}}\nf(x) := x\nrule := data.missing");
        engine.add_policy("p.rego".to_owned(), text).unwrap();
        let module = &engine.get_modules()[0];
        let names = rule_names(module).collect();
        let lines: Vec<u32> = findings(module, &names, !replace_input(std::iter::once(&**module)))
            .into_iter()
            .map(|finding| finding.line)
            .collect();
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
            "some x in data.blocked; not x == input.agent",
            "x := data.q[i]; not data.r[i]",
            "input.role in data.q",
            "blocked := data.blocked; x := input.role in blocked; x == false",
            "every x in data.q { not x == input.agent }",
            "not count([x | x := data.q[_]])",
            "every g in data.gs { g == input.role; x := g; x != \"a\"; startswith(input.role, g) }",
            "some k, v in data.q; k == v",
            "[a, b] = split(input.role, \"-\"); a == b",
            "{\"a\": 1} = data.m",
            "regex.match(`^[a-z]+$`, input.role); not glob.match(\"a*\", [\"/\"], input.role)",
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
            "not data.blocked[_] == input.agent",
            "every g in data.gs { g = \"r\" }",
            "every g in data.gs { input.role = g }",
            "every g in data.gs { [g] = [\"q\"] }",
            "every g in data.gs { count([x | x := 1; g = x]) == 1 }",
            "every g in data.gs { count(data.xs, g) }",
            "{\"a\": x} = data.m; x == 1",
            "[{\"a\": x}] = [data.m]; x == 1",
            "some {\"a\": x} in data.q; x == 1",
            "some t, t in data.owner",
            "not regex.match(`^[\\w-.]+$`, input.agent)",
            "regex.match(data.pattern, input.agent)",
            "glob.match(\"**/admin\", [\"/\"], input.agent)",
            "glob.match(\"*\", [], input.agent)",
            "not \"a\", \"a\" in {\"a\"}",
            "some i; not data.blocked[i] == input.agent",
            "not data.blocked[_]",
            "x := input.role in data.blocked; x == false",
            "f(input.role in data.blocked)",
            "input.tenant, data.plan[input.agent] in data.tenant_plans",
            "x := [y | some y in [1]; not data.q[_] == y]",
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
