//! OPA's bundle API over HTTP.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, RawQuery, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};

use super::bundles::{BundleState, Bundles};

pub(super) fn router(bundles: Arc<Bundles>) -> Router {
    Router::new().route("/bundles/{file}", get(bundle)).route("/health", get(health)).with_state(bundles)
}

async fn bundle(
    State(bundles): State<Arc<Bundles>>,
    Path(file): Path<String>,
    headers: HeaderMap,
) -> Response {
    let Some(bundle) = bundles.find(&file) else {
        return (StatusCode::NOT_FOUND, format!("there is no bundle `{file}`\n")).into_response();
    };
    let served = bundle.served();
    let Some(packed) = served.packed else {
        let problem = served.problem.unwrap_or_default();
        return (StatusCode::SERVICE_UNAVAILABLE, format!("{problem}\n")).into_response();
    };
    let etag = format!("\"{}\"", packed.digest.as_str());
    let etag_header = [(header::ETAG, HeaderValue::from_str(&etag).unwrap_or(HeaderValue::from_static("")))];
    if headers.get_all(header::IF_NONE_MATCH).iter().any(|value| names(value, &etag)) {
        return (StatusCode::NOT_MODIFIED, etag_header).into_response();
    }
    (etag_header, [(header::CONTENT_TYPE, "application/gzip")], packed.bytes.clone()).into_response()
}

/// Whether an `If-None-Match` names `etag`, by the weak comparison (RFC 9110, section 13.1.2).
fn names(value: &HeaderValue, etag: &str) -> bool {
    let Ok(value) = value.to_str() else { return false };
    value.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// 200 once every bundle is served in its newest form; with `?serving`, once it is served in some form, because a server
/// with the last good one is worth asking, and restarted it would have lost it.
async fn health(State(bundles): State<Arc<Bundles>>, RawQuery(query): RawQuery) -> Response {
    let report = |bundle: &BundleState| {
        let served = bundle.served();
        let revision = served.packed.as_ref().map(|packed| packed.revision.clone());
        let source = bundle.source();
        let state = serde_json::json!({"revision": revision, "problem": served.problem, "source": source});
        (bundle.name().to_owned(), state)
    };
    let states: serde_json::Map<String, serde_json::Value> = bundles.iter().map(report).collect();
    let in_some_form = query.is_some_and(|query| query == "serving");
    let healthy = bundles
        .iter()
        .map(BundleState::served)
        .all(|served| if in_some_form { served.packed.is_some() } else { served.problem.is_none() });
    let status = if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(serde_json::json!({"bundles": states}))).into_response()
}
