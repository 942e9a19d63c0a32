//! The bundle server's side of the protocol, asked by plain clients.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use hexr_authz_core::{
    bundle::{Bundle, BundleLimits, KeyChoice, Verification, VerificationKey},
    timestamp::Timestamp,
};
use integration::{
    agent::{Agent, Answer},
    bundle_server::{BundleServer, get},
    bundles::allowing,
    certificates::Authority,
    eventually::eventually,
    policies::Policies,
    stack::{ANY_PORT, PATIENCE},
};
use tempfile::TempDir;

const AUTHZ: &str = "/bundles/authz.tar.gz";
const BROKEN: &str = "package hexr.authz\n\nallow if {\n";
const WAITING_TYPE: &str = "application/vnd.openpolicyagent.bundles";
const LIMITS: BundleLimits = BundleLimits { compressed: 16 << 20 };

/// A folder for a test: the platform's policies in `policies`, the server's log in `server.log`.
struct Place {
    folder: TempDir,
    policies: Policies,
}

impl Place {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let policies = Policies::of(&folder.path().join("policies"), &allowing("researcher"))?;
        Ok(Self { folder, policies })
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Serves the policies, and what `arguments` say.
    fn serve(&self, arguments: &[&str]) -> Result<BundleServer> {
        let bundle = format!("authz={}", self.path("policies"));
        let arguments = [&["--bundle", &bundle], arguments].concat();
        BundleServer::start_with(ANY_PORT, &arguments, Path::new(&self.path("server.log")))
    }

    fn write_tenant(&self, tenant: &str, module: &str) -> Result<()> {
        Policies::of(&self.folder.path().join("tenants").join(tenant), module).map(drop)
    }
}

fn tenant_module(tenant: &str, role: &str) -> String {
    format!(
        "package hexr.tenants[\"{tenant}\"]\n\ndefault allow := false\n\nallow if input.role == \"{role}\"\n"
    )
}

fn etag(answer: &Answer) -> Result<String> {
    Ok(answer.header("etag").context("no ETag")?.to_owned())
}

async fn health(server: &BundleServer) -> Result<(u16, serde_json::Value)> {
    let answer = server.get("/health?bundles", &[]).await?;
    Ok((answer.status.as_u16(), serde_json::from_slice(&answer.body)?))
}

#[tokio::test]
async fn a_request_waits_as_long_as_it_says() -> Result<()> {
    let place = Place::new()?;
    let server = place.serve(&[])?;
    let current = etag(&server.get(AUTHZ, &[]).await?)?;
    let weak = format!("W/{current}");
    let several = format!("\"other\", {current}");
    // `Prefer`, `If-None-Match`; status, type of the content, and whether it has waited.
    let rows = [
        (None, None, 200, "application/gzip", false),
        (None, Some(current.as_str()), 304, "application/gzip", false),
        (Some("modes=snapshot,delta"), Some(current.as_str()), 304, "application/gzip", false),
        (Some("modes=snapshot,delta;wait=30"), None, 200, WAITING_TYPE, false),
        (Some("modes=snapshot;wait=30"), Some("\"other\""), 200, WAITING_TYPE, false),
        (Some("modes=snapshot;wait=0"), Some(current.as_str()), 304, WAITING_TYPE, false),
        (Some("modes=snapshot,delta;wait=1"), Some(current.as_str()), 304, WAITING_TYPE, true),
        (Some("wait=1"), Some(weak.as_str()), 304, WAITING_TYPE, true),
        (Some("Wait=\"1\""), Some(several.as_str()), 304, WAITING_TYPE, true),
        (Some("wait=soon"), Some(current.as_str()), 304, "application/gzip", false),
    ];
    for row in rows {
        let (prefer, known, status, media_type, waits) = row;
        let prefer = prefer.map(|value| ("prefer", value));
        let headers: Vec<_> = prefer.into_iter().chain(known.map(|value| ("if-none-match", value))).collect();
        let start = Instant::now();
        let answer = server.get(AUTHZ, &headers).await?;
        let took = start.elapsed();
        assert_eq!(answer.status.as_u16(), status, "{row:?}");
        assert_eq!(answer.header("content-type"), Some(media_type), "{row:?}");
        assert_eq!(answer.header("etag"), Some(current.as_str()), "{row:?}");
        assert_eq!(answer.body.is_empty(), status == 304, "{row:?}");
        assert_eq!(took >= Duration::from_secs(1), waits, "{row:?}: {took:?}");
        assert!(took < Duration::from_secs(5), "{row:?}: {took:?}");
    }
    Ok(())
}

