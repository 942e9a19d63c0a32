//! What stands behind `with`.

use super::{Shape, Writer};

impl Writer<'_> {
    /// One or two `with`.
    pub(super) fn modifiers(&mut self) -> String {
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
}
