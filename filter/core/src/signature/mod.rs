//! Keys, and signatures by them: those of the tokens that policies verify, and those of bundles.

mod codes;
mod pem;
#[cfg(feature = "signing")]
mod private;

pub(crate) use codes::{are_equal, hmac_md5, hmac_sha1, hmac_sha256, hmac_sha384, hmac_sha512};
#[cfg(feature = "signing")]
pub(crate) use private::PrivateKey;

use p256::ecdsa::signature::hazmat::PrehashVerifier;
use rsa::{BoxedUint, Pkcs1v15Sign, Pss};
use sha2::{Sha256, Sha384, Sha512};
use thiserror::Error;
use x509_cert::Certificate;
use x509_cert::der::asn1::{ObjectIdentifier, UintRef};
use x509_cert::der::{Decode, Encode, Reader, SliceReader};
use x509_cert::spki::SubjectPublicKeyInfoRef;

use codes::sha2;

/// An algorithm of JSON Web Signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Algorithm {
    pub(crate) family: Family,
    /// Of the digest, and nothing for Ed25519.
    pub(crate) bits: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Hmac,
    RsaPkcs1,
    /// With any length of salt, or that of the digest.
    RsaPss {
        any_salt: bool,
    },
    Ecdsa,
    EdDsa,
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Key {
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
    P256(Box<p256::ecdsa::VerifyingKey>),
    P384(Box<p384::ecdsa::VerifyingKey>),
    P521(Box<p521::ecdsa::VerifyingKey>),
    Ed25519(Box<ed25519_dalek::VerifyingKey>),
    Secret(Vec<u8>),
}

/// Why a key is not used.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub(crate) struct UnknownKey(pub(crate) &'static str);

/// The smallest RSA key that Go uses, in bits.
const LEAST_RSA_BITS: usize = 1024;

/// The largest RSA key, in bits.
const MOST_RSA_BITS: usize = 8192;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const SECP256R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const SECP384R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const SECP521R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");

// === impl Algorithm ===

impl Algorithm {
    pub(crate) fn named(name: &str) -> Option<Self> {
        let bits = match name.get(2..)? {
            "256" => 256,
            "384" => 384,
            "512" => 512,
            _ => {
                return matches!(name, "EdDSA" | "Ed25519")
                    .then_some(Self { family: Family::EdDsa, bits: 0 });
            }
        };
        let family = match name.get(..2)? {
            "HS" => Family::Hmac,
            "RS" => Family::RsaPkcs1,
            "PS" => Family::RsaPss { any_salt: false },
            "ES" => Family::Ecdsa,
            _ => return None,
        };
        Some(Self { family, bits })
    }
}

// === impl Key ===

impl Key {
    /// The public key of a certificate. What does not parse here may do for OPA.
    pub(crate) fn of_certificate(der: &[u8]) -> Result<Self, UnknownKey> {
        let unknown = |_| UnknownKey("this certificate is not known here");
        let certificate = Certificate::from_der(der).map_err(unknown)?;
        let info = certificate.tbs_certificate().subject_public_key_info().to_der().map_err(unknown)?;
        Self::of_info(&info)
    }

    /// A key in the form of PKIX.
    pub(crate) fn of_info(der: &[u8]) -> Result<Self, UnknownKey> {
        let unknown = || UnknownKey("this public key is not known here");
        let info = SubjectPublicKeyInfoRef::from_der(der).map_err(|_| unknown())?;
        let bytes = info.subject_public_key.as_bytes().ok_or_else(unknown)?;
        match info.algorithm.oid {
            RSA => {
                let (modulus, exponent) = rsa_numbers(bytes).ok_or_else(unknown)?;
                Ok(Self::Rsa { modulus, exponent })
            }
            ED25519 => Self::ed25519(bytes).ok_or_else(unknown),
            EC => {
                let curve =
                    info.algorithm.parameters.and_then(|any| any.decode_as::<ObjectIdentifier>().ok());
                match curve {
                    Some(SECP256R1) => Self::on_curve("P-256", bytes),
                    Some(SECP384R1) => Self::on_curve("P-384", bytes),
                    Some(SECP521R1) => Self::on_curve("P-521", bytes),
                    Some(_) | None => None,
                }
                .ok_or_else(unknown)
            }
            _ => Err(unknown()),
        }
    }

