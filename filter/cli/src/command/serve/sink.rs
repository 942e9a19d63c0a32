//! What Envoys tell of themselves: decision logs and status events, by OPA's APIs, and who asks for them.

mod history;
mod selection;
mod senders;

use std::{
    collections::BTreeMap,
    io::Read as _,
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use axum::{
    Extension, Json,
    body::Bytes,
    extract::{Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use flate2::read::GzDecoder;
use hexr_authz_core::timestamp::Timestamp;
use serde_json::{Value, json};
use tokio::sync::watch;

use self::{
    history::{Event, History},
    selection::{Asked, Selection},
    senders::Senders,
};
use super::{
    authentication::Peer,
    http::Served,
    tally::{Decided, Tally},
};
use crate::source::now;

/// What is kept of what Envoys tell.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct SinkFlags {
    /// Keep the decisions that Envoys tell at `/logs` in this file; without it they are kept in memory.
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    /// How many decisions are kept; the oldest give way.
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    history_events: u64,
}

/// Decisions, and the newest status of each Envoy.
#[derive(Debug)]
pub(super) struct Sink {
    history: History,
    tally: Mutex<Tally>,
    statuses: Mutex<Statuses>,
    senders: Senders,
    /// Whoever waits for something new.
    news: watch::Sender<()>,
}

/// By the ids of the Envoys, each with when it came.
pub(super) type Statuses = BTreeMap<String, (Instant, Value)>;

/// The largest body, as sent and unpacked.
pub(super) const MAX_BODY: usize = 16 << 20;
const MAX_UNPACKED: usize = 64 << 20;
/// The most Envoys of which the status is kept. Each start of one has a new id.
const MAX_STATUSES: usize = 1_000;
/// The largest status.
const MAX_STATUS: usize = 1 << 20;
/// The longest id of a decision or an Envoy, in bytes.
const MAX_ID: usize = 256;
/// So many decisions, the newest, are counted of a history that an earlier run has left.
const MAX_COUNTED_AGAIN: usize = 100_000;

/// Why something is not taken.
struct Refused(StatusCode, String);

// === impl SinkFlags ===

impl SinkFlags {
    /// An empty sink, or one with the history of the file.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub(super) fn sink(&self) -> Result<Sink, String> {
        let history = History::open(self.history.as_deref(), self.history_events)?;
        let mut tally = Tally::default();
        for json in history.newest(i64::MIN, MAX_COUNTED_AGAIN, |_| true)? {
            if let Some(event) = serde_json::from_str(&json).ok().and_then(|event| self::event(event).ok()) {
                tally.add(&event.decided, now());
            }
        }
        Ok(Sink {
            history,
            tally: Mutex::new(tally),
            statuses: Mutex::default(),
            senders: Senders::default(),
            news: watch::Sender::new(()),
        })
    }
}

// === impl Sink ===

impl Sink {
    fn take_logs(&self, headers: &HeaderMap, body: &[u8], sender: IpAddr) -> Result<(), Refused> {
        let events = events(&self.unpacked(headers, body, sender)?)?;
        let new = self
            .history
            .add(&events)
            .map_err(|problem| Refused(StatusCode::INTERNAL_SERVER_ERROR, problem))?;
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        for event in new {
            tally.add(&event.decided, now());
        }
        drop(tally);
        self.news.send_replace(());
        Ok(())
    }

    fn take_status(&self, headers: &HeaderMap, body: &[u8], sender: IpAddr) -> Result<(), Refused> {
        let text = self.unpacked(headers, body, sender)?;
        if text.len() > MAX_STATUS {
            return Err(Refused(StatusCode::PAYLOAD_TOO_LARGE, format!("more than {MAX_STATUS} bytes")));
        }
        let status: Value =
            serde_json::from_slice(&text).map_err(|error| bad(format!("not JSON: {error}")))?;
        let id = status.pointer("/labels/id").and_then(Value::as_str).filter(|id| id.len() <= MAX_ID);
        let id = id.ok_or_else(|| bad("a status has a `labels.id`".to_owned()))?.to_owned();
        let mut statuses = self.statuses.lock().unwrap_or_else(PoisonError::into_inner);
        statuses.insert(id, (Instant::now(), status));
        if statuses.len() > MAX_STATUSES {
            let oldest = statuses.iter().min_by_key(|(_, (came, _))| *came).map(|(id, _)| id.clone());
            oldest.and_then(|id| statuses.remove(&id));
        }
        drop(statuses);
        self.news.send_replace(());
        Ok(())
    }

    /// Tells whenever something has come.
    pub(super) fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    /// A look at what was counted.
    pub(super) fn counted<T>(&self, look: impl FnOnce(&Tally) -> T) -> T {
        look(&self.tally.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A look at the newest status of each Envoy.
    pub(super) fn statuses<T>(&self, look: impl FnOnce(&Statuses) -> T) -> T {
        look(&self.statuses.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The event of that instant and id.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn event(&self, nanos: i64, id: &str) -> Result<Option<Value>, String> {
        Ok(self.history.event(nanos, id)?.and_then(|json| serde_json::from_str(&json).ok()))
    }

    /// The body as it was before it was packed.
    fn unpacked(&self, headers: &HeaderMap, body: &[u8], sender: IpAddr) -> Result<Vec<u8>, Refused> {
        // No page of another site can have a browser send this type without asking first.
        let media_type = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
        if media_type.split(|byte| *byte == b';').next() != Some(b"application/json") {
            let problem = "the type of what is sent is `application/json`".to_owned();
            return Err(Refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, problem));
        }
        let text = match headers.get(header::CONTENT_ENCODING).map(|encoding| encoding.as_bytes()) {
            None => body.to_vec(),
            Some(b"gzip") => {
                let most = u64::try_from(MAX_UNPACKED).unwrap_or(u64::MAX);
                let mut text = Vec::new();
                let unpacked = GzDecoder::new(body).take(most.saturating_add(1)).read_to_end(&mut text);
                unpacked.map_err(|error| bad(format!("not gzip: {error}")))?;
                text
            }
            Some(_) => return Err(bad("a body is plain or gzip".to_owned())),
        };
        if text.len() > MAX_UNPACKED {
            let problem = format!("more than {MAX_UNPACKED} bytes, unpacked");
            return Err(Refused(StatusCode::PAYLOAD_TOO_LARGE, problem));
        }
        if !self.senders.may_send(sender, text.len(), Instant::now()) {
            let problem = "more than one sender may send in this time: send it again later".to_owned();
            return Err(Refused(StatusCode::TOO_MANY_REQUESTS, problem));
        }
        Ok(text)
    }
}

/// The events of an upload: all of them, or what is wrong with the first that is none.
fn events(text: &[u8]) -> Result<Vec<Event>, Refused> {
    let array: Vec<Value> =
        serde_json::from_slice(text).map_err(|error| bad(format!("not a JSON array of events: {error}")))?;
    let events = array.into_iter().enumerate();
    events.map(|(at, value)| event(value).map_err(|lack| bad(format!("event {at} has no {lack}")))).collect()
}

/// The event, or what it lacks.
fn event(value: Value) -> Result<Event, String> {
    let id = value.get("decision_id").and_then(Value::as_str).filter(|id| id.len() <= MAX_ID);
    let id = id.ok_or_else(|| format!("`decision_id` of at most {MAX_ID} bytes"))?.to_owned();
    let instant = value.get("timestamp").and_then(Value::as_str).and_then(Timestamp::from_rfc3339);
    let instant = instant.ok_or("`timestamp` in RFC 3339")?;
    let decided = Decided::of(instant, &id, &value);
    Ok(Event { nanos: instant.unix_nanos(), id, json: value.to_string(), decided })
}

fn bad(problem: String) -> Refused {
    Refused(StatusCode::BAD_REQUEST, problem)
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, format!("{}\n", self.1)).into_response()
    }
}

/// `POST /logs`.
pub(super) async fn post_logs(
    State(served): State<Arc<Served>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let take = move || served.sink.take_logs(&headers, &body, peer.address);
    answer(tokio::task::spawn_blocking(take).await.map(|taken| taken.map(|()| Json(json!({})))))
}

/// `POST /status`.
pub(super) async fn post_status(
    State(served): State<Arc<Served>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let take = move || served.sink.take_status(&headers, &body, peer.address);
    answer(tokio::task::spawn_blocking(take).await.map(|taken| taken.map(|()| Json(json!({})))))
}

/// `GET /logs`: events, one on a line, oldest first.
pub(super) async fn get_logs(State(served): State<Arc<Served>>, Query(asked): Query<Asked>) -> Response {
    let selection = match Selection::of(asked) {
        Ok(selection) => selection,
        Err(problem) => return bad(problem).into_response(),
    };
    let find = move || {
        let found = served.sink.history.find(&selection);
        found.map_err(|problem| Refused(StatusCode::INTERNAL_SERVER_ERROR, problem))
    };
    let found = tokio::task::spawn_blocking(find).await;
    answer(found.map(|found| found.map(|text| ([(header::CONTENT_TYPE, "application/x-ndjson")], text))))
}

/// `GET /status`: the newest event of each Envoy.
pub(super) async fn get_status(State(served): State<Arc<Served>>) -> Response {
    let all = |statuses: &Statuses| statuses.values().map(|(_, status)| status.clone()).collect();
    Json(Value::Array(served.sink.statuses(all))).into_response()
}

fn answer<T: IntoResponse>(done: Result<Result<T, Refused>, tokio::task::JoinError>) -> Response {
    match done {
        Ok(Ok(response)) => response.into_response(),
        Ok(Err(refused)) => refused.into_response(),
        Err(error) => Refused(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
