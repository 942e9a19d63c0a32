//! The outcome of a request: a permit to go on, or a refusal.

use std::fmt;

use crate::{catalog::Operation, denial::Denial, identity::Identity};

/// Allow or deny. Everything that leads to a reply matches it exhaustively.
#[derive(Debug)]
pub enum Decision<'a> {
    /// The request may go on.
    Allow(Permit<'a>),
    /// The request is refused.
    Deny(Refusal<'a>),
}

/// Evidence that the policy allowed this request. Only [`crate::authorizer::Authorizer::decide`] makes one.
#[must_use]
#[derive(Debug)]
pub struct Permit<'a> {
    id: DecisionId,
    identity: &'a Identity,
    operation: Operation,
    revision: &'a str,
}

/// A refused request, and what is known of it.
#[derive(Debug)]
pub struct Refusal<'a> {
    /// The decision's id.
    pub id: DecisionId,
    /// Why it is refused.
    pub denial: Denial,
    /// Who asked, where the certificate proves it.
    pub identity: Option<&'a Identity>,
    /// What for, where the request could be read.
    pub operation: Option<Operation>,
    /// The revision of the active policy; empty without one.
    pub revision: &'a str,
}

/// The id under which a decision stands in replies, logs and headers: a UUID, version 4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecisionId(String);

// === impl Permit ===

impl<'a> Permit<'a> {
    pub(crate) fn new(
        id: DecisionId,
        identity: &'a Identity,
        operation: Operation,
        revision: &'a str,
    ) -> Self {
        Self { id, identity, operation, revision }
    }

    /// What the credential exchange is told, as headers of the forwarded request.
    pub fn headers(&self) -> [(&'static str, &str); 7] {
        [
            ("x-hexr-spiffe-id", self.identity.spiffe_id()),
            ("x-hexr-tenant", self.identity.tenant()),
            ("x-hexr-agent", self.identity.agent()),
            ("x-hexr-role", self.identity.role()),
            ("x-hexr-service", self.operation.service()),
            ("x-hexr-action", self.operation.action()),
            ("x-hexr-decision-id", self.id.as_str()),
        ]
    }

    /// What access logs are told, as filter state `wasm.hexr_authz.*`.
    pub fn filter_state(&self) -> [(&'static str, &str); 5] {
        [
            ("hexr_authz.decision", "allow"),
            ("hexr_authz.service", self.operation.service()),
            ("hexr_authz.action", self.operation.action()),
            ("hexr_authz.revision", self.revision),
            ("hexr_authz.decision_id", self.id.as_str()),
        ]
    }
}

// === impl Refusal ===

impl Refusal<'_> {
    /// What access logs are told, as filter state `wasm.hexr_authz.*`.
    pub fn filter_state(&self) -> [(&'static str, &str); 6] {
        [
            ("hexr_authz.decision", "deny"),
            ("hexr_authz.reason", self.denial.reason().code()),
            ("hexr_authz.service", self.operation.as_ref().map_or("", Operation::service)),
            ("hexr_authz.action", self.operation.as_ref().map_or("", Operation::action)),
            ("hexr_authz.revision", self.revision),
            ("hexr_authz.decision_id", self.id.as_str()),
        ]
    }
}

// === impl DecisionId ===

impl DecisionId {
    /// Makes an id of 16 random bytes.
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(uuid::Builder::from_random_bytes(bytes).into_uuid().hyphenated().to_string())
    }

    /// Its text, as `1b4e28ba-2fa1-41d2-883f-0016d3cca427`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
