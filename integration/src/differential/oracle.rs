//! The real OPA: `integration/opa-oracle`, built where there is Go.

use std::{
    io::{BufRead as _, BufReader, BufWriter, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
    thread,
};

use anyhow::{Context as _, Result, bail};

use super::case::{Answers, Case};
use crate::repository;

/// A real OPA.
#[derive(Debug)]
pub struct Oracle {
    program: PathBuf,
}

// === impl Oracle ===

impl Oracle {
    /// Builds it; nothing where there is no Go.
    ///
    /// # Errors
    /// When there is Go, and it does not build.
    pub fn build() -> Result<Option<Self>> {
        // Once in a process: tests run at the same time, and what runs must not be written over.
        static BUILT: OnceLock<Result<Option<PathBuf>, String>> = OnceLock::new();
        let built = BUILT.get_or_init(|| build(".", "opa-oracle").map_err(|error| format!("{error:#}")));
        let program = built.clone().map_err(anyhow::Error::msg)?;
        Ok(program.map(|program| Self { program }))
    }

    /// OPA's version, and its answers to `cases`, in their order.
    ///
    /// # Errors
    /// When the oracle stops before it has answered.
    pub fn ask(&self, cases: &[Case]) -> Result<(String, Vec<Answers>)> {
        let mut oracle = Command::new(&self.program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the oracle")?;
        let (Some(stdin), Some(stdout)) = (oracle.stdin.take(), oracle.stdout.take()) else {
            bail!("the oracle has no pipes");
        };
        let lines = thread::scope(|scope| -> Result<Vec<String>> {
            // Written on a thread of its own: the oracle answers while it is asked, and pipes are small.
            let asking = scope.spawn(move || -> std::io::Result<()> {
                let mut stdin = BufWriter::new(stdin);
                for case in cases {
                    writeln!(stdin, "{}", case.to_json())?;
                }
                stdin.flush()
            });
            let lines = BufReader::new(stdout).lines().collect::<Result<_, _>>()?;
            match asking.join() {
                Ok(asked) => asked.context("the oracle stopped reading")?,
                Err(_) => bail!("the thread that asks has panicked"),
            }
            Ok(lines)
        })?;
        let status = oracle.wait()?;
        let [version, answers @ ..] = lines.as_slice() else { bail!("the oracle says nothing: {status}") };
        if !status.success() || answers.len() != cases.len() {
            bail!("the oracle answered {} of {} cases: {status}", answers.len(), cases.len());
        }
        let answers = answers.iter().map(|line| Answers::from_json(line)).collect::<Result<_>>()?;
        Ok((version.trim_matches('"').to_owned(), answers))
    }
}

/// The Go module with the real OPA in it.
pub(super) fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("opa-oracle")
}

/// A real OPA that gets its policy from a bundle server; nothing where there is no Go.
///
/// # Errors
/// When it does not build.
pub fn downloading_opa() -> Result<Option<PathBuf>> {
    build("./downloads", "downloads")
}

/// Builds one of its programs; nothing where there is no Go.
pub(crate) fn build(package: &str, name: &str) -> Result<Option<PathBuf>> {
    if Command::new("go").arg("version").output().is_err() {
        return Ok(None);
    }
    let program = repository().join("target/opa-oracle").join(name);
    let built = Command::new("go")
        .args(["build", "-o"])
        .arg(&program)
        .arg(package)
        .current_dir(source())
        .output()
        .context("cannot run `go build`")?;
    if !built.status.success() {
        bail!("{name} does not build: {}", String::from_utf8_lossy(&built.stderr));
    }
    Ok(Some(program))
}
