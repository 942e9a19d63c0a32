//! What the API answers.

use std::{collections::BTreeMap, io};

use http_body_util::{BodyExt as _, Full, combinators::BoxBody};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
};
use serde_json::{Value, json};

use super::{
    TOKEN, USER,
    cluster::{Asked, Cluster},
};

type Answer = Response<BoxBody<Bytes, io::Error>>;

pub(super) fn answer(request: &Request<Incoming>, cluster: &mut Cluster) -> io::Result<Answer> {
    let token = request.headers().get("authorization").and_then(|value| value.to_str().ok());
    if token != Some(&format!("Bearer {TOKEN}")) {
        return refusal(401, "Unauthorized", "Unauthorized");
    }
    let segments: Vec<&str> = request.uri().path().trim_matches('/').split('/').collect();
    let ["api", "v1", "namespaces", namespace, "configmaps"] = segments[..] else {
        return refusal(404, "NotFound", "the server could not find the requested resource");
    };
    let query = parameters(request.uri().query().unwrap_or_default());
    let parameter = |name: &str| query.get(name).map(String::as_str);
    let watch = parameter("watch") == Some("true");
    let resource_version = parameter("resourceVersion").map(str::to_owned);
    cluster.asked.push(Asked { watch, resource_version: resource_version.clone() });
    // A rule with `resourceNames` allows a list and a watch only of that name.
    let name = parameter("fieldSelector").and_then(|selector| selector.strip_prefix("metadata.name="));
    let Some(name) = name.filter(|_| cluster.permitted) else {
        let verb = if watch { "watch" } else { "list" };
        let message = format!(
            "configmaps is forbidden: User \"{USER}\" cannot {verb} resource \"configmaps\" in API group \"\" in the \
             namespace \"{namespace}\""
        );
        return refusal(403, "Forbidden", &message);
    };
    let place = format!("{namespace}/{name}");
    if !watch {
        return json_answer(200, &cluster.list(&place));
    }
    let Some(from) = resource_version.and_then(|version| version.parse().ok()) else {
        return refusal(400, "BadRequest", "a watch from nowhere");
    };
    let lines = cluster.watch(&place, from, parameter("allowWatchBookmarks") == Some("true"));
    let response = Response::builder().status(200).header("content-type", "application/json");
    response.body(lines.boxed()).map_err(io::Error::other)
}

fn refusal(code: u16, reason: &str, message: &str) -> io::Result<Answer> {
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
        "reason": reason, "code": code});
    json_answer(code, &status)
}

fn json_answer(status: u16, body: &Value) -> io::Result<Answer> {
    let body = Full::new(Bytes::from(body.to_string())).map_err(|never| match never {});
    let response = Response::builder().status(status).header("content-type", "application/json");
    response.body(body.boxed()).map_err(io::Error::other)
}

fn parameters(query: &str) -> BTreeMap<String, String> {
    let decoded = |text: &str| text.replace("%3D", "=").replace("%2E", ".");
    let pair = |text: &str| {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        (decoded(name), decoded(value))
    };
    query.split('&').map(pair).collect()
}
