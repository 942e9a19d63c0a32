//! Who may fetch bundles.

use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::{AppendHeaders, IntoResponse, Response},
};
use base64ct::{Base64, Encoding as _};
use hexr_authz_core::delivery::Digest;
use subtle::{Choice, ConstantTimeEq as _};

/// OPA's flags, and the file of tokens, which OPA leaves to its policies.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct AuthenticationFlags {
    /// Who may fetch: everyone, clients with a certificate, or those with a token.
    #[arg(long, value_enum, default_value_t = Scheme::Off)]
    authentication: Scheme,
    /// The tokens, each on a line of its own. Read again when the file changes.
    #[arg(long, value_name = "FILE", required_if_eq("authentication", "token"))]
    token_file: Option<PathBuf>,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Off,
    Tls,
    Token,
}

/// What a request must show.
#[derive(Debug)]
pub(super) enum Gate {
    Open,
    Certificate,
    Token(Tokens),
}

/// The tokens of a file.
#[derive(Debug)]
pub(super) struct Tokens {
    path: PathBuf,
    /// Their digests are of one length, so that comparing them does not tell that of a token.
    digests: RwLock<Vec<Digest>>,
}

/// What the connection tells of its other end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    /// One that is signed by the authority; the handshake fails with others.
    pub(super) has_certificate: bool,
    pub(super) address: IpAddr,
}

/// Whether the request has shown what it must.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    Known,
    Unknown,
}

/// Open to everyone, for probes.
const HEALTH: &str = "/health";
const BASIC: &str = "Basic realm=\"hexr-authz\", charset=\"UTF-8\"";

// === impl AuthenticationFlags ===

impl AuthenticationFlags {
    pub(super) fn gate(&self, has_authority: bool) -> Result<Gate, String> {
        if has_authority != (self.authentication == Scheme::Tls) {
            return Err("`--tls-ca-cert-file` and `--authentication=tls` go together".to_owned());
        }
        match (self.authentication, &self.token_file) {
            (Scheme::Token, Some(path)) => {
                let tokens = read(path)?;
                Ok(Gate::Token(Tokens { path: path.clone(), digests: RwLock::new(tokens) }))
            }
            (Scheme::Token, None) => Err("`--authentication=token` needs `--token-file`".to_owned()),
            (_, Some(_)) => Err("`--token-file` is for `--authentication=token`".to_owned()),
            (Scheme::Off, None) => Ok(Gate::Open),
            (Scheme::Tls, None) => Ok(Gate::Certificate),
        }
    }
}

// === impl Gate ===

impl Gate {
    pub(super) fn is_open(&self) -> bool {
        matches!(self, Self::Open)
    }

    fn caller(&self, request: &Request) -> Caller {
        let is_known = match self {
            Self::Open => true,
            Self::Certificate => request.extensions().get::<Peer>().is_some_and(|peer| peer.has_certificate),
            Self::Token(tokens) => token(request.headers()).is_some_and(|token| tokens.has(&token)),
        };
        if is_known { Caller::Known } else { Caller::Unknown }
    }

    /// Reads the tokens again, if there are any; says whether they have changed.
    ///
    /// # Errors
    /// Why the file is of no use; the tokens that were read before stay.
    pub(super) fn refresh(&self) -> Result<bool, String> {
        let Self::Token(tokens) = self else { return Ok(false) };
        let read = read(&tokens.path)?;
        let mut digests = tokens.digests.write().unwrap_or_else(PoisonError::into_inner);
        let has_changed = *digests != read;
        *digests = read;
        Ok(has_changed)
    }
}

// === impl Tokens ===

impl Tokens {
    fn has(&self, token: &[u8]) -> bool {
        let digest = Digest::of(token);
        let digests = self.digests.read().unwrap_or_else(PoisonError::into_inner);
        let is = |known: &Digest| known.as_str().as_bytes().ct_eq(digest.as_str().as_bytes());
        digests.iter().fold(Choice::from(0), |found, known| found | is(known)).into()
    }
}

/// Lets those requests pass that may.
pub(super) async fn admit(State(gate): State<Arc<Gate>>, mut request: Request, next: Next) -> Response {
    let caller = gate.caller(&request);
    if caller == Caller::Unknown && request.uri().path() != HEALTH {
        // By the second a browser asks its user.
        let challenge =
            AppendHeaders([(header::WWW_AUTHENTICATE, "Bearer"), (header::WWW_AUTHENTICATE, BASIC)]);
        return match &*gate {
            Gate::Token(_) => (StatusCode::UNAUTHORIZED, challenge, "a token is needed\n").into_response(),
            Gate::Open | Gate::Certificate => {
                (StatusCode::UNAUTHORIZED, "a client certificate is needed\n").into_response()
            }
        };
    }
    request.extensions_mut().insert(caller);
    next.run(request).await
}

/// The token of `Authorization: Bearer`, or the password of `Authorization: Basic`, whoever the user says to be.
fn token(headers: &HeaderMap) -> Option<Vec<u8>> {
    let (scheme, shown) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(shown.trim().as_bytes().to_vec());
    }
    let pair = Base64::decode_vec(shown.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let colon = pair.iter().position(|byte| *byte == b':')?;
    pair.get(colon + 1..).map(<[u8]>::to_vec)
}

fn read(path: &Path) -> Result<Vec<Digest>, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let tokens = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let tokens: Vec<Digest> = tokens.map(|token| Digest::of(token.as_bytes())).collect();
    if tokens.is_empty() {
        return Err(format!("{}: there is no token in it", path.display()));
    }
    Ok(tokens)
}
