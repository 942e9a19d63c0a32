//! The real bundle server, `hexr-authz serve`, as a process.

use std::{ffi::OsStr, net::SocketAddr, path::Path, process::Command};

use anyhow::{Context, Result};

use crate::{artifacts, process::Process};

/// A running server; it ends when dropped.
pub struct BundleServer {
    _process: Process,
    address: SocketAddr,
}

impl BundleServer {
    /// Serves the policies in `folder` as `/bundles/authz.tar.gz` at `address`; port 0 takes a free one.
    /// What it logs goes to `log`.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(address: SocketAddr, folder: &Path, log: &Path) -> Result<Self> {
        let bundle = format!("authz={}", folder.display());
        Self::start_with(address, &["--bundle", &bundle, "--ignore", "*_test.rego"], log)
    }

    /// Serves at `address` what `arguments` say.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start_with(address: SocketAddr, arguments: &[impl AsRef<OsStr>], log: &Path) -> Result<Self> {
        let mut command = Command::new(artifacts::cli()?);
        command.arg("serve").args(["--addr", &address.to_string()]).args(arguments);
        let (_process, line) = Process::start_to_tell(&mut command, log)?;
        let address = line.rsplit("http://").next().and_then(|address| address.parse().ok());
        let address = address.with_context(|| format!("the bundle server did not start: {line}"))?;
        Ok(Self { _process, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}
