//! Command lines of `hexr-authz`: exit code, output, and silence where nothing was asked for.

#![expect(clippy::unwrap_used, reason = "what the tests share stops at the first thing that does not work")]

mod tool;

use std::{fs, process::Command};

use tempfile::TempDir;
use tool::{Ran, folder};

const POLICY: &str = "package hexr.authz\n\ndefault allow := false\n\nallow if input.role == \"editor\"\n";
const CONFIG: &str = r#"{"identity": {"trust_domains": [{"name": "hexr.cloud"}]},
    "services": {"bundles": {"cluster": "bundle-server", "headers": {"authorization": "Bearer ${TOKEN}"}}},
    "bundles": {"authz": {"service": "bundles"}}}"#;

/// Runs a command line in a folder with `files`; stdout is expected to be silent.
#[track_caller]
fn check(files: &[(&str, &str)], arguments: &[&str], exit_code: i32, stderr: &[&str]) -> TempDir {
    let folder = folder(files);
    let Ran { stdout, stderr: errors, exit_code: code } = tool::run(folder.path(), arguments, "");
    assert_eq!(code, Some(exit_code), "{errors}");
    assert_eq!(stdout, "");
    assert_eq!(errors.lines().count(), stderr.len(), "{errors}");
    for (line, expect) in errors.lines().zip(stderr) {
        assert!(line.contains(expect), "{line}\nlacks\n{expect}");
    }
    folder
}

/// Runs `check` in a folder with `files`; what is found, a line each, and silence on stderr.
#[track_caller]
fn check_finds(files: &[(&str, &str)], arguments: &[&str], exit_code: i32, expect: &[&str]) {
    let folder = folder(files);
    let arguments = [&["check", "--format", "github"], arguments].concat();
    let Ran { stdout: found, stderr, exit_code: code } = tool::run(folder.path(), &arguments, "");
    assert_eq!(code, Some(exit_code), "{found}");
    assert_eq!(stderr, "");
    assert_eq!(found.lines().count(), expect.len(), "{found}");
    for (line, expect) in found.lines().zip(expect) {
        assert!(line.contains(expect), "{line}\nlacks\n{expect}");
    }
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
    let found = ["file=data.json,", "file=a/one.rego,line=2,col=5,", "file=b.rego,line=2,col=7,"];
    check_finds(&files, &["."], 1, &found);
    let nothing_decides = "::error title=no-decision::there is no rule `data.hexr.authz.allow`";
    check_finds(&[("a.rego", "package other\nx := 1")], &["."], 1, &[nothing_decides]);
    check_finds(&[], &["."], 1, &["no policy here"]);
    check_finds(&[], &["missing"], 1, &["missing"]);
    let mistakes = CONFIG.replace("cluster", "clutser").replace("hexr.cloud", "Hexr/Cloud");
    check_finds(
        &[("config.json", &mistakes)],
        &["--config", "config.json"],
        1,
        &[
            "file=config.json,line=1,col=34,endColumn=40,title=config-error::$.identity.trust_domains[0].name: ",
            "$.services.bundles.cluster: this key is missing",
            "$.services.bundles.clutser: unknown key",
        ],
    );
}

#[test]
fn check_warns_of_slow_updates() {
    let slow = CONFIG.replace(
        r#"{"service": "bundles"}"#,
        r#"{"service": "bundles", "polling": {"min_delay_seconds": 60, "max_delay_seconds": 120}}"#,
    );
    let warning = "title=slow-update::$.bundles.authz.polling.max_delay_seconds: with `max_delay_seconds` 120 an update of \
                   bundle `authz` can take over 30 seconds";
    check_finds(&[("config.json", &slow)], &["--config", "config.json"], 0, &[warning]);
    check_finds(&[("config.json", &slow)], &["--config", "config.json", "--strict"], 1, &[warning]);
}

#[test]
fn usage_errors_are_their_own() {
    for arguments in [
        &["check"][..],
        &["check", ".", "--format", "xml"],
        &["check", ".", "--tenant", "a/b"],
        &["check", ".", "--tenant", "a", "--decision", "a/b"],
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
    let warning = "title=short-secret::$.keys.k.key: the secret of key `k` is 27 bytes shorter than its algorithm's digest";
    check_finds(&[("config.json", &short)], &["--config", "config.json"], 0, &[warning]);
    let wrong = signed.replace("${BUNDLE_KEY}", "no key");
    check_finds(
        &[("config.json", &wrong)],
        &["--config", "config.json"],
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
        let found = [output.stdout, output.stderr].concat();
        assert_eq!((output.status.code(), String::from_utf8_lossy(&found).as_ref()), (Some(0), ""));
    }
}
