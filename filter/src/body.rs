//! Requests that wait for the body that decides what they ask for.
//!
//! Their head is paused, and Envoy holds back what comes of the body. The end of the stream decides them, a size or a
//! time refuses them: whatever comes first. Where Envoy's `allow_on_headers_stop_iteration` is absent the filter never
//! hears of a body, and the time is what comes.

use std::{cell::RefCell, collections::BTreeMap};

use hexr_authz_core::{body::Body, timestamp::Timestamp};

use crate::{
    host::{self, HostError},
    http::Admitted,
};

/// The requests of one worker that wait, by their contexts.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    waiting: RefCell<BTreeMap<u32, Wait>>,
    /// Those that were admitted on a tick, until a callback of theirs hears of it.
    admitted: RefCell<BTreeMap<u32, Admitted>>,
}

#[derive(Clone, Copy, Debug)]
struct Wait {
    /// In milliseconds since 1970.
    began: i64,
    ends_at: i64,
    /// How much of the body has come.
    bytes: usize,
}

/// The body of a request that has come to its end.
#[derive(Debug)]
pub(crate) enum Ended {
    Whole(Vec<u8>),
    TooLarge,
}

// === impl Waiting ===

impl Waiting {
    /// Has a request wait.
    pub(crate) fn begin(&self, context: u32, now: Timestamp, millis: u64) -> Result<(), HostError> {
        let began = now.unix_millis();
        let ends_at = began.saturating_add(i64::try_from(millis).unwrap_or(i64::MAX));
        let mut waiting = self.waiting.try_borrow_mut().map_err(|_| HostError::NotFound)?;
        waiting.insert(context, Wait { began, ends_at, bytes: 0 });
        Ok(())
    }

    /// Whether a request waits.
    pub(crate) fn holds(&self, context: u32) -> bool {
        self.waiting.try_borrow().is_ok_and(|waiting| waiting.contains_key(&context))
    }

    /// Notes how much of a body has come.
    pub(crate) fn note(&self, context: u32, bytes: usize) {
        let Ok(mut waiting) = self.waiting.try_borrow_mut() else { return };
        if let Some(wait) = waiting.get_mut(&context) {
            wait.bytes = bytes;
        }
    }

    /// Ends the wait of a request of which all has come.
    pub(crate) fn end(&self, context: u32, most: usize) -> Result<Ended, HostError> {
        let wait = self.forget(context).ok_or(HostError::NotFound)?;
        match wait.bytes {
            0 => Ok(Ended::Whole(Vec::new())),
            bytes if bytes > most => Ok(Ended::TooLarge),
            bytes => {
                let body = host::request_body()?;
                // A part of a body decides nothing.
                if body.len() == bytes { Ok(Ended::Whole(body)) } else { Err(HostError::NotFound) }
            }
        }
    }

    /// Ends the wait of a request, whatever has come.
    fn forget(&self, context: u32) -> Option<Wait> {
        self.waiting.try_borrow_mut().ok()?.remove(&context)
    }

    /// Ends the wait of a request that is no more.
    pub(crate) fn drop(&self, context: u32) {
        let _ = self.forget(context);
        let _ = self.take_admitted(context);
    }

    /// Notes that a request was admitted on a tick, though not all of it has come.
    pub(crate) fn admit(&self, context: u32, admitted: Admitted) -> Result<(), HostError> {
        let mut all = self.admitted.try_borrow_mut().map_err(|_| HostError::NotFound)?;
        all.insert(context, admitted);
        Ok(())
    }

    /// Whether a request was admitted on a tick.
    pub(crate) fn take_admitted(&self, context: u32) -> Option<Admitted> {
        self.admitted.try_borrow_mut().ok()?.remove(&context)
    }

    /// Ends the wait of all requests that have waited too long.
    pub(crate) fn overdue(&self, now: Timestamp) -> Vec<u32> {
        let Ok(mut waiting) = self.waiting.try_borrow_mut() else { return Vec::new() };
        // A clock that was set back must keep nobody waiting.
        let overdue = |wait: &Wait| !(wait.began..wait.ends_at).contains(&now.unix_millis());
        let contexts =
            waiting.iter().filter(|(_, wait)| overdue(wait)).map(|(context, _)| *context).collect();
        waiting.retain(|_, wait| !overdue(wait));
        contexts
    }
}

// === impl Ended ===

impl Ended {
    pub(crate) fn body(&self) -> Body<'_> {
        match self {
            Self::Whole(bytes) => Body::Whole(bytes),
            Self::TooLarge => Body::TooLarge,
        }
    }
}
