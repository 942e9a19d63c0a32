//! Refusals in the caller's own tongue: what its client shows as a refusal instead of failing to read it.
//!
//! Clients show one text, so that the decision's id stands in it.

use serde_json::{Value, json};

use super::Told;
use crate::catalog::{Addressee, Tongue};

/// What a reply is in the tongue of one caller.
#[derive(Debug)]
pub(super) struct Native {
    /// Where it differs from the denial's own.
    pub(super) status: Option<u16>,
    pub(super) content_type: &'static str,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
}

const JSON: &str = "application/json";
const XML: &str = "text/xml";
const CBOR: &str = "application/cbor";
/// Of the numbers that JSON-RPC leaves to servers, one that MCP gives no meaning of its own.
const REFUSED: i32 = -32_003;
/// S3's errors stand alone; all others' have an element around them.
const S3: &str = "aws_s3";

/// What is told in the tongue of `addressee`; nothing where it has none of its own.
pub(super) fn native(told: &Told<'_>, addressee: &Addressee) -> Option<Native> {
    let message = format!("{} (decision {})", told.message, told.id);
    match addressee.tongue() {
        // Envoy makes a status of gRPC's of the plain reply.
        Tongue::Plain | Tongue::Grpc => None,
        Tongue::AwsRestXml => Some(aws_xml(told, rest_xml(told, &message))),
        Tongue::AwsQueryXml => Some(aws_xml(told, wrapped_xml(told, &message))),
        Tongue::AwsEc2Xml => Some(aws_xml(told, ec2_xml(told, &message))),
        Tongue::AwsJson => Some(aws_json(told, &message)),
        Tongue::AwsCbor => Some(aws_cbor(told, &message)),
        Tongue::Google => Some(Native::json(google(told, &message))),
        Tongue::ModelApi => Some(Native::json(model_api(told, &message))),
        Tongue::JsonRpc => addressee.message_id().map(|id| json_rpc(told, &message, id)),
    }
}

// === impl Native ===

impl Native {
    fn json(body: Value) -> Self {
        Self { status: None, content_type: JSON, headers: Vec::new(), body: body.to_string().into_bytes() }
    }
}

/// The error code of AWS's. Clients try again after some of them.
fn aws_code(told: &Told<'_>) -> &'static str {
    match told.reason.status() {
        503 => "ServiceUnavailable",
        500.. => "InternalFailure",
        _ => "AccessDenied",
    }
}

/// The ids under which AWS's clients show a request.
fn aws_request_ids(told: &Told<'_>) -> Vec<(&'static str, String)> {
    ["x-amzn-requestid", "x-amz-request-id"].map(|name| (name, told.id.to_owned())).to_vec()
}

fn aws_xml(told: &Told<'_>, body: String) -> Native {
    let body = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{body}");
    Native { status: None, content_type: XML, headers: aws_request_ids(told), body: body.into_bytes() }
}

fn rest_xml(told: &Told<'_>, message: &str) -> String {
    if told.service.is_none_or(|service| service == S3) {
        let (code, message, id) = (aws_code(told), escaped(message), told.id);
        format!("<Error><Code>{code}</Code><Message>{message}</Message><RequestId>{id}</RequestId></Error>")
    } else {
        wrapped_xml(told, message)
    }
}

fn wrapped_xml(told: &Told<'_>, message: &str) -> String {
    let whose = if told.reason.status() < 500 { "Sender" } else { "Receiver" };
    let (code, message, id) = (aws_code(told), escaped(message), told.id);
    format!(
        "<ErrorResponse><Error><Type>{whose}</Type><Code>{code}</Code><Message>{message}</Message></Error>\
         <RequestId>{id}</RequestId></ErrorResponse>"
    )
}

fn ec2_xml(told: &Told<'_>, message: &str) -> String {
    let (code, message, id) = (aws_code(told), escaped(message), told.id);
    format!(
        "<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>\
         <RequestID>{id}</RequestID></Response>"
    )
}

/// A text in which XML sees no markup. Control characters have no place in XML at all.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            _ if char.is_control() => escaped.push(' '),
            _ => escaped.push(char),
        }
    }
    escaped
}

