//! The documents that generated policies are about: base data as operators keep it, inputs as the filter and others
//! send them, and inputs that nobody would send.

use serde_json::{Map, Value, json};

use super::super::random::Random;

/// 2026-01-15T10:30:00Z.
pub(super) const NOON_ISH: i64 = 1_768_473_000_000_000_000;

pub(super) const SERVICES: [&str; 6] =
    ["aws_s3", "gcp_bigquery", "aws_sqs", "openai", "mcp_github", "gcp_storage"];
pub(super) const ACTIONS: [&str; 6] =
    ["GetObject", "PutObject", "query", "tables.delete", "list", "tools/call:x"];
pub(super) const ROLES: [&str; 5] = ["reader", "writer", "admin", "researcher", "auditor"];
pub(super) const TENANTS: [&str; 3] = ["acme", "globex", "initech"];
pub(super) const AGENTS: [&str; 4] = ["crew-1", "crew-2", "crawler", "bot"];

/// An instant of the same day, sometimes of the night.
pub(super) fn instant(random: &mut Random) -> i64 {
    let minutes = i64::try_from(random.below(24 * 60)).unwrap_or_default() - 10 * 60;
    NOON_ISH + minutes * 60_000_000_000 + i64::try_from(random.below(1_000_000)).unwrap_or_default()
}

/// Base data, the same for all policies but for the recent calls and a few values.
pub(super) fn data(random: &mut Random, now_ns: i64) -> Value {
    let calls = random.between(0, 6);
    let calls: Vec<Value> = (0..calls).map(|at| call(random, at, now_ns)).collect();
    json!({
        "roles": {
            "reader": ["aws_s3", "gcp_storage"],
            "writer": ["aws_s3", "aws_sqs", "openai"],
            "admin": SERVICES,
            "auditor": [],
        },
        "grants": {
            "acme": { "crew-1": ["aws_s3", "openai"], "crew-2": [], "bot": ["gcp_bigquery"] },
            "globex": { "crawler": ["mcp_github", "aws_sqs"] },
        },
        "limits": { "aws_s3": 10, "openai": 3, "gcp_bigquery": 0, "aws_sqs": 2.5 },
        "levels": { "reader": 1, "writer": 2, "admin": 3 },
        "owner": { "acme": "alice", "globex": "bob" },
        "aliases": { "aws_s3": "s3", "gcp_storage": "gcs", "openai": "openai" },
        "flags": { "strict": random.percent(50), "aws_s3": true, "openai": false },
        "services": ["aws_s3", "openai", "gcp_bigquery"],
        "nums": [3, 1, 2, 2, 10],
        "matrix": [[1, 2, 3], [4, 5], []],
        "users": [
            { "name": "alice", "role": "admin", "level": 3, "active": true, "tags": ["a", "b"] },
            { "name": "bob", "role": "writer", "level": 2, "active": false, "tags": [] },
            { "name": "carol", "role": "reader", "active": true },
            { "name": "dave", "role": "reader", "level": 1, "tags": ["b", "c", "a"] },
        ],
        "mixed": [null, false, 0, 1.5, "a", ["a", 1], { "a": 1 }, 12_345_678_901_234_567_890_u64, ""],
        "audit_log": calls,
    })
}

fn call(random: &mut Random, id: usize, now_ns: i64) -> Value {
    let age = i64::try_from(random.below(120)).unwrap_or_default() * 1_000_000_000;
    json!({
        "id": format!("c{id}"),
        "timestamp": now_ns - age,
        "tenant": random.pick(&TENANTS),
        "agent": random.pick(&AGENTS),
        "role": random.pick(&ROLES),
        "service": random.pick(&SERVICES),
        "action": random.pick(&ACTIONS),
        "decision": random.pick(&["allow", "allow", "deny"]),
    })
}

/// An input as JSON; absent now and then.
pub(super) fn input(random: &mut Random) -> Option<String> {
    match random.below(40) {
        0 => None,
        1 => Some(
            random
                .pick(&["null", "\"aws_s3\"", "[1, \"a\"]", "5", "{}", "true", "[]", "{\"service\":{}}"])
                .to_owned(),
        ),
        _ => Some(Value::Object(fields(random)).to_string()),
    }
}

fn fields(random: &mut Random) -> Map<String, Value> {
    let tenant = random.pick(&TENANTS);
    let agent = random.pick(&AGENTS);
    let role = random.pick(&ROLES);
    let usual = [
        ("spiffe_id", json!(format!("spiffe://hexr.cloud/agent/{tenant}/{agent}/{role}"))),
        ("tenant", json!(tenant)),
        ("agent", json!(agent)),
        ("role", json!(role)),
        ("service", json!(random.pick(&SERVICES))),
        ("action", json!(random.pick(&ACTIONS))),
        ("timestamp", json!("2026-01-15T10:30:00Z")),
        ("name", json!(random.pick(&["alice", "bob", "eve"]))),
        ("n", json!(random.below(12))),
        ("level", json!(random.pick(&[0.5, 1.5, 2.25, 1e21]))),
        ("flag", json!(random.percent(60))),
        ("tags", some_of(random, &["a", "b", "c", "aws_s3", "reader"])),
        ("numbers", some_of(random, &[1, 2, 3, 10, -4])),
        ("labels", labels(random)),
        ("items", items(random)),
        (
            "nested",
            json!({ "kind": random.pick(&ROLES), "on": random.percent(50), "count": random.below(4),
                           "list": some_of(random, &["a", "b"]) }),
        ),
        ("odd", odd(random)),
    ];
    let mut fields = Map::new();
    for (name, value) in usual {
        match random.below(25) {
            0 | 1 => {}
            2 | 3 => {
                fields.insert(name.to_owned(), odd(random));
            }
            _ => {
                fields.insert(name.to_owned(), value);
            }
        }
    }
    fields
}

fn some_of<T: Copy + Into<Value>>(random: &mut Random, from: &[T]) -> Value {
    Value::Array(from.iter().filter(|_| random.percent(50)).map(|&item| item.into()).collect())
}

fn labels(random: &mut Random) -> Value {
    let mut labels = Map::new();
    for (key, values) in [("env", ["prod", "dev"]), ("team", ["a", "b"]), ("aws_s3", ["reader", "x"])] {
        if random.percent(70) {
            labels.insert(key.to_owned(), json!(random.pick(&values)));
        }
    }
    Value::Object(labels)
}

fn items(random: &mut Random) -> Value {
    let count = random.between(0, 3);
    let item = |at| json!({ "id": format!("i{at}"), "n": random.below(5), "tag": random.pick(&["a", "b"]) });
    Value::Array((0..count).map(item).collect())
}

/// A value that is not what the policy expects.
fn odd(random: &mut Random) -> Value {
    match random.below(18) {
        0 => Value::Null,
        1 => json!(true),
        2 => json!(false),
        3 => json!(0),
        4 => json!(-1),
        5 => json!(1.5),
        6 => json!(""),
        7 => json!("a"),
        8 => json!([]),
        9 => json!(["a"]),
        10 => json!({}),
        11 => json!({ "a": 1, "b": [1, 2] }),
        12 => json!(9_007_199_254_740_993_u64),
        13 => json!("é\u{1F600}b"),
        14 => json!([[1, "a"], [2, "b"]]),
        15 => json!({ "a": { "b": "aws_s3" } }),
        16 => json!([1, 2, 3]),
        _ => json!("aws_s3"),
    }
}
