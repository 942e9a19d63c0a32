//! The digest of a file, as OPA takes it: of the bytes, or of the meaning where the file is structured.

use regorus::Value;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512, Sha512_224, Sha512_256};

use super::canonical::{canonical, write_text};
use crate::{pace::Pace, policy::Data};

/// An algorithm of digests that is good enough for a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DigestAlgorithm {
    Sha224,
    Sha256,
    Sha384,
    Sha512,
    Sha512_224,
    Sha512_256,
}

/// A digest that is being computed.
trait Running {
    fn add(&mut self, bytes: &[u8]);
    fn finish(self: Box<Self>) -> Vec<u8>;
}

/// How many bytes are hashed between two places where work gives way.
const BYTES_AT_A_TIME: usize = 64 << 10;

impl<D: Digest> Running for D {
    fn add(&mut self, bytes: &[u8]) {
        Digest::update(self, bytes);
    }

    fn finish(self: Box<Self>) -> Vec<u8> {
        (*self).finalize().to_vec()
    }
}

// === impl DigestAlgorithm ===

impl DigestAlgorithm {
    /// The algorithm of that name in a signature.
    pub(super) fn named(name: &str) -> Result<Self, String> {
        match name {
            "SHA-224" => Ok(Self::Sha224),
            "SHA-256" => Ok(Self::Sha256),
            "SHA-384" => Ok(Self::Sha384),
            "SHA-512" => Ok(Self::Sha512),
            "SHA-512-224" => Ok(Self::Sha512_224),
            "SHA-512-256" => Ok(Self::Sha512_256),
            "MD5" | "SHA-1" => Err(format!("{name} is broken: files can be made to fit a digest of it")),
            "" => Err("no algorithm is named".to_owned()),
            _ => Err(format!("the algorithm `{name}` is not known")),
        }
    }

    fn start(self) -> Box<dyn Running> {
        match self {
            Self::Sha224 => Box::new(Sha224::new()),
            Self::Sha256 => Box::new(Sha256::new()),
            Self::Sha384 => Box::new(Sha384::new()),
            Self::Sha512 => Box::new(Sha512::new()),
            Self::Sha512_224 => Box::new(Sha512_224::new()),
            Self::Sha512_256 => Box::new(Sha512_256::new()),
        }
    }

    /// The digest of the file at `path`, in hex.
    pub(super) async fn of_file(self, path: &str, content: &[u8], pace: &Pace) -> Result<String, String> {
        let mut running = self.start();
        let name = path.rsplit('/').next().unwrap_or(path);
        match name {
            "data.json" | ".manifest" => {
                canonical(text(content)?, &mut |bytes| running.add(bytes), pace).await?;
            }
            "data.yaml" | "data.yml" => of_yaml(text(content)?, &mut *running, pace).await?,
            _ => {
                for bytes in content.chunks(BYTES_AT_A_TIME) {
                    running.add(bytes);
                    pace.give_way().await;
                }
            }
        }
        Ok(super::hex(&running.finish()))
    }
}

fn text(content: &[u8]) -> Result<&str, String> {
    let text = std::str::from_utf8(content).map_err(|error| format!("this is not UTF-8: {error}"))?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// YAML is hashed by what it means to us: what means something else to whoever signed it has another digest.
async fn of_yaml(text: &str, running: &mut dyn Running, pace: &Pace) -> Result<(), String> {
    let mut json = Vec::new();
    if canonical(text, &mut |bytes| json.extend_from_slice(bytes), pace).await.is_err() {
        json.clear();
        let data = Data::from_yaml(text).map_err(|error| error.to_string())?;
        write_value(data.value(), &mut json)?;
    }
    for bytes in json.chunks(BYTES_AT_A_TIME) {
        running.add(bytes);
        pace.give_way().await;
    }
    Ok(())
}

fn write_value(value: &Value, out: &mut Vec<u8>) -> Result<(), String> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => out.extend_from_slice(number_text(number)?.as_bytes()),
        Value::String(text) => write_text(text, out),
        Value::Array(items) => {
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_value(item, out)?;
            }
            out.push(b']');
        }
        Value::Object(members) => {
            let mut sorted = Vec::new();
            for (key, value) in members.iter() {
                let Value::String(key) = key else {
                    return Err("keys of signed YAML must be strings: quote them".to_owned());
                };
                sorted.push((&**key, value));
            }
            sorted.sort_by_key(|(key, _)| *key);
            out.push(b'{');
            for (at, (key, value)) in sorted.into_iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_text(key, out);
                out.push(b':');
                write_value(value, out)?;
            }
            out.push(b'}');
        }
        Value::Set(_) | Value::Undefined => return Err("YAML has no such value".to_owned()),
    }
    Ok(())
}

/// A number as Go writes it that comes out of YAML: as an integer, or as the shortest decimal of the float.
fn number_text(number: &regorus::Number) -> Result<String, String> {
    if let Some(integer) = number.as_i64() {
        return Ok(integer.to_string());
    }
    if let Some(integer) = number.as_u64() {
        return Ok(integer.to_string());
    }
    let float = number.as_f64().filter(|float| float.is_finite()).ok_or("a number is too large")?;
    let size = float.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{float:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let sign = if exponent.starts_with('-') { "" } else { "+" };
        return Ok(format!("{digits}e{sign}{exponent}"));
    }
    Ok(format!("{float}"))
}
