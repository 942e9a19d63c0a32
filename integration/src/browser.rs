//! A real browser without a screen, told what to do by the protocol of its developer tools, over a pipe.

use std::{
    collections::HashMap,
    fs,
    path::Path,
    process::Stdio,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, bail};
use base64ct::{Base64, Encoding as _};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
    sync::oneshot,
    time::timeout,
};

use crate::{chromium_binary, eventually::eventually};

/// A running browser; it ends when dropped.
pub struct Browser {
    _process: Child,
    commands: tokio::sync::Mutex<ChildStdin>,
    told: Arc<Told>,
    last: AtomicU64,
    _profile: TempDir,
}

/// A tab, of which everything that happens is kept.
pub struct Tab<'b> {
    browser: &'b Browser,
    session: String,
}

/// What the browser has told.
#[derive(Debug, Default)]
struct Told {
    waiting: Mutex<HashMap<u64, oneshot::Sender<Value>>>,
    events: Mutex<Vec<Value>>,
}

/// How long the browser may take for anything.
const PATIENCE: Duration = Duration::from_secs(60);
/// The browser reads commands at 3 and answers at 4.
const AT_3_AND_4: &str = r#"exec "$0" "$@" 3<&0 4>&1 1>&2 0</dev/null"#;
/// Runs in every page before its own scripts, and beside its policy: keeps what that policy has stopped.
const WATCH: &str = "window.violations = []; document.addEventListener('securitypolicyviolation', \
    (event) => violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`));";

// === impl Browser ===

