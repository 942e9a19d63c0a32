//! Numbers, texts and flags: literals, references and calls.

use super::{Style, Type, Writer, world};

impl Writer<'_> {
    pub(super) fn number(&mut self, depth: usize) -> String {
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

    pub(super) fn text(&mut self, depth: usize) -> String {
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
        if !self.input_aliases.is_empty() && self.random.percent(40) {
            return self.random.pick(&self.input_aliases).to_owned();
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

    pub(super) fn flag(&mut self, depth: usize) -> String {
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
            7 if self.style == Style::V1 => {
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
}