    pub(crate) fn ed25519(bytes: &[u8]) -> Option<Self> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes.try_into().ok()?).ok()?;
        Some(Self::Ed25519(Box::new(key)))
    }

    /// A point of a curve, uncompressed.
    pub(crate) fn on_curve(curve: &str, point: &[u8]) -> Option<Self> {
        if point.first() != Some(&4) {
            return None;
        }
        Some(match curve {
            "P-256" => Self::P256(Box::new(p256::ecdsa::VerifyingKey::from_sec1_bytes(point).ok()?)),
            "P-384" => Self::P384(Box::new(p384::ecdsa::VerifyingKey::from_sec1_bytes(point).ok()?)),
            "P-521" => Self::P521(Box::new(p521::ecdsa::VerifyingKey::from_sec1_bytes(point).ok()?)),
            _ => return None,
        })
    }

    /// How many bytes a coordinate has.
    fn size(&self) -> usize {
        match self {
            Self::P256(_) => 32,
            Self::P384(_) => 48,
            Self::P521(_) => 66,
            Self::Rsa { .. } | Self::Ed25519(_) | Self::Secret(_) => 0,
        }
    }

    /// What it costs to verify with it, in units of about 50 ns.
    pub(crate) fn cost(&self, algorithm: Algorithm, message_bytes: usize) -> u64 {
        let by_key = match (self, algorithm.family) {
            (Self::Secret(secret), Family::Hmac) => secret.len() as u64 / 4,
            (Self::Rsa { modulus, .. }, Family::RsaPkcs1 | Family::RsaPss { .. }) => {
                let words = without_zeros(modulus).len().min(MOST_RSA_BITS / 8) as u64 / 4;
                words * words
            }
            (Self::P256(_) | Self::P384(_) | Self::P521(_), Family::Ecdsa) => {
                let size = self.size() as u64;
                size * size * 12
            }
            (Self::Ed25519(_), Family::EdDsa) => 4_000,
            _ => 0,
        };
        100 + message_bytes as u64 / 4 + by_key
    }

    /// Whether the signature is one of the message by this key. False too where the key is of another kind.
    pub(crate) fn verifies(
        &self,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<bool, UnknownKey> {
        Ok(match (self, algorithm.family) {
            (Self::Secret(secret), Family::Hmac) => {
                let code = match algorithm.bits {
                    256 => hmac_sha256(secret, message),
                    384 => hmac_sha384(secret, message),
                    _ => hmac_sha512(secret, message),
                };
                are_equal(&code, signature)
            }
            (Self::Rsa { modulus, exponent }, Family::RsaPkcs1 | Family::RsaPss { .. }) => {
                let digest = sha2(algorithm.bits, message);
                verifies_rsa(modulus, exponent, algorithm, &digest, signature)?
            }
            (Self::P256(_) | Self::P384(_) | Self::P521(_), Family::Ecdsa) => {
                self.verifies_ecdsa(&sha2(algorithm.bits, message), signature)
            }
            (Self::Ed25519(key), Family::EdDsa) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| ed25519_dalek::Verifier::verify(&**key, message, &signature).is_ok()),
            _ => false,
        })
    }

    /// The halves of a signature are numbers of any length here.
    fn verifies_ecdsa(&self, digest: &[u8], signature: &[u8]) -> bool {
        let size = self.size();
        let (r, s) = signature.split_at_checked(signature.len() / 2).unwrap_or_default();
        let (Some(r), Some(s)) = (padded(r, size), padded(s, size)) else { return false };
        let signature = [r, s].concat();
        // A short digest is a small number.
        let digest =
            if digest.len() < size { padded(digest, size).unwrap_or_default() } else { digest.to_vec() };
        match self {
            Self::P256(key) => p256::ecdsa::Signature::from_slice(&signature)
                .is_ok_and(|signature| key.verify_prehash(&digest, &signature).is_ok()),
            Self::P384(key) => p384::ecdsa::Signature::from_slice(&signature)
                .is_ok_and(|signature| key.verify_prehash(&digest, &signature).is_ok()),
            Self::P521(key) => p521::ecdsa::Signature::from_slice(&signature)
                .is_ok_and(|signature| key.verify_prehash(&digest, &signature).is_ok()),
            Self::Rsa { .. } | Self::Ed25519(_) | Self::Secret(_) => false,
        }
    }

    /// Whether a signature has exactly the length that its algorithm gives it.
    pub(crate) fn fits(&self, algorithm: Algorithm, signature: &[u8]) -> bool {
        algorithm.family != Family::Ecdsa || signature.len() == 2 * self.size()
    }
}

