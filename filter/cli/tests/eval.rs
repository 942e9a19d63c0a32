//! `hexr-authz eval`: decisions, explanations and queries, with their exact output and exit code.

#![expect(clippy::unwrap_used, reason = "what the tests share stops at the first thing that does not work")]

mod tool;

use serde_json::Value;

use tool::Ran;

const POLICY: &str = "\
package hexr.authz

import data.hexr.roles

default allow := false

allow if {
	roles.permit
	count(recent) < 2
}

recent contains call if {
	some call in data.audit_log
	call.timestamp > time.now_ns() - 60000000000
}
";
const ROLES: &str = "\
package hexr.roles

permit if input.action in data.roles[input.role][input.service]
";
const DATA: &str = r#"{"roles": {"editor": {"aws_s3": ["GetObject", "PutObject"]}}}"#;
const EDITOR: &str = r#"{"role": "editor", "service": "aws_s3", "action": "GetObject"}"#;
const VIEWER: &str = r#"{"role": "viewer", "service": "aws_s3", "action": "GetObject"}"#;

fn run(files: &[(&str, &str)], arguments: &[&str], stdin: &str) -> Ran {
    tool::run(tool::folder(files).path(), &[&["eval"], arguments].concat(), stdin)
}

/// Runs a command line over the policy, with `input.json`.
#[track_caller]
fn check(input: &str, arguments: &[&str], exit_code: i32, stdout: &str) {
    let files =
        [("p/authz.rego", POLICY), ("p/roles.rego", ROLES), ("p/data.json", DATA), ("input.json", input)];
    let ran = run(&files, arguments, input);
    assert_eq!(ran.stderr, "", "{arguments:?}");
    assert_eq!(ran.stdout, stdout, "{arguments:?}");
    assert_eq!(ran.exit_code, Some(exit_code), "{arguments:?}");
}

#[test]
fn decisions() {
    let denied = "{\n  \"allowed\": false,\n  \"reason\": \"policy_denied\",\n  \"http_status\": 403\n}\n";
    let by_file = ["-d", "p", "-i", "input.json"];
    check(EDITOR, &by_file, 0, "{\n  \"allowed\": true\n}\n");
    check(EDITOR, &["-d", "p", "-I"], 0, "{\n  \"allowed\": true\n}\n");
    check(EDITOR, &["-b", "p", "-i", "-", "-f", "pretty"], 0, "allowed\n");
    check(VIEWER, &by_file, 0, denied);
    check(VIEWER, &[&by_file[..], &["--fail"]].concat(), 1, denied);
    check(EDITOR, &[&by_file[..], &["--fail"]].concat(), 0, "{\n  \"allowed\": true\n}\n");
    check(EDITOR, &[&by_file[..], &["--fail-defined", "-f", "raw"]].concat(), 1, "true\n");
    check(VIEWER, &["-d", "p", "-I", "--decision", "hexr/roles/permit"], 0, denied);
}

/// Each policy answers with something of its own.
#[test]
fn what_a_policy_answers_is_told() {
    let row = |answer: &str, stdout: &str| {
        let policy = format!("package hexr.authz\n\nallow := {answer}\n");
        let ran = run(&[("authz.rego", &policy)], &["-d", "authz.rego"], "");
        assert_eq!((ran.stdout.as_str(), ran.exit_code), (stdout, Some(0)), "{answer}");
    };
    row(
        r#"{"allowed": false, "http_status": 429, "reason": "too many", "headers": {"retry-after": "3"}, "body": "no"}"#,
        "{\n  \"allowed\": false,\n  \"reason\": \"policy_denied\",\n  \"http_status\": 429,\n  \
         \"policy_reason\": \"too many\",\n  \"headers\": {\n    \"retry-after\": \"3\"\n  },\n  \"body\": \"no\"\n}\n",
    );
    row(
        r#"{"allowed": true, "headers": {"x-a": ["1", "2"]}, "dynamic_metadata": {"k": 1}}"#,
        "{\n  \"allowed\": true,\n  \"dynamic_metadata\": {\n    \"k\": 1\n  },\n  \"headers\": {\n    \"x-a\": [\n      \
         \"1\",\n      \"2\"\n    ]\n  }\n}\n",
    );
    row(
        "\"yes\"",
        "{\n  \"allowed\": false,\n  \"reason\": \"evaluation_error\",\n  \"http_status\": 500,\n  \
         \"message\": \"the policy could not be evaluated: `data.hexr.authz.allow`: must be a boolean or an object, \
         but is a string\"\n}\n",
    );
}

