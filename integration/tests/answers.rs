//! What a policy may answer beside yes and no, through a real Envoy: what the upstream sees of it, and the caller.

#![expect(
    clippy::unwrap_used,
    reason = "a function that scenarios share stops at the first thing that is not as they say"
)]

use anyhow::Result;
use integration::{
    agent::Answer,
    eventually::eventually,
    stack::{Foundation, PATIENCE, Stack},
};
use serde_json::{Value, json};

/// The role chooses the answer.
const POLICY: &str = r#"
package hexr.authz

default allow := false

allow := {
    "allowed": true,
    "headers": [{"X-Class": "gold"}, {"x-several": ["1", "2"]}, {"authorization": "Bearer exchange"}],
    "request_headers_to_remove": ["Cookie", "x-debug"],
    "response_headers_to_add": {"x-policy": "hours", "set-cookie": ["a=1", "b=2"]},
    "reason": "within hours",
    "dynamic_metadata": {"class": "gold", "decision_id": "forged"},
} if input.role == "changes"

allow := {
    "allowed": false,
    "http_status": 429,
    "headers": {"retry-after": "30", "set-cookie": ["a=1", "b=2"]},
    "body": "slow down\n",
    "reason": "over 100 calls\nin a minute",
    "dynamic_metadata": {"calls": 101},
} if input.role == "limited"

allow := {
    "allowed": false,
    "http_status": 404,
    "headers": {"Content-Type": "application/problem+json"},
    "body": json.marshal({"title": "no such table", "reason": "for you"}),
} if input.role == "typed"

allow := {"allowed": false, "headers": {"content-type": "text/html", "x-policy": "p"}} if input.role == "bodiless"

allow := {"allowed": false, "http_status": 302, "headers": {"location": "https://login.example/"}} if input.role == "redirected"

allow := {"allowed": true, "http_status": 200, "body": "ignored"} if input.role == "plain"

allow := {"allowed": true, "headers": {name: "other"}} if name := named[input.role]

allow := {"allowed": true, "request_headers_to_remove": ["Host"]} if input.role == "removes-host"

allow := {"allowed": true, "query_parameters_to_set": {"q": "2"}} if input.role == "sets-query"

allow := {"allowed": true, "response_headers_to_add": {"content-length": "0"}} if input.role == "breaks-response"

allow := {"allowed": true, "headers": {"x-a": "b\r\nx-hexr-role: admin"}} if input.role == "splits"

allow := {"allowed": false, "http_status": 200} if input.role == "no-refusal"

allow := {"allowed": false, "headers": {"grpc-status": "0"}} if input.role == "no-grpc-refusal"

allow := {"allowed": "true"} if input.role == "no-boolean"

allow := {"http_status": 403} if input.role == "not-told"

named := {
    "sets-path": ":path",
    "sets-host": "host",
    "sets-method": "X_HTTP_Method_Override",
    "sets-target": "X-Amz-Target",
    "sets-role": "x_hexr_role",
    "sets-framing": "transfer-encoding",
}
"#;

const BIGQUERY: &str = "bigquery.googleapis.com";
const QUERY: &str = "/bigquery/v2/projects/p/queries?q=1";

async fn stack() -> Result<Stack> {
    let foundation = Foundation::lay().await?;
    let mut config = foundation.config_with_policy(POLICY)?;
    let format = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/access_log/0/typed_config/\
                  log_format/json_format";
    config.at(format)?["metadata"] = json!("%FILTER_STATE(wasm.hexr_authz.metadata:PLAIN)%");
    foundation.start(&config, 1).await
}

fn all(answer: &Answer, name: &str) -> Vec<String> {
    answer.headers.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
}

async fn logged(stack: &Stack) -> Result<Value> {
    let (line, _) =
        eventually(PATIENCE, "a line in the access log", async || stack.envoy.access_log().pop()).await?;
    Ok(line)
}

