//! Bodies: expressions that bind what later ones use, in any order where the language leaves the order free.

use super::{Type, Writer};

/// What a body hides while it is written.
pub(super) struct Outer {
    variables: usize,
    body_start: usize,
    declared: Vec<String>,
}

impl Writer<'_> {
    /// Opens a body of its own variables.
    pub(super) fn open(&mut self) -> Outer {
        let declared = std::mem::take(&mut self.declared);
        let outer = Outer { variables: self.scope.len(), body_start: self.body_start, declared };
        self.body_start = self.scope.len();
        outer
    }

    /// Forgets the variables of the body that was opened with `outer`.
    pub(super) fn close(&mut self, outer: Outer, undeclared: bool) {
        self.scope.truncate(outer.variables);
        self.body_start = outer.body_start;
        self.declared = outer.declared;
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

    /// Opens the body of a comprehension, which binds something.
    pub(super) fn nested_body(&mut self, depth: usize) -> (Outer, Vec<String>) {
        let outer = self.open();
        let undeclared = self.undeclared;
        let mut expressions = vec![self.generator(depth)];
        for _ in 0..self.random.below(3) {
            expressions.push(self.expression(depth.min(1)));
        }
        self.undeclared = undeclared;
        (outer, expressions)
    }

    /// A name for a new variable of the innermost body: one that outer bodies may have too.
    pub(super) fn fresh(&mut self) -> String {
        const NAMES: [&str; 14] =
            ["x", "y", "z", "i", "k", "v", "s", "t", "u", "role", "service", "item", "n", "a"];
        let inner = self.scope.get(self.body_start..).unwrap_or_default();
        let mut free: Vec<&str> =
            NAMES.into_iter().filter(|name| inner.iter().all(|(known, _)| known != name)).collect();
        let hides = |name: &&str| self.scope.iter().any(|(known, _)| known == name);
        if self.undeclared || !self.random.percent(25) {
            free.retain(|name| !hides(name));
        }
        let own: Vec<&str> = self
            .rules
            .iter()
            .filter(|rule| {
                rule.package == self.package
                    && !rule.name.contains('.')
                    && !inner.iter().any(|(known, _)| *known == rule.name)
            })
            .map(|rule| rule.name.as_str())
            .collect();
        // What is declared hides a rule of that name.
        if !self.undeclared && !own.is_empty() && self.random.percent(3) {
            return self.random.pick(&own).to_owned();
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

    /// Notes that `name` was declared with `some`, and so must be used.
    pub(super) fn declare_name(&mut self, name: &str) {
        if name != "_" {
            self.declared.push(name.to_owned());
        }
    }

    /// Uses what was declared and not used: OPA refuses it otherwise.
    pub(super) fn use_declared(&mut self, body: &mut Vec<String>, head: &str) {
        for name in std::mem::take(&mut self.declared) {
            let used = body.iter().map(|expression| occurrences(expression, &name)).sum::<usize>();
            if used + occurrences(head, &name) < 2 && !self.random.percent(1) {
                let use_of = self.random.pick(&[
                    "% != \"none\"",
                    "% != null",
                    "% == %",
                    "is_string(%)",
                    "not % == 2",
                    "% != input.missing",
                ]);
                body.push(use_of.replace('%', &name));
            }
        }
    }
}

/// How often `name` stands in `text` as a variable.
fn occurrences(text: &str, name: &str) -> usize {
    let (mut count, mut word, mut before, mut in_string) = (0, String::new(), ' ', false);
    for char in text.chars().chain([' ']) {
        if char == '"' {
            in_string = !in_string;
        }
        if !in_string && (char.is_alphanumeric() || char == '_') {
            word.push(char);
            continue;
        }
        if word == name && before != '.' {
            count += 1;
        }
        if !in_string && word.is_empty() || !word.is_empty() {
            before = char;
        }
        word.clear();
    }
    count
}

/// Whether `text` has a wildcard outside of comprehensions.
pub(super) fn has_wildcard(text: &str) -> bool {
    let mut open: Vec<(bool, bool)> = vec![(false, false)];
    let mut before = ' ';
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '[' | '{' => open.push((false, false)),
            ']' | '}' => {
                // A comprehension keeps its wildcards to itself.
                if let Some((wildcard, comprehension)) = open.pop()
                    && wildcard
                    && !comprehension
                    && let Some(outer) = open.last_mut()
                {
                    outer.0 = true;
                }
            }
            '|' => {
                if let Some(inner) = open.last_mut() {
                    inner.1 = true;
                }
            }
            '_' if !before.is_alphanumeric() && !chars.peek().is_some_and(|next| next.is_alphanumeric()) => {
                if let Some(inner) = open.last_mut() {
                    inner.0 = true;
                }
            }
            _ => {}
        }
        before = char;
    }
    open.iter().any(|(wildcard, _)| *wildcard)
}
