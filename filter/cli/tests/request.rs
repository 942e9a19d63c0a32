//! `hexr-authz request`: what is said of requests, and the exit code.

#![expect(clippy::unwrap_used, reason = "what the tests share stops at the first thing that does not work")]

use std::{
    fs,
    io::Write,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

const CONFIG: &str = r#"{"identity": {"trust_domains": [{"name": "hexr.cloud"}]},
    "services": {"bundles": {"cluster": "bundle-server"}}, "bundles": {"authz": {"service": "bundles"}},
    "catalog": {"services": [{"service": "mcp_github", "kind": "mcp", "hosts": ["mcp.example"]}]},
    "limits": {"request_body_bytes": 100}}"#;
const CALL: &str =
    r#"{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "create_issue"}}"#;

/// Runs `hexr-authz request` in a folder with `config.json`, with `body` on its standard input.
fn run(arguments: &[&str], body: &str) -> (Option<i32>, String, String) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("config.json"), CONFIG).unwrap();
    fs::write(folder.path().join("body"), body).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_hexr-authz"));
    command.arg("request").args(arguments).current_dir(folder.path());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    // Only `--body -` reads it.
    let _ = process.stdin.take().unwrap().write_all(body.as_bytes());
    let output = process.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[track_caller]
fn check(arguments: &[&str], body: &str, exit_code: i32, expect: (&str, &str, &str)) {
    let (code, stdout, stderr) = run(&[arguments, &["--format", "json"]].concat(), body);
    assert_eq!((code, stderr.as_str()), (Some(exit_code), ""), "{stdout}");
    let said: Value = serde_json::from_str(&stdout).unwrap();
    let (service, action, reason) = expect;
    let name = |name: &str| if name.is_empty() { Value::Null } else { json!(name) };
    let part = |name: &str| said.get(name).cloned().unwrap_or_default();
    assert_eq!((part("service"), part("action")), (name(service), name(action)), "{said}");
    assert!(part("reason").as_str().is_some_and(|said| said.contains(reason)), "{said}");
    assert_eq!(said.as_object().unwrap().len(), 3);
}

#[test]
fn known_requests() {
    let s3 = ["--method", "PUT", "--url", "https://s3.eu-central-1.amazonaws.com/bucket/a%2Fkey?x=1"];
    check(&s3, "", 0, ("aws_s3", "PutObject", "built-in catalog"));
    let dynamo = ["-m", "POST", "-u", "https://dynamodb.eu-central-1.amazonaws.com"];
    let target =
        ["-H", "X-Amz-Target: DynamoDB_20120810.GetItem", "-H", "content-type: application/x-amz-json-1.0"];
    check(&[&dynamo[..], &target].concat(), "", 0, ("aws_dynamodb", "GetItem", "`x-amz-target`"));
    let sts = ["-m", "POST", "-u", "https://sts.amazonaws.com/", "--body", "body"];
    let form = ["-H", "content-type: application/x-www-form-urlencoded"];
    let asked = [&sts[..], &form].concat();
    check(&asked, "Action=GetCallerIdentity&Version=2011-06-15", 0, ("aws_sts", "GetCallerIdentity", "form"));
    let mcp = ["-m", "POST", "-u", "http://mcp.example/", "--config", "config.json", "--body", "-"];
    check(&mcp, CALL, 0, ("mcp_github", "tools/call:create_issue", "tool `create_issue`"));
}

#[test]
fn unknown_and_refused_requests() {
    let at = |url| ["-m", "GET", "-u", url];
    check(&at("https://nowhere.example/"), "", 1, ("unknown", "unknown", "unknown_service: "));
    check(&at("https://bigquery.googleapis.com/x"), "", 1, ("gcp_bigquery", "unknown", "unknown_action: "));
    check(&at("https://s3.amazonaws.com/b/../c"), "", 1, ("", "", "ambiguous_request: "));
    check(&at("https://user@s3.amazonaws.com/b"), "", 1, ("", "", "ambiguous_request: "));
    check(&at("https://sts.amazonaws.com?Action=a&Action=b"), "", 1, ("", "", "ambiguous_request: "));
    let mcp = ["-m", "POST", "-u", "http://mcp.example/", "--config", "config.json", "--body", "body"];
    check(&mcp, "{}", 1, ("mcp_github", "unknown", "unreadable_body: "));
    check(&mcp, &CALL.repeat(2), 1, ("mcp_github", "unknown", "body_too_large: "));
    check(&mcp[..6], "", 1, ("mcp_github", "unknown", "unreadable_body: "));
}

#[test]
fn words_for_people() {
    let (code, stdout, _) = run(&["-m", "GET", "-u", "https://s3.amazonaws.com/"], "");
    assert_eq!(code, Some(0));
    let reason = "`s3.amazonaws.com` is a host of the built-in catalog, and `GET /` says what is asked for";
    assert_eq!(stdout, format!("service: aws_s3\naction:  ListBuckets\nreason:  {reason}\n"));
}

#[test]
fn usage_errors() {
    let url = ["--url", "https://s3.amazonaws.com/"];
    let get = [&["--method", "GET"], &url[..]].concat();
    for (arguments, problem) in [
        (&url[..], "--method"),
        (&["--method", "GET"], "--url"),
        (&["--method", "G T", "--url", url[1]], "is not a method"),
        (&["--method", "GET", "--url", "s3.amazonaws.com"], "is not a URL"),
        (&["--method", "GET", "--url", "https://s3.amazonaws.com/#x"], "behind `#`"),
        (&[&get[..], &["-H", "x"]].concat(), "NAME: VALUE"),
        (&[&get[..], &["-H", "a b: c"]].concat(), "name of a header"),
        (&[&get[..], &["-H", "Host: c"]].concat(), "the host stands in the URL"),
        (&[&get[..], &["--format", "xml"]].concat(), "xml"),
        (&[&get[..], &["--body", "missing"]].concat(), "missing: "),
        (&[&get[..], &["--config", "missing"]].concat(), "missing: "),
        (&[&get[..], &["--config", "body"]].concat(), "body: "),
    ] {
        let (code, stdout, stderr) = run(arguments, "");
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(stderr.contains(problem), "{stderr}\nlacks\n{problem}");
    }
}
