//! What grows, and how an Envoy comes to be as far.

use std::time::Duration;

use anyhow::{Result, ensure};
use integration::{
    agent::{Agent, Answer},
    bundles::{bundle_of, packed},
    envoy_config::set,
    measure::{
        load::{HOST, Lanes, PATH, Protocol},
        policies::{EVERY_TIME, GRANTED, SECOND, grants, limit, policy},
        subject::{Load, Subject},
    },
    scripted_server::{Script, ScriptedServer},
};
use serde_json::json;

/// What grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Curve {
    /// The rules of the policy, of which the last one allows.
    Rules,
    /// The entries of its data, of which one is looked up.
    Data,
    /// The agents that have calls in the audit log.
    Agents,
    /// The calls of an agent in the window that its limit counts.
    Calls,
    /// The tenants with policies of their own in a worker's memory.
    Tenants,
    /// The threads.
    Workers,
    /// The headers of a request, without pseudo-headers.
    Headers,
}

pub(crate) const ALL: [Curve; 7] =
    [Curve::Rules, Curve::Data, Curve::Agents, Curve::Calls, Curve::Tenants, Curve::Workers, Curve::Headers];

const LANES: usize = 16;
/// The agents of the curve of agents that ask; each has few calls in the log itself.
const ASKING: usize = 64;
/// The lanes of the curve of calls. Each has a turn in two seconds.
const CALLING: usize = 2_000;
const CALLS_IN_A_SECOND: u32 = 1_000;
/// What limits count over, in seconds.
const WINDOW: u64 = 1;
/// How many agents come at a time to have a call in the log.
const AT_A_TIME: usize = 64;

// === impl Curve ===

impl Curve {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rules => "rules",
            Self::Data => "data entries",
            Self::Agents => "agents in the audit log",
            Self::Calls => "calls in the window",
            Self::Tenants => "tenants",
            Self::Workers => "workers",
            Self::Headers => "headers",
        }
    }

    /// How large it gets.
    pub(crate) fn sizes(self, quick: bool) -> &'static [usize] {
        match (self, quick) {
            (Self::Rules, _) => &[10, 100, 1_000, 10_000],
            (Self::Data, _) => &[10, 100, 1_000, 10_000, 100_000],
            (Self::Agents, true) => &[64, 256],
            (Self::Agents, false) => &[64, 1_000, 10_000, 100_000],
            (Self::Calls, _) => &[0, 10, 100, 1_000],
            (Self::Tenants, true) => &[1, 100],
            (Self::Tenants, false) => &[1, 10, 100, 1_000],
            (Self::Workers, _) => &[1, 2],
            (Self::Headers, _) => &[5, 20, 50, 100],
        }
    }

    /// So many requests; where calls are counted they have to come in time.
    pub(crate) fn load(self, requests: usize) -> Load {
        if self == Self::Calls {
            return Load::Paced(CALLS_IN_A_SECOND, Duration::from_millis(requests as u64));
        }
        Load::Closed(requests)
    }

    /// Ours, grown so far.
    pub(crate) async fn ours(self, size: usize) -> Result<(Subject, Lanes)> {
        let subject = match self {
            Self::Rules => Subject::ours(1, &policy(size, &[EVERY_TIME])).await?,
            Self::Data => {
                let module = policy(1, &[EVERY_TIME, GRANTED]);
                Subject::ours_with(1, &module, |config| set(config, "/policy", "data", grants(size))).await?
            }
            Self::Agents => {
                let bytes = 64 << 20;
                let log = json!({"window_seconds": 3_600, "agent_calls": 100_000, "tenant_bytes": bytes});
                let subject =
                    Subject::ours_with(1, &limited(3_600), |config| set(config, "", "audit_log", log))
                        .await?;
                for first in (ASKING..size).step_by(AT_A_TIME) {
                    let answers = call(subject.agents(first..size.min(first + AT_A_TIME), acme)?).await?;
                    ensure!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
                    subject.stack.exchange.take();
                }
                subject
            }
            Self::Calls => {
                let log = json!({"window_seconds": WINDOW, "agent_calls": 100_000});
                Subject::ours_with(1, &limited(WINDOW), |config| set(config, "", "audit_log", log)).await?
            }
            Self::Tenants => with_tenants(size).await?,
            Self::Workers => Subject::ours(u32::try_from(size)?, &policy(1, &[EVERY_TIME])).await?,
            Self::Headers => Subject::ours(1, &policy(1, &[EVERY_TIME])).await?,
        };
        let lanes = self.lanes(&subject, size).await?;
        Ok((subject, lanes))
    }

    /// Envoy without authorization, and the same load for it.
    pub(crate) async fn nothing(self, size: usize) -> Result<(Subject, Lanes)> {
        let workers = if self == Self::Workers { u32::try_from(size)? } else { 1 };
        let subject = Subject::nothing(workers).await?;
        let lanes = self.lanes(&subject, size).await?;
        Ok((subject, lanes))
    }

    async fn lanes(self, subject: &Subject, size: usize) -> Result<Lanes> {
        let agents = match self {
            Self::Agents => subject.agents(0..ASKING, acme)?,
            // As many agents as makes it so many calls of each.
            Self::Calls => {
                let agents = subject.agents(0..callers(size), acme)?;
                agents.iter().cycle().take(CALLING).cloned().collect()
            }
            Self::Tenants => subject.agents(0..LANES, |number| tenant(number % size))?,
            Self::Rules | Self::Data | Self::Workers | Self::Headers => subject.agents(0..LANES, acme)?,
        };
        // Envoy counts `host` and `content-length` too, and takes no more than a hundred.
        let headers = if self == Self::Headers { size - 2 } else { Lanes::usual_headers() };
        Lanes::open(&agents, Protocol::Http1, headers).await
    }
}

