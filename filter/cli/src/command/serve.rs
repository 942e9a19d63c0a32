//! `hexr-authz serve`: the bundle server.

mod bundles;
mod http;

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc};

use glob::Pattern;
use hexr_authz_core::policy::RulePath;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

use self::bundles::{BundleState, Bundles};
use super::{DEFAULT_DECISION, exit, rule_path};
use crate::source::{Ignored, Source};

/// Serve folders as OPA bundles, and every change of them.
///
/// A folder is packed again when a file in it changes. What does not compile is not served: the last good bundle
/// stays, and `/health` and the log say why.
#[derive(clap::Args)]
pub(crate) struct Serve {
    /// The address to listen at.
    #[arg(short, long, default_value = "127.0.0.1:8181")]
    addr: SocketAddr,
    /// A bundle, served as `/bundles/NAME.tar.gz`, and the folder that it is made of.
    #[arg(short, long = "bundle", value_name = "NAME=PATH", required = true, value_parser = bundle)]
    bundles: Vec<(String, PathBuf)>,
    /// Names of files and folders to leave out, as `*_test.rego`.
    #[arg(long, value_name = "PATTERN", value_parser = Pattern::new)]
    ignore: Vec<Pattern>,
    /// The rule that decides.
    #[arg(long, default_value = DEFAULT_DECISION, value_parser = rule_path)]
    decision: RulePath,
    /// Listen beyond loopback, without TLS and without authentication.
    #[arg(long)]
    insecure: bool,
}

fn bundle(text: &str) -> Result<(String, PathBuf), String> {
    let (name, path) = text.split_once('=').ok_or("must be NAME=PATH, as `authz=policies`")?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if name.is_empty() || !name.bytes().all(allowed) {
        return Err(format!("`{name}` must be letters, digits, `-`, `_`"));
    }
    if !PathBuf::from(path).exists() {
        return Err(format!("there is no `{path}`"));
    }
    Ok((name.to_owned(), PathBuf::from(path)))
}

impl Serve {
    pub(crate) fn run(self) -> ExitCode {
        if !self.addr.ip().is_loopback() && !self.insecure {
            eprintln!(
                "{} is beyond loopback: pass `--insecure` to serve there without TLS and authentication",
                self.addr
            );
            return ExitCode::FAILURE;
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        exit(match runtime {
            Ok(runtime) => runtime.block_on(self.serve()).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        })
    }

    async fn serve(self) -> anyhow::Result<()> {
        let ignored = Ignored::new(self.ignore);
        let states = self.bundles.into_iter().map(|(name, path)| {
            BundleState::new(name, Source::new(&path, ignored.clone()), self.decision.clone())
        });
        let bundles = Arc::new(Bundles::new(states.collect()));
        bundles.refresh().await;
        let listener = TcpListener::bind(self.addr).await?;
        println!("listening on http://{}", listener.local_addr()?);
        let watching = tokio::spawn(Arc::clone(&bundles).watch());
        axum::serve(listener, http::router(bundles)).with_graceful_shutdown(shutdown()).await?;
        watching.abort();
        Ok(())
    }
}

/// Resolves when the process is asked to stop.
async fn shutdown() {
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        }
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}
