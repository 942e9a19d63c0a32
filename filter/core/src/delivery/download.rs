//! One thing that is polled, as OPA polls its bundles.

use std::{borrow::Cow, time::Duration};

use super::{FetchError, Fetched, turn::Turn};
use crate::{
    config::{Polling, Resource},
    status::BundleStatus,
    timestamp::Timestamp,
};

/// A resource of a server, and when it is asked for next.
#[derive(Clone, Debug)]
pub struct Download {
    resource: Resource,
    turn: Turn,
    /// What the server called what it sent last.
    etag: Option<String>,
    /// Whether 404 is an answer like others.
    absence_is_fine: bool,
    /// Whether a server may know long polling that does not say so by the type of the content.
    any_type_waits: bool,
    waiting: Waiting,
    moments: Moments,
}

/// When it was asked for, and answered.
#[derive(Clone, Copy, Debug, Default)]
struct Moments {
    request: Option<Timestamp>,
    answer: Option<Timestamp>,
    content: Option<Timestamp>,
}

/// What is known of the server's long polling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    /// Not wanted.
    Off,
    /// It is asked for; whether the server can is not known.
    Tried,
    /// The server can.
    Works,
    /// It cannot.
    Unknown,
}

/// A server that answers sooner that there is nothing new has not waited.
const SOON_MILLIS: i64 = 500;

// === impl Download ===

impl Download {
    /// The first request is due at once.
    pub fn new(resource: Resource) -> Self {
        let wants_to_wait = resource.polling.long_polling_timeout_seconds > 0;
        Self {
            turn: Turn::new(resource.polling),
            etag: None,
            absence_is_fine: false,
            any_type_waits: false,
            waiting: if wants_to_wait { Waiting::Tried } else { Waiting::Off },
            moments: Moments::default(),
            resource,
        }
    }

    /// That of the list of all tenants. No type of its content tells whether the server can wait; how long it takes does.
    pub fn of_index(resource: Resource) -> Self {
        Self { any_type_waits: true, ..Self::new(resource) }
    }

    /// That of a tenant's bundle. It does not wait, because one list tells for all tenants when there is something new;
    /// and that there is none is an answer.
    pub fn of_tenant(mut resource: Resource) -> Self {
        resource.polling = Polling { long_polling_timeout_seconds: 0, ..resource.polling };
        Self { absence_is_fine: true, ..Self::new(resource) }
    }

    /// What is polled.
    pub fn resource(&self) -> &Resource {
        &self.resource
    }

    /// What the server called what it sent last.
    pub fn etag(&self) -> Option<&str> {
        self.etag.as_deref()
    }

    /// What is held already was called so by the server.
    pub fn resume(&mut self, etag: Option<&str>) {
        self.etag = etag.map(str::to_owned);
    }

    /// Adds when it was asked for, and answered.
    pub fn describe(&self, status: &mut BundleStatus) {
        status.last_request = self.moments.request;
        status.last_successful_request = self.moments.answer;
        status.last_successful_download = self.moments.content;
    }

    /// Whether no request is on its way.
    pub fn is_idle(&self, now: Timestamp) -> bool {
        self.turn.is_idle(now)
    }

    /// Whether it is time for the next request.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.turn.is_due(now)
    }

    /// Whether it may be asked for at once, because something says that it has changed.
    pub fn may_hurry(&self, now: Timestamp) -> bool {
        self.turn.may_hurry(now)
    }

    /// The headers of the request.
    pub fn request(&self) -> Vec<(&str, Cow<'_, str>)> {
        let prefer = match self.wait_seconds() {
            0 => Cow::Borrowed("modes=snapshot"),
            seconds => Cow::Owned(format!("modes=snapshot;wait={seconds}")),
        };
        let etag = self.etag().map(|etag| ("if-none-match", Cow::Borrowed(etag)));
        self.resource.request("GET", [("prefer", prefer)].into_iter().chain(etag))
    }

    /// How long the server may take: its time to answer, on top of the time that it is asked to wait.
    pub fn timeout(&self) -> Duration {
        let wait = self.wait_seconds().saturating_mul(1000);
        Duration::from_millis(self.resource.timeout_millis.saturating_add(wait))
    }

    /// The request was sent, and its answer comes under `token`.
    pub fn sent(&mut self, token: u32, now: Timestamp) {
        self.moments.request = Some(now);
        self.turn.sent(token, now, self.timeout());
    }

    /// The request could not be sent.
    pub fn not_sent(&mut self, now: Timestamp, random: u64) -> FetchError {
        self.turn.schedule.failed(now, random);
        FetchError::NotSent(self.resource.cluster.clone())
    }

    /// Whether an answer under `token` is this one's.
    pub fn expects(&self, token: u32) -> bool {
        self.turn.expects(token)
    }

    /// An answer has come: what it means, and when the next request is due.
    ///
    /// # Errors
    /// When there is nothing in it.
    pub fn answered(
        &mut self,
        answer: Result<Fetched, FetchError>,
        now: Timestamp,
        random: u64,
    ) -> Result<Fetched, FetchError> {
        let took = self.turn.end(now);
        let answer = match answer {
            Ok(Fetched::NotModified) if self.etag.is_none() => Err(FetchError::OutOfNowhere),
            other => other,
        };
        let is_absent = self.absence_is_fine && answer == Err(FetchError::Missing);
        if answer.is_err() && !is_absent {
            self.turn.schedule.failed(now, random);
            // A server that comes back may be another one.
            if self.waiting == Waiting::Unknown {
                self.waiting = Waiting::Tried;
            }
            return answer;
        }
        let has_waited = self.learn(&answer, took);
        self.moments.answer = Some(now);
        match &answer {
            Ok(Fetched::New { etag, .. }) => {
                self.etag.clone_from(etag);
                self.moments.content = Some(now);
            }
            Ok(Fetched::NotModified) => {}
            Err(_) => self.etag = None,
        }
        if has_waited {
            self.turn.schedule.succeeded_by_waiting();
        } else {
            self.turn.schedule.succeeded(now, random);
        }
        answer
    }

    /// Learns whether the server waits. Asking again at once is for servers that do, or have something new each time.
    fn learn(&mut self, answer: &Result<Fetched, FetchError>, took_millis: i64) -> bool {
        match answer {
            Ok(Fetched::New { etag, speaks_long_polling, .. }) => {
                self.waiting = match (self.waiting, speaks_long_polling) {
                    (Waiting::Off, _) => Waiting::Off,
                    (_, true) => Waiting::Works,
                    (waiting, false) if self.any_type_waits => waiting,
                    (_, false) => Waiting::Unknown,
                };
                (self.waiting == Waiting::Works || self.any_type_waits)
                    && etag.is_some()
                    && *etag != self.etag
            }
            Ok(Fetched::NotModified) => {
                let has_waited = self.wait_seconds() > 0 && took_millis >= SOON_MILLIS;
                if has_waited {
                    self.waiting = Waiting::Works;
                }
                has_waited
            }
            Err(_) => false,
        }
    }

    fn wait_seconds(&self) -> u64 {
        match self.waiting {
            Waiting::Off | Waiting::Unknown => 0,
            Waiting::Tried | Waiting::Works => self.resource.polling.long_polling_timeout_seconds,
        }
    }
}
