//! From the parser's expressions to goals: names become locals, rules or data, and nested calls goals of their own.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    rc::Rc,
};

use regorus::{
    Value,
    unstable::{
        ArithOp, AssignOp, BinOp, BoolOp, Expr, Literal, LiteralStmt, Query, Ref, Span, WithModifier,
    },
};

use super::{
    Problem,
    builtins::builtin,
    goal::{
        Closure, Collection, EveryGoal, Goal, GoalKind, Head, Reference, Term, WithTarget, WithTerm,
        WithValue,
    },
    ir::{Callee, Position, RuleKind, Slot},
    names::{Declared, Global, Names, Tree, constant_path, position},
};

/// Resolves the bodies of one definition, which share its parameters and its frame of locals.
pub(super) struct Resolver<'a> {
    names: &'a Names,
    tree: &'a Tree,
    declared: &'a [Declared],
    /// The operator's names of the locals; those that were made here have none.
    locals: Vec<Option<String>>,
    scopes: Vec<Scope>,
    /// The goals of the bodies that are being resolved, the innermost last.
    bodies: Vec<Vec<Goal>>,
    problems: Vec<Problem>,
}

/// The names of one body, or of the parameters.
#[derive(Default)]
struct Scope {
    declared: HashMap<String, Slot>,
    /// Names that nothing declares, and that belong here because they occur here.
    free: HashMap<String, Slot>,
    /// The names that occur in the body itself, outside of the bodies within it.
    direct: HashSet<String>,
    /// The names that the body declares, above or below: no rule is meant by them in it.
    declares: HashSet<String>,
    captured: BTreeSet<Slot>,
    unused: HashMap<String, Position>,
}

/// A body with what it uses of the bodies around it.
struct Resolved {
    goals: Vec<Goal>,
    captured: Vec<Slot>,
}

// === impl Resolver ===

