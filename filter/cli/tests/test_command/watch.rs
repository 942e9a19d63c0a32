//! `--watch`.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use super::*;

/// A process that watches, and what it has printed since it was last asked.
struct Watching {
    process: Child,
    lines: mpsc::Receiver<String>,
}

impl Watching {
    fn start(folder: &TempDir) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_hexr-authz"))
            .args(["test", "--watch", "."])
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (sender, lines) = mpsc::channel();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        thread::spawn(move || stdout.lines().try_for_each(|line| sender.send(line.unwrap())));
        Self { process, lines }
    }

    /// What it prints until it waits for changes.
    fn printed(&self) -> Vec<String> {
        let mut printed = Vec::new();
        loop {
            let line = self.lines.recv_timeout(Duration::from_secs(60)).unwrap();
            if line == "Watching for changes ..." {
                return printed;
            }
            printed.push(without_duration(&format!("{line}\n")).trim_end().to_owned());
        }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.process.kill();
    }
}

#[test]
fn changes_are_watched() {
    let stars = "*".repeat(80);
    let folder = folder(&[("a.rego", "package a\ntest_a if data.x\n")]);
    let mut watching = Watching::start(&folder);
    assert_eq!(watching.printed(), ["a.rego:2:", "data.a.test_a: FAIL", RULE, "FAIL: 1/1", &stars]);
    write(folder.path(), "x.json", "{\"x\": true}");
    assert_eq!(watching.printed(), ["PASS: 1/1", &stars]);
    // What is broken is told, and is waited for.
    write(folder.path(), "a.rego", "package a\ntest_a if {\n");
    assert_eq!(watching.printed(), [&*stars]);
    write(folder.path(), "a.rego", "package a\ntest_a if data.x\ntest_b if true\n");
    assert_eq!(watching.printed(), ["PASS: 2/2", &stars]);
    fs::remove_file(folder.path().join("x.json")).unwrap();
    assert_eq!(
        watching.printed(),
        ["a.rego:2:", "data.a.test_a: FAIL", RULE, "PASS: 1/2", "FAIL: 1/2", &stars]
    );
    let stopped = Command::new("kill").args(["-INT", &watching.process.id().to_string()]).status();
    assert!(stopped.unwrap().success());
    assert_eq!(watching.process.wait().unwrap().code(), Some(0));
}
