//! `hexr-authz serve`: the bundle server.

mod authentication;
mod bundles;
mod config_map;
mod connections;
mod document;
mod http;
mod long_poll;
mod metrics;
mod origin;
mod page;
mod persistence;
mod signing;
mod sink;
mod status;
mod tally;
mod tenants;
mod tls;

use std::{
    collections::BTreeSet, net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc, time::Duration,
};

use clap::{Args as _, error::ErrorKind};
use glob::Pattern;
use hexr_authz_core::{bundle::Subject, policy::RulePath};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::Notify,
};

use self::{
    authentication::{AuthenticationFlags, Gate},
    bundles::{BundleState, Bundles, Terms},
    config_map::{ConfigMaps, Place},
    http::Served,
    long_poll::Stop,
    metrics::Metrics,
    origin::Origin,
    page::PageFlags,
    persistence::Shelf,
    signing::SigningFlags,
    sink::{Sink, SinkFlags},
    tenants::Tenants,
    tls::{Tls, TlsFlags},
};
use super::{DEFAULT_DECISION, exit, rule_path};
use crate::{
    output::{say, tell},
    source::{Ignored, Source},
};

/// The bundle that a ConfigMap is served as when nothing else is said.
const DEFAULT_NAME: &str = "authz";

const EXAMPLES: &str = "\
Examples:
  hexr-authz serve --bundle authz=policies --ignore '*_test.rego'
  hexr-authz serve --bundle authz=policies --tenants tenants --persist /var/lib/hexr-authz
  hexr-authz serve --configmap hexr-system/opa-policy --signing-key key.pem --signing-alg ES256
  hexr-authz serve --addr 0.0.0.0:8443 --bundle authz=policies --tls-cert-file tls.crt \\
      --tls-private-key-file tls.key --authentication=token --token-file tokens

Standard output has one line, with the address; the log is on standard error: which revision of which bundle is served,
what is refused and why, and which files were read again.";

/// Serve folders and Kubernetes ConfigMaps as OPA bundles, and every change of them.
///
/// A folder is packed again when a file in it changes, a ConfigMap as soon as the Kubernetes API tells of a change. What
/// does not compile is not served: the last good bundle stays, and `/health?bundles` and the log say why. Without
/// `--bundle`, `--configmap` and `--tenants`, in a cluster or with a kubeconfig, the ConfigMap `hexr-system/opa-policy` is
/// served as `authz`.
///
/// Envoys tell it of their decisions at `/logs` and of what is active in them at `/status`; `hexr-authz logs` shows what they
/// told, and so does the page at `/`, which changes as they tell more and asks the policy about any input.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
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
    /// A folder with a folder for each tenant that has a policy of its own, served as `/bundles/tenants/TENANT.tar.gz`.
    #[arg(long, value_name = "DIR")]
    tenants: Option<PathBuf>,
    /// Names of files and folders to leave out, as `*_test.rego`.
    #[arg(long, value_name = "PATTERN", value_parser = Pattern::new)]
    ignore: Vec<Pattern>,
    /// The rule that decides.
    #[arg(long, default_value = DEFAULT_DECISION, value_parser = rule_path)]
    decision: RulePath,
    /// Keep the last good bundles in this folder, and serve them after a restart while their source is away or broken.
    #[arg(long, value_name = "DIR")]
    persist: Option<PathBuf>,
    #[command(flatten)]
    sink: SinkFlags,
    #[command(flatten)]
    page: PageFlags,
    #[command(flatten)]
    signing: SigningFlags,
    #[command(flatten)]
    tls: TlsFlags,
    #[command(flatten)]
    authentication: AuthenticationFlags,
    /// Listen beyond loopback without TLS, or without authentication.
    #[arg(long)]
    insecure: bool,
}

/// How often the files of certificates and tokens are looked at.
const READ_AGAIN_EVERY: Duration = Duration::from_secs(1);
/// How long work that cannot be interrupted is waited for at the end.
const LAST_WORK: Duration = Duration::from_millis(500);