#[test]
fn the_instant_and_the_calls_before_it() {
    let calls = r#"{"audit_log": [{"timestamp": 1768473000000000000}, {"timestamp": 1768473010000000000}]}"#;
    let row = |arguments: &[&str], stdout: &str| {
        let files =
            [("p/authz.rego", POLICY), ("p/roles.rego", ROLES), ("p/data.json", DATA), ("calls.json", calls)];
        let all = [&["-d", "p", "-d", "calls.json", "-I", "-f", "pretty"][..], arguments].concat();
        let timed = EDITOR.replace('{', r#"{"timestamp": "2026-01-15T10:30:30Z", "#);
        let ran = run(&files, &all, &timed);
        assert_eq!((ran.stdout.as_str(), ran.exit_code), (stdout, Some(0)), "{arguments:?} {}", ran.stderr);
    };
    // The input's own instant: both calls are within the last minute.
    row(&[], "denied: policy_denied (403)\n");
    row(&["--time", "2026-01-15T10:31:05Z"], "allowed\n");
    row(
        &["--explain"],
        "\
denied: policy_denied (403)

data.hexr.authz.allow is false: its definition does not hold.

  p/authz.rego:7 fails on line 9:
    count(recent) < 2
      count(recent) is 2
      recent is {{\"timestamp\": 1768473000000000000}, {\"timestamp\": 1768473010000000000}}

  p/authz.rego:5 is the default, and applies.
",
    );
}

#[test]
fn explanations() {
    check(
        VIEWER,
        &["-d", "p", "-i", "input.json", "--explain"],
        0,
        "\
denied: policy_denied (403)

data.hexr.authz.allow is false: its definition does not hold.

  p/authz.rego:7 fails on line 8:
    roles.permit
      roles.permit is undefined

    data.hexr.roles.permit is undefined: its definition does not hold.

      p/roles.rego:3 fails on line 3:
        input.action in data.roles[input.role][input.service]
          input.action is \"GetObject\"
          data.roles[input.role] is undefined
          input.role is \"viewer\"
          input.service is \"aws_s3\"

  p/authz.rego:5 is the default, and applies.
",
    );
    check(
        EDITOR,
        &["-d", "p", "-i", "input.json", "--explain"],
        0,
        "allowed\n\ndata.hexr.authz.allow is true.\n\n  p/authz.rego:7 holds.\n",
    );
    check(
        VIEWER,
        &["-d", "p", "-i", "input.json", "--explain", "--decision", "hexr/roles/permit", "-f", "json"],
        0,
        r#"{
  "allowed": false,
  "reason": "policy_denied",
  "http_status": 403,
  "explanation": {
    "definitions": [
      {
        "conditions": [
          {
            "file": "p/roles.rego",
            "line": 3,
            "text": "input.action in data.roles[input.role][input.service]",
            "tried": 1,
            "values": [
              {
                "text": "input.action",
                "value": "\"GetObject\""
              },
              {
                "text": "data.roles[input.role]"
              },
              {
                "text": "input.role",
                "value": "\"viewer\""
              },
              {
                "text": "input.service",
                "value": "\"aws_s3\""
              }
            ]
          }
        ],
        "file": "p/roles.rego",
        "holds": false,
        "line": 3
      }
    ],
    "rule": "data.hexr.roles.permit"
  }
}
"#,
    );
    check(
        EDITOR,
        &["-d", "p", "-i", "input.json", "--explain", "data.hexr.roles.permit"],
        0,
        "true\n\ndata.hexr.roles.permit is true.\n\n  p/roles.rego:3 holds.\n",
    );
}

#[test]
fn what_cannot_be_evaluated_is_an_error() {
    let row = |files: &[(&str, &str)], arguments: &[&str], stderr: &str| {
        let ran = run(files, arguments, "{");
        assert_eq!((ran.stdout.as_str(), ran.exit_code), ("", Some(2)), "{arguments:?}");
        assert!(ran.stderr.contains(stderr), "{}\nlacks\n{stderr}", ran.stderr);
    };
    let policy = [("authz.rego", POLICY), ("roles.rego", ROLES)];
    row(&policy, &["-d", "authz.rego", "-d", "roles.rego", "-I"], "the input is not JSON");
    row(&policy, &["-d", "missing"], "missing");
    row(&policy, &["-d", "roles.rego"], "no rule `data.hexr.authz.allow`");
    row(&policy, &["-d", "roles.rego", "--time", "now"], "`now` is no instant");
    row(&policy, &["-d", "roles.rego", "-f", "pretty", "x :="], "query:");
    row(&[("a.rego", "package a\nx := y")], &["-d", "a.rego"], "a.rego:2:");
}

/// `opa-eval.json` has command lines, and what `opa eval` of OPA 1.22.2 answered to them.
#[test]
fn queries_are_answered_as_by_opa() {
    let recorded: Value = serde_json::from_str(include_str!("opa-eval.json")).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let files = recorded.get("files").unwrap().as_object().unwrap();
    let files: Vec<(&str, &str)> =
        files.iter().map(|(name, content)| (name.as_str(), content.as_str().unwrap())).collect();
    let rows = recorded.get("rows").unwrap().as_array().unwrap();
    assert!(rows.len() > 200, "{} rows", rows.len());
    let mut differences = Vec::new();
    for row in rows {
        let arguments: Vec<String> =
            row.get("arguments").unwrap().as_array().unwrap().iter().map(text).collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let stdin = row.get("stdin").map(text).unwrap_or_default();
        let ran = run(&files, &arguments, &stdin);
        let exit_code = row.get("exit_code").and_then(Value::as_i64).unwrap();
        if ran.exit_code.map(i64::from) != Some(exit_code) {
            differences.push(format!("{arguments:?}: exit code {:?}: {}", ran.exit_code, ran.stderr));
        }
        // The words of errors are each tool's own.
        if let Some(stdout) = row.get("stdout").map(text)
            && stdout != ran.stdout
        {
            differences.push(format!("{arguments:?}: OPA\n{stdout}\nhere\n{}", ran.stdout));
        }
    }
    assert!(differences.is_empty(), "{} differences\n{}", differences.len(), differences.join("\n"));
}
