//! `.manifest`: what a bundle says of itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::policy::Dialect;

/// The manifest of a bundle. Keys that OPA knows and this version has no use for are read and left alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The author's name for this version of the bundle.
    #[serde(default)]
    pub revision: String,
    /// The paths below `data` that the bundle owns.
    #[serde(default = "everything")]
    pub roots: Vec<String>,
    /// The Rego version of its modules: 0 or 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rego_version: Option<u8>,
    /// The Rego version of single modules, by path; stronger than `rego_version`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub file_rego_versions: BTreeMap<String, u8>,
    /// The author's own notes.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub metadata: serde_json::Value,
}

fn everything() -> Vec<String> {
    vec![String::new()]
}

impl Default for Manifest {
    fn default() -> Self {
        Self {
            revision: String::new(),
            roots: everything(),
            rego_version: None,
            file_rego_versions: BTreeMap::new(),
            metadata: serde_json::Value::Null,
        }
    }
}

// === impl Manifest ===

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// When it is not one, or names a version of Rego that there is not.
    pub fn parse(text: &str) -> Result<Self, String> {
        let manifest: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let versions = manifest.rego_version.iter().chain(manifest.file_rego_versions.values());
        match versions.into_iter().find(|version| **version > 1) {
            Some(version) => Err(format!("there is no Rego version {version}: 0 or 1")),
            None => Ok(manifest),
        }
    }

    /// The dialect that the manifest binds the module at `path` to. A pattern of `file_rego_versions` is a path with
    /// `*` for any run of characters but slashes.
    pub fn dialect_of(&self, path: &str) -> Option<Dialect> {
        let path = path.trim_start_matches('/');
        let by_file = self
            .file_rego_versions
            .iter()
            .find(|(pattern, _)| glob_matches(pattern.trim_start_matches('/').as_bytes(), path.as_bytes()))
            .map(|(_, version)| *version);
        by_file.or(self.rego_version).map(|version| if version == 0 { Dialect::V0 } else { Dialect::V1 })
    }

    /// Whether `path` (segments below `data`) lies under one of the roots, compared by whole segments.
    pub fn owns(&self, path: &[String]) -> bool {
        self.roots.iter().any(|root| {
            let root = root.trim_matches('/');
            root.is_empty()
                || path.len() >= root.split('/').count() && root.split('/').zip(path).all(|(a, b)| a == b)
        })
    }
}

fn glob_matches(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) if glob_matches(rest, text) => true,
        (Some((b'*', _)), Some((byte, tail))) => *byte != b'/' && glob_matches(pattern, tail),
        (Some((expected, rest)), Some((byte, tail))) => expected == byte && glob_matches(rest, tail),
        (None, Some(_)) | (Some(_), None) => false,
    }
}