fn acme(_: usize) -> String {
    "acme-corp".to_owned()
}

/// A limit over as many seconds, which nobody reaches.
fn limited(seconds: u64) -> String {
    policy(1, &[&limit(seconds * SECOND)])
}

/// How many agents there are for each of them to have so many calls in the window. For none, an agent's last call has left
/// it when its next one comes.
fn callers(calls: usize) -> usize {
    (CALLS_IN_A_SECOND as usize).checked_div(calls).unwrap_or(CALLING)
}

/// Has agents call once, each over a connection of its own.
async fn call(agents: Vec<Agent>) -> Result<Vec<Answer>> {
    let call = |agent: Agent| tokio::spawn(async move { agent.send("POST", HOST, PATH).await });
    let mut answers = Vec::new();
    for call in agents.into_iter().map(call).collect::<Vec<_>>() {
        answers.push(call.await??);
    }
    Ok(answers)
}

fn tenant(number: usize) -> String {
    format!("tenant-{number}")
}

/// One where so many tenants have policies of their own, all of them in the worker's memory. What is polled meanwhile is
/// not measured.
async fn with_tenants(count: usize) -> Result<Subject> {
    let server = ScriptedServer::start(Script::body(404, "")).await?;
    let platform = policy(1, &[EVERY_TIME]);
    server.now_at("/bundles/authz.tar.gz", Script::body(200, packed(&[("authz.rego", &platform)], "1")?));
    for name in (0..count).map(tenant) {
        let manifest = json!({"roots": [format!("hexr/tenants/{name}")], "revision": "1"}).to_string();
        let module = format!("package hexr.tenants[\"{name}\"]\n\nallow if {EVERY_TIME}\n");
        let bundle = bundle_of(&[(".manifest", &manifest), ("tenant.rego", &module)])?;
        server.now_at(&format!("/bundles/tenants/{name}.tar.gz"), Script::body(200, bundle));
    }
    let subject = Subject::start(1, |foundation| {
        foundation.config(server.address())?.with_filter_config(|config| {
            let polling = json!({"min_delay_seconds": 3_600, "max_delay_seconds": 3_600});
            let resource = "bundles/tenants/{tenant}.tar.gz";
            set(config, "/bundles/authz", "polling", polling.clone());
            set(
                config,
                "",
                "tenants",
                json!({"service": "bundles", "resource": resource, "polling": polling}),
            );
        })
    })
    .await?
    .with(server);
    subject.stack.wait_until_ready().await?;
    // Who asks first has a policy fetched.
    let agents = subject.agents(0..count, tenant)?;
    call(agents.clone()).await?;
    Lanes::open(&agents, Protocol::Http1, Lanes::usual_headers()).await?;
    Ok(subject)
}