impl<'a> Resolver<'a> {
    pub(super) fn new(names: &'a Names, tree: &'a Tree, declared: &'a [Declared]) -> Self {
        Self {
            names,
            tree,
            declared,
            locals: Vec::new(),
            scopes: vec![Scope::default()],
            bodies: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// The operator's names of the locals, and what was wrong.
    pub(super) fn finish(self) -> (Vec<Option<String>>, Vec<Problem>) {
        (self.locals, self.problems)
    }

    /// Declares the variables of a function's parameters, and resolves them.
    pub(super) fn parameters(&mut self, parameters: &[&Expr]) -> (Vec<Term>, Vec<Goal>) {
        self.bodies.push(Vec::new());
        for parameter in parameters {
            self.declare_pattern(parameter, true);
        }
        let terms = parameters.iter().map(|parameter| self.term(parameter)).collect();
        (terms, self.bodies.pop().unwrap_or_default())
    }

    /// Resolves a body with the keys and the value of its rule's head.
    pub(super) fn body(&mut self, query: Option<&Query>, head: &[&Expr]) -> (Vec<Goal>, Vec<Term>) {
        let (resolved, terms) = self.scoped(query, head);
        (resolved.goals, terms)
    }

    /// Makes a local that no name stands for.
    pub(super) fn fresh(&mut self) -> Slot {
        self.locals.push(None);
        self.locals.len() - 1
    }

    fn scoped(&mut self, query: Option<&Query>, terms: &[&Expr]) -> (Resolved, Vec<Term>) {
        let mut scope = Scope::default();
        query.into_iter().for_each(|query| direct_names(query, &mut scope.direct));
        query.into_iter().for_each(|query| declared_names(query, &mut scope.declares));
        terms.iter().for_each(|term| expression_names(term, &mut scope.direct));
        self.scopes.push(scope);
        self.bodies.push(Vec::new());
        for statement in query.into_iter().flat_map(|query| &query.stmts) {
            self.statement(statement);
        }
        let terms = terms.iter().map(|term| self.term(term)).collect();
        let goals = self.bodies.pop().unwrap_or_default();
        let scope = self.scopes.pop().unwrap_or_default();
        self.unused(&scope);
        (Resolved { goals, captured: scope.captured.into_iter().collect() }, terms)
    }

    fn unused(&mut self, scope: &Scope) {
        for (name, at) in &scope.unused {
            self.problems.push(Problem {
                at: *at,
                message: format!("the variable `{name}` is declared and not used: take the declaration out"),
            });
        }
    }

    fn at(&self, span: &Span) -> Position {
        position(self.names.module, span)
    }

    fn problem(&mut self, span: &Span, message: String) {
        let at = self.at(span);
        self.problems.push(Problem { at, message });
    }

    fn push(&mut self, goal: Goal) {
        if let Some(body) = self.bodies.last_mut() {
            body.push(goal);
        }
    }

    // --- statements

    fn statement(&mut self, statement: &LiteralStmt) {
        if let Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } = &statement.literal
            && let Expr::Call { params, span, .. } = &**expr
            && self.names.is_print(expr)
        {
            // As in OPA, neither `not` nor `with` means anything here.
            return self.print(params, span);
        }
        let with: Vec<WithTerm> =
            statement.with_mods.iter().filter_map(|modifier| self.with(modifier)).collect();
        let with = Rc::new(with);
        let from = self.bodies.last().map_or(0, Vec::len);
        match &statement.literal {
            Literal::SomeVars { vars, .. } => {
                for variable in vars {
                    self.declare_to_use(variable);
                }
            }
            Literal::SomeIn { span, key, value, collection } => {
                self.some_in(span, key.as_deref(), value, collection);
            }
            Literal::Expr { expr, .. } => self.goal(expr, false),
            Literal::NotExpr { expr, .. } if self.names.negates_bodies => {
                if matches!(&**expr, Expr::Set { .. } | Expr::Object { .. } | Expr::SetCompr { .. }) {
                    let message =
                        "a body behind `not` is not known to this version: give it a rule of its own";
                    self.problem(expr.span(), message.to_owned());
                }
                self.bodies.push(Vec::new());
                self.goal(expr, false);
                let goals = self.bodies.pop().unwrap_or_default();
                let at = self.at(expr.span());
                self.push(Goal::plain(GoalKind::Not(goals), at));
            }
            Literal::NotExpr { expr, .. } => self.goal(expr, true),
            Literal::Every { span, key, value, domain, query } => {
                self.every(span, key.as_ref(), value, domain, query);
            }
        }
        if !with.is_empty()
            && let Some(body) = self.bodies.last_mut()
        {
            body.iter_mut().skip(from).for_each(|goal| goal.with = Rc::clone(&with));
        }
    }

    fn some_in(&mut self, span: &Span, key: Option<&Expr>, value: &Expr, collection: &Expr) {
        let collection = self.term(collection);
        for pattern in key.into_iter().chain([value]) {
            self.declare_pattern(pattern, false);
        }
        let key = match key {
            Some(key) => self.term(key),
            None => Term::Local(self.fresh()),
        };
        let value = self.term(value);
        let element = self.within(collection, key, span);
        let at = self.at(span);
        self.push(Goal::plain(GoalKind::Unify(element, value), at));
    }

    /// The reference to what `collection` has at `key`.
    fn within(&mut self, collection: Term, key: Term, span: &Span) -> Term {
        let mut reference = match collection {
            Term::Reference(reference) => *reference,
            Term::Local(slot) => Reference { head: Head::Local(slot), path: Vec::new() },
            other @ (Term::Constant(_)
            | Term::Array(_)
            | Term::Set(_)
            | Term::Object(_)
            | Term::Comprehension(_)) => {
                let slot = self.fresh();
                let at = self.at(span);
                self.push(Goal::plain(GoalKind::Unify(Term::Local(slot), other), at));
                Reference { head: Head::Local(slot), path: Vec::new() }
            }
        };
        reference.path.push(key);
        Term::Reference(Box::new(reference))
    }

    fn every(&mut self, span: &Span, key: Option<&Span>, value: &Span, domain: &Expr, query: &Query) {
        let names: HashSet<String> =
            key.into_iter().chain([value]).map(|name| name.text().to_owned()).collect();
        let mut in_domain = HashSet::new();
        expression_names(domain, &mut in_domain);
        for name in names.intersection(&in_domain) {
            // As in OPA: what the iteration is over means neither its own variables nor rules of their names.
            if name != "_" && !self.is_variable(name) {
                self.problem(
                    span,
                    format!(
                        "`{name}` is bound nowhere outside of this `every`: give one of them another name"
                    ),
                );
            }
        }
        self.scopes.push(Scope { declares: names, ..Scope::default() });
        let domain = self.term(domain);
        self.scopes.pop();
        self.scopes.push(Scope::default());
        let named = |this: &mut Self, name: &Span| match name.text() {
            "_" => this.fresh(),
            _ => this.declare_to_use(name),
        };
        let key = match key {
            Some(key) => named(self, key),
            None => self.fresh(),
        };
        let value = named(self, value);
        let (body, _) = self.scoped(Some(query), &[]);
        let own = self.scopes.pop().unwrap_or_default();
        self.unused(&own);
        let captured = body.captured.into_iter().filter(|slot| *slot != key && *slot != value);
        let captured: BTreeSet<Slot> = captured.chain(own.captured).collect();
        let every =
            EveryGoal { domain, key, value, goals: body.goals, captured: captured.into_iter().collect() };
        let at = self.at(span);
        self.push(Goal::plain(GoalKind::Every(Box::new(every)), at));
    }

    fn goal(&mut self, expr: &Expr, negated: bool) {
        let at = self.at(first_span(expr));
        let kind = match expr {
            Expr::AssignExpr { op, lhs, rhs, .. } => self.assignment(op, lhs, rhs),
            Expr::BoolExpr { op: BoolOp::Eq, lhs, rhs, .. } => {
                let (left, right) = (self.term(lhs), self.term(rhs));
                Some(GoalKind::Equal(left, right))
            }
            other => match self.call(other, true) {
                Some(call) => call,
                None => {
                    let term = self.term(other);
                    Some(GoalKind::Term(term))
                }
            },
        };
        if let Some(kind) = kind {
            self.push(Goal { kind, negated, with: Rc::default(), at });
        }
    }

    /// What is printed is evaluated, as in OPA, and may be undefined.
    fn print(&mut self, params: &[Ref<Expr>], span: &Span) {
        let at = self.at(span);
        for param in params {
            let (body, terms) = self.scoped(None, &[param]);
            let collection = Collection::Set;
            let closure = Closure { collection, terms, goals: body.goals, captured: body.captured, at };
            self.push(Goal::plain(GoalKind::Term(Term::Comprehension(Rc::new(closure))), at));
        }
    }

    fn assignment(&mut self, op: &AssignOp, lhs: &Expr, rhs: &Expr) -> Option<GoalKind> {
        let declares = *op == AssignOp::ColEq;
        // What is called with a result of its own is one goal instead of two.
        let called = match self.call(rhs, false) {
            Some(call) => Some(call?),
            None => None,
        };
        let right = called.is_none().then(|| self.term(rhs));
        if declares {
            self.declare_pattern(lhs, false);
        }
        let left = self.term(lhs);
        match (called, right) {
            (Some(GoalKind::Call(callee, arguments, None)), _) => {
                Some(GoalKind::Call(callee, arguments, Some(left)))
            }
            (Some(other), _) => Some(other),
            (None, right) => Some(GoalKind::Unify(left, right?)),
        }
    }

    fn with(&mut self, modifier: &WithModifier) -> Option<WithTerm> {
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

    fn with_target(&mut self, path: &[String], span: &Span) -> Option<WithTarget> {
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
    fn function_value(&self, expr: &Expr) -> Option<Callee> {
        matches!(expr, Expr::Var { .. } | Expr::RefDot { .. } | Expr::RefBrack { .. })
            .then(|| self.callee(&constant_path(expr)))
            .flatten()
            .map(|(callee, _)| callee)
    }

    // --- calls

    fn callee(&self, path: &[String]) -> Option<(Callee, usize)> {
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
    fn call(&mut self, expr: &Expr, is_statement: bool) -> Option<Option<GoalKind>> {
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
            Expr::BoolExpr { op, lhs, rhs, .. } => {
                let name = match op {
                    BoolOp::Lt => "lt",
                    BoolOp::Le => "lte",
                    BoolOp::Eq => "equal",
                    BoolOp::Ge => "gte",
                    BoolOp::Gt => "gt",
                    BoolOp::Ne => "neq",
                };
                (operator(name), vec![lhs, rhs])
            }
            Expr::ArithExpr { op, lhs, rhs, .. } => {
                let name = match op {
                    ArithOp::Add => "plus",
                    ArithOp::Sub => "minus",
                    ArithOp::Mul => "mul",
                    ArithOp::Div => "div",
                    ArithOp::Mod => "rem",
                };
                (operator(name), vec![lhs, rhs])
            }
            Expr::BinExpr { op, lhs, rhs, .. } => {
                let name = match op {
                    BinOp::Intersection => "and",
                    BinOp::Union => "or",
                };
                (operator(name), vec![lhs, rhs])
            }
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

    // --- terms

    fn term(&mut self, expr: &Expr) -> Term {
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

    fn variable(&mut self, name: &Span) -> Term {
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

    fn reference(&mut self, expr: &Expr) -> Term {
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
        let mut reference = match head {
            Term::Reference(reference) => *reference,
            Term::Local(slot) => Reference { head: Head::Local(slot), path: Vec::new() },
            other @ (Term::Constant(_)
            | Term::Array(_)
            | Term::Set(_)
            | Term::Object(_)
            | Term::Comprehension(_)) => {
                let slot = self.fresh();
                let at = self.at(root.span());
                self.push(Goal::plain(GoalKind::Unify(Term::Local(slot), other), at));
                Reference { head: Head::Local(slot), path: Vec::new() }
            }
        };
        for part in from_the_end.into_iter().rev() {
            let part = match part {
                Ok(index) => self.term(index),
                Err(field) => Term::Constant(field),
            };
            reference.path.push(part);
        }
        Term::Reference(Box::new(reference))
    }

    fn comprehension(
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

    // --- variables

    /// Whether a body around here declares `name`, be it below: then no rule is meant by it.
    fn is_declared_around(&self, name: &str) -> bool {
        self.scopes.iter().any(|scope| scope.declares.contains(name))
    }

    /// Whether `name` is declared, here or anywhere in the bodies around.
    fn is_variable(&self, name: &str) -> bool {
        self.is_declared_around(name) || self.scopes.iter().any(|scope| scope.declared.contains_key(name))
    }

    fn declare_to_use(&mut self, name: &Span) -> Slot {
        let slot = self.declare(name, false);
        let at = self.at(name);
        if let Some(scope) = self.scopes.last_mut() {
            scope.unused.insert(name.text().to_owned(), at);
        }
        slot
    }

    /// The local that `name` stands for, where one is known.
    fn local(&mut self, name: &str) -> Option<Slot> {
        let (depth, slot) = self.scopes.iter().enumerate().rev().find_map(|(depth, scope)| {
            let slot = scope.declared.get(name).or_else(|| scope.free.get(name))?;
            Some((depth, *slot))
        })?;
        if let Some(scope) = self.scopes.get_mut(depth) {
            scope.unused.remove(name);
        }
        self.capture(depth, slot);
        Some(slot)
    }

    /// A local that nothing declares. It belongs to the outermost body in which the name occurs.
    fn free(&mut self, name: &str) -> Slot {
        let slot = self.locals.len();
        self.locals.push(Some(name.to_owned()));
        let innermost = self.scopes.len().saturating_sub(1);
        let depth = self.scopes.iter().position(|scope| scope.direct.contains(name)).unwrap_or(innermost);
        if let Some(scope) = self.scopes.get_mut(depth) {
            scope.free.insert(name.to_owned(), slot);
        }
        self.capture(depth, slot);
        slot
    }

    fn capture(&mut self, depth: usize, slot: Slot) {
        self.scopes.iter_mut().skip(depth + 1).for_each(|scope| {
            scope.captured.insert(slot);
        });
    }

    fn declare(&mut self, name: &Span, is_parameter: bool) -> Slot {
        let text = name.text().to_owned();
        let (assigned, referenced, parameter) = self.scopes.last().map_or((false, false, false), |scope| {
            let parameter = self.scopes.len() == 2
                && self.scopes.first().is_some_and(|first| first.declared.contains_key(&text));
            (scope.declared.contains_key(&text), scope.free.contains_key(&text), parameter)
        });
        if is_parameter && assigned {
            // A name in two parameters is one variable.
            return self.local(&text).unwrap_or_default();
        }
        if assigned || parameter {
            self.problem(
                name,
                format!("the variable `{text}` is declared twice: give one of them another name"),
            );
        } else if referenced {
            self.problem(
                name,
                format!("the variable `{text}` is used above its declaration: declare it first"),
            );
        }
        let slot = self.locals.len();
        self.locals.push(Some(text.clone()));
        if let Some(scope) = self.scopes.last_mut() {
            scope.declared.insert(text, slot);
        }
        slot
    }

    /// Declares the variables of a pattern.
    fn declare_pattern(&mut self, pattern: &Expr, is_parameter: bool) {
        pattern_variables(pattern).into_iter().for_each(|name| {
            self.declare(name, is_parameter);
        });
    }
}

/// Where an expression begins. The parser's spans of infix expressions are those of their operators.
fn first_span(expr: &Expr) -> &Span {
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

fn global_reference(global: Global) -> Reference {
    let (head, path) = match global {
        Global::Input(path) => (Head::Input, path),
        Global::Data(path) => (Head::Data, path),
    };
    Reference { head, path: path.into_iter().map(|part| Term::Constant(Value::from(part))).collect() }
}

fn constants(terms: &[Term]) -> Option<Vec<Value>> {
    let value = |term: &Term| match term {
        Term::Constant(value) if *value != Value::Undefined => Some(value.clone()),
        _ => None,
    };
    terms.iter().map(value).collect()
}

fn constant_object(fields: &[(Term, Term)]) -> Option<Value> {
    let mut object = Value::new_object();
    let entries = object.as_object_mut().ok()?;
    for (key, value) in fields {
        let (Term::Constant(key), Term::Constant(value)) = (key, value) else { return None };
        entries.insert(key.clone(), value.clone());
    }
    Some(object)
}

/// A set of `values`.
pub(super) fn set_of(values: Vec<Value>) -> Value {
    Value::from(values.into_iter().collect::<BTreeSet<Value>>())
}

fn negative(value: &Value) -> Value {
    value.as_number().ok().and_then(|number| number.neg()).map_or(Value::Undefined, Value::from)
}

/// The names that occur in the statements of a body, outside of the bodies within it and of what it declares.
fn direct_names(query: &Query, names: &mut HashSet<String>) {
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
fn declared_names(query: &Query, names: &mut HashSet<String>) {
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

fn pattern_names(pattern: &Expr, names: &mut HashSet<String>) {
    names.extend(pattern_variables(pattern).into_iter().map(|name| name.text().to_owned()));
}

/// The variables of a pattern, in their order.
fn pattern_variables(pattern: &Expr) -> Vec<&Span> {
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

fn expression_names(expr: &Expr, names: &mut HashSet<String>) {
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
