//! Rules of every kind.

use super::{Rule, Shape, Style, Type, Writer};

const VALUES: [Option<Type>; 7] = [
    Some(Type::Number),
    Some(Type::Text),
    Some(Type::Texts),
    Some(Type::TextSet),
    Some(Type::Object),
    Some(Type::NumberSet),
    Some(Type::Any),
];

impl Writer<'_> {
    /// A rule, with all its bodies, that later ones may refer to.
    pub(super) fn rule(&mut self) -> String {
        match self.random.below(20) {
            0..=4 => self.flag_rule(),
            5..=7 => self.value_rule(),
            8 | 9 => self.else_rule(),
            10..=12 => self.set_rule(),
            13 | 14 => self.object_rule(),
            15 | 16 => self.function(),
            17 => self.nested_rule(),
            18 => self.package_rule(),
            _ => self.test_rule(),
        }
    }

    fn declare(&mut self, name: &str, shape: Shape) {
        self.rules.push(Rule { package: self.package.clone(), name: name.to_owned(), shape });
    }

    /// `head if { body }` in the module's style.
    pub(super) fn block(&mut self, head: &str, body: &[String]) -> String {
        let word = match self.style {
            Style::V1 => " if",
            Style::V0 => "",
            Style::V0Keywords => " if",
        };
        match body {
            [only] if !word.is_empty() && self.random.percent(40) && !only.contains("; ") => {
                format!("{head}{word} {only}\n")
            }
            _ => format!("{head}{word} {{\n\t{}\n}}\n", body.join("\n\t")),
        }
    }

    fn assign(&mut self) -> &'static str {
        match self.style {
            Style::V0 => self.random.pick(&["=", "=", ":="]),
            Style::V1 | Style::V0Keywords => self.random.pick(&[":=", ":=", "="]),
        }
    }

    /// A body of its own, and then `head` made of its variables.
    fn with_body(&mut self, most: usize, head: impl FnOnce(&mut Self) -> String) -> String {
        let outer = self.open();
        let mut body = self.body(most, 2);
        let head = head(self);
        self.use_declared(&mut body, &head);
        self.close(outer, false);
        self.block(&head, &body)
    }

    fn flag_rule(&mut self) -> String {
        let name = self.name(self.random.clone().pick(&["allow", "deny", "ok", "is_admin"]));
        let mut text = String::new();
        if self.random.percent(35) {
            let assign = self.assign();
            text.push_str(&format!(
                "default {name} {assign} {}\n\n",
                self.random.pick(&["false", "false", "true"])
            ));
        }
        for _ in 0..self.random.between(1, 3) {
            text.push_str(&self.with_body(3, |_| name.clone()));
        }
        self.declare(&name, Shape::Complete(Type::Flag));
        text
    }

    fn value_rule(&mut self) -> String {
        let name = self.name("value");
        let kind = self.random.pick(&VALUES).unwrap_or(Type::Any);
        let assign = self.assign();
        let mut text = String::new();
        if self.random.percent(25) {
            text.push_str(&format!(
                "default {name} {assign} {}\n\n",
                self.random.pick(&["0", "\"none\"", "[]", "null", "{1, 2}", "{\"a\": []}"])
            ));
        }
        match self.random.below(4) {
            0 => text.push_str(&format!("{name} {assign} {}\n", self.term(kind, 3))),
            _ => {
                for _ in 0..self.random.between(1, 2) {
                    text.push_str(
                        &self.with_body(2, |writer| format!("{name} {assign} {}", writer.term(kind, 2))),
                    );
                }
            }
        }
        self.declare(&name, Shape::Complete(kind));
        text
    }

    fn else_rule(&mut self) -> String {
        let name = self.name("level");
        let kind =
            self.random.pick(&[Some(Type::Number), Some(Type::Text), Some(Type::Flag)]).unwrap_or(Type::Flag);
        let assign = self.assign();
        let mut text = String::new();
        if self.random.percent(30) {
            text.push_str(&format!(
                "default {name} {assign} {}\n\n",
                self.random.pick(&["0", "false", "\"none\""])
            ));
        }
        for _ in 0..self.random.between(1, 2) {
            let chain = self.with_body(2, |writer| format!("{name} {assign} {}", writer.term(kind, 1)));
            text.push_str(chain.trim_end());
            for _ in 0..self.random.between(1, 3) {
                let link = self.with_body(2, |writer| {
                    if writer.random.percent(15) {
                        "else".to_owned()
                    } else {
                        format!("else {assign} {}", writer.term(kind, 1))
                    }
                });
                text.push(' ');
                text.push_str(link.trim_end());
            }
            if self.random.percent(30) {
                text.push_str(&format!(" else {assign} {}", self.random.pick(&["7", "\"last\"", "true"])));
            }
            text.push('\n');
        }
        self.declare(&name, Shape::Complete(kind));
        text
    }

    fn set_rule(&mut self) -> String {
        let name = self.name(self.random.clone().pick(&["reasons", "names", "recent_calls"]));
        let kind = self
            .random
            .pick(&[Some(Type::Text), Some(Type::Text), Some(Type::Number), Some(Type::Any)])
            .unwrap_or(Type::Text);
        let mut text = String::new();
        for _ in 0..self.random.between(1, 3) {
            let has_contains = self.style != Style::V0;
            text.push_str(&self.with_body(2, |writer| {
                let mut term = writer.term(kind, 1);
                if writer.random.percent(15) {
                    term = format!("[{term}, {}]", writer.term(Type::Any, 0));
                }
                if has_contains { format!("{name} contains {term}") } else { format!("{name}[{term}]") }
            }));
        }
        self.declare(&name, Shape::Set(kind));
        text
    }

    fn object_rule(&mut self) -> String {
        let name = self.name("by_name");
        let key =
            self.random.pick(&[Some(Type::Text), Some(Type::Text), Some(Type::Number)]).unwrap_or(Type::Text);
        let value = self.random.pick(&VALUES).unwrap_or(Type::Any);
        let assign = self.assign();
        let mut text = String::new();
        for _ in 0..self.random.between(1, 2) {
            text.push_str(&self.with_body(2, |writer| {
                format!("{name}[{}] {assign} {}", writer.term(key, 0), writer.term(value, 1))
            }));
        }
        self.declare(&name, Shape::Object(key, value));
        text
    }

    fn function(&mut self) -> String {
        let name = self.name("f");
        let arity = self.random.between(1, 2);
        let parameters: Vec<Type> = (0..arity)
            .map(|_| {
                self.random
                    .pick(&[Some(Type::Text), Some(Type::Number), Some(Type::Texts), Some(Type::Any)])
                    .unwrap_or(Type::Any)
            })
            .collect();
        let result = self
            .random
            .pick(&[Some(Type::Flag), Some(Type::Flag), Some(Type::Number), Some(Type::Text)])
            .unwrap_or(Type::Flag);
        let assign = self.assign();
        let mut text = String::new();
        if self.random.percent(15) && self.style != Style::V0 {
            let names = vec!["_"; arity].join(", ");
            text.push_str(&format!(
                "default {name}({names}) {assign} {}\n\n",
                self.random.pick(&["false", "0", "\"none\""])
            ));
        }
        for _ in 0..self.random.between(1, 3) {
            let outer = self.open();
            let arguments: Vec<String> = parameters.iter().map(|kind| self.parameter(*kind)).collect();
            let mut body = self.body(2, 2);
            let mut head = format!("{name}({})", arguments.join(", "));
            if result != Type::Flag || self.random.percent(20) {
                head = format!("{head} {assign} {}", self.term(result, 1));
            }
            self.use_declared(&mut body, &head);
            self.close(outer, false);
            if self.random.percent(10) && head.ends_with(')') {
                body = vec!["true".to_owned()];
            }
            let mut block = self.block(&head, &body);
            if self.random.percent(15) {
                block = format!(
                    "{} else {assign} {}\n",
                    block.trim_end(),
                    self.random.pick(&["0", "false", "\"else\""])
                );
            }
            text.push_str(&block);
        }
        self.declare(&name, Shape::Function(parameters, result));
        text
    }

    fn parameter(&mut self, kind: Type) -> String {
        match self.random.below(10) {
            0 => format!("\"{}\"", self.word()),
            1 => self.random.pick(&["1", "2", "true", "null"]).to_owned(),
            2 => {
                let name = self.fresh();
                self.bind(&name, Type::Text);
                self.random
                    .pick(&["[%, _]", "[%, \"a\"]", "{\"env\": %}", "[_, [%]]", "[%, 1]"])
                    .replace('%', &name)
            }
            3 => "_".to_owned(),
            _ => {
                let name = self.fresh();
                self.bind(&name, kind);
                name
            }
        }
    }

    /// A rule whose name has more than one part.
    fn nested_rule(&mut self) -> String {
        let name = self.name("limits");
        let assign = self.assign();
        let mut text = String::new();
        if self.style == Style::V0 {
            return self.value_rule();
        }
        match self.random.below(4) {
            0 => {
                for part in ["low", "high"] {
                    text.push_str(&self.with_body(2, |writer| {
                        format!("{name}.{part} {assign} {}", writer.term(Type::Number, 1))
                    }));
                }
                self.declare(&name, Shape::Object(Type::Text, Type::Number));
            }
            1 => {
                text.push_str(&self.with_body(2, |writer| {
                    format!(
                        "{name}[{}].seen {assign} {}",
                        writer.term(Type::Text, 0),
                        writer.term(Type::Number, 0)
                    )
                }));
                self.declare(&name, Shape::Object(Type::Text, Type::Object));
            }
            2 => {
                text.push_str(&self.with_body(2, |writer| {
                    format!("{name}[{}] contains {}", writer.term(Type::Text, 0), writer.term(Type::Text, 0))
                }));
                self.declare(&name, Shape::Object(Type::Text, Type::TextSet));
            }
            _ => {
                text.push_str(&self.with_body(2, |writer| {
                    let text_kind = Type::Text;
                    format!(
                        "{name}.by[{}][{}] {assign} {}",
                        writer.term(text_kind, 0),
                        writer.term(Type::Number, 0),
                        writer.term(text_kind, 0)
                    )
                }));
                text.push_str(&self.with_body(1, |_| format!("{name}.other")));
                self.declare(&name, Shape::Object(Type::Text, Type::Any));
            }
        }
        text
    }

    /// A rule over all rules of another package.
    fn package_rule(&mut self) -> String {
        let others: Vec<String> = self
            .rules
            .iter()
            .map(|rule| rule.package.clone())
            .filter(|package| *package != self.package)
            .collect();
        let Some(other) = others.get(self.random.below(others.len())).cloned() else {
            return self.flag_rule();
        };
        let name = self.name("docs");
        let assign = self.assign();
        let package = self.reference_to_package(&other);
        let (text, shape) = match self.random.below(5) {
            0 => (format!("{name} {assign} {package}\n"), Shape::Complete(Type::Object)),
            1 => {
                let head =
                    if self.style == Style::V0 { format!("{name}[k]") } else { format!("{name} contains k") };
                (self.block(&head, &[format!("{package}[k]")]), Shape::Set(Type::Text))
            }
            2 => {
                let head =
                    if self.style == Style::V0 { format!("{name}[v]") } else { format!("{name} contains v") };
                (self.block(&head, &[format!("v := {package}[_]")]), Shape::Set(Type::Any))
            }
            3 => (
                self.block(
                    &format!("{name}[k] {assign} v"),
                    &[format!("v := {package}[k]"), "k != \"x\"".to_owned()],
                ),
                Shape::Object(Type::Text, Type::Any),
            ),
            _ => (self.block(&name, &[format!("not {package}[input.role]")]), Shape::Complete(Type::Flag)),
        };
        self.declare(&name, shape);
        text
    }

    fn reference_to_package(&mut self, package: &str) -> String {
        match self.aliases.iter().find(|(of, _)| of == package) {
            Some((_, alias)) if self.random.percent(60) => alias.clone(),
            Some(_) | None => format!("data.{package}"),
        }
    }

    fn test_rule(&mut self) -> String {
        let name = self.name("test_");
        let outer = self.open();
        let at = self.random.below(self.rules.len());
        let body = match self.rules.get(at).cloned() {
            Some(rule) => {
                let subject = self.use_of(&rule);
                let negated = if self.random.percent(40) { "not " } else { "" };
                let input = super::world::input(self.random).unwrap_or_else(|| "{}".to_owned());
                vec![format!("{negated}{subject} with input as {input}")]
            }
            None => vec!["true".to_owned()],
        };
        self.close(outer, false);
        self.declare(&name, Shape::Complete(Type::Flag));
        self.block(&name, &body)
    }
}
