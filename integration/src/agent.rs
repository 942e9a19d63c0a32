//! An agent: a client with an SVID that sends its requests for the cloud to Envoy, over mTLS.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{
    HeaderMap, Request, StatusCode,
    body::Bytes,
    client::conn::{http1, http2},
    http::request::Builder,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::certificates::{Authority, Svid};

/// An agent that has not connected yet.
#[derive(Clone)]
pub struct Agent {
    config: ClientConfig,
    envoy: SocketAddr,
}

/// A connection of an agent, kept for many requests.
pub struct Connection {
    sender: Sender,
}

enum Sender {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

type Body = BoxBody<Bytes, Infallible>;

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

// === impl Agent ===

impl Agent {
    /// An agent that shows `svid`, or no certificate at all, to the Envoy at `envoy`.
    ///
    /// # Errors
    /// When the certificates cannot be used.
    pub fn new(envoy: SocketAddr, authority: &Authority, svid: Option<&Svid>) -> Result<Self> {
        Self::trusting(envoy, authority.pem(), svid)
    }

    /// The same, with the authority's certificate in PEM.
    ///
    /// # Errors
    /// When the certificates cannot be used.
    pub fn trusting(envoy: SocketAddr, authority: &str, svid: Option<&Svid>) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.as_bytes())?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        let config = match svid {
            Some(svid) => builder.with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(svid.certificate.as_bytes())?],
                PrivateKeyDer::from_pem_slice(svid.key.as_bytes())?,
            )?,
            None => builder.with_no_client_auth(),
        };
        Ok(Self { config, envoy })
    }

    /// Connects and speaks HTTP/1.1.
    ///
    /// # Errors
    /// When the connection or its TLS handshake fails.
    pub async fn connect(&self) -> Result<Connection> {
        let stream = TokioIo::new(self.open(b"http/1.1").await?);
        let (sender, connection) = http1::Builder::new().preserve_header_case(true).handshake(stream).await?;
        tokio::spawn(connection);
        Ok(Connection { sender: Sender::Http1(sender) })
    }

    /// Connects and speaks HTTP/2.
    ///
    /// # Errors
    /// When the connection or its TLS handshake fails.
    pub async fn connect_http2(&self) -> Result<Connection> {
        let stream = TokioIo::new(self.open(b"h2").await?);
        let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
        tokio::spawn(connection);
        Ok(Connection { sender: Sender::Http2(sender) })
    }

    /// One request on a connection of its own.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn send(&self, method: &str, host: &str, path: &str) -> Result<Answer> {
        self.connect().await?.send(method, host, path).await
    }

    /// Sends bytes as they are and reads until Envoy closes the connection.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn send_raw(&self, bytes: &[u8]) -> Result<String> {
        let mut stream = self.open(b"http/1.1").await?;
        stream.write_all(bytes).await?;
        let mut answer = Vec::new();
        // Envoy may close without TLS's own goodbye.
        let _ = stream.read_to_end(&mut answer).await;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// Sends bytes as they are, then one byte more every so often, and reads until Envoy closes the connection.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn drip(&self, bytes: &[u8], every: Duration) -> Result<String> {
        let (mut reader, mut writer) = tokio::io::split(self.open(b"http/1.1").await?);
        writer.write_all(bytes).await?;
        let dripping = async {
            let mut ticks = tokio::time::interval(every);
            loop {
                ticks.tick().await;
                if writer.write_all(b"x").await.is_err() || writer.flush().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        let mut answer = Vec::new();
        tokio::select! {
            // Envoy may close without TLS's own goodbye.
            _ = reader.read_to_end(&mut answer) => {}
            () = dripping => {}
        }
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    async fn open(&self, protocol: &[u8]) -> Result<TlsStream<TcpStream>> {
        let mut config = self.config.clone();
        config.alpn_protocols = vec![protocol.to_vec()];
        let stream = TcpStream::connect(self.envoy).await.context("Envoy cannot be reached")?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from("localhost")?;
        Ok(TlsConnector::from(Arc::new(config)).connect(name, stream).await?)
    }
}

// === impl Connection ===

impl Connection {
    /// A further stream of the same connection; nothing where the protocol answers one request at a time.
    pub fn beside(&self) -> Option<Self> {
        match &self.sender {
            Sender::Http1(_) => None,
            Sender::Http2(sender) => Some(Self { sender: Sender::Http2(sender.clone()) }),
        }
    }

    /// Sends a request without further headers.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn send(&mut self, method: &str, host: &str, path: &str) -> Result<Answer> {
        self.send_with(method, host, path, &[]).await
    }

    /// Sends a request with headers, whose values may be any bytes that HTTP allows.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn send_with(
        &mut self,
        method: &str,
        host: &str,
        path: &str,
        headers: &[(&str, &[u8])],
    ) -> Result<Answer> {
        let mut request = Request::builder().method(method);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.exchange(request, host, path, Full::default().boxed()).await
    }

    /// Sends a request with headers and a body, with or without trailers behind it.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn send_body(
        &mut self,
        (method, host, path): (&str, &str, &str),
        headers: &[(&str, &str)],
        body: &str,
        trailers: Option<HeaderMap>,
    ) -> Result<Answer> {
        let mut request = Request::builder().method(method);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = Full::new(Bytes::copy_from_slice(body.as_bytes()));
        let body = match trailers {
            Some(trailers) => body.with_trailers(async { Some(Ok(trailers)) }).boxed(),
            None => body.boxed(),
        };
        self.exchange(request, host, path, body).await
    }

    /// Sends a request with a body and trailers behind it.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn send_with_trailers(
        &mut self,
        method: &str,
        host: &str,
        path: &str,
        trailers: HeaderMap,
    ) -> Result<Answer> {
        let body = Full::new(Bytes::from_static(b"{}")).with_trailers(async { Some(Ok(trailers)) });
        self.exchange(Request::builder().method(method), host, path, body.boxed()).await
    }

    async fn exchange(&mut self, request: Builder, host: &str, path: &str, body: Body) -> Result<Answer> {
        let response = match &mut self.sender {
            Sender::Http1(sender) => {
                let request = request.uri(path).header("host", host).body(body)?;
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Sender::Http2(sender) => {
                let request = request.uri(format!("https://{host}{path}")).body(body)?;
                sender.ready().await?;
                sender.send_request(request).await?
            }
        };
        let (head, body) = response.into_parts();
        Ok(Answer { status: head.status, headers: head.headers, body: body.collect().await?.to_bytes() })
    }
}

// === impl Answer ===

impl Answer {
    /// The reason of a refusal by the filter.
    pub fn reason(&self) -> Option<String> {
        Some(self.json()?.get("reason")?.as_str()?.to_owned())
    }

    /// The body, where it is JSON.
    pub fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The value of a header, where it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}
