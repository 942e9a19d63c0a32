//! `cargo demo`: agents of different roles ask a real Envoy for credentials, and a policy changes under them.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::Result;
use clap::{Parser, Subcommand};
use integration::demo;

/// Shows Hexr Authz at work, on real parts. Without a command: everything, on this machine.
#[derive(Parser)]
#[command(name = "demo")]
struct Arguments {
    /// Leave everything running, and print commands to try by hand.
    #[arg(long)]
    keep: bool,
    #[command(subcommand)]
    part: Option<Part>,
}

/// The parts of the demo, for those who start them one by one (docker-compose.yml does).
#[derive(Subcommand)]
enum Part {
    /// Write an authority, Envoy's certificate and the agents' into a folder.
    Certificates {
        /// The folder.
        folder: PathBuf,
    },
    /// Run the credential exchange.
    CredentialExchange {
        /// The address to listen at.
        #[arg(long, default_value = "127.0.0.1:9000")]
        addr: SocketAddr,
    },
    /// Send the agents' requests to an Envoy, and print what became of them.
    Agents {
        /// Envoy's address for agents.
        #[arg(long, default_value = "127.0.0.1:10000")]
        envoy: SocketAddr,
        /// The folder that `certificates` has written.
        #[arg(long, default_value = "target/demo/tls")]
        tls: PathBuf,
    },
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    match arguments.part {
        None => demo::everything(arguments.keep).await,
        Some(Part::Certificates { folder }) => demo::cast::write_certificates(&folder),
        Some(Part::CredentialExchange { addr }) => demo::credential_exchange(addr).await,
        Some(Part::Agents { envoy, tls }) => demo::agents(envoy, &tls).await,
    }
}
