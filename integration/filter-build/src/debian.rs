//! Debian's packages, unpacked into the target folder: programs that need not be installed on the machine.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use anyhow::{Context, Result, bail};
use walkdir::WalkDir;

use crate::target_folder;

/// A folder for packages, which may be there already.
#[derive(Debug)]
pub struct Packages(PathBuf);

// === impl Packages ===

impl Packages {
    /// Those in the folder of that name.
    ///
    /// # Errors
    /// When the target folder is not known.
    pub fn in_folder(name: &str) -> Result<Self> {
        Ok(Self(target_folder()?.join(name)))
    }

    /// What is `/` to the packages.
    pub fn root(&self) -> PathBuf {
        self.0.join("root")
    }

    /// How to start a program of them, with the libraries that came with it.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.root().join(program));
        command.env("LD_LIBRARY_PATH", env::join_paths(self.libraries()).unwrap_or_default());
        command
    }

    /// The folders with libraries in them.
    fn libraries(&self) -> Vec<PathBuf> {
        let files = WalkDir::new(self.root()).into_iter().flatten();
        let libraries = files.filter(|file| file.file_name().to_string_lossy().contains(".so"));
        let mut folders: Vec<PathBuf> =
            libraries.filter_map(|file| file.path().parent().map(Path::to_owned)).collect();
        folders.sort();
        folders.dedup();
        folders
    }

    /// Downloads packages, and those that they need and that are not installed, by apt, which verifies them. What apt keeps
    /// stands in the folder, so that this needs no rights on the machine.
    ///
    /// # Errors
    /// When they cannot be got.
    pub fn download(&self, packages: &[&str]) -> Result<()> {
        let own = self.0.join("apt");
        let (lists, archives) = (own.join("lists"), own.join("archives"));
        let options = [
            format!("Dir::State::lists={}", lists.display()),
            format!("Dir::Cache={}", own.display()),
            format!("Dir::Cache::archives={}", archives.display()),
            format!("Dir::Log={}", own.join("log").display()),
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
        apt(&[&["--yes", "--download-only", "--no-install-recommends", "install"], packages].concat())?;
        let unfinished = self.0.join("unfinished");
        let files = fs::read_dir(&archives)?.flatten().map(|entry| entry.path());
        for package in files.filter(|path| path.extension().is_some_and(|ending| ending == "deb")) {
            let mut command = Command::new("dpkg-deb");
            command.arg("--extract").arg(package).arg(&unfinished);
            succeeds(command)?;
        }
        // Those that were there do not run here.
        let _ = fs::remove_dir_all(self.root());
        fs::rename(unfinished, self.root())?;
        Ok(fs::remove_dir_all(own)?)
    }
}

fn succeeds(mut command: Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let Output { status, stderr, .. } = command.output().with_context(|| format!("there is no {program}"))?;
    if status.success() { Ok(()) } else { bail!("{program}: {}", String::from_utf8_lossy(&stderr).trim()) }
}

/// The same command again, after a look at what it answers.
pub fn again(command: &Command) -> Command {
    let mut again = Command::new(command.get_program());
    again.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    again
}
