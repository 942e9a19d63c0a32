//! The tenants' own policies.

use std::time::Duration;

use anyhow::Result;
use integration::{
    bundle_server::BundleServer,
    bundles::{allowing, bundle_of, packed},
    eventually::eventually,
    policies::Policies,
    scripted_server::{Script, ScriptedServer},
    stack::{ANY_PORT, PATIENCE, Stack},
};
use serde_json::{Value, json};

use crate::{ask, start_with};

/// The platform allows these roles to everybody.
const PLATFORM: &str = "package hexr.authz\n\nallow if input.role in {\"researcher\", \"editor\"}\n";

fn bundle(tenant: &str, body: &str) -> Result<Script> {
    let manifest = json!({"roots": [format!("hexr/tenants/{tenant}")], "revision": "t"}).to_string();
    let module = format!("package hexr.tenants[\"{tenant}\"]\n\n{body}\n");
    Ok(Script::body(200, bundle_of(&[(".manifest", &manifest), ("tenant.rego", &module)])?))
}

fn path(tenant: &str) -> String {
    format!("/bundles/tenants/{tenant}.tar.gz")
}

async fn start(server: &ScriptedServer, change: impl FnOnce(&mut Value)) -> Result<Stack> {
    let stack = start_with(server.address(), 2, |config| {
        config.with_filter_config(|config| {
            config["tenants"] = json!({"service": "bundles", "resource": "bundles/tenants/{tenant}.tar.gz",
                "polling": {"min_delay_seconds": 1, "max_delay_seconds": 1}});
            change(config);
        })
    })
    .await?;
    stack.wait_until_ready().await?;
    Ok(stack)
}

async fn platform(module: &str) -> Result<ScriptedServer> {
    let server = ScriptedServer::start(Script::body(404, "")).await?;
    server.now_at("/bundles/authz.tar.gz", Script::body(200, packed(&[("authz.rego", module)], "p")?));
    Ok(server)
}

async fn ask_of(stack: &Stack, tenant: &str, role: &str) -> Result<Option<String>> {
    let id = format!("spiffe://hexr.cloud/agent/{tenant}/crew/{role}");
    ask(&mut stack.agent_with(&[&id])?.connect().await?).await
}

/// Waits until every one of several connections, which are spread over the workers, gets this reason.
#[track_caller]
fn settled<'s>(
    stack: &'s Stack,
    tenant: &'s str,
    role: &'s str,
    reason: Option<&'s str>,
) -> impl Future<Output = Result<()>> + 's {
    let what = format!("{reason:?} for {role} of {tenant}");
    async move {
        eventually(PATIENCE, &what, async || {
            for _ in 0..6 {
                if ask_of(stack, tenant, role).await.ok()?.as_deref() != reason {
                    return None;
                }
            }
            Some(())
        })
        .await?;
        Ok(())
    }
}

#[tokio::test]
async fn a_tenant_narrows_and_never_widens() -> Result<()> {
    let server = platform(PLATFORM).await?;
    server.now_at(&path("acme"), bundle("acme", "allow if input.role in {\"editor\", \"viewer\"}")?);
    let stack = start(&server, |_| {}).await?;

    // Until its policy is known, its requests are told to come again, and not decided by the platform alone.
    let first = stack.agent_with(&["spiffe://hexr.cloud/agent/acme/crew/editor"])?;
    let answer = first.send("POST", crate::BIGQUERY, crate::QUERY).await?;
    assert_eq!((answer.status.as_u16(), answer.reason().as_deref()), (503, Some("no_policy")));
    assert_eq!(answer.header("retry-after"), Some("1"));

    settled(&stack, "acme", "editor", None).await?;
    settled(&stack, "acme", "researcher", Some("tenant_policy_denied")).await?;
    settled(&stack, "acme", "viewer", Some("policy_denied")).await?;

    // An update, a broken one, a failing server: what was good stays.
    server.now_at(&path("acme"), bundle("acme", "allow if input.role == \"researcher\"")?);
    settled(&stack, "acme", "researcher", None).await?;
    settled(&stack, "acme", "editor", Some("tenant_policy_denied")).await?;
    server.now_at(&path("acme"), bundle("acme", "allow if {")?);
    eventually(PATIENCE, "the complaint", async || {
        stack.envoy.log_lines("tenant `hexr.cloud/acme`: tenant.rego:4:1: ").pop()
    })
    .await?;
    server.now_at(&path("acme"), Script::body(500, ""));
    tokio::time::sleep(Duration::from_secs(3)).await;
    settled(&stack, "acme", "researcher", None).await?;

    // Without a policy there is nobody who allows.
    server.now_at(&path("acme"), Script::body(404, ""));
    settled(&stack, "acme", "researcher", Some("tenant_policy_denied")).await?;
    server.now_at(&path("acme"), bundle("acme", "allow := true")?);
    settled(&stack, "acme", "researcher", None).await?;
    assert_eq!(stack.envoy.stat("wasm.hexr_authz.vm_reload_success").await?, 0);
    Ok(())
}

