//! `hexr-authz request`: what the catalog takes a request for.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::ValueEnum;
use hexr_authz_core::{
    catalog::{Catalog, Explanation, OnUnknown},
    config::Config,
    denial::Denial,
    request::Request,
};
use serde_json::json;

/// Show the service and the action that the catalog derives from a request, and why.
///
/// The request is read as Envoy would pass it on: nothing in the URL is decoded, resolved or added. Exit code 0 when
/// service and action are known, 1 when they are not or the request would be refused, 2 for a wrong command line.
#[derive(clap::Args)]
pub(crate) struct Ask {
    /// The method, as `GET`.
    #[arg(short, long, value_parser = method)]
    method: String,
    /// The URL, as `https://s3.amazonaws.com/bucket/key`.
    #[arg(short, long, value_parser = target)]
    url: Target,
    /// A header, as `x-amz-target: DynamoDB_20120810.GetItem`; may be given several times.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(String, String)>,
    /// A file with the body; `-` reads it from standard input. Without it the request has none.
    #[arg(long, value_name = "FILE")]
    body: Option<PathBuf>,
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

/// Where a request goes, as it stands in its pseudo-headers.
#[derive(Clone)]
struct Target {
    authority: String,
    path: String,
}

/// The largest body that the filter reads without `limits.request_body_bytes`.
const BODY_BYTES: usize = 1 << 20;

impl Ask {
    pub(crate) fn run(self) -> ExitCode {
        match self.explain() {
            Ok(explanation) => {
                println!("{}", self.format.say(&explanation));
                if explanation.is_known { ExitCode::SUCCESS } else { ExitCode::FAILURE }
            }
            Err(problem) => {
                eprintln!("{problem}");
                // What cannot be asked is a wrong command line, not an unknown request.
                ExitCode::from(2)
            }
        }
    }

    fn explain(&self) -> Result<Explanation, String> {
        let (catalog, most) = match &self.config {
            Some(path) => configured(path)?,
            None => (Catalog::new(Vec::new(), OnUnknown::Deny), BODY_BYTES),
        };
        let body = self.body.as_deref().map(read).transpose()?;
        let head =
            [(":method", &self.method), (":authority", &self.url.authority), (":path", &self.url.path)];
        let headers = self.headers.iter().map(|(name, value)| (name.as_str(), value));
        let all = head.into_iter().chain(headers).map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let is_empty = body.as_ref().is_none_or(Vec::is_empty);
        Ok(match Request::parse(all) {
            Ok(request) => catalog.explain(&request.ended(is_empty), &body.unwrap_or_default(), most),
            Err(denial) => refused(&denial),
        })
    }
}

fn refused(denial: &Denial) -> Explanation {
    let reason = format!("{}: {denial}", denial.reason().code());
    Explanation { service: None, action: None, reason, is_known: false }
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

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    let read = if path == Path::new("-") {
        io::stdin().read_to_end(&mut body).map(|_| body)
    } else {
        fs::read(path)
    };
    read.map_err(|error| format!("{}: {error}", path.display()))
}

fn method(text: &str) -> Result<String, String> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-') {
        Ok(text.to_owned())
    } else {
        Err(format!("`{text}` is not a method, as `GET`"))
    }
}

/// Takes a URL apart without changing anything in it.
fn target(text: &str) -> Result<Target, String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let rest = rest.ok_or_else(|| format!("`{text}` is not a URL, as `https://s3.amazonaws.com/bucket`"))?;
    if rest.contains('#') {
        return Err("no client sends what stands behind `#`: leave it out, or write `%23`".to_owned());
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    Ok(Target { authority: authority.to_owned(), path })
}

/// A header, with its name in lower case, as Envoy has it.
fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("must be NAME: VALUE")?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(allowed) {
        return Err(format!("`{name}` is not the name of a header"));
    }
    if name.eq_ignore_ascii_case("host") {
        return Err("the host stands in the URL".to_owned());
    }
    Ok((name.to_ascii_lowercase(), value.trim().to_owned()))
}

impl Format {
    fn say(self, explanation: &Explanation) -> String {
        let Explanation { service, action, reason, .. } = explanation;
        match self {
            Self::Json => json!({"service": service, "action": action, "reason": reason}).to_string(),
            Self::Pretty => {
                let [service, action] = [service, action].map(|name| name.as_deref().unwrap_or("none"));
                format!("service: {service}\naction:  {action}\nreason:  {reason}")
            }
        }
    }
}
