//! A program that runs beside the tests.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    ops::{Deref, DerefMut},
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result};

/// A running program; it ends when dropped.
pub struct Process(Child);

// === impl Process ===

impl Process {
    /// Starts one. All that it writes is added to `log`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let log = appended(log)?;
        Self::spawn(command.stdout(log.try_clone()?).stderr(log))
    }

    /// Starts one, and gives the first line that it writes. What it complains of is added to `log`.
    ///
    /// # Errors
    /// When it cannot be started, or ends without a line.
    pub fn start_to_tell(command: &mut Command, log: &Path) -> Result<(Self, String)> {
        let mut process = Self::spawn(command.stdout(Stdio::piped()).stderr(appended(log)?))?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().context("no stdout")?).read_line(&mut line)?;
        Ok((process, line.trim().to_owned()))
    }

    /// Starts one whose output leads to where `command` says.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(command: &mut Command) -> Result<Self> {
        let child = command.stdin(Stdio::null()).spawn();
        Ok(Self(child.with_context(|| format!("{} cannot be started", command.get_program().display()))?))
    }
}

/// A file that is written on at its end.
///
/// # Errors
/// When it cannot be opened.
pub(crate) fn appended(path: &Path) -> Result<fs::File> {
    fs::OpenOptions::new().create(true).append(true).open(path).with_context(|| path.display().to_string())
}

impl Deref for Process {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for Process {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
