//! `cargo bench -p hexr-authz-core`: whether rate limits are exact, and what a limited decision costs.
//!
//! Native, with threads as workers. They share a map as Envoy's workers share its data: one lock, values copied under it,
//! a version for compare-and-swap. What Envoy adds is measured there.

use std::{
    cell::Cell,
    collections::HashMap,
    error::Error,
    rc::Rc,
    sync::{
        Barrier, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use hexr_authz_core::{
    audit_log::{Ledger, LedgerFault, Swap, Versioned},
    authorizer::Authorizer,
    config::Config,
    decision::{Decision, DecisionId},
    identity::Peer,
    policy::Moment,
    request::Request,
    timestamp::Timestamp,
};
use rcgen::{CertificateParams, KeyPair, SanType, string::Ia5String};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const WORKERS: usize = 4;

/// What Envoy's shared data is to its workers.
#[derive(Default)]
struct Shared {
    values: Mutex<HashMap<String, (Vec<u8>, u32)>>,
    outruns: AtomicU64,
}

impl Ledger for Shared {
    fn read(&self, key: &str) -> Result<Versioned, LedgerFault> {
        let values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        let (value, version) = values.get(key).cloned().unwrap_or_default();
        Ok(Versioned { value, version })
    }

    fn replace(&self, key: &str, value: &[u8], version: u32) -> Result<Swap, LedgerFault> {
        let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        let known = values.entry(key.to_owned()).or_default();
        if known.1 != version {
            self.outruns.fetch_add(1, Ordering::Relaxed);
            return Ok(Swap::Outrun);
        }
        // Versions here count by key, and no key is written four billion times.
        *known = (value.to_vec(), version + 1);
        Ok(Swap::Done)
    }

    fn now(&self) -> Result<Timestamp, LedgerFault> {
        now().map_err(|error| LedgerFault(error.to_string()))
    }
}

fn now() -> Outcome<Timestamp> {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
    Ok(Timestamp::from_unix_nanos(i64::try_from(nanos)?))
}

/// The operator's own way to write it, with so many calls in an hour.
fn authorizer(limit: usize) -> Outcome<Authorizer> {
    of_policy(&format!(
        "package hexr.authz\nallow {{ count(recent_calls) < {limit} }}\nrecent_calls[call] {{\n  call := data.audit_log[_]\n  \
         call.agent == input.agent\n  call.timestamp > time.now_ns() - 3600000000000\n}}\n"
    ))
}

/// Is evaluated each time, as those that count are.
const UNLIMITED: &str = "package hexr.authz\nallow { time.now_ns() > 0; input.role == \"researcher\" }\n";

fn of_policy(policy: &str) -> Outcome<Authorizer> {
    let config = serde_json::json!({
        "identity": {"trust_domains": [{"name": "hexr.cloud"}]},
        "policy": {"modules": {"authz.rego": policy}},
        "catalog": {"services": [{"service": "gcp_bigquery", "hosts": ["h"], "kind": "http",
            "actions": [{"action": "query", "method": "POST", "path": "/**"}]}]},
        "audit_log": {"window_seconds": 3600, "tenant_bytes": 64 << 20},
    });
    let config = Config::read(&config.to_string(), &|_| None).map_err(|problems| problems.to_string())?;
    Ok(Authorizer::new(Rc::new(config)))
}

fn certificates(count: usize) -> Outcome<Vec<String>> {
    let key = KeyPair::generate()?;
    (0..count)
        .map(|agent| {
            let id = format!("spiffe://hexr.cloud/agent/tenant-{}/agent-{agent:06}/researcher", agent % 97);
            let mut params = CertificateParams::default();
            params.subject_alt_names = vec![SanType::URI(Ia5String::try_from(id)?)];
            Ok(params.self_signed(&key)?.pem())
        })
        .collect()
}

fn peers(authorizer: &Authorizer, certificates: &[String]) -> Vec<Peer> {
    let trust_domains = &authorizer.config().trust_domains;
    certificates.iter().map(|pem| trust_domains.identify(pem.as_bytes())).collect()
}

/// Decides once; the reason of a refusal.
fn ask(authorizer: &Authorizer, peer: &Peer, ledger: &dyn Ledger) -> Outcome<Option<&'static str>> {
    let headers: [(&[u8], &[u8]); 3] = [(b":method", b"POST"), (b":authority", b"h"), (b":path", b"/")];
    let request = Request::parse(headers.into_iter());
    let moment = Moment { now: now()?, seed: 0, is_over: &|_| false };
    match authorizer.decide(peer, &request, moment, ledger, DecisionId::from_random([0; 16])) {
        Decision::Allow(_) => Ok(None),
        Decision::Deny(refusal) => Ok(Some(refusal.denial.reason().code())),
        Decision::Waive(waiver) => Ok(Some(waiver.refusal().denial.reason().code())),
    }
}

/// As many agents as it takes, each asked by all workers until all of its calls are used up, at the same time.
fn exactness(agents: usize, limit: usize) -> Outcome<()> {
    let (shared, certificates) = (Shared::default(), certificates(agents)?);
    let barrier = Barrier::new(WORKERS);
    let asked_by_each = limit / WORKERS + limit / 10;
    let worker = || -> Outcome<(Vec<u32>, HashMap<&'static str, u64>)> {
        let authorizer = authorizer(limit)?;
        let peers = peers(&authorizer, &certificates);
        let (mut allowed, mut refused) = (Vec::new(), HashMap::new());
        barrier.wait();
        for peer in &peers {
            let mut of_agent = 0;
            for _ in 0..asked_by_each {
                match ask(&authorizer, peer, &shared)? {
                    None => of_agent += 1,
                    Some(reason) => *refused.entry(reason).or_default() += 1,
                }
            }
            allowed.push(of_agent);
            // All of them ask for the same agent at the same time.
            barrier.wait();
        }
        Ok((allowed, refused))
    };
    let began = Instant::now();
    let results: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().filter_map(|worker| worker.join().ok()).collect()
    });
    let took = began.elapsed();
    let (mut by_agent, mut refused) = (vec![0_u64; agents], HashMap::<&str, u64>::new());
    for result in results {
        let (allowed, reasons) = result?;
        by_agent.iter_mut().zip(allowed).for_each(|(sum, of_worker)| *sum += u64::from(of_worker));
        reasons.into_iter().for_each(|(reason, count)| *refused.entry(reason).or_default() += count);
    }
    let most = limit as u64;
    let over: u64 = by_agent.iter().map(|allowed| allowed.saturating_sub(most)).sum();
    let under: u64 = by_agent.iter().map(|allowed| most.saturating_sub(*allowed)).sum();
    println!("exactness: {agents} agents of {limit} calls, {WORKERS} workers, {took:.1?}");
    println!("  admitted {}, over {over}, under {under}", by_agent.iter().sum::<u64>());
    println!("  races lost {}, refused {refused:?}", shared.outruns.load(Ordering::Relaxed));
    let contention = refused.get("audit_log_contention").copied().unwrap_or_default();
    if over > 0 || under > 0 || contention > 0 {
        return Err("the limit was not exact".into());
    }
    Ok(())
}

