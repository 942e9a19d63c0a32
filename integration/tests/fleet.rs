//! Limits over a fleet: two real Envoys, Envoy's own rate limit filter behind ours, a rate limit service and a Redis.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use integration::{
    agent::{Agent, Answer, Connection},
    envoy::Envoy,
    eventually::eventually,
    rate_limits::{Kind, Limits, RateLimitService, Redis},
    stack::{ANY_PORT, Foundation, PATIENCE, Stack},
};

const BIGQUERY: &str = "bigquery.googleapis.com";
const QUERY: &str = "/bigquery/v2/projects/p/queries";
const LIMIT: usize = 20;
/// Time enough for any test: a limit that is counted anew in the middle of one would let more pass.
const YEAR: u64 = 365 * 86_400;

const POLICY: &str = "package hexr.authz\ndefault allow := false\nallow { input.role == \"researcher\" }\n";

/// Two Envoys, what they share, and agents that choose between them.
struct Fleet {
    first: Stack,
    second: Envoy,
    limits: Parts,
}

/// What holds the limits; each may go away.
struct Parts {
    redis: Option<Redis>,
    service: Option<RateLimitService>,
}

/// What a request came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Passed,
    OverLimit,
    Denied,
    Unavailable,
}

// === impl Fleet ===

impl Fleet {
    /// With a limit for each agent in each second, minute, ....
    async fn start(kind: &Kind, unit: &str) -> Result<Self> {
        let foundation = Foundation::lay().await?;
        let redis = Redis::start(ANY_PORT, &foundation.path("redis")).await?;
        let folder = foundation.path("limits");
        Limits::shipped()?.of_agents(LIMIT, unit)?.write(&folder)?;
        let service = RateLimitService::start(kind, ANY_PORT, redis.address(), &folder).await?;
        let config = foundation.fleet_config(POLICY, service.address())?;
        let second = Envoy::start(&config, 2, &foundation.path("second-envoy")).await?;
        let first = foundation.start(&config, 2).await?;
        first.wait_until_ready().await?;
        first.exchange.take();
        Ok(Self { first, second, limits: Parts { redis: Some(redis), service: Some(service) } })
    }

    /// An agent of a tenant in a role, at the first Envoy and at the second.
    fn agents(&self, tenant: &str, agent: &str, role: &str) -> Result<[Agent; 2]> {
        let authority = &self.first.authority;
        let svid = authority.svid(&[&format!("spiffe://hexr.cloud/agent/{tenant}/{agent}/{role}")])?;
        let at = |envoy: &Envoy| Agent::new(envoy.agents(), authority, Some(&svid));
        Ok([at(&self.first.envoy)?, at(&self.second)?])
    }

    /// How many of the agent's calls pass when it asks at one Envoy and the other in turn, until each has refused often.
    /// All that pass, and nothing else, reach the credential exchange.
    async fn pass_in_turn(&self, agents: &[Agent; 2], headers: &[(&str, &[u8])]) -> Result<usize> {
        let before = self.first.exchange.count();
        let (mut passed, mut refused) = (0, 0);
        let [one, other] = agents;
        let mut connections = [one.connect().await?, other.connect_http2().await?];
        while refused < 6 {
            for connection in &mut connections {
                match ask(connection, headers).await? {
                    Outcome::Passed => passed += 1,
                    Outcome::OverLimit => refused += 1,
                    outcome @ (Outcome::Denied | Outcome::Unavailable) => bail!("{outcome:?}"),
                }
            }
            ensure!(passed < 10 * LIMIT, "there is no limit");
        }
        assert_eq!(self.first.exchange.count() - before, passed);
        Ok(passed)
    }

