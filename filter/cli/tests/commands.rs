//! Command lines of `hexr-authz`: exit code, output, and silence where nothing was asked for.

#![expect(clippy::unwrap_used, reason = "what the tests share stops at the first thing that does not work")]

use std::{fs, process::Command};

use tempfile::TempDir;

const POLICY: &str = "package hexr.authz\n\ndefault allow := false\n\nallow if input.role == \"editor\"\n";
const CONFIG: &str = r#"{"identity": {"trust_domains": [{"name": "hexr.cloud"}]},
    "services": {"bundles": {"cluster": "bundle-server", "headers": {"authorization": "Bearer ${TOKEN}"}}},
    "bundles": {"authz": {"service": "bundles"}}}"#;

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    folder
}

/// Runs a command line in a folder with `files`; stdout is expected to be silent.
#[track_caller]
fn check(files: &[(&str, &str)], arguments: &[&str], exit_code: i32, stderr: &[&str]) -> TempDir {
    let folder = folder(files);
    let output =
        Command::new(env!("CARGO_BIN_EXE_hexr-authz")).args(arguments).current_dir(folder.path()).output();
    let output = output.unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(exit_code), "{errors}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    assert_eq!(errors.lines().count(), stderr.len(), "{errors}");
    for (line, expect) in errors.lines().zip(stderr) {
        assert!(line.contains(expect), "{line}\nlacks\n{expect}");
    }
    folder
}

#[test]
fn check_has_nothing_to_say_of_what_is_good() {
    check(&[("authz.rego", POLICY), ("data.json", "{\"a\": 1}")], &["check", "."], 0, &[]);
    check(&[("authz.rego", POLICY)], &["check", "authz.rego"], 0, &[]);
    check(&[("config.json", CONFIG)], &["check", "--config", "config.json"], 0, &[]);
}

#[test]
fn check_names_every_mistake() {
    let files = [("a/one.rego", "package one\nx :="), ("b.rego", "package two\ny := ["), ("data.json", "{")];
    check(&files, &["check", "."], 1, &["data.json: ", "a/one.rego:2:5: ", "b.rego:2:7: "]);
    check(&[("a.rego", "package other\nx := 1")], &["check", "."], 1, &["no rule `data.hexr.authz.allow`"]);
    check(&[], &["check", "."], 1, &["no policy here"]);
    check(&[], &["check", "missing"], 1, &["missing"]);
    let mistakes = CONFIG.replace("cluster", "clutser").replace("hexr.cloud", "Hexr/Cloud");
    check(
        &[("config.json", &mistakes)],
        &["check", "--config", "config.json"],
        1,
        &[
            "config.json: $.identity.trust_domains[0].name: ",
            "config.json: $.services.bundles.cluster: this key is missing",
            "config.json: $.services.bundles.clutser: unknown key",
        ],
    );
}

#[test]
fn check_warns_of_slow_updates() {
    let slow = CONFIG.replace(
        r#"{"service": "bundles"}"#,
        r#"{"service": "bundles", "polling": {"min_delay_seconds": 60, "max_delay_seconds": 120}}"#,
    );
    let warning =
        ["warning: with `max_delay_seconds` 120 an update of bundle `authz` can take over 30 seconds"];
    check(&[("config.json", &slow)], &["check", "--config", "config.json"], 0, &warning);
}

