//! What the bundle server's answer means.

use thiserror::Error;

/// A usable answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Fetched {
    /// 304: the active bundle is the newest.
    NotModified,
    /// 200: these bytes, not looked at yet.
    Bundle {
        /// The body.
        bytes: Vec<u8>,
        /// The server's `ETag`, verbatim.
        etag: Option<String>,
    },
}

/// An answer that is none.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FetchError {
    /// Envoy got no answer: a reset, or more bytes than it buffers.
    #[error("the bundle server's answer broke off, or is larger than Envoy buffers for a filter (32 MiB)")]
    NoAnswer,
    /// Any status but 200 and 304.
    #[error("the bundle server answered {0}")]
    Status(String),
    /// 200 without a body.
    #[error("the bundle server answered 200 without a body")]
    Empty,
    /// The request could not be sent.
    #[error("cluster `{0}` cannot be called: is it in Envoy's configuration?")]
    NotSent(String),
}

// === impl Fetched ===

impl Fetched {
    /// Reads an answer. `headers` is empty when Envoy got none.
    ///
    /// # Errors
    /// Why there is no bundle in it.
    pub fn read<'a>(
        headers: impl Iterator<Item = (&'a [u8], &'a [u8])>,
        body: Vec<u8>,
    ) -> Result<Self, FetchError> {
        let (mut status, mut etag) = (None, None);
        for (name, value) in headers {
            match name {
                b":status" => status = Some(value),
                b"etag" => etag = std::str::from_utf8(value).ok().map(str::to_owned),
                _ => {}
            }
        }
        match status.ok_or(FetchError::NoAnswer)? {
            b"200" if body.is_empty() => Err(FetchError::Empty),
            b"200" => Ok(Self::Bundle { bytes: body, etag }),
            b"304" => Ok(Self::NotModified),
            other => Err(FetchError::Status(String::from_utf8_lossy(other).into_owned())),
        }
    }
}
