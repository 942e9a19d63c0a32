//! A real OPA loads and verifies what `hexr-authz build` makes, whatever the dialect of the sources.
//!
//! What is in the bundle of `opa_build/policies`, and what OPA 1.22.2 said of just that, is kept in `opa_build/recorded.json`.
//! `RECORD_WITH=/path/to/opa cargo test -p hexr-authz --test opa_build` records anew.

#![expect(clippy::unwrap_used, reason = "what the tests share stops at the first thing that does not work")]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Map, Value, json};
use tempfile::TempDir;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/opa_build")
}

/// Runs a program in a folder; its exit code and what it printed.
fn run(program: &str, arguments: &str, folder: &TempDir) -> (Option<i32>, String) {
    let mut command = Command::new(program);
    let output = command.args(arguments.split_whitespace()).current_dir(folder.path()).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), String::from_utf8(output.stdout).unwrap() + &errors)
}

/// A folder with the keys and claims, and the bundle that is signed by them.
fn signed() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let vectors = include_str!("../../core/src/bundle/signature/vectors/opa.json");
    let vectors: Value = serde_json::from_str(vectors).unwrap();
    for (name, place) in [
        ("key.pem", "/keys/RS256/private/0"),
        ("key.pub.pem", "/keys/RS256/key"),
        ("other.pub.pem", "/keys/other RS256/key"),
    ] {
        fs::write(folder.path().join(name), vectors.pointer(place).unwrap().as_str().unwrap()).unwrap();
    }
    // Else the signature says when it was made.
    fs::write(folder.path().join("claims.json"), r#"{"scope": "write", "iat": 1760000000}"#).unwrap();
    let policies = fixtures().join("policies");
    let build = format!(
        "build {} -r r1 -o signed.tar.gz --signing-key key.pem --claims-file claims.json",
        policies.display()
    );
    assert_eq!(run(env!("CARGO_BIN_EXE_hexr-authz"), &build, &folder), (Some(0), String::new()));
    folder
}

/// The files in the bundle, those in JSON as such.
fn files(folder: &TempDir) -> Value {
    fs::create_dir(folder.path().join("unpacked")).unwrap();
    assert_eq!(run("tar", "xzf signed.tar.gz -C unpacked", folder), (Some(0), String::new()));
    let (code, listed) = run("tar", "tzf signed.tar.gz", folder);
    assert_eq!(code, Some(0));
    let content = |path: &str| {
        let text = fs::read_to_string(folder.path().join("unpacked").join(path)).unwrap();
        (path.to_owned(), serde_json::from_str(&text).unwrap_or(Value::String(text)))
    };
    Value::Object(listed.lines().map(content).collect::<Map<_, _>>())
}

/// What OPA says of the bundle.
fn asked(opa: &str, folder: &TempDir) -> Value {
    let verify = |arguments: &str| {
        run(opa, &format!("build -b signed.tar.gz -o verified.tar.gz {arguments}"), folder).0
    };
    json!({
        "version": run(opa, "version", folder).1.lines().next(),
        "test": run(opa, "test -b signed.tar.gz", folder).1.lines().collect::<Vec<_>>(),
        "verified": verify("--verification-key key.pub.pem --scope write"),
        "by another key": verify("--verification-key other.pub.pem --scope write"),
        "for another scope": verify("--verification-key key.pub.pem --scope read"),
    })
}

#[test]
fn opa_takes_what_is_built() {
    let folder = signed();
    let files = files(&folder);
    let path = fixtures().join("recorded.json");
    if let Ok(opa) = env::var("RECORD_WITH") {
        let recorded = json!({"files": files, "opa": asked(&opa, &folder)});
        fs::write(&path, format!("{recorded:#}\n")).unwrap();
    }
    let recorded: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(files, recorded["files"], "this is another bundle than OPA has taken: record anew");
    assert_eq!(
        recorded["opa"],
        json!({
            "version": "Version: 1.22.2",
            "test": ["PASS: 3/3"],
            "verified": 0,
            "by another key": 1,
            "for another scope": 1,
        })
    );
    // Ours says the same of it.
    let ours = asked(env!("CARGO_BIN_EXE_hexr-authz"), &folder);
    for said in ["test", "verified", "by another key", "for another scope"] {
        assert_eq!(ours[said], recorded["opa"][said], "{said}");
    }
}

/// What is written where nothing says so: the places that the packages and the data need, and which modules are old.
#[test]
fn manifests_are_explicit() {
    let files = files(&signed());
    assert_eq!(
        files[".manifest"],
        json!({
            "revision": "r1",
            "roots": ["hexr/authz", "hexr/authz_test", "hexr/roles", "old"],
            "file_rego_versions": {"hexr/roles/roles.rego": 0, "old/old.rego": 0},
        })
    );
}
