//! Public keys in PEM, as operators keep them.

use x509_cert::der::pem;

use super::{Key, UnknownKey, rsa_numbers};

impl Key {
    /// The public key of one PEM block: a certificate, or a key in the form of PKIX or of PKCS #1.
    pub(crate) fn of_pem(text: &str) -> Result<Self, UnknownKey> {
        let broken = UnknownKey(
            "this is not a public key in PEM: `-----BEGIN PUBLIC KEY-----` and so on, line by line",
        );
        let (label, der) = pem::decode_vec(text.trim().as_bytes()).map_err(|_| broken)?;
        match label {
            "CERTIFICATE" => Self::of_certificate(&der),
            "PUBLIC KEY" => Self::of_info(&der),
            "RSA PUBLIC KEY" => {
                let (modulus, exponent) =
                    rsa_numbers(&der).ok_or(UnknownKey("this RSA key is not readable"))?;
                Ok(Self::Rsa { modulus, exponent })
            }
            label if label.ends_with("PRIVATE KEY") => Err(UnknownKey(
                "this is a private key: whoever reads it here could sign bundles; give the public key that belongs to it",
            )),
            _ => Err(UnknownKey("a public key is wanted, or a certificate")),
        }
    }

    /// How many bits an RSA key has.
    pub(crate) fn rsa_bits(&self) -> Option<usize> {
        match self {
            Self::Rsa { modulus, .. } => {
                let modulus = super::without_zeros(modulus);
                let zeros = modulus.first().map_or(0, |byte| byte.leading_zeros() as usize);
                Some(modulus.len() * 8 - zeros)
            }
            Self::P256(_) | Self::P384(_) | Self::P521(_) | Self::Ed25519(_) | Self::Secret(_) => None,
        }
    }
}
