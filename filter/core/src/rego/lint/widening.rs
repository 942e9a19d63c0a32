//! Bodies that allow whoever asks, whatever for, because they test nothing but the clock or the recent calls.
//!
//! Bodies of a rule are alternatives. One that was meant as a further condition, hours or a limit, allows alone.

use std::collections::{HashMap, HashSet};

use regorus::Value;

use crate::rego::{
    Program,
    builtins::Dependence,
    depend::AUDIT_LOG,
    ir::{Body, Callee, Definition, Operand, Pattern, Position, RuleId, RuleKind, StepKind},
    visit::{self, Part},
};

/// A body that allows without a look at the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Widening {
    pub(crate) at: Position,
    /// The rule that it is of: `data.hexr.authz.allow`.
    pub(crate) rule: String,
    pub(crate) tested: Tested,
}

/// What such a body looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tested {
    Clock,
    AuditLog,
    Both,
}

/// The field of the input that is the clock.
const TIMESTAMP: &str = "timestamp";

/// What conditions depend on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tests {
    request: bool,
    clock: bool,
    audit_log: bool,
}

impl Program {
    /// The bodies of the rule `entry` that widen it, and those of a rule that such a body is nothing but.
    pub(crate) fn widenings(&self, entry: RuleId) -> Vec<Widening> {
        let mut reader =
            Reader { program: self, known: HashMap::new(), seen: HashSet::new(), found: Vec::new() };
        reader.rule(entry);
        reader.found
    }
}

struct Reader<'p> {
    program: &'p Program,
    known: HashMap<RuleId, Tests>,
    seen: HashSet<RuleId>,
    found: Vec<Widening>,
}

impl<'p> Reader<'p> {
    fn rule(&mut self, id: RuleId) {
        let Some(rule) = self.program.rules.get(id).filter(|_| self.seen.insert(id)) else { return };
        for definition in &rule.definitions {
            for (body, at) in bodies(definition) {
                if !self.program.may_allow(body) {
                    continue;
                }
                if let Some(inner) = self.is_only(body) {
                    self.rule(inner);
                    continue;
                }
                let tests = self.tests(body);
                let tested = match (tests.clock, tests.audit_log) {
                    _ if tests.request => continue,
                    (true, true) => Tested::Both,
                    (true, false) => Tested::Clock,
                    (false, true) => Tested::AuditLog,
                    (false, false) => continue,
                };
                self.found.push(Widening { at, rule: rule.name.clone(), tested });
            }
        }
    }

    /// The rule that a body is nothing but: `allow if permitted`.
    fn is_only(&self, body: &Body) -> Option<RuleId> {
        let is_true = matches!(&body.value, None | Some(Operand::Constant(Value::Bool(true))));
        let [step] = body.block.steps.as_slice() else { return None };
        let StepKind::Truthy(Operand::Rule(id)) = &step.kind else { return None };
        let is_complete = self.program.rules.get(*id).is_some_and(|rule| rule.kind == RuleKind::Complete);
        (is_true && is_complete).then_some(*id)
    }

    fn tests(&mut self, body: &'p Body) -> Tests {
        let mut parts = Vec::new();
        visit::body(body, &mut |part| parts.push(part));
        let reads_log = parts.iter().any(|part| matches!(part, Part::Operand(operand) if is_log(operand)));
        let mut tests = Tests { audit_log: reads_log, ..Tests::default() };
        // That a call is one of the agent's own says nothing of what the agent asks for.
        let mut joined = HashSet::new();
        if reads_log {
            joined.extend(parts.iter().filter_map(|part| match part {
                Part::Step(step) => joined_input(&step.kind),
                Part::Operand(_) | Part::Pattern(_) | Part::Callee(_) => None,
            }));
        }
        for part in parts {
            match part {
                Part::Operand(operand) if joined.contains(&std::ptr::from_ref(operand)) => {}
                Part::Operand(Operand::Input(path)) => {
                    let is_clock = path.first().is_some_and(|field| *field == Value::from(TIMESTAMP));
                    tests.clock |= is_clock;
                    tests.request |= !is_clock;
                }
                // A package with all that is in it.
                Part::Operand(Operand::Document(..)) => tests.request = true,
                Part::Operand(Operand::Rule(id) | Operand::Keyed(id, _)) => tests.add(self.of_rule(*id)),
                Part::Callee(Callee::Function(id)) => tests.add(self.of_rule(id)),
                Part::Callee(Callee::Builtin(builtin)) => {
                    tests.clock |= builtin.depends == Dependence::Clock;
                }
                Part::Operand(_) | Part::Pattern(_) | Part::Step(_) => {}
            }
        }
        // What the clock is for there is which calls are recent.
        tests.clock &= !reads_log;
        tests
    }

    fn of_rule(&mut self, id: RuleId) -> Tests {
        if let Some(known) = self.known.get(&id) {
            return *known;
        }
        let mut tests = Tests::default();
        let rule = self.program.rules.get(id);
        for definition in rule.into_iter().flat_map(|rule| rule.definitions.iter().chain(&rule.default)) {
            for (body, _) in bodies(definition) {
                tests.add(self.tests(body));
            }
        }
        self.known.insert(id, tests);
        tests
    }
}

impl Tests {
    fn add(&mut self, other: Self) {
        self.request |= other.request;
        self.clock |= other.clock;
        self.audit_log |= other.audit_log;
    }
}

/// The bodies of a definition, and where each begins.
fn bodies(definition: &Definition) -> impl Iterator<Item = (&Body, Position)> {
    let otherwise = definition.otherwise.iter().map(|body| {
        let first = body.block.steps.iter().map(|step| step.at).min();
        (body, first.unwrap_or(definition.at))
    });
    std::iter::once((&definition.body, definition.at)).chain(otherwise)
}

fn is_log(operand: &Operand) -> bool {
    matches!(operand, Operand::Base(path) if path.first().is_none_or(|first| *first == Value::from(AUDIT_LOG)))
}

/// The field of the input that a step compares with one of a call: `call.agent == input.agent`.
fn joined_input(step: &StepKind) -> Option<*const Operand> {
    let (left, right) = match step {
        StepKind::Equal(left, right) | StepKind::Match(Pattern::Equal(left), right) => (left, right),
        _ => return None,
    };
    let is_of_local =
        |operand: &Operand| matches!(operand, Operand::Path(path) if matches!(path.0, Operand::Local(_)));
    match (left, right) {
        (Operand::Input(_), other) if is_of_local(other) => Some(std::ptr::from_ref(left)),
        (other, Operand::Input(_)) if is_of_local(other) => Some(std::ptr::from_ref(right)),
        _ => None,
    }
}