/// A ledger that forgets what was written, so that every decision is the same.
struct Frozen<'a> {
    shared: &'a Shared,
    version: Cell<u32>,
}

impl Ledger for Frozen<'_> {
    fn read(&self, key: &str) -> Result<Versioned, LedgerFault> {
        self.shared.read(key)
    }

    fn replace(&self, key: &str, value: &[u8], _version: u32) -> Result<Swap, LedgerFault> {
        // As much work as a write: a copy, under the lock, of what goes away again.
        self.version.set(self.version.get().wrapping_add(1));
        let _values = self.shared.values.lock().unwrap_or_else(PoisonError::into_inner);
        std::hint::black_box((key.to_owned(), value.to_vec()));
        Ok(Swap::Done)
    }

    fn now(&self) -> Result<Timestamp, LedgerFault> {
        self.shared.now()
    }
}

/// The time of a decision in microseconds, over so many with the agents taken in turn.
fn round(authorizer: &Authorizer, peers: &[&Peer], shared: &Shared) -> Outcome<f64> {
    const DECISIONS: usize = 200;
    let frozen = Frozen { shared, version: Cell::new(0) };
    let step = peers.len() / 7 * 3 + 1;
    let began = Instant::now();
    for turn in 0..DECISIONS {
        if let Some(peer) = peers.get(turn * step % peers.len()) {
            std::hint::black_box(ask(authorizer, peer, &frozen)?);
        }
    }
    Ok(began.elapsed().as_secs_f64() * 1e6 / DECISIONS as f64)
}

/// What is measured side by side: a policy, who asks, and what the log holds.
struct Setting<'a> {
    authorizer: &'a Authorizer,
    peers: Vec<&'a Peer>,
    shared: &'a Shared,
}

