//! `hexr-authz eval`: the decision for one input and why, or the answer to any query, on the engine that runs in Envoy.

mod decision;
mod explanation;
mod loading;
mod results;

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant, SystemTime},
};

use hexr_authz_core::{
    policy::{Author, Input, Moment, RulePath},
    timestamp::Timestamp,
};

pub(crate) use self::decision::explained;
use super::{DEFAULT_DECISION, instant, rule_path};
use crate::output::{say, tell};

/// Evaluate a policy: without a query the decision for an input, and with `--explain` why; with a query what `opa eval`
/// answers.
///
/// The recent calls are what the data has at `data.audit_log`, `[]` without any. The instant of a decision is `--time`,
/// or the input's own `timestamp`, or now.
///
/// Exit code 0 when there is an answer, 2 when there is none because of an error, 1 with `--fail` on a denial or an empty
/// answer.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Eval {
    /// A query in Rego; without one the decision is told.
    query: Option<String>,
    /// A file or folder with modules and data; may be given several times.
    #[arg(short, long, value_name = "PATH")]
    data: Vec<PathBuf>,
    /// A bundle, packed or a folder, not signed; may be given several times.
    #[arg(short, long, value_name = "PATH")]
    bundle: Vec<PathBuf>,
    /// The input, in JSON; `-` reads it from standard input.
    #[arg(short, long, value_name = "FILE", conflicts_with = "stdin_input")]
    input: Option<PathBuf>,
    /// Read the input from standard input.
    #[arg(short = 'I', long)]
    stdin_input: bool,
    /// The rule that decides.
    #[arg(long, value_name = "PATH", default_value = DEFAULT_DECISION, value_parser = rule_path)]
    decision: RulePath,
    /// What a query may use by its last name, as `data.hexr.roles`; may be given several times.
    #[arg(long = "import", value_name = "PATH", requires = "query")]
    imports: Vec<String>,
    /// The instant that `time.now_ns()` answers, as `2026-01-15T10:30:00Z`.
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    time: Option<Timestamp>,
    /// Tell which rules were tried, and which condition of each did not hold, on which values.
    #[arg(long)]
    explain: bool,
    /// How to say it: `json`, but for explanations `pretty`.
    #[arg(short, long, value_enum)]
    format: Option<Format>,
    /// Exit code 1 on a denial, or where a query has no result.
    #[arg(long, conflicts_with = "fail_defined")]
    fail: bool,
    /// Exit code 1 where a query has a result, or the request is allowed.
    #[arg(long)]
    fail_defined: bool,
}

const EXAMPLES: &str = "\
Examples:
  hexr-authz eval -d policies -i input.json                what is decided
  hexr-authz eval -d policies -i input.json --explain      and why
  hexr-authz eval -d policies -i input.json --time 2025-01-18T10:30:00Z --fail
                                                           on that Saturday; exit code 1 when it is denied
  hexr-authz eval -d policies 'data.roles[role].aws_s3'    which roles may do what on S3
  kubectl logs ... | jq .input | hexr-authz eval -b authz.tar.gz -I --explain";

/// How to say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// All of it, for programs.
    Json,
    /// For reading.
    Pretty,
    /// The values of each result, as an array.
    Values,
    /// The variables of each result, as an object.
    Bindings,
    /// The values of each result on a line, for scripts.
    Raw,
}

/// What there is to say, and whether it counts as defined: a decision that allows, or a query with a result.
struct Answer {
    text: String,
    is_defined: bool,
}

/// An error, and whether it has to be told on standard output, as in `--format json`.
struct Problem {
    text: String,
    is_output: bool,
}

/// How long an evaluation may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The exit code of an error.
const ERROR: u8 = 2;

// === impl Eval ===

impl Eval {
    pub(crate) fn run(self) -> ExitCode {
        let answer = match &self.query {
            Some(query) => self.results(query),
            None => self.decision(),
        };
        let told = match answer {
            Ok(answer) => {
                let fails = if answer.is_defined { self.fail_defined } else { self.fail };
                say(answer.text).map(|()| if fails { ExitCode::FAILURE } else { ExitCode::SUCCESS })
            }
            Err(problem) if problem.is_output => say(problem.text).map(|()| ExitCode::from(ERROR)),
            Err(problem) => Err(problem.text),
        };
        told.unwrap_or_else(|problem| {
            tell(problem);
            ExitCode::from(ERROR)
        })
    }

    fn format(&self) -> Format {
        self.format.unwrap_or(if self.explain { Format::Pretty } else { Format::Json })
    }

    /// The input's text; nothing where none is given.
    fn input_text(&self) -> Result<Option<String>, String> {
        let path = match &self.input {
            Some(path) if path != Path::new("-") => path,
            Some(_) => return read_stdin().map(Some),
            None if self.stdin_input => return read_stdin().map(Some),
            None => return Ok(None),
        };
        let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Some(text))
    }

    fn input(&self) -> Result<(Input, Option<Timestamp>), String> {
        self.input_text()?.map_or_else(|| Ok((Input::none(), None)), |text| read_input(&text))
    }
}

/// An input in JSON, with the instant that it names.
fn read_input(text: &str) -> Result<(Input, Option<Timestamp>), String> {
    let input = Input::from_json(text).map_err(|error| format!("the input is not JSON: {error}"))?;
    let timestamp = serde_json::from_str(text)
        .ok()
        .and_then(|input: serde_json::Value| Timestamp::from_rfc3339(input.get("timestamp")?.as_str()?));
    Ok((input, timestamp))
}

fn read_stdin() -> Result<String, String> {
    let mut text = String::new();
    io::stdin().read_to_string(&mut text).map_err(|error| format!("standard input: {error}"))?;
    Ok(text)
}

/// The moment of an evaluation that begins now, at an instant that may be another one.
fn at_moment<T>(instant: Option<Timestamp>, go: impl FnOnce(Moment<'_>) -> T) -> T {
    let start = Instant::now();
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let nanos = i64::try_from(since.as_nanos()).unwrap_or(i64::MAX);
    let now = instant.unwrap_or(Timestamp::from_unix_nanos(nanos));
    go(Moment { now, seed: nanos.cast_unsigned(), is_over: &|_: Author| start.elapsed() > PATIENCE })
}

/// JSON as OPA writes it: two spaces for each level, and the signs of HTML escaped.
fn json_text(value: &impl serde::Serialize) -> String {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    escaped(&text) + "\n"
}

fn escaped(json: &str) -> String {
    // They stand in texts alone.
    json.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}
