//! An Envoy that is measured, with what it needs beside it.

use std::{any::Any, path::Path, time::Duration};

use anyhow::Result;
use serde_json::{Value, json};

use crate::{
    agent::Agent,
    envoy_config::EnvoyConfig,
    measure::{
        cpu::Processes,
        load::{Lanes, Protocol},
    },
    process::Process,
    stack::{Foundation, Stack},
};

/// A running Envoy, and the processes that work for it.
pub struct Subject {
    /// Envoy, with its agents and the credential exchange.
    pub stack: Stack,
    /// What is charged for its requests.
    pub processes: Processes,
    beside: Vec<Box<dyn Any>>,
}

/// What a load has cost.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// CPU of all processes for a request, in microseconds.
    pub cpu: f64,
    /// Requests in a second.
    pub per_second: f64,
}

/// A load that is measured.
#[derive(Clone, Copy, Debug)]
pub enum Load {
    /// So many requests, each lane as fast as it is answered.
    Closed(usize),
    /// So many requests in a second for some time, after a second of it.
    Paced(u32, Duration),
}

const HTTP: &str = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";

// === impl Subject ===

impl Subject {
    /// Starts Envoy by a configuration of its foundation. It writes no access log, so that what is measured is
    /// authorization.
    pub async fn start(
        workers: u32,
        configure: impl FnOnce(&Foundation) -> Result<EnvoyConfig>,
    ) -> Result<Self> {
        let foundation = Foundation::lay().await?;
        let mut config = configure(&foundation)?;
        *config.at(&format!("{HTTP}/access_log"))? = json!([]);
        let stack = foundation.start(&config, workers).await?;
        let processes = Processes::new([stack.envoy.process_id()]);
        Ok(Self { stack, processes, beside: Vec::new() })
    }

    /// An Envoy without authorization.
    pub async fn nothing(workers: u32) -> Result<Self> {
        Self::start(workers, |foundation| foundation.config_with_policy("")?.with_other_filter(None)).await
    }

    /// One with a filter of somebody else's in our filter's place.
    pub async fn wasm(workers: u32, module: &Path) -> Result<Self> {
        Self::start(workers, |foundation| foundation.config_with_policy("")?.with_filter(module)).await
    }

    /// One with our filter and an embedded policy.
    pub async fn ours(workers: u32, policy: &str) -> Result<Self> {
        Self::ours_with(workers, policy, |_| {}).await
    }

    /// The same in another build of our filter.
    pub async fn ours_in(workers: u32, module: &Path, policy: &str) -> Result<Self> {
        Self::start(workers, |foundation| foundation.config_with_policy(policy)?.with_filter(module)).await
    }

    /// The same, with changes to the filter's configuration.
    pub async fn ours_with(workers: u32, policy: &str, change: impl FnOnce(&mut Value)) -> Result<Self> {
        Self::start(workers, |foundation| foundation.config_with_policy(policy)?.with_filter_config(change))
            .await
    }

    /// Charges what a server does that Envoy asks; it ends with Envoy.
    pub fn with_server(mut self, server: Process) -> Self {
        self.processes = Processes::new([self.stack.envoy.process_id(), server.id()]);
        self.with(server)
    }

    /// Keeps what has to live as long as Envoy.
    pub fn with(mut self, thing: impl Any) -> Self {
        self.beside.push(Box::new(thing));
        self
    }

    /// What is kept of that kind.
    pub fn beside<T: Any>(&self) -> Option<&T> {
        self.beside.iter().find_map(|thing| thing.downcast_ref())
    }

    /// Agents with SPIFFE IDs of their own; `tenant` says of which tenant the agent of a number is.
    pub fn agents(
        &self,
        numbers: impl IntoIterator<Item = usize>,
        tenant: impl Fn(usize) -> String,
    ) -> Result<Vec<Agent>> {
        let id = |number| format!("spiffe://hexr.cloud/agent/{}/crew-{number}/researcher", tenant(number));
        numbers.into_iter().map(|number| self.stack.agent_with(&[&id(number)])).collect()
    }

    /// So many lanes, each of an agent of its own of tenant `acme-corp`.
    pub async fn lanes(&self, count: usize, protocol: Protocol) -> Result<Lanes> {
        let agents = self.agents(0..count, |_| "acme-corp".to_owned())?;
        Lanes::open(&agents, protocol, Lanes::usual_headers()).await
    }

    /// What a load costs.
    pub async fn cost(&self, lanes: &Lanes, load: Load) -> Result<Cost> {
        if let Load::Paced(rate, _) = load {
            lanes.pace(rate, Duration::from_secs(1)).await?;
        }
        let before = self.processes.cpu()?;
        let (requests, time) = match load {
            Load::Closed(requests) => (lanes.sends(requests) as f64, lanes.send(requests).await?),
            Load::Paced(rate, time) => (lanes.pace(rate, time).await?.len() as f64, time),
        };
        let cpu = self.processes.cpu()? - before;
        self.stack.exchange.take();
        Ok(Cost { cpu: cpu.as_secs_f64() * 1e6 / requests, per_second: requests / time.as_secs_f64() })
    }
}
