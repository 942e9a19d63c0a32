//! A bundle server that answers whatever the test wants, to see what the filter makes of it.

use std::{
    collections::HashMap,
    convert::Infallible,
    io::Read as _,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use anyhow::{Result, bail};
use flate2::read::GzDecoder;
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{
    HeaderMap, Method, Request, Response,
    body::{Bytes, Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

/// A running server.
pub struct ScriptedServer {
    address: SocketAddr,
    state: Arc<State>,
    server: JoinHandle<()>,
}

struct State {
    scripts: Mutex<Scripts>,
    /// Changes with every change of a script.
    changes: watch::Sender<u64>,
}

struct Scripts {
    everywhere: Script,
    by_path: HashMap<String, Script>,
    asked: HashMap<String, usize>,
    posted: HashMap<String, Vec<Bytes>>,
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
    /// An answer of a server that knows long polling: it holds a request until there is something new.
    Waiting {
        /// The `ETag`.
        etag: String,
        /// The body.
        body: Bytes,
    },
    /// A body that comes byte by byte, and never ends.
    Drip,
    /// 304, whatever was asked.
    NotModified,
    /// Closes the connection without an answer.
    Reset,
}

type Body = BoxBody<Bytes, Infallible>;

/// A body that never ends.
struct Drip(tokio::time::Interval);

const DRIP: Duration = Duration::from_millis(100);

impl hyper::body::Body for Drip {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_tick(context).map(|_| Some(Ok(Frame::data(Bytes::from_static(b"x")))))
    }
}

impl ScriptedServer {
    /// Starts one that answers by `script`, whatever is asked for.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(script: Script) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let scripts = Scripts {
            everywhere: script,
            by_path: HashMap::new(),
            asked: HashMap::new(),
            posted: HashMap::new(),
        };
        let state = Arc::new(State { scripts: Mutex::new(scripts), changes: watch::Sender::new(0) });
        let current = Arc::clone(&state);
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let current = Arc::clone(&current);
                tokio::spawn(async move {
                    let service = service_fn(move |request: Request<Incoming>| {
                        let current = Arc::clone(&current);
                        async move { current.answer(request).await }
                    });
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Ok(Self { address, state, server })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.state.scripts().asked.values().sum()
    }

    /// How often it was asked for `path`.
    pub fn asked_for(&self, path: &str) -> usize {
        self.state.scripts().asked.get(path).copied().unwrap_or_default()
    }

    /// What was posted to `path`, one after the other.
    pub fn posted(&self, path: &str) -> Vec<Bytes> {
        self.state.scripts().posted.get(path).cloned().unwrap_or_default()
    }

    /// The events that were posted to `path`, each post an array of them in gzip.
    ///
    /// # Errors
    /// When something else was posted.
    pub fn events(&self, path: &str) -> Result<Vec<Value>> {
        let mut events = Vec::new();
        for upload in self.posted(path) {
            let mut text = String::new();
            GzDecoder::new(&*upload).read_to_string(&mut text)?;
            let Value::Array(chunk) = serde_json::from_str(&text)? else { bail!("no array: {text}") };
            events.extend(chunk);
        }
        Ok(events)
    }

    /// Changes what it answers where nothing else is said.
    pub fn now(&self, script: Script) {
        self.state.scripts().everywhere = script;
        self.state.changes.send_modify(|changes| *changes += 1);
    }

    /// Changes what it answers at `path`.
    pub fn now_at(&self, path: &str, script: Script) {
        self.state.scripts().by_path.insert(path.to_owned(), script);
        self.state.changes.send_modify(|changes| *changes += 1);
    }
}

impl Drop for ScriptedServer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

// === impl State ===

impl State {
    fn scripts(&self) -> MutexGuard<'_, Scripts> {
        self.scripts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn script(&self, path: &str) -> Script {
        let scripts = self.scripts();
        scripts.by_path.get(path).unwrap_or(&scripts.everywhere).clone()
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Body>, std::io::Error> {
        let (request, body) = request.into_parts();
        let path = request.uri.path().to_owned();
        if request.method == Method::POST {
            let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
            self.scripts().posted.entry(path.clone()).or_default().push(body);
        }
        *self.scripts().asked.entry(path.clone()).or_default() += 1;
        let mut changes = self.changes.subscribe();
        changes.mark_unchanged();
        let known = text_of(&request.headers, "if-none-match");
        let wait = text_of(&request.headers, "prefer")
            .and_then(|prefer| prefer.split_once("wait=")?.1.parse().ok())
            .map(Duration::from_secs);
        let script = self.script(&path);
        if let (Script::Waiting { etag, .. }, Some(wait)) = (&script, wait)
            && known.as_ref() == Some(etag)
        {
            let is_new = async {
                while changes.changed().await.is_ok() {
                    let is_same =
                        matches!(self.script(&path), Script::Waiting { etag: now, .. } if now == *etag);
                    if !is_same {
                        return;
                    }
                }
            };
            let _ = tokio::time::timeout(wait, is_new).await;
        }
        respond(self.script(&path), known.as_deref())
    }
}

fn text_of(headers: &HeaderMap, header: &str) -> Option<String> {
    headers.get(header)?.to_str().ok().map(str::to_owned)
}

fn respond(script: Script, known: Option<&str>) -> Result<Response<Body>, std::io::Error> {
    const GZIP: &str = "application/gzip";
    const BUNDLES: &str = "application/vnd.openpolicyagent.bundles";
    let response = match script {
        Script::Answer { etag: Some(etag), .. } if known == Some(etag) => not_modified(),
        Script::Waiting { etag, .. } if known == Some(&etag) => not_modified(),
        Script::NotModified => not_modified(),
        Script::Answer { status, etag, body } => {
            let builder = Response::builder().status(status).header("content-type", GZIP);
            let builder = etag.into_iter().fold(builder, |builder, etag| builder.header("etag", etag));
            builder.body(Full::from(body).boxed())
        }
        Script::Waiting { etag, body } => Response::builder()
            .header("content-type", BUNDLES)
            .header("etag", etag)
            .body(Full::from(body).boxed()),
        Script::Drip => Response::builder().body(Drip(tokio::time::interval(DRIP)).boxed()),
        Script::Reset => return Err(std::io::Error::other("as scripted")),
    };
    response.map_err(std::io::Error::other)
}

fn not_modified() -> hyper::http::Result<Response<Body>> {
    Response::builder().status(304).body(Full::default().boxed())
}