fn bundle(text: &str) -> Result<(String, PathBuf), String> {
    let (name, path) = text.split_once('=').ok_or("must be NAME=PATH, as `authz=policies`")?;
    check_name(name)?;
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
        self.settle_what_is_served();
        exit(self.prepare_and_serve())
    }

    /// Ends the process where the command line does not say what to serve, or says it twice.
    fn settle_what_is_served(&mut self) {
        if self.bundles.is_empty() && self.config_maps.is_empty() && self.tenants.is_none() {
            if !config_map::is_cluster_configured(self.kubeconfig.as_deref()) {
                usage_error(
                    ErrorKind::MissingRequiredArgument,
                    "none of `--bundle`, `--configmap` and `--tenants` says what to serve, and no Kubernetes cluster is \
                     configured here",
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
    }

    fn prepare_and_serve(self) -> Result<(), String> {
        let tls = self.tls.tls()?.map(Arc::new);
        let gate = Arc::new(self.authentication.gate(self.tls.has_authority())?);
        let is_guarded = tls.is_some() && !gate.is_open();
        if !self.addr.ip().is_loopback() && !is_guarded && !self.insecure {
            return Err(format!(
                "{} is beyond loopback: serve there with TLS and `--authentication`, or pass `--insecure`",
                self.addr
            ));
        }
        let shelf = self.persist.as_deref().map(Shelf::open).transpose()?;
        let folders = self.bundles.iter().map(|(_, path)| path).chain(&self.tenants);
        if shelf.is_none()
            && let Some(missing) = folders.into_iter().find(|path| !path.exists())
        {
            return Err(format!("there is no `{}`", missing.display()));
        }
        let sink = self.sink.sink()?;
        let terms = Arc::new(Terms { signing: self.signing.signing()?, shelf, metrics: Metrics::new() });
        // Each client that waits is a connection.
        let _ = rlimit::increase_nofile_limit(u64::MAX);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        let result = runtime.block_on(self.serve(terms, sink, tls, gate)).map_err(|error| error.to_string());
        runtime.shutdown_timeout(LAST_WORK);
        result
    }

    async fn serve(
        self,
        terms: Arc<Terms>,
        sink: Sink,
        tls: Option<Arc<Tls>>,
        gate: Arc<Gate>,
    ) -> anyhow::Result<()> {
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
        let states = origins.map(|(name, origin)| {
            let subject = Subject::Platform(self.decision.clone());
            BundleState::new(name, origin, subject, Arc::clone(&terms))
        });
        let bundles = Arc::new(Bundles::new(states.collect()));
        let tenants =
            self.tenants.map(|folder| Arc::new(Tenants::new(&folder, ignored.clone(), Arc::clone(&terms))));
        bundles.refresh().await;
        if let Some(tenants) = &tenants {
            tenants.refresh().await;
        }
        let listener = TcpListener::bind(self.addr).await?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let address = listener.local_addr()?;
        say(format!("listening on {scheme}://{address}\n")).map_err(anyhow::Error::msg)?;
        tokio::spawn(Arc::clone(&bundles).watch(changed));
        if let Some(tenants) = &tenants {
            tokio::spawn(Arc::clone(tenants).watch());
        }
        tokio::spawn(read_again(tls.clone(), Arc::clone(&gate)));
        let (stopping, stop) = Stop::new();
        tokio::spawn(async move {
            shutdown().await;
            tell("stopping: who waits is answered first");
            let _ = stopping.send(true);
        });
        let page = self.page.page();
        let served = Arc::new(Served { bundles, tenants, terms, sink, page, stop: stop.clone() });
        tokio::spawn(page::publish(Arc::clone(&served)));
        connections::serve(listener, http::router(served, gate), tls, stop).await;
        Ok(())
    }
}

/// Takes up certificates and tokens that were exchanged.
async fn read_again(tls: Option<Arc<Tls>>, gate: Arc<Gate>) {
    let mut told = [None, None];
    loop {
        tokio::time::sleep(READ_AGAIN_EVERY).await;
        let (tls, gate) = (tls.clone(), Arc::clone(&gate));
        let read = move || {
            let certificates = tls.map_or(Ok(false), |tls| tls.refresh());
            [("the certificate", certificates), ("the tokens", gate.refresh())]
        };
        let Ok(results) = tokio::task::spawn_blocking(read).await else { continue };
        for ((what, result), told) in results.into_iter().zip(&mut told) {
            let problem = result.as_ref().err().cloned();
            if matches!(result, Ok(true)) {
                tell(format!("{what} changed: those that are there now count"));
            }
            if let Some(problem) = problem.as_ref().filter(|problem| told.as_ref() != Some(*problem)) {
                tell(format!("{what} cannot be read again, those before stay: {problem}"));
            }
            *told = problem;
        }
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