impl Browser {
    /// Starts one; what it complains of goes to `log`.
    ///
    /// # Errors
    /// When there is none, or it does not start.
    pub async fn start(log: &Path) -> Result<Self> {
        let chromium = chromium_binary::command()?;
        let profile = tempfile::tempdir()?;
        let mut command = Command::new("sh");
        command
            .args(["-c", AT_3_AND_4])
            .arg(chromium.get_program())
            .args(["--headless", "--remote-debugging-pipe", "--disable-gpu", "--hide-scrollbars"])
            // It is asked for this server's pages alone, and may be in a container, where there are no further namespaces.
            .args(["--no-sandbox", "--disable-dev-shm-usage", "--disable-background-networking"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .envs(chromium.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(log)?)
            .kill_on_drop(true);
        let mut process = command.spawn().context("sh cannot be started")?;
        let (stdin, stdout) =
            (process.stdin.take().context("stdin")?, process.stdout.take().context("stdout")?);
        let told = Arc::new(Told::default());
        tokio::spawn(Arc::clone(&told).hear(stdout));
        let (commands, last) = (tokio::sync::Mutex::new(stdin), AtomicU64::new(0));
        Ok(Self { _process: process, commands, told, last, _profile: profile })
    }

    /// Opens a page in a tab of its own.
    ///
    /// # Errors
    /// When it does not load.
    pub async fn open(&self, url: &str) -> Result<Tab<'_>> {
        let target = self.ask(None, "Target.createTarget", json!({"url": "about:blank"})).await?;
        let attach = json!({"targetId": target.get("targetId"), "flatten": true});
        let attached = self.ask(None, "Target.attachToTarget", attach).await?;
        let session = attached.get("sessionId").and_then(Value::as_str).context("a session")?.to_owned();
        let tab = Tab { browser: self, session };
        for part in ["Page", "Runtime", "Log", "Network"] {
            tab.ask(&format!("{part}.enable"), json!({})).await?;
        }
        tab.ask("Page.addScriptToEvaluateOnNewDocument", json!({"source": WATCH})).await?;
        tab.ask("Page.navigate", json!({"url": url})).await?;
        tab.loaded(1).await?;
        Ok(tab)
    }

    async fn ask(&self, session: Option<&str>, method: &str, params: Value) -> Result<Value> {
        let id = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let mut command = json!({"id": id, "method": method, "params": params});
        if let (Some(session), Some(fields)) = (session, command.as_object_mut()) {
            fields.insert("sessionId".to_owned(), session.into());
        }
        let (sender, answer) = oneshot::channel();
        self.told.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(id, sender);
        self.commands.lock().await.write_all(format!("{command}\0").as_bytes()).await?;
        let answer = timeout(PATIENCE, answer).await.with_context(|| format!("{method}: no answer"))?;
        let mut answer = answer.context("the browser has ended")?;
        if let Some(error) = answer.get("error") {
            bail!("{method}: {error}");
        }
        answer.get_mut("result").map(Value::take).context("no result")
    }
}

// === impl Told ===

impl Told {
    async fn hear(self: Arc<Self>, answers: ChildStdout) {
        let mut answers = BufReader::new(answers);
        let mut bytes = Vec::new();
        while answers.read_until(0, &mut bytes).await.is_ok_and(|count| count > 0) {
            bytes.pop();
            let message: Value = serde_json::from_slice(&bytes).unwrap_or_default();
            bytes.clear();
            let id = message.get("id").and_then(Value::as_u64);
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            match id.map(|id| waiting.remove(&id)) {
                // Nobody is left to hear of it.
                Some(sender) => drop(sender.map(|sender| sender.send(message))),
                None => self.events.lock().unwrap_or_else(PoisonError::into_inner).push(message),
            }
        }
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

// === impl Tab ===

impl Tab<'_> {
    /// What an expression of JavaScript comes to, in JSON.
    ///
    /// # Errors
    /// When it throws.
    pub async fn evaluate(&self, expression: &str) -> Result<Value> {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let mut answer = self.ask("Runtime.evaluate", params).await?;
        if let Some(exception) = answer.get("exceptionDetails") {
            bail!("{expression}: {exception}");
        }
        // What is undefined has no value.
        Ok(answer.pointer_mut("/result/value").map(Value::take).unwrap_or_default())
    }

    /// Waits until an expression is true.
    ///
    /// # Errors
    /// When it never is.
    pub async fn wait_until(&self, expression: &str) -> Result<Duration> {
        let (_, took) = eventually(PATIENCE, expression, async || {
            self.evaluate(expression).await.is_ok_and(|value| value == true).then_some(())
        })
        .await?;
        Ok(took)
    }

    /// Waits until so many pages were loaded in this tab.
    ///
    /// # Errors
    /// When they never are.
    pub async fn loaded(&self, pages: usize) -> Result<()> {
        eventually(PATIENCE, "the page", async || {
            (self.events("Page.loadEventFired").len() >= pages).then_some(())
        })
        .await?;
        Ok(())
    }

    /// The parameters of all events of a kind.
    pub fn events(&self, method: &str) -> Vec<Value> {
        let events = self.browser.told.events.lock().unwrap_or_else(PoisonError::into_inner);
        let own =
            events.iter().filter(|event| event["sessionId"] == *self.session && event["method"] == method);
        own.map(|event| event["params"].clone()).collect()
    }

    /// Shows the page in a window so wide, in the colours that `scheme` prefers, and takes a picture of all of it.
    ///
    /// # Errors
    /// When the picture cannot be written.
    pub async fn picture(&self, width: u32, scheme: &str, to: &Path) -> Result<()> {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.ask("Emulation.setEmulatedMedia", json!({"features": features})).await?;
        let metrics = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false});
        self.ask("Emulation.setDeviceMetricsOverride", metrics).await?;
        let params = json!({"format": "png", "captureBeyondViewport": true});
        let picture = self.ask("Page.captureScreenshot", params).await?;
        let png = Base64::decode_vec(picture.get("data").and_then(Value::as_str).context("a picture")?);
        fs::create_dir_all(to.parent().context("a folder")?)?;
        Ok(fs::write(to, png.map_err(|error| anyhow::anyhow!("{error}"))?)?)
    }

    async fn ask(&self, method: &str, params: Value) -> Result<Value> {
        self.browser.ask(Some(&self.session), method, params).await
    }
}
