//! Signs bundles. Compiled only with the feature `signing`, which the filter has not.

use std::fmt;

use base64ct::{Base64UrlUnpadded, Encoding};
use serde_json::{Map, Value, json};

use super::{VerificationKey, digest::DigestAlgorithm, is_signature, key::wanted};
use crate::{
    bundle::SourceFile,
    pace::{Pace, finish},
    signature::{Algorithm, Family, PrivateKey},
    timestamp::Timestamp,
};

/// A private key or a secret, and what its signatures say besides the files.
pub struct Signer {
    key: PrivateKey,
    algorithm: Algorithm,
    name: String,
    key_id: String,
    claims: Map<String, Value>,
}

// === impl Signer ===

impl Signer {
    /// A signer by `key`, a private key in PEM or the secret of an HMAC. The signature names the key `key_id`.
    ///
    /// # Errors
    /// When the key is none for that algorithm.
    pub fn new(algorithm: &str, key: &str, key_id: &str) -> Result<Self, String> {
        let known = VerificationKey::algorithm(algorithm)?;
        let key = match known.family {
            Family::Hmac if key.is_empty() => return Err("the secret is empty".to_owned()),
            Family::Hmac if key.contains("-----BEGIN ") => {
                return Err(format!("`{algorithm}` wants a secret, and this is PEM"));
            }
            Family::Hmac => PrivateKey::Secret(key.as_bytes().to_vec()),
            Family::RsaPkcs1 | Family::RsaPss { .. } | Family::Ecdsa | Family::EdDsa => {
                PrivateKey::of_pem(key).map_err(|problem| problem.to_string())?
            }
        };
        if !key.is_for(known) {
            return Err(format!("`{algorithm}` wants {}, and this is another key", wanted(known)));
        }
        Ok(Self {
            key,
            algorithm: known,
            name: algorithm.to_owned(),
            key_id: key_id.to_owned(),
            claims: Map::new(),
        })
    }

    /// The signer with the claims of a file as OPA's `--claims-file` has it: `scope`, `iss`, `iat`, `keyid` and more.
    /// `keyid` names the key.
    ///
    /// # Errors
    /// When a claim is not of the type that it must have, or says something of the files.
    pub fn with_claims(mut self, claims: &str) -> Result<Self, String> {
        let claims: Map<String, Value> = serde_json::from_str(claims)
            .map_err(|error| format!("the claims are no JSON object: {error}"))?;
        if claims.contains_key("files") {
            return Err("the claims cannot say which files are signed: remove `files`".to_owned());
        }
        for name in ["scope", "keyid", "iss"] {
            if claims.get(name).is_some_and(|claim| !claim.is_string()) {
                return Err(format!("the claim `{name}` must be a string"));
            }
        }
        if claims.get("iat").is_some_and(|claim| claim.as_i64().is_none()) {
            return Err("the claim `iat` must be whole seconds since 1970".to_owned());
        }
        if let Some(key_id) = claims.get("keyid").and_then(Value::as_str) {
            key_id.clone_into(&mut self.key_id);
        }
        self.claims.extend(claims);
        Ok(self)
    }

    /// The signer for signatures of a scope.
    #[must_use]
    pub fn with_scope(mut self, scope: &str) -> Self {
        self.claims.insert("scope".to_owned(), Value::from(scope));
        self
    }

    /// The content of `.signatures.json` for these files, made `now`.
    ///
    /// # Errors
    /// When a file cannot be signed.
    pub fn sign(&self, files: &[SourceFile], now: Timestamp) -> Result<Vec<u8>, String> {
        let mut signed = Vec::new();
        for file in files.iter().filter(|file| !is_signature(&file.path)) {
            let digest =
                finish(DigestAlgorithm::Sha256.of_file(&file.path, &file.content, &Pace::unhurried()));
            let digest = digest.map_err(|problem| format!("{}: {problem}", file.path))?;
            signed.push(json!({"name": file.path, "hash": digest, "algorithm": "SHA-256"}));
        }
        let mut payload = self.claims.clone();
        payload.insert("files".to_owned(), Value::from(signed));
        payload.entry("iat").or_insert_with(|| Value::from(now.unix_seconds()));
        // OPA reads the older place too.
        payload.entry("keyid").or_insert_with(|| Value::from(self.key_id.as_str()));
        let header = json!({"alg": self.name, "kid": self.key_id});
        let part = |value: &Value| Base64UrlUnpadded::encode_string(value.to_string().as_bytes());
        let message = format!("{}.{}", part(&header), part(&Value::Object(payload)));
        let signature =
            self.key.sign(self.algorithm, message.as_bytes()).map_err(|problem| problem.to_string())?;
        let token = format!("{message}.{}", Base64UrlUnpadded::encode_string(&signature));
        Ok(json!({"signatures": [token]}).to_string().into_bytes())
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer")
            .field("algorithm", &self.name)
            .field("key_id", &self.key_id)
            .finish_non_exhaustive()
    }
}
