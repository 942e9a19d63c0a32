//! `hexr-authz completions`: what a shell completes.

use std::process::ExitCode;

use clap_complete::Shell;

use super::exit;
use crate::output::say;

const EXAMPLES: &str = "\
Examples:
  hexr-authz completions bash > ~/.local/share/bash-completion/completions/hexr-authz
  hexr-authz completions zsh > \"${fpath[1]}/_hexr-authz\"
  hexr-authz completions fish > ~/.config/fish/completions/hexr-authz.fish";

/// Print the completions of this tool for a shell.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Completions {
    /// The shell.
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self, mut tool: clap::Command) -> ExitCode {
        let mut script = Vec::new();
        let name = tool.get_name().to_owned();
        clap_complete::generate(self.shell, &mut tool, name, &mut script);
        exit(say(String::from_utf8_lossy(&script)))
    }
}
