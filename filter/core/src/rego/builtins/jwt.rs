//! JSON Web Tokens.

use regorus::Value;

use super::comparison::compare;
use super::encoding::{base64url, decoded, hex};
use super::json_text;
use super::jwk::{NamedKey, keys};
use super::operand::{elements, mismatch, number, operands, text};
use super::{Builtin, Dependence, Failure, Outcome, Surroundings, Work};
use crate::rego::order::sorted_entries;
use crate::signature::{Algorithm, Family, Key, are_equal, hmac_sha256, hmac_sha384, hmac_sha512};

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin::new("io.jwt.decode", 1, decode),
    Builtin::new("io.jwt.decode_verify", 2, decode_verify).depending(Dependence::Clock),
    Builtin::new("io.jwt.verify_hs256", 2, |s, a| verify_secret(s, a, hmac_sha256)),
    Builtin::new("io.jwt.verify_hs384", 2, |s, a| verify_secret(s, a, hmac_sha384)),
    Builtin::new("io.jwt.verify_hs512", 2, |s, a| verify_secret(s, a, hmac_sha512)),
    Builtin::new("io.jwt.verify_rs256", 2, |s, a| verify(s, a, Family::RsaPkcs1, 256)),
    Builtin::new("io.jwt.verify_rs384", 2, |s, a| verify(s, a, Family::RsaPkcs1, 384)),
    Builtin::new("io.jwt.verify_rs512", 2, |s, a| verify(s, a, Family::RsaPkcs1, 512)),
    Builtin::new("io.jwt.verify_ps256", 2, |s, a| verify(s, a, Family::RsaPss { any_salt: true }, 256)),
    Builtin::new("io.jwt.verify_ps384", 2, |s, a| verify(s, a, Family::RsaPss { any_salt: true }, 384)),
    Builtin::new("io.jwt.verify_ps512", 2, |s, a| verify(s, a, Family::RsaPss { any_salt: true }, 512)),
    Builtin::new("io.jwt.verify_es256", 2, |s, a| verify(s, a, Family::Ecdsa, 256)),
    Builtin::new("io.jwt.verify_es384", 2, |s, a| verify(s, a, Family::Ecdsa, 384)),
    Builtin::new("io.jwt.verify_es512", 2, |s, a| verify(s, a, Family::Ecdsa, 512)),
    Builtin::new("io.jwt.verify_eddsa", 2, |s, a| verify(s, a, Family::EdDsa, 0)),
];

/// The three parts of a token, as they came.
struct Token<'t> {
    header: &'t str,
    payload: &'t str,
    signature: &'t str,
}

/// What a header says. A field that is not there is empty.
#[derive(Default)]
struct Header {
    algorithm: String,
    key_id: String,
    content_type: String,
    critical: Vec<String>,
    unknown: Vec<String>,
}

/// What `decode_verify` is asked to hold.
#[derive(Default)]
struct Constraints {
    keys: Option<Vec<NamedKey>>,
    secret: String,
    algorithm: String,
    issuer: String,
    audience: String,
    /// In nanoseconds.
    time: Option<f64>,
}

// === impl Token ===

impl<'t> Token<'t> {
    fn split(text: &'t str) -> Result<Self, Failure> {
        let mut parts = text.split('.');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(header), Some(payload), Some(signature), None) => Ok(Self { header, payload, signature }),
            _ => Err(Failure::undefined("encoded JWT must have 3 sections")),
        }
    }

    fn decode_header(&self, work: &mut Work) -> Outcome {
        let header = object(self.header, work)?;
        if member(&header, "enc").is_some() {
            return Err(Failure::undefined("JWT is a JWE object, which is not supported"));
        }
        Ok(header)
    }

    /// What is signed.
    fn message(&self) -> Vec<u8> {
        format!("{}.{}", self.header, self.payload).into_bytes()
    }
}

/// An object in Base64url.
fn object(part: &str, work: &mut Work) -> Outcome {
    let text = decoded_text(part, work)?;
    parse_object(&text, work)
}

fn decoded_text(part: &str, work: &mut Work) -> Result<String, Failure> {
    let value = decoded(base64url(part, work)?)?;
    text(&value, 1).map(|text| text.to_string())
}

fn parse_object(text: &str, work: &mut Work) -> Outcome {
    let value = json_text::parse(text, work)?;
    if matches!(value, Value::Object(_)) {
        Ok(value)
    } else {
        Err(Failure::undefined("decoded JSON type was not an Object"))
    }
}

fn member<'v>(object: &'v Value, name: &str) -> Option<&'v Value> {
    let Value::Object(members) = object else { return None };
    members.get(&Value::from(name))
}

// === impl Header ===

