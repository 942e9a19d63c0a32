//! The real bundle server, `hexr-authz serve`, as a process.

use std::{
    ffi::OsStr,
    net::SocketAddr,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use http_body_util::{BodyExt as _, Empty};
use hyper::{Request, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::{agent::Answer, artifacts, process::Process};

/// A running server; it ends when dropped.
pub struct BundleServer {
    process: Process,
    address: SocketAddr,
}

// === impl BundleServer ===

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
        let (process, line) = Process::start_to_tell(&mut command, log)?;
        let address = line.rsplit("://").next().and_then(|address| address.parse().ok());
        let address = address.with_context(|| format!("the bundle server did not start: {line}"))?;
        Ok(Self { process, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Fetches, with headers, over a connection of its own.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Result<Answer> {
        get(self.address, path, headers).await
    }

    /// Asks it to end, and says how long that took.
    ///
    /// # Errors
    /// When it cannot be asked, fails, or takes over `patience`.
    pub async fn stop(&mut self, patience: Duration) -> Result<Duration> {
        let start = Instant::now();
        let status = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status()?;
        ensure!(status.success(), "the bundle server cannot be signalled");
        while start.elapsed() < patience {
            if let Some(status) = self.process.try_wait()? {
                ensure!(status.success(), "the bundle server ended with {status}");
                return Ok(start.elapsed());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        bail!("the bundle server did not end within {patience:?}")
    }
}

/// Fetches from a bundle server, with headers, over a connection of its own.
///
/// # Errors
/// When there is no answer.
pub async fn get(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Result<Answer> {
    let stream = TokioIo::new(TcpStream::connect(address).await?);
    let (mut sender, connection) = http1::handshake(stream).await?;
    let connection = tokio::spawn(connection);
    let mut request = Request::builder().uri(path).header("host", address.to_string());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = sender.send_request(request.body(Empty::<Bytes>::new())?).await?;
    let (head, body) = response.into_parts();
    let body = body.collect().await?.to_bytes();
    connection.abort();
    Ok(Answer { status: head.status, headers: head.headers, body })
}
