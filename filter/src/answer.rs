//! The answer of a server, which can be read only in the callback that it comes with.

use hexr_authz_core::{
    delivery::{FetchError, Fetched},
    timestamp::Timestamp,
};

use crate::host::{self, HeaderMap};

/// An answer that has come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    /// Of the call that it answers.
    pub(crate) token: u32,
    /// When it came.
    pub(crate) came: Timestamp,
    /// Without any there is no answer: the server was not reached.
    pub(crate) num_headers: usize,
    pub(crate) body_size: usize,
}

impl Answer {
    /// Whether the server has taken what was posted to it.
    pub(crate) fn taken(self) -> Result<(), FetchError> {
        match self.headers()?.iter().find(|(name, _)| *name == b":status") {
            Some((_, [b'2', _, _])) => Ok(()),
            Some((_, status)) => Err(FetchError::Status(String::from_utf8_lossy(status).into_owned())),
            None => Err(FetchError::NoAnswer),
        }
    }

    /// What the server sent of what it was asked for.
    pub(crate) fn fetched(self) -> Result<Fetched, FetchError> {
        let headers = self.headers()?;
        let body =
            if self.body_size == 0 { Ok(Vec::new()) } else { host::call_response_body(self.body_size) };
        Fetched::read(headers.iter(), body.map_err(|_| FetchError::Unreadable)?)
    }

    /// To ask for headers where there are none is an error.
    fn headers(self) -> Result<HeaderMap, FetchError> {
        if self.num_headers == 0 {
            return Ok(HeaderMap::empty());
        }
        host::call_response_headers().map_err(|_| FetchError::Unreadable)
    }
}
