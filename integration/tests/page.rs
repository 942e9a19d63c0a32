//! The page of `hexr-authz serve` in a real browser, with everything on it that an agent could wish there.

use std::{
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};
use hexr_authz_core::timestamp::Timestamp;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use integration::{
    browser::{Browser, Tab},
    bundle_server::BundleServer,
    bundles::allowing,
    envoy_config::set,
    policies::Policies,
    stack::ANY_PORT,
    target_folder,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;

/// What an agent might call itself, or ask for. Each would set `pwned`, load something, or be read as something else.
const HOSTILE: [&str; 14] = [
    "<script>window.pwned = 1</script>",
    "<img src=x onerror=\"window.pwned = 2\">",
    "\"><svg onload=window.pwned=3>",
    "' onmouseover='window.pwned = 4' autofocus onfocus='window.pwned = 4",
    "</td></tr></table><iframe srcdoc=\"<script>parent.pwned = 5</script>\"></iframe>",
    "</svg><script>window.pwned = 6</script>",
    "<style>*{background:url(//evil.example/)}</style><link rel=stylesheet href=//evil.example/>",
    "<base href=//evil.example/><meta http-equiv=refresh content=\"0;url=//evil.example/\">",
    "javascript:window.pwned=7",
    "{{ 7*7 }}${7*7}<% 7 %>&lt;script&gt;window.pwned=8&lt;/script&gt;",
    "\u{202e}nimda\u{2066}\u{200b}\u{feff}",
    "a\r\n\r\ndata: \"<script>window.pwned = 9</script>\"\n\nid: 1\0\u{1b}[2J",
    "</textarea></title></style><script>window.pwned = 10</script><!--",
    "<form action=//evil.example/><button formaction=//evil.example/>",
];

/// A server with a policy, and a folder for what it and the browser say.
struct Scene {
    folder: TempDir,
    server: BundleServer,
}

impl Scene {
    fn set() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let policies = Policies::of(&folder.path().join("policies"), &allowing("researcher"))?;
        let server = BundleServer::start(ANY_PORT, policies.folder(), &folder.path().join("server.log"))?;
        Ok(Self { folder, server })
    }

    async fn browser(&self) -> Result<Browser> {
        Browser::start(&self.folder.path().join("browser.log")).await
    }

    fn url(&self) -> String {
        format!("http://{}/", self.server.address())
    }

    async fn tell(&self, path: &str, told: Value) -> Result<()> {
        let address = self.server.address();
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(TcpStream::connect(address).await?)).await?;
        let connection = tokio::spawn(connection);
        let request =
            Request::post(path).header("host", "bundles").header("content-type", "application/json");
        let response = sender.send_request(request.body(Full::new(Bytes::from(told.to_string())))?).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        connection.abort();
        ensure!(status == 200, "{status}: {}", String::from_utf8_lossy(&body));
        Ok(())
    }
}

fn at(seconds_ago: u64) -> Result<String> {
    let instant = SystemTime::now().duration_since(UNIX_EPOCH)? - Duration::from_secs(seconds_ago);
    Ok(Timestamp::from_unix_nanos(i64::try_from(instant.as_nanos())?).to_rfc3339_nanos())
}

fn event(id: &str, seconds_ago: u64, agent: &str, service: &str, result: bool) -> Result<Value> {
    let mut event = json!({
        "decision_id": id, "timestamp": at(seconds_ago)?, "result": result, "labels": {"id": "envoy"},
        "input": {"tenant": "acme-corp", "agent": agent, "role": "researcher", "service": service, "action": "query"},
    });
    if !result {
        set(&mut event, "", "reason", "policy_denied".into());
    }
    Ok(event)
}

/// An event and a status that have `text` in every place.
fn hostile(number: usize, text: &str) -> Result<(Value, Value)> {
    // Ids are short, or not taken.
    let id = format!("{number} {}", text.chars().take(50).collect::<String>());
    let mut event = event(&id, 30, text, text, false)?;
    for field in ["reason", "policy_reason", "message", "path", "trace_id", text] {
        set(&mut event, "", field, text.into());
    }
    for field in ["tenant", "role", "action", "spiffe_id"] {
        set(&mut event, "/input", field, text.into());
    }
    // What is not of the type that it should be is left alone.
    set(&mut event, "", "candidate", json!({"result": true, "reason": text}));
    set(&mut event, "", "metrics", json!([text]));
    let bundle = json!({"active_revision": text, "code": text, "message": text, "errors": [text, {"message": text}, 7],
        "last_successful_activation": text});
    let status = json!({"labels": {"id": id, "region": text, text: text, "n": 7},
        "bundles": {text: bundle, "odd": text}});
    Ok((event, status))
}

