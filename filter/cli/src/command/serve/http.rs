//! OPA's bundle API over HTTP, and what operators look at.

use std::sync::Arc;

use axum::{
    Extension, Json, Router,
    extract::{DefaultBodyLimit, Path, RawQuery, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Map, Value, json};

use super::{
    authentication::{Caller, Gate, admit},
    bundles::{Bundles, Terms},
    document::{Document, Kind, Reading},
    long_poll::{Asked, Outcome, Stop},
    metrics::{MEDIA_TYPE, Now, TENANTS},
    page::{self, Page},
    sink::{self, Sink},
    tenants::Tenants,
};

/// What is served.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) bundles: Arc<Bundles>,
    pub(super) tenants: Option<Arc<Tenants>>,
    pub(super) terms: Arc<Terms>,
    pub(super) sink: Sink,
    pub(super) page: Page,
    pub(super) stop: Stop,
}

/// By this type OPA knows that the server can wait.
const WAITING_TYPE: &str = "application/vnd.openpolicyagent.bundles";
/// The label of what there is not.
const UNKNOWN: &str = "unknown";

pub(super) fn router(served: Arc<Served>, gate: Arc<Gate>) -> Router {
    let told = Router::new()
        .route("/logs", post(sink::post_logs).get(sink::get_logs))
        .route("/status", post(sink::post_status).get(sink::get_status))
        .route("/status/{partition}", post(sink::post_status));
    // Without authentication, only the name tells a browser that was led here from anybody else.
    let told = if gate.is_open() {
        told.layer(middleware::from_fn_with_state(Arc::clone(&served), page::refuse_foreign_names))
    } else {
        told
    };
    Router::new()
        .route("/bundles/{file}", get(bundle))
        .route("/bundles/tenants", get(index))
        .route("/bundles/tenants/{file}", get(tenant))
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .merge(told)
        .layer(DefaultBodyLimit::max(sink::MAX_BODY))
        .layer(middleware::from_fn_with_state(Arc::clone(&served), page::refuse_foreign_posts))
        .merge(page::router(Arc::clone(&served)))
        .layer(middleware::from_fn_with_state(gate, admit))
        .with_state(served)
}

async fn bundle(State(served): State<Arc<Served>>, Path(file): Path<String>, headers: HeaderMap) -> Response {
    let Some(bundle) = served.bundles.find(&file) else { return served.missing(&file) };
    let problem = || bundle.status().problem;
    served.answer(bundle.label(), bundle.reading(), &headers, problem).await
}

async fn tenant(State(served): State<Arc<Served>>, Path(file): Path<String>, headers: HeaderMap) -> Response {
    let tenant = served.tenants.as_ref().and_then(|tenants| tenants.find(&file));
    let Some(bundle) = tenant else { return served.missing(&format!("tenants/{file}")) };
    let problem = bundle.status().problem;
    let reading = bundle.reading();
    // Who waits must not keep a tenant that is taken away.
    drop(bundle);
    served.answer(TENANTS, reading, &headers, || problem).await
}

async fn index(State(served): State<Arc<Served>>, headers: HeaderMap) -> Response {
    let Some(tenants) = &served.tenants else { return served.missing(TENANTS) };
    served.answer(TENANTS, tenants.index(), &headers, || tenants.problem()).await
}

/// 200 once every bundle of the platform has been good at least once. `/health?bundles` is 200 while every bundle is as
/// its source says, and tells of each.
async fn health(
    State(served): State<Arc<Served>>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> Response {
    let asks_for_bundles = query
        .is_some_and(|query| query.split('&').any(|part| part == "bundles" || part.starts_with("bundles=")));
    if !asks_for_bundles {
        let is_ready = served.bundles.iter().all(|bundle| bundle.current().is_some());
        let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        return (status, Json(json!({}))).into_response();
    }
    let mut is_good = true;
    let mut bundles = Map::new();
    for bundle in served.bundles.iter() {
        let status = bundle.status();
        is_good &= status.is_good();
        bundles.insert(bundle.name().to_owned(), bundle.report());
    }
    let mut report = Map::from_iter([("bundles".to_owned(), Value::Object(bundles))]);
    if let Some(tenants) = &served.tenants {
        let mut states = Map::new();
        for (name, bundle) in tenants.all() {
            let status = bundle.status();
            is_good &= status.is_good();
            states.insert(name, bundle.report());
        }
        let problem = tenants.problem();
        is_good &= problem.is_none();
        report.insert("tenants".to_owned(), Value::Object(states));
        report.insert("tenants_folder".to_owned(), json!({"problem": problem}));
    }
    let status = if is_good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    // A problem may quote a policy.
    if caller == Caller::Unknown {
        return (status, Json(json!({}))).into_response();
    }
    (status, Json(Value::Object(report))).into_response()
}

async fn metrics(State(served): State<Arc<Served>>) -> Response {
    let revisions = served.bundles.iter().filter_map(|bundle| {
        let revision = bundle.status().revision?;
        Some((bundle.name().to_owned(), revision))
    });
    let tenants = served.tenants.as_ref().map(|tenants| {
        let states = tenants.all();
        let good = states.iter().filter(|(_, bundle)| bundle.status().is_good()).count();
        (good, states.len().saturating_sub(good))
    });
    match served.terms.metrics.text(&Now { revisions: revisions.collect(), tenants }) {
        Ok(text) => ([(header::CONTENT_TYPE, MEDIA_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

// === impl Served ===

impl Served {
    async fn answer(
        &self,
        label: &str,
        reading: Reading,
        headers: &HeaderMap,
        problem: impl FnOnce() -> Option<String>,
    ) -> Response {
        let asked = Asked::of(headers);
        let outcome = asked.answer(reading, self.stop.clone(), &self.terms.metrics).await;
        let response = match outcome {
            Outcome::New(document) => (described(&document, &asked), document.body.clone()).into_response(),
            Outcome::Same(document) => {
                (StatusCode::NOT_MODIFIED, described(&document, &asked)).into_response()
            }
            Outcome::NotYet => {
                (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", problem().unwrap_or_default()))
                    .into_response()
            }
            Outcome::Gone => (StatusCode::NOT_FOUND, "it was taken away\n").into_response(),
        };
        self.terms.metrics.answered(label, response.status().as_u16());
        response
    }

    fn missing(&self, file: &str) -> Response {
        self.terms.metrics.answered(UNKNOWN, StatusCode::NOT_FOUND.as_u16());
        (StatusCode::NOT_FOUND, format!("there is no bundle `{file}`\n")).into_response()
    }
}

fn described(document: &Document, asked: &Asked) -> [(header::HeaderName, HeaderValue); 2] {
    let media_type = match (document.kind, asked.wait) {
        (Kind::Json, _) => "application/json",
        (Kind::Bundle, Some(_)) => WAITING_TYPE,
        (Kind::Bundle, None) => "application/gzip",
    };
    [(header::ETAG, document.etag.clone()), (header::CONTENT_TYPE, HeaderValue::from_static(media_type))]
}
