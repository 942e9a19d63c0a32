//! A key that bundles are verified with.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::signature::{Algorithm, Family, Key};

/// A key, the only algorithm that it is used with, and the scope of what it signs.
#[derive(Clone, PartialEq, Eq)]
pub struct VerificationKey {
    pub(super) id: String,
    pub(super) algorithm: Algorithm,
    pub(super) key: Key,
    pub(super) scope: String,
    name: String,
    digest: [u8; 32],
}

/// The smallest RSA key that the algorithms of JSON Web Signatures allow, in bits.
const LEAST_RSA_BITS: usize = 2048;

// === impl VerificationKey ===

impl VerificationKey {
    /// The algorithm of a key whose configuration names none.
    pub const DEFAULT_ALGORITHM: &str = "RS256";

    /// The key `text`, a public key or a certificate in PEM, or the secret of an HMAC.
    ///
    /// # Errors
    /// When it is none for that algorithm.
    pub fn new(id: &str, algorithm: &str, text: &str, scope: &str) -> Result<Self, String> {
        let known = Self::algorithm(algorithm)?;
        let key = match known.family {
            Family::Hmac if text.is_empty() => return Err("the secret is empty".to_owned()),
            Family::Hmac if text.contains("-----BEGIN ") => {
                return Err(format!(
                    "`{algorithm}` wants a secret, and this is PEM: name the algorithm that belongs to the key"
                ));
            }
            Family::Hmac => Key::Secret(text.as_bytes().to_vec()),
            Family::RsaPkcs1 | Family::RsaPss { .. } | Family::Ecdsa | Family::EdDsa => {
                Key::of_pem(text).map_err(|problem| problem.to_string())?
            }
        };
        match (known.family, known.bits, &key) {
            (Family::Hmac, _, Key::Secret(_))
            | (Family::RsaPkcs1 | Family::RsaPss { .. }, _, Key::Rsa { .. })
            | (Family::Ecdsa, 256, Key::P256(_))
            | (Family::Ecdsa, 384, Key::P384(_))
            | (Family::Ecdsa, 512, Key::P521(_)) => {}
            _ => {
                let (is, wanted) = (kind(&key), wanted(known));
                return Err(format!("`{algorithm}` wants {wanted}, but this is {is}"));
            }
        }
        if let Some(bits) = key.rsa_bits().filter(|bits| *bits < LEAST_RSA_BITS) {
            return Err(format!("an RSA key has at least {LEAST_RSA_BITS} bits, but this one has {bits}"));
        }
        let digest = Sha256::digest(text.as_bytes()).into();
        Ok(Self {
            id: id.to_owned(),
            algorithm: known,
            key,
            scope: scope.to_owned(),
            name: algorithm.to_owned(),
            digest,
        })
    }

    /// The algorithm of that name, if bundles are signed by it.
    ///
    /// # Errors
    /// When they are not.
    pub(super) fn algorithm(name: &str) -> Result<Algorithm, String> {
        Algorithm::named(name).filter(|algorithm| algorithm.family != Family::EdDsa).ok_or_else(|| {
            format!("must be RS, PS, ES or HS with 256, 384 or 512, as `RS256`, but is `{name}`")
        })
    }

    /// Whether bundles are signed by the algorithm of that name.
    ///
    /// # Errors
    /// When they are not.
    pub fn check_algorithm(name: &str) -> Result<(), String> {
        Self::algorithm(name).map(drop)
    }

    /// A key of which only the id is known: it verifies nothing.
    pub(crate) fn unknown(id: &str, algorithm: &str, scope: &str) -> Self {
        Self {
            id: id.to_owned(),
            // No signature is one by a secret of this algorithm.
            algorithm: Algorithm { family: Family::EdDsa, bits: 0 },
            key: Key::Secret(Vec::new()),
            scope: scope.to_owned(),
            name: algorithm.to_owned(),
            digest: [0; 32],
        }
    }

    /// Its name in signatures.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// How many bytes the secret lacks to be as long as the algorithm's digest, as it should be; nothing for other keys.
    pub fn missing_bytes(&self) -> Option<usize> {
        match &self.key {
            Key::Secret(secret) => {
                (self.algorithm.bits as usize / 8).checked_sub(secret.len()).filter(|missing| *missing > 0)
            }
            Key::Rsa { .. } | Key::P256(_) | Key::P384(_) | Key::P521(_) | Key::Ed25519(_) => None,
        }
    }

    /// Everything that it is, in a form that says nothing of the key itself.
    pub(super) fn parts(&self) -> [&[u8]; 4] {
        [self.id.as_bytes(), self.name.as_bytes(), self.scope.as_bytes(), &self.digest]
    }
}

impl fmt::Debug for VerificationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerificationKey")
            .field("id", &self.id)
            .field("algorithm", &self.name)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

fn kind(key: &Key) -> &'static str {
    match key {
        Key::Rsa { .. } => "an RSA key",
        Key::P256(_) => "a key on the curve P-256",
        Key::P384(_) => "a key on the curve P-384",
        Key::P521(_) => "a key on the curve P-521",
        Key::Ed25519(_) => "a key of Ed25519",
        Key::Secret(_) => "a secret",
    }
}

pub(super) fn wanted(algorithm: Algorithm) -> &'static str {
    match (algorithm.family, algorithm.bits) {
        (Family::Hmac, _) => "a secret",
        (Family::RsaPkcs1 | Family::RsaPss { .. }, _) => "an RSA key",
        (Family::Ecdsa, 256) => "a key on the curve P-256",
        (Family::Ecdsa, 384) => "a key on the curve P-384",
        (Family::Ecdsa, _) => "a key on the curve P-521",
        (Family::EdDsa, _) => "a key of Ed25519",
    }
}