/// Each setting's median time in microseconds, and the median of its ratios to the first, each of one round: what slows
/// the machine down for a while slows all of a round.
fn side_by_side(settings: &[Setting<'_>]) -> Outcome<Vec<(f64, f64)>> {
    const ROUNDS: usize = 101;
    let mut times = vec![Vec::new(); settings.len()];
    let mut ratios = times.clone();
    for _ in 0..ROUNDS {
        let mut first = None;
        for (setting, (times, ratios)) in settings.iter().zip(times.iter_mut().zip(&mut ratios)) {
            let time = round(setting.authorizer, &setting.peers, setting.shared)?;
            times.push(time);
            ratios.push(time / *first.get_or_insert(time));
        }
    }
    Ok(times.into_iter().zip(ratios).map(|(times, ratios)| (median(times), median(ratios))).collect())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn fill(authorizer: &Authorizer, peers: &[Peer], calls: usize) -> Outcome<Shared> {
    let shared = Shared::default();
    for _ in 0..calls {
        for peer in peers {
            if let Some(reason) = ask(authorizer, peer, &shared)? {
                return Err(format!("refused while filling: {reason}").into());
            }
        }
    }
    Ok(shared)
}

fn by_calls() -> Outcome<()> {
    println!("\ncost of a decision by calls in the window: µs, and times that with the first");
    println!("{:>8}{:>22}{:>22}", "calls", "allowed", "denied");
    let certificates = certificates(1)?;
    let counts = [10, 0, 100, 1_000, 5_000];
    let allowing = authorizer(1_000_000)?;
    let allowed_peers = peers(&allowing, &certificates);
    let denying = counts.map(authorizer);
    let denying: Vec<Authorizer> = denying.into_iter().collect::<Outcome<_>>()?;
    let denied_peers: Vec<_> = denying.iter().map(|authorizer| peers(authorizer, &certificates)).collect();
    let shared: Vec<Shared> =
        counts.iter().map(|calls| fill(&allowing, &allowed_peers, *calls)).collect::<Outcome<_>>()?;
    let allowed: Vec<_> = shared
        .iter()
        .map(|shared| Setting { authorizer: &allowing, peers: allowed_peers.iter().collect(), shared })
        .collect();
    let denied: Vec<_> = denying
        .iter()
        .zip(&denied_peers)
        .zip(&shared)
        .map(|((authorizer, peers), shared)| Setting { authorizer, peers: peers.iter().collect(), shared })
        .collect();
    let rows = side_by_side(&allowed)?.into_iter().zip(side_by_side(&denied)?);
    for (calls, ((allowed, of_allowed), (denied, of_denied))) in counts.iter().zip(rows) {
        println!("{calls:>8}{allowed:>14.2} ×{of_allowed:<6.2}{denied:>14.2} ×{of_denied:<6.2}");
    }
    Ok(())
}

/// So many agents, each with its calls in a log.
struct Population {
    peers: Vec<Peer>,
    shared: Shared,
}

/// What the log makes of more agents in it is what the same few agents pay more. Where all of them ask in turn, what the
/// benchmark itself knows of each (its identity, its place in the map) is in no cache of the processor either, which shows
/// in what a policy without a limit costs.
fn by_agents() -> Outcome<()> {
    const ASKING: usize = 10;
    const POPULATIONS: [usize; 3] = [10, 1_000, 100_000];
    println!(
        "\ncost of a decision by agents in the log, with 20 calls each: µs, and times that with the first"
    );
    println!(
        "{:>8}{:>22}{:>22}{:>22}{:>14}",
        "agents", "the same 10 ask", "all in turn", "all, no limit", "MiB in all"
    );
    let (limited, unlimited) = (authorizer(1_000_000)?, of_policy(UNLIMITED)?);
    let populations: Vec<Population> = POPULATIONS
        .iter()
        .map(|agents| {
            let peers = peers(&limited, &certificates(*agents)?);
            let shared = fill(&limited, &peers, 20)?;
            Ok(Population { peers, shared })
        })
        .collect::<Outcome<_>>()?;
    let ask_by = |authorizer, asking: usize| {
        let settings: Vec<_> = populations
            .iter()
            .map(|Population { peers, shared }| Setting {
                authorizer,
                peers: peers.iter().step_by((peers.len() / asking).max(1)).collect(),
                shared,
            })
            .collect();
        side_by_side(&settings)
    };
    let (same, all, free) =
        (ask_by(&limited, ASKING)?, ask_by(&limited, usize::MAX)?, ask_by(&unlimited, usize::MAX)?);
    for ((((population, same), all), free), agents) in
        populations.iter().zip(same).zip(all).zip(free).zip(POPULATIONS)
    {
        let values = population.shared.values.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes: usize = values.iter().map(|(key, (value, _))| key.len() + value.len()).sum();
        let shown = |(time, ratio): (f64, f64)| format!("{time:.2} ×{ratio:<6.2}");
        println!(
            "{agents:>8}{:>23}{:>23}{:>23}{:>14.1}",
            shown(same),
            shown(all),
            shown(free),
            bytes as f64 / f64::from(1 << 20)
        );
    }
    Ok(())
}

fn main() -> Outcome<()> {
    // `cargo test --benches` and tools that list tests pass arguments of their own.
    if std::env::args().any(|argument| argument == "--list" || argument == "--test") {
        return Ok(());
    }
    by_calls()?;
    by_agents()?;
    println!();
    exactness(10_000, 100)
}
