//! From the bytes of a policy's bundles to the policy itself, in slices.

use std::rc::Rc;

use super::Digest;
use crate::{
    audit_log::AuditLog,
    authorizer::ActivePolicy,
    bundle::{Bundle, BundleLimits, BundleSet, Subject},
    pace::Pace,
    policy::Budget,
};

/// The bytes of one bundle.
#[derive(Clone, Debug)]
pub struct Part {
    /// The bundle's name.
    pub name: String,
    /// Its bytes.
    pub bytes: Rc<Vec<u8>>,
    /// What they must be where they were read from shared data; nothing where they have just come.
    pub expected: Option<Digest>,
}

/// What a policy must be like.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Whose it is.
    pub subject: Subject,
    /// How large its bundles may be.
    pub limits: BundleLimits,
    /// How much an evaluation of it may take.
    pub budget: Budget,
    /// How far the calls reach that it may look at.
    pub audit_log: AuditLog,
}

/// A policy that is ready to be put in force.
#[derive(Debug)]
pub struct Loaded {
    /// The policy.
    pub policy: ActivePolicy,
    /// When each bundle was signed, in seconds since 1970.
    pub issued_at: Vec<Option<i64>>,
}

/// Why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadError {
    /// The bytes are not those that they should be: they are being replaced.
    Replaced,
    /// What is wrong with them, a line each.
    Refused(String),
}

/// Loads the bundles of one policy.
///
/// # Errors
/// Why that is no policy.
pub async fn load(parts: Vec<Part>, terms: Terms, pace: Pace) -> Result<Loaded, LoadError> {
    let several = parts.len() > 1;
    let mut bundles = Vec::new();
    let mut problems = Vec::new();
    let issued_at = vec![None; parts.len()];
    for part in parts {
        pace.give_way().await;
        if part.expected.is_some_and(|expected| Digest::of(&part.bytes) != expected) {
            return Err(LoadError::Replaced);
        }
        match Bundle::read(&part.bytes, terms.limits) {
            Ok(bundle) => bundles.push((part.name, bundle)),
            Err(error) if several => problems.push(format!("bundle `{}`: {error}", part.name)),
            Err(error) => problems.push(error.to_string()),
        }
    }
    if !problems.is_empty() {
        return Err(LoadError::Refused(problems.join("\n")));
    }
    let set = BundleSet::new(bundles);
    let revision = set.revision();
    let policy = set.compile(&terms.subject, terms.budget, &terms.audit_log, &pace).await;
    let policy = Rc::new(policy.map_err(LoadError::Refused)?);
    Ok(Loaded { policy: ActivePolicy { policy, revision }, issued_at })
}
