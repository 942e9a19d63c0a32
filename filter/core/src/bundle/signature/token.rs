//! The one JSON Web Signature of a bundle.

use base64ct::{Base64UrlUnpadded, Encoding};
use serde::Deserialize;
use serde_json::Value;

use super::verify::SignatureError;

/// A signature as it came: nothing in it is true before it is verified.
pub(super) struct Token {
    /// The key that its header names.
    pub(super) key_id: Option<String>,
    /// What is signed.
    pub(super) message: Vec<u8>,
    pub(super) payload: Payload,
    pub(super) signature: Vec<u8>,
}

/// What is signed, as far as it is read.
#[derive(Deserialize)]
pub(super) struct Payload {
    #[serde(default)]
    pub(super) files: Option<Vec<SignedFile>>,
    #[serde(default)]
    pub(super) scope: Option<String>,
    /// The older place of the key's id.
    #[serde(default)]
    pub(super) keyid: Option<String>,
    #[serde(default)]
    pub(super) iat: Option<i64>,
}

/// A file that belongs to the bundle.
#[derive(Deserialize)]
pub(super) struct SignedFile {
    pub(super) name: String,
    pub(super) hash: String,
    #[serde(default)]
    pub(super) algorithm: String,
}

#[derive(Deserialize)]
struct SignatureFile {
    #[serde(default)]
    signatures: Option<Vec<String>>,
    #[serde(default)]
    plugin: Option<String>,
}

#[derive(Deserialize)]
struct Header {
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    crit: Option<Value>,
    #[serde(default)]
    b64: Option<Value>,
}

/// The plugin that OPA writes down for signatures of this form.
const DEFAULT_PLUGIN: &str = "_default";

// === impl Token ===

impl Token {
    /// The text of the one signature in a signature file; nothing where the file is as good as none.
    pub(super) fn find(file: &[u8]) -> Result<Option<String>, SignatureError> {
        let file: SignatureFile =
            serde_json::from_slice(file).map_err(|error| SignatureError::unreadable(&error.to_string()))?;
        let plugin = file.plugin.filter(|plugin| !plugin.is_empty());
        if let Some(plugin) = plugin.as_deref().filter(|plugin| *plugin != DEFAULT_PLUGIN) {
            return Err(SignatureError::unreadable(&format!("the plugin `{plugin}` is not known")));
        }
        let Some(signatures) = file.signatures else {
            return if plugin.is_none() { Ok(None) } else { Err(SignatureError::Count(0)) };
        };
        let count = signatures.len();
        match (signatures.into_iter().next(), count) {
            (Some(only), 1) => Ok(Some(only)),
            _ => Err(SignatureError::Count(count)),
        }
    }

    pub(super) fn parse(text: &str) -> Result<Self, SignatureError> {
        let unreadable = SignatureError::unreadable;
        let mut parts = text.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(unreadable("the signature is not a compact JSON Web Signature of three parts"));
        };
        let decode = |part: &str, what: &str| {
            Base64UrlUnpadded::decode_vec(part).map_err(|_| unreadable(&format!("{what} is not Base64url")))
        };
        let of_json = |what: &str, error: serde_json::Error| unreadable(&format!("{what}: {error}"));
        let fields: Header = serde_json::from_slice(&decode(header, "the header")?)
            .map_err(|error| of_json("the header", error))?;
        if fields.crit.is_some() || fields.b64.is_some() {
            return Err(unreadable("the header asks for an extension of JSON Web Signatures"));
        }
        let read: Payload = serde_json::from_slice(&decode(payload, "the payload")?)
            .map_err(|error| of_json("the payload", error))?;
        Ok(Self {
            key_id: fields.kid,
            message: format!("{header}.{payload}").into_bytes(),
            payload: read,
            signature: decode(signature, "the signature")?,
        })
    }

    /// The id of the key that it says it is by: OPA's order.
    pub(super) fn key_id(&self) -> Option<&str> {
        let given = |id: &&String| !id.is_empty();
        let named = self.key_id.as_ref().filter(given).or(self.payload.keyid.as_ref().filter(given));
        named.map(String::as_str)
    }
}
