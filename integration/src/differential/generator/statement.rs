//! Expressions of bodies.

use super::{Shape, Type, Writer};

impl Writer<'_> {
    /// Any expression; what it binds is in scope behind it.
    pub(super) fn expression(&mut self, depth: usize) -> String {
        let expression = match self.random.below(34) {
            0..=5 => self.comparison(depth),
            6..=9 => self.membership(depth),
            10..=13 => return self.generator(depth),
            14 | 15 => self.assignment(depth),
            16 | 17 => self.unification(depth),
            18..=22 => self.negation(depth),
            23 | 24 => return self.every(depth),
            25 => self.term(Type::Flag, depth),
            26 | 27 => self.flag_call(depth),
            28 | 29 => self.rule_use(depth),
            30 => self.lookup(),
            31 => self.count_of(depth),
            32 if self.random.percent(50) => self.walk(),
            32 => self.join(),
            _ => self.print(),
        };
        if self.random.percent(4) { format!("{expression}{}", self.modifiers()) } else { expression }
    }

    pub(super) fn comparison(&mut self, depth: usize) -> String {
        let operator = self.random.pick(&["==", "==", "!=", "<", "<=", ">", ">="]);
        match self.random.below(10) {
            0..=3 => {
                let operator = self.random.pick(&["==", "!=", "=="]);
                format!("{} {operator} {}", self.term(Type::Text, depth), self.plain_text())
            }
            4 | 5 => {
                format!("{} {operator} {}", self.term(Type::Number, depth), self.term(Type::Number, depth))
            }
            6 => {
                let first = self.random.pick(&["+", "-", "*"]);
                let second = self.random.pick(&["+", "-", "*", "/", "%"]);
                let [a, b, c, d] = [0, 0, 0, 0].map(|depth| self.term(Type::Number, depth));
                format!("{a} {first} {b} {second} {c} {operator} {d}")
            }
            7 => {
                let kind = self.random.pick(&[
                    Some(Type::Texts),
                    Some(Type::TextSet),
                    Some(Type::Numbers),
                    Some(Type::NumberSet),
                ]);
                let kind = kind.unwrap_or(Type::Texts);
                format!("{} {operator} {}", self.term(kind, depth), self.term(kind, depth))
            }
            8 => format!("{} {operator} {}", self.odd_reference(), self.term(Type::Any, depth)),
            _ => {
                let field = self.random.pick(&[
                    "data.users[_].role",
                    "data.users[_].name",
                    "input.items[_].tag",
                    "data.roles[_][_]",
                    "data.services[_]",
                    "input.tags[_]",
                ]);
                format!("{field} {operator} {}", self.plain_text())
            }
        }
    }

    fn odd_reference(&mut self) -> &'static str {
        self.random.pick(&[
            "input.odd",
            "data.mixed[input.n]",
            "input.odd.a",
            "input.n",
            "input.missing",
            "data.mixed[_]",
        ])
    }

    fn membership(&mut self, depth: usize) -> String {
        if !self.style.has_keywords() {
            return match self.random.below(4) {
                0 => format!("{{\"aws_s3\", \"openai\", \"{}\"}}[{}]", self.word(), self.plain_text()),
                1 => format!(
                    "{} == {}[_]",
                    self.plain_text(),
                    self.random.pick(&["data.services", "input.tags", "data.roles[input.role]"])
                ),
                2 => format!("data.roles[input.role][_] == {}", self.plain_text()),
                _ => {
                    let collection = self.text_collection(depth);
                    let (name, item) = (self.fresh(), self.plain_text());
                    if collection.starts_with(['[', '{', '(']) || collection.ends_with(')') {
                        let bound = format!("{name} := {collection}; {name}[_] == {item}");
                        self.bind(&name, Type::Any);
                        return if self.undeclared { bound.replacen(":=", "=", 1) } else { bound };
                    }
                    format!("{collection}[_] == {item}")
                }
            };
        }
        match self.random.below(8) {
            0 | 1 => format!("{} in {{\"aws_s3\", \"openai\", \"{}\"}}", self.plain_text(), self.word()),
            2 => format!("{} in [\"{}\", \"reader\", {}]", self.plain_text(), self.word(), self.plain_text()),
            3 => {
                let (collection, key, value) = self.collection(depth);
                format!("{}, {} in {collection}", self.term(key, 0), self.term(value, 0))
            }
            4 => format!("{} in {}", self.term(Type::Number, depth), self.number_collection(depth)),
            5 => format!("{} in {}", self.term(Type::Any, 1), self.odd_reference()),
            _ => format!("{} in {}", self.term(Type::Text, depth), self.text_collection(depth)),
        }
    }

    fn assignment(&mut self, depth: usize) -> String {
        let kinds =
            [Type::Number, Type::Text, Type::Texts, Type::TextSet, Type::Object, Type::Any, Type::Flag]
                .map(Some);
        let kind = self.random.pick(&kinds).unwrap_or(Type::Any);
        let term = self.term(kind, depth);
        let name = self.fresh();
        self.bind(&name, kind);
        format!("{name} {} {term}", if self.undeclared { "=" } else { ":=" })
    }

    /// `=` or `:=` with patterns.
    fn unification(&mut self, depth: usize) -> String {
        let (first, second) = (self.fresh(), self.random.pick(&["_", "_", "1", "\"a\""]));
        let operator = if self.undeclared || self.random.percent(35) { "=" } else { ":=" };
        let (pattern, value) = match self.random.below(7) {
            0 => {
                let second = if operator == ":=" { "_" } else { second };
                (
                    format!("[{first}, {second}]"),
                    format!("[{}, {}]", self.term(Type::Text, depth), self.term(Type::Number, 0)),
                )
            }
            1 => (
                format!("[{first}, _]"),
                self.random.pick(&["input.tags", "input.numbers", "data.matrix[1]", "input.odd"]).to_owned(),
            ),
            2 => (format!("[{first}, _, _]"), "split(input.spiffe_id, \"agent\")".to_owned()),
            3 => (format!("{{\"env\": {first}, \"team\": _}}"), "input.labels".to_owned()),
            4 => (
                format!("[[_, {first}], _]"),
                format!("[[{}, {}], 1]", self.term(Type::Text, 0), self.term(Type::Text, depth)),
            ),
            5 => (format!("{{\"a\": {{\"b\": {first}}}}}"), "input.odd".to_owned()),
            _ => (format!("[{first}, _, _]"), "time.clock(time.now_ns())".to_owned()),
        };
        let turned = self.random.percent(25) && operator == "=";
        self.bind(&first, Type::Any);
        if turned { format!("{value} = {pattern}") } else { format!("{pattern} {operator} {value}") }
    }

    pub(super) fn negation(&mut self, depth: usize) -> String {
        let inner = match self.random.below(13) {
            0..=3 => self.comparison(depth),
            4 | 5 => {
                if self.style.has_keywords() {
                    self.membership(depth)
                } else {
                    self.comparison(depth)
                }
            }
            6 => self.term(Type::Flag, depth),
            7 | 8 => self.flag_call(depth),
            9 | 10 => self.rule_use(depth),
            11 => format!("input.missing[{}]", self.term(Type::Text, depth)),
            _ => self.count_of(depth),
        };
        // Two expressions cannot be negated as one.
        let two = inner.contains("; ") && !inner.contains(['{', '['])
            || inner.starts_with(['x', 'y']) && inner.contains(":=");
        // `not {` opens a body, and a wildcard in a negation is unsafe.
        let refused = inner.starts_with('{') || super::body::has_wildcard(&inner);
        if two || refused && !self.random.percent(2) { inner } else { format!("not {inner}") }
    }

    /// A rule where an expression can stand.
    fn rule_use(&mut self, depth: usize) -> String {
        let at = self.random.below(self.rules.len());
        let Some(rule) = self.rules.get(at).cloned() else { return self.comparison(depth) };
        let name = self.use_of(&rule);
        let text = match &rule.shape {
            Shape::Complete(Type::Flag) | Shape::Function(_, Type::Flag) => name,
            Shape::Complete(kind) | Shape::Function(_, kind) => {
                let other = self.term(*kind, 0);
                format!("{name} {} {other}", self.random.pick(&["==", "!=", "=="]))
            }
            Shape::Set(kind) => match self.random.below(3) {
                0 => {
                    format!("count({name}) {} {}", self.random.pick(&[">", "==", "<"]), self.random.below(3))
                }
                _ => format!("{name}[{}]", self.term(*kind, 0)),
            },
            Shape::Object(key, value) => {
                let (key, value) = (self.term(*key, 0), self.term(*value, 0));
                format!("{name}[{key}] {} {value}", self.random.pick(&["==", "!="]))
            }
        };
        if self.random.percent(25) { format!("{text}{}", self.modifiers()) } else { text }
    }

    fn lookup(&mut self) -> String {
        self.random
            .pick(&[
                "data.grants[input.tenant][input.agent][_] == input.service",
                "data.flags[input.service]",
                "data.roles[input.role][0]",
                "input.items[_].n > 1",
                "data.users[_].active",
                "input.labels[_] == \"prod\"",
                "data.users[_].tags[_] == \"a\"",
                "data.limits[input.service] > count(data.audit_log)",
                "input",
                "data.audit_log[_].agent == input.agent",
                "input.odd[_][_]",
                "data.matrix[_][_] == input.n",
                "input.odd[\"a\"]",
                "input.tags[count(input.numbers)]",
                "data.mixed[_] == input.odd",
            ])
            .to_owned()
    }

    fn print(&mut self) -> String {
        format!("print(\"at\", {})", self.term(Type::Any, 1))
    }
}
