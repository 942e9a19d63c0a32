//! Policies in a ConfigMap: how the bundle server follows it through the Kubernetes API.

use std::{
    ffi::OsStr,
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Result;
use hyper::StatusCode;
use integration::{
    bundle_server::BundleServer,
    bundles::allowing,
    envoy,
    eventually::eventually,
    kube_api::{Contents, KubeApi},
    stack::{ANY_PORT, Foundation, PATIENCE},
};
use serde_json::Value;
use tempfile::TempDir;

const PLACE: &str = "hexr-system/opa-policy";
/// What an update may take.
const SOON: Duration = Duration::from_secs(1);

/// A Kubernetes API and a bundle server that follows it.
struct World {
    api: KubeApi,
    server: BundleServer,
    folder: TempDir,
}

/// A policy that allows `role`.
fn policy(role: &str) -> Contents {
    Contents::of(&[("authz.rego", &allowing(role))])
}

impl World {
    /// Starts with a ConfigMap, or without; a server without arguments follows `hexr-system/opa-policy`.
    async fn start(contents: Option<&Contents>) -> Result<Self> {
        let api = KubeApi::start().await?;
        if let Some(contents) = contents {
            api.apply(PLACE, contents);
        }
        Self::start_at(api, &[])
    }

    fn start_at(api: KubeApi, arguments: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let kubeconfig = folder.path().join("kubeconfig");
        api.write_kubeconfig(&kubeconfig)?;
        let kubeconfig = kubeconfig.display().to_string();
        let arguments = [&["--kubeconfig", &*kubeconfig][..], arguments].concat();
        let server = BundleServer::start_with(ANY_PORT, &arguments, &folder.path().join("server.log"))?;
        Ok(Self { api, server, folder })
    }

    async fn health(&self) -> Result<(StatusCode, Value)> {
        let (status, body) = envoy::get(self.server.address(), "/health?bundles").await?;
        let body: Value = serde_json::from_str(&body)?;
        Ok((status, body.pointer("/bundles/authz").cloned().unwrap_or_default()))
    }

    async fn bundle(&self) -> Result<(StatusCode, String)> {
        envoy::get(self.server.address(), "/bundles/authz.tar.gz").await
    }

    async fn revision(&self) -> Option<String> {
        Some(self.health().await.ok()?.1.get("revision")?.as_str()?.to_owned())
    }

    /// Waits until another revision than `before` is served and nothing is wrong, and says how long it took.
    async fn wait_for_another(&self, before: Option<&str>) -> Result<(String, Duration)> {
        eventually(PATIENCE, "another revision", async || {
            let (status, health) = self.health().await.ok()?;
            let revision = health.get("revision")?.as_str()?.to_owned();
            (status == 200 && Some(&*revision) != before).then_some(revision)
        })
        .await
    }

    /// Waits until `/health?bundles` has `text` in `field`.
    async fn wait_for(&self, status: u16, field: &str, text: &str) -> Result<()> {
        eventually(PATIENCE, text, async || {
            let (actual, health) = self.health().await.ok()?;
            (actual == status && health.get(field)?.as_str()?.contains(text)).then_some(())
        })
        .await?;
        Ok(())
    }

    async fn wait_until_watched(&self) -> Result<()> {
        eventually(PATIENCE, "a watch", async || (self.api.watches() == 1).then_some(())).await?;
        Ok(())
    }

    fn lists(&self) -> usize {
        self.api.asked().iter().filter(|asked| !asked.watch).count()
    }

    fn log(&self) -> Result<String> {
        Ok(fs::read_to_string(self.log_path())?)
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_served_at_once() -> Result<()> {
    let world = World::start(Some(&policy("role-0"))).await?;
    let (status, health) = world.health().await?;
    assert_eq!(status, 200, "{health}");
    world.wait_for(200, "source", "connected").await?;
    assert_eq!(world.bundle().await?.0, 200);
    let mut revision = health["revision"].as_str().unwrap().to_owned();
    let mut times = Vec::new();
    for number in 1..=20 {
        world.api.apply(PLACE, &policy(&format!("role-{number}")));
        let (next, took) = world.wait_for_another(Some(&revision)).await?;
        assert!(took < SOON, "{took:?}");
        revision = next;
        times.push(took);
    }
    times.sort();
    println!("served after: median {:?}, longest {:?}", times[times.len() / 2], times.last().unwrap());
    assert_eq!(world.lists(), 1, "the rest came by the watch");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_modules_or_data_or_warned_of_once() -> Result<()> {
    let module = "package hexr.authz\n\ndefault allow := false\n\nallow if input.role == data.role\n";
    let others = [("README.md", "a"), ("data.toml", "b"), ("authz.rego.bak", "c")];
    let contents = |role: &str| {
        let data = format!("role: {role}\n");
        // `package hexr.more`, in base64.
        Contents::of(&[&[("authz.rego", module), ("data.yaml", &data)][..], &others].concat())
            .and_binary("more.rego", "cGFja2FnZSBoZXhyLm1vcmUK")
            .and_binary("logo.png", "iVBORw0KGgo=")
    };
    let world = World::start(Some(&contents("a"))).await?;
    let first = world.revision().await;
    world.api.apply(PLACE, &contents("b"));
    let (second, _) = world.wait_for_another(first.as_deref()).await?;
    for (key, _) in others.iter().chain([&("logo.png", "")]) {
        assert_eq!(world.log()?.matches(&format!("key `{key}` is ignored")).count(), 1, "{}", world.log()?);
    }
    assert_eq!(world.log()?.matches("is ignored").count(), others.len() + 1);

    // A module that is no text may be the one that forbids: nothing is served without it.
    world.api.apply(PLACE, &contents("c").and_binary("more.rego", "/w=="));
    world.wait_for(503, "problem", "more.rego").await?;
    assert_eq!(world.revision().await, Some(second));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_keeps_the_last_good_one() -> Result<()> {
    let world = World::start(Some(&policy("editor"))).await?;
    let good = world.revision().await;
    for (contents, problem) in [
        (Contents::of(&[("authz.rego", "package hexr.authz\n\nallow if {\n")]), "authz.rego:4:1: "),
        (Contents::of(&[("other.rego", "package other\nx := 1\n")]), "no rule `data.hexr.authz.allow`"),
        (Contents::of(&[("authz.rego", &allowing("x")), ("data.json", "{")]), "data.json: "),
        (Contents::of(&[("README.md", "soon")]), "no policy here"),
    ] {
        world.api.apply(PLACE, &contents);
        world.wait_for(503, "problem", problem).await?;
        world.wait_for(503, "source", "connected").await?;
        assert_eq!(world.revision().await, good);
        assert_eq!(world.bundle().await?.0, 200);
        assert_eq!(envoy::get(world.server.address(), "/health").await?.0, 200);
        assert_eq!(world.log()?.matches(problem).count(), 1, "{}", world.log()?);
        world.api.apply(PLACE, &policy("editor"));
        world.wait_for_another(None).await?;
    }

    world.api.delete(PLACE);
    world.wait_for(503, "source", "is deleted; the last good bundle is served").await?;
    assert_eq!(world.bundle().await?.0, 200);
    assert_eq!(world.revision().await, good);
    assert!(world.log()?.contains("the ConfigMap `hexr-system/opa-policy` is deleted"));
    world.api.apply(PLACE, &policy("viewer"));
    world.wait_for_another(good.as_deref()).await?;
    world.wait_for(200, "source", "connected").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_config_map_may_come_later() -> Result<()> {
    let api = KubeApi::start().await?;
    let world = World::start_at(api, &["--configmap", "authz=team-a/policy"])?;
    let (status, body) = world.bundle().await?;
    assert_eq!((status.as_u16(), &*body), (503, "there is no ConfigMap `team-a/policy`\n"));
    assert_eq!(envoy::get(world.server.address(), "/health").await?.0, 503);
    world.api.apply(PLACE, &policy("elsewhere"));
    world.wait_for(503, "source", "there is no ConfigMap `team-a/policy`").await?;
    world.api.apply("team-a/policy", &policy("editor"));
    let (_, took) = world.wait_for_another(None).await?;
    assert!(took < SOON, "{took:?}");
    assert_eq!(world.bundle().await?.0, 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_role_is_explained() -> Result<()> {
    let api = KubeApi::start().await?;
    api.apply(PLACE, &policy("editor"));
    api.permit(false);
    let world = World::start_at(api, &[])?;
    let (status, body) = world.bundle().await?;
    assert_eq!(status, 503);
    for part in [
        "User \"system:serviceaccount:hexr-system:hexr-authz\" cannot list",
        "namespace: hexr-system\nrules:\n  - apiGroups: [\"\"]\n    resources: [configmaps]\n    \
         resourceNames: [opa-policy]\n    verbs: [get, list, watch]\n",
        "  - kind: ServiceAccount\n    name: hexr-authz\n    namespace: hexr-system\n",
    ] {
        assert!(body.contains(part), "{body}");
        assert!(world.log()?.contains(part), "{}", world.log()?);
    }
    world.wait_for(503, "source", "forbidden, a Role is missing: ").await?;
    world.api.permit(true);
    let (first, _) = world.wait_for_another(None).await?;

    // The same when it is taken away later.
    world.api.permit(false);
    world.api.disconnect();
    world.wait_for(200, "source", "the last good bundle is served").await?;
    world.api.apply(PLACE, &policy("viewer"));
    assert_eq!(world.log()?.matches("kind: RoleBinding").count(), 2, "{}", world.log()?);
    world.api.permit(true);
    world.wait_for_another(Some(&first)).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_position_that_is_gone_means_a_new_list() -> Result<()> {
    let mut world = World::start(Some(&policy("a"))).await?;
    world.wait_until_watched().await?;
    let first = world.revision().await;
    world.api.apply_and_forget(PLACE, &policy("b"));
    let (second, took) = world.wait_for_another(first.as_deref()).await?;
    assert!(took < SOON, "{took:?}");
    assert_eq!(world.lists(), 2);

    // It may be gone when the API server is back, too.
    world.api.stop().await;
    world.api.apply_and_forget(PLACE, &policy("c"));
    world.api.start_again().await?;
    world.wait_for_another(Some(&second)).await?;
    assert_eq!(world.lists(), 3);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_breaks_loses_nothing() -> Result<()> {
    let mut world = World::start(Some(&policy("a"))).await?;
    world.wait_until_watched().await?;
    let first = world.revision().await;
    let started_from = world.api.asked().pop();

    // The position is that of the last event.
    world.api.disconnect();
    world.api.apply(PLACE, &policy("b"));
    let (second, took) = world.wait_for_another(first.as_deref()).await?;
    assert!(took < SOON, "{took:?}");
    assert_eq!(world.api.asked().pop(), started_from);

    world.api.stop().await;
    world.wait_for(200, "source", "disconnected: ").await?;
    assert_eq!(world.bundle().await?.0, 200);
    world.api.apply(PLACE, &policy("c"));
    world.api.start_again().await?;
    let begin = Instant::now();
    let (third, _) = world.wait_for_another(Some(&second)).await?;
    println!("served {:?} after the API server was back", begin.elapsed());
    world.wait_for(200, "source", "connected").await?;

    // A bookmark moves it without an event.
    world.wait_until_watched().await?;
    let bookmark = world.api.bookmark();
    // Nothing shows from outside that the bookmark was read.
    tokio::time::sleep(Duration::from_millis(300)).await;
    world.api.disconnect();
    world.wait_until_watched().await?;
    assert_eq!(world.api.asked().pop().and_then(|asked| asked.resource_version), Some(bookmark));
    world.api.apply(PLACE, &policy("d"));
    world.wait_for_another(Some(&third)).await?;
    assert_eq!(world.lists(), 1, "every watch resumed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_credentials_are_named() -> Result<()> {
    let api = KubeApi::start().await?;
    let folder = tempfile::tempdir()?;
    let kubeconfig = folder.path().join("kubeconfig");
    api.write_kubeconfig_with(&kubeconfig, "of-someone")?;
    let arguments = [OsStr::new("--kubeconfig"), kubeconfig.as_os_str()];
    let server = BundleServer::start_with(ANY_PORT, &arguments, &folder.path().join("server.log"))?;
    let (status, body) = envoy::get(server.address(), "/bundles/authz.tar.gz").await?;
    assert_eq!(status, 503);
    assert!(body.contains("the Kubernetes API does not take these credentials: Unauthorized"), "{body}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edited_config_map_decides_in_envoy() -> Result<()> {
    const BIGQUERY: (&str, &str, &str) =
        ("POST", "bigquery.googleapis.com", "/bigquery/v2/projects/p/queries");
    let world = World::start(Some(&policy("researcher"))).await?;
    let foundation = Foundation::lay().await?;
    let config = foundation.config(world.server.address())?;
    let stack = foundation.start(&config, 2).await?;
    stack.wait_until_ready().await?;
    let ask = async |role: &str| -> Result<Option<String>> {
        let (method, host, path) = BIGQUERY;
        Ok(stack.agent(role)?.send(method, host, path).await?.reason())
    };
    assert_eq!(ask("researcher").await?, None);
    assert_eq!(ask("editor").await?.as_deref(), Some("policy_denied"));

    world.api.apply(PLACE, &policy("editor"));
    let ((), took) =
        eventually(PATIENCE, "the new decision", async || ask("editor").await.ok()?.is_none().then_some(()))
            .await?;
    println!("decided by the new ConfigMap after {took:?}");
    eventually(PATIENCE, "the end of the old one", async || {
        (ask("researcher").await.ok()?.as_deref() == Some("policy_denied")).then_some(())
    })
    .await?;

    world.api.delete(PLACE);
    world.wait_for(503, "source", "is deleted").await?;
    assert_eq!(ask("editor").await?, None);
    assert_eq!(ask("researcher").await?.as_deref(), Some("policy_denied"));
    Ok(())
}