impl Header {
    fn read(object: &Value) -> Result<Self, Failure> {
        let mut header = Self::default();
        let Value::Object(members) = object else { return Ok(header) };
        for (name, value) in members.iter() {
            let Value::String(name) = name else { continue };
            let mut field = String::new();
            let place = match &**name {
                "alg" => &mut header.algorithm,
                "kid" => &mut header.key_id,
                "typ" => &mut field,
                "cty" => &mut header.content_type,
                "crit" => {
                    header.critical = critical(value)?;
                    continue;
                }
                other => {
                    header.unknown.push(other.to_owned());
                    continue;
                }
            };
            let Value::String(text) = value else {
                return Err(Failure::undefined(format!("{name}: must be a string")));
            };
            *place = text.to_string();
        }
        Ok(header)
    }

    /// There must be an algorithm, and nothing critical that is not understood.
    fn is_valid(&self) -> bool {
        !self.algorithm.is_empty() && !self.unknown.iter().any(|name| self.critical.contains(name))
    }
}

/// A list of names; what follows something else in it is not read.
fn critical(value: &Value) -> Result<Vec<String>, Failure> {
    let Value::Array(items) = value else { return Err(Failure::undefined("crit: must be a list")) };
    let mut names = Vec::new();
    for item in items.iter() {
        let Value::String(name) = item else { break };
        names.push(name.to_string());
    }
    if names.is_empty() { Err(Failure::undefined("crit: must be a nonempty list")) } else { Ok(names) }
}

/// Header, payload and signature of a token, of the innermost one where tokens hold tokens.
fn decode(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [value] = operands(arguments)?;
    let mut encoded = text(value, 1)?.to_string();
    let work = &mut surroundings.work;
    loop {
        work.spend_on_new_text(encoded.len())?;
        let token = Token::split(&encoded)?;
        let header = token.decode_header(work)?;
        let nested = match member(&header, "cty") {
            None => false,
            Some(Value::String(content_type)) => &**content_type == "JWT",
            Some(_) => return Err(Failure::fatal("a `cty` that is no string halts OPA")),
        };
        if nested {
            let payload = decoded_text(token.payload, work)?;
            encoded = payload.trim_matches(['"', '\'']).to_owned();
            continue;
        }
        let payload = object(token.payload, work)?;
        let signature = hex(&base64url(token.signature, work)?);
        return Ok(Value::from(vec![header, payload, Value::from(signature)]));
    }
}

fn verify_secret(
    surroundings: &mut Surroundings,
    arguments: &[Value],
    code: fn(&[u8], &[u8]) -> Vec<u8>,
) -> Outcome {
    let [token, secret] = operands(arguments)?;
    let (token, secret) = (text(token, 1)?, text(secret, 2)?);
    let work = &mut surroundings.work;
    let token = Token::split(token)?;
    let message = token.message();
    work.spend(100 + (message.len() + secret.len()) as u64 / 4)?;
    let signature = base64url(token.signature, work)?;
    Ok(Value::from(are_equal(&signature, &code(secret.as_bytes(), &message))))
}

/// Verifies by the key of the token's id, or else by any key that is not of another algorithm.
fn verify(surroundings: &mut Surroundings, arguments: &[Value], family: Family, bits: u32) -> Outcome {
    let [encoded, key] = operands(arguments)?;
    let token = Token::split(text(encoded, 1)?)?;
    let work = &mut surroundings.work;
    let keys = keys(text(key, 2)?, work)?;
    let signature = base64url(token.signature, work)?;
    let header = Header::read(&token.decode_header(work)?)?;
    let message = token.message();
    let algorithm = Algorithm { family, bits };
    for key in candidates(&keys, &header) {
        work.spend(key.cost(algorithm, message.len()))?;
        if key.verifies(algorithm, &message, &signature)? {
            return Ok(Value::from(true));
        }
    }
    Ok(Value::from(false))
}

fn candidates<'k>(keys: &'k [NamedKey], header: &Header) -> Vec<&'k Key> {
    let named = keys.iter().find(|key| !header.key_id.is_empty() && key.id == header.key_id);
    match named {
        Some(named) => vec![&named.key],
        None => keys
            .iter()
            .filter(|key| key.algorithm.is_empty() || key.algorithm == header.algorithm)
            .map(|key| &key.key)
            .collect(),
    }
}

// === impl Constraints ===

