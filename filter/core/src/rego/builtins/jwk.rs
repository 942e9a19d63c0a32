//! Keys as policies give them: PEM, or JSON Web Keys.

use regorus::Value;

use super::encoding::{base64, base64url};
use super::json_text;
use super::{Failure, Work};
use crate::signature::{Algorithm, Key};

/// A key, and what a set of keys says about it.
pub(super) struct NamedKey {
    pub(super) algorithm: String,
    pub(super) id: String,
    pub(super) key: Key,
}

/// More keys of a set are not read.
const MOST_KEYS: usize = 500;

/// Reads a certificate or a public key in PEM, a key in JSON, or a set of them.
pub(super) fn keys(text: &str, work: &mut Work) -> Result<Vec<NamedKey>, Failure> {
    work.spend(200 + text.len() as u64)?;
    if text.contains("-----BEGIN ") {
        let key = pem(text, work)?;
        return Ok(vec![NamedKey { algorithm: String::new(), id: String::new(), key }]);
    }
    let value = json_text::parse(text, work)?;
    let Value::Object(members) = &value else {
        return Err(Failure::undefined("a JSON Web Key is an object"));
    };
    match members.get(&Value::from("keys")) {
        None => Ok(jwk(&value, work)?.into_iter().collect()),
        Some(Value::Array(keys)) if keys.len() <= MOST_KEYS => {
            let mut named = Vec::new();
            for key in keys.iter() {
                named.extend(jwk(key, work)?);
            }
            Ok(named)
        }
        Some(_) => Err(unknown()),
    }
}

fn unknown() -> Failure {
    Failure::fatal(
        "a key of this form is not known here: give a certificate or public key in PEM, or a plain JSON Web Key",
    )
}

/// One block, from the first byte to the last.
fn pem(text: &str, work: &mut Work) -> Result<Key, Failure> {
    let rest = text.strip_prefix("-----BEGIN ").ok_or_else(unknown)?;
    let (label, rest) =
        rest.split_once("-----\n").or_else(|| rest.split_once("-----\r\n")).ok_or_else(unknown)?;
    let (body, rest) = rest.split_once("-----END ").ok_or_else(unknown)?;
    let rest = rest.strip_prefix(label).and_then(|rest| rest.strip_prefix("-----")).ok_or_else(unknown)?;
    let rest = rest.strip_prefix("\r\n").or_else(|| rest.strip_prefix('\n')).unwrap_or(rest);
    if !rest.is_empty() {
        return Err(Failure::undefined("extra data after a PEM block"));
    }
    if body.contains([':', ' ', '\t', '-']) {
        return Err(unknown());
    }
    let der = base64(body, false, work).map_err(|_| unknown())?;
    match label {
        "CERTIFICATE" => Ok(Key::of_certificate(&der)?),
        "PUBLIC KEY" => Ok(Key::of_info(&der)?),
        _ => Err(Failure::undefined("no certificate and no public key in PEM")),
    }
}

/// A key, or nothing for one of an algorithm that OPA passes over.
fn jwk(value: &Value, work: &mut Work) -> Result<Option<NamedKey>, Failure> {
    let Value::Object(members) = value else { return Err(unknown()) };
    let member = |name: &str| members.get(&Value::from(name));
    let text = |name: &str| match member(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(&**text)),
        Some(_) => Err(unknown()),
    };
    if member("d").is_some() {
        return Err(Failure::fatal("a private key is no key to verify with"));
    }
    let bytes = |name: &str, work: &mut Work| {
        let text = text(name)?.ok_or_else(|| Failure::undefined("a JSON Web Key lacks a part"))?;
        if text.is_empty() || text.contains(['=', '+', '/', '\n', '\r']) {
            return Err(unknown());
        }
        base64url(text, work).map_err(|_| unknown())
    };
    let kind = text("kty")?.ok_or_else(|| Failure::undefined("a JSON Web Key lacks `kty`"))?;
    text("use")?;
    let key = match kind {
        "RSA" => Key::Rsa { modulus: bytes("n", work)?, exponent: bytes("e", work)? },
        "EC" => {
            let curve = text("crv")?.ok_or_else(unknown)?;
            let size = match curve {
                "P-256" => 32,
                "P-384" => 48,
                "P-521" => 66,
                _ => return Err(unknown()),
            };
            let (x, y) = (bytes("x", work)?, bytes("y", work)?);
            if x.len() != size || y.len() != size {
                return Err(unknown());
            }
            Key::on_curve(curve, &[vec![4], x, y].concat())
                .ok_or_else(|| Failure::undefined("a point that is not on its curve"))?
        }
        "OKP" if text("crv")? == Some("Ed25519") => Key::ed25519(&bytes("x", work)?).ok_or_else(unknown)?,
        "oct" => Key::Secret(bytes("k", work)?),
        _ => return Err(unknown()),
    };
    let algorithm = text("alg")?.unwrap_or_default();
    if !algorithm.is_empty() && (Algorithm::named(algorithm).is_none() || algorithm == "Ed25519") {
        return match algorithm {
            "RSA-OAEP" | "RSA-OAEP-256" | "RSA1_5" | "ECDH-ES" | "dir" | "A256KW" => Ok(None),
            _ => Err(unknown()),
        };
    }
    let id = text("kid")?.unwrap_or_default();
    Ok(Some(NamedKey { algorithm: algorithm.to_owned(), id: id.to_owned(), key }))
}