fn aws_json(told: &Told<'_>, message: &str) -> Native {
    let code = aws_code(told);
    let body = with_facts(json!({"__type": code, "message": message}), told);
    let mut headers = aws_request_ids(told);
    headers.push(("x-amzn-errortype", code.to_owned()));
    Native { headers, ..Native::json(body) }
}

/// A map of two texts: <https://www.rfc-editor.org/rfc/rfc8949>.
fn aws_cbor(told: &Told<'_>, message: &str) -> Native {
    const MAP_OF_TWO: u8 = 0xa2;
    const LONG_TEXT: u8 = 0x7a;
    let mut body = vec![MAP_OF_TWO];
    for text in ["__type", aws_code(told), "message", message] {
        body.push(LONG_TEXT);
        body.extend(u32::try_from(text.len()).unwrap_or_default().to_be_bytes());
        body.extend(text.as_bytes());
    }
    let mut headers = aws_request_ids(told);
    headers.push(("smithy-protocol", "rpc-v2-cbor".to_owned()));
    Native { status: None, content_type: CBOR, headers, body }
}

/// Google's error model: <https://google.aip.dev/193>, with the `errors` that its older APIs have.
fn google(told: &Told<'_>, message: &str) -> Value {
    // Clients try again after some reasons, whatever the status.
    let reason = match told.reason.status() {
        403 => "forbidden",
        429 => "rateLimitExceeded",
        503 => "backendError",
        _ => told.reason.code(),
    };
    let error = json!({
        "code": told.reason.status(),
        "message": message,
        "status": google_status(told.reason.grpc_status()),
        "errors": [{"message": message, "domain": "global", "reason": reason}],
    });
    with_facts(json!({"error": error}), told)
}

/// The name of a gRPC status, of those that a denial can have.
fn google_status(grpc_status: u32) -> &'static str {
    match grpc_status {
        3 => "INVALID_ARGUMENT",
        4 => "DEADLINE_EXCEEDED",
        7 => "PERMISSION_DENIED",
        8 => "RESOURCE_EXHAUSTED",
        12 => "UNIMPLEMENTED",
        13 => "INTERNAL",
        14 => "UNAVAILABLE",
        16 => "UNAUTHENTICATED",
        _ => "UNKNOWN",
    }
}

/// What OpenAI's and Anthropic's clients both read.
fn model_api(told: &Told<'_>, message: &str) -> Value {
    let kind = match told.reason.status() {
        401 => "authentication_error",
        429 => "rate_limit_error",
        500.. => "api_error",
        _ => "permission_error",
    };
    let error = json!({"type": kind, "message": message, "code": told.reason.code(), "param": null});
    with_facts(json!({"type": "error", "error": error}), told)
}

/// An answer of JSON-RPC, which is HTTP's 200 whatever it says.
fn json_rpc(told: &Told<'_>, message: &str, id: &Value) -> Native {
    let data = with_facts(json!({}), told);
    let body =
        json!({"jsonrpc": "2.0", "id": id, "error": {"code": REFUSED, "message": message, "data": data}});
    Native { status: Some(200), ..Native::json(body) }
}

/// Adds what stands in every reply of ours, for programs.
fn with_facts(mut body: Value, told: &Told<'_>) -> Value {
    let facts = [
        ("reason", Some(told.reason.code())),
        ("service", told.service),
        ("action", told.action),
        ("decision_id", Some(told.id)),
    ];
    if let Some(fields) = body.as_object_mut() {
        fields.extend(facts.into_iter().filter_map(|(name, fact)| Some((name.to_owned(), fact?.into()))));
    }
    body
}

#[cfg(test)]
mod tests;
