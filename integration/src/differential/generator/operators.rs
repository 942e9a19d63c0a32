//! Policies as operators write them, with random parts where they differ.

use hexr_authz_core::policy::Module;

use super::{Rule, Shape, Style, Type, Writer};

impl Writer<'_> {
    /// A module of a few rules of daily use, and some random ones over them.
    pub(super) fn operator_module(&mut self) -> Module {
        let mut text = self.header("p");
        for _ in 0..self.random.between(1, 3) {
            let (rules, names) = self.idiom();
            text.push_str(&rules);
            text.push('\n');
            for (name, shape) in names {
                self.rules.push(Rule { package: "p".to_owned(), name, shape });
            }
        }
        for _ in 0..self.random.below(3) {
            text.push_str(&self.rule());
            text.push('\n');
        }
        self.finished("p.rego", text)
    }

    fn idiom(&mut self) -> (String, Vec<(String, Shape)>) {
        let name = self.name("allow");
        let helper = self.name("helper");
        let flag = vec![(name.clone(), Shape::Complete(Type::Flag))];
        let (word, other) = (self.word(), self.word());
        let v0 = self.style == Style::V0;
        let assign = if v0 { "=" } else { ":=" };
        let lines = |text: &str| text.split('\n').map(str::to_owned).collect::<Vec<_>>();
        let number = self.random.below(6);
        match self.random.below(14) {
            0 => {
                let limit = self.random.between(0, 4);
                let seconds = self.random.pick(&["30", "60", "90"]);
                let member = if v0 { format!("{helper}[call]") } else { format!("{helper} contains call") };
                let calls = self.block(&member, &lines(&format!("call := data.audit_log[_]\ncall.agent == input.agent\ncall.timestamp > time.now_ns() - {seconds}000000000")));
                let allow = self.block(&name, &lines(&format!("count({helper}) < {limit}")));
                (
                    format!("default {name} = false\n\n{allow}{calls}"),
                    vec![(helper, Shape::Set(Type::Call)), (name, Shape::Complete(Type::Flag))],
                )
            }
            1 => {
                let body = lines(&format!(
                    "[hour, minute, _] := time.clock(time.now_ns())\nhour >= {}\nhour < {}\nminute >= 0",
                    self.random.between(4, 12),
                    self.random.between(8, 20)
                ));
                let allow = self.block(&name, &body);
                (allow, flag)
            }
            2 => {
                let allow = self.block(
                    &name,
                    &lines("data.grants[input.tenant][input.agent][_] == input.service\nnot blocked_service"),
                );
                let blocked = self.block(
                    "blocked_service",
                    &lines(&format!(
                        "input.service == \"{word}\"\nnot startswith(input.role, \"{}\")",
                        other.get(..1).unwrap_or("a")
                    )),
                );
                (format!("{blocked}{allow}"), flag)
            }
            3 if !v0 => {
                let body = lines(&format!(
                    "every tag in input.tags {{ tag in {{\"a\", \"b\", \"{word}\"}} }}\nsome user in data.users\nuser.name == input.name\nuser.level >= {}",
                    self.random.below(4)
                ));
                let allow = self.block(&name, &body);
                (allow, flag)
            }
            4 => {
                let deny = if v0 { format!("{helper}[msg]") } else { format!("{helper} contains msg") };
                let first = self.block(&deny, &lines(&format!("not input.service == \"{word}\"\nmsg := sprintf(\"%s is not allowed for %v\", [input.service, input.role])")));
                let second =
                    self.block(&deny, &lines(&format!("input.n - {number} > 2\nmsg = \"too many\"")));
                let allow = self.block(&name, &lines(&format!("count({helper}) == 0")));
                (
                    format!("{first}{second}{allow}"),
                    vec![(helper, Shape::Set(Type::Text)), (name, Shape::Complete(Type::Flag))],
                )
            }
            5 => {
                let first = self.block(
                    &format!("{helper} {assign} \"high\""),
                    &lines(&format!("input.n * {number} > 20")),
                );
                let text = format!(
                    "{} else {assign} \"mid\" {}\n",
                    first.trim_end(),
                    self.block("", &lines("data.levels[input.role] >= 2")).trim()
                );
                let allow = self.block(&name, &lines(&format!("{helper} != \"high\"")));
                (
                    format!("{text}{allow}"),
                    vec![(helper, Shape::Complete(Type::Text)), (name, Shape::Complete(Type::Flag))],
                )
            }
            6 => {
                let function =
                    self.block(&format!("{helper}(role, service)"), &lines("data.roles[role][_] == service"));
                let allow = self.block(
                    &name,
                    &lines(&format!(
                        "{helper}(input.role, input.service)\nnot {helper}(\"auditor\", input.action)"
                    )),
                );
                (format!("{function}{allow}"), vec![(name, Shape::Complete(Type::Flag))])
            }
            7 => {
                let spent = format!(
                    "{helper} {assign} sum([limit | limit := data.limits[service]; data.roles[input.role][_] == service])\n"
                );
                let body =
                    lines(&format!("{helper} <= {}", self.random.pick(&["5", "12.5", "13", "15.5", "0"])));
                let allow = self.block(&name, &body);
                (
                    format!("{spent}{allow}"),
                    vec![(helper, Shape::Complete(Type::Number)), (name, Shape::Complete(Type::Flag))],
                )
            }
            8 => {
                let object = self.block(
                    &format!("{helper}[user.name] {assign} user.role"),
                    &lines("user := data.users[_]\nuser.active"),
                );
                let allow = self.block(&name, &lines(&format!("{helper}[input.name] == input.role")));
                (
                    format!("{object}{allow}"),
                    vec![
                        (helper, Shape::Object(Type::Text, Type::Text)),
                        (name, Shape::Complete(Type::Flag)),
                    ],
                )
            }
            9 => {
                let body = lines(&format!(
                    "parts := split(input.spiffe_id, \"/\")\nparts[4] == input.tenant\ncount(parts) == {}",
                    self.random.between(6, 8)
                ));
                let allow = self.block(&name, &body);
                (allow, flag)
            }
            10 if !v0 => {
                let allow = format!(
                    "{name} {assign} {{\"allowed\": ok, \"reason\": reason, \"headers\": {{\"x\": input.role}}}}"
                );
                let whole = self.block(&allow, &lines(&format!("ok := input.service in {{\"{word}\", \"{other}\", \"aws_s3\"}}\nreason := concat(\" \", [\"because\", input.role])")));
                (whole, vec![(name, Shape::Complete(Type::Object))])
            }
            11 => {
                let per_agent = if v0 {
                    format!(
                        "{helper}[agent] = n {{\n\tagent := data.audit_log[_].agent\n\tn := count([1 | data.audit_log[_].agent == agent])\n}}\n"
                    )
                } else {
                    format!(
                        "{helper} {assign} {{agent: n | some call in data.audit_log; agent := call.agent; n := count([1 | some c in data.audit_log; c.agent == agent])}}\n"
                    )
                };
                let body =
                    lines(&format!("object.get({helper}, input.agent, 0) < {}", self.random.between(0, 3)));
                let allow = self.block(&name, &body);
                (
                    format!("{per_agent}{allow}"),
                    vec![
                        (helper, Shape::Object(Type::Text, Type::Number)),
                        (name, Shape::Complete(Type::Flag)),
                    ],
                )
            }
            12 => {
                let allow = self.block(&name, &lines(&format!("not input.n - {number} > 3\nnot data.limits[input.service] < {number}\nnot input.labels.env == \"prod\"")));
                (allow, flag)
            }
            _ => {
                let first = self.block(&name, &lines("input.role == \"admin\""));
                let body = lines(&format!(
                    "input.service == \"{word}\"\ninput.action == \"{}\"",
                    self.random.pick(&super::world::ACTIONS)
                ));
                let second = self.block(&name, &body);
                let body = lines(&format!(
                    "{name} with input as {{\"role\": \"{}\"}}\nnot {name} with input as {{\"role\": \"x\"}} with data.roles as {{}}",
                    self.random.pick(&["admin", "reader"])
                ));
                let test = self.block(&format!("test_{name}"), &body);
                (
                    format!("default {name} = false\n\n{first}{second}{test}"),
                    vec![
                        (name.clone(), Shape::Complete(Type::Flag)),
                        (format!("test_{name}"), Shape::Complete(Type::Flag)),
                    ],
                )
            }
        }
    }
}
