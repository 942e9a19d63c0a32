//! What is Google's own: custom verbs behind a colon, batches, gRPC, resources.

use super::{
    Asked, Outcome,
    routes::{self, Route},
    table::Api,
    trie::{Fit, Piece, Pieces, TooMany},
};
use crate::{
    catalog::operation::Ambiguity,
    request::{Request, Seen, cut},
};

const GRPC: &[u8] = b"application/grpc";
const BATCH: &str = "/batch";

/// A path's segments, whole, and with a custom verb as one more.
#[derive(Debug, Default)]
pub(super) struct Segments<'p> {
    whole: Pieces<'p>,
    called: Pieces<'p>,
    has_verb: bool,
    has_colon: bool,
    is_grpc: bool,
    /// Whether no route has so many.
    is_too_long: bool,
}

pub(super) fn route(asked: &Asked<'_, '_>, api: &Api, segments: &Segments<'_>) -> Outcome<Option<Route>> {
    if segments.is_too_long {
        return Ok(None);
    }
    let has_its_type = |route: &Route| route.is_grpc == segments.is_grpc;
    if segments.has_verb
        && let Some(route) = routes::find(asked, api, &segments.called, |_| true)?
    {
        return Ok(Some(Route { has_verb: true, ..route }).filter(has_its_type));
    }
    let is_meant = |fit: &Fit| !segments.has_colon || !fit.has_verbs(asked.table);
    Ok(routes::find(asked, api, &segments.whole, is_meant)?.filter(has_its_type))
}

// === impl Segments ===

impl<'p> Segments<'p> {
    /// Splits a path. A colon that was sent as one begins a verb; escaped, or where a resource has no verbs, it is part
    /// of a name. No segment is ignored: a slash at the end leads to nothing.
    ///
    /// # Errors
    /// When a request cannot be understood in one way by any of Google's APIs.
    pub(super) fn read(&mut self, request: &'p Request<'_>) -> Outcome<()> {
        let path = request.path();
        if path.strip_prefix(BATCH).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
            return Err(Ambiguity("a batch hides what is asked for"));
        }
        self.is_grpc = match request.told().content_type {
            Seen::Often => return Err(Ambiguity("it has more than one content type")),
            Seen::Once(value) => value.get(..GRPC.len()).is_some_and(|head| head.eq_ignore_ascii_case(GRPC)),
            Seen::Never => false,
        };
        self.is_too_long = self.split(request.raw_path(), path).is_err();
        Ok(())
    }

    fn split(&mut self, raw_path: &str, path: &'p str) -> Result<(), TooMany> {
        routes::split(path, &mut self.whole)?;
        self.has_colon =
            self.whole.as_slice().last().is_some_and(|last| last.text.bytes().any(|byte| byte == b':'));
        // A verb that was sent stands in the normal path too, because no letter of it is escaped.
        if self.has_colon
            && let Some((name, verb)) = raw_verb(raw_path, path)
        {
            self.called.clone_from(&self.whole);
            self.called.pop();
            self.called.push(Piece::new(name))?;
            self.called.push(Piece::new(verb))?;
            self.has_verb = true;
        }
        Ok(())
    }
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
    let path = if has_verb { without_verb(path)? } else { path };
    let mut rest = path.strip_prefix('/')?;
    while !rest.is_empty() {
        let (segment, after) = cut(rest, b'/').unwrap_or((rest, ""));
        let is_version = matches!(segment.as_bytes(), [b'v', b'0'..=b'9', ..]);
        if is_version && segment.len() < rest.len() {
            return Some(after.to_owned());
        }
        rest = after;
    }
    None
}

/// A path until its last colon.
pub(super) fn without_verb(path: &str) -> Option<&str> {
    path.get(..path.bytes().rposition(|byte| byte == b':')?)
}
