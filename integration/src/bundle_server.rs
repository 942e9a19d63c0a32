//! The real bundle server, `hexr-authz serve`, as a process.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result};

use crate::artifacts;

/// A running server; it ends when dropped.
pub struct BundleServer {
    process: Child,
    address: SocketAddr,
}

impl BundleServer {
    /// Serves the policies in `folder` as `/bundles/authz.tar.gz` at `address`; port 0 takes a free one.
    /// What it logs goes to `log`.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(address: SocketAddr, folder: &Path, log: &Path) -> Result<Self> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(log)?;
        let mut process = Command::new(artifacts::cli()?)
            .arg("serve")
            .args(["--addr", &address.to_string()])
            .arg("--bundle")
            .arg(format!("authz={}", folder.display()))
            .args(["--ignore", "*_test.rego"])
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().context("no stdout")?).read_line(&mut line)?;
        let address = line.trim().rsplit("http://").next().and_then(|address| address.parse().ok());
        let address = address.with_context(|| format!("the bundle server did not start: {line}"))?;
        Ok(Self { process, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for BundleServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
