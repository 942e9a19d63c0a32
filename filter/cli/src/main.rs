//! `hexr-authz`: the operator's tool of Hexr Authz.

mod command;
mod loaded;
mod source;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Authorization for AI agents inside Envoy: checks, tests, packs and serves policies.
#[derive(Parser)]
#[command(name = "hexr-authz", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Check(command::check::Check),
    Build(command::build::Build),
    Request(command::request::Ask),
    Serve(command::serve::Serve),
    Test(command::test::Test),
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Check(check) => check.run(),
        Command::Build(build) => build.run(),
        Command::Request(ask) => ask.run(),
        Command::Serve(serve) => serve.run(),
        Command::Test(test) => test.run(),
    }
}
