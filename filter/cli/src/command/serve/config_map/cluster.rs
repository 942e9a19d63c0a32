//! How to reach the Kubernetes API.

use std::{env, path::Path};

use anyhow::Context as _;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};

/// A client of the cluster that `kubeconfig` names, else of `KUBECONFIG`'s, `~/.kube/config`'s, or the pod's own.
///
/// # Errors
/// When none of them is there, or it cannot be read.
pub(super) async fn client(kubeconfig: Option<&Path>) -> anyhow::Result<Client> {
    let mut config = match kubeconfig {
        Some(path) => {
            let kubeconfig = Kubeconfig::read_from(path)
                .with_context(|| format!("--kubeconfig {}", path.display()))
                .map_err(in_a_line)?;
            Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
                .await
                .map_err(in_a_line)?
        }
        None => Config::infer().await.map_err(in_a_line)?,
    };
    // What fails is tried again here, where it is visible.
    config.default_retry = false;
    Client::try_from(config).map_err(in_a_line)
}

/// Whether there is anything that says where a cluster is.
pub(in super::super) fn is_configured(kubeconfig: Option<&Path>) -> bool {
    let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    let of_the_user = || env::home_dir().is_some_and(|home| home.join(".kube/config").is_file());
    kubeconfig.is_some() || is_set("KUBECONFIG") || is_set("KUBERNETES_SERVICE_HOST") || of_the_user()
}

fn in_a_line(error: impl Into<anyhow::Error>) -> anyhow::Error {
    anyhow::anyhow!("{:#}", error.into())
}
