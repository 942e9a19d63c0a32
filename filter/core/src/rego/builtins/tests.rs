//! Replays what OPA 1.22.2 answered, and calls everything with odd arguments.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::*;
use crate::rego::order;

/// The clock of the recorded answers: 2026-01-01T00:00:00Z.
const NOW_NS: i64 = 1_767_225_600_000_000_000;

/// A call as recorded: arguments and answer are written as terms; no answer is undefined.
#[derive(Deserialize)]
struct Row {
    f: String,
    a: Vec<String>,
    r: Option<String>,
}

/// Reads a term of nothing but values.
struct Terms<'t> {
    rest: &'t str,
    /// Whether all strings so far were of UTF-8.
    is_text: bool,
}

impl Terms<'_> {
    /// None where a string is not of UTF-8.
    fn read(text: &str) -> Option<Value> {
        let mut terms = Terms { rest: text, is_text: true };
        let value = terms.value();
        assert!(terms.rest.trim().is_empty(), "{text}");
        terms.is_text.then_some(value)
    }

    fn take(&mut self, token: &str) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn value(&mut self) -> Value {
        if self.take("null") {
            return Value::Null;
        } else if self.take("true") {
            return Value::from(true);
        } else if self.take("false") {
            return Value::from(false);
        } else if self.take("set()") {
            return Value::new_set();
        } else if self.take("[") {
            let mut items = Vec::new();
            while !self.take("]") {
                items.push(self.value());
                self.take(",");
            }
            return Value::from(items);
        } else if self.take("{") {
            return self.braces();
        } else if self.rest.starts_with('"') {
            return self.string();
        }
        let end = self.rest.find([',', ']', '}', ':', ' ']).unwrap_or(self.rest.len());
        let (number, rest) = self.rest.split_at(end);
        self.rest = rest;
        number::from_text(number, &mut Work::new(1_000_000)).unwrap()
    }

    fn braces(&mut self) -> Value {
        if self.take("}") {
            return Value::new_object();
        }
        let first = self.value();
        if !self.take(":") {
            let mut items = BTreeSet::from([first]);
            while !self.take("}") {
                self.take(",");
                items.insert(self.value());
            }
            return Value::from(items);
        }
        let mut entries = BTreeMap::from([(first, self.value())]);
        while !self.take("}") {
            self.take(",");
            let key = self.value();
            assert!(self.take(":"));
            entries.insert(key, self.value());
        }
        Value::from(entries)
    }

    /// A string in Go's quotes.
    fn string(&mut self) -> Value {
        let mut text = String::new();
        let mut chars = self.rest.chars();
        chars.next();
        let hex = |chars: &mut std::str::Chars<'_>, count| {
            let digits: String = chars.take(count).collect();
            char::from_u32(u32::from_str_radix(&digits, 16).unwrap()).unwrap()
        };
        loop {
            match chars.next().unwrap() {
                '"' => break,
                '\\' => text.push(match chars.next().unwrap() {
                    'a' => '\u{7}',
                    'b' => '\u{8}',
                    'f' => '\u{c}',
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    'v' => '\u{b}',
                    'x' => {
                        let char = hex(&mut chars, 2);
                        self.is_text &= char.is_ascii();
                        char
                    }
                    'u' => hex(&mut chars, 4),
                    'U' => hex(&mut chars, 8),
                    char => char,
                }),
                char => text.push(char),
            }
        }
        self.rest = chars.as_str();
        Value::from(text)
    }
}

fn call(name: &str, arguments: &[Value], work: u64) -> Outcome {
    let builtin = builtin(name).unwrap_or_else(|| panic!("{name}"));
    assert_eq!(builtin.arity, arguments.len(), "{name}");
    (builtin.call)(&mut Surroundings::new(NOW_NS, 1, Work::new(work)), arguments)
}

/// Where an answer differs from OPA's. A `Fatal` differs from none: it says that the answer is not known.
fn difference(row: &Row) -> Option<String> {
    let arguments: Vec<Value> = row.a.iter().map(|text| Terms::read(text).unwrap()).collect();
    let got = call(&row.f, &arguments, 10_000_000);
    let same = match (&got, &row.r) {
        (Ok(got), Some(want)) => Terms::read(want).is_some_and(|want| order::compare(got, &want).is_eq()),
        (Err(Failure::Undefined(_)), None) | (Err(Failure::Fatal(_)), _) => true,
        (Ok(_) | Err(Failure::Undefined(_) | Failure::OutOfBudget), _) => false,
    };
    let want = row.r.as_deref().unwrap_or("undefined");
    (!same).then(|| format!("{}({}): {got:?}, but OPA has {want}", row.f, row.a.join(", ")))
}

