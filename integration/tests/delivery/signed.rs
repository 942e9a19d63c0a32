//! Signed bundles, through a real Envoy.

use anyhow::{Context, Result};
use hexr_authz_core::{
    bundle::{Signer, SourceFile, pack_signed},
    timestamp::Timestamp,
};
use hyper::body::Bytes;
use integration::{
    bundles::{allowing, packed},
    envoy_config::set,
    eventually::eventually,
    scripted_server::{Script, ScriptedServer},
    stack::{PATIENCE, Stack},
};
use serde_json::json;

use crate::{ask_as, start_with, wait_for};

const SECRET: &str = "a secret of the tests, long enough for SHA-256";
const OTHER: &str = "another secret of the tests, as long as the first";

fn now() -> Result<i64> {
    Ok(i64::try_from(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs())?)
}

/// A bundle that allows `role`, signed at that second.
fn signed(role: &str, secret: &str, scope: &str, second: i64) -> Result<Bytes> {
    let file = SourceFile { path: "authz.rego".to_owned(), content: allowing(role).into_bytes() };
    let signer = Signer::new("HS256", secret, "k1").map_err(anyhow::Error::msg)?.with_scope(scope);
    let at = Timestamp::from_unix_nanos(second * 1_000_000_000);
    let bytes = pack_signed(&[file], role, &signer, at).map_err(anyhow::Error::msg)?;
    Ok(Bytes::from(bytes))
}

async fn start(server: &ScriptedServer) -> Result<Stack> {
    start_with(server.address(), 2, |config| {
        config.with_filter_config(|config| {
            config["keys"] = json!({"k1": {"algorithm": "HS256", "key": SECRET}});
            let signing = json!({"keyid": "k1", "scope": "write", "max_age_seconds": 3600});
            set(config, "/bundles/authz", "signing", signing);
        })
    })
    .await
}

#[tokio::test]
async fn only_what_is_signed_becomes_active_and_nothing_older_after_it() -> Result<()> {
    let server =
        ScriptedServer::start(Script::body(200, packed(&[("authz.rego", &allowing("unsigned"))], "u")?))
            .await?;
    let stack = start(&server).await?;
    let now = now()?;
    let good = signed("researcher", SECRET, "write", now - 100)?;
    let mut tampered = good.to_vec();
    let middle = tampered.len() / 2;
    *tampered.get_mut(middle).context("a byte")? ^= 1;
    for (bundle, complaint) in [
        (packed(&[("authz.rego", &allowing("unsigned"))], "u")?, "signatures.json"),
        (signed("researcher", OTHER, "write", now)?, "k1"),
        (signed("researcher", SECRET, "read", now)?, "scope"),
        (signed("researcher", SECRET, "write", now - 7200)?, "max_age_seconds"),
    ] {
        server.now(Script::body(200, bundle));
        eventually(PATIENCE, complaint, async || stack.envoy.log_lines(complaint).pop()).await?;
        assert_eq!(ask_as(&stack, "researcher").await?.as_deref(), Some("no_policy"), "{complaint}");
    }
    server.now(Script::body(200, good));
    wait_for(&stack, "researcher", None).await?;

    // What was signed before the active one does not come back, though its signature is good.
    server.now(Script::body(200, signed("editor", SECRET, "write", now - 200)?));
    eventually(PATIENCE, "the complaint", async || {
        stack.envoy.log_lines("older than that of the active bundle").pop()
    })
    .await?;
    assert_eq!(ask_as(&stack, "editor").await?.as_deref(), Some("policy_denied"));
    server.now(Script::body(200, signed("editor", SECRET, "write", now - 50)?));
    wait_for(&stack, "editor", None).await?;
    Ok(())
}
