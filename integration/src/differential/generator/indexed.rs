//! Rules of many bodies that are told apart by fields of the input, as an index over rules would: each way to write a
//! condition that an index may use, among those that it must not.

use hexr_authz_core::policy::Module;

use super::{Rule, Shape, Style, Type, Writer};

const FIELDS: [&str; 6] =
    ["input.service", "input.action", "input.role", "input.tenant", "input.agent", "input.nested.kind"];

impl Writer<'_> {
    /// A module of one or two such rules, with the rules that they lean on.
    pub(super) fn indexed_module(&mut self) -> Module {
        let mut text = self.header("p");
        text.push_str(&self.leaned_on());
        for _ in 0..self.random.between(1, 2) {
            let rule = match self.random.below(7) {
                0..=2 => self.indexed_flag(),
                3 => self.indexed_value(),
                4 => self.indexed_set(),
                5 => self.indexed_function(),
                _ => self.indexed_else(),
            };
            text.push_str(&rule);
        }
        self.finished("p.rego", text)
    }

    /// Rules behind which constants, sets and conditions stand.
    fn leaned_on(&mut self) -> String {
        let (first, second) = (self.word(), self.word());
        let assign = if self.style == Style::V0 { "=" } else { ":=" };
        let mut text = format!(
            "main_service {assign} \"{first}\"\n\nknown {assign} {{\"{first}\", \"{second}\", \"reader\"}}\n\n"
        );
        let condition = std::iter::repeat_with(|| self.condition())
            .find(|text| !text.contains("usual"))
            .unwrap_or_default();
        text.push_str(&self.block("usual", &[condition]));
        text.push_str(&self.block("is_role(x)", &["input.role == x".to_owned()]));
        text.push_str(&self.block("same(x, y)", &["x == y".to_owned()]));
        for (name, shape) in [
            ("main_service", Shape::Complete(Type::Text)),
            ("known", Shape::Complete(Type::TextSet)),
            ("usual", Shape::Complete(Type::Flag)),
        ] {
            self.rules.push(Rule { package: "p".to_owned(), name: name.to_owned(), shape });
        }
        text.push('\n');
        text
    }

    /// One condition over fields of the input.
    fn condition(&mut self) -> String {
        let field = self.random.pick(&FIELDS);
        let other = self.random.pick(&FIELDS);
        let word = self.word();
        match self.random.below(34) {
            0..=5 => format!("{field} == \"{word}\""),
            6 | 7 => format!("\"{word}\" == {field}"),
            8 => format!("{field} = \"{word}\""),
            9 => format!("\"{word}\" = {field}"),
            10 | 11 if self.style.has_keywords() => format!("{field} in {{\"{word}\", \"{}\"}}", self.word()),
            12 if self.style.has_keywords() => format!("{field} in [\"{word}\", \"{}\"]", self.word()),
            13 if self.style.has_keywords() => format!("{field} in known"),
            14 => "input.service == main_service".to_owned(),
            15 => format!("not {field} == \"{word}\""),
            16 => format!("{field} != \"{word}\""),
            17 => format!("startswith({field}, \"{}\")", word.get(..2).unwrap_or("")),
            18 => format!("is_role(\"{word}\")"),
            19 => format!("glob.match(\"{}*\", [], {field})", word.get(..1).unwrap_or("a")),
            20 => format!("{}[\"{}\"] == \"{word}\"", "input", field.rsplit('.').next().unwrap_or("service")),
            21 => format!("input.n == {}", self.random.below(4)),
            22 => format!("x := {field}; x == \"{word}\""),
            23 => format!("{field} == {other}"),
            24 => format!("count(input.tags) == {}", self.random.below(3)),
            25 => self
                .random
                .pick(&[
                    "input.flag",
                    "input.flag == true",
                    "input.flag == false",
                    "not input.flag",
                    "input.missing",
                    "input.odd == null",
                ])
                .to_owned(),
            26 => "data.roles[input.role][_] == input.service".to_owned(),
            27 => self
                .random
                .pick(&[
                    "input.tags == [\"a\", \"b\"]",
                    "input.tags = [\"a\", _]",
                    "[\"a\", y] = input.tags",
                    "input.tags == []",
                    "input.odd = {\"a\": _, \"b\": _}",
                ])
                .to_owned(),
            28 => "usual".to_owned(),
            29 => self
                .random
                .pick(&["not usual", "usual == true", "not is_role(\"admin\")", "known[input.role]"])
                .to_owned(),
            30 => format!("same({field}, \"{word}\")"),
            31 => format!("{field} == \"{word}\" with input.n as 1"),
            32 => self
                .random
                .pick(&[
                    "input.n == 1.0",
                    "input.n == 1",
                    "input.n > 2",
                    "input.n in [1, 2]",
                    "input.level == 1.5",
                ])
                .replace(" in [1, 2]", if self.style.has_keywords() { " in [1, 2]" } else { " < 3" }),
            _ => format!("lower({field}) == \"{word}\""),
        }
    }

    fn conditions(&mut self) -> Vec<String> {
        (0..self.random.between(1, 3)).map(|_| self.condition()).collect()
    }

    fn bodies(&mut self) -> usize {
        if self.random.percent(20) { self.random.between(12, 30) } else { self.random.between(2, 9) }
    }

    fn indexed_flag(&mut self) -> String {
        let name = self.name("allow");
        let mut text = String::new();
        if self.random.percent(50) {
            text.push_str(&format!("default {name} = false\n\n"));
        }
        for _ in 0..self.bodies() {
            let conditions = self.conditions();
            text.push_str(&self.block(&name, &conditions));
        }
        self.rules.push(Rule { package: "p".to_owned(), name, shape: Shape::Complete(Type::Flag) });
        text
    }

    fn indexed_value(&mut self) -> String {
        let name = self.name("limit");
        let same = self.random.percent(50);
        let mut text = String::new();
        if self.random.percent(50) {
            text.push_str(&format!("default {name} = -1\n\n"));
        }
        for at in 0..self.bodies() {
            let conditions = self.conditions();
            let value = if same { at % 2 } else { at };
            text.push_str(&self.block(&format!("{name} = {value}"), &conditions));
        }
        self.rules.push(Rule { package: "p".to_owned(), name, shape: Shape::Complete(Type::Number) });
        text
    }

    fn indexed_set(&mut self) -> String {
        let name = self.name("reasons");
        let mut text = String::new();
        for at in 0..self.bodies() {
            let conditions = self.conditions();
            let head = if self.style == Style::V0 {
                format!("{name}[\"r{at}\"]")
            } else {
                format!("{name} contains \"r{at}\"")
            };
            text.push_str(&self.block(&head, &conditions));
        }
        self.rules.push(Rule { package: "p".to_owned(), name, shape: Shape::Set(Type::Text) });
        text
    }

    fn indexed_function(&mut self) -> String {
        let (function, name) = (self.name("f"), self.name("of_function"));
        let mut text = String::new();
        if self.random.percent(30) && self.style != Style::V0 {
            text.push_str(&format!("default {function}(_, _) = -1\n\n"));
        }
        for at in 0..self.bodies() {
            let mut body = vec![match self.random.below(5) {
                0 => format!("x == \"{}\"", self.word()),
                1 => format!("y == {}", self.random.below(4)),
                2 => self.condition(),
                3 => "x == input.service".to_owned(),
                _ => "true".to_owned(),
            }];
            let first = if self.random.percent(50) { format!("\"{}\"", self.word()) } else { "x".to_owned() };
            let second = if self.random.percent(30) { self.random.pick(&["0", "1", "2"]) } else { "y" };
            // A body may not name what the head does not.
            body.retain(|expression| {
                !(first != "x" && (expression.starts_with("x =="))
                    || second != "y" && expression.starts_with("y =="))
            });
            if body.is_empty() {
                body.push("true".to_owned());
            }
            text.push_str(&self.block(&format!("{function}({first}, {second}) = {}", at % 3), &body));
        }
        text.push_str(&format!("\n{name} = {function}(input.service, input.n)\n"));
        self.rules.push(Rule { package: "p".to_owned(), name, shape: Shape::Complete(Type::Number) });
        text
    }

    fn indexed_else(&mut self) -> String {
        let name = self.name("tier");
        let mut text = String::new();
        for chain in 0..self.random.between(1, 3) {
            for link in 0..self.random.between(1, 5) {
                let conditions = self.conditions();
                let head = if link == 0 {
                    format!("{name} = \"{chain}-{link}\"")
                } else {
                    format!("else = \"{chain}-{link}\"")
                };
                let block = self.block(&head, &conditions);
                text.push_str(if link == 0 { "" } else { " " });
                text.push_str(block.trim_end());
            }
            text.push('\n');
        }
        self.rules.push(Rule { package: "p".to_owned(), name, shape: Shape::Complete(Type::Text) });
        text
    }
}
