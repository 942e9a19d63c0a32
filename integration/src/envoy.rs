//! A real Envoy as a process.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use http_body_util::{BodyExt, Empty};
use hyper::{Method, Request, StatusCode, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::{
    envoy_binary,
    envoy_config::EnvoyConfig,
    eventually::eventually,
    process::{Process, appended},
};

/// A running Envoy; it ends when dropped.
pub struct Envoy {
    process: Process,
    folder: PathBuf,
    admin: SocketAddr,
    agents: SocketAddr,
}

/// How long Envoy may take to start; V8 compiles the filter meanwhile.
const START: Duration = Duration::from_secs(60);

impl Envoy {
    /// Starts one with `workers` worker threads. Its files stand in `folder`.
    ///
    /// # Errors
    /// When it refuses the configuration or does not start; the error has its log.
    pub async fn start(config: &EnvoyConfig, workers: u32, folder: &Path) -> Result<Self> {
        Self::start_with(config, workers, folder, &[]).await
    }

    /// The same with further arguments.
    ///
    /// # Errors
    /// When it does not start; the error has its log.
    pub async fn start_with(
        config: &EnvoyConfig,
        workers: u32,
        folder: &Path,
        further: &[&str],
    ) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let config_path = folder.join("envoy.json");
        fs::write(&config_path, serde_json::to_string_pretty(config.document())?)?;
        let mut command = Command::new(envoy_binary::find()?);
        command.arg("--config-path").arg(&config_path).args(["--concurrency", &workers.to_string()]);
        command.args(further);
        Self::start_by(command, folder).await
    }

    /// Starts one by a command that names its configuration, and perhaps a runner. Its files stand in `folder`.
    ///
    /// # Errors
    /// When it does not start; the error has its log.
    pub async fn start_by(mut command: Command, folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let admin_path = folder.join("admin-address");
        let _ = fs::remove_file(&admin_path);
        command
            .arg("--admin-address-path")
            .arg(&admin_path)
            .args(["--file-flush-interval-msec", "50"])
            .args(["--disable-hot-restart", "--log-level", "warning", "--component-log-level", "wasm:info"])
            .stdout(appended(&folder.join("access.log"))?)
            .stderr(appended(&folder.join("envoy.log"))?);
        let process = Process::spawn(&mut command)?;
        let unknown = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut envoy = Self { process, folder: folder.to_owned(), admin: unknown, agents: unknown };
        let started = envoy.wait_until_ready(&admin_path).await;
        started.map(|()| envoy)
    }

    async fn wait_until_ready(&mut self, admin_path: &Path) -> Result<()> {
        let log = self.folder.join("envoy.log");
        let address = eventually(START, "Envoy's admin address", async || {
            let written = fs::read_to_string(admin_path).ok().and_then(|text| text.trim().parse().ok());
            match (written, self.process.try_wait()) {
                (Some(address), _) => Some(Ok(address)),
                (None, Ok(None)) => None,
                (None, _) => Some(Err(fs::read_to_string(&log).unwrap_or_default())),
            }
        });
        match address.await?.0 {
            Ok(address) => self.admin = address,
            Err(log) => bail!("Envoy refused to start:\n{log}"),
        }
        let (ready, _) = eventually(START, "Envoy's readiness", async || {
            if !matches!(self.process.try_wait(), Ok(None)) {
                return Some(Err(fs::read_to_string(&log).unwrap_or_default()));
            }
            let (status, _) = get(self.admin, "/ready").await.ok()?;
            (status == StatusCode::OK).then_some(Ok(()))
        })
        .await?;
        if let Err(log) = ready {
            bail!("Envoy refused to start:\n{log}");
        }
        let (_, listeners) = get(self.admin, "/listeners?format=json").await?;
        let listeners: serde_json::Value = serde_json::from_str(&listeners)?;
        let address =
            listeners.pointer("/listener_statuses/0/local_address/socket_address").context("no listener")?;
        let ip = address.pointer("/address").and_then(|ip| ip.as_str()).context("no address")?;
        let port = address.pointer("/port_value").and_then(serde_json::Value::as_u64).context("no port")?;
        self.agents = format!("{ip}:{port}").parse()?;
        Ok(())
    }

    /// Where agents send their requests.
    pub fn agents(&self) -> SocketAddr {
        self.agents
    }

    /// Where its admin interface is.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Its process, for the operating system's accounting.
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("envoy.log")).unwrap_or_default()
    }

    /// The lines of its log that have `text` in them.
    pub fn log_lines(&self, text: &str) -> Vec<String> {
        self.log().lines().filter(|line| line.contains(text)).map(str::to_owned).collect()
    }

    /// Its access log so far.
    pub fn access_log(&self) -> Vec<serde_json::Value> {
        let log = fs::read_to_string(self.folder.join("access.log")).unwrap_or_default();
        log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Has one of its loggers write at `level` from now on.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn log_at(&self, logger: &str, level: &str) -> Result<()> {
        let (status, body) = ask(self.admin, Method::POST, &format!("/logging?{logger}={level}")).await?;
        ensure!(status == StatusCode::OK, "{}", String::from_utf8_lossy(&body));
        Ok(())
    }

    /// A counter or gauge of its own, 0 where it has none of that name.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn stat(&self, name: &str) -> Result<u64> {
        let (_, stats) = get(self.admin, "/stats").await?;
        let value = stats.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")?.parse().ok());
        Ok(value.unwrap_or_default())
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let last = lines.get(lines.len().saturating_sub(60)..).unwrap_or_default().join("\n");
            eprintln!("--- Envoy's log, from {}\n{last}\n---", self.folder.display());
        }
    }
}

/// A plain request to a server on this machine.
///
/// # Errors
/// When there is no answer.
pub async fn get(address: SocketAddr, path: &str) -> Result<(StatusCode, String)> {
    let (status, body) = get_bytes(address, path).await?;
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

/// The same, for answers that are no text.
///
/// # Errors
/// When there is no answer.
pub async fn get_bytes(address: SocketAddr, path: &str) -> Result<(StatusCode, Bytes)> {
    ask(address, Method::GET, path).await
}

async fn ask(address: SocketAddr, method: Method, path: &str) -> Result<(StatusCode, Bytes)> {
    let stream = TokioIo::new(TcpStream::connect(address).await?);
    let (mut sender, connection) = http1::handshake(stream).await?;
    tokio::spawn(connection);
    let request = Request::builder().method(method).uri(path).header("host", address.to_string());
    let request = request.body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    Ok((status, response.into_body().collect().await?.to_bytes()))
}
