//! What `hexr-authz serve` says while it serves.

#![expect(clippy::unwrap_used, reason = "what the tests share stops at the first thing that does not work")]

use std::{
    fs,
    io::{BufRead as _, BufReader, Lines},
    process::{ChildStderr, Command, Stdio},
};

const POLICY: &str = "package hexr.authz\n\nallow if input.role == \"editor\"\n";

/// The next lines of the log are these.
#[track_caller]
fn check(log: &mut Lines<BufReader<ChildStderr>>, expect: &[&str]) {
    for line in expect {
        let found = log.next().unwrap().unwrap();
        assert!(found.starts_with(line), "{found}\nis not\n{line}");
    }
}

#[test]
fn the_log_says_what_happened() {
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("authz.rego");
    fs::write(&policy, POLICY).unwrap();
    let mut server = Command::new(env!("CARGO_BIN_EXE_hexr-authz"))
        .args(["serve", "--addr", "127.0.0.1:0", "--bundle", "authz=."])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(server.stdout.take().unwrap()).lines();
    let mut log = BufReader::new(server.stderr.take().unwrap()).lines();
    check(&mut log, &["bundle `authz`: serving revision "]);
    let address = said.next().unwrap().unwrap();
    assert!(address.starts_with("listening on http://127.0.0.1:"), "{address}");

    fs::write(&policy, "package hexr.authz\nx :=").unwrap();
    check(&mut log, &["bundle `authz`: the last good one is served, because:", "authz.rego:2:"]);
    fs::write(&policy, POLICY.replace("editor", "viewer")).unwrap();
    check(&mut log, &["bundle `authz`: serving revision "]);

    let stop = Command::new("kill").args(["-TERM", &server.id().to_string()]).status().unwrap();
    assert!(stop.success());
    check(&mut log, &["stopping: who waits is answered first"]);
    assert_eq!(server.wait().unwrap().code(), Some(0));
    // Standard output has nothing else.
    assert!(said.next().is_none() && log.next().is_none());
}
