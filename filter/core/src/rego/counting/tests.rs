use std::ops::RangeInclusive;

use super::*;
use crate::{
    pace::{Pace, finish},
    policy::{Module, Portable},
    rego::{Asked, Halt, Program, RecentCalls},
};

/// Calls as instants and kinds.
struct Log {
    kinds: Vec<[&'static str; 3]>,
    calls: Vec<(i64, usize)>,
}

impl RecentCalls for Log {
    fn len(&self) -> usize {
        self.calls.len()
    }

    fn document(&self) -> Value {
        let call = |(at, (timestamp, kind)): (usize, &(i64, usize))| {
            let mut call = self.of_kind(*kind);
            let fields = call.as_object_mut().unwrap();
            fields.insert(Value::from("id"), Value::from(format!("c-{at}")));
            fields.insert(Value::from("timestamp"), Value::from(*timestamp));
            call
        };
        Value::from(self.calls.iter().enumerate().map(call).collect::<Vec<_>>())
    }

    fn kinds(&self) -> usize {
        self.kinds.len()
    }

    fn of_kind(&self, kind: usize) -> Value {
        let mut call = Value::new_object();
        let fields = call.as_object_mut().unwrap();
        for (name, text) in ["agent", "action", "decision"].iter().zip(self.kinds[kind]) {
            fields.insert(Value::from(*name), Value::from(text));
        }
        call
    }

    fn count(&self, instants: RangeInclusive<i64>, kinds: &[bool]) -> usize {
        self.calls.iter().filter(|(timestamp, kind)| instants.contains(timestamp) && kinds[*kind]).count()
    }

    fn oldest(&self, instants: RangeInclusive<i64>, kinds: &[bool]) -> Option<i64> {
        let mut chosen =
            self.calls.iter().filter(|(timestamp, kind)| instants.contains(timestamp) && kinds[*kind]);
        chosen.next().map(|(timestamp, _)| *timestamp)
    }
}

fn compile(rules: &str) -> Program {
    let text = format!("package p\n{rules}");
    let module = Module { path: "p.rego".to_owned(), text, dialect: None };
    let (_, parsed) = finish(Portable::parse(&module, &Pace::unhurried())).unwrap();
    let data = Value::from_json_str(r#"{"limits": {"window": 40}}"#).unwrap();
    finish(Program::compile(vec![parsed], data, &Pace::unhurried())).unwrap()
}

/// What is asked, by which rules, and whether it is answered without documents.
const QUESTIONS: &[(&str, bool)] = &[
    (
        "n := count(r)\nr contains c if { some c in data.audit_log; c.agent == input.agent; c.timestamp > time.now_ns() - 40 }",
        true,
    ),
    (
        "n := count(r)\nr[c] { c := data.audit_log[_]; c.agent == input.agent; c.timestamp > time.now_ns() - 40 }",
        true,
    ),
    (
        "n := count(r)\nr[c] { c := data.audit_log[i]; time.now_ns() - 40 < c.timestamp; input.agent == c.agent }",
        true,
    ),
    (
        "n := count(r)\nr contains c if { some c in data.audit_log; c.timestamp >= time.now_ns() - 40; c.timestamp < time.now_ns() - 10 }",
        true,
    ),
    (
        "n := count(r)\nr contains c.id if { some c in data.audit_log; c.timestamp <= time.now_ns() - 10 }",
        true,
    ),
    ("n := count([c | some c in data.audit_log; c.timestamp > time.now_ns() - 40])", true),
    ("n := count([1 | some c in data.audit_log; c.action == \"a\"; c.decision != \"deny\"])", true),
    ("n := count([c.action | some c in data.audit_log; not c.action == \"a\"])", true),
    ("n := count({c | some c in data.audit_log; c.action in {\"a\", \"b\"}})", true),
    ("n := count({c.id | some c in data.audit_log; startswith(c.action, \"a\")})", true),
    (
        "n := f(40)\nf(ns) := count([1 | some c in data.audit_log; c.agent == input.agent; c.timestamp > time.now_ns() - ns])",
        true,
    ),
    (
        "n := f(\"40ns\")\nf(d) := count([1 | since := time.now_ns() - time.parse_duration_ns(d); some c in data.audit_log; c.timestamp > since])",
        true,
    ),
    (
        "n := f(\"40ns\")\nf(d) := count([1 | some c in data.audit_log; c.timestamp > time.now_ns() - time.parse_duration_ns(d)])",
        true,
    ),
    (
        "n := f(\"soon\")\nf(d) := count([1 | some c in data.audit_log; c.timestamp > time.now_ns() - time.parse_duration_ns(d)])",
        true,
    ),
    ("n := count([1 | some c in data.audit_log; c.timestamp > time.now_ns() - data.limits.window])", true),
    ("n := count([1 | input.agent == \"x\"; some c in data.audit_log; c.agent == \"x\"])", true),
    (
        "n := count([1 | some c in data.audit_log; c.timestamp > time.now_ns() - 40; input.agent == \"x\"])",
        true,
    ),
    (
        "n := count([1 | some c in data.audit_log; c.action == \"b\"; bad])\nbad := 1 if input.agent == \"x\"\nbad := 2 if input.agent",
        true,
    ),
    ("n := count([1 | some c in data.audit_log; c.timestamp > 1.5])", true),
    ("n := count([1 | some c in data.audit_log; c.timestamp > \"x\"])", true),
    ("n := count([1 | some c in data.audit_log; c.timestamp < \"x\"])", true),
    ("n := count([1 | some c in data.audit_log; c.missing == 1])", false),
    ("n := count({c.action | some c in data.audit_log})", false),
    ("n := count({1 | some c in data.audit_log})", false),
    ("n := count([1 | some c in data.audit_log; some d in data.audit_log; c.action == d.action])", false),
    ("n := count([1 | some x in [1, 2]; some c in data.audit_log; c.action == \"a\"; x > 1])", false),
    ("n := count([1 | some i; c := data.audit_log[i]; i > 1])", false),
    (
        "n := count(r)\nr contains c if { some c in data.audit_log; c.action == \"a\" }\nr contains c if { some c in data.audit_log; c.action == \"b\" }",
        false,
    ),
    ("n := count([1 | some c in data.audit_log; c.timestamp % 2 == 0])", false),
    ("n := count([1 | some c in data.audit_log; x := c.action; x == \"a\"])", false),
    ("n := m if m := count(r) with data.audit_log as [1, 2]\nr contains c if some c in data.audit_log", true),
    (
        "n := m if m := count(r) with input.agent as \"y\"\nr contains c if { some c in data.audit_log; c.agent == input.agent }",
        true,
    ),
    (
        "n := m if m := count([1 | some c in data.audit_log; c.timestamp > time.now_ns() - 40]) with time.now_ns as 50",
        true,
    ),
];

fn below(state: &mut u64, most: usize) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) as usize % most
}