/// Nothing that was told did anything: no script ran, nothing was loaded from elsewhere, no policy had to stop anything.
async fn is_inert(tab: &Tab<'_>, url: &str) -> Result<()> {
    assert_eq!(tab.evaluate("String(window.pwned)").await?, "undefined");
    assert_eq!(tab.evaluate("violations").await?, json!([]));
    let elements = "document.querySelectorAll('script:not([src=\"page.js\"]), style, img, iframe, base, object, embed, \
        link:not([href=\"page.css\"], [href=\"icon.svg\"]), meta[http-equiv], button[formaction], [style], [autofocus]').length";
    assert_eq!(tab.evaluate(elements).await?, 0);
    // A title may say anything.
    let attributes = "[...document.querySelectorAll('*')].flatMap((element) => [...element.attributes])\
        .filter(({name, value}) => name.startsWith('on') || (name !== 'title' && /^\\s*javascript:/i.test(value))).length";
    assert_eq!(tab.evaluate(attributes).await?, 0);
    let unseen = "/[\\u200b-\\u200f\\u202a-\\u202e\\u2060-\\u206f\\ufeff\\0\\x1b]/.test(document.documentElement.outerHTML)";
    assert_eq!(tab.evaluate(unseen).await?, false);
    assert_eq!(tab.events("Page.javascriptDialogOpening"), [] as [Value; 0]);
    assert_eq!(tab.events("Log.entryAdded"), [] as [Value; 0]);
    assert_eq!(tab.events("Runtime.exceptionThrown"), [] as [Value; 0]);
    for request in tab.events("Network.requestWillBeSent") {
        let asked = request.pointer("/request/url").and_then(Value::as_str).context("a URL")?;
        assert!(asked.starts_with(url), "{asked}");
    }
    assert_eq!(tab.events("Page.frameAttached"), [] as [Value; 0]);
    Ok(())
}