#[tokio::test]
async fn where_the_platform_decides_for_tenants_without_a_policy() -> Result<()> {
    let server = platform(PLATFORM).await?;
    let stack = start(&server, |config| config["tenants"]["on_missing"] = "platform".into()).await?;
    settled(&stack, "acme", "editor", None).await?;
    settled(&stack, "acme", "viewer", Some("policy_denied")).await?;
    // A server that fails says nothing of what there is.
    server.now_at(&path("globex"), Script::body(500, ""));
    for _ in 0..10 {
        assert_eq!(ask_of(&stack, "globex", "editor").await?.as_deref(), Some("no_policy"));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    server.now_at(&path("globex"), Script::body(404, ""));
    settled(&stack, "globex", "editor", None).await?;
    Ok(())
}

#[tokio::test]
async fn a_tenant_sees_nothing_but_its_own_and_disturbs_nobody() -> Result<()> {
    let module = format!("{PLATFORM}\nsecret := 1\n");
    let server = platform(&module).await?;
    for (tenant, body) in [
        // What it does not have, it does not see: this is undefined, and denies.
        ("spy", "allow if data.hexr.authz.secret == 1"),
        ("other", "allow if data.hexr.tenants.acme.allow"),
        (
            "slow",
            "allow if count([1 | numbers.range(1, 3000)[_]; numbers.range(1, 3000)[_]; numbers.range(1, 3000)[_]]) > 0",
        ),
        ("shaper", "allow := {\"allowed\": true, \"headers\": {\"x-a\": \"b\"}}"),
        ("acme", "allow := true"),
    ] {
        server.now_at(&path(tenant), bundle(tenant, body)?);
    }
    // A bundle of another tenant is not taken, whoever sends it.
    server.now_at(&path("thief"), bundle("acme", "allow := true")?);
    let stack = start(&server, |_| {}).await?;
    settled(&stack, "spy", "editor", Some("tenant_policy_denied")).await?;
    settled(&stack, "other", "editor", Some("tenant_policy_denied")).await?;
    settled(&stack, "slow", "editor", Some("budget_exceeded")).await?;
    settled(&stack, "shaper", "editor", Some("evaluation_error")).await?;
    settled(&stack, "acme", "editor", None).await?;
    eventually(PATIENCE, "the complaint about the thief", async || {
        let _ = ask_of(&stack, "thief", "editor").await;
        stack.envoy.log_lines("tenant `hexr.cloud/thief`: the bundle of a tenant is rooted at exactly").pop()
    })
    .await?;
    settled(&stack, "thief", "editor", Some("no_policy")).await?;
    // The platform keeps its hands off the tenants' place.
    let foreign = packed(
        &[
            ("a.rego", "package hexr.authz\nallow := true"),
            ("b.rego", "package hexr.tenants.acme\nallow := true"),
        ],
        "x",
    )?;
    server.now_at("/bundles/authz.tar.gz", Script::body(200, foreign));
    eventually(PATIENCE, "the complaint about the platform", async || {
        stack.envoy.log_lines("`data.hexr.tenants.acme` is the tenants' own").pop()
    })
    .await?;
    settled(&stack, "acme", "editor", None).await?;
    settled(&stack, "acme", "viewer", Some("policy_denied")).await?;
    Ok(())
}

/// More tenants than a worker holds: those that had to give way are unknown again, and never decided by the platform.
#[tokio::test]
async fn tenants_that_give_way_come_back() -> Result<()> {
    let server = platform(PLATFORM).await?;
    let tenants = ["a", "b", "c", "d"];
    for tenant in tenants {
        server.now_at(&path(tenant), bundle(tenant, "allow if input.role == \"editor\"")?);
    }
    let stack = start(&server, |config| config["tenants"]["most_in_memory"] = 2.into()).await?;
    for tenant in tenants.iter().chain(&tenants) {
        settled(&stack, tenant, "editor", None).await?;
        let denied = ask_of(&stack, tenant, "researcher").await?;
        assert_ne!(denied, None, "{tenant}: the platform alone has decided");
    }
    Ok(())
}

/// One long poll tells of all tenants: a tenant's bundle is fetched when it has changed, and not otherwise.
#[tokio::test]
async fn one_poll_for_all_tenants() -> Result<()> {
    let server = platform(PLATFORM).await?;
    let index = |version: u32, etags: &[(&str, &str)]| {
        let tenants: serde_json::Map<String, Value> =
            etags.iter().map(|(tenant, etag)| ((*tenant).to_owned(), (*etag).into())).collect();
        let body = json!({"tenants": tenants}).to_string().into();
        Script::Waiting { etag: format!("\"{version}\""), body }
    };
    let tenant = |tenant: &str, etag: &'static str, role: &str| -> Result<Script> {
        let Script::Answer { status, body, .. } =
            bundle(tenant, &format!("allow if input.role == \"{role}\""))?
        else {
            anyhow::bail!("no answer");
        };
        Ok(Script::Answer { status, etag: Some(etag), body })
    };
    server.now_at(&path("acme"), tenant("acme", "\"a1\"", "editor")?);
    server.now_at(&path("globex"), tenant("globex", "\"g1\"", "editor")?);
    server.now_at("/bundles/tenants", index(1, &[("acme", "\"a1\""), ("globex", "\"g1\"")]));
    let stack = start(&server, |_| {}).await?;
    settled(&stack, "acme", "editor", None).await?;
    settled(&stack, "globex", "editor", None).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!((server.asked_for(&path("acme")), server.asked_for(&path("globex"))), (1, 1));

    server.now_at(&path("acme"), tenant("acme", "\"a2\"", "researcher")?);
    server.now_at("/bundles/tenants", index(2, &[("acme", "\"a2\""), ("globex", "\"g1\"")]));
    settled(&stack, "acme", "researcher", None).await?;
    assert_eq!((server.asked_for(&path("acme")), server.asked_for(&path("globex"))), (2, 1));
    server.now_at(&path("globex"), Script::body(404, ""));
    server.now_at("/bundles/tenants", index(3, &[("acme", "\"a2\"")]));
    settled(&stack, "globex", "editor", Some("tenant_policy_denied")).await?;
    assert!(server.asked_for("/bundles/tenants") <= 12, "{}", server.asked_for("/bundles/tenants"));
    Ok(())
}

