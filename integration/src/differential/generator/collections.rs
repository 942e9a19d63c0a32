//! Arrays, sets and objects: literals, references, calls and comprehensions.

use super::{Type, Writer};

/// Base types, of which sets and arrays can be made.
const PLAIN: [Option<Type>; 2] = [Some(Type::Number), Some(Type::Text)];

impl Writer<'_> {
    pub(super) fn texts(&mut self, depth: usize) -> String {
        if depth == 0 || self.random.percent(50) {
            if self.random.percent(35) {
                return self.list_of(Type::Text, depth);
            }
            return self
                .random
                .pick(&[
                    "input.tags",
                    "data.roles[input.role]",
                    "data.roles[input.role]",
                    "data.services",
                    "data.grants[input.tenant][input.agent]",
                    "data.users[0].tags",
                    "input.nested.list",
                    "data.users[input.n].tags",
                    "input.missing.tags",
                ])
                .to_owned();
        }
        match self.random.below(8) {
            0 => {
                format!("array.concat({}, {})", self.term(Type::Texts, depth), self.term(Type::Texts, depth))
            }
            1 => format!(
                "array.slice({}, {}, {})",
                self.term(Type::Texts, depth),
                self.random.below(3),
                self.random.below(4)
            ),
            2 => format!(
                "split({}, {})",
                self.term(Type::Text, depth),
                self.random.pick(&["\"_\"", "\"/\"", "\"\""])
            ),
            3 => format!("sort({})", self.text_collection(depth)),
            4 => format!("array.reverse({})", self.term(Type::Texts, depth)),
            5 => format!("[\"a\", {}]", self.term(Type::Text, depth)),
            _ => self.comprehension(Type::Text, "[", "]", depth),
        }
    }

    pub(super) fn numbers(&mut self, depth: usize) -> String {
        if depth == 0 || self.random.percent(55) {
            if self.random.percent(35) {
                return self.list_of(Type::Number, depth);
            }
            return self
                .random
                .pick(&["data.nums", "input.numbers", "data.matrix[0]", "data.matrix[input.n]", "data.nums"])
                .to_owned();
        }
        match self.random.below(6) {
            0 => format!("numbers.range({}, {})", self.random.below(4), self.random.below(6)),
            1 => format!(
                "array.concat({}, {})",
                self.term(Type::Numbers, depth),
                self.term(Type::Numbers, depth)
            ),
            2 => format!("sort({})", self.number_collection(depth)),
            _ => self.comprehension(Type::Number, "[", "]", depth),
        }
    }

    fn list_of(&mut self, of: Type, depth: usize) -> String {
        let terms: Vec<String> = (0..self.random.between(0, 3)).map(|_| self.term(of, depth)).collect();
        format!("[{}]", terms.join(", "))
    }

    pub(super) fn set(&mut self, of: Type, depth: usize) -> String {
        let member = if of == Type::TextSet { Type::Text } else { Type::Number };
        if depth == 0 || self.random.percent(40) {
            if self.random.percent(10) {
                return "set()".to_owned();
            }
            let terms: Vec<String> = (0..self.random.between(1, 4)).map(|_| self.term(member, 0)).collect();
            return format!("{{{}}}", terms.join(", "));
        }
        match self.random.below(8) {
            0 | 1 => {
                let operator = self.random.pick(&["|", "&", "-"]);
                format!("({} {operator} {})", self.term(of, depth), self.term(of, depth))
            }
            2 => format!("union({{{}, {}}})", self.term(of, depth), self.term(of, depth)),
            3 => format!("intersection({{{}, {}}})", self.term(of, depth), self.term(of, depth)),
            4 if member == Type::Text => format!("object.keys({})", self.term(Type::Object, depth)),
            _ => self.comprehension(member, "{", "}", depth),
        }
    }

    pub(super) fn object(&mut self, depth: usize) -> String {
        if depth == 0 || self.random.percent(50) {
            if self.random.percent(35) {
                return self.object_literal(depth);
            }
            return self
                .random
                .pick(&[
                    "input.labels",
                    "data.limits",
                    "data.roles",
                    "data.aliases",
                    "input.nested",
                    "data.users[0]",
                    "data.levels",
                    "input",
                    "data.users[input.n]",
                ])
                .to_owned();
        }
        match self.random.below(7) {
            0 => format!(
                "object.union({}, {})",
                self.term(Type::Object, depth),
                self.term(Type::Object, depth)
            ),
            1 => format!("object.remove({}, [\"env\", \"aws_s3\"])", self.term(Type::Object, depth)),
            2 => {
                format!("object.filter({}, [\"env\", \"openai\", \"name\"])", self.term(Type::Object, depth))
            }
            3 => self.object_literal(depth),
            _ => {
                let (key, value) = (
                    self.random.pick(&PLAIN).unwrap_or(Type::Text),
                    self.random.pick(&PLAIN).unwrap_or(Type::Number),
                );
                let undeclared = self.undeclared;
                let (open, mut body) = self.nested_body(depth);
                let head = format!("{}: {}", self.term(key, 0), self.term(value, 0));
                self.use_declared(&mut body, &head);
                self.close(open, undeclared);
                format!("{{{head} | {}}}", body.join("; "))
            }
        }
    }

    pub(super) fn object_literal(&mut self, depth: usize) -> String {
        let keys = ["\"env\"", "\"a\"", "\"aws_s3\"", "1", "true", "[1, 2]", "\"k\""];
        let mut fields = Vec::new();
        for key in keys {
            if self.random.percent(25) {
                let kind = self.random.pick(&[
                    Some(Type::Text),
                    Some(Type::Number),
                    Some(Type::Texts),
                    Some(Type::TextSet),
                ]);
                fields.push(format!("{key}: {}", self.term(kind.unwrap_or(Type::Any), depth.min(1))));
            }
        }
        format!("{{{}}}", fields.join(", "))
    }

    /// Something to go through that holds texts.
    pub(super) fn text_collection(&mut self, depth: usize) -> String {
        let kind = if self.random.percent(60) { Type::Texts } else { Type::TextSet };
        self.term(kind, depth)
    }

    pub(super) fn number_collection(&mut self, depth: usize) -> String {
        let kind = if self.random.percent(60) { Type::Numbers } else { Type::NumberSet };
        self.term(kind, depth)
    }

    pub(super) fn countable(&mut self, depth: usize) -> String {
        match self.random.below(6) {
            0 => self.number_collection(depth),
            1 => self.term(Type::Object, depth),
            2 => self.term(Type::Text, depth),
            3 => self.comprehension(Type::Text, "{", "}", depth),
            4 => self.comprehension(Type::Number, "[", "]", depth),
            _ => self.text_collection(depth),
        }
    }

    /// `[head | body]` or `{head | body}`.
    pub(super) fn comprehension(&mut self, of: Type, from: &str, to: &str, depth: usize) -> String {
        let undeclared = self.undeclared;
        let (open, mut body) = self.nested_body(depth);
        let head = match self.random.below(6) {
            0 => format!("[{}, {}]", self.term(of, 0), self.term(Type::Any, 0)),
            1 => self.term(of, depth.min(1)),
            _ => self.variable(of).unwrap_or_else(|| self.plain_text()),
        };
        self.use_declared(&mut body, &head);
        self.close(open, undeclared);
        format!("{from}{head} | {}{to}", body.join("; "))
    }
}
