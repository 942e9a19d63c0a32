//! What is served at an address, and its versions.

use std::sync::Arc;

use axum::{body::Bytes, http::HeaderValue};
use hexr_authz_core::delivery::Digest;
use tokio::sync::watch;

/// One version of it.
#[derive(Clone, Debug)]
pub(super) struct Document {
    pub(super) body: Bytes,
    /// The digest of `body`, in quotes.
    pub(super) etag: HeaderValue,
    pub(super) kind: Kind,
}

/// What is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bundle,
    Json,
}

/// A place where the newest version is, and whoever waits for the next one. There is none until the first.
#[derive(Debug)]
pub(super) struct Publication(watch::Sender<Option<Arc<Document>>>);

/// A look at a publication.
pub(super) type Reading = watch::Receiver<Option<Arc<Document>>>;

// === impl Document ===

impl Document {
    pub(super) fn new(body: Bytes, kind: Kind) -> Self {
        let etag = format!("\"{}\"", Digest::of(&body).as_str());
        // A digest is letters and digits.
        let etag = HeaderValue::from_str(&etag).unwrap_or(HeaderValue::from_static("\"\""));
        Self { body, etag, kind }
    }
}

// === impl Publication ===

impl Publication {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    /// Publishes a version; says whether it is another one than that before. Who waits is woken only then.
    pub(super) fn publish(&self, document: Document) -> bool {
        self.0.send_if_modified(|current| {
            let is_new = current.as_ref().is_none_or(|current| current.etag != document.etag);
            if is_new {
                *current = Some(Arc::new(document));
            }
            is_new
        })
    }

    pub(super) fn reading(&self) -> Reading {
        self.0.subscribe()
    }

    pub(super) fn current(&self) -> Option<Arc<Document>> {
        self.0.borrow().clone()
    }
}
