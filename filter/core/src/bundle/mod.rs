//! OPA bundles: gzip tarballs of Rego modules, data and a manifest.
//! <https://www.openpolicyagent.org/docs/management-bundles>

mod archive;
mod manifest;
mod read;
mod signature;
mod write;

pub use archive::ArchiveError;
pub use manifest::Manifest;
pub use read::BundleError;
#[cfg(feature = "signing")]
pub use signature::Signer;
pub use signature::{KeyChoice, SignatureError, Signed, Verification, VerificationKey};
#[cfg(feature = "signing")]
pub use write::pack_signed;
pub use write::{SourceFile, pack};

use crate::audit_log::AuditLog;
use crate::policy::{Budget, CompileError, CompileErrors, Data, Module, Policy, RulePath};

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
    /// Compiles its modules over its data.
    ///
    /// # Errors
    /// Everything that keeps it from being activated.
    pub fn compile(
        &self,
        rule: &RulePath,
        budget: Budget,
        audit_log: &AuditLog,
    ) -> Result<Policy, CompileErrors> {
        let policy = Policy::compile(&self.modules, &self.data, rule, budget, audit_log)?;
        let foreign = policy.packages().iter().filter(|package| !self.manifest.owns(&package.path));
        let foreign = foreign.cloned().map(CompileError::OutsideRoots).collect();
        CompileErrors::of(foreign).map_or(Ok(policy), Err)
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
