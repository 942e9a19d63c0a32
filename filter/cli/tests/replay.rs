//! `hexr-authz replay`: what it says of logs, and the exit code.

#![expect(clippy::unwrap_used, reason = "what the tests share stops at the first thing that does not work")]

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use tempfile::TempDir;

const POLICY: &str = "package hexr.authz\n\ndefault allow := false\n\nallow if input.role == \"editor\"\n\n\
                      allow if {\n\tinput.role == \"viewer\"\n\tinput.action == \"get\"\n}\n";

/// One decision: its number, which is also its second, and what differs from an editor who was allowed to `get`.
fn event(number: u32, changes: &[(&str, Value)]) -> Value {
    let mut event = json!({
        "labels": {"id": "envoy-1", "version": "0.1.0"},
        "decision_id": format!("decision-{number}"),
        "bundles": {"authz": {"revision": "r1"}},
        "path": "hexr/authz/allow",
        "input": {
            "spiffe_id": "spiffe://hexr.cloud/agent/acme-corp/content-crew/editor",
            "tenant": "acme-corp", "agent": "content-crew", "role": "editor",
            "service": "gcp_bigquery", "action": "get", "timestamp": format!("2026-01-15T10:30:{number:02}Z"),
        },
        "result": true,
        "timestamp": format!("2026-01-15T10:30:{number:02}.25Z"),
    });
    for (place, value) in changes {
        let (parent, name) = place.rsplit_once('/').unwrap();
        event.pointer_mut(parent).unwrap().as_object_mut().unwrap().insert(name.to_owned(), value.clone());
    }
    event
}

/// Two decisions that stay, three that change, one that was refused before, one with an erased role.
fn log() -> Vec<Value> {
    let denied = || [("/result", json!(false)), ("/reason", json!("policy_denied"))];
    let role = |name: &str| ("/input/role", json!(name));
    let [no, why] = denied();
    vec![
        event(1, &[]),
        event(2, &[role("viewer"), ("/input/action", json!("query")), no.clone(), why.clone()]),
        event(3, &[role("viewer"), no.clone(), why.clone()]),
        event(4, &[role("viewer"), no.clone(), why]),
        event(5, &[role("guest"), ("/input/tenant", json!("other\u{1b}[2J"))]),
        event(6, &[("/input", json!({})), no, ("/reason", json!("no_client_certificate"))]),
        event(7, &[("/erased", json!(["/input/role"]))]),
    ]
}

fn lines(events: &[Value]) -> String {
    events.iter().map(|event| format!("{event}\n")).collect()
}

