//! Finds a Redis, or gets Debian's.

use std::{env, process::Command, sync::Mutex};

use anyhow::{Context, Result};

use filter_build::debian::{Packages, again};

/// The oldest version that is tested.
const OLDEST: u32 = 7;
const PROGRAM: &str = "usr/bin/redis-server";

/// How to start `redis-server`: `REDIS_SERVER`, the one on `PATH`, or the one that apt downloads into the target folder.
///
/// # Errors
/// When there is none and none can be got.
pub(crate) fn command() -> Result<Command> {
    // Two that download at once would disturb each other.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(path) = env::var_os("REDIS_SERVER") {
        return usable(Command::new(&path))
            .with_context(|| format!("REDIS_SERVER: {} is no Redis {OLDEST}", path.display()));
    }
    if let Some(command) = usable(Command::new("redis-server")) {
        return Ok(command);
    }
    let packages = Packages::in_folder("redis")?;
    if let Some(command) = usable(packages.command(PROGRAM)) {
        return Ok(command);
    }
    eprintln!("Downloading Redis (Debian's package `redis-server`, with apt's lists of packages 14 MB) ...");
    packages.download(&["redis-server"]).context(
        "there is no Redis and none can be downloaded: `apt-get install redis-server`, or set REDIS_SERVER to the binary",
    )?;
    usable(packages.command(PROGRAM))
        .with_context(|| format!("{} has no Redis {OLDEST} that runs here", packages.root().display()))
}

/// The command, if it starts a Redis that is new enough.
fn usable(mut command: Command) -> Option<Command> {
    let output = command.arg("--version").output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let major: u32 = text.split("v=").nth(1)?.split('.').next()?.parse().ok()?;
    (major >= OLDEST).then(|| again(&command))
}
