//! Digests and message authentication codes.

use md5::Md5;
use regorus::Value;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::encoding::hex;
use super::operand::{operands, text};
use super::{Builtin, Outcome, Surroundings};
use crate::signature::{are_equal, hmac_md5, hmac_sha1, hmac_sha256, hmac_sha512};

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

fn equal(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [left, right] = operands(arguments)?;
    let (left, right) = (text(left, 1)?, text(right, 2)?);
    surroundings.work.spend_on_text(left.len() + right.len())?;
    Ok(Value::from(are_equal(left.as_bytes(), right.as_bytes())))
}