    /// Each Envoy refuses, for the limit cannot be looked up; nothing reaches the credential exchange.
    async fn all_unavailable(&self, agents: &[Agent; 2]) -> Result<()> {
        let before = self.first.exchange.count();
        for agent in agents.iter().cycle().take(8) {
            assert_eq!(ask(&mut agent.connect().await?, &[]).await?, Outcome::Unavailable);
        }
        assert_eq!(self.first.exchange.count(), before);
        Ok(())
    }

    async fn passes_again(&self, agents: &[Agent; 2]) -> Result<()> {
        for agent in agents {
            eventually(PATIENCE, "a call that passes again", async || {
                let outcome = ask(&mut agent.connect().await.ok()?, &[]).await.ok()?;
                (outcome == Outcome::Passed).then_some(())
            })
            .await?;
        }
        Ok(())
    }
}

/// Asks once; an answer that is none of the four is an error, and so is one that lacks what its caller is to see.
async fn ask(connection: &mut Connection, headers: &[(&str, &[u8])]) -> Result<Outcome> {
    outcome(&connection.send_with("POST", BIGQUERY, QUERY, headers).await?)
}

fn outcome(answer: &Answer) -> Result<Outcome> {
    let error = answer.json().and_then(|body| Some(body.get("error")?.as_str()?.to_owned()));
    let number = |name: &str| answer.header(name).and_then(|value| value.parse::<u64>().ok());
    match (answer.status.as_u16(), error.as_deref(), answer.reason().as_deref()) {
        (200, None, None) => {
            number("x-ratelimit-remaining").with_context(|| format!("no remaining calls: {answer:?}"))?;
            Ok(Outcome::Passed)
        }
        (429, Some("access_denied"), None) => {
            let after = number("retry-after").with_context(|| format!("no retry-after: {answer:?}"))?;
            ensure!((1..=YEAR).contains(&after) && number("x-ratelimit-remaining") == Some(0), "{answer:?}");
            ensure!(
                answer
                    .json()
                    .is_some_and(|body| body.get("service").is_some_and(|service| service == "gcp_bigquery")),
                "{answer:?}"
            );
            Ok(Outcome::OverLimit)
        }
        // The filter's own, as Google's clients read it.
        (403, None, Some("policy_denied")) => Ok(Outcome::Denied),
        (503, Some("unavailable"), None) => Ok(Outcome::Unavailable),
        _ => bail!("{answer:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_limit_holds_over_all_envoys_and_no_agent_can_raise_its_share() -> Result<()> {
    for kind in Kind::all()? {
        holds_over_all_envoys(&kind).await.with_context(|| format!("{kind:?}"))?;
    }
    Ok(())
}

async fn holds_over_all_envoys(kind: &Kind) -> Result<()> {
    let fleet = Fleet::start(kind, "year").await?;
    let greedy = fleet.agents("acme-corp", "content-crew", "researcher")?;

    // Many connections to both, at once.
    let mut tasks = Vec::new();
    for agent in greedy.iter().cycle().take(16) {
        let mut connection = agent.connect().await?;
        tasks.push(tokio::spawn(async move {
            let mut passed = 0;
            for _ in 0..10 {
                match ask(&mut connection, &[]).await? {
                    Outcome::Passed => passed += 1,
                    Outcome::OverLimit => {}
                    outcome @ (Outcome::Denied | Outcome::Unavailable) => bail!("{outcome:?}"),
                }
            }
            Ok(passed)
        }));
    }
    let mut passed = 0;
    for task in tasks {
        passed += task.await??;
    }
    assert!(passed <= LIMIT, "{passed} passed");
    assert_eq!(fleet.first.exchange.count(), passed);
    passed += fleet.pass_in_turn(&greedy, &[]).await?;
    assert_eq!(passed, LIMIT);

    // What it says of itself neither gives it more nor takes from whom it names, in no spelling and in no role.
    let spellings: [&[(&str, &[u8])]; 4] = [
        &[("x-hexr-tenant", b"globex"), ("x-hexr-agent", b"victim")],
        &[("X-Hexr-Tenant", b"globex"), ("X-HEXR-AGENT", b"victim"), ("x-hexr-agent", b"another")],
        &[("x_hexr_tenant", b"globex"), ("x-hexr_agent", b"victim")],
        &[("x-hexr-agent", b""), ("x-hexr-tenant", b"")],
    ];
    for headers in spellings {
        assert_eq!(fleet.pass_in_turn(&greedy, headers).await?, 0, "{headers:?}");
    }
    // Others have their own: the one that was named, its namesake with another tenant, another agent of the tenant.
    for (tenant, agent) in [("globex", "victim"), ("globex", "content-crew"), ("acme-corp", "another-crew")] {
        let agents = fleet.agents(tenant, agent, "researcher")?;
        assert_eq!(fleet.pass_in_turn(&agents, &[]).await?, LIMIT, "{tenant} {agent}");
    }

    // What the policy denies costs nothing.
    let denied = fleet.agents("acme-corp", "curious-crew", "viewer")?;
    for agent in denied.iter().cycle().take(2 * LIMIT) {
        assert_eq!(ask(&mut agent.connect().await?, &[]).await?, Outcome::Denied);
    }
    let allowed = fleet.agents("acme-corp", "curious-crew", "researcher")?;
    assert_eq!(fleet.pass_in_turn(&allowed, &[]).await?, LIMIT);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_pass_again_after_the_time_that_the_caller_is_told() -> Result<()> {
    for kind in Kind::all()? {
        let fleet = Fleet::start(&kind, "second").await?;
        let agents = fleet.agents("acme-corp", "content-crew", "researcher")?;
        // As many as it takes until one is refused; a second may end meanwhile.
        let mut connection = agents[0].connect().await?;
        eventually(PATIENCE, "a refusal", async || {
            (ask(&mut connection, &[]).await.ok()? == Outcome::OverLimit).then_some(())
        })
        .await?;
        let (_, took) = eventually(PATIENCE, "a call that passes again", async || {
            (ask(&mut connection, &[]).await.ok()? == Outcome::Passed).then_some(())
        })
        .await?;
        assert!(took < Duration::from_secs(2), "{kind:?}: {took:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_passes_while_the_limit_cannot_be_looked_up() -> Result<()> {
    for kind in Kind::all()? {
        refuses_while_away(&kind).await.with_context(|| format!("{kind:?}"))?;
    }
    Ok(())
}

async fn refuses_while_away(kind: &Kind) -> Result<()> {
    let mut fleet = Fleet::start(kind, "second").await?;
    let agents = fleet.agents("acme-corp", "content-crew", "researcher")?;
    let address = fleet.limits.redis.as_ref().context("no Redis")?.address();

    // Redis says nothing, then is gone, then is back with nothing in it.
    fleet.limits.redis.as_ref().context("no Redis")?.freeze(true)?;
    fleet.all_unavailable(&agents).await?;
    fleet.limits.redis.as_ref().context("no Redis")?.freeze(false)?;
    fleet.passes_again(&agents).await?;
    fleet.limits.redis = None;
    fleet.all_unavailable(&agents).await?;
    fleet.limits.redis = Some(Redis::start(address, &fleet.first.path("redis")).await?);
    fleet.passes_again(&agents).await?;

    // The service is gone, then back.
    let service = fleet.limits.service.take().context("no service")?.address();
    fleet.all_unavailable(&agents).await?;
    fleet.limits.service =
        Some(RateLimitService::start(kind, service, address, &fleet.first.path("limits")).await?);
    fleet.passes_again(&agents).await?;
    // Each second that the calls reach into lets as many pass.
    let started = Instant::now();
    let passed = fleet.pass_in_turn(&agents, &[]).await?;
    let seconds = usize::try_from(started.elapsed().as_secs())? + 2;
    assert!(passed <= seconds * LIMIT, "{passed} passed in {seconds} seconds");
    Ok(())
}
