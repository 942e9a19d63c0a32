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

/// The most patterns with a `*`: each is tried with each module.
const MAX_PATTERNS: usize = 64;

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
        let patterns = manifest.file_rego_versions.keys().filter(|pattern| pattern.contains('*')).count();
        if patterns > MAX_PATTERNS {
            return Err(format!("`file_rego_versions` has {patterns} patterns, more than {MAX_PATTERNS}"));
        }
        let unknown = |pattern: &&String| pattern.contains(['?', '[', '{', '\\']);
        if let Some(pattern) = manifest.file_rego_versions.keys().find(unknown) {
            return Err(format!("`file_rego_versions`: only `*` is known in the pattern `{pattern}`"));
        }
        let versions = manifest.rego_version.iter().chain(manifest.file_rego_versions.values());
        match versions.into_iter().find(|version| **version > 1) {
            Some(version) => Err(format!("there is no Rego version {version}: 0 or 1")),
            None => Ok(manifest),
        }
    }

    /// The dialect that the manifest binds the module at `path` to. A pattern of `file_rego_versions` is a path with
    /// `*` for any run of characters.
    pub fn dialect_of(&self, path: &str) -> Option<Dialect> {
        let path = path.trim_start_matches('/');
        let exact =
            self.file_rego_versions.get(path).or_else(|| self.file_rego_versions.get(&format!("/{path}")));
        let by_file = exact.or_else(|| {
            let mut patterns = self.file_rego_versions.iter().filter(|(pattern, _)| pattern.contains('*'));
            let fits = patterns.find(|(pattern, _)| glob_matches(pattern.trim_start_matches('/'), path));
            fits.map(|(_, version)| version)
        });
        by_file
            .copied()
            .or(self.rego_version)
            .map(|version| if version == 0 { Dialect::V0 } else { Dialect::V1 })
    }

    /// A root of this and one of `other` of which one lies within the other.
    pub fn overlap<'a>(&'a self, other: &'a Self) -> Option<(&'a str, &'a str)> {
        let lies_within = |inner: &str, outer: &str| {
            let (inner, outer) = (inner.trim_matches('/'), outer.trim_matches('/'));
            outer.is_empty()
                || inner == outer
                || inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'))
        };
        self.roots.iter().find_map(|root| {
            let clash =
                other.roots.iter().find(|other| lies_within(root, other) || lies_within(other, root))?;
            Some((root.as_str(), clash.as_str()))
        })
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

/// Whether `text` fits `pattern`, in which `*` stands for any run of characters, slashes among them as in OPA.
///
/// Takes time in proportion to the product of the lengths, whatever the pattern: it comes with the bundle.
fn glob_matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut read) = (0, 0);
    // Where the last `*` stands, and how far the text was read when it was met.
    let mut star = None;
    while read < text.len() {
        if pattern.get(at) == Some(&b'*') {
            star = Some((at, read));
            at += 1;
        } else if pattern.get(at) == text.get(read) {
            at += 1;
            read += 1;
        } else if let Some((star_at, star_read)) = star {
            // The star takes one character more; earlier stars need never be tried again.
            star = Some((star_at, star_read + 1));
            at = star_at + 1;
            read = star_read + 1;
        } else {
            return false;
        }
    }
    pattern.iter().skip(at).all(|byte| *byte == b'*')
}
