//! `hexr-authz`: the operator's tool of Hexr Authz.

// What is said goes through `output`, where a reader that has gone away is no panic.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod command;
mod loaded;
mod output;
mod remote;
mod source;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

/// Authorization for AI agents inside Envoy: checks, tests, packs and serves policies.
#[derive(Parser)]
#[command(name = "hexr-authz", version, after_help = EXAMPLES)]
struct Arguments {
    #[command(flatten)]
    color: colorchoice_clap::Color,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Check(command::check::Check),
    Build(command::build::Build),
    Eval(command::eval::Eval),
    Request(command::request::Ask),
    Replay(command::replay::Rehearsal),
    Logs(command::logs::Logs),
    Serve(command::serve::Serve),
    Test(command::test::Test),
    Completions(command::completions::Completions),
    Man(command::man::Manual),
}

const EXAMPLES: &str = "\
Examples:
  hexr-authz test policies
  hexr-authz check policies --ignore '*_test.rego'
  hexr-authz replay decisions.json.gz --data policies
  hexr-authz build policies -o bundle.tar.gz --ignore '*_test.rego'
  hexr-authz serve --bundle authz=policies --ignore '*_test.rego'";

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    arguments.color.write_global();
    match arguments.command {
        Command::Check(check) => check.run(),
        Command::Build(build) => build.run(),
        Command::Eval(eval) => eval.run(),
        Command::Request(ask) => ask.run(),
        Command::Logs(logs) => logs.run(),
        Command::Replay(rehearsal) => rehearsal.run(),
        Command::Serve(serve) => serve.run(),
        Command::Test(test) => test.run(),
        Command::Completions(completions) => completions.run(Arguments::command()),
        Command::Man(manual) => manual.run(Arguments::command()),
    }
}
