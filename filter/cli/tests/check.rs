//! `hexr-authz check`: what is printed, in each format, and the exit codes.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what the tests share stops at the first thing that does not work"
)]

mod tool;

use hexr_authz_core::lint::{Code, Severity};
use serde_json::Value;

const GOOD: &str = "package hexr.authz\n\ndefault allow := false\n\nallow if input.role == \"editor\"\n";
const HEAD: &str = "package hexr.authz\n\ndefault allow := false\n\n";

/// Exit code and stdout of `check` in a folder with `files`; stderr is silent.
#[track_caller]
fn run(files: &[(&str, &str)], arguments: &[&str], stdin: &str) -> (i32, String) {
    let ran = tool::run(tool::folder(files).path(), &[&["check"], arguments].concat(), stdin);
    assert_eq!(ran.stderr, "", "{arguments:?}");
    (ran.exit_code.unwrap(), ran.stdout)
}

#[track_caller]
fn check(files: &[(&str, &str)], arguments: &[&str], exit_code: i32, stdout: &str) {
    let (code, found) = run(files, arguments, "");
    assert_eq!(found, stdout, "{arguments:?}");
    assert_eq!(code, exit_code, "{arguments:?}");
}

/// The codes that are found, in their order.
#[track_caller]
fn codes(files: &[(&str, &str)], arguments: &[&str]) -> Vec<String> {
    let arguments = [arguments, &["--format", "json"]].concat();
    let (_, found) = run(files, &arguments, "");
    let document: Value = serde_json::from_str(&found).unwrap();
    let findings = document.get("findings").and_then(Value::as_array).unwrap();
    findings.iter().map(|finding| finding.get("code").and_then(Value::as_str).unwrap().to_owned()).collect()
}

/// A configuration, with other values for some of its keys.
fn config(other: &str) -> String {
    let mut config: Value = serde_json::from_str(
        r#"{"identity": {"trust_domains": [{"name": "hexr.cloud"}]},
            "services": {"bundles": {"cluster": "bundle-server"}},
            "bundles": {"authz": {"service": "bundles"}}}"#,
    )
    .unwrap();
    let other: Value = serde_json::from_str(other).unwrap();
    for (key, value) in other.as_object().unwrap() {
        config.as_object_mut().unwrap().insert(key.clone(), value.clone());
    }
    config.to_string()
}

/// The examples of a code in the documentation, first the mistake and then the mended form.
fn examples(page: &str, code: Code) -> [String; 2] {
    let heading = format!("### `{code}`\n");
    let (_, section) = page.split_once(&heading).unwrap_or_else(|| panic!("{code} is not documented"));
    let section = section.split("\n#").next().unwrap();
    let mut blocks = vec![String::new()];
    for line in section.lines() {
        let last = blocks.last_mut().unwrap();
        match line.strip_prefix("    ") {
            Some(text) => last.push_str(&format!("{text}\n")),
            None if line.is_empty() => last.push('\n'),
            None => blocks.push(String::new()),
        }
    }
    let blocks: Vec<String> =
        blocks.iter().map(|block| block.trim().to_owned()).filter(|block| !block.is_empty()).collect();
    blocks.try_into().unwrap_or_else(|blocks| panic!("{code} has {blocks:#?}"))
}

/// What is found in an example of a code.
#[track_caller]
fn found_in(code: Code, example: &str) -> Vec<String> {
    let complete = if code == Code::SlowRule && example.contains("-N/") {
        let bodies = (0..64).map(|number| example.replace("-N/", &format!("-{number}/")));
        format!("{HEAD}{}", bodies.collect::<Vec<_>>().join("\n"))
    } else if code == Code::MissingPackage || example.starts_with("package ") {
        example.to_owned()
    } else {
        format!("{HEAD}{example}")
    };
    match code {
        Code::ConfigError | Code::SlowUpdate | Code::ShortSecret => {
            codes(&[("config.json", &config(example))], &["--config", "config.json"])
        }
        Code::BundleError => codes(&[("authz.rego", GOOD), ("data.json", example)], &["."]),
        Code::OutsideRoot => codes(&[("authz.rego", &complete)], &["--tenant", "acme-corp", "."]),
        Code::ParseError
        | Code::MissingPackage
        | Code::CompileError
        | Code::NoDecision
        | Code::AuditLogReach
        | Code::UnboundedAuditLogScan
        | Code::DefaultAllowTrue
        | Code::DefaultAllowMissing
        | Code::BodyWidens
        | Code::UnknownService
        | Code::UnknownAction
        | Code::UnknownInputField
        | Code::NotOverError
        | Code::NotPortable
        | Code::SlowRule => codes(&[("authz.rego", &complete)], &["."]),
    }
}

