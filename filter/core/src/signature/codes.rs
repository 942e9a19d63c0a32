//! Digests and message authentication codes, as plain functions.

use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};

/// The code of a message, by key and message.
macro_rules! code {
    ($name:ident, $digest:ty) => {
        pub(crate) fn $name(key: &[u8], message: &[u8]) -> Vec<u8> {
            // Keys of any length are taken.
            let Ok(mut mac) = Hmac::<$digest>::new_from_slice(key) else { return Vec::new() };
            mac.update(message);
            mac.finalize().into_bytes().to_vec()
        }
    };
}

code!(hmac_md5, Md5);
code!(hmac_sha1, Sha1);
code!(hmac_sha256, Sha256);
code!(hmac_sha384, Sha384);
code!(hmac_sha512, Sha512);

/// Compares in a time that does not tell where two codes differ.
pub(crate) fn are_equal(left: &[u8], right: &[u8]) -> bool {
    let differences = left.iter().zip(right).fold(0, |all, (left, right)| all | (left ^ right));
    left.len() == right.len() && std::hint::black_box(differences) == 0
}

/// SHA-256, SHA-384, or else SHA-512.
pub(super) fn sha2(bits: u32, message: &[u8]) -> Vec<u8> {
    match bits {
        256 => Sha256::digest(message).to_vec(),
        384 => Sha384::digest(message).to_vec(),
        _ => Sha512::digest(message).to_vec(),
    }
}
