//! Finds a Redis, or gets Debian's.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Mutex,
};

use anyhow::{Context, Result, bail};

use crate::target_folder;

/// The oldest version that is tested.
const OLDEST: u32 = 7;

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
    let folder = target_folder()?.join("redis");
    if let Some(command) = usable(unpacked(&folder)) {
        return Ok(command);
    }
    eprintln!("Downloading Redis (Debian's package `redis-server`, with apt's lists of packages 14 MB) ...");
    download(&folder).context(
        "there is no Redis and none can be downloaded: `apt-get install redis-server`, or set REDIS_SERVER to the binary",
    )?;
    usable(unpacked(&folder))
        .with_context(|| format!("{} has no Redis {OLDEST} that runs here", folder.display()))
}

/// The command, if it starts a Redis that is new enough.
fn usable(mut command: Command) -> Option<Command> {
    let output = command.arg("--version").output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let major: u32 = text.split("v=").nth(1)?.split('.').next()?.parse().ok()?;
    let mut again = Command::new(command.get_program());
    again.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    (major >= OLDEST).then_some(again)
}

/// The one in a folder that packages were unpacked into, with the libraries that came with it.
fn unpacked(folder: &Path) -> Command {
    let root = folder.join("root");
    let libraries =
        fs::read_dir(root.join("usr/lib")).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut command = Command::new(root.join("usr/bin/redis-server"));
    command.env("LD_LIBRARY_PATH", env::join_paths(libraries).unwrap_or_default());
    command
}

/// Downloads the package, and those that it needs and that are not installed, by apt, which verifies them. What apt
/// keeps stands in `folder`, so that this needs no rights on the machine.
fn download(folder: &Path) -> Result<()> {
    let (lists, archives) = (folder.join("apt/lists"), folder.join("apt/archives"));
    let options = [
        format!("Dir::State::lists={}", lists.display()),
        format!("Dir::Cache={}", folder.join("apt").display()),
        format!("Dir::Cache::archives={}", archives.display()),
        format!("Dir::Log={}", folder.join("apt/log").display()),
        // Nobody else uses these folders, and another user could not write them.
        "Debug::NoLocking=1".to_owned(),
        "APT::Sandbox::User=".to_owned(),
    ];
    for part in [&lists, &archives] {
        fs::create_dir_all(part.join("partial"))?;
    }
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.arg("--quiet").args(options.iter().flat_map(|option| ["-o", option])).args(arguments);
        succeeds(command)
    };
    apt(&["update"])?;
    apt(&["--yes", "--download-only", "--no-install-recommends", "install", "redis-server"])?;
    let root = folder.join("root");
    let packages = fs::read_dir(&archives)?.flatten().map(|entry| entry.path());
    for package in packages.filter(|path: &PathBuf| path.extension().is_some_and(|ending| ending == "deb")) {
        let mut command = Command::new("dpkg-deb");
        command.arg("--extract").arg(package).arg(&root);
        succeeds(command)?;
    }
    Ok(fs::remove_dir_all(folder.join("apt"))?)
}

fn succeeds(mut command: Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let Output { status, stderr, .. } = command.output().with_context(|| format!("there is no {program}"))?;
    if status.success() { Ok(()) } else { bail!("{program}: {}", String::from_utf8_lossy(&stderr).trim()) }
}
