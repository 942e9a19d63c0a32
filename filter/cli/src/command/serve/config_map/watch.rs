//! Lists a ConfigMap and watches it from there, again and again.
//!
//! Every event and every bookmark moves the position that the next watch resumes from, so that a broken connection loses
//! nothing. A position that the API server does not take is given up: the ConfigMap is listed anew.

use std::{
    hash::{BuildHasher as _, RandomState},
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1;
use kube::{
    Api, Client, Error, ResourceExt as _,
    api::{ListParams, WatchEvent, WatchParams},
};
use tokio::time::timeout;

use super::{ConfigMap, Link, Presence, access};

/// How long the API server has for an answer to begin.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// When the API server is to end a watch. Bookmarks come about every minute.
const WATCH_SECONDS: u32 = 290;
/// After this silence the connection is dead: the API server would have ended the watch.
const SILENCE: Duration = Duration::from_secs(300);
/// A watch that lasted this long was a good one.
const STEADY: Duration = Duration::from_secs(1);
const FIRST_PAUSE: Duration = Duration::from_millis(25);
/// Policies are live within 30 seconds, outages included.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What keeps changes from being heard of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    /// In a line.
    pub(super) short: String,
    /// With all that helps.
    pub(super) long: String,
}

/// The pauses between attempts: each up to twice the one before, none the same for two servers.
#[derive(Debug)]
struct Pauses(Duration);

/// Follows a ConfigMap without end.
pub(super) async fn follow(map: Arc<ConfigMap>, client: Client) {
    let api = Api::namespaced(client, &map.place.namespace);
    let mut position = None;
    let mut pauses = Pauses(FIRST_PAUSE);
    loop {
        let begin = Instant::now();
        if let Err(trouble) = map.look(&api, &mut position).await {
            map.lose(trouble);
        }
        if begin.elapsed() >= STEADY {
            pauses = Pauses(FIRST_PAUSE);
        }
        tokio::time::sleep(pauses.next()).await;
    }
}

impl ConfigMap {
    /// Lists, unless there is a position to resume from, and watches until the watch ends.
    async fn look(&self, api: &Api<v1::ConfigMap>, position: &mut Option<String>) -> Result<(), Trouble> {
        let field = format!("metadata.name={}", self.place.name);
        let from = match position.take() {
            Some(from) => from,
            None => self.list(api, &field).await?,
        };
        let params = WatchParams::default().fields(&field).timeout(WATCH_SECONDS);
        let events = match answered(api.watch(&params, &from)).await {
            Ok(events) => events,
            Err(error) => {
                // What the API server itself refuses may be the position; a list tells.
                *position = Some(from).filter(|_| !matches!(error, Failure::Kube(Error::Api(_))));
                return Err(self.trouble(&error));
            }
        };
        *position = Some(from);
        self.regain();
        let mut events = pin!(events);
        loop {
            let Ok(event) = timeout(SILENCE, events.next()).await else {
                return Err(Trouble::of(format!("nothing was heard for {} seconds", SILENCE.as_secs())));
            };
            match event {
                Some(Ok(WatchEvent::Added(object) | WatchEvent::Modified(object))) => {
                    *position = object.resource_version();
                    if self.is_it(&object) {
                        self.take(Some(object));
                    }
                }
                Some(Ok(WatchEvent::Deleted(object))) => {
                    *position = object.resource_version();
                    if self.is_it(&object) {
                        self.take(None);
                    }
                }
                Some(Ok(WatchEvent::Bookmark(bookmark))) => {
                    *position = Some(bookmark.metadata.resource_version);
                }
                Some(Ok(WatchEvent::Error(status))) => {
                    *position = None;
                    // The API server remembers changes for some minutes only: a list has what was missed.
                    return if status.code == 410 {
                        Ok(())
                    } else {
                        Err(access::trouble(&status, &self.place))
                    };
                }
                Some(Err(error)) => {
                    // An event that cannot be read is not skipped.
                    *position = position.take().filter(|_| matches!(error, Error::ReadEvents(_)));
                    return Err(self.trouble(&Failure::Kube(error)));
                }
                None => return Ok(()),
            }
        }
    }

    /// Takes the ConfigMap as it is now, and gives the position after which there may be something new.
    async fn list(&self, api: &Api<v1::ConfigMap>, field: &str) -> Result<String, Trouble> {
        let list = answered(api.list(&ListParams::default().fields(field))).await;
        let list = list.map_err(|error| self.trouble(&error))?;
        self.take(list.items.into_iter().find(|object| self.is_it(object)));
        let position = list.metadata.resource_version.filter(|position| !position.is_empty());
        position.ok_or_else(|| Trouble::of("the Kubernetes API gives no resourceVersion".to_owned()))
    }

    fn is_it(&self, object: &v1::ConfigMap) -> bool {
        object.metadata.name.as_deref() == Some(&self.place.name)
    }

    fn trouble(&self, failure: &Failure) -> Trouble {
        match failure {
            Failure::Kube(Error::Api(status)) => access::trouble(status, &self.place),
            Failure::Kube(error) => Trouble::of(format!("disconnected: {}", chain(error))),
            Failure::Late => {
                Trouble::of(format!("disconnected: no answer within {} seconds", ANSWER_WITHIN.as_secs()))
            }
        }
    }

    /// Changes are not heard of for now.
    fn lose(&self, trouble: Trouble) {
        let mut seen = self.seen();
        let known = matches!(&seen.link, Link::Broken(known) if *known == trouble);
        // While nothing is known of the ConfigMap, whoever packs it says why.
        if !known && !matches!(seen.presence, Presence::Unknown) {
            self.log(&format!("changes are not seen: {}", trouble.long));
        }
        seen.link = Link::Broken(trouble);
        if !known {
            self.changed.notify_one();
        }
    }

    /// Changes are heard of.
    fn regain(&self) {
        let mut seen = self.seen();
        if matches!(seen.link, Link::Broken(_)) {
            self.log("connected");
        }
        seen.link = Link::Watching;
    }
}

/// An answer that did not come.
#[derive(Debug)]
enum Failure {
    Kube(Error),
    Late,
}

async fn answered<T>(answer: impl Future<Output = Result<T, Error>>) -> Result<T, Failure> {
    match timeout(ANSWER_WITHIN, answer).await {
        Ok(answer) => answer.map_err(Failure::Kube),
        Err(_) => Err(Failure::Late),
    }
}

/// An error with its causes, each once.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

// === impl Trouble ===

impl Trouble {
    pub(super) fn of(text: String) -> Self {
        Self { short: text.clone(), long: text }
    }
}

// === impl Pauses ===

impl Pauses {
    fn next(&mut self) -> Duration {
        let pause = self.0;
        self.0 = (pause * 2).min(LONGEST_PAUSE);
        // Between half and all of it.
        let random = RandomState::new().hash_one(pause) % 500;
        pause / 2 + pause * u32::try_from(random).unwrap_or(0) / 1000
    }
}
