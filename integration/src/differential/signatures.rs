//! What a real OPA thinks of signed bundles.

use std::{
    fs::File,
    io::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use base64ct::{Base64, Encoding};
use serde_json::{Value, json};

use super::oracle;

/// A real OPA that verifies bundles.
#[derive(Debug)]
pub struct Signatures {
    program: PathBuf,
}

/// A bundle, and the only key that OPA is given for it.
#[derive(Clone, Debug)]
pub struct SignedBundle {
    /// The bundle's bytes.
    pub bytes: Vec<u8>,
    /// The key's id.
    pub key_id: String,
    /// Its algorithm.
    pub algorithm: String,
    /// The public key in PEM, or the secret.
    pub key: String,
    /// The scope that is wanted.
    pub scope: String,
}

// === impl Signatures ===

impl Signatures {
    /// Builds it; nothing where there is no Go.
    ///
    /// # Errors
    /// When there is Go, and it does not build.
    pub fn build() -> Result<Option<Self>> {
        Ok(oracle::build("./signatures", "signatures")?.map(|program| Self { program }))
    }

    /// Why OPA does not take each of the bundles; empty where it does.
    ///
    /// # Errors
    /// When OPA stops before it has answered.
    pub fn verdicts(&self, bundles: &[SignedBundle]) -> Result<Vec<String>> {
        let folder = tempfile::tempdir()?;
        let questions = folder.path().join("questions");
        let mut file = File::create(&questions)?;
        for bundle in bundles {
            writeln!(file, "{}", question(bundle))?;
        }
        let answered = Command::new(&self.program)
            .arg("verify")
            .stdin(File::open(&questions)?)
            .stderr(Stdio::inherit())
            .output()
            .context("cannot start OPA")?;
        let text = String::from_utf8(answered.stdout)?;
        let verdicts: Vec<String> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        if !answered.status.success() || verdicts.len() != bundles.len() {
            bail!("OPA answered {} of {} questions: {}", verdicts.len(), bundles.len(), answered.status);
        }
        Ok(verdicts)
    }
}

fn question(bundle: &SignedBundle) -> Value {
    json!({
        "bundle": Base64::encode_string(&bundle.bytes),
        "keys": {&bundle.key_id: {"algorithm": bundle.algorithm, "key": bundle.key}},
        "scope": bundle.scope,
    })
}
