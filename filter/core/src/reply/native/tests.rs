use serde_json::{Value, json};

use crate::{
    catalog::{Addressee, Catalog, Host, Kind, OnUnknown, Service},
    decision::{DecisionId, Grounds, Refusal},
    denial::Denial,
    policy::{Rejection, Text},
    reply::Reply,
    request::Request,
};

const ID: &str = "00000000-0000-4000-8000-000000000000";
const TEXT: &str = "the policy does not allow it; ask A & B and name the decision id";

type Headers<'a> = &'a [(&'a str, &'a str)];

fn policy_denied(status: Option<u16>) -> Denial {
    Denial::PolicyDenied(Box::new(Rejection { status, ..Rejection::default() }))
}

/// The reply to a `POST` that is refused, and the JSON of its body, or its text.
fn reply(denial: Denial, host: &str, headers: Headers<'_>, body: &str) -> (Reply, Value) {
    let mcp = Service {
        service: Text::new("mcp_github"),
        hosts: vec![Host::parse("mcp.example").unwrap()],
        kind: Kind::Mcp(None),
    };
    let catalog = Catalog::new(vec![mcp], OnUnknown::Deny);
    let head = [(":method", "POST"), (":authority", host), (":path", "/")];
    let all = head.into_iter().chain(headers.iter().copied());
    let request = Request::parse(all.map(|(name, value)| (name.as_bytes(), value.as_bytes()))).unwrap();
    let request = request.ended(body.is_empty());
    let operation = catalog.derive(&request).operation();
    let id = DecisionId::from_random([0; 16]);
    let refusal = Refusal { id, denial, identity: None, operation, grounds: Grounds::none() };
    let addressee = catalog.addressee(&request, Some(body.as_bytes()));
    let reply = Reply::new(&refusal, Some("A & B"), &addressee);
    let text = String::from_utf8_lossy(&reply.body).into_owned();
    let document = serde_json::from_str(&text).unwrap_or(Value::String(text));
    (reply, document)
}

fn header<'r>(reply: &'r Reply, name: &str) -> Option<&'r str> {
    reply.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
}

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

