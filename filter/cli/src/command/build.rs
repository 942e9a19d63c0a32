//! `hexr-authz build`: makes a bundle of a folder.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use glob::Pattern;
use hexr_authz_core::{
    bundle::{KeyChoice, Signer, Subject, Verification, VerificationKey},
    policy::RulePath,
};

use super::{ANY_AUDIT_LOG, BUDGET, DEFAULT_DECISION, exit, rule_path};
use crate::source::{Ignored, Source};

/// Make an OPA bundle of the policies and data in a folder.
///
/// The same files give the same bytes, but for a signature, which says when it was made. What does not compile is not
/// built.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Build {
    /// The folder, or a single file; with `--bundle` a bundle.
    path: PathBuf,
    /// Take PATH for a bundle, packed or not: its manifest's revision is kept, and a signature is verified.
    #[arg(short, long)]
    bundle: bool,
    /// Where the bundle goes.
    #[arg(short, long, default_value = "bundle.tar.gz")]
    output: PathBuf,
    /// The revision; without it one is made of the content.
    #[arg(short, long)]
    revision: Option<String>,
    /// Names of files and folders to leave out, as `*_test.rego,drafts`.
    #[arg(long, value_name = "PATTERN", value_delimiter = ',', value_parser = Pattern::new)]
    ignore: Vec<Pattern>,
    /// The rule that decides.
    #[arg(long, default_value = DEFAULT_DECISION, value_parser = rule_path)]
    decision: RulePath,
    #[command(flatten)]
    signing: Signing,
    #[command(flatten)]
    verifying: Verifying,
}

const EXAMPLES: &str = "\
Examples:
  hexr-authz build policies --ignore '*_test.rego'
                                          makes bundle.tar.gz of a folder, without its tests
  hexr-authz build policies -o authz.tar.gz --revision v1.2.0
                                          with a name and a revision of your own
  hexr-authz build policies --signing-key key.pem
                                          signed by RS256, as `opa build` signs
  hexr-authz build -b bundle.tar.gz --verification-key key.pub.pem -o plain.tar.gz
                                          verified, and without its signature
  hexr-authz build -b policies -o authz.tar.gz
                                          of a folder that is a bundle: its manifest's revision stays";

/// How the bundle is signed: the flags of `opa build`.
#[derive(clap::Args)]
struct Signing {
    /// Sign the bundle: a file with the private key in PEM, or with the secret of an HMAC, or that itself.
    #[arg(long, value_name = "KEY")]
    signing_key: Option<String>,
    /// The algorithm of the signature, and of one that is verified: RS, PS, ES or HS with 256, 384 or 512.
    #[arg(long, value_name = "NAME", default_value = VerificationKey::DEFAULT_ALGORITHM)]
    signing_alg: String,
    /// A JSON file with claims that are signed too: `scope`, `iss`, `keyid` for the key's id.
    #[arg(long, value_name = "FILE", requires = "signing_key")]
    claims_file: Option<PathBuf>,
}

/// How a bundle that is signed is verified: the flags of `opa build`.
#[derive(clap::Args)]
struct Verifying {
    /// Verify PATH, a signed bundle: a file with the public key in PEM, or with the secret of an HMAC, or that itself.
    #[arg(long, value_name = "KEY", requires = "bundle")]
    verification_key: Option<String>,
    /// The id of the keys: that of the verification, and that which the new signature names unless its claims do.
    #[arg(long, value_name = "ID", default_value = "default")]
    verification_key_id: String,
    /// The scope that the signature of PATH must have.
    #[arg(long, default_value = "", hide_default_value = true)]
    scope: String,
}

impl Build {
    pub(crate) fn run(self) -> ExitCode {
        exit(self.build())
    }

    fn build(self) -> Result<(), String> {
        let mut source = Source::new(&self.path, Ignored::new(self.ignore));
        if self.bundle {
            source = source.into_bundle(self.verifying.verification(&self.signing.signing_alg)?);
        }
        if let Some(signer) = self.signing.signer(&self.verifying.verification_key_id)? {
            source = source.signed_by(signer);
        }
        let subject = Subject::Platform(self.decision);
        let packed = source.pack(self.revision.as_deref(), &subject, BUDGET, &ANY_AUDIT_LOG)?;
        fs::write(&self.output, packed.bytes).map_err(|error| format!("{}: {error}", self.output.display()))
    }
}

impl Signing {
    fn signer(&self, key_id: &str) -> Result<Option<Signer>, String> {
        let Some(key) = &self.signing_key else { return Ok(None) };
        let signer = Signer::new(&self.signing_alg, &key_text(key)?, key_id);
        let signer = signer.map_err(|problem| format!("--signing-key: {problem}"))?;
        let Some(path) = &self.claims_file else { return Ok(Some(signer)) };
        let said = |problem: String| format!("{}: {problem}", path.display());
        let claims = fs::read_to_string(path).map_err(|error| said(error.to_string()))?;
        signer.with_claims(&claims).map(Some).map_err(said)
    }
}

impl Verifying {
    fn verification(&self, algorithm: &str) -> Result<Option<Verification>, String> {
        let Some(key) = &self.verification_key else { return Ok(None) };
        let key = VerificationKey::new(&self.verification_key_id, algorithm, &key_text(key)?, "");
        let key = key.map_err(|problem| format!("--verification-key: {problem}"))?;
        Verification::new(vec![key], KeyChoice::Any, &self.scope).map(Some)
    }
}

/// A key as a flag gives it: the text of the file of that name, or else the flag itself.
pub(super) fn key_text(flag: &str) -> Result<String, String> {
    if flag.starts_with("-----BEGIN") || !Path::new(flag).exists() {
        return Ok(flag.to_owned());
    }
    fs::read_to_string(flag).map_err(|error| format!("{flag}: {error}"))
}
