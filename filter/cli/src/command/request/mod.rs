//! `hexr-authz request`: what the catalog takes requests for.

mod asked;
mod curl;
mod har;
mod shell;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anstyle::{AnsiColor, Style};
use clap::ValueEnum;
use hexr_authz_core::{
    catalog::{Catalog, Explanation, OnUnknown},
    config::Config,
};
use serde_json::{Value, json};

use self::asked::{Asked, Target, header, method, read, unknown};
use crate::output::{say, tell};

const EXAMPLES: &str = "\
Examples:
  hexr-authz request --method GET --url https://s3.amazonaws.com/bucket/key
  hexr-authz request --method POST --url https://dynamodb.eu-central-1.amazonaws.com/ \\
      --header 'x-amz-target: DynamoDB_20120810.GetItem' --body item.json
  hexr-authz request --curl 'curl -X PUT https://s3.amazonaws.com/bucket/key -d @file'
  pbpaste | hexr-authz request --curl -
  hexr-authz request --har session.har --config filter.json --format json";

/// Show the service and the action that the catalog derives from a request, and why.
///
/// The request is read as Envoy would pass it on: nothing in the URL is decoded, resolved or added. A curl command line is
/// first read as curl would send it: it takes `.` and `..` out of the path unless it has `--path-as-is`. Exit code 0 when
/// service and action are known, 1 when they are not or the request would be refused (of a HAR file: any of them), 2 for a
/// wrong command line.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Ask {
    /// The method, as `GET`.
    #[arg(short, long, value_parser = method, required_unless_present_any = ["curl", "har"])]
    method: Option<String>,
    /// The URL, as `https://s3.amazonaws.com/bucket/key`.
    #[arg(short, long, value_parser = Target::parse, required_unless_present_any = ["curl", "har"])]
    url: Option<Target>,
    /// A header, as `x-amz-target: DynamoDB_20120810.GetItem`; may be given several times.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(String, String)>,
    /// A file with the body; `-` reads it from standard input. Without it the request has none.
    #[arg(long, value_name = "FILE")]
    body: Option<PathBuf>,
    /// A command line of curl, as documentation has it; `-` reads it from standard input.
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["method", "url", "headers", "body", "har"])]
    curl: Option<String>,
    /// A HAR file, as browsers export them: each of its requests; `-` reads it from standard input.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["method", "url", "headers", "body"])]
    har: Option<PathBuf>,
    /// A filter configuration in JSON, with services of your own and limits.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How to say it.
    #[arg(long, default_value = "pretty")]
    format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Pretty,
    Json,
}

/// The requests that are explained.
enum Said {
    One(Explanation),
    /// Those of a file, each with its method and its URL.
    All(Vec<(String, String, Explanation)>),
}

/// The largest body that the filter reads without `limits.request_body_bytes`.
const BODY_BYTES: usize = 1 << 20;
/// What cannot be asked is a wrong command line, not an unknown request.
const USAGE: u8 = 2;

impl Ask {
    pub(crate) fn run(self) -> ExitCode {
        let format = self.format;
        let said = self.explain().and_then(|said| say(said.text(format)).map(|()| said.is_known()));
        match said {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(problem) => {
                tell(problem);
                ExitCode::from(USAGE)
            }
        }
    }

    fn explain(&self) -> Result<Said, String> {
        let (catalog, most) = match &self.config {
            Some(path) => configured(path)?,
            None => (Catalog::new(Vec::new(), OnUnknown::Deny), BODY_BYTES),
        };
        if let Some(path) = &self.har {
            let entries =
                har::entries(&read(path)?).map_err(|problem| format!("{}: {problem}", path.display()))?;
            let explained = entries.into_iter().map(|entry| {
                let explanation =
                    entry.asked.map(|asked| asked.explain(&catalog, most)).unwrap_or_else(unknown);
                (entry.method, entry.url, explanation)
            });
            return Ok(Said::All(explained.collect()));
        }
        let asked = match &self.curl {
            Some(command) => of_curl(command)?,
            None => self.of_flags()?,
        };
        Ok(Said::One(asked.explain(&catalog, most)))
    }

    fn of_flags(&self) -> Result<Asked, String> {
        let (Some(method), Some(target)) = (self.method.clone(), self.url.clone()) else {
            return Err("`--method` and `--url` are both needed".to_owned());
        };
        let body = self.body.as_deref().map(read).transpose()?;
        Ok(Asked { method, target, headers: self.headers.clone(), body })
    }
}

fn of_curl(command: &str) -> Result<Asked, String> {
    let said = |problem: String| format!("--curl: {problem}");
    let text = if command == "-" {
        String::from_utf8(read(Path::new("-"))?).map_err(|error| said(error.to_string()))?
    } else {
        command.to_owned()
    };
    let pasted = curl::read_command(&text).map_err(said)?;
    for unknown in pasted.unknown {
        tell(format!(
            "--curl: note: `{unknown}` is taken as it stands here: a shell would put its value there"
        ));
    }
    Ok(pasted.asked)
}

/// The catalog of a configuration, and the largest body that decides.
fn configured(path: &Path) -> Result<(Catalog, usize), String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    // The values of the environment are the VM's; no service depends on them.
    let config = Config::read(&text, &|_name| Some("value".to_owned()));
    let config = config.map_err(|problems| {
        let lines: Vec<String> =
            problems.iter().map(|problem| format!("{}: {problem}", path.display())).collect();
        lines.join("\n")
    })?;
    Ok((config.catalog, config.limits.request_body_bytes))
}

// === impl Said ===

impl Said {
    fn is_known(&self) -> bool {
        match self {
            Self::One(explanation) => explanation.is_known,
            Self::All(all) => all.iter().all(|(.., explanation)| explanation.is_known),
        }
    }

    fn text(&self, format: Format) -> String {
        match (self, format) {
            (Self::One(explanation), Format::Json) => {
                let Explanation { service, action, reason, .. } = explanation;
                format!("{}\n", json!({"service": service, "action": action, "reason": reason}))
            }
            (Self::One(explanation), Format::Pretty) => pretty(explanation),
            (Self::All(all), Format::Json) => {
                let all = all.iter().map(|(method, url, explanation)| {
                    let Explanation { service, action, reason, .. } = explanation;
                    json!({"method": method, "url": url, "service": service, "action": action, "reason": reason})
                });
                format!("{}\n", Value::Array(all.collect()))
            }
            (Self::All(all), Format::Pretty) => {
                let known = all.iter().filter(|(.., explanation)| explanation.is_known).count();
                let entries = all
                    .iter()
                    .map(|(method, url, explanation)| format!("{method} {url}\n{}\n", pretty(explanation)));
                format!("{}{known} of {} requests are known\n", entries.collect::<String>(), all.len())
            }
        }
    }
}

fn pretty(explanation: &Explanation) -> String {
    let Explanation { service, action, reason, is_known } = explanation;
    let color = if *is_known { AnsiColor::Green } else { AnsiColor::Red };
    let style = Style::new().fg_color(Some(color.into()));
    let [service, action] = [service, action].map(|name| name.as_deref().unwrap_or("none"));
    format!("service: {style}{service}{style:#}\naction:  {style}{action}{style:#}\nreason:  {reason}\n")
}