fn ask(program: &Program, log: &Log, agent: &str, is_indexed: bool, work: u64) -> Result<Value, Halt> {
    let asked = Asked {
        input: Value::from_json_str(&format!("{{\"agent\": \"{agent}\"}}")).unwrap(),
        now_ns: 100,
        seed: 0,
        calls: Some(log),
        work,
        watch: &|| false,
        is_indexed,
    };
    program.document(&[Value::from("p"), Value::from("n")], asked)
}

#[test]
fn a_count_is_that_of_the_walk() {
    let texts = ["x", "y", "a", "b", "ab", "allow", "deny"];
    let mut random = 1;
    for (rules, _) in QUESTIONS {
        let program = compile(rules);
        let mut counts = std::collections::BTreeSet::new();
        for round in 0..200 {
            let kinds: Vec<[&str; 3]> = (0..1 + below(&mut random, 5))
                .map(|_| {
                    let [a, b, c] = [0, 2, 5].map(|from| texts[from + below(&mut random, 2)]);
                    [a, b, c]
                })
                .collect();
            let mut instants: Vec<i64> =
                (0..below(&mut random, 1 + round / 8)).map(|_| 30 + below(&mut random, 80) as i64).collect();
            instants.sort_unstable();
            let calls = instants.into_iter().map(|at| (at, below(&mut random, kinds.len()))).collect();
            let log = Log { kinds, calls };
            let agent = ["x", "y", "z"][below(&mut random, 3)];
            let walked = ask(&program, &log, agent, false, 1_000_000);
            let counted = ask(&program, &log, agent, true, 1_000_000);
            assert_eq!(counted, walked, "{rules}\n{:?} {:?}", log.kinds, log.calls);
            counts.insert(format!("{counted:?}"));
        }
        assert!(!counts.is_empty());
    }
}

#[test]
fn what_is_recognised_does_not_depend_on_how_many_calls_there_are() {
    let kinds = vec![["x", "a", "allow"], ["y", "b", "deny"]];
    let log = Log { calls: (0..100_000).map(|at| (at / 1000, at as usize % 2)).collect(), kinds };
    for (rules, is_recognised) in QUESTIONS.iter().filter(|(rules, _)| {
        !rules.contains(" with ") && !rules.contains("1.5") && !rules.contains("\"x\"])")
    }) {
        let answer = ask(&compile(rules), &log, "x", true, 500);
        let is_answered = !matches!(answer, Err(Halt::OutOfBudget));
        assert_eq!(is_answered, *is_recognised, "{rules}");
    }
}
