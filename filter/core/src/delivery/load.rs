//! From the bytes of a policy's bundles to the policy itself, in slices.

use std::rc::Rc;

use super::Digest;
use crate::{
    audit_log::AuditLog,
    authorizer::ActivePolicy,
    bundle::{Bundle, BundleLimits, BundleSet, Subject, Verification},
    pace::{Pace, Slices},
    policy::Budget,
    timestamp::Timestamp,
};

/// The bytes of one bundle.
#[derive(Clone, Debug)]
pub struct Part {
    /// The bundle's name.
    pub name: String,
    /// Its bytes.
    pub bytes: Rc<Vec<u8>>,
    /// Where they come from.
    pub origin: Origin,
}

/// Where the bytes of a bundle come from.
#[derive(Clone, Debug)]
pub enum Origin {
    /// From the server, just now.
    Server {
        /// What they must be signed with; nothing where they must not be signed.
        signing: Option<Verification>,
        /// When the one was signed that is active, in seconds since 1970: nothing older takes its place.
        not_before: Option<i64>,
    },
    /// From shared data, where they were put after they had been verified.
    SharedData {
        /// What they must be.
        digest: Digest,
        /// When they were signed.
        issued_at: Option<i64>,
    },
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

/// Loads the bundles of one policy, or finds out why they are none.
pub fn load(parts: Vec<Part>, terms: Terms, now: Timestamp, pace: Pace) -> Slices<Result<Loaded, LoadError>> {
    // Made here, so that all that compiles policies is in the module once, whoever loads one.
    Slices::of(loading(parts, terms, now, pace))
}

async fn loading(parts: Vec<Part>, terms: Terms, now: Timestamp, pace: Pace) -> Result<Loaded, LoadError> {
    let several = parts.len() > 1;
    let mut bundles = Vec::new();
    let mut problems = Vec::new();
    let mut issued_at = Vec::new();
    for part in parts {
        pace.give_way().await;
        let (bytes, limits) = (&part.bytes, terms.limits);
        let read = match part.origin {
            Origin::SharedData { digest, issued_at: when } => {
                if Digest::of_in(bytes, &pace).await != digest {
                    return Err(LoadError::Replaced);
                }
                issued_at.push(when);
                Bundle::read_verified_in(bytes, limits, &pace).await.map_err(|error| error.to_string())
            }
            Origin::Server { signing, not_before } => {
                let read = Bundle::read_in(bytes, limits, signing.as_ref(), now, &pace).await;
                let when = read.as_ref().ok().and_then(|bundle| bundle.signed.as_ref()?.issued_at);
                issued_at.push(when);
                match (when, not_before) {
                    (Some(when), Some(newest)) if when < newest => Err(format!(
                        "its signature is of second {when} (`iat`), older than that of the active bundle, {newest}: an old \
                         bundle is not taken again; sign it anew"
                    )),
                    _ => read.map_err(|error| error.to_string()),
                }
            }
        };
        match read {
            Ok(bundle) => bundles.push((part.name, bundle)),
            Err(problem) if several => problems.push(format!("bundle `{}`: {problem}", part.name)),
            Err(problem) => problems.push(problem),
        }
    }
    if !problems.is_empty() {
        return Err(LoadError::Refused(problems.join("\n")));
    }
    let set = BundleSet::new(bundles);
    let (revision, bundles) = (set.revision(), set.revisions());
    let policy = set.compile(&terms.subject, terms.budget, &terms.audit_log, &pace).await;
    let policy = Rc::new(policy.map_err(LoadError::Refused)?);
    Ok(Loaded { policy: ActivePolicy { policy, revision, bundles }, issued_at })
}
