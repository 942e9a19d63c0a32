//! `hexr-authz test` says what `opa test` says.
//!
//! What OPA 1.22.2 says of the folders beside this file's record is kept in `opa_test/recorded.json`: its results sorted,
//! because it prints them in any order, and without durations. `RECORD_WITH=/path/to/opa cargo test -p hexr-authz --test
//! opa_test` records anew.

#![expect(clippy::unwrap_used, reason = "what the tests share stops at the first thing that does not work")]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

/// The command lines, and what OPA is told besides.
const RUNS: &[(&str, &str)] = &[
    ("outcomes", ""),
    ("-v outcomes", ""),
    ("-z outcomes", ""),
    ("-f json outcomes", ""),
    ("-r ^data.hexr.authz_test.test_e outcomes", ""),
    ("-r todo outcomes", ""),
    ("-z -r todo outcomes", ""),
    ("-v -r test_editor outcomes", ""),
    // The reference is `data.hexr.authz_test["test_twice#01"]`.
    ("-r test_twice#01$ outcomes", ""),
    ("-f json -r test_twice#01\"]$ outcomes", ""),
    ("-r [ outcomes", ""),
    ("-p 1 outcomes", ""),
    ("cases", ""),
    ("-v cases", ""),
    ("-f json cases", ""),
    ("packages", ""),
    ("-v packages", ""),
    ("-f json packages", ""),
    ("--ignore odd,second_test.rego -v packages", ""),
    ("--ignore second.rego packages", ""),
    ("packages/first_test.rego packages/second.rego packages/first_test.rego -v", ""),
    ("packages mocks data", ""),
    ("mocks", ""),
    ("-f json mocks", ""),
    ("-v data", ""),
    ("printing", ""),
    ("-v printing", ""),
    ("-f json printing", ""),
    ("v0", "--v0-compatible"),
    ("-f json v0", "--v0-compatible"),
    ("-b bundle", ""),
    ("-f json -b bundle", ""),
    ("-b bundle --ignore authz_test.rego", ""),
    ("-b bundle packages", ""),
    ("-b missing", ""),
    ("empty", ""),
    ("-f json empty", ""),
    ("--fail-on-empty empty", ""),
    ("--fail-on-empty -r nobody outcomes", ""),
    ("--fail-on-empty -r test_editor outcomes", ""),
    ("broken", ""),
    ("missing", ""),
];

/// Where we say something else, and why. What OPA says must occur in the record, so that no row outlives its cause.
const DIFFERENCES: &[Difference] = &[
    Difference {
        why: "an error is told in our own words, on one line",
        opa: "\n  outcomes/authz.rego:9: eval_conflict_error: rule data.hexr.authz.limit produced conflicting values:\n  \
              3 at outcomes/authz.rego:7\n  100 at outcomes/authz.rego:9\n  Traceback:\n    \
              outcomes/authz.rego:9: input.team == \"data\"\n    \
              outcomes/authz_test.rego:15: authz.limit == 3 with input as {\"tier\": \"free\", \"team\": \"data\"}\n    \
              1:1: data.hexr.authz_test.test_conflict",
        ours: "\n  the rule `data.hexr.authz.limit` has two values at once",
    },
    Difference {
        why: "likewise, and without OPA's code, place and stack",
        opa: "rule data.hexr.authz.limit produced conflicting values:\n  3 at outcomes/authz.rego:7\n  \
              100 at outcomes/authz.rego:9",
        ours: "the rule `data.hexr.authz.limit` has two values at once",
    },
];

struct Difference {
    why: &'static str,
    opa: &'static str,
    ours: &'static str,
}

/// What a run came to, in a form that does not depend on the order or the time.
#[derive(Debug, PartialEq)]
struct Said {
    exit_code: Option<i64>,
    stdout: Value,
    /// What is wrong is told in other words; that something is.
    complains: bool,
}

const RULE: &str = "--------------------------------------------------------------------------------";

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/opa_test")
}

fn run(program: &str, arguments: &str, more: &str) -> Said {
    let arguments = ["test", arguments, more].join(" ");
    let output =
        Command::new(program).args(arguments.split_whitespace()).current_dir(fixtures()).output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    Said {
        exit_code: output.status.code().map(i64::from),
        stdout: if arguments.contains("json") { results(&stdout) } else { blocks(&stdout) },
        complains: !output.stderr.is_empty(),
    }
}

