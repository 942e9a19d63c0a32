//! Clients and servers in Python, from PyPI, as they come: the clouds' own, and the protocol's own of MCP.
//!
//! The packages are installed into the build's folder, once. `integration/clients` has the scripts.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::{certificates::Authority, process::Process, repository, stack::spiffe_id, target_folder};

/// Where the scripts and the list of the packages stand.
const FOLDER: &str = "integration/clients";

/// What tells the libraries whom to trust: those of AWS, Google and MCP, and gRPC.
const TRUST: [&str; 4] =
    ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"];

/// A server that a script is; it ends when dropped.
pub struct Server {
    _process: Process,
    address: SocketAddr,
    record: PathBuf,
}

/// What an agent needs to reach Envoy as itself.
#[derive(Clone, Debug)]
pub struct Credentials {
    folder: PathBuf,
}

// === impl Server ===

impl Server {
    /// Starts the server that `script` is. What it records and logs stands in `folder`.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(script: &str, folder: &Path) -> Result<Self> {
        let record = folder.join("record.jsonl");
        fs::write(&record, "")?;
        let log = folder.join("server.log");
        let (_process, line) = Process::start_to_tell(python(script)?.arg(&record), &log)?;
        let address = line.strip_prefix("listening on ").and_then(|address| address.parse().ok());
        let log = || fs::read_to_string(&log).unwrap_or_default();
        let address = address.with_context(|| format!("{script} did not start: {line}\n{}", log()))?;
        Ok(Self { _process, address, record })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The requests that reached it, in their order.
    ///
    /// # Errors
    /// When its record cannot be read.
    pub fn record(&self) -> Result<Vec<Value>> {
        lines(&fs::read_to_string(&self.record)?)
    }
}

// === impl Credentials ===

impl Credentials {
    /// Those of an agent in a role of tenant `acme-corp`, written to `folder`.
    ///
    /// # Errors
    /// When they cannot be made.
    pub fn write(authority: &Authority, role: &str, folder: &Path) -> Result<Self> {
        fs::write(folder.join("authority.pem"), authority.pem())?;
        authority.svid(&[&spiffe_id(role)])?.write(folder, "agent")?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// Has `script` be an agent that finds Envoy behind every name, and gives what it tells.
    ///
    /// # Errors
    /// When something that the script takes for granted does not hold; the error has what it wrote.
    pub fn run(&self, script: &str, envoy: SocketAddr) -> Result<Vec<Value>> {
        let mut command = python(script)?;
        for name in TRUST {
            command.env(name, self.folder.join("authority.pem"));
        }
        let output = command
            .env("ENVOY_PORT", envoy.port().to_string())
            .env("CERTIFICATE", self.folder.join("agent.pem"))
            .env("KEY", self.folder.join("agent-key.pem"))
            .output()?;
        let (told, errors) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.success(), "{script} failed:\n{told}\n{errors}");
        lines(&told)
    }
}

fn lines(text: &str) -> Result<Vec<Value>> {
    text.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
}

/// A script, with nothing of this machine's own settings for the clouds.
fn python(script: &str) -> Result<Command> {
    let mut command = Command::new(interpreter()?);
    command
        .arg(repository().join(FOLDER).join(script))
        .stdin(Stdio::null())
        .env("PYTHONDONTWRITEBYTECODE", "1");
    for (name, _) in std::env::vars_os() {
        let lower = name.to_string_lossy().to_lowercase();
        if lower.ends_with("_proxy")
            || ["aws_", "google_", "grpc_"].iter().any(|cloud| lower.starts_with(cloud))
        {
            command.env_remove(name);
        }
    }
    command.env("AWS_EC2_METADATA_DISABLED", "true").env("AWS_CONFIG_FILE", "/dev/null");
    Ok(command)
}

/// The interpreter that has the packages. Without its stamp the environment is unfinished.
fn interpreter() -> Result<PathBuf> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let requirements = repository().join(FOLDER).join("requirements.txt");
    let wanted = fs::read_to_string(&requirements)?;
    let place = target_folder()?.join("clients");
    let stamp = place.with_extension("made-of");
    if !fs::read_to_string(&stamp).is_ok_and(|made_of| made_of == wanted) {
        let _ = fs::remove_file(&stamp);
        let _ = fs::remove_dir_all(&place);
        run(Command::new("python3").args(["-m", "venv", "--without-pip"]).arg(&place))?;
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "--disable-pip-version-check", "--python"]).arg(&place);
        pip.args(["install", "--quiet", "--no-deps", "--no-compile", "--requirement"]).arg(&requirements);
        run(&mut pip)?;
        fs::write(stamp, wanted)?;
    }
    Ok(place.join("bin/python3"))
}

fn run(command: &mut Command) -> Result<()> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => bail!("{command:?} failed"),
        Err(error) => Err(error).context("python3 with pip is a prerequisite of the tests"),
    }
}