/// With `audit_log.scope: all` the platform counts everybody's calls; a tenant still counts its own.
#[tokio::test]
async fn a_tenant_counts_its_own_calls() -> Result<()> {
    let server = platform(&allowing("editor")).await?;
    let limit = "allow if count([call | some call in data.audit_log; call.tenant == input.tenant; \
                 call.timestamp > time.now_ns() - 60000000000]) < 2";
    let all = "allow if count([call | some call in data.audit_log; call.timestamp > time.now_ns() - 60000000000]) < 2";
    server.now_at(&path("acme"), bundle("acme", limit)?);
    server.now_at(&path("globex"), bundle("globex", limit)?);
    server.now_at(&path("greedy"), bundle("greedy", all)?);
    let stack = start(&server, |config| config["audit_log"] = json!({"scope": "all"})).await?;
    for tenant in ["acme", "globex"] {
        let mut allowed = 0;
        eventually(PATIENCE, "a third call", async || {
            match ask_of(&stack, tenant, "editor").await.ok()?.as_deref() {
                None => allowed += 1,
                Some("tenant_policy_denied") => return Some(()),
                Some(_) => {}
            }
            None
        })
        .await?;
        assert_eq!(allowed, 2, "{tenant}");
    }
    // To look wider than its tenant is refused when the policy comes.
    eventually(PATIENCE, "the complaint", async || {
        let _ = ask_of(&stack, "greedy", "editor").await;
        stack.envoy.log_lines("tenant `hexr.cloud/greedy`: tenant.rego:3:").pop()
    })
    .await?;
    Ok(())
}