/// Results for programs, sorted, without their durations.
fn results(stdout: &str) -> Value {
    let mut results: Vec<Value> = serde_json::from_str(stdout).unwrap();
    for result in &mut results {
        assert!(result.as_object_mut().unwrap().remove("duration").unwrap().is_u64());
    }
    results.sort_by_cached_key(|result| {
        let at = |place: &str| result.pointer(place).unwrap().clone();
        (at("/location/file").to_string(), at("/location/row").as_u64(), at("/name").to_string())
    });
    Value::Array(results)
}

/// Results for reading, sorted, without their durations, and the lines below them.
fn blocks(stdout: &str) -> Value {
    // With `-v`, OPA has traces of what failed between two rules. They are its own: `--var-values` is for that here.
    let (above, below) = match (stdout.split_once(RULE), stdout.rsplit_once(RULE)) {
        (Some((above, _)), Some((_, below))) => (above, below),
        _ => ("", stdout),
    };
    let mut blocks: Vec<String> = Vec::new();
    for line in above.lines() {
        let is_place = !line.starts_with(' ') && line.ends_with(':');
        match blocks.last_mut() {
            Some(block) if !is_place => *block = format!("{block}\n{}", without_duration(line)),
            _ => blocks.push(line.to_owned()),
        }
    }
    // An empty line between files belongs to the order.
    let mut blocks: Vec<String> = blocks.iter().map(|block| block.trim_end().to_owned()).collect();
    blocks.sort_by_cached_key(|block| {
        let mut place = block.lines().next().unwrap_or_default().split(':');
        (place.next().map(str::to_owned), place.next().and_then(|row| row.parse::<u64>().ok()))
    });
    json!({"results": blocks, "tally": below.trim().lines().collect::<Vec<_>>()})
}

fn without_duration(line: &str) -> &str {
    match line.rsplit_once(" (") {
        Some((line, duration)) if duration.ends_with("s)") => line,
        Some(_) | None => line,
    }
}

fn record(opa: &str) {
    let version = Command::new(opa).arg("version").output().unwrap();
    assert!(String::from_utf8(version.stdout).unwrap().starts_with("Version: 1.22.2\n"));
    let runs = RUNS.iter().map(|(arguments, more)| {
        let Said { exit_code, stdout, complains } = run(opa, arguments, more);
        json!({"arguments": arguments, "exit_code": exit_code, "stdout": stdout, "complains": complains})
    });
    let text = format!("{:#}\n", Value::Array(runs.collect()));
    fs::write(fixtures().join("recorded.json"), text).unwrap();
}

/// Puts what we say into the place of what OPA says. Notes which rows of the differences were used.
fn as_we_say_it(said: &mut Value, used: &mut [bool]) {
    match said {
        Value::String(text) => {
            for (Difference { opa, ours, .. }, used) in DIFFERENCES.iter().zip(used) {
                *used |= text.contains(opa);
                *text = text.replace(opa, ours);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| as_we_say_it(item, used)),
        Value::Object(fields) => {
            if let Some(Value::Object(error)) = fields.get_mut("error") {
                error.retain(|key, _| key == "message");
            }
            fields.values_mut().for_each(|field| as_we_say_it(field, used));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[test]
fn tests_come_to_what_opa_says() {
    if let Ok(opa) = env::var("RECORD_WITH") {
        record(&opa);
    }
    let recorded = fs::read_to_string(fixtures().join("recorded.json")).unwrap();
    let recorded: Vec<Value> = serde_json::from_str(&recorded).unwrap();
    let mut used = vec![false; DIFFERENCES.len()];
    for (arguments, _) in RUNS {
        let run_of_opa = recorded.iter().find(|run| run["arguments"] == **arguments);
        let run_of_opa = run_of_opa.unwrap_or_else(|| panic!("`{arguments}` is not recorded"));
        let mut stdout = run_of_opa["stdout"].clone();
        as_we_say_it(&mut stdout, &mut used);
        let expect = Said {
            exit_code: run_of_opa["exit_code"].as_i64(),
            stdout,
            complains: run_of_opa["complains"].as_bool().unwrap(),
        };
        let found = run(env!("CARGO_BIN_EXE_hexr-authz"), arguments, "");
        assert_eq!(found, expect, "`{arguments}`");
    }
    assert_eq!(recorded.len(), RUNS.len(), "the record has runs that are not asked for: record anew");
    for (difference, used) in DIFFERENCES.iter().zip(used) {
        assert!(used, "no difference any more: {}", difference.why);
    }
}