#[tokio::test]
async fn an_allowed_request_is_changed_as_the_policy_says() -> Result<()> {
    let stack = stack().await?;
    let mut connection = stack.agent("changes")?.connect().await?;
    let sent: &[(&str, &[u8])] = &[
        ("x-class", b"mine"),
        ("x-class", b"too"),
        ("x-hexr-role", b"admin"),
        ("cookie", b"a=b"),
        ("x-debug", b"1"),
        ("x-debug", b"2"),
        ("x-kept", b"yes"),
    ];
    let answer = connection.send_with("POST", BIGQUERY, QUERY, sent).await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    let received = stack.exchange.take();
    let [request] = received.as_slice() else { panic!("{received:?}") };
    for (name, values) in [
        ("x-class", &["gold"][..]),
        ("x-several", &["1", "2"]),
        ("authorization", &["Bearer exchange"]),
        ("cookie", &[]),
        ("x-debug", &[]),
        ("x-kept", &["yes"]),
        ("x-hexr-role", &["changes"]),
        ("x-policy", &[]),
    ] {
        // Several values may be sent as one list.
        assert_eq!(request.all(name).join(",").replace(", ", ","), values.join(","), "{name}");
    }
    assert_eq!(request.path, QUERY);
    assert_eq!(all(&answer, "x-policy"), ["hours"]);
    assert_eq!(all(&answer, "set-cookie"), ["a=1", "b=2"]);
    assert_eq!(all(&answer, "content-type"), ["application/json"], "the upstream's own header");

    let line = logged(&stack).await?;
    assert_eq!(line["decision"], "allow");
    assert_eq!(line["policy_reason"], "within hours");
    let metadata: Value = serde_json::from_str(line["metadata"].as_str().unwrap())?;
    assert_eq!(metadata, json!({"class": "gold", "decision_id": line["decision_id"]}));
    Ok(())
}

#[tokio::test]
async fn an_allowed_request_without_wishes_goes_on_as_it_is() -> Result<()> {
    let stack = stack().await?;
    for http2 in [false, true] {
        let agent = stack.agent("plain")?;
        let mut connection = if http2 { agent.connect_http2().await? } else { agent.connect().await? };
        let answer = connection.send_with("POST", BIGQUERY, QUERY, &[("cookie", b"a=b")]).await?;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.json().unwrap()["credential"], "short-lived");
        assert_eq!(stack.exchange.take()[0].all("cookie"), ["a=b"]);
    }
    Ok(())
}

#[tokio::test]
async fn a_refusal_is_as_the_policy_says() -> Result<()> {
    let stack = stack().await?;
    for (role, status, content_type, extra) in [
        ("limited", 429, "text/plain", ("retry-after", "30")),
        ("typed", 404, "application/problem+json", ("x-policy", "")),
        ("bodiless", 403, "application/json", ("x-policy", "p")),
        ("redirected", 302, "application/json", ("location", "https://login.example/")),
    ] {
        let answer = stack.agent(role)?.send("POST", BIGQUERY, QUERY).await?;
        assert_eq!(answer.status.as_u16(), status, "{role}: {answer:?}");
        assert_eq!(all(&answer, "content-type"), [content_type], "{role}");
        assert_eq!(answer.header(extra.0).unwrap_or_default(), extra.1, "{role}");
        assert_eq!(answer.header("x-hexr-decision-id").map(str::len), Some(36), "{role}");
        match role {
            "limited" => {
                assert_eq!(answer.body, "slow down\n");
                assert_eq!(all(&answer, "set-cookie"), ["a=1", "b=2"]);
            }
            "typed" => {
                assert_eq!(answer.json(), Some(json!({"title": "no such table", "reason": "for you"})))
            }
            _ => assert_eq!(answer.reason().as_deref(), Some("policy_denied"), "{role}"),
        }
    }
    assert_eq!(stack.exchange.count(), 0);
    Ok(())
}