#[test]
fn usage_errors_are_their_own() {
    for arguments in [
        &["check"][..],
        &["chek"],
        &["serve"],
        &["serve", "--bundle", "x"],
        &["serve", "--configmap", "x"],
        &["serve", "--configmap", "a b=n/x"],
        &["serve", "--configmap", "N/x"],
        &["serve", "--configmap", "n/x", "--bundle", "authz=."],
        &["test"],
        &["build", ".", "--claims-file", "x"],
        &["build", ".", "--verification-key", "x"],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_hexr-authz")).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn the_same_sources_build_the_same_bundle() {
    let files = [("authz/authz.rego", POLICY), ("data.json", "{\"grants\": {}}"), ("notes.txt", "no policy")];
    let build = || {
        let folder = check(&files, &["build", ".", "-o", "out.tar.gz", "--revision", "r1"], 0, &[]);
        fs::read(folder.path().join("out.tar.gz")).unwrap()
    };
    assert_eq!(build(), build());
    check(&[("a.rego", "package a\nx := 1")], &["build", "."], 1, &["no rule"]);
}

/// The private and the public key of the tests by that name.
fn key_pair(name: &str) -> (String, String) {
    let vectors = include_str!("../../core/src/bundle/signature/vectors/opa.json");
    let vectors: serde_json::Value = serde_json::from_str(vectors).unwrap();
    let key = vectors.get("keys").and_then(|keys| keys.get(name)).unwrap();
    let text = |place: &str| key.pointer(place).unwrap().as_str().unwrap().to_owned();
    (text("/private/0"), text("/key"))
}

#[test]
fn bundles_are_signed_and_verified() {
    let (private, public) = key_pair("ES256");
    let (_, other) = key_pair("RS256");
    let files = [
        ("p/authz.rego", POLICY),
        ("p/data.json", "{\"a\": 1.0}"),
        ("key.pem", &private),
        ("key.pub.pem", &public),
        ("other.pem", &other),
        ("claims.json", "{\"scope\": \"write\"}"),
        ("wrong.json", "{\"files\": []}"),
    ];
    let by_key = ["--signing-key", "key.pem", "--signing-alg", "ES256"];
    let sign = |more: &[&str], exit_code: i32, stderr: &[&str]| {
        let arguments = [&["build", "p", "-r", "r1", "-o", "signed.tar.gz"][..], more].concat();
        check(&files, &arguments, exit_code, stderr)
    };
    let signed = sign(&[&by_key[..], &["--claims-file", "claims.json"]].concat(), 0, &[]);
    let bundle = signed.path().join("signed.tar.gz");
    let bundle = bundle.to_str().unwrap();
    let again = |more: &[&str], exit_code: i32, stderr: &[&str]| {
        check(&files, &[&["build", "-b", bundle, "-o", "again.tar.gz"][..], more].concat(), exit_code, stderr)
    };
    let by_public = ["--verification-key", "key.pub.pem", "--signing-alg", "ES256", "--scope", "write"];
    let unsigned = again(&by_public, 0, &[]);
    let plain = check(&files, &["build", "p", "-r", "r1", "-o", "again.tar.gz"], 0, &[]);
    let bytes = |folder: &TempDir| fs::read(folder.path().join("again.tar.gz")).unwrap();
    assert_eq!(bytes(&unsigned), bytes(&plain), "the same bundle, with its revision, and no signature");
    let signed_again = again(&[&by_public[..], &by_key[..2]].concat(), 0, &[]);
    assert_ne!(bytes(&signed_again), bytes(&plain));
    again(&[], 1, &["the bundle is signed, and no key to verify it is there"]);
    again(&by_public[..4], 1, &["the signature is for the scope `write`, not for ``"]);
    again(&["--verification-key", "other.pem"], 1, &["the signature is not one by `default`"]);
    again(&["--verification-key", "key.pub.pem"], 1, &["--verification-key: `RS256` wants an RSA key"]);
    again(
        &["--verification-key", "missing.pem"],
        1,
        &["--verification-key: this is not a public key in PEM"],
    );

    sign(&["--signing-key", "key.pem"], 1, &["--signing-key: `RS256` wants an RSA key"]);
    sign(&["--signing-key", "key.pub.pem"], 1, &["--signing-key: this is a public key"]);
    sign(&["--signing-key", "a secret", "--signing-alg", "HS256"], 0, &[]);
    sign(
        &["--signing-key", "a secret", "--signing-alg", "none"],
        1,
        &["--signing-key: must be RS, PS, ES or HS"],
    );
    sign(
        &[&by_key[..], &["--claims-file", "wrong.json"]].concat(),
        1,
        &["wrong.json: the claims cannot say"],
    );
    sign(&[&by_key[..], &["--claims-file", "none.json"]].concat(), 1, &["none.json: No such file"]);
    let unsigned_bundle = check(
        &files,
        &["build", "-b", "p", "-o", "x.tar.gz", "--verification-key", "other.pem"],
        1,
        &["p: the bundle is not signed"],
    );
    drop(unsigned_bundle);
}

/// A folder may be a bundle that somebody unpacked.
#[test]
fn folders_are_bundles_too() {
    let (private, public) = key_pair("RS256");
    let files = [("p/authz.rego", POLICY), ("key.pem", private.as_str()), ("key.pub.pem", &public)];
    let signed = check(&files, &["build", "p", "-o", "signed.tar.gz", "--signing-key", "key.pem"], 0, &[]);
    let unpack =
        Command::new("tar").args(["xzf", "signed.tar.gz", "-C", "p"]).current_dir(signed.path()).status();
    assert!(unpack.unwrap().success());
    let build = |more: &[&str]| {
        let arguments = [&["build", "-b", "p", "-o", "again.tar.gz"][..], more].concat();
        let output = Command::new(env!("CARGO_BIN_EXE_hexr-authz"))
            .args(arguments)
            .current_dir(signed.path())
            .output();
        String::from_utf8(output.unwrap().stderr).unwrap()
    };
    assert_eq!(build(&["--verification-key", "key.pub.pem"]), "");
    assert!(build(&[]).starts_with("p: the bundle is signed, and no key"));
    fs::write(signed.path().join("p/more.rego"), "package more").unwrap();
    let problem = build(&["--verification-key", "key.pub.pem"]);
    assert!(problem.starts_with("p: more.rego: the signature does not cover this file"), "{problem}");
}

#[test]
fn keys_of_the_environment_are_not_looked_at() {
    let keys = r#""keys": {"k": {"key": "${BUNDLE_KEY}"}}, "bundles""#;
    let signed = CONFIG.replace("\"bundles\": {\"authz\"", &format!("{keys}: {{\"authz\""));
    let signed = signed
        .replace("\"service\": \"bundles\"", "\"service\": \"bundles\", \"signing\": {\"keyid\": \"k\"}");
    assert_ne!(signed, CONFIG);
    check(&[("config.json", &signed)], &["check", "--config", "config.json"], 0, &[]);
    let short = signed.replace("\"key\": \"${BUNDLE_KEY}\"", "\"key\": \"short\", \"algorithm\": \"HS256\"");
    let warning = "warning: the secret of key `k` is 27 bytes shorter than its algorithm's digest";
    check(&[("config.json", &short)], &["check", "--config", "config.json"], 0, &[warning]);
    let wrong = signed.replace("${BUNDLE_KEY}", "no key");
    check(
        &[("config.json", &wrong)],
        &["check", "--config", "config.json"],
        1,
        &["$.keys.k.key: this is not a public key in PEM"],
    );
}

#[test]
fn beyond_loopback_is_a_decision() {
    let arguments = ["serve", "--addr", "0.0.0.0:0", "--bundle", "authz=."];
    check(&[("authz.rego", POLICY)], &arguments, 1, &["pass `--insecure`"]);
}

#[test]
fn what_is_ignored_is_not_built() {
    let files = [("authz/authz.rego", POLICY), ("authz/authz_test.rego", "package broken\nx :=")];
    check(&files, &["build", "."], 1, &["authz/authz_test.rego:2:"]);
    check(&files, &["build", ".", "--ignore", "*_test.rego"], 0, &[]);
    check(&files, &["check", ".", "--ignore", "*_test.rego"], 0, &[]);
    check(&files, &["build", ".", "--ignore", "authz"], 1, &["no policy here"]);
}

/// Runs `test` in a folder with `files`; stdout is compared without durations.
#[track_caller]
fn check_test(files: &[(&str, &str)], arguments: &[&str], exit_code: i32, stdout: &[&str], stderr: &[&str]) {
    let folder = folder(files);
    let arguments = [&["test"], arguments].concat();
    let output =
        Command::new(env!("CARGO_BIN_EXE_hexr-authz")).args(arguments).current_dir(folder.path()).output();
    let output = output.unwrap();
    let (found, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let without_duration = |line: &str| match line.rsplit_once(" (") {
        Some((line, duration)) if duration.ends_with("s)") => line.to_owned(),
        Some(_) | None => line.to_owned(),
    };
    let found: Vec<String> = found.lines().map(without_duration).collect();
    assert_eq!(found, stdout, "{errors}");
    assert_eq!(errors.lines().count(), stderr.len(), "{errors}");
    for (line, expect) in errors.lines().zip(stderr) {
        assert!(line.contains(expect), "{line}\nlacks\n{expect}");
    }
    assert_eq!(output.status.code(), Some(exit_code), "{found:#?}{errors}");
}

const RULE: &str = "--------------------------------------------------------------------------------";
const TESTED: (&str, &str) = (
    "a_test.rego",
    "package a_test\nimport data.hexr.authz\n\ntest_editor if authz.allow with input.role as \"editor\"\n\n\
     test_viewer if not authz.allow with input.role as \"viewer\"\n\ntodo_test_later if false\n",
);

#[test]
fn tests_are_reported_as_opa_reports_them() {
    let files = [("authz.rego", POLICY), TESTED];
    let skipped =
        ["a_test.rego:8:", "data.a_test.todo_test_later: SKIPPED", RULE, "PASS: 2/3", "SKIPPED: 1/3"];
    check_test(&files, &["."], 2, &skipped, &[]);
    check_test(&files, &["-z", "."], 0, &skipped, &[]);
    let verbose = ["a_test.rego:4:", "data.a_test.test_editor: PASS", RULE, "PASS: 1/1"];
    check_test(&files, &["-v", "-r", "editor$", "."], 0, &verbose, &[]);
    check_test(&files, &["-r", "data.a_test.test", "."], 0, &["PASS: 2/2"], &[]);
    check_test(&files, &["-r", "nobody", "."], 0, &[], &[]);
    check_test(&[("authz.rego", POLICY)], &["."], 0, &[], &[]);
    let failing = "package b\ntest_a if 1 == 2\ntest_a if true\ntest_b[x] if { some x in [\"p\", \"q\"]; x == \"q\" }\n\
                   test_c if y\ny := 1\ny := 2 if input == {}\ntest_d if y with input as {}\n";
    check_test(
        &[("b.rego", failing), TESTED, ("authz.rego", POLICY)],
        &["b.rego", "-v"],
        2,
        &[
            "b.rego:2:",
            "data.b.test_a: FAIL",
            "b.rego:3:",
            "data.b.test_a#01: PASS",
            "b.rego:4:",
            "data.b.test_b: FAIL",
            "  p: FAIL",
            "  q: PASS",
            "b.rego:5:",
            "data.b.test_c: PASS",
            "b.rego:8:",
            "data.b.test_d: ERROR",
            "  the rule `data.b.y` has two values at once",
            RULE,
            "PASS: 3/6",
            "FAIL: 2/6",
            "ERROR: 1/6",
        ],
        &[],
    );
}

#[test]
fn what_cannot_be_run_is_not_a_failure() {
    check_test(&[("a.rego", "package a\nx :=")], &["."], 1, &[], &["a.rego:2:5"]);
    check_test(&[("a.rego", "package a\ntest_x if y == 1")], &["."], 1, &[], &["a.rego:2"]);
    check_test(&[], &["missing"], 1, &[], &["missing"]);
    check_test(
        &[("a.rego", "package a")],
        &["-r", "[", "."],
        1,
        &[],
        &["regex parse error", "[", "^", "error: unclosed"],
    );
}

/// Data is loaded as OPA loads it, not as a bundle.
#[test]
fn all_json_and_yaml_is_data() {
    let test = "package a\ntest_a if data.x.y.z == 1\ntest_b if data.x.list.w == 2\ntest_c if data.top\n";
    let files =
        [("a.rego", test), ("x/y/any.json", "{\"z\": 1}"), ("x/list/b.yaml", "w: 2"), ("c.yml", "top: true")];
    check_test(&files, &["."], 0, &["PASS: 3/3"], &[]);
    let files = [("a.rego", test), ("x/y.json", "{\"z\": 1}"), ("y.yaml", "x: {z: 2}")];
    check_test(&files, &["."], 1, &[], &["y.yaml: `data.x.z` is given twice"]);
}

#[test]
fn results_for_programs() {
    let folder = folder(&[("b.rego", "package b\ntest_a if false\ntodo_test_b if true\n")]);
    let output = Command::new(env!("CARGO_BIN_EXE_hexr-authz"))
        .args(["test", "--format", "json", "."])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let mut results: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    for result in results.as_array_mut().unwrap() {
        assert!(result.as_object_mut().unwrap().remove("duration").unwrap().is_u64());
    }
    assert_eq!(
        results,
        serde_json::json!([
            {"location": {"file": "b.rego", "row": 2, "col": 1}, "package": "data.b", "name": "test_a", "fail": true},
            {"location": {"file": "b.rego", "row": 3, "col": 1}, "package": "data.b", "name": "todo_test_b", "skip": true},
        ])
    );
    assert_eq!(output.status.code(), Some(2));
}

const CASES_CONFIG: &str = r#"{"identity": {"trust_domains": [{"name": "hexr.cloud"}]}, "catalog": {"services": [
    {"service": "aws_s3", "hosts": ["s3.example"], "actions": [{"action": "GetObject", "method": "GET", "path": "/**"}]}]}}"#;

