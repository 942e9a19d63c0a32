//! `hexr-authz serve`: the bundle server.

mod bundles;
mod config_map;
mod http;
mod origin;

use std::{collections::BTreeSet, net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc};

use clap::{Args as _, error::ErrorKind};
use glob::Pattern;
use hexr_authz_core::policy::RulePath;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::Notify,
};

use self::{
    bundles::{BundleState, Bundles},
    config_map::{ConfigMaps, Place},
    origin::Origin,
};
use super::{DEFAULT_DECISION, exit, rule_path};
use crate::source::{Ignored, Source};

/// The bundle that a ConfigMap is served as when nothing else is said.
const DEFAULT_NAME: &str = "authz";

/// Serve folders and Kubernetes ConfigMaps as OPA bundles, and every change of them.
///
/// A folder is packed again when a file in it changes, a ConfigMap as soon as the Kubernetes API tells of a change. What
/// does not compile is not served: the last good bundle stays, and `/health` and the log say why. Without `--bundle` and
/// `--configmap`, in a cluster or with a kubeconfig, the ConfigMap `hexr-system/opa-policy` is served as `authz`.
#[derive(clap::Args)]
pub(crate) struct Serve {
    /// The address to listen at.
    #[arg(short, long, default_value = "127.0.0.1:8181")]
    addr: SocketAddr,
    /// A bundle, served as `/bundles/NAME.tar.gz`, and the folder that it is made of.
    #[arg(short, long = "bundle", value_name = "NAME=PATH", value_parser = bundle)]
    bundles: Vec<(String, PathBuf)>,
    /// A bundle, named `authz` unless it says otherwise, and the ConfigMap that it is made of.
    #[arg(long = "configmap", value_name = "[NAME=]NAMESPACE/CONFIGMAP", value_parser = config_map)]
    config_maps: Vec<(String, Place)>,
    /// How to reach the Kubernetes API. Without it: `KUBECONFIG`, `~/.kube/config`, the pod's service account.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
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
    check_name(name)?;
    if !PathBuf::from(path).exists() {
        return Err(format!("there is no `{path}`"));
    }
    Ok((name.to_owned(), PathBuf::from(path)))
}

fn config_map(text: &str) -> Result<(String, Place), String> {
    let (name, place) = text.split_once('=').unwrap_or((DEFAULT_NAME, text));
    check_name(name)?;
    Ok((name.to_owned(), Place::parse(place)?))
}

fn check_name(name: &str) -> Result<(), String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if name.is_empty() || !name.bytes().all(allowed) {
        return Err(format!("`{name}` must be letters, digits, `-`, `_`"));
    }
    Ok(())
}

impl Serve {
    pub(crate) fn run(mut self) -> ExitCode {
        if self.bundles.is_empty() && self.config_maps.is_empty() {
            if !config_map::is_cluster_configured(self.kubeconfig.as_deref()) {
                usage_error(
                    ErrorKind::MissingRequiredArgument,
                    "neither `--bundle` nor `--configmap` says what to serve, and no Kubernetes cluster is configured here",
                );
            }
            self.config_maps.push((DEFAULT_NAME.to_owned(), Place::default()));
        }
        let mut names = BTreeSet::new();
        let mut all =
            self.bundles.iter().map(|(name, _)| name).chain(self.config_maps.iter().map(|(name, _)| name));
        if let Some(name) = all.find(|name| !names.insert(*name)) {
            usage_error(ErrorKind::ArgumentConflict, &format!("there are two bundles `{name}`"));
        }
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
        let changed = Arc::new(Notify::new());
        let config_maps = ConfigMaps { ignored: ignored.clone(), changed: Arc::clone(&changed) };
        let config_maps = config_maps.follow(self.config_maps, self.kubeconfig.as_deref()).await?;
        let folders = self
            .bundles
            .into_iter()
            .map(|(name, path)| (name, Origin::Folder(Source::new(&path, ignored.clone()))));
        let origins =
            folders.chain(config_maps.into_iter().map(|(name, map)| (name, Origin::ConfigMap(map))));
        let states = origins.map(|(name, origin)| BundleState::new(name, origin, self.decision.clone()));
        let bundles = Arc::new(Bundles::new(states.collect()));
        bundles.refresh().await;
        let listener = TcpListener::bind(self.addr).await?;
        println!("listening on http://{}", listener.local_addr()?);
        let watching = tokio::spawn(Arc::clone(&bundles).watch(changed));
        axum::serve(listener, http::router(bundles)).with_graceful_shutdown(shutdown()).await?;
        watching.abort();
        Ok(())
    }
}

/// Says on stderr what is wrong with the command line, and ends with the exit code for that.
fn usage_error(kind: ErrorKind, message: &str) -> ! {
    Serve::augment_args(clap::Command::new("hexr-authz serve")).error(kind, message).exit()
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