/// Waits in `count` requests for another version than `known`.
fn wait(
    server: &BundleServer,
    path: &'static str,
    known: &str,
    count: usize,
) -> Vec<tokio::task::JoinHandle<Result<(Answer, Instant)>>> {
    let address = server.address();
    let one = |_| {
        let known = known.to_owned();
        tokio::spawn(async move {
            let headers = [("prefer", "modes=snapshot,delta;wait=60"), ("if-none-match", known.as_str())];
            let answer = get(address, path, &headers).await?;
            Ok((answer, Instant::now()))
        })
    };
    (0..count).map(one).collect()
}

async fn until_waiting(server: &BundleServer, count: usize) -> Result<()> {
    let line = format!("hexr_authz_server_waiting {count}");
    eventually(PATIENCE, &line, async || {
        let answer = server.get("/metrics", &[]).await.ok()?;
        String::from_utf8_lossy(&answer.body).lines().any(|found| found == line).then_some(())
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn who_waits_is_answered_when_something_changes() -> Result<()> {
    let place = Place::new()?;
    let server = place.serve(&[])?;
    let before = etag(&server.get(AUTHZ, &[]).await?)?;
    let waiting = wait(&server, AUTHZ, &before, 20);
    until_waiting(&server, 20).await?;

    // What does not compile, and what changes nothing, is no news.
    place.policies.write("authz.rego", BROKEN)?;
    eventually(PATIENCE, "a problem", async || (health(&server).await.ok()?.0 == 503).then_some(())).await?;
    place.policies.write("authz.rego", &allowing("researcher"))?;
    eventually(PATIENCE, "no problem", async || (health(&server).await.ok()?.0 == 200).then_some(())).await?;
    until_waiting(&server, 20).await?;

    let edited = Instant::now();
    place.policies.write("authz.rego", &allowing("editor"))?;
    for waiting in waiting {
        let (answer, at) = tokio::time::timeout(PATIENCE, waiting).await???;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), Some(WAITING_TYPE));
        assert_ne!(etag(&answer)?, before);
        assert!(at - edited < Duration::from_secs(3), "{:?}", at - edited);
    }
    until_waiting(&server, 0).await?;
    Ok(())
}

#[tokio::test]
async fn who_waits_keeps_no_server_from_stopping() -> Result<()> {
    let place = Place::new()?;
    let mut server = place.serve(&[])?;
    let current = etag(&server.get(AUTHZ, &[]).await?)?;
    let waiting = wait(&server, AUTHZ, &current, 50);
    until_waiting(&server, 50).await?;
    let took = server.stop(Duration::from_secs(5)).await?;
    println!("stopped in {took:?}");
    for waiting in waiting {
        let (answer, _) = tokio::time::timeout(PATIENCE, waiting).await???;
        assert_eq!((answer.status.as_u16(), answer.header("etag")), (304, Some(current.as_str())));
    }
    Ok(())
}

#[tokio::test]
async fn health_says_what_is_wrong() -> Result<()> {
    let place = Place::new()?;
    place.policies.write("authz.rego", BROKEN)?;
    let server = place.serve(&[])?;
    let status = async |path| anyhow::Ok(server.get(path, &[]).await?.status.as_u16());
    assert_eq!(status("/health").await?, 503, "it was never good");
    assert_eq!(status(AUTHZ).await?, 503);

    place.policies.write("authz.rego", &allowing("researcher"))?;
    eventually(PATIENCE, "health", async || (status("/health").await.ok()? == 200).then_some(())).await?;
    let (code, report) = health(&server).await?;
    let bundle = &report["bundles"]["authz"];
    assert_eq!((code, bundle["source"].as_str(), bundle["problem"].as_str()), (200, Some("good"), None));
    let revision = bundle["revision"].clone();

    for (change, source, problem) in
        [(Some(BROKEN), "broken", "authz.rego:4:1: "), (None, "broken", "no policy here")]
    {
        match change {
            Some(module) => place.policies.write("authz.rego", module)?,
            None => fs::remove_file(place.policies.folder().join("authz.rego"))?,
        }
        let (bundle, _) = eventually(PATIENCE, problem, async || {
            let (status, report) = health(&server).await.ok()?;
            let bundle = report["bundles"]["authz"].clone();
            (status == 503 && bundle["problem"].as_str()?.contains(problem)).then_some(bundle)
        })
        .await?;
        assert_eq!(bundle["source"], source);
        assert_eq!(bundle["revision"], revision, "the last good one is served");
        assert_eq!(status("/health").await?, 200, "that is no reason to restart the server");
        assert_eq!(status(AUTHZ).await?, 200);
    }
    Ok(())
}

async fn index(server: &BundleServer) -> Result<serde_json::Value> {
    let answer = server.get("/bundles/tenants", &[]).await?;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, Some("application/json")));
    Ok(serde_json::from_slice(&answer.body)?)
}

