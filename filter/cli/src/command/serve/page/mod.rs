//! The page at `/`: what was decided of late and why, what is active in each Envoy, and a form to ask the policy.
//!
//! It only reads. Everything that an Envoy tells may be an agent's choice: the templates escape it, and what a browser may do
//! with the page is sealed besides (`guard.rs`).

mod charts;
mod evaluate;
mod guard;
mod live;
mod text;
mod view;

use std::sync::Arc;

use askama::Template;
use axum::{
    Router,
    extract::{DefaultBodyLimit, State},
    http::{StatusCode, header},
    middleware,
    response::{Html, IntoResponse, Response},
    routing::get,
};
use tokio::sync::Semaphore;

use self::{evaluate::Filled, guard::Hosts, live::Live, view::Overview};
pub(super) use self::{
    guard::{refuse_foreign_names, refuse_foreign_posts},
    live::publish,
};
use super::http::Served;
use crate::source::now;

/// Where the page is.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct PageFlags {
    /// A name that browsers may ask for the page by, besides addresses and `localhost`; may be given several times.
    #[arg(long = "page-host", value_name = "NAME")]
    page_hosts: Vec<String>,
}

/// What the page needs besides what is served.
#[derive(Debug)]
pub(super) struct Page {
    hosts: Hosts,
    live: Live,
    evaluations: Arc<Semaphore>,
}

#[derive(Template)]
#[template(path = "page.html")]
struct Whole {
    as_of: String,
    overview: Overview,
    form: Filled,
}

// === impl PageFlags ===

impl PageFlags {
    pub(super) fn page(self) -> Page {
        Page {
            hosts: Hosts::new(self.page_hosts),
            live: Live::default(),
            evaluations: Arc::new(Semaphore::new(evaluate::AT_ONCE)),
        }
    }
}

pub(super) fn router(served: Arc<Served>) -> Router<Arc<Served>> {
    Router::new()
        .route("/", get(whole))
        .route("/live", get(live::listen))
        .route("/evaluate", get(evaluate::ask).post(evaluate::answer))
        .route("/page.css", get(async || file("text/css", include_str!("page.css"))))
        .route("/page.js", get(async || file("text/javascript", include_str!("page.js"))))
        .route("/icon.svg", get(async || file("image/svg+xml", include_str!("icon.svg"))))
        .layer(DefaultBodyLimit::max(evaluate::MAX_FORM))
        .layer(middleware::from_fn_with_state(served, guard::admit))
}

async fn whole(State(served): State<Arc<Served>>) -> Response {
    let whole = move || Whole {
        as_of: now().to_rfc3339(),
        overview: Overview::of(&served),
        form: Filled::empty(&served),
    };
    page(StatusCode::OK, whole).await
}

fn file(media_type: &'static str, text: &'static str) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, media_type)], text)
}

/// A page that takes work to make.
async fn page<T: Template>(status: StatusCode, make: impl FnOnce() -> T + Send + 'static) -> Response {
    let rendered = tokio::task::spawn_blocking(move || make().render().map_err(|error| error.to_string()));
    match rendered.await.map_err(|error| error.to_string()) {
        Ok(Ok(html)) => (status, Html(html)).into_response(),
        Ok(Err(problem)) | Err(problem) => (StatusCode::INTERNAL_SERVER_ERROR, problem).into_response(),
    }
}