#[test]
fn answers_of_opa() {
    let mut count = 0;
    let mut called = BTreeSet::new();
    for line in include_str!("opa-1.22.2.jsonl").lines() {
        let row: Row = serde_json::from_str(line).unwrap();
        if let Some(difference) = difference(&row) {
            panic!("{difference}");
        }
        count += 1;
        called.insert(row.f);
    }
    assert!(count > 4_000, "{count}");
    // What is random, what depends on the clock, and what is another one's twin.
    let others = ["rand.intn", "uuid.rfc4122", "time.now_ns", "eq", "internal.print", "internal.test_case"];
    for name in names() {
        assert!(called.contains(name) || others.contains(&name), "{name}");
    }
}

#[test]
fn the_documentation_lists_what_is_there() {
    let page = include_str!("../../../../../docs/builtins.md");
    let rows =
        page.lines().filter(|line| line.starts_with("| ")).flat_map(|row| row.split('`').skip(1).step_by(2));
    let listed: BTreeSet<&str> = rows.collect();
    let there: BTreeSet<&str> = names().filter(|name| !name.starts_with("internal.")).collect();
    assert_eq!(listed, there);
}

#[test]
fn names_are_unique() {
    let mut seen = BTreeSet::new();
    for name in names() {
        assert!(seen.insert(name), "{name}");
    }
}

#[test]
fn what_answers_depend_on() {
    let depends = |name| builtin(name).unwrap().depends;
    assert_eq!(depends("time.now_ns"), Dependence::Clock);
    assert_eq!(depends("io.jwt.decode_verify"), Dependence::Clock);
    assert_eq!(depends("rand.intn"), Dependence::Random);
    assert_eq!(depends("time.clock"), Dependence::None);
    assert!(names().all(|name| builtin(name).unwrap().is_relation == (name == "walk")));
}