/// Waits until the index has these tenants, each with the ETag of its bundle.
async fn wait_for_tenants(server: &BundleServer, tenants: &[&str]) -> Result<()> {
    let what = format!("the tenants {tenants:?}");
    let (list, _) = eventually(PATIENCE, &what, async || {
        let list = index(server).await.ok()?.get("tenants")?.as_object()?.clone();
        (list.keys().map(String::as_str).eq(tenants.iter().copied())).then_some(list)
    })
    .await?;
    for (tenant, expected) in list {
        let bundle = server.get(&format!("/bundles/tenants/{tenant}.tar.gz"), &[]).await?;
        assert_eq!((bundle.status.as_u16(), bundle.header("etag")), (200, expected.as_str()), "{tenant}");
    }
    Ok(())
}

#[tokio::test]
async fn every_tenant_has_a_bundle_of_its_own() -> Result<()> {
    let place = Place::new()?;
    for tenant in ["acme-corp", "globex.eu"] {
        place.write_tenant(tenant, &tenant_module(tenant, "researcher"))?;
    }
    place.write_tenant("initech", &tenant_module("globex.eu", "researcher"))?;
    place.write_tenant("no tenant", &tenant_module("no tenant", "researcher"))?;
    let server = place.serve(&["--tenants", &place.path("tenants")])?;
    wait_for_tenants(&server, &["acme-corp", "globex.eu"]).await?;

    let bundle = server.get("/bundles/tenants/acme-corp.tar.gz", &[]).await?;
    let bundle = Bundle::read(&bundle.body, LIMITS, None, Timestamp::from_unix_nanos(0))?;
    assert_eq!(bundle.manifest.roots, ["hexr/tenants/acme-corp"]);

    // What is another's, or nobody's, is not served, and its problem is its own.
    let (status, report) = health(&server).await?;
    assert_eq!(status, 503);
    let problem = report["tenants"]["initech"]["problem"].as_str().context("no problem")?;
    assert!(problem.contains("hexr/tenants/initech") || problem.contains("hexr.tenants"), "{problem}");
    assert_eq!(report["tenants"]["acme-corp"]["problem"].as_str(), None);
    for (path, status) in [
        ("/health", 200),
        (AUTHZ, 200),
        ("/bundles/tenants/initech.tar.gz", 503),
        ("/bundles/tenants/no%20tenant.tar.gz", 404),
        ("/bundles/tenants/other.tar.gz", 404),
        ("/bundles/tenants/acme-corp", 404),
    ] {
        assert_eq!(server.get(path, &[]).await?.status.as_u16(), status, "{path}");
    }

    // One that breaks keeps its last good one, while another changes.
    let path = "/bundles/tenants/acme-corp.tar.gz";
    let before = etag(&server.get(path, &[]).await?)?;
    place.write_tenant("acme-corp", "package hexr.tenants[\"acme-corp\"]\n\nallow if {\n")?;
    let known = etag(&server.get("/bundles/tenants", &[]).await?)?;
    let waiting = wait(&server, "/bundles/tenants", &known, 1);
    until_waiting(&server, 1).await?;
    place.write_tenant("globex.eu", &tenant_module("globex.eu", "editor"))?;
    for waiting in waiting {
        let (answer, _) = tokio::time::timeout(PATIENCE, waiting).await???;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, Some("application/json")));
        assert_ne!(etag(&answer)?, known);
    }
    let (_, report) = health(&server).await?;
    let problem = report["tenants"]["acme-corp"]["problem"].as_str().context("no problem")?;
    assert!(problem.contains("authz.rego:4:1: "), "{problem}");
    assert_eq!(etag(&server.get(path, &[]).await?)?, before);

    // New ones come, old ones go.
    place.write_tenant("umbrella", &tenant_module("umbrella", "researcher"))?;
    fs::remove_dir_all(place.path("tenants/globex.eu"))?;
    wait_for_tenants(&server, &["acme-corp", "umbrella"]).await?;
    assert_eq!(server.get("/bundles/tenants/globex.eu.tar.gz", &[]).await?.status, 404);

    // A folder that cannot be read says nothing of tenants.
    fs::rename(place.path("tenants"), place.path("away"))?;
    eventually(PATIENCE, "a problem of the folder", async || {
        health(&server).await.ok()?.1["tenants_folder"]["problem"].as_str().map(drop)
    })
    .await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    wait_for_tenants(&server, &["acme-corp", "umbrella"]).await
}

