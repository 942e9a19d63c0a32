//! What holds a limit over a fleet of Envoys: a Redis, and the rate limit service before it, as processes.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, PoisonError},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::{
    artifacts,
    eventually::eventually,
    process::Process,
    redis_binary, repository,
    stack::{ANY_PORT, PATIENCE},
    target_folder,
};

/// A running Redis that keeps nothing on disk; it ends when dropped.
pub struct Redis {
    process: Process,
    address: SocketAddr,
}

/// A running rate limit service; it ends when dropped.
pub struct RateLimitService {
    _process: Process,
    address: SocketAddr,
}

/// Which rate limit service.
#[derive(Clone, Debug)]
pub enum Kind {
    /// `integration/rate-limit-service`, which needs nothing.
    Own,
    /// Envoy's, `github.com/envoyproxy/ratelimit`: this binary.
    OfEnvoy(PathBuf),
}

/// The limits of `envoy-config/limits.yaml`.
#[derive(Clone, Debug)]
pub struct Limits(Value);

/// Envoy's rate limit service has no releases; this is what is tested.
const ENVOYS: &str = "github.com/envoyproxy/ratelimit/src/service_cmd@v1.4.1-0.20260122083618-3fb702589d36";

// === impl Redis ===

impl Redis {
    /// Starts one at `address`; port 0 takes a free one. What it logs goes into `folder`.
    ///
    /// # Errors
    /// When there is none, or it does not start.
    pub async fn start(address: SocketAddr, folder: &Path) -> Result<Self> {
        let address = free(address)?;
        fs::create_dir_all(folder)?;
        let mut command = redis_binary::command()?;
        command
            .args(["--bind", &address.ip().to_string(), "--port", &address.port().to_string()])
            .args(["--save", "", "--appendonly", "no", "--dir"])
            .arg(folder);
        let redis = Self { process: Process::start(&mut command, &folder.join("redis.log"))?, address };
        eventually(PATIENCE, "Redis", async || TcpStream::connect(address).await.ok()).await?;
        Ok(redis)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Has it answer nobody, with all connections open, or go on.
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub fn freeze(&self, frozen: bool) -> Result<()> {
        let signal = if frozen { "-STOP" } else { "-CONT" };
        let status = Command::new("kill").args([signal, &self.process.id().to_string()]).status()?;
        ensure!(status.success(), "Redis cannot be signalled");
        Ok(())
    }
}

// === impl Kind ===

impl Kind {
    /// Those that this machine can have: Envoy's is made by Go.
    ///
    /// # Errors
    /// When the build's folder is not known.
    pub fn all() -> Result<Vec<Self>> {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = target_folder()?.join("ratelimit").join(ENVOYS.rsplit('@').next().unwrap_or_default());
        let binary = folder.join("service_cmd");
        if !binary.is_file() {
            let mut go = Command::new("go");
            go.args(["install", ENVOYS]).env("GOBIN", &folder).env("GOFLAGS", "-mod=mod");
            if !go.status().is_ok_and(|status| status.success()) {
                println!(
                    "no Go that makes Envoy's own rate limit service is on this machine: the other one is tested"
                );
                return Ok(vec![Self::Own]);
            }
        }
        Ok(vec![Self::Own, Self::OfEnvoy(binary)])
    }
}

// === impl RateLimitService ===

impl RateLimitService {
    /// Starts one at `address`; port 0 takes a free one. `folder` has what [`Limits::write`] wrote, and gets its log.
    ///
    /// # Errors
    /// When it cannot be built or does not start.
    pub async fn start(kind: &Kind, address: SocketAddr, redis: SocketAddr, folder: &Path) -> Result<Self> {
        let address = free(address)?;
        let mut command = match kind {
            Kind::Own => {
                let mut command = Command::new(artifacts::rate_limit_service()?);
                command.args(["--addr", &address.to_string(), "--redis", &format!("redis://{redis}")]);
                command.arg("--limits").arg(folder.join("config/limits.yaml"));
                command
            }
            Kind::OfEnvoy(binary) => {
                let (http, debug) = (free(ANY_PORT)?.port(), free(ANY_PORT)?.port());
                let mut command = Command::new(binary);
                command
                    .envs([("REDIS_SOCKET_TYPE", "tcp"), ("USE_STATSD", "false"), ("LOG_LEVEL", "warn")])
                    .envs([("REDIS_URL", redis.to_string()), ("GRPC_HOST", address.ip().to_string())])
                    .envs(
                        [("GRPC_PORT", address.port()), ("PORT", http), ("DEBUG_PORT", debug)]
                            .map(|(name, port)| (name, port.to_string())),
                    )
                    .envs([
                        ("HOST", "127.0.0.1"),
                        ("DEBUG_HOST", "127.0.0.1"),
                        ("RUNTIME_WATCH_ROOT", "false"),
                    ])
                    .env("RUNTIME_ROOT", folder)
                    .envs([("RUNTIME_SUBDIRECTORY", "."), ("RUNTIME_APPDIRECTORY", "config")]);
                command
            }
        };
        let service = Self { _process: Process::start(&mut command, &folder.join("service.log"))?, address };
        let listens = async || TcpStream::connect(address).await.ok();
        eventually(PATIENCE, "the rate limit service", listens)
            .await
            .with_context(|| folder.display().to_string())?;
        Ok(service)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

// === impl Limits ===

impl Limits {
    /// The shipped ones.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn shipped() -> Result<Self> {
        let path = repository().join("envoy-config/limits.yaml");
        Ok(Self(yaml_serde::from_str(&fs::read_to_string(&path).context("envoy-config/limits.yaml")?)?))
    }

    /// Lets each agent make so many calls in each second, minute, ....
    ///
    /// # Errors
    /// When the limits are not of the shipped shape.
    pub fn of_agents(mut self, calls: usize, unit: &str) -> Result<Self> {
        let limit =
            self.0.pointer_mut("/descriptors/0/descriptors/0/rate_limit").context("no limit of agents")?;
        *limit = json!({"unit": unit, "requests_per_unit": calls});
        Ok(self)
    }

    /// Writes them for the service, which reads all files in a folder of this name.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder.join("config"))?;
        // JSON is YAML.
        Ok(fs::write(folder.join("config/limits.yaml"), self.0.to_string())?)
    }
}

/// An address that is free now.
fn free(address: SocketAddr) -> Result<SocketAddr> {
    Ok(if address == ANY_PORT { TcpListener::bind(address)?.local_addr()? } else { address })
}
