//! Terms of a type that is mostly the right one: variables and rules, or something made up.

use super::{Rule, Shape, Type, Writer};

impl Writer<'_> {
    /// A term of `of`, with calls nested at most `depth` deep.
    pub(super) fn term(&mut self, of: Type, depth: usize) -> String {
        if self.random.percent(35)
            && let Some(name) = self.variable(of)
        {
            return name;
        }
        if self.random.percent(12)
            && let Some(rule) = self.rule_of(of)
        {
            return rule;
        }
        let depth = depth.saturating_sub(1);
        match of {
            Type::Number => self.number(depth),
            Type::Text => self.text(depth),
            Type::Flag => self.flag(depth),
            Type::Texts => self.texts(depth),
            Type::Numbers => self.numbers(depth),
            Type::TextSet | Type::NumberSet => self.set(of, depth),
            Type::Object => self.object(depth),
            Type::User => "data.users[_]".to_owned(),
            Type::Call => "data.audit_log[_]".to_owned(),
            Type::Any => self.anything(depth),
        }
    }

    /// A variable in scope of that type, or of any where any will do.
    pub(super) fn variable(&mut self, of: Type) -> Option<String> {
        let fits = |kind: Type| kind == of || kind == Type::Any || of == Type::Any;
        let mut names: Vec<String> =
            self.scope.iter().filter(|(_, kind)| fits(*kind)).map(|(name, _)| name.clone()).collect();
        for (name, kind) in &self.scope {
            let fields: &[&str] = match (kind, of) {
                (Type::User, Type::Text) => &["name", "role", "name"],
                (Type::User, Type::Number) => &["level"],
                (Type::User, Type::Flag) => &["active"],
                (Type::User, Type::Texts) => &["tags"],
                (Type::Call, Type::Text) => &["agent", "service", "action", "decision", "tenant", "role"],
                (Type::Call, Type::Number) => &["timestamp"],
                _ => &[],
            };
            names.extend(fields.iter().map(|field| format!("{name}.{field}")));
        }
        let at = self.random.below(names.len());
        names.into_iter().nth(at)
    }

    /// How a rule is named here.
    pub(super) fn reference(&mut self, package: &str, name: &str) -> String {
        if package == self.package {
            return if self.random.percent(85) { name.to_owned() } else { format!("data.{package}.{name}") };
        }
        match self.aliases.iter().find(|(of, _)| of == package) {
            Some((_, alias)) if self.random.percent(75) => format!("{alias}.{name}"),
            Some(_) | None => format!("data.{package}.{name}"),
        }
    }

    /// A rule's value, or a call of a function, of that type.
    fn rule_of(&mut self, of: Type) -> Option<String> {
        let fits = |shape: &Shape| match shape {
            Shape::Complete(kind) | Shape::Function(_, kind) => *kind == of || of == Type::Any,
            Shape::Set(kind) => match of {
                Type::TextSet => *kind == Type::Text,
                Type::NumberSet => *kind == Type::Number,
                Type::Any => true,
                Type::Number
                | Type::Text
                | Type::Flag
                | Type::Texts
                | Type::Numbers
                | Type::Object
                | Type::User
                | Type::Call => false,
            },
            Shape::Object(..) => matches!(of, Type::Object | Type::Any),
        };
        let found: Vec<_> = self.rules.iter().filter(|rule| fits(&rule.shape)).cloned().collect();
        let rule = found.get(self.random.below(found.len()))?.clone();
        Some(self.use_of(&rule))
    }

    /// A reference to `rule`, or a call of it.
    pub(super) fn use_of(&mut self, rule: &Rule) -> String {
        let name = self.reference(&rule.package, &rule.name);
        let Shape::Function(parameters, _) = &rule.shape else { return name };
        let arguments: Vec<String> = parameters.iter().map(|kind| self.term(*kind, 1)).collect();
        format!("{name}({})", arguments.join(", "))
    }

    fn anything(&mut self, depth: usize) -> String {
        match self.random.below(14) {
            0 | 1 => self.term(Type::Number, depth),
            2 | 3 => self.term(Type::Text, depth),
            4 => self.term(Type::Flag, depth),
            5 => self.term(Type::Texts, depth),
            6 => self.term(Type::TextSet, depth),
            7 => self.term(Type::Object, depth),
            8 => "null".to_owned(),
            9 => format!(
                "object.get({}, {}, {})",
                self.term(Type::Object, depth),
                self.term(Type::Text, 0),
                self.random.pick(&["null", "0", "\"none\"", "[]"])
            ),
            _ => self
                .random
                .pick(&[
                    "input.odd",
                    "input.odd",
                    "input.odd.a",
                    "input.odd[0]",
                    "input.missing",
                    "data.mixed[input.n]",
                    "input[input.role]",
                    "data.limits[input.odd]",
                    "input.items[1]",
                    "data.users[1]",
                    "input.labels",
                    "data.mixed[3]",
                    "input.timestamp",
                ])
                .to_owned(),
        }
    }
}
