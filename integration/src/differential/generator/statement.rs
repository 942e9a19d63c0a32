//! Expressions of bodies.

use super::{Shape, Style, Type, Writer};

/// Something to go through: its text, and the types of its keys and values.
type Collection = (String, Type, Type);

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
            32 => self.walk(),
            _ => self.print(),
        };
        if self.random.percent(4) { format!("{expression}{}", self.modifiers()) } else { expression }
    }

    fn comparison(&mut self, depth: usize) -> String {
        let operator = self.random.pick(&["==", "==", "!=", "<", "<=", ">", ">="]);
        match self.random.below(10) {
            0..=3 => {
                let operator = self.random.pick(&["==", "!=", "=="]);
                format!("{} {operator} {}", self.term(Type::Text, depth), self.plain_text())
            }
            4..=6 => {
                format!("{} {operator} {}", self.term(Type::Number, depth), self.term(Type::Number, depth))
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

    /// An expression that goes through something and binds variables.
    pub(super) fn generator(&mut self, depth: usize) -> String {
        let (collection, key, value) = self.collection(depth);
        if self.undeclared {
            let (name, at) = (self.fresh(), self.random.percent(50));
            self.bind(&name, value);
            if collection.starts_with(['[', '{', '(']) || collection.ends_with(')') {
                let whole = self.fresh();
                self.bind(&whole, Type::Any);
                return format!("{whole} = {collection}; {whole}[_] = {name}");
            }
            if at {
                let index = self.fresh();
                self.bind(&index, key);
                return format!("{collection}[{index}] = {name}");
            }
            return format!("{collection}[_] = {name}");
        }
        let is_reference = !(collection.starts_with(['[', '{', '(']) || collection.ends_with(')'));
        if self.style.has_keywords() && (self.random.percent(65) || !is_reference) {
            let name = self.fresh();
            self.bind(&name, value);
            return match self.random.below(5) {
                0 | 1 => {
                    let index = if self.random.percent(20) { "_".to_owned() } else { self.fresh() };
                    self.bind(&index, key);
                    self.declare_name(&name);
                    self.declare_name(&index);
                    format!("some {index}, {name} in {collection}")
                }
                2 if value == Type::Any && self.random.percent(50) => {
                    self.scope.pop();
                    let second = self.fresh();
                    self.bind(&second, Type::Any);
                    self.declare_name(&second);
                    format!("some [{second}, _] in {collection}")
                }
                _ => {
                    self.declare_name(&name);
                    format!("some {name} in {collection}")
                }
            };
        }
        let collection = if is_reference { collection } else { "data.users".to_owned() };
        let (key, value) = if collection == "data.users" { (Type::Number, Type::User) } else { (key, value) };
        let name = self.fresh();
        match self.random.below(4) {
            0 => {
                self.bind(&name, key);
                let item = self.fresh();
                self.bind(&item, value);
                format!("some {name}; {item} := {collection}[{name}]")
            }
            1 => {
                self.bind(&name, key);
                format!(
                    "some {name}; {collection}[{name}] {} {}",
                    self.random.pick(&["==", "!="]),
                    self.term(value, 0)
                )
            }
            _ => {
                self.bind(&name, value);
                format!("{name} := {collection}[_]")
            }
        }
    }

    fn collection(&mut self, depth: usize) -> Collection {
        let of = |text: &str, key, value| (text.to_owned(), key, value);
        if self.random.percent(12) {
            let found: Vec<_> = self
                .rules
                .iter()
                .filter_map(|rule| match &rule.shape {
                    Shape::Set(kind) => Some((rule.clone(), *kind, *kind)),
                    Shape::Object(key, value) => Some((rule.clone(), *key, *value)),
                    Shape::Complete(_) | Shape::Function(..) => None,
                })
                .collect();
            if let Some((rule, key, value)) = found.get(self.random.below(found.len())).cloned() {
                return (self.use_of(&rule), key, value);
            }
        }
        match self.random.below(17) {
            0..=2 => of("data.users", Type::Number, Type::User),
            3 | 4 => of("data.audit_log", Type::Number, Type::Call),
            5 => of("data.limits", Type::Text, Type::Number),
            6 => of("data.roles", Type::Text, Type::Texts),
            7 => of("input.tags", Type::Number, Type::Text),
            8 => of("input.labels", Type::Text, Type::Text),
            9 => of("data.mixed", Type::Number, Type::Any),
            10 => of("input.odd", Type::Any, Type::Any),
            11 => of("data.matrix", Type::Number, Type::Numbers),
            12 => of("data.grants[input.tenant]", Type::Text, Type::Texts),
            13 => (self.term(Type::Texts, depth), Type::Number, Type::Text),
            14 => (self.term(Type::TextSet, depth), Type::Text, Type::Text),
            15 => (self.term(Type::NumberSet, depth), Type::Number, Type::Number),
            _ => (self.term(Type::Numbers, depth), Type::Number, Type::Number),
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
        let side =
            |writer: &mut Self| if writer.random.percent(25) && operator == "=" { true } else { false };
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
        let turned = side(self);
        self.bind(&first, Type::Any);
        if turned { format!("{value} = {pattern}") } else { format!("{pattern} {operator} {value}") }
    }

    fn negation(&mut self, depth: usize) -> String {
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

    fn every(&mut self, depth: usize) -> String {
        if !self.style.has_keywords() {
            return self.comparison(depth);
        }
        let (collection, key, value) = self.collection(depth);
        let undeclared = self.undeclared;
        let outer = self.open();
        self.undeclared = false;
        let name = self.fresh();
        let names = if self.random.percent(35) {
            self.bind(&name, value);
            let index = self.fresh();
            self.bind(&index, key);
            self.declare_name(&index);
            self.declare_name(&name);
            format!("{index}, {name}")
        } else {
            self.bind(&name, value);
            self.declare_name(&name);
            name
        };
        let mut expressions = Vec::new();
        for _ in 0..self.random.between(1, 2) {
            let expression = match self.random.below(4) {
                0 => self.comparison(depth.min(1)),
                1 => {
                    let kind = if matches!(value, Type::User | Type::Call | Type::Texts) {
                        Type::Text
                    } else {
                        value
                    };
                    format!(
                        "{} {} {}",
                        self.term(kind, 0),
                        self.random.pick(&["==", "!="]),
                        self.term(kind, 0)
                    )
                }
                2 => self.negation(depth.min(1)),
                _ => self.expression(depth.min(1)),
            };
            expressions.push(expression);
        }
        self.use_declared(&mut expressions, &names);
        self.close(outer, undeclared);
        format!("every {names} in {collection} {{ {} }}", expressions.join("; "))
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

    /// One or two `with`.
    fn modifiers(&mut self) -> String {
        let mut text = String::new();
        for _ in 0..self.random.between(1, 2) {
            let modifier = match self.random.below(12) {
                0 => format!("input as {{\"service\": \"{}\", \"role\": \"admin\", \"n\": 2}}", self.word()),
                1 | 2 => format!("input.service as {}", self.plain_text()),
                3 => format!("input.role as \"{}\"", self.word()),
                4 => "data.limits as {\"aws_s3\": 1, \"openai\": 7}".to_owned(),
                5 => format!("data.roles.reader as [\"{}\"]", self.word()),
                6 => "time.now_ns as 1000000000".to_owned(),
                7 => "data.users as []".to_owned(),
                8 => format!("input.nested.kind as {}", self.plain_text()),
                9 => self.rule_replacement(),
                10 => self
                    .random
                    .pick(&["count as 3", "startswith as true", "lower as upper", "sum as count"])
                    .to_owned(),
                _ => "input.n as 3".to_owned(),
            };
            text.push_str(" with ");
            text.push_str(&modifier);
        }
        text
    }

    /// A rule's value, replaced.
    fn rule_replacement(&mut self) -> String {
        let at = self.random.below(self.rules.len());
        let Some(rule) = self.rules.get(at).cloned() else { return "input.flag as true".to_owned() };
        let name = self.reference(&rule.package, &rule.name);
        let name = if rule.package == self.package && !name.starts_with("data.") {
            format!("data.{}.{name}", self.package)
        } else {
            name
        };
        match &rule.shape {
            Shape::Function(_, kind) => {
                let value = self.term(*kind, 0);
                format!("{name} as {value}")
            }
            Shape::Complete(kind) => format!("{name} as {}", self.term(*kind, 0)),
            Shape::Set(_) => format!("{name} as {{\"a\", 1}}"),
            Shape::Object(..) => format!("{name} as {{\"a\": 1}}"),
        }
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

    fn count_of(&mut self, depth: usize) -> String {
        let undeclared = self.undeclared;
        let (outer, mut body) = self.nested_body(depth);
        let head = self.term(Type::Text, 0);
        self.use_declared(&mut body, &head);
        self.close(outer, undeclared);
        let body = body.join("; ");
        let (open, close) = if self.random.percent(60) { ("{", "}") } else { ("[", "]") };
        format!(
            "count({open}{head} | {body}{close}) {} {}",
            self.random.pick(&[">", "==", "<", ">="]),
            self.random.below(4)
        )
    }

    fn walk(&mut self) -> String {
        let of = self.random.pick(&[
            "input.odd",
            "input.nested",
            "data.users",
            "input.items",
            "{\"a\": [1, {\"b\": 2}]}",
        ]);
        let name = self.fresh();
        self.bind(&name, Type::Any);
        match self.random.below(3) {
            0 => format!("walk({of}, [{name}, _])"),
            1 => format!("walk({of}, [_, {name}])"),
            _ if self.undeclared || self.style != Style::V1 => {
                format!("walk({of}, [_, {name}]); {name} == {}", self.plain_text())
            }
            _ => format!("[_, {name}] := walk({of})"),
        }
    }

    fn print(&mut self) -> String {
        format!("print(\"at\", {})", self.term(Type::Any, 1))
    }
}