#[track_caller]
fn is_xml(denial: Denial, host: &str, headers: Headers<'_>, status: u16, expect: &str) {
    let (reply, text) = reply(denial, host, headers, "");
    assert_eq!(reply.status, status);
    assert_eq!(header(&reply, "content-type"), Some("text/xml"));
    assert_eq!(header(&reply, "x-amz-request-id"), Some(ID));
    assert_eq!(header(&reply, "x-hexr-decision-id"), Some(ID));
    assert_eq!(reply.details, format!("hexr_authz_denied{{reason={}}}", "policy_denied"));
    assert_eq!(text, format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{expect}"));
}

#[test]
fn aws_xml() {
    let asked = |what: &str| {
        format!("<Message>{what} was asked for: {} (decision {ID})</Message>", TEXT.replace('&', "&amp;"))
    };
    let message = asked("`unknown` on `aws_s3`");
    is_xml(
        policy_denied(None),
        "bucket.s3.eu-central-1.amazonaws.com",
        &[],
        403,
        &format!("<Error><Code>AccessDenied</Code>{message}<RequestId>{ID}</RequestId></Error>"),
    );
    let message = asked("`unknown` on `aws_route53`");
    is_xml(
        policy_denied(Some(503)),
        "route53.amazonaws.com",
        &[],
        503,
        &format!(
            "<ErrorResponse><Error><Type>Receiver</Type><Code>ServiceUnavailable</Code>{message}</Error>\
             <RequestId>{ID}</RequestId></ErrorResponse>"
        ),
    );
    let message = asked("`unknown` on `aws_sts`");
    is_xml(
        policy_denied(Some(429)),
        "sts.amazonaws.com",
        &[FORM],
        429,
        &format!(
            "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code>{message}</Error>\
             <RequestId>{ID}</RequestId></ErrorResponse>"
        ),
    );
    let message = asked("`unknown` on `aws_ec2`");
    is_xml(
        policy_denied(None),
        "ec2.us-east-1.amazonaws.com",
        &[FORM],
        403,
        &format!(
            "<Response><Errors><Error><Code>AccessDenied</Code>{message}</Error></Errors>\
             <RequestID>{ID}</RequestID></Response>"
        ),
    );
}

#[track_caller]
fn is_json(
    denial: Denial,
    host: &str,
    headers: Headers<'_>,
    body: &str,
    status: u16,
    expect: &[(&str, Value)],
) {
    let (reply, document) = reply(denial, host, headers, body);
    assert_eq!((reply.status, header(&reply, "content-type")), (status, Some("application/json")));
    assert_eq!(header(&reply, "x-hexr-decision-id"), Some(ID));
    for (pointer, value) in expect {
        assert_eq!(document.pointer(pointer), Some(value), "{pointer} of {document}");
    }
}

#[test]
fn aws_json() {
    let target =
        [("x-amz-target", "DynamoDB_20120810.GetItem"), ("content-type", "application/x-amz-json-1.0")];
    let text = format!("`GetItem` on `aws_dynamodb` was asked for: {TEXT} (decision {ID})");
    let expect = [
        ("/__type", json!("AccessDenied")),
        ("/message", json!(text)),
        ("/reason", json!("policy_denied")),
        ("/service", json!("aws_dynamodb")),
        ("/action", json!("GetItem")),
        ("/decision_id", json!(ID)),
    ];
    is_json(policy_denied(None), "dynamodb.us-east-1.amazonaws.com", &target, "", 403, &expect);
    let (reply, _) = reply(policy_denied(None), "lambda.us-east-1.amazonaws.com", &[], "");
    assert_eq!(header(&reply, "x-amzn-errortype"), Some("AccessDenied"));
    let failed = [("/__type", json!("InternalFailure")), ("/reason", json!("evaluation_error"))];
    let fault = Denial::EvaluationError("secret".to_owned());
    is_json(fault, "lambda.us-east-1.amazonaws.com", &[], "", 500, &failed);
}

#[test]
fn aws_cbor() {
    let headers = [("smithy-protocol", "rpc-v2-cbor")];
    let (reply, _) = reply(policy_denied(None), "monitoring.us-east-1.amazonaws.com", &headers, "");
    assert_eq!(header(&reply, "content-type"), Some("application/cbor"));
    assert_eq!(header(&reply, "smithy-protocol"), Some("rpc-v2-cbor"));
    let mut texts = Vec::new();
    let mut rest = reply.body.strip_prefix(&[0xa2]).unwrap();
    while let Some((head, after)) = rest.split_first_chunk::<5>() {
        assert_eq!(head[0], 0x7a);
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        texts.push(std::str::from_utf8(&after[..length]).unwrap());
        rest = &after[length..];
    }
    assert_eq!(texts[..3], ["__type", "AccessDenied", "message"]);
    assert!(texts[3].ends_with(&format!("{TEXT} (decision {ID})")), "{texts:?}");
    assert_eq!((texts.len(), rest.len()), (4, 0));
}

#[test]
fn google() {
    for (denial, status, name, reason) in [
        (policy_denied(None), 403, "PERMISSION_DENIED", "forbidden"),
        (policy_denied(Some(429)), 429, "RESOURCE_EXHAUSTED", "rateLimitExceeded"),
        (Denial::NoPolicy, 503, "UNAVAILABLE", "backendError"),
        (Denial::BodyTimeout(5), 408, "DEADLINE_EXCEEDED", "body_timeout"),
        (Denial::EvaluationError(String::new()), 500, "INTERNAL", "evaluation_error"),
    ] {
        let code = denial.reason().code();
        let expect = [
            ("/error/code", json!(status)),
            ("/error/status", json!(name)),
            ("/error/errors/0/reason", json!(reason)),
            ("/reason", json!(code)),
        ];
        is_json(denial, "bigquery.googleapis.com", &[], "", status, &expect);
    }
    let (_, document) = reply(policy_denied(None), "bigquery.googleapis.com", &[], "");
    let message = document["error"]["message"].as_str().unwrap();
    assert!(message.ends_with(&format!("{TEXT} (decision {ID})")), "{message}");
}

#[test]
fn model_apis() {
    for (status, kind) in [(403, "permission_error"), (429, "rate_limit_error"), (503, "api_error")] {
        let expect = [
            ("/type", json!("error")),
            ("/error/type", json!(kind)),
            ("/error/code", json!("policy_denied")),
        ];
        is_json(policy_denied(Some(status)), "api.anthropic.com", &[], "", status, &expect);
        is_json(policy_denied(Some(status)), "api.openai.com", &[], "", status, &expect);
    }
}

#[test]
fn json_rpc() {
    for (id, expect) in [("1", json!(1)), (r#""a""#, json!("a"))] {
        let call = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/list"}}"#);
        let expect = [
            ("/jsonrpc", json!("2.0")),
            ("/id", expect),
            ("/error/code", json!(-32003)),
            ("/error/data/reason", json!("policy_denied")),
            ("/error/data/decision_id", json!(ID)),
        ];
        is_json(policy_denied(None), "mcp.example", &[], &call, 200, &expect);
    }
    // Where there is nobody to answer to, HTTP says it.
    for body in ["", "{", "[]", r#"{"jsonrpc":"2.0","method":"a"}"#, r#"{"id":null}"#, r#"{"id":1,"id":2}"#] {
        let expect = [("/error", json!("access_denied")), ("/reason", json!("policy_denied"))];
        is_json(policy_denied(None), "mcp.example", &[], body, 403, &expect);
    }
}

#[test]
fn what_has_no_tongue_of_its_own() {
    let grpc = [("content-type", "application/grpc")];
    for (host, headers) in [("nowhere.example", &[][..]), ("bigquery.googleapis.com", &grpc)] {
        is_json(policy_denied(None), host, headers, "", 403, &[("/error", json!("access_denied"))]);
    }
}

#[test]
fn a_policys_own_body_is_in_no_tongue() {
    let own = Rejection { body: Some("own".to_owned()), ..Rejection::default() };
    for (host, body) in [("s3.amazonaws.com", ""), ("mcp.example", r#"{"id":1}"#)] {
        let (reply, text) = reply(Denial::PolicyDenied(Box::new(own.clone())), host, &[], body);
        assert_eq!((reply.status, text), (403, json!("own")));
        assert_eq!(header(&reply, "content-type"), Some("text/plain"));
    }
}

#[test]
fn nobody_in_particular() {
    let id = DecisionId::from_random([0; 16]);
    let refusal =
        Refusal { id, denial: Denial::NoPolicy, identity: None, operation: None, grounds: Grounds::none() };
    let reply = Reply::new(&refusal, None, &Addressee::anyone());
    assert_eq!(header(&reply, "content-type"), Some("application/json"));
}
