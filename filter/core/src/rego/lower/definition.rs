//! One definition of a rule: its parameters, bodies and value as steps.

use std::ops::Range;

use regorus::{Value, unstable::Expr};

use super::{Alternative, Head, Known};
use crate::rego::{
    Problem,
    builtins::{builtin, test_case::TEST_CASE},
    goal::{Goal, GoalKind, Term},
    hoist,
    ir::{Body, Callee, Definition, Keyed, Operand, Pattern, Position},
    names::{HeadKey, Names},
    plan::{Bound, Planner, Unsafe},
    resolve::Resolver,
    test_rule::TEST_PREFIX,
};

impl Draft<'_> {
    pub(super) fn finish(self, problems: &mut Vec<Problem>) -> Option<Definition> {
        let mut resolver = Resolver::new(self.names, self.known.tree, self.known.declared);
        let (parameters, supports) = resolver.parameters(&self.parameters);
        let mut parameter_goals = Vec::new();
        // A parameter that is not a pattern is compared with what it says.
        let parameters: Vec<Term> = parameters
            .into_iter()
            .map(|term| {
                if !term.has_reference() {
                    return term;
                }
                let slot = resolver.fresh();
                parameter_goals.push(Goal::plain(GoalKind::Unify(Term::Local(slot), term), self.head.at));
                Term::Local(slot)
            })
            .collect();
        parameter_goals.extend(supports);
        let bodies: Vec<Resolved> =
            self.bodies.iter().map(|alternative| self.resolve(&mut resolver, alternative)).collect();
        let (locals, mut found) = resolver.finish();
        if !found.is_empty() {
            problems.append(&mut found);
            return None;
        }
        let mut planner = Planner::new(self.known.tree, self.known.declared, locals, self.known.effort_left);
        let mut bound = Bound::default();
        let patterns: Option<Vec<Pattern>> =
            parameters.iter().map(|term| planner.parameter(term, &mut bound)).collect();
        let Some(patterns) = patterns else {
            problems.push(Problem {
                at: self.head.at,
                message: "a parameter must be a variable, a constant, or an array or object of them"
                    .to_owned(),
            });
            return None;
        };
        let mut planned = Vec::new();
        for body in &bodies {
            match self.plan(&mut planner, body, &parameter_goals, bound.clone()) {
                Ok(body) => planned.push(body),
                Err(unsafe_goals) => problems.extend(unsafe_goals.into_iter().map(unsafe_problem)),
            }
        }
        if planned.len() != bodies.len() {
            return None;
        }
        let keyed = match bodies.as_slice() {
            [only] => self.keyed(&mut planner, only),
            _ => None,
        };
        let mut planned = planned.into_iter();
        Some(Definition {
            parameters: patterns,
            body: planned.next()?,
            otherwise: planned.collect(),
            keyed,
            slots: planner.locals.len(),
            at: self.at,
            #[cfg(feature = "trace")]
            names: planner.locals,
        })
    }

    pub(super) fn resolve(&self, resolver: &mut Resolver<'_>, (body, value): &Alternative<'_>) -> Resolved {
        let own_keys = self.head.keys();
        let exprs: Vec<&Expr> = own_keys
            .iter()
            .filter_map(|key| match key {
                HeadKey::Expr(expr) => Some(*expr),
                HeadKey::Constant(_) => None,
            })
            .chain(*value)
            .collect();
        let (mut goals, terms) = resolver.body(body.map(|body| &*body.query), &exprs);
        let body_goals = goals.len();
        let mut terms = terms.into_iter();
        let mut bind = |term: Term, goals: &mut Vec<Goal>| {
            if !term.has_reference() {
                return term;
            }
            // Evaluated with the body, and bound by it.
            let slot = resolver.fresh();
            goals.push(Goal::plain(GoalKind::Unify(Term::Local(slot), term), self.head.at));
            Term::Local(slot)
        };
        let keys: Vec<Term> = own_keys
            .iter()
            .filter_map(|key| match key {
                HeadKey::Constant(text) => Some(Term::Constant(Value::from(text.as_str()))),
                HeadKey::Expr(_) => terms.next().map(|term| bind(term, &mut goals)),
            })
            .collect();
        let key_goals = body_goals..goals.len();
        let given = terms.next().map(|term| bind(term, &mut goals));
        let value =
            if self.head.is_set { None } else { Some(given.unwrap_or(Term::Constant(Value::Bool(true)))) };
        let prints = body.is_some_and(|body| self.names.prints(&body.query));
        Resolved { goals, key_goals, keys, value, prints }
    }

    pub(super) fn plan(
        &self,
        planner: &mut Planner<'_>,
        body: &Resolved,
        parameter_goals: &[Goal],
        mut bound: Bound,
    ) -> Result<Body, Vec<Unsafe>> {
        let test_case = self.test_case(body);
        let goals: Vec<&Goal> = match &test_case {
            Some(begin) => begin_early(planner, body, begin),
            None => parameter_goals.iter().chain(&body.goals).collect(),
        };
        let mut block = planner.body(&goals, &mut bound)?;
        if test_case.is_none() && !body.prints {
            hoist::conditions_first(&mut block.steps);
        }
        let mut keys = Vec::new();
        for key in &body.keys {
            keys.push(planner.head(key, &mut bound, &mut block, self.head.at)?);
        }
        let value = match &body.value {
            Some(value) => Some(planner.head(value, &mut bound, &mut block, self.head.at)?),
            None => None,
        };
        Ok(Body { block, keys, value, prints: body.prints })
    }

    /// What notes the cases of a parameterised test, unless it does so itself.
    pub(super) fn test_case(&self, body: &Resolved) -> Option<Goal> {
        let test_case = Callee::Builtin(builtin(TEST_CASE)?);
        let own = self.head.path.get(self.head.package..)?;
        let name = own.iter().position(|part| part.starts_with(TEST_PREFIX))?;
        let is_noted = body.goals.iter().any(|goal| {
            matches!(&goal.kind, GoalKind::Call(Callee::Builtin(called), ..) if called.name == TEST_CASE)
        });
        if self.head.is_set || body.keys.is_empty() || is_noted {
            return None;
        }
        let constant = own.iter().skip(name + 1).map(|part| Term::Constant(Value::from(part.as_str())));
        let case = Term::Array(constant.chain(body.keys.iter().cloned()).collect());
        Some(Goal::plain(GoalKind::Call(test_case, vec![case], None), self.head.at))
    }

    /// The body for a key that is known.
    pub(super) fn keyed(&self, planner: &mut Planner<'_>, body: &Resolved) -> Option<Keyed> {
        let [key] = body.keys.as_slice() else { return None };
        let mut bound = Bound::default();
        let key = match key {
            Term::Local(slot) => {
                bound.bind(*slot);
                Pattern::Bind(*slot)
            }
            Term::Constant(value) => Pattern::Equal(Operand::Constant(value.clone())),
            Term::Reference(_) | Term::Array(_) | Term::Set(_) | Term::Object(_) | Term::Comprehension(_) => {
                return None;
            }
        };
        let body = self.plan(planner, body, &[], bound).ok()?;
        Some(Keyed { key, body })
    }
}

