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
    for arguments in [&["check"][..], &["chek"], &["serve"], &["serve", "--bundle", "x"]] {
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

#[test]
fn beyond_loopback_is_a_decision() {
    let arguments = ["serve", "--addr", "0.0.0.0:0", "--bundle", "authz=."];
    check(&[("authz.rego", POLICY)], &arguments, 1, &["pass `--insecure`"]);
}
