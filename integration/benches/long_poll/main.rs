//! `cargo bench --bench long_poll`: how soon 5,000 clients that wait for a new bundle have it after an edit of a file, and
//! what their waiting costs the server. `-- --clients N` asks for other numbers.

use std::{
    fs,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use integration::{
    bundle_server::BundleServer, bundles::allowing, eventually::eventually, policies::Policies,
    stack::ANY_PORT,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Semaphore,
    task::JoinHandle,
    time::{sleep, timeout},
};

#[derive(Parser)]
struct Arguments {
    /// How many clients wait.
    #[arg(long, default_value_t = 5000)]
    clients: usize,
    /// How many times a file is edited.
    #[arg(long, default_value_t = 5)]
    edits: usize,
    /// Cargo passes it.
    #[arg(long, hide = true)]
    bench: bool,
}

const BUNDLE: &str = "/bundles/authz.tar.gz";
/// How long anything may take here.
const PATIENCE: Duration = Duration::from_secs(120);
/// How many clients connect at the same time.
const CONNECTING: usize = 100;
/// How long the server is watched while nothing happens.
const REST: Duration = Duration::from_secs(5);
/// The goal.
const GOAL: Duration = Duration::from_secs(1);

fn main() -> Result<()> {
    // `cargo test --benches` and tools that list tests pass arguments of their own.
    if std::env::args().any(|argument| argument == "--list" || argument == "--test") {
        return Ok(());
    }
    let arguments = Arguments::parse();
    let wanted = arguments.clients as u64 + 200;
    let files = rlimit::increase_nofile_limit(wanted)?;
    ensure!(files >= wanted, "{wanted} open files are needed, and {files} are allowed");
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?
        .block_on(run(&arguments))
}

async fn run(arguments: &Arguments) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let policies = Policies::of(&folder.path().join("policies"), &allowing("role-0"))?;
    let server = BundleServer::start(ANY_PORT, policies.folder(), &folder.path().join("server.log"))?;
    let mut slowest = Duration::ZERO;
    println!("{} clients wait; after an edit of a file they have the new bundle within", arguments.clients);
    println!("| edit | first | median | p99 | last |\n|---|---|---|---|---|");
    let mut rest = None;
    for edit in 1..=arguments.edits {
        let waiting = connect(&server, arguments.clients).await?;
        if rest.is_none() {
            let before = processor_time(&server)?;
            sleep(REST).await;
            rest = Some((processor_time(&server)?.saturating_sub(before), resident(&server)?));
        }
        let edited = Instant::now();
        policies.write("authz.rego", &allowing(&format!("role-{edit}")))?;
        let mut took = Vec::with_capacity(waiting.len());
        for client in waiting {
            let at = timeout(PATIENCE, client).await???;
            took.push(at.saturating_duration_since(edited));
        }
        took.sort_unstable();
        let at = |share: usize| took.get(took.len() * share / 1000).copied().unwrap_or_default();
        let last = took.last().copied().context("no client")?;
        println!("| {edit} | {:.0?} | {:.0?} | {:.0?} | {last:.0?} |", at(0), at(500), at(990));
        slowest = slowest.max(last);
    }
    let (spent, resident) = rest.context("no edit")?;
    println!("\nwhile all wait, the server takes {spent:?} of a core in {REST:?}, and holds {resident} MiB");
    ensure!(slowest < GOAL, "the last client had it after {slowest:?}, and the goal is {GOAL:?}");
    Ok(())
}

/// Connects clients that wait; each gives the moment at which its answer came.
async fn connect(server: &BundleServer, clients: usize) -> Result<Vec<JoinHandle<Result<Instant>>>> {
    let current = server.get(BUNDLE, &[]).await?;
    let etag = current.header("etag").context("no ETag")?;
    let request: Arc<str> = format!(
        "GET {BUNDLE} HTTP/1.1\r\nhost: bundles\r\nprefer: modes=snapshot;wait=600\r\nif-none-match: {etag}\r\n\r\n"
    )
    .into();
    let permits = Arc::new(Semaphore::new(CONNECTING));
    let mut waiting = Vec::with_capacity(clients);
    for _ in 0..clients {
        let permit = Arc::clone(&permits).acquire_owned().await?;
        let (request, address) = (Arc::clone(&request), server.address());
        waiting.push(tokio::spawn(async move {
            let mut stream = ask(address, &request).await?;
            drop(permit);
            let mut answer = [0; 12];
            stream.read_exact(&mut answer).await?;
            let at = Instant::now();
            ensure!(&answer == b"HTTP/1.1 200", "{}", String::from_utf8_lossy(&answer));
            Ok(at)
        }));
    }
    let line = format!("hexr_authz_server_waiting {clients}");
    eventually(PATIENCE, &line, async || {
        sleep(Duration::from_millis(50)).await;
        let answer = server.get("/metrics", &[]).await.ok()?;
        String::from_utf8_lossy(&answer.body).lines().any(|found| found == line).then_some(())
    })
    .await?;
    Ok(waiting)
}

async fn ask(address: SocketAddr, request: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request.as_bytes()).await?;
    Ok(stream)
}

/// How long the server has been at work.
fn processor_time(server: &BundleServer) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", server.process_id()))?;
    // The name of the program, in parentheses, may have spaces.
    let (_, fields) = stat.rsplit_once(')').context("no process")?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
    let ticks = ticks.sum::<Result<u64, _>>()?;
    Ok(Duration::from_millis(ticks.saturating_mul(10)))
}

fn resident(server: &BundleServer) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", server.process_id()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no memory")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse::<u64>()? / 1024)
}
