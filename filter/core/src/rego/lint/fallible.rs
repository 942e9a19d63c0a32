//! Negations of rules that have no value where a builtin fails.
//!
//! A builtin that cannot read a value makes its expression undefined, the rule around it too, and a `not` before that
//! rule true: what was meant as "not expired" holds for every text that is no instant.

use std::collections::HashMap;

use crate::rego::{
    Program,
    ir::{Block, Call, Callee, Definition, Hop, Operand, Position, RuleId, StepKind},
    visit::{self, Part},
};

/// A negation that holds where a builtin fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fallible {
    pub(crate) at: Position,
    /// The rule that is negated: `data.hexr.authz.expired`.
    pub(crate) rule: String,
    /// The builtin that may fail in it, or in what it needs.
    pub(crate) builtin: &'static str,
}

/// The builtins that fail on values of the right type, by which of their arguments.
const READERS: &[(&str, &[usize])] = &[
    ("base64.decode", &[0]),
    ("base64url.decode", &[0]),
    ("div", &[1]),
    ("glob.match", &[0]),
    ("hex.decode", &[0]),
    ("io.jwt.decode", &[0]),
    ("io.jwt.decode_verify", &[0]),
    ("io.jwt.verify_eddsa", &[0]),
    ("io.jwt.verify_es256", &[0]),
    ("io.jwt.verify_es384", &[0]),
    ("io.jwt.verify_es512", &[0]),
    ("io.jwt.verify_hs256", &[0]),
    ("io.jwt.verify_hs384", &[0]),
    ("io.jwt.verify_hs512", &[0]),
    ("io.jwt.verify_ps256", &[0]),
    ("io.jwt.verify_ps384", &[0]),
    ("io.jwt.verify_ps512", &[0]),
    ("io.jwt.verify_rs256", &[0]),
    ("io.jwt.verify_rs384", &[0]),
    ("io.jwt.verify_rs512", &[0]),
    ("json.unmarshal", &[0]),
    ("net.cidr_contains", &[0, 1]),
    ("net.cidr_expand", &[0]),
    ("net.cidr_intersects", &[0, 1]),
    ("net.cidr_merge", &[0]),
    ("net.cidr_overlap", &[0, 1]),
    ("re_match", &[0]),
    ("regex.find_n", &[0]),
    ("regex.match", &[0]),
    ("regex.replace", &[1]),
    ("regex.split", &[0]),
    ("rem", &[1]),
    ("semver.compare", &[0, 1]),
    ("time.parse_duration_ns", &[0]),
    ("time.parse_ns", &[1]),
    ("time.parse_rfc3339_ns", &[0]),
    ("to_number", &[0]),
    ("units.parse", &[0]),
    ("units.parse_bytes", &[0]),
    ("urlquery.decode", &[0]),
    ("urlquery.decode_object", &[0]),
];

impl Program {
    /// The negations of rules without a default in which a builtin may fail.
    pub(crate) fn fallible_negations(&self) -> Vec<Fallible> {
        let mut reader = Reader { program: self, known: HashMap::new() };
        let mut found = Vec::new();
        for definition in self.rules.iter().flat_map(|rule| rule.definitions.iter().chain(&rule.default)) {
            let mut negations = Vec::new();
            visit::definition(definition, &mut |part| {
                if let Part::Step(step) = part
                    && let StepKind::Not(block) = &step.kind
                {
                    negations.push((step.at, block));
                }
            });
            for (at, block) in negations {
                let negated = needed(block).into_iter().find_map(|id| Some((id, reader.fails(id)?)));
                if let Some((id, builtin)) = negated {
                    let rule = self.rules.get(id).map(|rule| rule.name.clone()).unwrap_or_default();
                    found.push(Fallible { at, rule, builtin });
                }
            }
        }
        found
    }
}

struct Reader<'p> {
    program: &'p Program,
    known: HashMap<RuleId, Option<&'static str>>,
}

impl Reader<'_> {
    /// The builtin by whose failure a rule has no value. One with a default always has.
    fn fails(&mut self, id: RuleId) -> Option<&'static str> {
        if let Some(known) = self.known.get(&id) {
            return *known;
        }
        let rule = self.program.rules.get(id).filter(|rule| rule.default.is_none())?;
        let bodies = rule.definitions.iter().flat_map(bodies);
        let fails = bodies.fold(None, |fails, block| fails.or_else(|| self.fails_in(block)));
        self.known.insert(id, fails);
        fails
    }

    fn fails_in(&mut self, block: &Block) -> Option<&'static str> {
        let own = block.steps.iter().find_map(|step| match &step.kind {
            StepKind::Call(call) => reader(call),
            StepKind::With(with) => self.fails_in(&with.block),
            _ => None,
        });
        own.or_else(|| needed(block).into_iter().find_map(|id| self.fails(id)))
    }
}

fn bodies(definition: &Definition) -> impl Iterator<Item = &Block> {
    std::iter::once(&definition.body).chain(&definition.otherwise).map(|body| &body.block)
}

/// The builtin that is called on what may be anything.
fn reader(call: &Call) -> Option<&'static str> {
    let Callee::Builtin(builtin) = call.callee else { return None };
    let (name, read) = READERS.iter().find(|(name, _)| *name == builtin.name)?;
    let is_open = |at: &usize| {
        call.arguments.get(*at).is_some_and(|argument| !matches!(argument, Operand::Constant(_)))
    };
    read.iter().any(is_open).then_some(*name)
}

/// The rules without whose value a block does not hold. Those that stand in comprehensions, in negations and behind
/// `every` are left out: without a value of theirs the block may hold all the same.
fn needed(block: &Block) -> Vec<RuleId> {
    let mut rules = Vec::new();
    for step in &block.steps {
        match &step.kind {
            StepKind::Truthy(operand) | StepKind::Match(_, operand) => rules.extend(rule_of(operand)),
            StepKind::Equal(left, right) => rules.extend([left, right].into_iter().filter_map(rule_of)),
            StepKind::Call(call) => {
                rules.extend(call.arguments.iter().filter_map(rule_of));
                if let Callee::Function(id) = call.callee {
                    rules.push(id);
                }
            }
            StepKind::Scan(scan) => {
                rules.extend(rule_of(&scan.source));
                rules.extend(scan.hops.iter().filter_map(|hop| match hop {
                    Hop::Key(key) => rule_of(key),
                    Hop::Each(_) => None,
                }));
            }
            StepKind::With(with) => rules.extend(needed(&with.block)),
            StepKind::Not(_) | StepKind::Every(_) | StepKind::Fail => {}
        }
    }
    rules
}

fn rule_of(operand: &Operand) -> Option<RuleId> {
    match operand {
        Operand::Rule(id) | Operand::Keyed(id, _) => Some(*id),
        Operand::Path(path) => rule_of(&path.0),
        _ => None,
    }
}
