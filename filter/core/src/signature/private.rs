//! Private keys. Only what signs bundles has them, never the filter.

use getrandom::SysRng;
use p256::ecdsa::signature::hazmat::PrehashSigner;
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs8::{DecodePrivateKey, PrivateKeyInfoRef};
use rsa::{Pkcs1v15Sign, Pss, RsaPrivateKey};
use sha2::{Sha256, Sha384, Sha512};
use x509_cert::der::Decode;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::pem;

use super::codes::sha2;
use super::{
    Algorithm, EC, Family, RSA, SECP256R1, SECP384R1, SECP521R1, UnknownKey, hmac_sha256, hmac_sha384,
    hmac_sha512,
};

/// A key that signs.
pub(crate) enum PrivateKey {
    Rsa(Box<RsaPrivateKey>),
    P256(Box<p256::ecdsa::SigningKey>),
    P384(Box<p384::ecdsa::SigningKey>),
    P521(Box<p521::ecdsa::SigningKey>),
    Secret(Vec<u8>),
}

// === impl PrivateKey ===

impl PrivateKey {
    /// The key of one PEM block, in the form of PKCS #8, PKCS #1 or SEC 1.
    pub(crate) fn of_pem(text: &str) -> Result<Self, UnknownKey> {
        let broken = UnknownKey("this is not a private key in PEM");
        // OpenSSL writes the parameters of a curve before the key.
        let from = text.find("-----BEGIN EC PRIVATE KEY").unwrap_or(0);
        let text = text.get(from..).unwrap_or(text).trim();
        let (label, der) = pem::decode_vec(text.as_bytes()).map_err(|_| broken)?;
        match label {
            "PRIVATE KEY" => Self::of_pkcs8(&der).ok_or(broken),
            "RSA PRIVATE KEY" => {
                RsaPrivateKey::from_pkcs1_der(&der).map(|key| Self::Rsa(Box::new(key))).map_err(|_| broken)
            }
            "EC PRIVATE KEY" => Self::of_sec1(&der).ok_or(broken),
            "ENCRYPTED PRIVATE KEY" => {
                Err(UnknownKey("the private key is encrypted: give it without a password"))
            }
            label if label.ends_with("PUBLIC KEY") || label == "CERTIFICATE" => {
                Err(UnknownKey("this is a public key: signing takes the private one"))
            }
            _ => Err(broken),
        }
    }

    fn of_pkcs8(der: &[u8]) -> Option<Self> {
        let info = PrivateKeyInfoRef::from_der(der).ok()?;
        match info.algorithm.oid {
            RSA => Some(Self::Rsa(Box::new(RsaPrivateKey::from_pkcs8_der(der).ok()?))),
            EC => match info.algorithm.parameters?.decode_as::<ObjectIdentifier>().ok()? {
                SECP256R1 => {
                    p256::SecretKey::from_pkcs8_der(der).ok().map(|key| Self::P256(Box::new(key.into())))
                }
                SECP384R1 => {
                    p384::SecretKey::from_pkcs8_der(der).ok().map(|key| Self::P384(Box::new(key.into())))
                }
                SECP521R1 => {
                    p521::SecretKey::from_pkcs8_der(der).ok().map(|key| Self::P521(Box::new(key.into())))
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// The key names its curve, or only that curve's keys have its length.
    fn of_sec1(der: &[u8]) -> Option<Self> {
        p256::SecretKey::from_sec1_der(der)
            .map(|key| Self::P256(Box::new(key.into())))
            .or_else(|_| p384::SecretKey::from_sec1_der(der).map(|key| Self::P384(Box::new(key.into()))))
            .or_else(|_| p521::SecretKey::from_sec1_der(der).map(|key| Self::P521(Box::new(key.into()))))
            .ok()
    }

    /// Whether it is of the kind that the algorithm takes.
    pub(crate) fn is_for(&self, algorithm: Algorithm) -> bool {
        match (self, algorithm.family) {
            (Self::Secret(_), Family::Hmac) | (Self::Rsa(_), Family::RsaPkcs1 | Family::RsaPss { .. }) => {
                true
            }
            (Self::P256(_), Family::Ecdsa) => algorithm.bits == 256,
            (Self::P384(_), Family::Ecdsa) => algorithm.bits == 384,
            (Self::P521(_), Family::Ecdsa) => algorithm.bits == 512,
            _ => false,
        }
    }

    /// The signature of a message, as JSON Web Signatures have it.
    pub(crate) fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Result<Vec<u8>, UnknownKey> {
        if !self.is_for(algorithm) {
            return Err(UnknownKey("the key is not one for this algorithm"));
        }
        let digest = sha2(algorithm.bits, message);
        let failed = UnknownKey("signing by this key fails");
        match self {
            Self::Secret(secret) => Ok(match algorithm.bits {
                256 => hmac_sha256(secret, message),
                384 => hmac_sha384(secret, message),
                _ => hmac_sha512(secret, message),
            }),
            Self::Rsa(key) => match (algorithm.family, algorithm.bits) {
                (Family::RsaPkcs1, 256) => {
                    key.sign_with_rng(&mut SysRng, Pkcs1v15Sign::new::<Sha256>(), &digest)
                }
                (Family::RsaPkcs1, 384) => {
                    key.sign_with_rng(&mut SysRng, Pkcs1v15Sign::new::<Sha384>(), &digest)
                }
                (Family::RsaPkcs1, _) => {
                    key.sign_with_rng(&mut SysRng, Pkcs1v15Sign::new::<Sha512>(), &digest)
                }
                (_, 256) => key.sign_with_rng(&mut SysRng, Pss::<Sha256>::new(), &digest),
                (_, 384) => key.sign_with_rng(&mut SysRng, Pss::<Sha384>::new(), &digest),
                (_, _) => key.sign_with_rng(&mut SysRng, Pss::<Sha512>::new(), &digest),
            }
            .map_err(|_| failed),
            Self::P256(key) => {
                let signature: Result<p256::ecdsa::Signature, _> = key.sign_prehash(&digest);
                signature.map(|signature| signature.to_bytes().to_vec()).map_err(|_| failed)
            }
            Self::P384(key) => {
                let signature: Result<p384::ecdsa::Signature, _> = key.sign_prehash(&digest);
                signature.map(|signature| signature.to_bytes().to_vec()).map_err(|_| failed)
            }
            Self::P521(key) => {
                let signature: Result<p521::ecdsa::Signature, _> = key.sign_prehash(&digest);
                signature.map(|signature| signature.to_bytes().to_vec()).map_err(|_| failed)
            }
        }
    }
}
