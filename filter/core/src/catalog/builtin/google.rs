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

pub(super) fn route(asked: &Asked<'_, '_>, api: &Api) -> Outcome<Option<Route>> {
    let path = asked.request.path();
    if path.strip_prefix(BATCH).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
        return Err(Ambiguity("a batch hides what is asked for"));
    }
    let is_grpc = match asked.request.told().content_type {
        Seen::Once(value) => value.get(..GRPC.len()).is_some_and(|head| head.eq_ignore_ascii_case(GRPC)),
        Seen::Never => false,
        Seen::Often => return Err(Ambiguity("it has more than one content type")),
    };
    let Some(mut pieces) = segments(asked, path) else { return Ok(None) };
    // A colon that was sent as one begins a verb. Escaped, or where a resource has no verbs, it is part of a name.
    if let Some((name, verb)) = raw_verb(asked.request.raw_path(), path) {
        pieces.pop();
        let verb = piece(asked.table, verb);
        if pieces.push(piece(asked.table, name)).and_then(|()| pieces.push(verb)).is_err() {
            return Ok(None);
        }
        if let Some(route) = routes::find(asked, api, &pieces, |_| true)? {
            let route = Route { has_verb: true, ..route };
            return Ok(Some(route).filter(|route| route.is_grpc == is_grpc));
        }
        let Some(whole) = segments(asked, path) else { return Ok(None) };
        pieces = whole;
    }
    let has_colon = pieces.as_slice().last().is_some_and(|last| last.text.contains(':'));
    let route = routes::find(asked, api, &pieces, |fit| !has_colon || !fit.has_verbs(asked.table))?;
    Ok(route.filter(|route| route.is_grpc == is_grpc))
}

/// The segments, of which none is ignored: a slash at the end leads to nothing.
fn segments<'p>(asked: &Asked<'_, '_>, path: &'p str) -> Option<Pieces<'p>> {
    let mut pieces = Pieces::new();
    for text in path.strip_prefix('/')?.split('/') {
        pieces.push(piece(asked.table, text)).ok()?;
    }
    Some(pieces)
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
