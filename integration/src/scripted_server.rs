//! A bundle server that answers whatever the test wants, to see what the filter makes of it.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use anyhow::Result;
use http_body_util::Full;
use hyper::{Request, Response, body::Bytes, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, task::JoinHandle};

/// A running server.
pub struct ScriptedServer {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
    asked: Arc<AtomicUsize>,
    server: JoinHandle<()>,
}

/// What it answers from now on.
#[derive(Clone, Debug)]
pub enum Script {
    /// An answer.
    Answer {
        /// Its status.
        status: u16,
        /// Its `ETag`.
        etag: Option<&'static str>,
        /// Its body.
        body: Bytes,
    },
    /// 304, whatever was asked.
    NotModified,
    /// Closes the connection without an answer.
    Reset,
}

impl ScriptedServer {
    /// Starts one that answers by `script`.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(script: Script) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let script = Arc::new(Mutex::new(script));
        let asked = Arc::new(AtomicUsize::new(0));
        let (current, count) = (Arc::clone(&script), Arc::clone(&asked));
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (current, count) = (Arc::clone(&current), Arc::clone(&count));
                tokio::spawn(async move {
                    let service = service_fn(move |request: Request<Incoming>| {
                        count.fetch_add(1, Ordering::SeqCst);
                        let script = current.lock().unwrap_or_else(PoisonError::into_inner).clone();
                        async move { answer(&request, script) }
                    });
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Ok(Self { address, script, asked, server })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// Changes what it answers.
    pub fn now(&self, script: Script) {
        *self.script.lock().unwrap_or_else(PoisonError::into_inner) = script;
    }
}

impl Drop for ScriptedServer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn answer(request: &Request<Incoming>, script: Script) -> Result<Response<Full<Bytes>>, std::io::Error> {
    let response = match script {
        Script::Answer { status, etag, body } => {
            let known = request.headers().get("if-none-match").map(|value| value.as_bytes());
            if etag.is_some() && known == etag.map(str::as_bytes) {
                Response::builder().status(304).body(Full::default())
            } else {
                let builder = Response::builder().status(status).header("content-type", "application/gzip");
                let builder = etag.into_iter().fold(builder, |builder, etag| builder.header("etag", etag));
                builder.body(Full::from(body))
            }
        }
        Script::NotModified => Response::builder().status(304).body(Full::default()),
        Script::Reset => return Err(std::io::Error::other("as scripted")),
    };
    response.map_err(std::io::Error::other)
}
