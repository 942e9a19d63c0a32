//! Gets what the requests are made with: pip downloads it into the target folder, once for each list of packages.

use std::{
    collections::HashMap,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
};

use anyhow::{Context, Result, ensure};

/// The root of the repository.
fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).map(Path::to_owned).unwrap_or_default()
}

/// Kept in the build's folder, which belongs to this checkout.
fn folder() -> Result<PathBuf> {
    let executable = env::current_exe()?;
    let target = executable.ancestors().find(|folder| folder.join("CACHEDIR.TAG").exists());
    let folder = target.map_or_else(|| repository().join("target"), Path::to_owned).join("catalog");
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// A Python script of the repository, with the interpreter at `python`.
pub(crate) fn python(python: impl AsRef<std::ffi::OsStr>, script: &str) -> Command {
    let mut command = Command::new(python);
    command.arg(repository().join(script)).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// The wheels that the catalog is made of.
pub(crate) fn wheels() -> Result<PathBuf> {
    let requirements = repository().join("filter/core/catalog/requirements.txt");
    let wheels = folder()?.join("wheels");
    once(&wheels, &[&requirements], |unfinished| {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]);
        pip.arg("--require-hashes").arg("--dest").arg(unfinished).arg("--requirement").arg(&requirements);
        run(&mut pip)
    })?;
    Ok(wheels)
}

/// The interpreter that has the clouds' clients.
fn clients() -> Result<PathBuf> {
    let requirements = repository().join("filter/core/tests/catalog/requirements.txt");
    let place = folder()?.join("clients");
    once(&place, &[&requirements], |unfinished| {
        run(Command::new("python3").args(["-m", "venv", "--without-pip"]).arg(unfinished))?;
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "--disable-pip-version-check", "--python"]).arg(unfinished);
        pip.args(["install", "--quiet", "--no-deps", "--no-compile", "--requirement"]).arg(&requirements);
        run(&mut pip)
    })?;
    Ok(place.join("bin/python3"))
}

/// What a script of this folder writes, made anew when it or its packages change.
pub(crate) fn output_of(script: &str) -> Result<PathBuf> {
    let python_path = clients()?;
    let script_path = format!("filter/core/tests/catalog/{script}");
    let requirements = repository().join("filter/core/tests/catalog/requirements.txt");
    let output = folder()?.join(script).with_extension("jsonl");
    once(&output, &[&repository().join(&script_path), &requirements], |unfinished| {
        run(python(&python_path, &script_path).arg(unfinished))
    })?;
    Ok(output)
}

/// Makes `place` unless it was made of the same `sources`. Without its stamp it is unfinished.
fn once(place: &Path, sources: &[&Path], make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let stamp = place.with_extension("made-of");
    let sources: std::io::Result<Vec<String>> = sources.iter().map(fs::read_to_string).collect();
    let sources = sources?.concat();
    if place.exists() && fs::read_to_string(&stamp).is_ok_and(|made_of| made_of == sources) {
        return Ok(());
    }
    let _ = fs::remove_dir_all(place);
    let _ = fs::remove_file(place);
    let _ = fs::remove_file(&stamp);
    make(place)?;
    Ok(fs::write(&stamp, sources)?)
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status().context("python3 is a prerequisite of the tests")?;
    ensure!(status.success(), "{command:?} failed");
    Ok(())
}

/// The names that the lock gives to what the clients call.
pub(crate) struct Names {
    services: HashMap<String, HashMap<String, String>>,
}

/// The lock that stands beside the table.
pub(crate) fn names() -> Result<Names> {
    let text = fs::read_to_string(repository().join("filter/core/catalog/names.lock"))?;
    let mut services = HashMap::<String, HashMap<String, String>>::new();
    let mut current = String::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some(service) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            service.clone_into(&mut current);
        } else {
            let (name, source) = line.split_once(' ').unwrap_or((line, line));
            services.entry(current.clone()).or_default().insert(source.to_owned(), name.to_owned());
        }
    }
    Ok(Names { services })
}

/// Services that botocore has twice, and one operation under two names.
const FAMILIES: [(&str, &str); 5] = [
    ("docdb", "rds"),
    ("neptune", "rds"),
    ("qconnect", "wisdom"),
    ("greengrassv2", "greengrass"),
    ("sms-voice", "pinpoint-sms-voice"),
];
const ALIASES: [(&str, &str); 4] = [
    ("GetBucketLifecycle", "GetBucketLifecycleConfiguration"),
    ("PutBucketLifecycle", "PutBucketLifecycleConfiguration"),
    ("GetBucketNotification", "GetBucketNotificationConfiguration"),
    ("PutBucketNotification", "PutBucketNotificationConfiguration"),
];

impl Names {
    /// The names of an operation of botocore's.
    pub(crate) fn aws(&self, service: &str, operation: &str) -> Option<(String, String)> {
        let of = |pairs: &[(&str, &str)], name: &str| {
            pairs
                .iter()
                .find(|(from, _)| *from == name)
                .map_or_else(|| name.to_owned(), |(_, to)| (*to).to_owned())
        };
        let operation = of(&ALIASES, operation);
        let mut name = format!("aws_{}", of(&FAMILIES, service).replace('-', "_"));
        // What two services share is the first one's.
        for (second, first) in [("aws_lambda_microvms", "aws_lambda"), ("aws_signer_data", "aws_signer")] {
            let has_it = self.services.get(&name).is_some_and(|actions| actions.contains_key(&operation));
            if name == second && !has_it {
                first.clone_into(&mut name);
            }
        }
        let action = self.services.get(&name)?.get(&operation)?;
        Some((name, action.clone()))
    }

    /// The names of a method of Google's.
    pub(crate) fn google(&self, api: &str, method: &str) -> Option<(String, String)> {
        let name = format!("gcp_{}", api.to_lowercase());
        let action = self.services.get(&name)?.get(method)?;
        Some((name, action.clone()))
    }
}