/// Ends the evaluation: OPA has an answer, or one that depends on what is not known here.
#[test]
fn unknown_answers() {
    for (name, arguments) in [
        ("regex.match", vec![r#""\\pL""#, r#""a""#]),
        ("regex.match", vec![r#""[a&&b]""#, r#""a""#]),
        ("regex.match", vec![r#""(?x)a""#, r#""a""#]),
        ("regex.match", vec![r#""(a{100}){100}""#, r#""a""#]),
        ("regex.find_n", vec![r#""(|a)+""#, r#""a""#, "-1"]),
        ("base64.decode", vec![r#""/w==""#]),
        ("time.clock", vec![r#"[0, "Local"]"#]),
        ("time.clock", vec![r#"[9000000000000000000, "Europe/Berlin"]"#]),
        ("net.cidr_contains", vec![r#""::ffff:10.0.0.0/104""#, r#""10.0.0.1""#]),
        ("json.unmarshal", vec![r#""1e-400""#]),
        (
            "json.patch",
            vec![
                "[1, [2]]",
                r#"[{"op": "remove", "path": "/0"}, {"op": "test", "path": "/0", "value": [2]}]"#,
            ],
        ),
    ] {
        let arguments: Vec<Value> = arguments.into_iter().map(|text| Terms::read(text).unwrap()).collect();
        let outcome = call(name, &arguments, 10_000_000);
        assert!(matches!(outcome, Err(Failure::Fatal(_))), "{name}: {outcome:?}");
    }
}

#[test]
fn common_patterns() {
    for good in
        ["", "^agent-[0-9]+$", r"^[\w-.]+$", r"(?i)a|b", r"\bé\b", "(?P<n>a)", "x{2,3}?", "[[:alpha:]]"]
    {
        assert!(regex_is_common(good), "{good}");
    }
    for bad in [r"\Qa\E", "a**", "[[a]]", r"\p{Lu}", r"\<a", "(", "(?R)a", "(?i)é", "[a--b]", "x{1001}"] {
        assert!(!regex_is_common(bad), "{bad}");
    }
    assert!(glob_is_common("{a,b}*") && !glob_is_common("{a") && !glob_is_common("[]"));
}

#[test]
fn random_answers_stay() {
    let mut surroundings = Surroundings::new(NOW_NS, 7, Work::new(100_000));
    let mut ask =
        |name, arguments: &[Value]| (builtin(name).unwrap().call)(&mut surroundings, arguments).unwrap();
    let dice: Vec<Value> =
        ["a", "b", "a"].map(|name| ask("rand.intn", &[Value::from(name), Value::from(1_000_000)])).to_vec();
    assert_eq!(dice[0], dice[2]);
    assert_ne!(dice[0], dice[1]);
    let uuids: Vec<Value> = ["a", "b", "a"].map(|name| ask("uuid.rfc4122", &[Value::from(name)])).to_vec();
    assert_eq!(uuids[0], uuids[2]);
    assert_ne!(uuids[0], uuids[1]);
    let fields = ask("uuid.parse", &uuids[..1]);
    assert_eq!(fields["version"], Value::from(4));
    assert_eq!(ask("time.now_ns", &[]), Value::from(NOW_NS));
}

/// Values that take long to look at, to write down, or to compute with.
fn odd_values() -> Vec<Value> {
    let mut deep = Value::from(1);
    let mut shared = Value::from("x");
    for _ in 0..100 {
        deep = Value::from(vec![deep]);
        shared = Value::from(vec![shared.clone(), shared]);
    }
    let mut objects = Value::new_object();
    for _ in 0..100 {
        objects =
            Value::from(BTreeMap::from([(Value::from("a"), objects.clone()), (Value::from("b"), objects)]));
    }
    let graph: BTreeMap<Value, Value> = (0..30)
        .map(|node| (Value::from(node), Value::from((0..30).map(Value::from).collect::<Vec<_>>())))
        .collect();
    let copies = r#"[{"op": "copy", "from": "", "path": "/0"}, {"op": "copy", "from": "", "path": "/0"}]"#;
    let mut values: Vec<Value> = [
        "null",
        "true",
        "0",
        "-1",
        "1.5",
        "1e300",
        "9223372036854775807",
        "-9223372036854775808",
        "1e3000",
        "[]",
        "{}",
        "set()",
        "[0]",
        "[\"a\"]",
        "{\"a\"}",
        "{\"a\": \"b\"}",
        "[1, \"Europe/Berlin\", \"2006\"]",
        copies,
        "{\"secret\": \"x\"}",
        "[\"/\"]",
        "[9223372036854775807]",
    ]
    .into_iter()
    .map(|text| Terms::read(text).unwrap())
    .collect();
    values.extend(
        [
            "",
            "a",
            "é",
            "%1000000d",
            "%.1000000f",
            "%[9]*.[1]*v",
            "1e999999",
            "1e-999999Gi",
            "0.0.0.0/0",
            "::/1",
            "(a{1000}){1000}",
            "((a*)*)*b",
            "a{1000}",
            "*a*a*a*a*a*b",
            "9999999y",
            "2006-01-02T15:04:05Z07:00",
            "a.b.c",
            "e30.e30.e30",
            "\u{0}",
            "1.2.3",
            "$1$2${3}",
            "/a/b",
        ]
        .map(Value::from),
    );
    values.extend(
        [
            ("a", 100_000),
            ("[", 100_000),
            ("{", 10_000),
            ("(", 10_000),
            ("{a,", 2_000),
            ("%d", 10_000),
            ("9", 50_000),
        ]
        .map(|(text, times)| Value::from(text.repeat(times))),
    );
    values.extend([deep, shared, objects, Value::from(graph)]);
    values
}

/// None of them panics, and none goes on for long without paying.
#[test]
fn odd_arguments() {
    let values = odd_values();
    let mut random = Random { state: 1 };
    for name in names() {
        let arity = builtin(name).unwrap().arity;
        for _ in 0..values.len() * 4 {
            let picks = (0..arity).map(|_| usize::try_from(random.next()).unwrap() % values.len());
            let picks: Vec<usize> = picks.collect();
            let arguments: Vec<Value> = picks.iter().map(|pick| values[*pick].clone()).collect();
            let outcome = call(name, &arguments, 100_000);
            if let Ok(value) = outcome {
                assert_ne!(value, Value::Undefined, "{name} of {picks:?}");
            }
        }
    }
}