/// A number in so many bytes; none if it is larger.
fn padded(number: &[u8], size: usize) -> Option<Vec<u8>> {
    let digits = without_zeros(number);
    let missing = size.checked_sub(digits.len())?;
    Some([vec![0; missing], digits.to_vec()].concat())
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

/// The numbers of an RSA key in the form of PKCS #1.
fn rsa_numbers(der: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut reader = SliceReader::new(der).ok()?;
    let numbers = reader
        .sequence(|inner| {
            let modulus = UintRef::decode(inner)?.as_bytes().to_vec();
            let exponent = UintRef::decode(inner)?.as_bytes().to_vec();
            Ok::<_, x509_cert::der::Error>((modulus, exponent))
        })
        .ok()?;
    reader.is_finished().then_some(numbers)
}

fn verifies_rsa(
    modulus: &[u8],
    exponent: &[u8],
    algorithm: Algorithm,
    digest: &[u8],
    signature: &[u8],
) -> Result<bool, UnknownKey> {
    let modulus = without_zeros(modulus);
    if modulus.len() * 8 > MOST_RSA_BITS || exponent.len() > 4 {
        return Err(UnknownKey("an RSA key of this size is not known here"));
    }
    if signature.len() != modulus.len() {
        return Ok(false);
    }
    let (n, e) = (BoxedUint::from_be_slice_vartime(modulus), BoxedUint::from_be_slice_vartime(exponent));
    // Keys that Go does not use either: below 1024 bits, or of even numbers.
    let Ok(key) = rsa::PublicKey::new_with_size_limits(n, e, LEAST_RSA_BITS..=MOST_RSA_BITS) else {
        return Ok(false);
    };
    let verified = match (algorithm.family, algorithm.bits) {
        (Family::RsaPkcs1, 256) => key.verify(Pkcs1v15Sign::new::<Sha256>(), digest, signature),
        (Family::RsaPkcs1, 384) => key.verify(Pkcs1v15Sign::new::<Sha384>(), digest, signature),
        (Family::RsaPkcs1, _) => key.verify(Pkcs1v15Sign::new::<Sha512>(), digest, signature),
        (Family::RsaPss { any_salt }, 256) => key.verify(pss::<Sha256>(any_salt), digest, signature),
        (Family::RsaPss { any_salt }, 384) => key.verify(pss::<Sha384>(any_salt), digest, signature),
        (Family::RsaPss { any_salt }, _) => key.verify(pss::<Sha512>(any_salt), digest, signature),
        (Family::Hmac | Family::Ecdsa | Family::EdDsa, _) => return Ok(false),
    };
    Ok(verified.is_ok())
}

fn pss<D: sha2::Digest>(any_salt: bool) -> Pss<D> {
    let pss = Pss::new();
    if any_salt { Pss { salt_len: None, ..pss } } else { pss }
}
