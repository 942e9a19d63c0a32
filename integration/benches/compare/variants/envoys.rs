//! What Envoy itself has for authorization: a filter of its own, and servers that it asks.

use std::{
    env,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::Command,
};

use anyhow::{Context as _, Result};
use integration::{
    eventually::eventually,
    measure::subject::Subject,
    process::Process,
    stack::{ANY_PORT, PATIENCE},
    target_folder,
};
use serde_json::{Value, json};
use tokio::net::TcpStream;

/// OPA with its plugin, as its own project releases it.
const OPA_ENVOY: &str = "github.com/open-policy-agent/opa-envoy-plugin/cmd/opa-envoy-plugin@v1.19.1-envoy";

/// The same rule as ours, in the terms of OPA's plugin.
const OPA_POLICY: &str = r#"
package hexr.authz

default allow := false

allow if {
    split(input.attributes.source.principal, "/")[6] == "researcher"
    input.attributes.request.http.method == "POST"
    input.attributes.request.http.host == "bigquery.googleapis.com"
    ["bigquery", "v2", "projects", _, "queries"] = input.parsed_path
}
"#;

/// The same rule, in the terms of Envoy's own filter.
pub(crate) async fn rbac(workers: u32) -> Result<Subject> {
    let principal = json!({"authenticated": {"principal_name": {"suffix": "/researcher"}}});
    let header =
        |name: &str, value: &str| json!({"header": {"name": name, "string_match": {"exact": value}}});
    let filter = json!({
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
    });
    Subject::start(workers, |foundation| foundation.config_with_policy("")?.with_other_filter(Some(filter)))
        .await
}

/// Asks this program, in another process of it.
pub(crate) async fn yes(workers: u32) -> Result<Subject> {
    let mut command = Command::new(env::current_exe()?);
    let log = target_folder()?.join("bench-yes.log");
    let (server, line) = Process::start_to_tell(command.arg(super::yes::ARGUMENT), &log)?;
    let address = line.parse().with_context(|| format!("the server that says yes told: {line}"))?;
    asking(workers, server, address).await
}

/// Asks OPA; nothing where there is none.
pub(crate) async fn opa(workers: u32) -> Result<Option<Subject>> {
    let Some(program) = opa_with_plugin()? else { return Ok(None) };
    let folder = tempfile::tempdir()?;
    let policy = folder.path().join("authz.rego");
    std::fs::write(&policy, OPA_POLICY)?;
    // It cannot be told to choose a port itself.
    let address = TcpListener::bind(ANY_PORT)?.local_addr()?;
    let plugin = "plugins.envoy_ext_authz_grpc";
    let mut command = Command::new(program);
    command.args(["run", "--server", "--addr", "127.0.0.1:0", "--log-level", "error", "--disable-telemetry"]);
    command.args(["--set", &format!("{plugin}.addr={address}")]);
    command.args(["--set", &format!("{plugin}.path=hexr/authz/allow")]);
    let server = Process::start(command.arg(&policy), &folder.path().join("opa.log"))?;
    eventually(PATIENCE, "OPA", async || TcpStream::connect(address).await.ok()).await?;
    Ok(Some(asking(workers, server, address).await?.with(folder)))
}

/// `OPA_ENVOY`, or what Go installs into the build's folder.
fn opa_with_plugin() -> Result<Option<PathBuf>> {
    if let Some(path) = env::var_os("OPA_ENVOY") {
        return Ok(Some(path.into()));
    }
    let folder = target_folder()?.join("opa-envoy").join(OPA_ENVOY.rsplit('@').next().unwrap_or_default());
    let binary = folder.join("opa-envoy-plugin");
    if !binary.is_file() {
        let mut go = Command::new("go");
        go.args(["install", OPA_ENVOY]).env("GOBIN", &folder).env("GOFLAGS", "-mod=mod");
        if !go.status().is_ok_and(|status| status.success()) {
            return Ok(None);
        }
    }
    Ok(Some(binary))
}

/// Has Envoy ask a gRPC server. It is the cluster of the bundles, which nothing else needs here.
async fn asking(workers: u32, server: Process, address: SocketAddr) -> Result<Subject> {
    let filter: Value = json!({
        "name": "envoy.filters.http.ext_authz",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
            "transport_api_version": "V3",
            "grpc_service": {"envoy_grpc": {"cluster_name": "bundle-server"}, "timeout": "10s"},
        },
    });
    let subject = Subject::start(workers, |foundation| {
        let config = foundation.config_with_policy("")?.with_other_filter(Some(filter))?;
        config.with_cluster("bundle-server", address)?.with_http2_to("bundle-server")
    });
    Ok(subject.await?.with_server(server))
}
