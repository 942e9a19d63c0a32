//! What is S3's own: buckets in hosts, and keys that are any bytes.

use super::{
    Asked, Outcome,
    routes::{self, Route},
    table::{Api, Speaks},
    trie::{Piece, Pieces},
};
use crate::{catalog::operation::Ambiguity, request::cut};

/// What a directory bucket's name ends with.
const DIRECTORY_BUCKET: &str = "--x-s3";
const RESPONSE_OF_LAMBDA: &str = "WriteGetObjectResponse";

/// The bucket and the key that a request names, as far as the path has them.
struct Place<'p> {
    bucket: Option<&'p str>,
    key: Option<&'p str>,
}

pub(super) fn route(asked: &Asked<'_, '_>, api: &Api) -> Outcome<Option<Route>> {
    let place = place(api, asked.request.path());
    // What servers take for one another must not be both.
    if place.bucket.is_some_and(|bucket| bucket.is_empty() || bucket.bytes().any(|byte| byte == b'%')) {
        return Err(Ambiguity("what it names as a bucket may be read as a bucket and a key"));
    }
    let mut pieces = Pieces::default();
    let any = || Piece::new("*");
    if let Some(bucket) = place.bucket {
        if api.speaks.any(Speaks::S3_EXPRESS) && !bucket.ends_with(DIRECTORY_BUCKET) {
            return Ok(None);
        }
        pieces.push(any()).map_err(|_| too_long())?;
    }
    if let Some(key) = place.key {
        let is_response = api.speaks.any(Speaks::S3_LAMBDA) && key == RESPONSE_OF_LAMBDA;
        let key = if is_response { Piece::new(key) } else { any() };
        pieces.push(key).map_err(|_| too_long())?;
    }
    routes::find(asked, api, &pieces, |_| true)
}

fn too_long() -> Ambiguity {
    Ambiguity("the path is too long")
}

/// Splits a path at its first slash behind the bucket. A key may hold slashes, empty segments too.
fn place<'p>(api: &Api, path: &'p str) -> Place<'p> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let key = |key: &'p str| (!key.is_empty()).then_some(key);
    if api.speaks.any(Speaks::S3_VIRTUAL) {
        return Place { bucket: None, key: key(path) };
    }
    match cut(path, b'/') {
        Some((bucket, rest)) => Place { bucket: Some(bucket), key: key(rest) },
        None => Place { bucket: key(path), key: None },
    }
}

/// `bucket/key`, `bucket`, or nothing where all buckets are meant.
pub(super) fn resource(asked: &Asked<'_, '_>, api: &Api) -> Option<String> {
    let place = place(api, asked.request.path());
    let bucket = if api.speaks.any(Speaks::S3_VIRTUAL) {
        bucket_of(asked.request.host(), asked.base)?
    } else {
        place.bucket?
    };
    let Some(key) = place.key else { return Some(bucket.to_owned()) };
    let key = super::unescaped(key);
    let mut resource = String::with_capacity(bucket.len() + 1 + key.len());
    resource.extend([bucket, "/", &key]);
    Some(resource)
}

/// What stands before S3's own labels in a host, or before the operator's.
fn bucket_of<'h>(host: &'h str, base: Option<&str>) -> Option<&'h str> {
    if let Some(base) = base {
        return host.strip_suffix(base);
    }
    let is_s3 = |label: &str| label == "s3" || label.starts_with("s3-") || label.starts_with("s3express-");
    let mut from = host.len();
    let mut own = None;
    // From the right: a bucket may have a label that looks like S3's.
    for label in host.rsplit('.') {
        from = from.checked_sub(label.len())?;
        if is_s3(label) {
            own = Some(from);
            break;
        }
        from = from.saturating_sub(1);
    }
    let bucket = host.get(..own?)?.strip_suffix('.')?;
    Some(bucket.strip_suffix(".accesspoint").unwrap_or(bucket))
}