#[tokio::test]
async fn a_refusals_own_reason_stands_in_the_access_log() -> Result<()> {
    let stack = stack().await?;
    stack.agent("limited")?.send("POST", BIGQUERY, QUERY).await?;
    let line = logged(&stack).await?;
    assert_eq!((&line["decision"], &line["status"]), (&json!("deny"), &json!(429)));
    assert_eq!(line["reason"], "policy_denied");
    assert_eq!(line["details"], "hexr_authz_denied{reason=policy_denied}");
    assert_eq!(line["policy_reason"], r"over 100 calls\nin a minute");
    let metadata: Value = serde_json::from_str(line["metadata"].as_str().unwrap())?;
    assert_eq!(metadata, json!({"calls": 101, "decision_id": line["decision_id"]}));
    Ok(())
}

#[tokio::test]
async fn grpc_callers_get_the_status_that_stands_for_it() -> Result<()> {
    let stack = stack().await?;
    let grpc: &[(&str, &[u8])] = &[("content-type", b"application/grpc"), ("te", b"trailers")];
    // An operation of the catalog that is called so.
    let (host, path) = ("pubsub.googleapis.com", "/google.pubsub.v1.Publisher/Publish");
    for (role, status, message) in [
        ("limited", "8", "slow down%0A"),
        ("typed", "12", "no such table"),
        ("bodiless", "7", "policy_denied"),
        ("redirected", "2", "policy_denied"),
        ("no-grpc-refusal", "13", "evaluation_error"),
    ] {
        let mut connection = stack.agent(role)?.connect_http2().await?;
        let answer = connection.send_with("POST", host, path, grpc).await?;
        assert_eq!(answer.status, 200, "{role}: {answer:?}");
        assert_eq!(all(&answer, "grpc-status"), [status], "{role}");
        assert_eq!(all(&answer, "content-type"), ["application/grpc"], "{role}");
        assert!(answer.header("grpc-message").unwrap().contains(message), "{role}: {answer:?}");
        assert_eq!(answer.header("x-hexr-decision-id").map(str::len), Some(36), "{role}");
    }
    assert_eq!(stack.exchange.count(), 0);
    Ok(())
}

#[tokio::test]
async fn an_answer_that_is_none_refuses() -> Result<()> {
    let stack = stack().await?;
    for (role, problem) in [
        ("sets-path", "`headers`: `:path` is a pseudo-header"),
        ("sets-host", "`headers`: `host` says what was judged"),
        ("sets-method", "`headers`: `x_http_method_override` says what was judged"),
        ("sets-target", "`headers`: `x-amz-target` says what was judged"),
        ("sets-role", "`headers`: `x_hexr_role` is the filter's own"),
        ("sets-framing", "`headers`: `transfer-encoding` belongs to the connection"),
        ("removes-host", "`request_headers_to_remove`: `host` says what was judged"),
        ("sets-query", "`query_parameters_to_set` would change the query that was judged"),
        ("breaks-response", "`response_headers_to_add`: `content-length` belongs to the connection"),
        ("splits", "`headers.x-a`: its value contains a control character"),
        ("no-refusal", "`http_status` is 200, which is no refusal"),
        ("no-grpc-refusal", "`headers`: `grpc-status` says how a gRPC call ended"),
        ("no-boolean", "`allowed` must be a boolean, but is a string"),
        ("not-told", "`allowed` is missing"),
    ] {
        let answer = stack.agent(role)?.send("POST", BIGQUERY, QUERY).await?;
        assert_eq!(
            (answer.status.as_u16(), answer.reason().as_deref()),
            (500, Some("evaluation_error")),
            "{role}: {answer:?}"
        );
        assert_eq!(stack.exchange.count(), 0, "{role} reached the credential exchange");
        // The operator is told what is wrong with the policy; the caller is not.
        assert!(!String::from_utf8_lossy(&answer.body).contains(problem), "{role}");
        let id = answer.header("x-hexr-decision-id").unwrap();
        eventually(PATIENCE, "a line in Envoy's log", async || {
            stack.envoy.log_lines(problem).iter().any(|line| line.contains(id)).then_some(())
        })
        .await?;
    }
    Ok(())
}
