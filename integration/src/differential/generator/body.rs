//! Bodies: expressions that bind what later ones use, in any order where the language leaves the order free.

use super::{Type, Writer};

/// What a body hides while it is written.
pub(super) struct Outer {
    variables: usize,
    body_start: usize,
}

impl Writer<'_> {
    /// Opens a body of its own variables.
    pub(super) fn open(&mut self) -> Outer {
        let outer = Outer { variables: self.scope.len(), body_start: self.body_start };
        self.body_start = self.scope.len();
        outer
    }

    /// Forgets the variables of the body that was opened with `outer`.
    pub(super) fn close(&mut self, outer: Outer, undeclared: bool) {
        self.scope.truncate(outer.variables);
        self.body_start = outer.body_start;
        self.undeclared = undeclared;
    }

    /// The expressions of a body whose variables stay in scope until it is closed.
    pub(super) fn body(&mut self, most: usize, depth: usize) -> Vec<String> {
        self.undeclared = self.random.percent(if self.style == super::Style::V0 { 45 } else { 15 });
        let count = self.random.between(1, most);
        let mut expressions: Vec<String> = (0..count).map(|_| self.expression(depth)).collect();
        if self.undeclared {
            // OPA orders expressions so that variables are bound before they are needed.
            self.random.shuffle(&mut expressions);
        }
        expressions
    }

    /// The body of a comprehension in one line, which binds something, and its variables.
    pub(super) fn nested_body(&mut self, depth: usize) -> (Outer, String) {
        let outer = self.open();
        let undeclared = self.undeclared;
        let mut expressions = vec![self.generator(depth)];
        for _ in 0..self.random.below(3) {
            expressions.push(self.expression(depth.min(1)));
        }
        self.undeclared = undeclared;
        (outer, expressions.join("; "))
    }

    /// A name for a new variable of the innermost body: one that outer bodies may have too.
    pub(super) fn fresh(&mut self) -> String {
        const NAMES: [&str; 14] = ["x", "y", "z", "i", "k", "v", "s", "t", "u", "role", "service", "item", "n", "a"];
        let inner = self.scope.get(self.body_start..).unwrap_or_default();
        let mut free: Vec<&str> =
            NAMES.into_iter().filter(|name| inner.iter().all(|(known, _)| known != name)).collect();
        let hides = |name: &&str| self.scope.iter().any(|(known, _)| known == name);
        if self.undeclared || !self.random.percent(25) {
            free.retain(|name| !hides(name));
        }
        match free.get(self.random.below(free.len())) {
            Some(name) => (*name).to_owned(),
            None => self.name("var"),
        }
    }

    pub(super) fn bind(&mut self, name: &str, of: Type) {
        if name != "_" {
            self.scope.push((name.to_owned(), of));
        }
    }
}
