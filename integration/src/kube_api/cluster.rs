//! ConfigMaps, what happened to them, and who is told.

use std::{
    collections::BTreeMap,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use hyper::body::{Body, Bytes, Frame};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// What is in a ConfigMap.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    data: BTreeMap<String, String>,
    binary_data: BTreeMap<String, String>,
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// A list otherwise.
    pub watch: bool,
    /// From where.
    pub resource_version: Option<String>,
}

/// The cluster.
#[derive(Debug)]
pub(super) struct Cluster {
    version: u64,
    objects: BTreeMap<String, Value>,
    history: Vec<(u64, Value)>,
    /// Of what happened up to here nothing is remembered.
    forgotten: u64,
    watches: Vec<Watch>,
    pub(super) permitted: bool,
    pub(super) asked: Vec<Asked>,
}

#[derive(Debug)]
struct Watch {
    place: String,
    bookmarks: bool,
    lines: UnboundedSender<io::Result<Bytes>>,
}

/// The lines of a watch as a body.
#[derive(Debug)]
pub(super) struct Lines(UnboundedReceiver<io::Result<Bytes>>);

// === impl Contents ===

impl Contents {
    /// These keys and texts.
    pub fn of(data: &[(&str, &str)]) -> Self {
        let data = data.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
        Self { data, ..Self::default() }
    }

    /// One more key, whose bytes are given in base64.
    #[must_use]
    pub fn and_binary(mut self, key: &str, base64: &str) -> Self {
        self.binary_data.insert(key.to_owned(), base64.to_owned());
        self
    }
}

// === impl Cluster ===

impl Default for Cluster {
    fn default() -> Self {
        Self {
            version: 1000,
            objects: BTreeMap::new(),
            history: Vec::new(),
            forgotten: 0,
            watches: Vec::new(),
            permitted: true,
            asked: Vec::new(),
        }
    }
}

impl Cluster {
    pub(super) fn apply(&mut self, place: &str, contents: &Contents) {
        let event = self.changed(place, contents);
        self.tell(place, event);
    }

    pub(super) fn apply_and_forget(&mut self, place: &str, contents: &Contents) {
        let _ = self.changed(place, contents);
        self.history.clear();
        self.forgotten = self.version;
        for watch in self.watches.drain(..) {
            watch.say(&gone());
        }
    }

    pub(super) fn delete(&mut self, place: &str) {
        if let Some(mut object) = self.objects.remove(place) {
            self.version += 1;
            if let Some(version) = object.pointer_mut("/metadata/resourceVersion") {
                *version = json!(self.version.to_string());
            }
            self.tell(place, json!({"type": "DELETED", "object": object}));
        }
    }

    pub(super) fn bookmark(&mut self) -> String {
        self.version += 7;
        let version = self.version.to_string();
        let metadata = json!({"resourceVersion": version, "creationTimestamp": null});
        let object = json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": metadata});
        for watch in self.watches.iter().filter(|watch| watch.bookmarks) {
            watch.say(&json!({"type": "BOOKMARK", "object": object}));
        }
        version
    }

    pub(super) fn disconnect(&mut self) {
        for watch in self.watches.drain(..) {
            let _ = watch.lines.send(Err(io::Error::other("disconnected")));
        }
    }

    pub(super) fn permit(&mut self, permitted: bool) {
        self.permitted = permitted;
    }

    pub(super) fn watches(&mut self) -> usize {
        self.watches.retain(|watch| !watch.lines.is_closed());
        self.watches.len()
    }

    pub(super) fn forget_watches(&mut self) {
        self.watches.clear();
    }

    pub(super) fn list(&self, place: &str) -> Value {
        json!({
            "kind": "ConfigMapList",
            "apiVersion": "v1",
            "metadata": {"resourceVersion": self.version.to_string()},
            "items": self.objects.get(place).into_iter().collect::<Vec<_>>(),
        })
    }

    /// What happened to `place` after the version `from`, and what will.
    pub(super) fn watch(&mut self, place: &str, from: u64, bookmarks: bool) -> Lines {
        let (lines, body) = unbounded_channel();
        let watch = Watch { place: place.to_owned(), bookmarks, lines };
        if from < self.forgotten {
            watch.say(&gone());
            return Lines(body);
        }
        let is_new = |(version, event): &&(u64, Value)| *version > from && is_at(event, place);
        for (_, event) in self.history.iter().filter(is_new) {
            watch.say(event);
        }
        self.watches.push(watch);
        Lines(body)
    }

    fn changed(&mut self, place: &str, contents: &Contents) -> Value {
        self.version += 1;
        let (namespace, name) = place.split_once('/').unwrap_or(("default", place));
        let object = json!({
            "kind": "ConfigMap",
            "apiVersion": "v1",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "uid": format!("00000000-0000-0000-0000-{:012}", self.version),
                "resourceVersion": self.version.to_string(),
                "generation": 1,
                "creationTimestamp": "2026-01-15T10:30:00Z",
                "managedFields": [{"manager": "kubectl", "operation": "Update", "apiVersion": "v1",
                    "time": "2026-01-15T10:30:00Z", "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {}}}],
            },
            "data": contents.data,
            "binaryData": contents.binary_data,
        });
        let kind = if self.objects.insert(place.to_owned(), object.clone()).is_some() {
            "MODIFIED"
        } else {
            "ADDED"
        };
        json!({"type": kind, "object": object})
    }

    fn tell(&mut self, place: &str, event: Value) {
        for watch in self.watches.iter().filter(|watch| watch.place == place) {
            watch.say(&event);
        }
        self.history.push((self.version, event));
    }
}

fn is_at(event: &Value, place: &str) -> bool {
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    format!("{}/{}", text("/object/metadata/namespace"), text("/object/metadata/name")) == place
}

fn gone() -> Value {
    json!({"type": "ERROR", "object": {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "too old resource version", "reason": "Expired", "code": 410}})
}

// === impl Watch ===

impl Watch {
    fn say(&self, event: &Value) {
        // Whoever has gone is not told.
        let _ = self.lines.send(Ok(Bytes::from(format!("{event}\n"))));
    }
}

// === impl Lines ===

impl Body for Lines {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let line = ready!(self.0.poll_recv(context));
        Poll::Ready(line.map(|line| line.map(Frame::data)))
    }
}
