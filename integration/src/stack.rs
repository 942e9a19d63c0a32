//! Everything together: certificates, credential exchange, Envoy with the filter, and agents.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Result;
use serde_json::json;
use tempfile::TempDir;

use crate::{
    agent::{Agent, Answer},
    artifacts,
    certificates::Authority,
    credential_exchange::CredentialExchange,
    envoy::Envoy,
    envoy_config::EnvoyConfig,
    eventually::eventually,
};

/// A running stack; it ends, and its folder goes, when dropped.
pub struct Stack {
    /// Envoy, with the filter.
    pub envoy: Envoy,
    /// What allowed requests reach.
    pub exchange: CredentialExchange,
    /// What signs the agents' certificates.
    pub authority: Authority,
    folder: Folder,
}

/// The parts that a stack is made of, before it runs.
pub struct Foundation {
    /// What signs the certificates.
    pub authority: Authority,
    /// What allowed requests reach.
    pub exchange: CredentialExchange,
    folder: Folder,
}

/// A folder for the time of a test; with `KEEP=1` for longer.
struct Folder {
    path: PathBuf,
    _removed_when_dropped: Option<TempDir>,
}

/// An address at which nothing listens and everything is refused.
pub const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1);

/// How long anything may take that usually takes a moment.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The loopback address with a port that the system chooses.
pub const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// The ID of an agent of tenant `acme-corp`.
pub fn spiffe_id(role: &str) -> String {
    format!("spiffe://hexr.cloud/agent/acme-corp/content-crew/{role}")
}

// === impl Foundation ===

impl Foundation {
    /// Makes certificates and starts the credential exchange.
    ///
    /// # Errors
    /// When one of them cannot be had.
    pub async fn lay() -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("hexr-authz-").tempdir()?;
        let folder = if std::env::var_os("KEEP").is_some() {
            let path = directory.keep();
            eprintln!("kept: {}", path.display());
            Folder { path, _removed_when_dropped: None }
        } else {
            Folder { path: directory.path().to_owned(), _removed_when_dropped: Some(directory) }
        };
        Self::lay_in(folder).await
    }

    /// The same in a folder that stays.
    ///
    /// # Errors
    /// When one of them cannot be had.
    pub async fn lay_at(path: &Path) -> Result<Self> {
        Self::lay_in(Folder { path: path.to_owned(), _removed_when_dropped: None }).await
    }

    async fn lay_in(folder: Folder) -> Result<Self> {
        let authority = Authority::new()?;
        authority.write_for_envoy(&folder.path.join("tls"))?;
        Ok(Self { authority, exchange: CredentialExchange::start(ANY_PORT).await?, folder })
    }

    /// A path in the stack's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path.join(name)
    }

    /// The shipped configuration with everything of this machine in it; bundles come from `bundle_server`.
    ///
    /// # Errors
    /// When the filter cannot be built.
    pub fn config(&self, bundle_server: SocketAddr) -> Result<EnvoyConfig> {
        let config = self.fitted(EnvoyConfig::shipped()?, bundle_server)?;
        config.with_cluster("credential-exchange", self.exchange.address())
    }

    fn fitted(&self, config: EnvoyConfig, bundle_server: SocketAddr) -> Result<EnvoyConfig> {
        config
            .with_free_ports()?
            .with_certificates(&self.path("tls"))?
            .with_filter(&artifacts::filter()?)?
            .with_cluster("bundle-server", bundle_server)
    }

    /// The same with a policy in the configuration itself, and no bundle server.
    ///
    /// # Errors
    /// When the filter cannot be built.
    pub fn config_with_policy(&self, module: &str) -> Result<EnvoyConfig> {
        with_policy(self.config(NOWHERE)?, module)
    }

    /// The same of an Envoy of a fleet, whose limits `rate_limit_service` holds.
    ///
    /// # Errors
    /// When the filter cannot be built.
    pub fn fleet_config(&self, module: &str, rate_limit_service: SocketAddr) -> Result<EnvoyConfig> {
        let config = self
            .fitted(EnvoyConfig::shipped_for_a_fleet()?, NOWHERE)?
            .with_cluster("credential-exchange", self.exchange.address())?
            .with_cluster("rate-limit-service", rate_limit_service)?;
        with_policy(config, module)
    }

    /// The shipped configuration that leads to the clouds themselves, with a policy in it.
    ///
    /// # Errors
    /// When the filter cannot be built.
    pub fn direct_config_with_policy(&self, module: &str) -> Result<EnvoyConfig> {
        with_policy(self.fitted(EnvoyConfig::direct()?, NOWHERE)?, module)
    }

    /// Starts Envoy.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(self, config: &EnvoyConfig, workers: u32) -> Result<Stack> {
        self.start_with(config, workers, &[]).await
    }

    /// Starts Envoy with further arguments.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start_with(self, config: &EnvoyConfig, workers: u32, further: &[&str]) -> Result<Stack> {
        let envoy = Envoy::start_with(config, workers, &self.path("envoy"), further).await?;
        Ok(Stack { envoy, exchange: self.exchange, authority: self.authority, folder: self.folder })
    }
}

fn with_policy(config: EnvoyConfig, module: &str) -> Result<EnvoyConfig> {
    config.with_filter_config(|config| {
        if let Some(fields) = config.as_object_mut() {
            fields.remove("services");
            fields.remove("bundles");
            fields.insert("policy".to_owned(), json!({"modules": {"authz.rego": module}}));
        }
    })
}

// === impl Stack ===

impl Stack {
    /// A path in the stack's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path.join(name)
    }

    /// An agent in a role of tenant `acme-corp`.
    ///
    /// # Errors
    /// When its certificate cannot be made.
    pub fn agent(&self, role: &str) -> Result<Agent> {
        self.agent_with(&[&spiffe_id(role)])
    }

    /// An agent whose certificate has these URI SANs.
    ///
    /// # Errors
    /// When its certificate cannot be made.
    pub fn agent_with(&self, uris: &[&str]) -> Result<Agent> {
        Agent::new(self.envoy.agents(), &self.authority, Some(&self.authority.svid(uris)?))
    }

    /// Waits until a new connection is served by a worker with a policy.
    ///
    /// # Errors
    /// When that does not come.
    pub async fn wait_until_ready(&self) -> Result<()> {
        let agent = self.agent("readiness")?;
        eventually(PATIENCE, "a policy in every worker", async || {
            // Connections are spread over the workers.
            for _ in 0..8 {
                let answer = agent.send("GET", "localhost", "/hexr-authz/ready").await.ok()?;
                if answer.status != 200 {
                    return None;
                }
            }
            Some(())
        })
        .await?;
        Ok(())
    }

    /// What the filter answers at its ready path.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn readiness(&self) -> Result<Answer> {
        self.agent("readiness")?.send("GET", "localhost", "/hexr-authz/ready").await
    }
}
