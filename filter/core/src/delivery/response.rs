//! What a server's answer means.

use thiserror::Error;

/// A usable answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Fetched {
    /// 304: there is nothing newer than what was named.
    NotModified,
    /// 200: these bytes, not looked at yet.
    New {
        /// The body.
        bytes: Vec<u8>,
        /// The server's `ETag`, verbatim.
        etag: Option<String>,
        /// Whether it says, by the type of the content, that it can hold a request until there is something new.
        speaks_long_polling: bool,
    },
}

/// An answer that is none.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FetchError {
    /// Envoy got no answer: a reset, or more bytes than it buffers.
    #[error("the bundle server's answer broke off, or is larger than Envoy buffers for a filter (32 MiB)")]
    NoAnswer,
    /// 404.
    #[error("the bundle server answered 404")]
    Missing,
    /// Any other status but 200 and 304.
    #[error("the bundle server answered {0}")]
    Status(String),
    /// 200 without a body.
    #[error("the bundle server answered 200 without a body")]
    Empty,
    /// 304, though nothing was named that could be unmodified.
    #[error("the bundle server answered 304 to a request without an ETag")]
    OutOfNowhere,
    /// Envoy does not hand it over.
    #[error("the bundle server's answer cannot be read")]
    Unreadable,
    /// The request could not be sent.
    #[error("cluster `{0}` cannot be called: is it in Envoy's configuration?")]
    NotSent(String),
}

/// The type by which OPA tells a server that knows long polling.
const BUNDLE_TYPE: &[u8] = b"application/vnd.openpolicyagent.bundles";

// === impl FetchError ===

impl FetchError {
    /// The status of the answer, where it is what is wrong.
    pub fn http_code(&self) -> Option<u16> {
        match self {
            Self::Missing => Some(404),
            Self::Status(status) => status.parse().ok(),
            Self::NoAnswer | Self::Empty | Self::OutOfNowhere | Self::Unreadable | Self::NotSent(_) => None,
        }
    }
}

// === impl Fetched ===

impl Fetched {
    /// Reads an answer. `headers` is empty when Envoy got none.
    ///
    /// # Errors
    /// Why there is nothing in it.
    pub fn read<'a>(
        headers: impl Iterator<Item = (&'a [u8], &'a [u8])>,
        body: Vec<u8>,
    ) -> Result<Self, FetchError> {
        let (mut status, mut etag, mut speaks_long_polling) = (None, None, false);
        for (name, value) in headers {
            match name {
                b":status" => status = Some(value),
                b"etag" => etag = std::str::from_utf8(value).ok().map(str::to_owned),
                b"content-type" => speaks_long_polling = value == BUNDLE_TYPE,
                _ => {}
            }
        }
        match status.ok_or(FetchError::NoAnswer)? {
            b"200" if body.is_empty() => Err(FetchError::Empty),
            b"200" => Ok(Self::New { bytes: body, etag, speaks_long_polling }),
            b"304" => Ok(Self::NotModified),
            b"404" => Err(FetchError::Missing),
            other => Err(FetchError::Status(String::from_utf8_lossy(other).into_owned())),
        }
    }
}