#[tokio::test]
async fn a_restart_does_not_need_the_source() -> Result<()> {
    let place = Place::new()?;
    place.write_tenant("acme", &tenant_module("acme", "researcher"))?;
    let (tenants, kept) = (place.path("tenants"), place.path("kept"));
    let arguments = ["--tenants", &tenants, "--persist", &kept];
    const ACME: &str = "/bundles/tenants/acme.tar.gz";
    let mut server = place.serve(&arguments)?;
    let before = (etag(&server.get(AUTHZ, &[]).await?)?, etag(&server.get(ACME, &[]).await?)?);
    server.stop(Duration::from_secs(5)).await?;

    // Broken, then away.
    place.policies.write("authz.rego", BROKEN)?;
    for source in ["broken", "away"] {
        if source == "away" {
            fs::rename(place.path("policies"), place.path("policies-away"))?;
            fs::rename(place.path("tenants"), place.path("tenants-away"))?;
        }
        let mut server = place.serve(&arguments)?;
        assert_eq!((etag(&server.get(AUTHZ, &[]).await?)?, etag(&server.get(ACME, &[]).await?)?), before);
        assert_eq!(server.get("/health", &[]).await?.status, 200);
        let (status, report) = health(&server).await?;
        let bundle = &report["bundles"]["authz"];
        assert_eq!(status, 503);
        assert_eq!((bundle["source"].as_str(), bundle["served_from"].as_str()), (Some(source), Some("disk")));
        assert!(bundle["problem"].is_string() && bundle["revision"].is_string(), "{bundle}");
        wait_for_tenants(&server, &["acme"]).await?;
        server.stop(Duration::from_secs(5)).await?;
    }
    let server = place.serve(&arguments)?;
    fs::rename(place.path("policies-away"), place.path("policies"))?;
    place.policies.write("authz.rego", &allowing("editor"))?;
    eventually(PATIENCE, "the source's own", async || {
        let bundle = health(&server).await.ok()?.1["bundles"]["authz"].clone();
        (bundle["served_from"] == "source" && bundle["problem"].is_null()).then_some(())
    })
    .await?;
    assert_ne!(etag(&server.get(AUTHZ, &[]).await?)?, before.0);
    Ok(())
}

