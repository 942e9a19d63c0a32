//! The demo: what the README promises, played on real parts.

pub mod cast;
mod flip;
mod table;

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use self::{
    cast::{CAST, Character},
    table::{Scene, print_table},
};
use crate::{
    agent::Agent,
    artifacts,
    bundle_server::BundleServer,
    credential_exchange::CredentialExchange,
    envoy_binary,
    eventually::eventually,
    policies::Policies,
    repository,
    stack::{ANY_PORT, Foundation, PATIENCE, Stack},
};

/// The whole demo; with `keep` it stays until it is interrupted.
///
/// # Errors
/// When a part cannot be had, or does not do what it should.
pub async fn everything(keep: bool) -> Result<()> {
    let folder = repository().join("target/demo");
    if folder.exists() {
        fs::remove_dir_all(&folder).context("the folder of the last demo is in use")?;
    }
    println!("Building the filter (WebAssembly) and the bundle server ...");
    artifacts::filter()?;
    artifacts::cli()?;
    let envoy = envoy_binary::find()?;
    println!("Envoy {}: {}", envoy_binary::version()?, envoy.display());

    let foundation = Foundation::lay_at(&folder).await?;
    for character in &CAST {
        character.svid(&foundation.authority)?.write(&folder.join("tls"), character.name)?;
    }
    let policies = Policies::shipped(&folder.join("policies"))?;
    let server = BundleServer::start(ANY_PORT, policies.folder(), &folder.join("bundle-server.log"))?;
    let config = foundation.config(server.address())?.with_filter_config(|config| {
        let reporting = json!({"min_delay_seconds": 1, "max_delay_seconds": 1});
        config["decision_logs"] = json!({"service": "bundles", "reporting": reporting});
        config["status"] = json!({"service": "bundles"});
    })?;
    let stack = foundation.start(&config, 2).await?;
    stack.wait_until_ready().await?;
    println!("bundle server        http://{}/bundles/authz.tar.gz", server.address());
    println!("credential exchange  http://{}", stack.exchange.address());
    println!("Envoy                https://{} (mTLS, two workers)\n", stack.envoy.agents());

    let agent = |character: &Character| {
        Agent::new(stack.envoy.agents(), &stack.authority, Some(&character.svid(&stack.authority)?))
    };
    let scenes = play(agent).await?;
    print_table(&scenes);
    let allowed = scenes.iter().filter(|scene| scene.is_allowed()).count();
    println!(
        "\n{} requests, {allowed} allowed; the credential exchange saw {}.\n",
        scenes.len(),
        stack.exchange.count()
    );
    anyhow::ensure!(allowed == stack.exchange.count(), "the credential exchange saw a denied request");
    stack.exchange.take();

    flip::edit_under_load(&stack, &policies).await?;
    if keep {
        print_commands(&stack, server.address(), &folder);
        interrupted().await?;
    } else {
        println!("\n`cargo demo -- --keep` leaves it running, to try by hand.");
    }
    Ok(())
}

/// Runs the credential exchange alone.
///
/// # Errors
/// When the address cannot be had.
pub async fn credential_exchange(address: SocketAddr) -> Result<()> {
    let exchange = CredentialExchange::start(address).await?;
    println!("listening on http://{}", exchange.address());
    interrupted().await
}

/// Sends the agents' requests to an Envoy that runs already, with the certificates in `tls`.
///
/// # Errors
/// When Envoy does not become ready.
pub async fn agents(envoy: SocketAddr, tls: &Path) -> Result<()> {
    let agent = |character: &Character| cast::agent_from_files(envoy, tls, character);
    let probe = agent(&CAST[0])?;
    eventually(PATIENCE * 3, "a policy in Envoy", async || {
        let answer = probe.send("GET", "localhost", "/hexr-authz/ready").await.ok()?;
        (answer.status == 200).then_some(())
    })
    .await?;
    print_table(&play(agent).await?);
    Ok(())
}

/// Waits until the process is asked to end, so that what it started is ended too.
async fn interrupted() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
    }
}

/// Every character asks for what it came for.
async fn play(agent: impl Fn(&Character) -> Result<Agent>) -> Result<Vec<Scene>> {
    let mut scenes = Vec::new();
    for character in &CAST {
        let mut connection = agent(character)?.connect().await?;
        for operation in character.asks_for {
            let start = std::time::Instant::now();
            let answer = connection.send(operation.method, operation.host, operation.path).await?;
            scenes.push(Scene { character, operation, answer, took: start.elapsed() });
        }
    }
    Ok(scenes)
}

fn print_commands(stack: &Stack, bundle_server: SocketAddr, folder: &Path) {
    let tls = folder.join("tls");
    let port = stack.envoy.agents().port();
    let curl = |who: &str, rest: &str| {
        println!(
            "  curl --cacert {tls}/ca.pem --cert {tls}/{who}.pem --key {tls}/{who}-key.pem {rest}",
            tls = tls.display()
        );
    };
    let query = format!(
        "-X POST -H 'Host: bigquery.googleapis.com' https://localhost:{port}/bigquery/v2/projects/p/queries"
    );
    println!("\nEverything is left running; Ctrl-C ends it. To try by hand:\n");
    curl("researcher", &query);
    curl("viewer", &query);
    curl("viewer", &format!("https://localhost:{port}/hexr-authz/ready"));
    println!("\nEdit {}, and ask again.", folder.join("policies").display());
    println!("What was decided: cargo run -q --bin hexr-authz -- logs --from http://{bundle_server}");
    println!("And as a page: http://{bundle_server}/");
    println!("Logs: {}", logs(folder).map(|path| path.display().to_string()).join("  "));
    println!("Envoy's admin interface: http://{}", stack.envoy.admin());
}

fn logs(folder: &Path) -> [PathBuf; 3] {
    ["envoy/envoy.log", "envoy/access.log", "bundle-server.log"].map(|name| folder.join(name))
}

/// A duration as the demo prints it.
fn milliseconds(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}
