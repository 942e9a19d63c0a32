//! The examples in the help.

use super::*;

/// The examples in the help of a command, run in order where `policies` are.
#[track_caller]
fn check_examples(command: &str, count: usize) {
    let help = Command::new(env!("CARGO_BIN_EXE_hexr-authz")).args([command, "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let (_, examples) = help.split_once("\nExamples:\n").unwrap();
    let examples: Vec<&str> = examples
        .lines()
        .filter(|line| line.starts_with("  hexr-authz"))
        .map(|line| line.trim().split("   ").next().unwrap())
        .filter(|line| !line.contains("--watch"))
        .collect();
    assert_eq!(examples.len(), count, "{help}");
    let (private, public) = key_pair();
    let test = "package hexr.authz_test\nimport data.hexr.authz\ntest_editor if authz.allow with input.role as \"editor\"\n";
    let folder = folder(&[
        ("policies/authz.rego", POLICY),
        ("policies/authz_test.rego", test),
        ("key.pem", &private),
        ("key.pub.pem", &public),
    ]);
    let shell = |line: &str| {
        let binary = Path::new(env!("CARGO_BIN_EXE_hexr-authz")).parent().unwrap();
        let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
        let output = Command::new("sh")
            .args(["-c", line])
            .env("PATH", path)
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{line}\n{}", String::from_utf8_lossy(&output.stderr));
    };
    shell("hexr-authz build policies");
    examples.into_iter().for_each(shell);
}

/// A private and a public key for RS256.
fn key_pair() -> (String, String) {
    let vectors = include_str!("../../../core/src/bundle/signature/vectors/opa.json");
    let vectors: serde_json::Value = serde_json::from_str(vectors).unwrap();
    let text =
        |place: &str| vectors.pointer(&format!("/keys/RS256{place}")).unwrap().as_str().unwrap().to_owned();
    (text("/private/0"), text("/key"))
}

#[test]
fn examples_of_the_help_work() {
    check_examples("test", 5);
    check_examples("build", 5);
}