fn packed(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in [("p/authz.rego", POLICY.as_bytes())].iter().chain(files) {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    folder
}

fn run(folder: &Path, arguments: &[&str], input: &[u8]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hexr-authz"));
    command.arg("replay").args(arguments).current_dir(folder);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    // Only `-` reads it.
    let _ = process.stdin.take().unwrap().write_all(input);
    let output = process.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

const SAID: &str = "\
3 of 5 decisions would change

policy_denied before, now allowed by authz.rego:7: 2
  acme-corp  gcp_bigquery get  2  2026-01-15T10:30:03Z to 2026-01-15T10:30:04Z  as decision-3

allowed before, now policy_denied, no rule allows it: 1
  other\\u{1b}[2J  gcp_bigquery get  1  at 2026-01-15T10:30:05Z  as decision-5

uncertain, because the candidate reads what was erased: 1
  input.role  1
not decided by a policy, or not by this one: 1
  no_client_certificate  1
";

#[test]
fn changes_are_grouped() {
    let log = log();
    let (text, array) = (lines(&log), Value::from(log.clone()).to_string());
    let (first, second) = log.split_at(3);
    let halves = [packed(&lines(second)), packed(&lines(first))];
    let mixed = format!("{{\"level\":\"info\",\"msg\":\"Server started.\"}}\n{text}");
    let files: [(&str, &[u8]); 6] = [
        ("lines", text.as_bytes()),
        ("array", array.as_bytes()),
        ("packed.gz", &packed(&array)),
        ("late.gz", &halves[0]),
        ("early.gz", &halves[1]),
        ("both.gz", &halves.concat()),
    ];
    let folder = folder(&files);
    let data = ["--data", "p"];
    for logs in [&["lines"][..], &["array"], &["packed.gz"], &["late.gz", "early.gz"], &["both.gz"], &["-"]] {
        let found = run(folder.path(), &[logs, &data].concat(), text.as_bytes());
        assert_eq!(found, (Some(2), SAID.to_owned(), String::new()), "{logs:?}");
    }
    // What was sent again counts once, and another line of a log is none.
    let found = run(folder.path(), &["-", "array", "--data", "p"], mixed.as_bytes());
    let more = "sent more than once, and counted once: 7\nno decisions: 1\n";
    assert_eq!(found, (Some(2), format!("{SAID}{more}"), String::new()));
}

#[test]
fn a_bundle_and_a_configuration_say_the_same() {
    let config = r#"{"identity": {"trust_domains": [{"name": "hexr.cloud"}]}, "decision": {"path": "hexr/authz/allow"},
        "services": {"bundles": {"cluster": "c", "headers": {"authorization": "${TOKEN}"}}}, "bundles": {"authz": {"service": "bundles"}}}"#;
    let folder = folder(&[("log", lines(&log()).as_bytes()), ("config.json", config.as_bytes())]);
    let build = Command::new(env!("CARGO_BIN_EXE_hexr-authz"))
        .args(["build", "p"])
        .current_dir(folder.path())
        .status();
    assert!(build.unwrap().success());
    let arguments = ["log", "--bundle", "bundle.tar.gz", "--config", "config.json"];
    assert_eq!(run(folder.path(), &arguments, b""), (Some(2), SAID.to_owned(), String::new()));
}

#[test]
fn results_for_programs() {
    let folder = folder(&[("log", lines(&log()).as_bytes())]);
    let (code, stdout, stderr) = run(folder.path(), &["log", "-d", "p", "--format", "json"], b"");
    let said: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, stderr.as_str()), (Some(2), ""));
    assert_eq!(
        said,
        json!({
            "decisions": 5,
            "changed": 3,
            "changes": [
                {
                    "change": "allow", "reason": null, "reason_before": "policy_denied", "message": null,
                    "rule": "authz.rego:7", "tenant": "acme-corp", "service": "gcp_bigquery", "action": "get",
                    "decisions": 2, "first": "2026-01-15T10:30:03Z", "last": "2026-01-15T10:30:04Z",
                    "decision_id": "decision-3",
                },
                {
                    "change": "deny", "reason": "policy_denied", "reason_before": null, "message": null, "rule": null,
                    "tenant": "other\u{1b}[2J", "service": "gcp_bigquery", "action": "get", "decisions": 1,
                    "first": "2026-01-15T10:30:05Z", "last": "2026-01-15T10:30:05Z", "decision_id": "decision-5",
                },
            ],
            "changes_not_told_apart": 0,
            "uncertain": {"decisions": 1, "erased": {"input.role": 1}},
            "not_replayed": {"no_client_certificate": 1},
            "repeated": 0,
            "no_decisions": 0,
        })
    );
}

#[test]
fn nothing_changes() {
    let folder = folder(&[("log", lines(&log()[..2]).as_bytes())]);
    let found = run(folder.path(), &["log", "-d", "p"], b"");
    assert_eq!(found, (Some(0), "0 of 2 decisions would change\n".to_owned(), String::new()));
}

/// Each decision is made at its own instant, after the calls that were allowed before it.
#[test]
fn calls_and_instants_are_those_of_the_log() {
    let limit = "package hexr.authz\nallow if count(recent) < 2\nrecent contains call if {\n\tsome call in data.audit_log\n\
                 \tcall.agent == input.agent\n\tcall.timestamp > time.now_ns() - 10000000000\n}\n";
    let log: Vec<Value> = [22, 1, 2, 3, 11, 13].map(|second| event(second, &[])).to_vec();
    let folder = folder(&[("log", lines(&log).as_bytes()), ("limit/a.rego", limit.as_bytes())]);
    let said = "2 of 6 decisions would change\n\nallowed before, now policy_denied, no rule allows it: 2\n  \
                acme-corp  gcp_bigquery get  2  2026-01-15T10:30:03Z to 2026-01-15T10:30:11Z  as decision-3\n";
    let found = run(folder.path(), &["log", "-d", "limit"], b"");
    assert_eq!(found, (Some(2), said.to_owned(), String::new()));
}

