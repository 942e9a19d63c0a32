//! What is Google's own: custom verbs behind a colon, batches, gRPC, resources.

use super::{
    Asked, Outcome,
    routes::{self, Route, piece},
    table::Api,
    trie::Pieces,
};
use crate::{catalog::operation::Ambiguity, request::Seen};

const GRPC: &[u8] = b"application/grpc";
const BATCH: &str = "/batch";

/// A path's segments, whole, and with a custom verb as one more.
#[derive(Debug)]
pub(super) struct Segments<'p> {
    whole: Pieces<'p>,
    called: Option<Pieces<'p>>,
    is_grpc: bool,
}

pub(super) fn route<'q>(asked: &Asked<'q, '_>, api: &Api) -> Outcome<Option<Route>> {
    let path = asked.request.path();
    if path.strip_prefix(BATCH).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
        return Err(Ambiguity("a batch hides what is asked for"));
    }
    let content_type = asked.request.told().content_type;
    if content_type == Seen::Often {
        return Err(Ambiguity("it has more than one content type"));
    }
    let segments: &Option<Segments<'q>> = asked.google.get_or_init(|| segments(asked));
    let Some(Segments { whole, called, is_grpc }) = segments else { return Ok(None) };
    let has_its_type = |route: &Route| route.is_grpc == *is_grpc;
    if let Some(called) = called
        && let Some(route) = routes::find(asked, api, called, |_| true)?
    {
        return Ok(Some(Route { has_verb: true, ..route }).filter(has_its_type));
    }
    let has_colon = whole.as_slice().last().is_some_and(|last| last.text.contains(':'));
    let route = routes::find(asked, api, whole, |fit| !has_colon || !fit.has_verbs(asked.table))?;
    Ok(route.filter(has_its_type))
}

/// Splits a path. A colon that was sent as one begins a verb; escaped, or where a resource has no verbs, it is part of
/// a name. No segment is ignored: a slash at the end leads to nothing.
fn segments<'q>(asked: &Asked<'q, '_>) -> Option<Segments<'q>> {
    let (request, path) = (asked.request, asked.request.path());
    let mut whole = Pieces::new();
    routes::split(asked, path, &mut whole).ok()?;
    let called = match raw_verb(request.raw_path(), path) {
        Some((name, verb)) => {
            let mut called = whole;
            called.pop();
            called.push(piece(name)).and_then(|()| called.push(piece(verb))).ok()?;
            Some(called)
        }
        None => None,
    };
    let is_grpc = match request.told().content_type {
        Seen::Once(value) => value.get(..GRPC.len()).is_some_and(|head| head.eq_ignore_ascii_case(GRPC)),
        Seen::Never | Seen::Often => false,
    };
    Some(Segments { whole, called, is_grpc })
}

/// The last segment's name, and its verb with the colon, where the path was sent with one.
fn raw_verb<'p>(raw: &str, path: &'p str) -> Option<(&'p str, &'p str)> {
    let (_, raw_verb) = raw.rsplit_once('/')?.1.rsplit_once(':')?;
    let is_verb =
        !raw_verb.is_empty() && raw_verb.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !is_verb {
        return None;
    }
    let last = path.rsplit_once('/')?.1;
    let at = last.len().checked_sub(raw_verb.len() + 1)?;
    last.split_at_checked(at).filter(|(name, _)| !name.is_empty())
}

/// The resource that a path names: what stands behind the version, without a verb.
pub(super) fn resource(path: &str, has_verb: bool) -> Option<String> {
    let path = if has_verb { path.rsplit_once(':')?.0 } else { path };
    let mut rest = path.strip_prefix('/')?;
    loop {
        let (segment, after) = rest.split_once('/')?;
        rest = after;
        let is_version = segment
            .strip_prefix('v')
            .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()));
        if is_version {
            break;
        }
    }
    Some(rest.to_owned())
}
