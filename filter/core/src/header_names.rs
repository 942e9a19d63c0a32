//! The headers that a policy's answer may not touch, so that what goes upstream is what was judged, and a reply is
//! read as what it is; and those whose values a policy does not see.
//!
//! What [`crate::request`] and [`crate::catalog`] begin to read belongs into [`JUDGED`] or [`JUDGED_FAMILIES`].

use crate::request::{METHOD_OVERRIDES, is_reserved};

/// What says who asked for what, to us or to a server upstream. All names are in their folded form ([`fold`]).
const JUDGED: [&str; 14] = [
    "authority",
    "content-encoding",
    "content-type",
    "forwarded",
    "host",
    "smithy-protocol",
    "x-forwarded-client-cert",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-scheme",
    "x-host",
    "x-original-host",
    "x-original-url",
    "x-rewrite-url",
];

/// Beginnings of names with the same meaning: the clouds' own headers choose operations and further resources
/// (`x-amz-target`, `x-amz-copy-source`), MCP's repeat the body, Envoy's own choose where a request goes.
const JUDGED_FAMILIES: [&str; 5] = ["x-amz-", "x-amzn-", "x-goog-", "mcp-", "x-envoy-"];

/// What frames a message or belongs to one connection of several.
const CONNECTION: [&str; 10] = [
    "connection",
    "content-length",
    "expect",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What a gRPC caller reads the outcome from: `grpc-status: 0` would make a refusal look like a success.
const GRPC_OUTCOME: [&str; 3] = ["grpc-status", "grpc-message", "grpc-status-details-bin"];

/// Why a policy may not set or remove the request header `name`; nothing where it may.
pub(crate) fn claim_on_request(name: &str) -> Option<&'static str> {
    let name = fold(name);
    let is_judged = JUDGED.contains(&name.as_str())
        || METHOD_OVERRIDES.contains(&name.as_str())
        || JUDGED_FAMILIES.iter().any(|family| name.starts_with(family));
    claim_on_both(&name).or(is_judged.then_some("says what was judged"))
}

/// Why a policy may not put the header `name` into a response; nothing where it may.
pub(crate) fn claim_on_response(name: &str) -> Option<&'static str> {
    let name = fold(name);
    let claim = match name.as_str() {
        "content-encoding" => Some("says how the body is written"),
        name if GRPC_OUTCOME.contains(&name) => Some("says how a gRPC call ended"),
        _ => None,
    };
    claim_on_both(&name).or(claim)
}

fn claim_on_both(folded: &str) -> Option<&'static str> {
    if folded.starts_with(':') {
        Some("is a pseudo-header")
    } else if is_reserved(folded.as_bytes()) {
        Some("is the filter's own")
    } else if CONNECTION.contains(&folded) {
        Some("belongs to the connection")
    } else {
        None
    }
}

/// Parts of names of headers and query parameters that carry what proves something: a policy never sees their values.
const SECRET: [&str; 13] = [
    "auth",
    "cookie",
    "token",
    "secret",
    "password",
    "passwd",
    "credential",
    "signature",
    "session-id",
    "assertion",
    "jwt",
    "apikey",
    "client-cert",
];

/// Whether the value of a header, or of a parameter of a query, is a secret, by its name.
pub(crate) fn is_secret(name: &str) -> bool {
    let name = fold(name);
    SECRET.iter().any(|part| name.contains(part))
        || name.ends_with("-key")
        || matches!(name.as_str(), "key" | "sig")
}

/// The form in which a name is compared: many servers take `_` for `-`, and case means nothing.
pub(crate) fn fold(name: &str) -> String {
    name.chars().map(|char| if char == '_' { '-' } else { char.to_ascii_lowercase() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_headers() {
        let (own, connection, judged) =
            (Some("is the filter's own"), Some("belongs to the connection"), Some("says what was judged"));
        for (name, request, response) in [
            (":path", Some("is a pseudo-header"), Some("is a pseudo-header")),
            (":status", Some("is a pseudo-header"), Some("is a pseudo-header")),
            ("x-hexr-role", own, own),
            ("X_Hexr_Decision-Id", own, own),
            ("x-hexr-decision-id", own, own),
            ("transfer-encoding", connection, connection),
            ("Content_Length", connection, connection),
            ("connection", connection, connection),
            ("upgrade", connection, connection),
            ("te", connection, connection),
            ("host", judged, None),
            ("content-type", judged, None),
            ("x-http-method-override", judged, None),
            ("X_HTTP_Method", judged, None),
            ("X-Amz-Target", judged, None),
            ("x_amz_copy_source", judged, None),
            ("x-goog-user-project", judged, None),
            ("Mcp-Method", judged, None),
            ("x-envoy-original-dst-host", judged, None),
            ("x-original-url", judged, None),
            ("content-encoding", judged, Some("says how the body is written")),
            ("grpc-status", None, Some("says how a gRPC call ended")),
            ("Grpc_Message", None, Some("says how a gRPC call ended")),
            ("authorization", None, None),
            ("x-hexr", None, None),
            ("x-request-class", None, None),
            ("retry-after", None, None),
        ] {
            assert_eq!((claim_on_request(name), claim_on_response(name)), (request, response), "{name}");
        }
    }

    #[test]
    fn secrets() {
        for name in [
            "authorization",
            "Proxy-Authorization",
            "cookie",
            "X-Amz-Security-Token",
            "X-Amz-Signature",
            "X-Amz-Credential",
            "x_amz_security_token",
            "x-goog-iam-authorization-token",
            "x-api-key",
            "api-key",
            "ApiKey",
            "key",
            "sig",
            "access_token",
            "mcp-session-id",
            "x-amz-server-side-encryption-customer-key",
            "x-forwarded-client-cert",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in ["x-approval", "content-type", "x-amz-acl", "prefix", "keys", "range", "x-amz-date"] {
            assert!(!is_secret(name), "{name}");
        }
    }

    /// A name that is not folded itself would never be found.
    #[test]
    fn the_lists_are_in_the_folded_form() {
        let lists = [&JUDGED[..], &JUDGED_FAMILIES, &CONNECTION, &GRPC_OUTCOME, &METHOD_OVERRIDES, &SECRET];
        for name in lists.concat() {
            assert_eq!(fold(name), name);
        }
    }
}
