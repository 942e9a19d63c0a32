//! The part of the Kubernetes API that serves ConfigMaps, over HTTP: lists, watches and their resource versions, bookmarks,
//! refusals. It can lose what it remembers, its connections and itself.

mod answers;
mod cluster;

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::Result;
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpListener,
    task::{JoinHandle, JoinSet},
};

use self::cluster::Cluster;
pub use self::cluster::{Asked, Contents};
use crate::stack::ANY_PORT;

/// The token that the API wants.
const TOKEN: &str = "of-the-service-account";
/// Who has that token.
const USER: &str = "system:serviceaccount:hexr-system:hexr-authz";

/// A running API server.
pub struct KubeApi {
    address: SocketAddr,
    cluster: Arc<Mutex<Cluster>>,
    server: JoinHandle<()>,
}

// === impl KubeApi ===

impl KubeApi {
    /// Starts one of an empty cluster.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind(ANY_PORT).await?;
        let address = listener.local_addr()?;
        let cluster = Arc::default();
        let server = tokio::spawn(serve(listener, Arc::clone(&cluster)));
        Ok(Self { address, cluster, server })
    }

    /// Writes a kubeconfig that leads here.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_kubeconfig(&self, path: &Path) -> Result<()> {
        self.write_kubeconfig_with(path, TOKEN)
    }

    /// The same with another token.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_kubeconfig_with(&self, path: &Path, token: &str) -> Result<()> {
        let text = format!(
            "apiVersion: v1
kind: Config
current-context: test
clusters: [{{name: test, cluster: {{server: \"http://{}\"}}}}]
users: [{{name: test, user: {{token: {token}}}}}]
contexts: [{{name: test, context: {{cluster: test, user: test}}}}]
",
            self.address
        );
        Ok(fs::write(path, text)?)
    }

    /// Creates or replaces a ConfigMap (`namespace/name`).
    pub fn apply(&self, place: &str, contents: &Contents) {
        self.cluster().apply(place, contents);
    }

    /// Deletes a ConfigMap.
    pub fn delete(&self, place: &str) {
        self.cluster().delete(place);
    }

    /// Tells every watch how far it is, after something else in the cluster has changed; gives that version.
    pub fn bookmark(&self) -> String {
        self.cluster().bookmark()
    }

    /// Changes a ConfigMap, which no watch is told of: what it was before is forgotten, and every watch ends with 410.
    pub fn apply_and_forget(&self, place: &str, contents: &Contents) {
        self.cluster().apply_and_forget(place, contents);
    }

    /// Breaks every watch off in the middle.
    pub fn disconnect(&self) {
        self.cluster().disconnect();
    }

    /// Whether a Role is there that allows ConfigMaps.
    pub fn permit(&self, permitted: bool) {
        self.cluster().permit(permitted);
    }

    /// What was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.cluster().asked.clone()
    }

    /// How many watches there are now.
    pub fn watches(&self) -> usize {
        self.cluster().watches()
    }

    /// Stops the server, with every connection. The cluster stays.
    pub async fn stop(&mut self) {
        self.server.abort();
        let _ = (&mut self.server).await;
        self.cluster().forget_watches();
    }

    /// Starts it again, at the same address.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn start_again(&mut self) -> Result<()> {
        let listener = TcpListener::bind(self.address).await?;
        self.server = tokio::spawn(serve(listener, Arc::clone(&self.cluster)));
        Ok(())
    }

    fn cluster(&self) -> MutexGuard<'_, Cluster> {
        self.cluster.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for KubeApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, cluster: Arc<Mutex<Cluster>>) {
    // They end with this task.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let cluster = Arc::clone(&cluster);
        connections.spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let mut cluster = cluster.lock().unwrap_or_else(PoisonError::into_inner);
                let answer = answers::answer(&request, &mut cluster);
                async move { answer }
            });
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
