//! The upstream that denied requests must never reach: gives out a credential, and remembers who asked.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Result;
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Request, Response, body::Bytes, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_rustls::TlsAcceptor;

use crate::{certificates::Svid, stack::ANY_PORT};

/// A running credential exchange.
pub struct CredentialExchange {
    address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    server: JoinHandle<()>,
}

/// A request that reached it.
#[derive(Clone, Debug)]
pub struct Received {
    /// Its method.
    pub method: String,
    /// The host that it is for.
    pub host: String,
    /// Its path and query.
    pub path: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// Its trailers.
    pub trailers: HeaderMap,
}

/// How many headers Envoy takes of a client. It adds some, and so does the filter.
const ENVOYS_MOST_HEADERS: usize = 100;

impl CredentialExchange {
    /// Starts one at `address`; port 0 takes a free one.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub async fn start(address: SocketAddr) -> Result<Self> {
        Self::start_by(address, None).await
    }

    /// A server that is none, but a cloud's own: it shows a certificate.
    ///
    /// # Errors
    /// When no port can be had, or the certificate cannot be used.
    pub async fn start_cloud(certificate: &Svid) -> Result<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(certificate.certificate.as_bytes())?],
                PrivateKeyDer::from_pem_slice(certificate.key.as_bytes())?,
            )?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Self::start_by(ANY_PORT, Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn start_by(address: SocketAddr, tls: Option<TlsAcceptor>) -> Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let received = Arc::new(Mutex::new(Vec::new()));
        let remembered = Arc::clone(&received);
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let remembered = Arc::clone(&remembered);
                let _ = stream.set_nodelay(true);
                let service = service_fn(move |request| answer(request, Arc::clone(&remembered)));
                let tls = tls.clone();
                tokio::spawn(async move {
                    let mut builder = auto::Builder::new(TokioExecutor::new());
                    builder.http1().max_headers(2 * ENVOYS_MOST_HEADERS);
                    match tls {
                        Some(tls) => {
                            let Ok(stream) = tls.accept(stream).await else { return };
                            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                        }
                        None => {
                            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                        }
                    }
                });
            }
        });
        Ok(Self { address, received, server })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many requests have reached it.
    pub fn count(&self) -> usize {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// What has reached it since the last call.
    pub fn take(&self) -> Vec<Received> {
        std::mem::take(&mut *self.received.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for CredentialExchange {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(
    request: Request<Incoming>,
    received: Arc<Mutex<Vec<Received>>>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let collected = body.collect().await?;
    let trailers = collected.trailers().cloned().unwrap_or_default();
    let sent = collected.to_bytes();
    let role =
        head.headers.get("x-hexr-role").map(|role| String::from_utf8_lossy(role.as_bytes()).into_owned());
    let body = serde_json::json!({"credential": "short-lived", "role": role}).to_string();
    let host = head.headers.get("host").map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned());
    received.lock().unwrap_or_else(PoisonError::into_inner).push(Received {
        method: head.method.to_string(),
        host: head.uri.authority().map(ToString::to_string).or(host).unwrap_or_default(),
        path: head.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
        headers: head.headers,
        body: sent,
        trailers,
    });
    let mut response = Response::new(Full::from(body));
    response
        .headers_mut()
        .insert("content-type", hyper::header::HeaderValue::from_static("application/json"));
    Ok(response)
}

impl Received {
    /// All values of a header, as text.
    pub fn all(&self, name: &str) -> Vec<String> {
        self.headers
            .get_all(name)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect()
    }
}