/// A definition that is being compiled.
pub(super) struct Draft<'a> {
    pub(super) head: &'a Head,
    pub(super) at: Position,
    pub(super) names: &'a Names,
    pub(super) known: Known<'a>,
    pub(super) parameters: Vec<&'a Expr>,
    pub(super) bodies: Vec<Alternative<'a>>,
}

/// One body with its names resolved.
pub(super) struct Resolved {
    goals: Vec<Goal>,
    /// Which of the goals make the keys.
    key_goals: Range<usize>,
    keys: Vec<Term>,
    value: Option<Term>,
    prints: bool,
}

/// The goals of a parameterised test, with the note of its case as early as the names of the case are known. What fails
/// behind it is a case that has failed; what fails before it is none.
pub(super) fn begin_early<'g>(
    planner: &mut Planner<'_>,
    body: &'g Resolved,
    begin: &'g Goal,
) -> Vec<&'g Goal> {
    let (own, rest) = body.goals.split_at(body.key_goals.start.min(body.goals.len()));
    let (keys, rest) = rest.split_at(body.key_goals.len().min(rest.len()));
    let mut goals = Vec::new();
    for early in 0..=own.len() {
        let (before, after) = own.split_at(early);
        goals = before.iter().chain(keys).chain([begin]).collect();
        let is_known = planner.body(&goals, &mut Bound::default()).is_ok();
        goals.extend(after.iter().chain(rest));
        if is_known {
            break;
        }
    }
    goals
}

pub(super) fn unsafe_problem(found: Unsafe) -> Problem {
    if found.is_too_long {
        let message = "the bodies up to here are too long to be put into an order: write what a statement needs above \
                       it, and shorter bodies";
        return Problem { at: found.at, message: message.to_owned() };
    }
    let names: Vec<String> = found.names.iter().map(|name| format!("`{name}`")).collect();
    let message = if names.is_empty() {
        "a variable here is bound nowhere: give it a value (`x := ...`, `some x in ...`)".to_owned()
    } else {
        format!("{} is bound nowhere: give it a value (`x := ...`, `some x in ...`)", names.join(", "))
    };
    Problem { at: found.at, message }
}