/// A thousand tenants in one Envoy, from the real bundle server: one poll waits for what changes, and not a thousand.
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_tenants() -> Result<()> {
    const TENANTS: usize = 1000;
    let folder = tempfile::tempdir()?;
    let policies = Policies::of(&folder.path().join("platform"), PLATFORM)?;
    let rule = |number: usize, role: &str| {
        format!("package hexr.tenants[\"t{number}\"]\n\nallow if input.role == \"{role}\"\n")
    };
    let tenants = folder.path().join("tenants");
    for number in 0..TENANTS {
        Policies::of(&tenants.join(format!("t{number}")), &rule(number, "editor"))?;
    }
    let bundle = format!("authz={}", policies.folder().display());
    let tenants_flag = tenants.display().to_string();
    let arguments = ["--bundle", &*bundle, "--tenants", &*tenants_flag];
    let server = BundleServer::start_with(ANY_PORT, &arguments, &folder.path().join("server.log"))?;
    let stack = start_with(server.address(), 2, |config| {
        config.with_filter_config(|config| {
            let polling =
                json!({"min_delay_seconds": 1, "max_delay_seconds": 1, "long_polling_timeout_seconds": 30});
            config["bundles"]["authz"]["polling"] = polling.clone();
            config["tenants"] = json!({"service": "bundles", "resource": "bundles/tenants/{tenant}.tar.gz",
                "polling": polling});
        })
    })
    .await?;
    stack.wait_until_ready().await?;

    // All are told to come again, and come again; each is decided by its own policy.
    let mut unknown: Vec<String> = (0..TENANTS).map(|number| format!("t{number}")).collect();
    eventually(4 * PATIENCE, "a decision for every tenant", async || {
        let mut still = Vec::new();
        for tenant in &unknown {
            match ask_of(&stack, tenant, "editor").await.ok()?.as_deref() {
                None => {}
                Some("no_policy") => still.push(tenant.clone()),
                reason => panic!("{tenant}: {reason:?}"),
            }
        }
        unknown = still;
        unknown.is_empty().then_some(())
    })
    .await?;
    settled(&stack, "t999", "researcher", Some("tenant_policy_denied")).await?;

    // What waits at the server are the platform's bundle and the list.
    let waiting = eventually(PATIENCE, "polls that wait", async || {
        let metrics = server.get("/metrics", &[]).await.ok()?;
        let text = String::from_utf8_lossy(&metrics.body).into_owned();
        let line = text.lines().find_map(|line| line.strip_prefix("hexr_authz_server_waiting "))?;
        line.parse::<usize>().ok().filter(|waiting| *waiting > 0)
    })
    .await?;
    assert!(waiting.0 <= 2, "{waiting:?} polls wait");

    Policies::of(&tenants.join("t500"), &rule(500, "researcher"))?;
    settled(&stack, "t500", "researcher", None).await?;
    settled(&stack, "t500", "editor", Some("tenant_policy_denied")).await?;
    settled(&stack, "t501", "editor", None).await?;
    assert_eq!(stack.envoy.stat("wasm.hexr_authz.vm_reload_success").await?, 0);
    Ok(())
}
