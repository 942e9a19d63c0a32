//! `cargo bench -p hexr-authz`: how long the tool takes, as its user waits for it.
//!
//! The binary is run as a process, again and again, and the median is printed. The goals: 2,000 tests in under two seconds, and
//! under 50 ms before anything happens.

use std::{
    error::Error,
    fmt::Write as _,
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// How often each command line is run.
const RUNS: usize = 15;
/// Tests, in files of a hundred.
const TESTS: usize = 2_000;
const TESTS_IN_A_FILE: usize = 100;

const POLICY: &str = "\
package hexr.authz

default allow := false

allow if {
	input.action in data.roles[input.role][input.service]
	open
	count(recent) < 100
}

open if time.weekday(time.now_ns()) != \"Sunday\"

recent contains call if {
	some call in data.audit_log
	call.agent == input.agent
	call.timestamp > time.now_ns() - 60000000000
}
";

fn main() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("authz.rego"), POLICY)?;
    measure("--version", &["--version"], folder.path())?;
    measure("check of a small policy", &["check", "."], folder.path())?;
    write_tests(folder.path())?;
    measure("2,000 tests", &["test", "."], folder.path())?;
    measure("2,000 tests, one at a time", &["test", "-p", "1", "."], folder.path())?;
    measure("one of 2,000 tests", &["test", "-r", "test_7$", "."], folder.path())?;
    Ok(())
}

fn write_tests(folder: &Path) -> Outcome<()> {
    for file in 0..TESTS / TESTS_IN_A_FILE {
        let mut text = format!("package hexr.authz_{file}_test\n\nimport data.hexr.authz\n");
        for test in 0..TESTS_IN_A_FILE {
            let word = if test % 3 == 0 { "not " } else { "" };
            let role = if test % 3 == 0 { "viewer" } else { "editor" };
            writeln!(
                text,
                "\ntest_{test} if {{\n\t{word}authz.allow with input as {{\"role\": \"{role}\", \"service\": \"aws_s3\", \
                 \"action\": \"Action{test}\", \"agent\": \"a\"}}\n\t\t\
                 with data.roles as {{\"editor\": {{\"aws_s3\": [\"Action{test}\"]}}}}\n\t\t\
                 with data.audit_log as [{{\"agent\": \"a\", \"timestamp\": 1736937000000000000}}]\n\t\t\
                 with time.now_ns as 1736937000000000000\n}}"
            )?;
        }
        fs::write(folder.join(format!("authz_{file}_test.rego")), text)?;
    }
    Ok(())
}

/// Prints the median, and the range, of how long a command line takes.
fn measure(name: &str, arguments: &[&str], folder: &Path) -> Outcome<()> {
    let mut times = Vec::new();
    for _ in 0..RUNS {
        let start = Instant::now();
        let output =
            Command::new(env!("CARGO_BIN_EXE_hexr-authz")).args(arguments).current_dir(folder).output()?;
        times.push(start.elapsed());
        if !output.status.success() {
            return Err(format!("{name}: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
    }
    times.sort();
    let millis = |at: usize| times.get(at).map_or(0.0, Duration::as_secs_f64) * 1000.0;
    println!("{name:<28} {:8.1} ms   ({:.1} to {:.1})", millis(RUNS / 2), millis(0), millis(RUNS - 1));
    Ok(())
}
