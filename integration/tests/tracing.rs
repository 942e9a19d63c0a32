//! What a trace tells of a decision, where Envoy traces.

use anyhow::{Context, Result};
use integration::{
    bundles::allowing,
    eventually::eventually,
    repository,
    scripted_server::{Script, ScriptedServer},
    stack::{Foundation, PATIENCE},
};
use serde_json::{Value, json};

const BIGQUERY: &str = "bigquery.googleapis.com";
const QUERY: &str = "/bigquery/v2/projects/p/queries";
const MANAGER: &str = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";
const SPANS: &str = "/api/v2/spans";

#[tokio::test]
async fn a_span_tells_of_its_decision() -> Result<()> {
    let collector = ScriptedServer::start(Script::body(202, "")).await?;
    let foundation = Foundation::lay().await?;
    let mut config = foundation.config_with_policy(&allowing("researcher"))?;
    let (host, port) = (collector.address().ip().to_string(), collector.address().port());
    let endpoint = json!({"address": {"socket_address": {"address": host, "port_value": port}}});
    let cluster = json!({"name": "collector", "load_assignment": {"cluster_name": "collector",
        "endpoints": [{"lb_endpoints": [{"endpoint": endpoint}]}]}});
    config.at("/static_resources/clusters")?.as_array_mut().context("clusters")?.push(cluster);
    let shipped = std::fs::read_to_string(repository().join("envoy-config/tracing.yaml"))?;
    let mut tracing: Value = yaml_serde::from_str(&shipped)?;
    let provider = json!({
        "name": "envoy.tracers.zipkin",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.config.trace.v3.ZipkinConfig",
            "collector_cluster": "collector", "collector_endpoint": SPANS,
            "collector_endpoint_version": "HTTP_JSON",
        },
    });
    let fields = tracing.as_object_mut().context("a fragment")?;
    fields.insert("provider".to_owned(), provider);
    config.at(MANAGER)?.as_object_mut().context("a manager")?.insert("tracing".to_owned(), tracing);
    let stack = foundation.start(&config, 1).await?;
    let mut expected = Vec::new();
    for (role, decision, reason) in [("researcher", "allow", None), ("editor", "deny", Some("policy_denied"))]
    {
        let answer = stack.agent(role)?.send("POST", BIGQUERY, QUERY).await?;
        let id = match answer.header("x-hexr-decision-id") {
            Some(id) => id.to_owned(),
            None => stack.exchange.take().pop().context("it goes on")?.all("x-hexr-decision-id").concat(),
        };
        let mut tags = json!({
            "hexr.authz.decision": decision,
            "hexr.authz.identity": format!("spiffe://hexr.cloud/agent/acme-corp/content-crew/{role}"),
            "hexr.authz.service": "gcp_bigquery", "hexr.authz.action": "query",
            "hexr.authz.revision": "embedded", "hexr.authz.decision_id": id,
        });
        if let Some(reason) = reason {
            tags["hexr.authz.reason"] = json!(reason);
        }
        expected.push(tags);
    }
    for tags in expected {
        eventually(PATIENCE, &format!("a span with {tags}"), async || {
            let posted = collector.posted(SPANS);
            let spans = posted.iter().filter_map(|body| serde_json::from_slice::<Vec<Value>>(body).ok());
            spans.flatten().find(|span| ours(span) == tags)
        })
        .await?;
    }
    Ok(())
}

/// The attributes that are about the decision, but for empty ones.
fn ours(span: &Value) -> Value {
    let tags = span["tags"].as_object().into_iter().flatten();
    let ours = tags.filter(|(name, value)| name.starts_with("hexr.") && *value != "");
    Value::Object(ours.map(|(name, value)| (name.clone(), value.clone())).collect())
}
