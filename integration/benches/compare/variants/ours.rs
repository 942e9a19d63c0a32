//! Ours, with more to do.

use anyhow::Result;
use integration::{
    bundles::{bundle_of, packed},
    envoy_config::set,
    measure::{
        policies::{EVERY_TIME, SECOND, limit, policy},
        subject::Subject,
    },
    scripted_server::{Script, ScriptedServer},
};
use serde_json::{Value, json};

/// So many agents ask so often that the usual limits of the log would end it.
pub(super) fn count_calls(config: &mut Value) {
    let log = json!({"window_seconds": 1, "agent_calls": 1_000_000, "tenant_bytes": 64 << 20});
    set(config, "", "audit_log", log);
}

/// The credential exchange takes what it is told: it runs in the process that is not charged.
pub(super) fn tell_of_decisions(config: &mut Value) {
    set(config, "", "services", json!({"sink": {"cluster": "credential-exchange"}}));
    set(config, "", "decision_logs", json!({"service": "sink"}));
}

/// The platform's policy and a tenant's own come from a server.
pub(super) async fn everything(workers: u32) -> Result<Subject> {
    let server = ScriptedServer::start(Script::body(404, "")).await?;
    let platform = policy(1_000, &[EVERY_TIME, &limit(SECOND)]);
    let waiting = |body| Script::Waiting { etag: "\"1\"".to_owned(), body };
    server.now_at("/bundles/authz.tar.gz", waiting(packed(&[("authz.rego", &platform)], "1")?));
    let manifest = json!({"roots": ["hexr/tenants/acme-corp"], "revision": "1"}).to_string();
    let tenant =
        "package hexr.tenants[\"acme-corp\"]\n\nallow if input.role in {\"researcher\", \"editor\"}\n";
    let tenant = bundle_of(&[(".manifest", &manifest), ("tenant.rego", tenant)])?;
    server.now_at("/bundles/tenants/acme-corp.tar.gz", waiting(tenant));
    let subject = Subject::start(workers, |foundation| {
        foundation.config(server.address())?.with_filter_config(|config| {
            count_calls(config);
            let polling = json!({"min_delay_seconds": 1, "max_delay_seconds": 1});
            let tenants = json!({"service": "bundles", "resource": "bundles/tenants/{tenant}.tar.gz", "polling": polling});
            set(config, "", "tenants", tenants);
            set(config, "/services", "sink", json!({"cluster": "credential-exchange"}));
            set(config, "", "decision_logs", json!({"service": "sink"}));
            set(config, "", "status", json!({"service": "sink"}));
        })
    })
    .await?;
    Ok(subject.with(server))
}