#[test]
fn tenants_have_policies_of_their_own() {
    let own = "package hexr.tenants[\"acme-corp\"]\nallow if input.action == \"query\"\n";
    let log = lines(&log()[..1]);
    let folder = folder(&[("log", log.as_bytes()), ("own/a.rego", own.as_bytes())]);
    let arguments = ["log", "-d", "p", "--tenant", "acme-corp=own"];
    let said = "1 of 1 decisions would change\n\nallowed before, now tenant_policy_denied, no rule allows it: 1\n  \
                acme-corp  gcp_bigquery get  1  at 2026-01-15T10:30:01Z  as decision-1\n";
    assert_eq!(run(folder.path(), &arguments, b""), (Some(2), said.to_owned(), String::new()));
}

#[test]
fn what_cannot_be_replayed_is_an_error() {
    let one = lines(&log()[5..6]);
    let gone = packed(&lines(&log()));
    let cut = lines(&log());
    let cut = cut.as_bytes().get(..100).unwrap();
    let files: [(&str, &[u8]); 9] = [
        ("empty", b""),
        ("refused", one.as_bytes()),
        ("cut", cut),
        ("open", b"[{}"),
        ("text", b"hello"),
        ("gone.gz", gone.get(..40).unwrap()),
        ("noon", b"{\"decision_id\": \"x\", \"timestamp\": \"noon\"}"),
        ("bad/a.rego", b"package a\nx :="),
        ("own/a.rego", b"package hexr.tenants.a\nallow if true"),
    ];
    let folder = folder(&files);
    for (arguments, problem) in [
        (&["empty", "-d", "p"][..], "no decision could be made again\n"),
        (
            &["refused", "-d", "p"],
            "no decision could be made again\nnot decided by a policy, or not by this one: 1\n  no_client_certificate  1\n",
        ),
        (&["cut", "-d", "p"], "cut: behind 0 objects: the object does not end\n"),
        (&["open", "-d", "p"], "open: behind 1 objects: the array does not end\n"),
        (&["text", "-d", "p"], "text: behind 0 objects: this is no JSON object\n"),
        (&["gone.gz", "-d", "p"], "gone.gz: behind "),
        (&["noon", "-d", "p"], "noon: a decision has no `timestamp` in RFC 3339\n"),
        (&["missing", "-d", "p"], "missing: No such file or directory (os error 2)\n"),
        (&["empty", "-d", "nowhere"], "IO error for operation on nowhere: "),
        (&["empty", "-d", "bad"], "a.rego:2:5: "),
        (&["empty", "-d", "p", "--decision", "other/allow"], "no rule `data.other.allow`"),
        (&["empty", "-d", "p", "--tenant", "a=p"], "no rule `data.hexr.tenants[\"a\"].allow`"),
        (
            &["empty", "-d", "p", "--tenant", "a=own", "--tenant", "a=own"],
            "there are two policies of tenant `a`\n",
        ),
        (&["empty", "-d", "p", "--config", "text"], "text: "),
    ] {
        let (code, stdout, stderr) = run(folder.path(), arguments, b"");
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{arguments:?}: {stderr}");
        let is_whole = problem.ends_with('\n');
        assert!(
            if is_whole { stderr == problem } else { stderr.contains(problem) },
            "{stderr}\nis not\n{problem}"
        );
    }
    for arguments in
        [&["-d", "p"][..], &["log"], &["log", "-d", "p", "-b", "p"], &["log", "-d", "p", "--tenant", "a"]]
    {
        let (code, stdout, _) = run(folder.path(), arguments, b"");
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{arguments:?}");
    }
}
