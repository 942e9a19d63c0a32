//! Signed bundles: `.signatures.json`, as OPA writes and verifies it.
//! <https://www.openpolicyagent.org/docs/management-bundles#signing>
//!
//! A signature lists every file of the bundle with its digest, and no others. Which algorithm it is verified by says the
//! configuration of the key, never the signature.

mod canonical;
mod digest;
mod key;
mod scan;
#[cfg(feature = "signing")]
mod sign;
mod token;
mod verify;

pub use key::VerificationKey;
#[cfg(feature = "signing")]
pub use sign::Signer;
pub use verify::SignatureError;
pub(super) use verify::verify;

use sha2::{Digest, Sha256};

/// How bundles are verified. Whoever has one takes no bundle that is not signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    keys: Vec<VerificationKey>,
    choice: KeyChoice,
    scope: String,
    /// How old a signature may be when its bundle is activated; one that does not say when it was made is refused then.
    pub max_age_seconds: Option<u64>,
    /// The earliest `iat` of a signature, in seconds since the Unix epoch; likewise.
    pub min_iat: Option<i64>,
}

/// Which of the keys a signature may be by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyChoice {
    /// Any of them, whatever the signature says.
    Any,
    /// The one that the signature names.
    Named,
}

/// What is known of the signature that a bundle was accepted by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The id of the key.
    pub key_id: String,
    /// The signature's `iat`, in seconds since the Unix epoch. Whoever remembers the newest one can refuse older ones.
    pub issued_at: Option<i64>,
}

/// The file that the signature stands in, by its last segment.
pub(super) const SIGNATURES: &str = ".signatures.json";

// === impl Verification ===

impl Verification {
    /// Verification by `keys`, of signatures of `scope`; where that is empty, of the scope of the key.
    ///
    /// # Errors
    /// When there is no key.
    pub fn new(keys: Vec<VerificationKey>, choice: KeyChoice, scope: &str) -> Result<Self, String> {
        if keys.is_empty() {
            return Err("there is no key to verify with".to_owned());
        }
        Ok(Self { keys, choice, scope: scope.to_owned(), max_age_seconds: None, min_iat: None })
    }

    /// The keys.
    pub fn keys(&self) -> &[VerificationKey] {
        &self.keys
    }

    /// A SHA-256 that is another one when anything of this is another. It does not tell the keys.
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        let mut add = |part: &[u8]| {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        };
        add(format!("{:?} {:?} {:?}", self.choice, self.max_age_seconds, self.min_iat).as_bytes());
        add(self.scope.as_bytes());
        for key in &self.keys {
            key.parts().into_iter().for_each(&mut add);
        }
        hex(&hash.finalize())
    }
}

/// Whether a path is that of a signature.
pub(super) fn is_signature(path: &str) -> bool {
    path.rsplit('/').next() == Some(SIGNATURES)
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
