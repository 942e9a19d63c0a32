//! Finds Binaryen's `wasm-opt`, or gets Debian's, and has it make a module smaller.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::debian::{Packages, again};

/// What the compiler uses of WebAssembly, all of which Envoy's V8 has; and smaller before faster, which V8 sees to.
const ARGUMENTS: [&str; 7] = [
    "--enable-bulk-memory",
    "--enable-sign-ext",
    "--enable-nontrapping-float-to-int",
    "--enable-mutable-globals",
    "--enable-reference-types",
    "--enable-multivalue",
    "-Os",
];

/// The module made smaller, in a file beside it; the module itself, and a line on why, where there is no `wasm-opt`.
///
/// # Errors
/// When it fails.
pub(crate) fn optimized(module: &Path) -> Result<PathBuf> {
    let optimized = module.with_extension("small.wasm");
    let changed = |path: &Path| fs::metadata(path).and_then(|file| file.modified());
    if changed(&optimized).ok() > changed(module).ok() {
        return Ok(optimized);
    }
    let mut command = match command() {
        Ok(command) => command,
        Err(problem) => {
            eprintln!("The filter stays larger than it need be: {problem:#}");
            return Ok(module.to_owned());
        }
    };
    let unfinished = optimized.with_extension("unfinished");
    let status = command.args(ARGUMENTS).arg(module).arg("-o").arg(&unfinished).status()?;
    if !status.success() {
        bail!("{command:?} failed");
    }
    fs::rename(unfinished, &optimized)?;
    Ok(optimized)
}

/// How to start it: `WASM_OPT`, one on `PATH`, or the one that apt downloads into the target folder.
fn command() -> Result<Command> {
    if let Some(path) = env::var_os("WASM_OPT") {
        return usable(Command::new(&path))
            .with_context(|| format!("WASM_OPT: {} is no wasm-opt", path.display()));
    }
    if let Some(command) = usable(Command::new("wasm-opt")) {
        return Ok(command);
    }
    let packages = Packages::in_folder("binaryen")?;
    let unpacked = || usable(packages.command("usr/bin/wasm-opt"));
    if let Some(command) = unpacked() {
        return Ok(command);
    }
    eprintln!("Downloading wasm-opt (Debian's package `binaryen`, about 3 MB) ...");
    packages.download(&["binaryen"]).context(
        "there is no wasm-opt and none can be downloaded: `apt-get install binaryen`, or set WASM_OPT to the binary",
    )?;
    unpacked().with_context(|| format!("{} has no wasm-opt that runs here", packages.root().display()))
}

/// The command, if it starts a wasm-opt.
fn usable(mut command: Command) -> Option<Command> {
    let output = command.arg("--version").output().ok().filter(|output| output.status.success())?;
    String::from_utf8_lossy(&output.stdout).contains("wasm-opt").then(|| again(&command))
}
