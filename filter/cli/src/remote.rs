//! A bundle server that is asked for the decisions that it was told of.

use std::{
    fs,
    io::{self, Read},
    path::PathBuf,
};

use ureq::{
    Agent,
    tls::{PemItem, RootCerts, TlsConfig, parse_pem},
};

/// How a server is reached.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct RemoteFlags {
    /// A file with the token that the server asks for.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// A file with the certificates that sign the server's, in PEM; without it those that browsers trust.
    #[arg(long, value_name = "FILE")]
    tls_ca_cert_file: Option<PathBuf>,
}

/// A server that can be asked.
#[derive(Debug)]
pub(crate) struct Remote {
    agent: Agent,
    authorization: Option<String>,
}

/// How much of what a server says of a mistake is told, in bytes.
const MAX_PROBLEM: u64 = 4096;

// === impl RemoteFlags ===

impl RemoteFlags {
    /// # Errors
    /// When one of the files is of no use.
    pub(crate) fn remote(&self) -> Result<Remote, String> {
        let mut tls = TlsConfig::builder();
        if let Some(path) = &self.tls_ca_cert_file {
            let said = |problem: String| format!("{}: {problem}", path.display());
            let pem = fs::read(path).map_err(|error| said(error.to_string()))?;
            let mut certificates = Vec::new();
            for item in parse_pem(&pem) {
                if let PemItem::Certificate(certificate) = item.map_err(|error| said(error.to_string()))? {
                    certificates.push(certificate);
                }
            }
            if certificates.is_empty() {
                return Err(said("there is no certificate in it".to_owned()));
            }
            tls = tls.root_certs(RootCerts::from(certificates));
        }
        let authorization = match &self.token_file {
            Some(path) => {
                let token =
                    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
                let token = token.lines().map(str::trim).find(|line| !line.is_empty());
                let token = token.ok_or_else(|| format!("{}: there is no token in it", path.display()))?;
                Some(format!("Bearer {token}"))
            }
            None => None,
        };
        let config = Agent::config_builder().http_status_as_error(false).tls_config(tls.build()).build();
        Ok(Remote { agent: Agent::new_with_config(config), authorization })
    }
}

// === impl Remote ===

impl Remote {
    /// What the server has at a URL.
    ///
    /// # Errors
    /// When there is no answer, or another one than 200.
    pub(crate) fn get(&self, url: &str) -> Result<impl Read + use<>, String> {
        let mut request = self.agent.get(url);
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let said = |problem: String| format!("{url}: {problem}");
        let response = request.call().map_err(|error| said(error.to_string()))?;
        let status = response.status();
        let mut body = response.into_body().into_reader();
        if status == 200 {
            return Ok(body);
        }
        let mut problem = String::new();
        let told = io::Read::by_ref(&mut body).take(MAX_PROBLEM).read_to_string(&mut problem);
        let problem = if told.is_ok() { problem.trim().escape_debug().to_string() } else { String::new() };
        Err(said(format!("the server answered {status}: {problem}")))
    }
}
