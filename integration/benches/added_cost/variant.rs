//! The variants that are compared.

use anyhow::Result;
use integration::{
    envoy_config::EnvoyConfig,
    stack::{Foundation, Stack, spiffe_id},
};
use serde_json::{Value, json};

/// One way to put, or not to put, authorization into Envoy.
pub(crate) struct Variant {
    pub(crate) name: &'static str,
    configure: fn(EnvoyConfig, &Foundation) -> Result<EnvoyConfig>,
}

/// The variant that the others are compared with: what it costs that a filter is WebAssembly.
pub(crate) const NOOP_WASM: &str = "wasm filter that does nothing";

/// All variants; the first is Envoy without authorization.
pub(crate) const VARIANTS: [Variant; 4] = [
    Variant { name: "no filter", configure: |config, _| config.with_other_filter(None) },
    Variant { name: NOOP_WASM, configure: noop_wasm },
    Variant { name: "native RBAC, one rule", configure: |config, _| config.with_other_filter(Some(rbac())) },
    Variant { name: "hexr-authz, embedded policy", configure: |config, _| Ok(config) },
];

const POLICY: &str = r#"
package hexr.authz

default allow := false

allow if {
    input.role == "researcher"
    input.service == "gcp_bigquery"
    input.action == "query"
}
"#;

impl Variant {
    pub(crate) async fn start(&self) -> Result<Stack> {
        let foundation = Foundation::lay().await?;
        let config = (self.configure)(foundation.config_with_policy(POLICY)?, &foundation)?;
        foundation.start(&config, 1).await
    }
}

fn noop_wasm(config: EnvoyConfig, foundation: &Foundation) -> Result<EnvoyConfig> {
    let path = foundation.path("noop.wasm");
    std::fs::write(&path, wat::parse_str(NOOP_WAT)?)?;
    config.with_filter(&path)
}

/// The same rule as [`POLICY`], in the terms of Envoy's own filter.
fn rbac() -> Value {
    let principal = json!({"authenticated": {"principal_name": {"exact": spiffe_id("researcher")}}});
    let header =
        |name: &str, value: &str| json!({"header": {"name": name, "string_match": {"exact": value}}});
    json!({
        "name": "envoy.filters.http.rbac",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
            "rules": {"action": "ALLOW", "policies": {"researcher": {
                "principals": [principal],
                "permissions": [{"and_rules": {"rules": [
                    header(":method", "POST"),
                    header(":authority", "bigquery.googleapis.com"),
                    {"url_path": {"path": {"safe_regex": {"regex": "/bigquery/v2/projects/[^/]+/queries"}}}},
                ]}}],
            }}},
        },
    })
}

/// The least that the proxy-wasm ABI 0.2.1 asks of a filter.
const NOOP_WAT: &str = r#"
(module
  (memory (export "memory") 2)
  (global $next (mut i32) (i32.const 4096))
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "_initialize"))
  (func (export "proxy_on_memory_allocate") (param $size i32) (result i32)
    (local $at i32)
    (local.set $at (global.get $next))
    (global.set $next (i32.add (global.get $next) (local.get $size)))
    (local.get $at))
  (func (export "proxy_on_context_create") (param i32 i32))
  (func (export "proxy_on_vm_start") (param i32 i32) (result i32) (i32.const 1))
  (func (export "proxy_on_configure") (param i32 i32) (result i32) (i32.const 1))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 0))
  (func (export "proxy_on_done") (param i32) (result i32) (i32.const 1))
  (func (export "proxy_on_log") (param i32))
  (func (export "proxy_on_delete") (param i32)))
"#;
