//! OPA bundles: gzip tarballs of Rego modules, data and a manifest.
//! <https://www.openpolicyagent.org/docs/management-bundles>

mod archive;
mod manifest;
mod read;
mod set;
mod signature;
mod write;

pub use archive::ArchiveError;
pub use manifest::Manifest;
pub use read::{BundleError, unpack, unpack_unverified, verify_files};
pub use set::{BundleSet, Subject};
#[cfg(feature = "signing")]
pub use signature::Signer;
pub use signature::{KeyChoice, SignatureError, Signed, Verification, VerificationKey};
#[cfg(feature = "signing")]
pub use write::pack_signed;
pub use write::{SourceFile, pack};

use crate::{
    audit_log::AuditLog,
    pace::{self, Pace},
    policy::{Budget, Data, Module, Policy, RulePath},
};

/// The content of a bundle, each part readable, not yet compiled.
#[derive(Debug)]
pub struct Bundle {
    /// What it says of itself.
    pub manifest: Manifest,
    /// Its Rego modules, in the order of their paths.
    pub modules: Vec<Module>,
    /// Its data, all files merged.
    pub data: Data,
    /// By what signature it was accepted, if it had to be signed.
    pub signed: Option<Signed>,
}

/// The largest bundle that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BundleLimits {
    /// Bytes as received.
    pub compressed: usize,
}

/// How many times `limits.bundle_bytes` a bundle may unpack to.
const MAX_EXPANSION: usize = 4;
/// The most files that a bundle has.
const MAX_FILES: usize = 10_000;

// === impl Bundle ===

impl Bundle {
    /// Compiles its modules over its data, as the platform's policy.
    ///
    /// # Errors
    /// Everything that keeps it from being activated, a line each.
    pub fn compile(self, rule: &RulePath, budget: Budget, audit_log: &AuditLog) -> Result<Policy, String> {
        let set = BundleSet::new(vec![(String::new(), self)]);
        pace::finish(set.compile(&Subject::Platform(rule.clone()), budget, audit_log, &Pace::unhurried()))
    }

    /// Its revision, or a word for not having one.
    pub fn revision(&self) -> &str {
        match self.manifest.revision.as_str() {
            "" => "unversioned",
            revision => revision,
        }
    }
}

#[cfg(test)]
mod tests;