fn picture(name: &str) -> Result<PathBuf> {
    Ok(target_folder()?.join("page").join(name))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_agents_say_is_text() -> Result<()> {
    let scene = Scene::set()?;
    let huge = "\u{1d573}<b>".repeat(10_000);
    let texts: Vec<&str> = HOSTILE.into_iter().chain([huge.as_str()]).collect();
    for (number, text) in texts.iter().enumerate() {
        let (event, status) = hostile(number, text)?;
        scene.tell("/logs", json!([event])).await?;
        scene.tell("/status", status).await?;
    }
    let browser = scene.browser().await?;
    let tab = browser.open(&scene.url()).await?;
    is_inert(&tab, &scene.url()).await?;
    // It is there to be read.
    for text in
        ["<script>window.pwned = 1</script>", "</svg><script>window.pwned = 6</script>", "\\u{202e}nimda"]
    {
        let shown = format!("document.body.innerText.includes({})", json!(text));
        assert_eq!(tab.evaluate(&shown).await?, true, "{text}");
    }
    let rows = tab.evaluate("document.querySelectorAll('.decisions tbody tr').length").await?;
    assert_eq!(rows, texts.len());
    tab.picture(1280, "light", &picture("hostile.png")?).await?;

    // The same when it comes while the page is open.
    tab.wait_until("document.getElementById('state').textContent === 'live'").await?;
    for (number, text) in HOSTILE.iter().enumerate() {
        let (event, status) = hostile(100 + number, text)?;
        scene.tell("/logs", json!([event])).await?;
        scene.tell("/status", status).await?;
    }
    let all = format!(
        "document.querySelectorAll('.decisions tbody tr').length === {}",
        texts.len() + HOSTILE.len()
    );
    tab.wait_until(&all).await?;
    is_inert(&tab, &scene.url()).await?;

    // And when it is asked about.
    for text in HOSTILE {
        let input = json!(json!({"role": text, text: text}).to_string());
        tab.evaluate(&format!("document.getElementById('input').value = {input}")).await?;
        tab.evaluate("document.querySelector('button').click()").await?;
        tab.wait_until(
            "document.getElementById('answer')?.textContent.startsWith('denied: policy_denied (403)')",
        )
        .await?;
        tab.wait_until("document.readyState === 'complete'").await?;
        // The form keeps what was asked; that is its reader's own.
        tab.evaluate("document.getElementById('input').textContent = ''").await?;
        is_inert(&tab, &scene.url()).await?;
    }
    Ok(())
}

/// A decision is on the page within seconds of being told, without a look from its reader, and can be asked about.
#[tokio::test(flavor = "multi_thread")]
async fn it_lives_and_answers() -> Result<()> {
    let scene = Scene::set()?;
    tell_of_a_usual_hour(&scene).await?;
    let browser = scene.browser().await?;
    let tab = browser.open(&scene.url()).await?;
    tab.wait_until("document.getElementById('state').textContent === 'live'").await?;
    let denied = "document.querySelector('.figures .deny').textContent";
    let before = tab.evaluate(denied).await?;
    // What has not changed stays as it is, and with it what is selected and scrolled there.
    tab.evaluate("document.getElementById('envoys').isSame = true").await?;
    let event = event("newest", 0, "content-crew", "gcp_bigquery", false)?;
    scene.tell("/logs", json!([event])).await?;
    let took =
        tab.wait_until("document.querySelector('.decisions tbody tr a').title.endsWith(': newest')").await?;
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_ne!(tab.evaluate(denied).await?, before);
    assert_eq!(tab.evaluate("document.getElementById('envoys').isSame").await?, true);
    for (name, width, scheme) in
        [("light.png", 1280, "light"), ("dark.png", 1280, "dark"), ("narrow.png", 400, "light")]
    {
        tab.picture(width, scheme, &picture(name)?).await?;
        let overflow = "document.documentElement.scrollWidth > document.documentElement.clientWidth";
        assert_eq!(tab.evaluate(overflow).await?, false, "{name}");
    }

    tab.evaluate("document.querySelector('.decisions tbody a').click()").await?;
    tab.loaded(2).await?;
    tab.wait_until("document.getElementById('input')?.value.includes('\"agent\": \"content-crew\"')").await?;
    for (role, expected) in [
        ("researcher", "allowed\n\ndata.hexr.authz.allow is true."),
        ("viewer", "denied: policy_denied (403)\n\ndata.hexr.authz.allow is false"),
    ] {
        let change = format!(
            "document.getElementById('input').value = document.getElementById('input').value.replace(/\"role\": \".*\"/, '\"role\": \"{role}\"')"
        );
        tab.evaluate(&change).await?;
        tab.evaluate("document.querySelector('button').click()").await?;
        tab.wait_until(&format!(
            "document.getElementById('answer')?.textContent.startsWith({})",
            json!(expected)
        ))
        .await?;
    }
    assert_eq!(
        tab.evaluate("document.getElementById('answer').textContent.includes('input.role is \"viewer\"')")
            .await?,
        true
    );
    tab.picture(1280, "light", &picture("answer.png")?).await?;
    is_inert(&tab, &scene.url()).await
}

/// What a small fleet would tell in an hour.
async fn tell_of_a_usual_hour(scene: &Scene) -> Result<()> {
    const AGENTS: [(&str, &str, u64); 5] = [
        ("content-crew", "gcp_bigquery", 7),
        ("content-crew", "openai", 11),
        ("billing", "aws_s3", 17),
        ("support-desk", "mcp_github", 23),
        ("night-batch", "aws_dynamodb", 5),
    ];
    let mut events = Vec::new();
    for second in 0..3500 {
        for (at, (agent, service, every)) in AGENTS.iter().enumerate() {
            // Each is busier at some times than at others, and one begins late.
            let is_busy = (second / 300 + every) % 4 != 0;
            if second % every != 0 || (!is_busy && second % 3 != 0) || (at == 4 && second > 1500) {
                continue;
            }
            let is_allowed = (second / every) % (7 + every) != 3;
            let mut event = event(&format!("{at}-{second}"), second, agent, service, is_allowed)?;
            if !is_allowed && at == 3 {
                set(&mut event, "", "policy_reason", "outside business hours".into());
            }
            if !is_allowed && at == 4 {
                set(&mut event, "", "reason", "audit_log_full".into());
                set(&mut event, "", "enforced", false.into());
            }
            events.push(event);
        }
    }
    scene.tell("/logs", Value::Array(events)).await?;
    for (id, region, problem) in [
        ("3f1c9a52-6c1e-4e0f-9d55-0c6f3f1f7a10", "eu-1", None),
        ("8d27e1b4-11f0-47c8-a3a9-52f7b8a0c9ee", "eu-1", Some("authz.rego:5:1: unexpected `}`")),
        ("c40be7d9-93d2-4a7b-8d0f-7e4c2f51b6a3", "us-1", None),
    ] {
        let mut bundle = json!({"active_revision": "0f3a91c27b5e", "last_successful_activation": at(900)?});
        if let Some(problem) = problem {
            set(&mut bundle, "", "code", "bundle_error".into());
            set(&mut bundle, "", "message", problem.into());
        }
        let labels = json!({"id": id, "version": "0.1.0", "region": region});
        scene.tell("/status", json!({"labels": labels, "bundles": {"authz": bundle}})).await?;
    }
    Ok(())
}
