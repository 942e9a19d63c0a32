//! Digests and message authentication codes.

use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use md5::Md5;
use regorus::Value;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};

use super::encoding::hex;
use super::operand::{operands, text};
use super::{Builtin, Failure, Outcome, Surroundings};

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin::new("crypto.md5", 1, |s, a| digest(s, a, |bytes| Md5::digest(bytes).to_vec())),
    Builtin::new("crypto.sha1", 1, |s, a| digest(s, a, |bytes| Sha1::digest(bytes).to_vec())),
    Builtin::new("crypto.sha256", 1, |s, a| digest(s, a, |bytes| Sha256::digest(bytes).to_vec())),
    Builtin::new("crypto.hmac.md5", 2, |s, a| authentication_code(s, a, hmac_md5)),
    Builtin::new("crypto.hmac.sha1", 2, |s, a| authentication_code(s, a, hmac_sha1)),
    Builtin::new("crypto.hmac.sha256", 2, |s, a| authentication_code(s, a, hmac_sha256)),
    Builtin::new("crypto.hmac.sha512", 2, |s, a| authentication_code(s, a, hmac_sha512)),
    Builtin::new("crypto.hmac.equal", 2, equal),
];

fn digest(surroundings: &mut Surroundings, arguments: &[Value], hash: fn(&[u8]) -> Vec<u8>) -> Outcome {
    let [value] = operands(arguments)?;
    let text = text(value, 1)?;
    surroundings.work.spend(20 + text.len() as u64 / 4)?;
    Ok(Value::from(hex(&hash(text.as_bytes()))))
}

fn authentication_code(
    surroundings: &mut Surroundings,
    arguments: &[Value],
    code: fn(&[u8], &[u8]) -> Vec<u8>,
) -> Outcome {
    let [message, key] = operands(arguments)?;
    let (message, key) = (text(message, 1)?, text(key, 2)?);
    surroundings.work.spend(80 + (message.len() + key.len()) as u64 / 4)?;
    Ok(Value::from(hex(&code(key.as_bytes(), message.as_bytes()))))
}

/// The code of a message, by key and message.
macro_rules! code {
    ($name:ident, $digest:ty) => {
        pub(super) fn $name(key: &[u8], message: &[u8]) -> Vec<u8> {
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

fn equal(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [left, right] = operands(arguments)?;
    let (left, right) = (text(left, 1)?, text(right, 2)?);
    surroundings.work.spend_on_text(left.len() + right.len())?;
    Ok(Value::from(are_equal(left.as_bytes(), right.as_bytes())))
}

/// Compares in a time that does not tell where two codes differ.
pub(super) fn are_equal(left: &[u8], right: &[u8]) -> bool {
    let differences = left.iter().zip(right).fold(0, |all, (left, right)| all | (left ^ right));
    left.len() == right.len() && std::hint::black_box(differences) == 0
}

/// A digest of no bytes is a mistake of this module, not of a policy.
pub(super) fn sha2(bits: u32, message: &[u8]) -> Result<Vec<u8>, Failure> {
    match bits {
        256 => Ok(Sha256::digest(message).to_vec()),
        384 => Ok(Sha384::digest(message).to_vec()),
        512 => Ok(Sha512::digest(message).to_vec()),
        _ => Err(Failure::fatal("a digest of this length is not known")),
    }
}
