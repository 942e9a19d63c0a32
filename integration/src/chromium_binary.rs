//! Finds a Chromium, or gets Debian's.

use std::{env, fs, process::Command, sync::Mutex};

use anyhow::{Context, Result};

use filter_build::debian::{Packages, again};

/// What it is called where it is installed.
const NAMES: [&str; 4] = ["chromium", "chromium-headless-shell", "google-chrome", "chrome"];
const PROGRAM: &str = "usr/lib/chromium/chromium-headless-shell";

/// How to start a Chromium without a screen: `CHROMIUM`, one on `PATH`, or the one that apt downloads into the target
/// folder.
///
/// # Errors
/// When there is none and none can be got.
pub(crate) fn command() -> Result<Command> {
    // Two that download at once would disturb each other.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(path) = env::var_os("CHROMIUM") {
        return usable(Command::new(&path))
            .with_context(|| format!("CHROMIUM: {} is no Chromium", path.display()));
    }
    if let Some(command) = NAMES.iter().find_map(|name| usable(Command::new(name))) {
        return Ok(command);
    }
    let packages = Packages::in_folder("chromium")?;
    if let Some(command) = unpacked(&packages)? {
        return Ok(command);
    }
    eprintln!("Downloading Chromium (Debian's package `chromium-headless-shell`, about 100 MB) ...");
    packages.download(&["chromium-headless-shell", "fonts-dejavu-core"]).context(
        "there is no Chromium and none can be downloaded: `apt-get install chromium`, or set CHROMIUM to the binary",
    )?;
    unpacked(&packages)?
        .with_context(|| format!("{} has no Chromium that runs here", packages.root().display()))
}

/// The one that was unpacked, which has its fonts there and on the machine.
fn unpacked(packages: &Packages) -> Result<Option<Command>> {
    let Some(mut command) = usable(packages.command(PROGRAM)) else { return Ok(None) };
    let root = packages.root();
    let (fonts, cache) = (root.join("usr/share/fonts"), root.join("cache"));
    let configuration = root.join("fonts.conf");
    // The last family of every page that names none of these fonts.
    let last = "<match target=\"pattern\"><edit name=\"family\" mode=\"append_last\" binding=\"strong\">\
        <string>DejaVu Sans</string></edit></match>";
    let text = format!(
        "<fontconfig><dir>{}</dir><dir>/usr/share/fonts</dir><cachedir>{}</cachedir>{last}</fontconfig>\n",
        fonts.display(),
        cache.display()
    );
    fs::write(&configuration, text)?;
    command.env("FONTCONFIG_FILE", configuration);
    Ok(Some(command))
}

/// The command, if it starts a Chromium.
fn usable(mut command: Command) -> Option<Command> {
    let output = command.arg("--version").output().ok().filter(|output| output.status.success())?;
    String::from_utf8_lossy(&output.stdout).contains("Chrom").then(|| again(&command))
}
