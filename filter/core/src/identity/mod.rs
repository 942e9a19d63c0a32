//! Who calls: the SPIFFE identity of a verified client certificate, split into tenant, agent and role.
//!
//! A certificate is read once ([`TrustDomains::identify`]) and its outcome may be kept under the certificate's
//! digest; what depends on the clock ([`Peer::at`]) is asked on every request.

mod certificate;
mod path_template;
mod trust_domain;

pub use certificate::{Certificate, CertificateError, Validity};
pub use path_template::{PathTemplate, PathTemplateError};
pub use trust_domain::{TrustDomain, TrustDomains};

use std::fmt;

use spiffe::SpiffeId;

use crate::{denial::Denial, policy::IdentityDocument, timestamp::Timestamp};

/// One caller, as policies and the credential exchange know it.
#[derive(Debug)]
pub struct Identity {
    spiffe_id: String,
    tenant: String,
    agent: String,
    role: String,
    document: IdentityDocument,
}

/// The three parts of an identity that a path template or the operator's map may give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// `{tenant}`
    Tenant,
    /// `{agent}`
    Agent,
    /// `{role}`
    Role,
}

/// Some parts of an identity: what a template captured, or what the operator's map adds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// The tenant, where known.
    pub tenant: Option<String>,
    /// The agent, where known.
    pub agent: Option<String>,
    /// The role, where known.
    pub role: Option<String>,
}

/// What a certificate says about its holder, independent of the clock.
#[derive(Debug)]
pub struct Peer {
    identity: Result<Identity, Denial>,
    validity: Option<Validity>,
}

// === impl Identity ===

impl Identity {
    pub(crate) fn new(spiffe_id: &SpiffeId, tenant: String, agent: String, role: String) -> Self {
        let spiffe_id = spiffe_id.to_string();
        let document = IdentityDocument::new(&spiffe_id, &tenant, &agent, &role);
        Self { spiffe_id, tenant, agent, role, document }
    }

    /// The SPIFFE ID, whole.
    pub fn spiffe_id(&self) -> &str {
        &self.spiffe_id
    }

    /// The trust domain that vouches for it.
    pub fn trust_domain(&self) -> &str {
        let rest = self.spiffe_id.strip_prefix("spiffe://").unwrap_or(&self.spiffe_id);
        rest.split_once('/').map_or(rest, |(trust_domain, _)| trust_domain)
    }

    /// The tenant that the agent belongs to.
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// The agent, without its role.
    pub fn agent(&self) -> &str {
        &self.agent
    }

    /// The role that the agent acts in.
    pub fn role(&self) -> &str {
        &self.role
    }

    pub(crate) fn document(&self) -> &IdentityDocument {
        &self.document
    }
}

// === impl Part ===

impl Part {
    /// Every part, in the order of the default template.
    pub const ALL: [Self; 3] = [Self::Tenant, Self::Agent, Self::Role];

    /// The name in templates, in the map and in `input`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Agent => "agent",
            Self::Role => "role",
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

// === impl Parts ===

impl Parts {
    pub(crate) fn slot(&mut self, part: Part) -> &mut Option<String> {
        match part {
            Part::Tenant => &mut self.tenant,
            Part::Agent => &mut self.agent,
            Part::Role => &mut self.role,
        }
    }

    /// These parts, and from `other` those that are not here.
    fn or(self, other: Option<&Self>) -> Self {
        let Some(other) = other else { return self };
        Self {
            tenant: self.tenant.or_else(|| other.tenant.clone()),
            agent: self.agent.or_else(|| other.agent.clone()),
            role: self.role.or_else(|| other.role.clone()),
        }
    }
}

// === impl Peer ===

impl Peer {
    /// The peer of a connection without a client certificate.
    pub fn anonymous() -> Self {
        Self { identity: Err(Denial::NoClientCertificate), validity: None }
    }

    pub(crate) fn new(validity: Option<Validity>, identity: Result<Identity, Denial>) -> Self {
        Self { identity, validity }
    }

    /// The identity that the certificate names, whenever it may be valid.
    pub(crate) fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref().ok()
    }

    /// The identity that the certificate proves at `now`.
    ///
    /// # Errors
    /// The reason why it proves none. Expiry is judged here and not when the certificate was read, because
    /// connections outlive SVIDs.
    pub fn at(&self, now: Timestamp) -> Result<&Identity, Denial> {
        if let Some(validity) = &self.validity {
            validity.check(now)?;
        }
        self.identity.as_ref().map_err(Clone::clone)
    }
}
