//! Terms: literals, references, variables, calls and comprehensions, of a type that is mostly the right one.

use super::{Shape, Type, Writer, world};

/// Base types, of which sets and arrays can be made.
const PLAIN: [Option<Type>; 2] = [Some(Type::Number), Some(Type::Text)];

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
    pub(super) fn use_of(&mut self, rule: &super::Rule) -> String {
        let name = self.reference(&rule.package, &rule.name);
        let Shape::Function(parameters, _) = &rule.shape else { return name };
        let arguments: Vec<String> = parameters.iter().map(|kind| self.term(*kind, 1)).collect();
        format!("{name}({})", arguments.join(", "))
    }

    fn number(&mut self, depth: usize) -> String {
        if depth == 0 || self.random.percent(45) {
            return self.plain_number();
        }
        match self.random.below(22) {
            0..=5 => {
                let operator = self.random.pick(&["+", "-", "*", "+", "-", "/", "%"]);
                format!("({} {operator} {})", self.term(Type::Number, depth), self.term(Type::Number, depth))
            }
            6..=9 => format!("count({})", self.countable(depth)),
            10 => format!("sum({})", self.number_collection(depth)),
            11 => format!("max({})", self.number_collection(depth)),
            12 => format!("min({})", self.number_collection(depth)),
            13 => format!("product({})", self.number_collection(depth)),
            14 => {
                let function = self.random.pick(&["abs", "ceil", "floor", "round"]);
                format!("{function}({})", self.term(Type::Number, depth))
            }
            15 => {
                let part = self.random.pick(&[
                    "\"12\"",
                    "\"0.5\"",
                    "\"x\"",
                    "\"-3\"",
                    "input.tags[0]",
                    "true",
                    "null",
                ]);
                format!("to_number({part})")
            }
            16 => format!("indexof({}, {})", self.term(Type::Text, depth), self.fragment()),
            17 => "time.clock(time.now_ns())[0]".to_owned(),
            18 => {
                let seconds = self.random.pick(&["30", "60", "3600"]);
                format!("(time.now_ns() - ({seconds} * 1000000000))")
            }
            19 => format!("strings.count({}, {})", self.term(Type::Text, depth), "\"a\""),
            20 => {
                let part = self.random.pick(&["time.clock(time.now_ns())[1]", "time.date(time.now_ns())[2]"]);
                part.to_owned()
            }
            _ => {
                let operator = self.random.pick(&["bits.and", "bits.or", "bits.xor"]);
                format!("{operator}({}, {})", self.term(Type::Number, depth), self.term(Type::Number, depth))
            }
        }
    }

    fn plain_number(&mut self) -> String {
        if self.random.percent(45) {
            return self
                .random
                .pick(&[
                    "0",
                    "1",
                    "2",
                    "3",
                    "5",
                    "7",
                    "10",
                    "100",
                    "-1",
                    "-7",
                    "0.5",
                    "1.5",
                    "2.5",
                    "0.1",
                    "1",
                    "2",
                    "3",
                    "60000000000",
                    "9007199254740993",
                    "12345678901234567890123",
                    "4503599627370496",
                    "9223372036854775807",
                    "1000000000",
                    "3.75",
                ])
                .to_owned();
        }
        self.random
            .pick(&[
                "input.n",
                "input.n",
                "input.level",
                "input.nested.count",
                "input.items[0].n",
                "data.limits[input.service]",
                "data.limits.aws_s3",
                "data.nums[1]",
                "data.nums[input.n]",
                "data.users[0].level",
                "data.levels[input.role]",
                "data.levels[input.role]",
                "input.numbers[0]",
                "data.matrix[0][1]",
                "data.limits.aws_sqs",
                "data.missing.n",
                "data.levels[input.labels.aws_s3]",
                "time.now_ns()",
                "data.audit_log[0].timestamp",
            ])
            .to_owned()
    }

    fn text(&mut self, depth: usize) -> String {
        if depth == 0 || self.random.percent(60) {
            return self.plain_text();
        }
        match self.random.below(16) {
            0 => format!(
                "concat({}, {})",
                self.random.pick(&["\",\"", "\"/\"", "\"\""]),
                self.text_collection(depth)
            ),
            1 => format!("lower({})", self.term(Type::Text, depth)),
            2 => format!("upper({})", self.term(Type::Text, depth)),
            3 => format!("trim({}, \"a_\")", self.term(Type::Text, depth)),
            4 => {
                let (from, length) = (self.random.below(4), self.random.pick(&["-1", "0", "2", "100"]));
                format!("substring({}, {from}, {length})", self.term(Type::Text, depth))
            }
            5 => format!("replace({}, \"a\", \"b\")", self.term(Type::Text, depth)),
            6 => {
                let format = self.random.pick(&[
                    "\"%v\"",
                    "\"%s-%v\"",
                    "\"%d\"",
                    "\"%v/%v\"",
                    "\"%s\"",
                    "\"%q\"",
                    "\"%5s|\"",
                    "\"%03d\"",
                ]);
                let kinds = [Some(Type::Text), Some(Type::Number), Some(Type::Any), Some(Type::TextSet)];
                let count = format.matches('%').count();
                let terms: Vec<String> = (0..count)
                    .map(|_| {
                        let kind = self.random.pick(&kinds).unwrap_or(Type::Text);
                        self.term(kind, depth)
                    })
                    .collect();
                format!("sprintf({format}, [{}])", terms.join(", "))
            }
            7 => {
                let separator = self.random.pick(&["\"_\"", "\"/\"", "\"\"", "\".\""]);
                format!("split({}, {separator})[{}]", self.term(Type::Text, depth), self.random.below(2))
            }
            8 => format!("trim_prefix({}, {})", self.term(Type::Text, depth), self.fragment()),
            9 => format!("trim_suffix({}, \"s3\")", self.term(Type::Text, depth)),
            10 => format!(
                "format_int({}, {})",
                self.term(Type::Number, depth),
                self.random.pick(&["10", "16", "2"])
            ),
            11 => format!("type_name({})", self.term(Type::Any, depth)),
            12 => format!("json.marshal({})", self.term(Type::Object, depth)),
            13 => format!("trim_space({})", self.term(Type::Text, depth)),
            14 => format!("base64.encode({})", self.term(Type::Text, depth)),
            _ => "time.weekday(time.now_ns())".to_owned(),
        }
    }

    pub(super) fn plain_text(&mut self) -> String {
        if self.random.percent(40) {
            return format!("\"{}\"", self.word());
        }
        self.random
            .pick(&[
                "input.service",
                "input.service",
                "input.action",
                "input.role",
                "input.role",
                "input.tenant",
                "input.agent",
                "input.name",
                "input.tags[0]",
                "data.users[0].name",
                "data.owner[input.tenant]",
                "data.aliases[input.service]",
                "input[\"role\"]",
                "input.nested.kind",
                "input.labels.env",
                "input.spiffe_id",
                "data.services[0]",
                "data.users[input.n].name",
                "input.missing.name",
                "input.labels[input.service]",
            ])
            .to_owned()
    }

    /// A word that inputs and data have too.
    pub(super) fn word(&mut self) -> &'static str {
        match self.random.below(8) {
            0..=2 => self.random.pick(&world::SERVICES),
            3 => self.random.pick(&world::ACTIONS),
            4 => self.random.pick(&world::ROLES),
            5 => self.random.pick(&world::TENANTS),
            6 => self.random.pick(&world::AGENTS),
            _ => self.random.pick(&["a", "b", "c", "alice", "bob", "prod", "", "é", "x_y"]),
        }
    }

    fn fragment(&mut self) -> &'static str {
        self.random.pick(&["\"aws_\"", "\"gcp\"", "\"s3\"", "\"a\"", "\"\"", "\"read\"", "\"crew-\""])
    }

    fn flag(&mut self, depth: usize) -> String {
        if depth == 0 || self.random.percent(30) {
            return self
                .random
                .pick(&[
                    "true",
                    "false",
                    "input.flag",
                    "input.nested.on",
                    "data.flags[input.service]",
                    "data.flags.strict",
                    "data.users[0].active",
                    "input.flag",
                    "input.missing",
                ])
                .to_owned();
        }
        self.flag_call(depth)
    }

    /// A builtin that answers yes or no.
    pub(super) fn flag_call(&mut self, depth: usize) -> String {
        match self.random.below(12) {
            0 => format!("startswith({}, {})", self.term(Type::Text, depth), self.fragment()),
            1 => format!("endswith({}, {})", self.term(Type::Text, depth), self.fragment()),
            2 => format!("contains({}, {})", self.term(Type::Text, depth), self.fragment()),
            3 => {
                let pattern = self.random.pick(&[
                    "\"^aws_\"",
                    "\"s3$\"",
                    "\"[a-c]+\"",
                    "\"^(reader|admin)$\"",
                    "\"^.*_.*$\"",
                ]);
                format!("regex.match({pattern}, {})", self.term(Type::Text, depth))
            }
            4 => {
                let pattern =
                    self.random.pick(&["\"aws_*\"", "\"*_s3\"", "\"gcp_{bigquery,storage}\"", "\"?ead*\""]);
                format!("glob.match({pattern}, [], {})", self.term(Type::Text, depth))
            }
            5 | 6 => {
                let test = self.random.pick(&[
                    "is_string",
                    "is_number",
                    "is_array",
                    "is_object",
                    "is_set",
                    "is_null",
                    "is_boolean",
                ]);
                format!("{test}({})", self.term(Type::Any, depth))
            }
            7 if self.style == super::Style::V1 => {
                format!("object.subset({}, {})", self.term(Type::Object, depth), self.object_literal(depth))
            }
            8 if self.style.has_keywords() => {
                format!("({} in {})", self.term(Type::Text, depth), self.text_collection(depth))
            }
            9 => format!("any_prefix_match({}, {})", self.term(Type::Text, depth), "[\"aws\", \"gcp_b\"]")
                .replace("any_prefix_match", "strings.any_prefix_match"),
            _ => {
                let operator = self.random.pick(&["==", "!=", "<", ">=", ">", "<="]);
                format!("({} {operator} {})", self.term(Type::Number, depth), self.term(Type::Number, depth))
            }
        }
    }

    fn texts(&mut self, depth: usize) -> String {
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

    fn numbers(&mut self, depth: usize) -> String {
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

    fn set(&mut self, of: Type, depth: usize) -> String {
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

    fn object(&mut self, depth: usize) -> String {
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

    fn object_literal(&mut self, depth: usize) -> String {
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

    /// Something to go through that holds texts.
    pub(super) fn text_collection(&mut self, depth: usize) -> String {
        let kind = if self.random.percent(60) { Type::Texts } else { Type::TextSet };
        self.term(kind, depth)
    }

    pub(super) fn number_collection(&mut self, depth: usize) -> String {
        let kind = if self.random.percent(60) { Type::Numbers } else { Type::NumberSet };
        self.term(kind, depth)
    }

    fn countable(&mut self, depth: usize) -> String {
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
    fn comprehension(&mut self, of: Type, from: &str, to: &str, depth: usize) -> String {
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
