//! Bundles that are signed as they are served.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use hexr_authz_core::bundle::{Signer, VerificationKey};

use crate::{command::build::key_text, source};

/// How bundles are signed.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct SigningFlags {
    /// Sign the bundles: a file with the private key in PEM, or with the secret of an HMAC.
    #[arg(long, value_name = "FILE")]
    signing_key: Option<PathBuf>,
    /// The algorithm of the signatures: RS, PS, ES or HS with 256, 384 or 512.
    #[arg(long, value_name = "NAME", default_value = VerificationKey::DEFAULT_ALGORITHM)]
    signing_alg: String,
    /// The id of the key, which the signatures name.
    #[arg(long, value_name = "ID", default_value = "default")]
    signing_keyid: String,
    /// The scope of the signatures.
    #[arg(long, value_name = "SCOPE", requires = "signing_key")]
    signing_scope: Option<String>,
    /// After how many seconds a bundle that has not changed is signed anew.
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, value_parser = clap::value_parser!(u64).range(1..))]
    signing_refresh: u64,
}

/// Signs, and signs again before a signature is too old.
#[derive(Debug)]
pub(super) struct Signing {
    signer: Signer,
    refresh: Duration,
}

// === impl SigningFlags ===

impl SigningFlags {
    pub(super) fn signing(&self) -> Result<Option<Signing>, String> {
        let Some(path) = &self.signing_key else { return Ok(None) };
        let said = |problem: String| format!("--signing-key: {problem}");
        if !path.is_file() {
            return Err(said(format!("{} is no file", path.display())));
        }
        let key = key_text(&path.to_string_lossy()).map_err(said)?;
        // Editors end a file with a line break; that of an HMAC's secret is not part of it.
        let key = if key.contains("-----BEGIN") { key.as_str() } else { key.trim_end_matches(['\r', '\n']) };
        let mut signer = Signer::new(&self.signing_alg, key, &self.signing_keyid).map_err(said)?;
        if let Some(scope) = &self.signing_scope {
            signer = signer.with_scope(scope);
        }
        Ok(Some(Signing { signer, refresh: Duration::from_secs(self.signing_refresh) }))
    }
}

// === impl Signing ===

impl Signing {
    pub(super) fn sign(&self, unsigned: &[u8]) -> Result<Vec<u8>, String> {
        source::sign(unsigned, &self.signer).map_err(|problem| format!("it cannot be signed: {problem}"))
    }

    /// Whether a signature of that moment is to be followed by another.
    pub(super) fn is_due(&self, signed: Instant) -> bool {
        signed.elapsed() >= self.refresh
    }
}