#[tokio::test]
async fn bundles_are_signed_and_signed_again() -> Result<()> {
    let place = Place::new()?;
    fs::write(place.path("secret"), "of-the-platform\n")?;
    place.write_tenant("acme", &tenant_module("acme", "researcher"))?;
    let server = place.serve(&[
        "--tenants",
        &place.path("tenants"),
        "--signing-key",
        &place.path("secret"),
        "--signing-alg",
        "HS256",
        "--signing-keyid",
        "k1",
        "--signing-scope",
        "write",
        "--signing-refresh",
        "1",
    ])?;
    let verified = async |path: &str, secret: &str, scope: &str| {
        let key = VerificationKey::new("k1", "HS256", secret, "").map_err(anyhow::Error::msg)?;
        let verification = Verification::new(vec![key], KeyChoice::Any, scope).map_err(anyhow::Error::msg)?;
        let answer = server.get(path, &[]).await?;
        let now = time::OffsetDateTime::now_utc().unix_timestamp_nanos();
        let now = Timestamp::from_unix_nanos(i64::try_from(now)?);
        let bundle = Bundle::read(&answer.body, LIMITS, Some(&verification), now)?;
        anyhow::Ok((bundle.signed.context("not signed")?, etag(&answer)?, bundle.manifest.revision))
    };
    for path in [AUTHZ, "/bundles/tenants/acme.tar.gz"] {
        let (signed, before, revision) = verified(path, "of-the-platform", "write").await?;
        assert_eq!(signed.key_id, "k1");
        assert!(verified(path, "another", "write").await.is_err(), "{path}");
        assert!(verified(path, "of-the-platform", "read").await.is_err(), "{path}");
        // The content stays, the signature is another, and so are the bytes.
        eventually(PATIENCE, "a younger signature", async || {
            let (again, etag, same) = verified(path, "of-the-platform", "write").await.ok()?;
            (again.issued_at > signed.issued_at && etag != before && same == revision).then_some(())
        })
        .await?;
    }
    // The last good one is signed again too.
    place.policies.write("authz.rego", BROKEN)?;
    eventually(PATIENCE, "a problem", async || (health(&server).await.ok()?.0 == 503).then_some(())).await?;
    let (signed, ..) = verified(AUTHZ, "of-the-platform", "write").await?;
    eventually(PATIENCE, "a younger signature", async || {
        let (again, ..) = verified(AUTHZ, "of-the-platform", "write").await.ok()?;
        (again.issued_at > signed.issued_at).then_some(())
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn only_those_with_a_token_may_fetch() -> Result<()> {
    let place = Place::new()?;
    let tokens = place.path("tokens");
    fs::write(&tokens, "one\n\ntwo\n")?;
    let server = place.serve(&["--authentication=token", "--token-file", &tokens])?;
    let status = async |path: &str, value: Option<&str>| {
        let headers: Vec<_> = value.map(|value| ("authorization", value)).into_iter().collect();
        anyhow::Ok(server.get(path, &headers).await?.status.as_u16())
    };
    for (path, authorization, expected) in [
        (AUTHZ, None, 401),
        (AUTHZ, Some("Bearer one"), 200),
        (AUTHZ, Some("bearer two"), 200),
        (AUTHZ, Some("Bearer three"), 401),
        (AUTHZ, Some("Bearer "), 401),
        (AUTHZ, Some("Basic one"), 401),
        (AUTHZ, Some("one"), 401),
        ("/metrics", None, 401),
        ("/metrics", Some("Bearer one"), 200),
        ("/nowhere", None, 401),
        ("/health", None, 200),
    ] {
        assert_eq!(status(path, authorization).await?, expected, "{path} {authorization:?}");
    }
    assert_eq!(
        &server.get("/health?bundles", &[]).await?.body[..],
        b"{}",
        "what a problem quotes is for the known"
    );

    fs::write(&tokens, "three\n")?;
    eventually(PATIENCE, "the new token", async || {
        (status(AUTHZ, Some("Bearer three")).await.ok()? == 200).then_some(())
    })
    .await?;
    assert_eq!(status(AUTHZ, Some("Bearer one")).await?, 401);
    fs::write(&tokens, "\n")?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(status(AUTHZ, Some("Bearer three")).await?, 200, "a file without tokens changes nothing");
    Ok(())
}

#[tokio::test]
async fn only_those_with_a_certificate_may_fetch() -> Result<()> {
    let place = Place::new()?;
    let (authority, other) = (Authority::new()?, Authority::new()?);
    authority.write_for_envoy(place.folder.path())?;
    let client = authority.svid(&["spiffe://hexr.cloud/envoy"])?;
    let stranger = other.svid(&["spiffe://hexr.cloud/envoy"])?;
    let (certificate, key, ca) = (place.path("envoy.pem"), place.path("envoy-key.pem"), place.path("ca.pem"));
    let server = place.serve(&[
        "--tls-cert-file",
        &certificate,
        "--tls-private-key-file",
        &key,
        "--tls-ca-cert-file",
        &ca,
        "--authentication=tls",
    ])?;
    let agent = |authority, svid| Agent::new(server.address(), authority, svid);
    let known = agent(&authority, Some(&client))?;
    for (agent, path, expected) in [
        (known.clone(), AUTHZ, Some(200)),
        (agent(&authority, None)?, AUTHZ, Some(401)),
        (agent(&authority, None)?, "/health", Some(200)),
        (agent(&authority, Some(&stranger))?, AUTHZ, None),
        (agent(&other, Some(&client))?, AUTHZ, None),
    ] {
        let status = agent.send("GET", "localhost", path).await.ok().map(|answer| answer.status.as_u16());
        assert_eq!(status, expected, "{path}");
    }
    assert_eq!(known.connect_http2().await?.send("GET", "localhost", AUTHZ).await?.status, 200);
    assert!(server.get(AUTHZ, &[]).await.is_err(), "not without TLS");

    // Another certificate, from another authority, is taken up without a restart.
    other.envoy()?.write(place.folder.path(), "envoy")?;
    let known = agent(&other, Some(&client))?;
    eventually(PATIENCE, "the new certificate", async || {
        let answer = known.send("GET", "localhost", AUTHZ).await.ok()?;
        (answer.status == 200).then_some(())
    })
    .await?;
    Ok(())
}

#[test]
fn beyond_loopback_it_is_guarded_or_told_not_to_be() -> Result<()> {
    let place = Place::new()?;
    Authority::new()?.write_for_envoy(place.folder.path())?;
    fs::write(place.path("tokens"), "one\n")?;
    let (certificate, key, tokens) =
        (place.path("envoy.pem"), place.path("envoy-key.pem"), place.path("tokens"));
    let tls = ["--tls-cert-file", &certificate, "--tls-private-key-file", &key];
    let token = ["--authentication=token", "--token-file", &tokens];
    let bundle = format!("authz={}", place.path("policies"));
    let log = place.path("server.log");
    for (arguments, starts) in [
        (vec![], false),
        (tls.to_vec(), false),
        (token.to_vec(), false),
        ([&tls[..], &token[..]].concat(), true),
        (vec!["--insecure"], true),
    ] {
        let all = [&["--bundle", &bundle][..], &arguments].concat();
        let address = std::net::SocketAddr::from(([0, 0, 0, 0], 0));
        let server = BundleServer::start_with(address, &all, Path::new(&log));
        assert_eq!(server.is_ok(), starts, "{arguments:?}");
    }
    Ok(())
}

#[tokio::test]
async fn metrics_count_what_happens() -> Result<()> {
    let place = Place::new()?;
    let server = place.serve(&[])?;
    let current = etag(&server.get(AUTHZ, &[]).await?)?;
    server.get(AUTHZ, &[("if-none-match", &current)]).await?;
    server.get("/bundles/other.tar.gz", &[]).await?;
    place.policies.write("authz.rego", BROKEN)?;
    eventually(PATIENCE, "a problem", async || (health(&server).await.ok()?.0 == 503).then_some(())).await?;
    let answer = server.get("/metrics", &[]).await?;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    for line in [
        "hexr_authz_server_bundle{bundle=\"authz\",revision=\"",
        "hexr_authz_server_activations_total{bundle=\"authz\"} 1",
        "hexr_authz_server_failures_total{bundle=\"authz\"} 1",
        "hexr_authz_server_last_success_timestamp_seconds{bundle=\"authz\"} ",
        "hexr_authz_server_waiting 0",
        "hexr_authz_server_requests_total{bundle=\"authz\",status=\"200\"} 1",
        "hexr_authz_server_requests_total{bundle=\"authz\",status=\"304\"} 1",
        "hexr_authz_server_requests_total{bundle=\"unknown\",status=\"404\"} 1",
    ] {
        assert!(text.lines().any(|found| found.starts_with(line)), "{line} is not in\n{text}");
    }
    Ok(())
}
