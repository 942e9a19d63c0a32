//! What a real Envoy exposes to Prometheus, and what the shipped dashboard and alerts ask for.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use anyhow::{Context, Result};
use integration::{
    bundles::allowing,
    envoy::get,
    eventually::eventually,
    repository,
    scripted_server::{Script, ScriptedServer},
    stack::{Foundation, PATIENCE},
};
use serde_json::{Value, json};

const BUNDLE: &str = "/bundles/authz.tar.gz";

/// A line of Prometheus' text; a server is free to write the labels in any order.
#[derive(PartialEq)]
struct Sample<'a> {
    name: &'a str,
    labels: BTreeMap<&'a str, &'a str>,
    value: &'a str,
}

impl<'a> Sample<'a> {
    /// Nothing for a comment or an empty line.
    fn read(line: &'a str) -> Option<Self> {
        let (metric, value) = (!line.starts_with('#')).then_some(line)?.rsplit_once(' ')?;
        let (name, labels) = metric.split_once('{').unwrap_or((metric, "}"));
        let labels = labels.strip_suffix('}')?.split(',').filter_map(|label| label.split_once('='));
        Some(Self { name, labels: labels.collect(), value })
    }
}

/// The metrics of a text of Prometheus, each with the names of its labels.
fn exposed(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut metrics: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for sample in text.lines().filter_map(Sample::read) {
        let names = sample.labels.keys().map(|&name| name.to_owned());
        metrics.entry(sample.name.to_owned()).or_default().extend(names);
    }
    metrics
}

/// The metrics of an expression, each with the labels that are asked of it.
fn asked(expression: &str) -> Vec<(String, BTreeSet<String>)> {
    let is_name = |byte: char| byte.is_ascii_alphanumeric() || byte == '_';
    // All metrics of an expression are grouped by the same labels.
    let grouped = expression.split("by (").skip(1).filter_map(|rest| rest.split_once(')'));
    let grouped: BTreeSet<String> = grouped
        .flat_map(|(labels, _)| labels.split(','))
        .map(|label| label.trim().to_owned())
        .filter(|label| label != "instance")
        .collect();
    let mut found = Vec::new();
    for prefix in ["hexr_authz_", "envoy_wasm_hexr_authz_"] {
        for (at, _) in expression.match_indices(prefix) {
            if expression.get(..at).is_some_and(|before| before.ends_with(is_name)) {
                continue;
            }
            let rest = expression.get(at..).unwrap_or_default();
            let end = rest.find(|byte| !is_name(byte)).unwrap_or(rest.len());
            let (name, behind) = rest.split_at(end);
            let selected = behind.strip_prefix('{').and_then(|behind| behind.split_once('}'));
            let selected = selected.map_or("", |(selected, _)| selected).split(',');
            let selected =
                selected.filter_map(|label| Some(label.split(['=', '!']).next()?.trim().to_owned()));
            let labels = selected.filter(|label| !label.is_empty()).chain(grouped.iter().cloned());
            found.push((name.to_owned(), labels.collect()));
        }
    }
    found
}

/// Every expression of a document.
fn expressions(document: &Value, found: &mut Vec<String>) {
    match document {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_str().filter(|_| name == "expr") {
                    Some(expression) => found.push(expression.to_owned()),
                    None => expressions(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| expressions(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn what_an_expression_asks_for() {
    let labels = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(
        asked(
            "sum by (instance, reason) (rate(hexr_authz_a_total{decision!=\"allow\"}[5m])) / envoy_wasm_hexr_authz_b"
        ),
        [
            ("hexr_authz_a_total".to_owned(), labels(&["decision", "reason"])),
            ("envoy_wasm_hexr_authz_b".to_owned(), labels(&["reason"])),
        ]
    );
}

#[tokio::test]
async fn the_dashboard_and_the_alerts_ask_for_what_there_is() -> Result<()> {
    let server = ScriptedServer::start(Script::body(204, "")).await?;
    server.now_at(BUNDLE, Script::module(&allowing("researcher"), "r1")?);
    let foundation = Foundation::lay().await?;
    let config = foundation.config(server.address())?.with_filter_config(|config| {
        let delays = json!({"min_delay_seconds": 1, "max_delay_seconds": 1});
        config["decision_logs"] = json!({"service": "bundles", "reporting": delays});
        if let Some(bundle) = config.pointer_mut("/bundles/authz").and_then(Value::as_object_mut) {
            bundle.insert("polling".to_owned(), delays);
        }
    })?;
    let stack = foundation.start(&config, 1).await?;
    stack.wait_until_ready().await?;
    for (role, host, requests) in [
        ("researcher", "bigquery.googleapis.com", 3),
        ("editor", "bigquery.googleapis.com", 2),
        ("editor", "nowhere.example", 1),
    ] {
        let mut connection = stack.agent(role)?.connect().await?;
        for _ in 0..requests {
            connection.send("POST", host, "/bigquery/v2/projects/p/queries").await?;
        }
    }
    server.now_at(BUNDLE, Script::body(200, "no bundle"));
    let expected = [
        r#"hexr_authz_decisions_total{decision="allow",reason="none",service="gcp_bigquery",tenant="acme-corp"} 3"#,
        r#"hexr_authz_decisions_total{decision="deny",reason="policy_denied",service="gcp_bigquery",tenant="acme-corp"} 2"#,
        r#"hexr_authz_decisions_total{decision="deny",reason="unknown_service",service="unknown",tenant="acme-corp"} 1"#,
        r#"hexr_authz_decision_duration_microseconds_count{} 6"#,
        r#"hexr_authz_decision_log_events_total{state="made"} 6"#,
        r#"hexr_authz_policy_activations_total{} 1"#,
        r#"hexr_authz_delivery_failures_total{cause="refused"} 1"#,
    ];
    // Envoy merges the histograms of its workers only when it flushes its statistics, every five seconds.
    let mut text = String::new();
    let complete = eventually(PATIENCE, "every sample", async || {
        text = get(stack.envoy.admin(), "/stats/prometheus").await.ok()?.1;
        let exposed: Vec<Sample<'_>> = text.lines().filter_map(Sample::read).collect();
        expected
            .iter()
            .all(|line| Sample::read(line).is_some_and(|sample| exposed.contains(&sample)))
            .then_some(())
    });
    complete.await.with_context(|| format!("{expected:#?}\nare not all in\n{}", ours(&text)))?;
    let exposed = exposed(&text);
    let folder = repository().join("envoy-config");
    let dashboard = serde_json::from_str(&fs::read_to_string(folder.join("grafana-dashboard.json"))?)?;
    let rules = yaml_serde::from_str(&fs::read_to_string(folder.join("prometheus-rules.yaml"))?)?;
    for (document, at_least) in [(dashboard, 10), (rules, 5)] {
        let mut all = Vec::new();
        expressions(&document, &mut all);
        assert!(all.len() >= at_least, "{all:?}");
        for expression in all {
            let asked = asked(&expression);
            assert!(!asked.is_empty(), "{expression}");
            for (name, labels) in asked {
                let has = exposed.get(&name).with_context(|| format!("{name}\n{}", ours(&text)))?;
                assert!(labels.is_subset(has), "{expression}: {labels:?} of {has:?}");
            }
        }
    }
    Ok(())
}

/// The lines of the filter's own metrics.
fn ours(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("hexr_authz")).collect();
    lines.join("\n")
}