#[test]
fn every_code_is_documented_with_an_example() {
    let page = include_str!("../../../docs/lints.md");
    let warnings = page.find("\n## Warnings\n").unwrap();
    for code in Code::ALL {
        let [mistake, mended] = examples(page, *code);
        let mut found = found_in(*code, &mistake);
        // Where the package is elsewhere, nothing decides either.
        let is_elsewhere = *code == Code::OutsideRoot;
        let expect = if is_elsewhere { vec!["no-decision", "outside-root"] } else { vec![code.name()] };
        found.sort();
        assert_eq!(found, expect, "{mistake}");
        assert_eq!(found_in(*code, &mended), Vec::<String>::new(), "{mended}");
        let is_warning = page.find(&format!("### `{code}`")).unwrap() > warnings;
        assert_eq!(is_warning, code.severity() == Severity::Warning, "{code} stands under the wrong heading");
    }
    assert_eq!(page.matches("\n### ").count(), Code::ALL.len());
}

const WIDENING: &str = "package hexr.authz

default allow := false

allow if input.service == \"gcp_bigqery\"

allow if time.clock(time.now_ns())[0] >= 8
";

#[test]
fn findings_for_reading() {
    let warnings = "\
warning[unknown-service]: the catalog knows no service `gcp_bigqery`, so that nothing is ever equal to it
 --> p/authz.rego:5:27
  |
5 | allow if input.service == \"gcp_bigqery\"
  |                           ^^^^^^^^^^^^^
  |
  = help: did you mean `gcp_bigquery`?

warning[body-widens]: this body tests only the clock, and allows everybody everything: bodies of `data.hexr.authz.allow` \
are alternatives, so that it widens what the others allow
 --> p/authz.rego:7:1
  |
7 | allow if time.clock(time.now_ns())[0] >= 8
  | ^^^^^
  |
  = help: to narrow, put it into the body that says who may do what: `allow if { permitted; in_hours }`

2 warnings
";
    check(&[("p/authz.rego", WIDENING)], &["p"], 0, warnings);
    check(&[("p/authz.rego", WIDENING)], &["p", "--strict"], 1, warnings);
    check(&[("p/authz.rego", GOOD)], &["p", "--strict"], 0, "");
    // Of all files, whatever kind of mistake it is.
    let files = [
        ("a.rego", "package a\n\nx := http.send({})\n\ny :="),
        ("b.rego", "default allow := false\n\nallow if {\n\tinput.role == \"ä\" ]\n}\n"),
        ("data.json", "{\n  \"roles\": ]\n}"),
    ];
    check(
        &files,
        &["."],
        1,
        "\
error[bundle-error]: expected value
 --> data.json:2:12
  |
2 |   \"roles\": ]
  |            ^

error[parse-error]: expecting expression
 --> a.rego:5:5
  |
5 | y :=
  |     ^
  |
  = help: a value is missing here, or a comma, an operator or a bracket is too many

error[missing-package]: this file has no `package`, so that its rules have no name
 --> b.rego:1:1
  |
1 | default allow := false
  | ^^^^^^^
  |
  = help: write `package hexr.authz` as its first line

error[parse-error]: expecting `}` while parsing query
 --> b.rego:4:20
  |
4 |     input.role == \"ä\" ]
  |                       ^
  |
  = help: close the `{`, or put what follows on a line of its own

4 errors
",
    );
}

#[test]
fn findings_for_programs() {
    let (code, found) = run(&[("authz.rego", WIDENING)], &[".", "--format", "json"], "");
    let document: Value = serde_json::from_str(&found).unwrap();
    assert_eq!(
        document,
        serde_json::json!({
            "findings": [
                {
                    "code": "unknown-service",
                    "severity": "warning",
                    "message": "the catalog knows no service `gcp_bigqery`, so that nothing is ever equal to it",
                    "remedy": "did you mean `gcp_bigquery`?",
                    "location": {"file": "authz.rego", "row": 5, "col": 27, "end_col": 40},
                },
                {
                    "code": "body-widens",
                    "severity": "warning",
                    "message": "this body tests only the clock, and allows everybody everything: bodies of \
                                `data.hexr.authz.allow` are alternatives, so that it widens what the others allow",
                    "remedy": "to narrow, put it into the body that says who may do what: `allow if { permitted; in_hours }`",
                    "location": {"file": "authz.rego", "row": 7, "col": 1, "end_col": 6},
                },
            ],
            "errors": 0,
            "warnings": 2,
        })
    );
    assert_eq!(code, 0);
    check(
        &[("authz.rego", GOOD)],
        &[".", "--format", "json"],
        0,
        "{\n  \"errors\": 0,\n  \"findings\": [],\n  \"warnings\": 0\n}\n",
    );
    check(&[("authz.rego", GOOD)], &[".", "--format", "github"], 0, "");
    let annotated = "::error file=a%2Cb.rego,line=2,col=6,endColumn=7,title=parse-error::expecting expression%0Aa value is \
                     missing here, or a comma, an operator or a bracket is too many\n";
    check(&[("a,b.rego", "package a\nx := }")], &[".", "--format", "github"], 1, annotated);
}

