//! The requests that are measured, each under its own configuration.

use anyhow::Result;
use rcgen::{CertificateParams, KeyPair, PKCS_ED25519, SanType, SerialNumber, string::Ia5String};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use crate::envoy_config::set;

/// One kind of request, again and again.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What is measured.
    pub name: &'static str,
    pub(super) config: Value,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    pub(super) certificate: String,
    /// Whether each request brings a certificate that the filter has not seen yet.
    pub(super) is_over_new_connections: bool,
    /// The status of the filter's reply; nothing where the request goes on.
    pub(super) refused_with: Option<u32>,
}

/// When the first request comes, in seconds since 1970: 2026-01-15T08:00:00Z.
pub(super) const DAYBREAK: i64 = 1_768_464_000;

/// A request over a connection that is new.
pub const FIRST: &str = "allowed, nothing remembered: the first request of a certificate";
/// Rules by the number of which a decision must not cost more.
pub const FEW_RULES: &str = "allowed by the last of 10 rules";
/// See [`FEW_RULES`].
pub const MANY_RULES: &str = "allowed by the last of 1,000 rules";

const RESEARCHER: &str = "spiffe://hexr.cloud/agent/acme-corp/content-crew/researcher";
const VIEWER: &str = "spiffe://hexr.cloud/agent/acme-corp/content-crew/viewer";

/// A condition that depends on the instant, so that each request is evaluated. Without it a decision depends on who asks and
/// what for, and is remembered.
const AT_AN_INSTANT: &str = "input.timestamp > \"2026\"";
/// The window is full when it is measured: 60 calls.
const RATE_LIMIT: &str = r#"
allow if count(recent_calls) < 100

recent_calls contains call if {
    some call in data.audit_log
    call.agent == input.agent
    call.timestamp > time.now_ns() - 60000000000
}
"#;

const QUERY: &str = r#"{"query":"SELECT 1","useLegacySql":false}"#;
const TOOL_CALL: &str = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"create_issue","arguments":{"owner":"acme","repo":"site","title":"The build is red","body":"Since this morning."}}}"#;

/// All of them.
///
/// # Errors
/// When a certificate cannot be made.
pub fn all() -> Result<Vec<Scenario>> {
    let remembered = Scenario {
        name: "allowed, remembered",
        config: config(&roles("")),
        headers: query("bigquery.googleapis.com"),
        body: QUERY.as_bytes().to_vec(),
        certificate: certificate(RESEARCHER)?,
        is_over_new_connections: false,
        refused_with: None,
    };
    let evaluated =
        Scenario { name: "allowed, evaluated", config: config(&roles(AT_AN_INSTANT)), ..remembered.clone() };
    let logged = {
        let mut config = config(&roles(""));
        set(&mut config, "", "services", json!({"logs": {"cluster": "logs"}}));
        set(&mut config, "", "decision_logs", json!({"service": "logs"}));
        config
    };
    let with_tools = {
        let mut config = config(&roles(""));
        let tools = json!({"service": "mcp_github", "kind": "mcp", "hosts": ["mcp.example"]});
        set(&mut config, "", "catalog", json!({"services": [tools]}));
        config
    };
    Ok(vec![
        Scenario { name: FIRST, is_over_new_connections: true, ..remembered.clone() },
        Scenario {
            name: "denied by the policy, remembered",
            certificate: certificate(VIEWER)?,
            refused_with: Some(403),
            ..remembered.clone()
        },
        Scenario {
            name: "denied by the policy, evaluated",
            certificate: certificate(VIEWER)?,
            refused_with: Some(403),
            ..evaluated.clone()
        },
        Scenario {
            name: "refused: unknown service",
            headers: query("unlisted.example"),
            refused_with: Some(403),
            ..remembered.clone()
        },
        Scenario { name: "allowed, remembered, with decision logs", config: logged, ..remembered.clone() },
        Scenario {
            name: "allowed under a rate limit, 60 calls in the window",
            config: config(RATE_LIMIT),
            ..remembered.clone()
        },
        Scenario {
            name: "allowed, remembered: a tool call that its body tells",
            config: with_tools,
            headers: headers("mcp.example", "/mcp", TOOL_CALL.len()),
            body: TOOL_CALL.as_bytes().to_vec(),
            ..remembered.clone()
        },
        Scenario { name: FEW_RULES, config: config(&rules(10)), ..remembered.clone() },
        Scenario { name: MANY_RULES, config: config(&rules(1_000)), ..remembered.clone() },
        evaluated,
        remembered,
    ])
}

/// The configuration of a filter that has much to load.
pub(super) fn large() -> Value {
    config(&rules(10_000))
}

fn config(rules: &str) -> Value {
    let module = format!("package hexr.authz\n\ndefault allow := false\n{rules}");
    json!({
        "identity": {"trust_domains": [{"name": "hexr.cloud"}]},
        "decision": {"contact": "platform-security@hexr.cloud"},
        "policy": {"modules": {"authz.rego": module}},
    })
}

/// Roles, services and an exception.
fn roles(condition: &str) -> String {
    format!(
        r#"
allow if {{
    input.role in {{"editor", "researcher"}}
    input.service in {{"gcp_bigquery", "mcp_github"}}
    not input.action == "tables.delete"
    {condition}
}}
"#
    )
}

/// One rule for each tenant, the last of which is the one that asks. Each request is evaluated.
fn rules(count: usize) -> String {
    let rule = |tenant: &str| {
        format!(
            r#"
allow if {{
    input.tenant == "{tenant}"
    input.role == "researcher"
    input.service == "gcp_bigquery"
    {AT_AN_INSTANT}
}}
"#
        )
    };
    let others: String = (1..count).map(|tenant| rule(&format!("tenant-{tenant}"))).collect();
    others + &rule("acme-corp")
}

/// What Google's client sends.
fn query(host: &str) -> Vec<(String, String)> {
    headers(host, "/bigquery/v2/projects/acme/queries?prettyPrint=false", QUERY.len())
}

fn headers(host: &str, path: &str, length: usize) -> Vec<(String, String)> {
    let length = length.to_string();
    [
        (":authority", host),
        (":path", path),
        (":method", "POST"),
        (":scheme", "https"),
        ("user-agent", "gl-python/3.11 gccl/3.25"),
        ("accept", "application/json"),
        ("accept-encoding", "gzip, deflate"),
        ("content-type", "application/json"),
        ("content-length", &length),
        ("authorization", "Bearer to-be-replaced"),
        ("x-forwarded-proto", "https"),
        ("x-request-id", "1b4e28ba-2fa1-41d2-883f-0016d3cca427"),
        ("x-goog-api-client", "gl-python/3.11 gccl/3.25"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

/// A certificate of which only the key and the signature are another each time, in as many bytes.
fn certificate(spiffe_id: &str) -> Result<String> {
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::URI(Ia5String::try_from(spiffe_id)?)];
    params.serial_number = Some(SerialNumber::from(vec![1]));
    let daybreak = OffsetDateTime::from_unix_timestamp(DAYBREAK)?;
    (params.not_before, params.not_after) = (daybreak - Duration::HOUR, daybreak + Duration::DAY);
    Ok(params.self_signed(&KeyPair::generate_for(&PKCS_ED25519)?)?.pem())
}
