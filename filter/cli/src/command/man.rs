//! `hexr-authz man`: the manual pages.

use std::{fs, path::PathBuf, process::ExitCode};

use super::exit;
use crate::output::say;

const EXAMPLES: &str = "\
Examples:
  hexr-authz man | man -l -
  hexr-authz man ~/.local/share/man/man1";

/// Print the manual page of this tool, or write that of every command into a folder.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Manual {
    /// The folder; it is made where it is not there.
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

impl Manual {
    pub(crate) fn run(self, tool: clap::Command) -> ExitCode {
        // There is nothing to read about `help`.
        let tool = tool.disable_help_subcommand(true);
        exit(match &self.folder {
            None => print(tool),
            Some(folder) => fs::create_dir_all(folder)
                .and_then(|()| clap_mangen::generate_to(tool, folder))
                .map_err(|error| format!("{}: {error}", folder.display())),
        })
    }
}

fn print(tool: clap::Command) -> Result<(), String> {
    let mut page = Vec::new();
    clap_mangen::Man::new(tool).render(&mut page).map_err(|error| error.to_string())?;
    say(String::from_utf8_lossy(&page))
}
