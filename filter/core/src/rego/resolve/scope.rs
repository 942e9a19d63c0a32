//! Which local a name stands for, and in which body it belongs.

use regorus::unstable::{Expr, Span};

use super::{Resolver, occurrences::pattern_variables};
use crate::rego::ir::Slot;

impl Resolver<'_> {
    /// Whether a body around here declares `name`, be it below: then no rule is meant by it.
    pub(super) fn is_declared_around(&self, name: &str) -> bool {
        self.scopes.iter().any(|scope| scope.declares.contains(name))
    }

    /// Whether `name` is declared, here or anywhere in the bodies around.
    pub(super) fn is_variable(&self, name: &str) -> bool {
        self.is_declared_around(name) || self.scopes.iter().any(|scope| scope.declared.contains_key(name))
    }

    pub(super) fn declare_to_use(&mut self, name: &Span) -> Slot {
        let slot = self.declare(name, false);
        let at = self.at(name);
        if let Some(scope) = self.scopes.last_mut() {
            scope.unused.insert(name.text().to_owned(), at);
        }
        slot
    }

    /// The local that `name` stands for, where one is known.
    pub(super) fn local(&mut self, name: &str) -> Option<Slot> {
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
    pub(super) fn free(&mut self, name: &str) -> Slot {
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

    pub(super) fn capture(&mut self, depth: usize, slot: Slot) {
        self.scopes.iter_mut().skip(depth + 1).for_each(|scope| {
            scope.captured.insert(slot);
        });
    }

    pub(super) fn declare(&mut self, name: &Span, is_parameter: bool) -> Slot {
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
    pub(super) fn declare_pattern(&mut self, pattern: &Expr, is_parameter: bool) {
        pattern_variables(pattern).into_iter().for_each(|name| {
            self.declare(name, is_parameter);
        });
    }
}