#[test]
fn decision_cases() {
    let cases = "\
roles:
  - name: an editor reads
    spiffe_id: spiffe://hexr.cloud/agent/acme/crew/editor
    request: { method: GET, host: s3.example, path: /a }
    expect: { decision: allow, action: GetObject }
  - name: a viewer reads
    spiffe_id: spiffe://hexr.cloud/agent/acme/crew/viewer
    request: { method: GET, host: s3.example, path: /a }
    expect: { decision: allow }
";
    let files = [("authz.rego", POLICY), ("cases/config.json", CASES_CONFIG), ("cases/roles.yaml", cases)];
    let failed = [
        "cases/roles.yaml:6:",
        "cases.roles[\"a viewer reads\"]: FAIL",
        "  decision is `deny`, expected `allow`, reason is `policy_denied`, expected none, status is `403`, expected none, \
         at 2025-01-15T10:30:00Z",
        RULE,
        "PASS: 1/2",
        "FAIL: 1/2",
    ];
    check_test(&files, &["."], 2, &failed, &[]);
    check_test(&files, &[".", "-r", "an editor"], 0, &["PASS: 1/1"], &[]);
    let mistakes = cases.replace("expect: { decision: allow }", "expect: { decision: deny }\n    at: noon");
    check_test(
        &[files[0], files[1], ("cases/roles.yaml", &mistakes)],
        &["."],
        1,
        &[],
        &["a viewer reads: say by which `reason`", "a viewer reads: `noon` is no instant"],
    );
    // Without a configuration it is data.
    let test = ("a_test.rego", "package a\ntest_a if count(data.cases.roles) == 2");
    check_test(&[files[0], files[2], test], &["."], 0, &["PASS: 1/1"], &[]);
}

/// What the README and `docs/policy.md` say of them.
#[test]
fn the_default_policies_pass() {
    let policies = concat!(env!("CARGO_MANIFEST_DIR"), "/../../policies");
    let output = Command::new(env!("CARGO_BIN_EXE_hexr-authz")).args(["test", policies]).output().unwrap();
    let report = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{report}{}", String::from_utf8_lossy(&output.stderr));
    assert!(report.starts_with("PASS: "), "{report}");
    for arguments in [&["check", policies][..], &["check", policies, "--ignore", "*_test.rego"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_hexr-authz")).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
