//! What has come of a request's body, and whether more of it is worth waiting for.
//!
//! Only a body that decides what is asked for is waited for: the whole of it, up to a size and for a time.

use crate::{
    authorizer::Authorizer,
    catalog::Derivation,
    denial::Denial,
    identity::Peer,
    request::{Request, Seen},
    timestamp::Timestamp,
};

/// What has come of a request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// Nothing yet; it follows.
    Coming,
    /// The request ended with its head.
    Absent,
    /// All of it.
    Whole(&'a [u8]),
    /// More than may be read.
    TooLarge,
    /// Not all of it, in all the time there was.
    TooLate,
}

/// A request and what it asks for, or why it cannot be read.
pub type Asked<'r, 'h> = Result<(&'r Request<'h>, Derivation), Denial>;

// === impl Body ===

impl<'a> Body<'a> {
    /// The body, where it has come.
    pub fn whole(self) -> Option<&'a [u8]> {
        match self {
            Self::Whole(bytes) => Some(bytes),
            Self::Absent => Some(&[]),
            Self::Coming | Self::TooLarge | Self::TooLate => None,
        }
    }
}

impl Authorizer {
    /// What `request` asks for; nothing where its body decides, and is worth waiting for.
    pub fn asked<'r, 'h>(
        &self,
        peer: &Peer,
        request: &'r Result<Request<'h>, Denial>,
        body: Body<'_>,
        now: Timestamp,
    ) -> Option<Asked<'r, 'h>> {
        let request = match request {
            Ok(request) => request,
            Err(denial) => return Some(Err(denial.clone())),
        };
        let (catalog, limits) = (&self.config().catalog, &self.config().limits);
        let rule = match catalog.derive(request) {
            Derivation::NeedsBody(rule) => rule,
            known @ (Derivation::Known(_)
            | Derivation::UnknownAction { .. }
            | Derivation::UnknownService
            | Derivation::Ambiguous(_)
            | Derivation::Unreadable { .. }
            | Derivation::Unheard { .. }) => return Some(Ok((request, known))),
        };
        let too_large = || Denial::BodyTooLarge(limits.request_body_bytes);
        let derivation = match body {
            // Whoever is refused anyway need not send more.
            Body::Coming if peer.at(now).is_err() => Derivation::NeedsBody(rule),
            Body::Coming if announces_more_than(limits.request_body_bytes, request) => {
                rule.unheard(too_large())
            }
            Body::Coming => return None,
            Body::Whole(bytes) if bytes.len() > limits.request_body_bytes => rule.unheard(too_large()),
            Body::Whole(bytes) => catalog.derive_with_body(&rule, request, bytes),
            Body::Absent => catalog.derive_with_body(&rule, request, &[]),
            Body::TooLarge => rule.unheard(too_large()),
            Body::TooLate => rule.unheard(Denial::BodyTimeout(limits.body_timeout_millis)),
        };
        Some(Ok((request, derivation)))
    }
}

/// Whether the `content-length` says so. Where there is none, the bytes are counted as they come.
fn announces_more_than(most: usize, request: &Request<'_>) -> bool {
    match request.header("content-length") {
        Seen::Once(value) => {
            let length = std::str::from_utf8(value).ok().and_then(|value| value.trim().parse::<usize>().ok());
            // A number that is none of ours is no small one.
            length.is_none_or(|length| length > most)
        }
        Seen::Never => false,
        Seen::Often => true,
    }
}

#[cfg(test)]
mod tests;
