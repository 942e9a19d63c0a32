//! Expressions that go through something.

use super::{Shape, Style, Type, Writer};

/// Something to go through: its text, and the types of its keys and values.
pub(super) type Collection = (String, Type, Type);

impl Writer<'_> {
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

    pub(super) fn collection(&mut self, depth: usize) -> Collection {
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

    pub(super) fn every(&mut self, depth: usize) -> String {
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

    pub(super) fn count_of(&mut self, depth: usize) -> String {
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

    /// One variable at two places.
    pub(super) fn join(&mut self) -> String {
        let name = self.fresh();
        self.bind(&name, Type::Any);
        let join = self.random.pick(&[
            "data.users[%].name == data.services[%]",
            "data.limits[%] > data.levels[input.role]",
            "input.labels[%] == data.owner[_]",
            "input.tags[_] = %; data.services[_] = %",
            "[%, _] = input.odd[_]",
            "data.users[_] = {\"name\": %, \"role\": _, \"active\": true}",
            "data.roles[%][_] == input.service; data.levels[%] > 1",
            "data.matrix[%][%] == input.n",
            "input.items[%].n == data.nums[%]",
            "data.mixed[%] == data.mixed[count([%])]",
        ]);
        let declared = if self.undeclared || self.random.percent(40) { "" } else { "some %; " };
        format!("{declared}{join}").replace('%', &name)
    }

    pub(super) fn walk(&mut self) -> String {
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
}
