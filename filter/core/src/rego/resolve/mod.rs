//! From the parser's expressions to goals: names become locals, rules or data, and nested calls goals of their own.

mod calls;
mod occurrences;
mod scope;
mod terms;

#[cfg(feature = "trace")]
pub(super) use self::{calls::operator_name, terms::first_span};

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    rc::Rc,
};

use regorus::unstable::{AssignOp, BoolOp, Expr, Literal, LiteralStmt, Query, Ref, Span};

use self::occurrences::{declared_names, direct_names, expression_names};
#[cfg(not(feature = "trace"))]
use self::terms::first_span;
use super::{
    Problem,
    builtins::{builtin, print::PRINT},
    goal::{Closure, Collection, EveryGoal, Goal, GoalKind, Term, WithTerm},
    ir::{Callee, Position, Slot},
    names::{Declared, Names, Tree, position},
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
        let mut reference = self.beginning_at(collection, span);
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
        let mut operands = Vec::new();
        for param in params {
            let (body, terms) = self.scoped(None, &[param]);
            let collection = Collection::Set;
            let closure = Closure { collection, terms, goals: body.goals, captured: body.captured, at };
            operands.push(Term::Comprehension(Rc::new(closure)));
        }
        if let Some(print) = builtin(PRINT) {
            let operands = vec![Term::Array(operands)];
            self.push(Goal::plain(GoalKind::Call(Callee::Builtin(print), operands, None), at));
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

    // --- calls

    // --- terms

    // --- variables
}