impl Constraints {
    fn read(value: &Value, surroundings: &mut Surroundings) -> Result<Self, Failure> {
        let Value::Object(entries) = value else { return Err(mismatch(2, "object", value)) };
        surroundings.work.spend(entries.len() as u64)?;
        let mut constraints = Self::default();
        for (name, value) in sorted_entries(entries.iter()) {
            let Value::String(name) = name else {
                return Err(Failure::fatal("a constraint whose name is no string halts OPA"));
            };
            let string = || {
                let Value::String(text) = value else {
                    return Err(Failure::undefined(format!("{name} constraint: must be a string")));
                };
                Ok(text.to_string())
            };
            match &**name {
                "cert" => constraints.keys = Some(keys(&string()?, &mut surroundings.work)?),
                "secret" => constraints.secret = string()?,
                "alg" => constraints.algorithm = string()?,
                "iss" => constraints.issuer = string()?,
                "aud" => constraints.audience = string()?,
                "time" => {
                    let time = number(value, 1)?.to_f64().filter(|time| *time >= 0.0);
                    constraints.time =
                        Some(time.ok_or_else(|| {
                            Failure::undefined("token time constraint: must not be negative")
                        })?);
                }
                other => {
                    return Err(Failure::undefined(format!("unknown token validation constraint: {other}")));
                }
            }
        }
        match (constraints.keys.is_some(), !constraints.secret.is_empty()) {
            (true, true) => Err(Failure::undefined("duplicate key constraints")),
            (false, false) => Err(Failure::undefined("no key constraint")),
            (true, false) | (false, true) => Ok(constraints),
        }
    }

    fn verify(
        &self,
        header: &Header,
        token: &Token<'_>,
        signature: &[u8],
        work: &mut Work,
    ) -> Result<bool, Failure> {
        let Some(algorithm) = Algorithm::named(&header.algorithm) else {
            // OPA's library has names of its own for the same algorithms, which no token bears.
            return if header.algorithm.contains("_WITH_") {
                Err(Failure::fatal(format!("the algorithm `{}` is not known here", header.algorithm)))
            } else {
                Ok(false)
            };
        };
        let message = token.message();
        let secret = Key::Secret(self.secret.clone().into_bytes());
        let candidates = match &self.keys {
            Some(keys) => candidates(keys, header),
            None => vec![&secret],
        };
        for key in candidates {
            if !key.fits(algorithm, signature) {
                continue;
            }
            work.spend(key.cost(algorithm, message.len()))?;
            if key.verifies(algorithm, &message, signature)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn allows_audience(&self, audience: &Value) -> bool {
        let is_it = |audience: &Value| matches!(audience, Value::String(text) if **text == *self.audience);
        if matches!(audience, Value::Array(_)) {
            return elements(audience).unwrap_or_default().into_iter().any(is_it);
        }
        is_it(audience)
    }

    /// Whether the claims of a token that is signed meet the constraints.
    fn allow(&self, payload: &Value, now_ns: i64, work: &mut Work) -> Result<bool, Failure> {
        if !self.issuer.is_empty() {
            match member(payload, "iss") {
                Some(Value::String(issuer)) if **issuer == *self.issuer => {}
                Some(Value::String(_)) | None => return Ok(false),
                Some(_) => return Err(Failure::fatal("an `iss` that is no string halts OPA")),
            }
        }
        match member(payload, "aud") {
            Some(audience) if !self.allows_audience(audience) => return Ok(false),
            None if !self.audience.is_empty() => return Ok(false),
            Some(_) | None => {}
        }
        let now = Value::from(self.time.unwrap_or(now_ns as f64) / 1_000_000_000.0);
        let order = |name: &str, work: &mut Work| match member(payload, name) {
            None => Ok(None),
            Some(time @ Value::Number(_)) => compare(&now, time, work).map(Some),
            Some(_) => Err(Failure::undefined(format!("{name} value must be a number"))),
        };
        if order("exp", work)?.is_some_and(|order| !order.is_lt()) {
            return Ok(false);
        }
        Ok(!order("nbf", work)?.is_some_and(|order| order.is_lt()))
    }
}

fn decode_verify(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [value, constraints] = operands(arguments)?;
    let constraints = Constraints::read(constraints, surroundings)?;
    let now_ns = surroundings.now_ns;
    if constraints.time.is_none() && now_ns < 0 {
        return Err(Failure::undefined("token time constraint: must not be negative"));
    }
    let work = &mut surroundings.work;
    let unverified = || Value::from(vec![Value::from(false), Value::new_object(), Value::new_object()]);
    let mut encoded = text(value, 1)?.to_string();
    let (header, payload) = loop {
        work.spend_on_new_text(encoded.len())?;
        let token = Token::split(&encoded)?;
        let object = token.decode_header(work)?;
        let header = Header::read(&object)?;
        let is_other = !constraints.algorithm.is_empty() && constraints.algorithm != header.algorithm;
        if !header.is_valid() || is_other {
            return Ok(unverified());
        }
        let signature = base64url(token.signature, work)?;
        if !constraints.verify(&header, &token, &signature, work)? {
            return Ok(unverified());
        }
        let payload = decoded_text(token.payload, work)?;
        // A token within the token is verified too.
        if !header.content_type.eq_ignore_ascii_case("JWT") {
            break (object, payload);
        }
        encoded = payload;
    };
    let payload = parse_object(&payload, work)?;
    if !constraints.allow(&payload, now_ns, work)? {
        return Ok(unverified());
    }
    Ok(Value::from(vec![Value::from(true), header, payload]))
}