#[test]
fn a_policy_on_stdin() {
    assert_eq!(run(&[], &["-"], GOOD), (0, String::new()));
    let (code, found) = run(&[], &["-", "--format", "github"], "allow if input.role == \"a\"\n");
    assert!(
        found.starts_with("::error file=<stdin>,line=1,col=1,endColumn=6,title=missing-package::"),
        "{found}"
    );
    assert_eq!(code, 1);
}

#[test]
fn a_tenants_policy() {
    let tenants = "package hexr.tenants[\"acme-corp\"]\n\ndefault allow := false\n\nallow if input.role == \"editor\"\n";
    check(&[("t.rego", tenants)], &["--tenant", "acme-corp", "t.rego"], 0, "");
    check(
        &[("t.rego", GOOD)],
        &["--tenant", "acme-corp", "t.rego"],
        1,
        "\
error[outside-root]: the package `data.hexr.authz` is not tenant `acme-corp`'s: all that it has stands below \
`hexr/tenants/acme-corp`
 --> t.rego:1:9
  |
1 | package hexr.authz
  |         ^^^^^^^^^^
  |
  = help: write `package hexr.tenants[\"acme-corp\"]`, or a package below it

error[no-decision]: there is no rule `data.hexr.tenants[\"acme-corp\"].allow`, so that nothing decides
 |
 = help: write one in `package hexr.tenants[\"acme-corp\"]`

2 errors
",
    );
    let manifest = (".manifest", "{\"roots\": [\"hexr\"]}");
    let (code, found) =
        run(&[("t/t.rego", tenants), ("t/.manifest", manifest.1)], &["--tenant", "acme-corp", "t"], "");
    assert!(found.starts_with("error[bundle-error]: the bundle of a tenant is rooted at exactly"), "{found}");
    assert_eq!(code, 1);
}

/// Of a configuration: what policies are checked by, and its own mistakes with their places.
#[test]
fn configurations() {
    let own = r#"{"decision": {"path": "corp/gate/open"}, "audit_log": {"window_seconds": 3600},
        "catalog": {"services": [{"service": "bank", "hosts": ["bank.example"], "actions": [{"action": "pay", "path": "/**"}]}]}}"#;
    let gate = "package corp.gate\n\ndefault open := false\n\nopen if {\n\tinput.service == \"bank\"\n\tinput.action == \"paid\"\n\t\
                count([1 | some call in data.audit_log; call.agent == input.agent; call.timestamp > time.now_ns() - 3600000000000]) < 9\n}\n";
    let own = config(own);
    let files = [("config.json", own.as_str()), ("gate/gate.rego", gate)];
    assert_eq!(codes(&files, &["gate", "--config", "config.json"]), ["unknown-action"]);
    assert_eq!(
        codes(&files, &["gate", "--config", "config.json", "--decision", "corp/gate/shut"]),
        ["unknown-action", "no-decision"]
    );
    assert_eq!(codes(&files, &["gate"]), ["no-decision"]);
    assert_eq!(codes(&files, &["--config", "missing.json"]), ["config-error"]);
    let mistakes = "{\n  \"identity\": {\"trust_domains\": [{\"name\": \"hexr.cloud\"}]},\n  \"policy\": {\"modules\": {\n    \
                    \"a.rego\": \"package hexr.authz\\nallow if input.user\"}},\n  \"limits\": {\n    \"evaluation_ms\": 0}\n}\n";
    check(
        &[("config.json", mistakes)],
        &["--config", "config.json"],
        1,
        "\
error[config-error]: $.limits.evaluation_ms: must be an integer from 1 to 10000, but is 0
 --> config.json:6:5
  |
6 |     \"evaluation_ms\": 0}
  |     ^^^^^^^^^^^^^^^

1 error
",
    );
    // The policy that stands in it.
    let embedded = mistakes.replace("\"evaluation_ms\": 0", "\"evaluation_ms\": 10");
    check(
        &[("config.json", &embedded)],
        &["--config", "config.json"],
        0,
        "\
warning[default-allow-missing]: $.policy.modules[\"a.rego\"]: 2:1: `data.hexr.authz.allow` has no default, so that it has no \
value where none of its bodies holds
 --> config.json:4:5
  |
4 |     \"a.rego\": \"package hexr.authz\\nallow if input.user\"}},
  |     ^^^^^^^^

warning[unknown-input-field]: $.policy.modules[\"a.rego\"]: 2:10: there is no `input.user`
 --> config.json:4:5
  |
4 |     \"a.rego\": \"package hexr.authz\\nallow if input.user\"}},
  |     ^^^^^^^^

2 warnings
",
    );
    check(
        &[("config.json", "{\n  \"identity\": \n}")],
        &["--config", "config.json"],
        1,
        "\
error[config-error]: $: this is not JSON: expected value
 --> config.json:3:1
  |
3 | }
  | ^

1 error
",
    );
}

#[test]
fn the_help_has_examples() {
    let (code, help) = run(&[], &["--help"], "");
    assert!(help.contains("\nExamples:\n  hexr-authz check policies "), "{help}");
    assert_eq!(code, 0);
}
