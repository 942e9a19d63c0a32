//! An input evaluated against what is served, with its explanation.

use std::sync::Arc;

use askama::Template;
use axum::{
    Form,
    extract::{Query, State, rejection::FormRejection},
    http::StatusCode,
    response::Response,
};
use serde::Deserialize;

use super::{
    page,
    text::{shown_lines, visible_json},
};
use crate::{
    command::{
        eval,
        serve::{bundles::BundleState, http::Served},
    },
    source,
};

/// The largest form, and the largest input in it, in bytes.
pub(super) const MAX_FORM: usize = 1 << 20;
const MAX_INPUT: usize = 256 << 10;
/// So many are evaluated at a time. Compiling a large policy takes a second of one processor.
pub(super) const AT_ONCE: usize = 2;
/// So many characters are told.
const MAX_ANSWER: usize = 200_000;
/// What the form begins with.
const EXAMPLE: &str = r#"{
  "spiffe_id": "spiffe://hexr.cloud/agent/acme-corp/content-crew/researcher",
  "tenant": "acme-corp",
  "agent": "content-crew",
  "role": "researcher",
  "service": "gcp_bigquery",
  "action": "query"
}"#;

/// What is to be evaluated.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    /// The name of the bundle: `authz`, or a tenant's, `tenants/acme-corp`.
    bundle: String,
    input: String,
}

/// A decision whose input is to be evaluated again.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Past {
    at: Option<i64>,
    decision: Option<String>,
}

/// The form, with what was written in it.
#[derive(Template)]
#[template(path = "form.html")]
pub(super) struct Filled {
    bundles: Vec<Choice>,
    input: String,
}

/// A bundle that can be asked.
struct Choice {
    name: String,
    revision: String,
    is_chosen: bool,
}

#[derive(Template)]
#[template(path = "evaluation.html")]
struct Evaluation {
    form: Filled,
    /// Nothing while nothing was asked.
    answer: Option<Answer>,
}

/// What there is to say, and its name in `page.css`.
struct Answer {
    text: String,
    class: &'static str,
}

impl askama::filters::HtmlSafe for Filled {}

/// `GET /evaluate`: the form, with the input of a decision of the past.
pub(super) async fn ask(State(served): State<Arc<Served>>, Query(past): Query<Past>) -> Response {
    let find = move || {
        let event = match (past.at, &past.decision) {
            (Some(at), Some(id)) => served.sink.event(at, id),
            (None, _) | (_, None) => Ok(None),
        };
        let input = event.map(|event| Some(event?.get("input")?.clone()));
        let asked = |input| Asked { input, ..Asked::default() };
        let (form, answer) = match input {
            Ok(Some(input)) => {
                let json = serde_json::to_string_pretty(&input).unwrap_or_default();
                (Filled::of(&served, asked(visible_json(&json))), None)
            }
            Ok(None) => (Filled::empty(&served), None),
            Err(problem) => (Filled::empty(&served), Some(Answer::problem(&problem))),
        };
        Evaluation { form, answer }
    };
    page(StatusCode::OK, find).await
}

/// `POST /evaluate`: the same, with the decision.
pub(super) async fn answer(
    State(served): State<Arc<Served>>,
    form: Result<Form<Asked>, FormRejection>,
) -> Response {
    let asked = match form {
        Ok(Form(asked)) => asked,
        Err(rejection) => {
            let status = rejection.status();
            let told = move || Evaluation {
                form: Filled::empty(&served),
                answer: Some(Answer::problem(&rejection.body_text())),
            };
            return page(status, told).await;
        }
    };
    let Ok(permit) = served.page.evaluations.clone().try_acquire_owned() else {
        let busy = move || Evaluation {
            form: Filled::of(&served, asked),
            answer: Some(Answer::problem("others are being evaluated: try again")),
        };
        return page(StatusCode::SERVICE_UNAVAILABLE, busy).await;
    };
    let evaluate = move || {
        let answer = match explained(&served, &asked) {
            Ok((is_allowed, text)) => {
                let class = if is_allowed { "allow" } else { "deny" };
                Answer { text: shown_lines(&text, MAX_ANSWER), class }
            }
            Err(problem) => Answer::problem(&problem),
        };
        drop(permit);
        Evaluation { form: Filled::of(&served, asked), answer: Some(answer) }
    };
    page(StatusCode::OK, evaluate).await
}

/// As `hexr-authz eval --explain` tells it of the bundle as it is served.
fn explained(served: &Served, asked: &Asked) -> Result<(bool, String), String> {
    if asked.input.len() > MAX_INPUT {
        return Err(format!("the input has more than {MAX_INPUT} bytes"));
    }
    let explain = |bundle: &BundleState| {
        let status = bundle.status();
        let good = status.good.ok_or_else(|| status.problem.unwrap_or_default())?;
        let (modules, data) = source::parts(bundle.name(), &good.unsigned)?;
        eval::explained(&modules, data, &bundle.rule(), &asked.input)
    };
    if let Some(bundle) = served.bundles.iter().find(|bundle| bundle.name() == asked.bundle) {
        return explain(bundle);
    }
    let mut tenants = served.tenants.iter().flat_map(|tenants| tenants.all());
    match tenants.find(|(_, bundle)| bundle.name() == asked.bundle) {
        Some((_, bundle)) => explain(&bundle),
        None => Err(format!("there is no bundle `{}`", asked.bundle)),
    }
}

// === impl Filled ===

impl Filled {
    pub(super) fn empty(served: &Served) -> Self {
        Self::of(served, Asked { input: EXAMPLE.to_owned(), ..Asked::default() })
    }

    fn of(served: &Served, asked: Asked) -> Self {
        let choice = |bundle: &BundleState| Choice {
            name: bundle.name().to_owned(),
            revision: bundle.status().revision.unwrap_or_default(),
            is_chosen: bundle.name() == asked.bundle,
        };
        let mut bundles: Vec<Choice> = served.bundles.iter().map(choice).collect();
        let tenants = served.tenants.iter().flat_map(|tenants| tenants.all());
        bundles.extend(tenants.map(|(_, bundle)| choice(&bundle)));
        Self { bundles, input: asked.input }
    }
}

// === impl Answer ===

impl Answer {
    fn problem(problem: &str) -> Self {
        Self { text: shown_lines(problem, MAX_ANSWER), class: "problem" }
    }
}
