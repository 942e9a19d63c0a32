//! The outcome of a request: a permit to go on, or a refusal.

use std::{borrow::Cow, fmt};

use crate::{
    catalog::Operation,
    denial::Denial,
    identity::Identity,
    policy::{Consent, Header, Remarks},
};

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
    consent: Consent,
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

/// The name of a value in the request's filter state, below `wasm.`, and the value.
pub type FilterState<'a> = (&'static str, Cow<'a, str>);

// === impl Permit ===

impl<'a> Permit<'a> {
    pub(crate) fn new(
        id: DecisionId,
        identity: &'a Identity,
        operation: Operation,
        revision: &'a str,
        consent: Consent,
    ) -> Self {
        Self { id, identity, operation, revision, consent }
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
    pub fn filter_state(&self) -> impl Iterator<Item = FilterState<'_>> {
        let facts = [
            ("hexr_authz.decision", "allow"),
            ("hexr_authz.service", self.operation.service()),
            ("hexr_authz.action", self.operation.action()),
            ("hexr_authz.revision", self.revision),
            ("hexr_authz.decision_id", self.id.as_str()),
        ];
        filter_state(facts, Some(&self.consent.remarks), &self.id)
    }

    /// What the policy wants of the request and its response.
    pub fn consent(&self) -> &Consent {
        &self.consent
    }

    /// Headers to add to the response, once there is one.
    pub fn into_response_headers(self) -> Vec<Header> {
        self.consent.response_headers
    }
}

// === impl Refusal ===

impl Refusal<'_> {
    /// What access logs are told, as filter state `wasm.hexr_authz.*`.
    pub fn filter_state(&self) -> impl Iterator<Item = FilterState<'_>> {
        let facts = [
            ("hexr_authz.decision", "deny"),
            ("hexr_authz.reason", self.denial.reason().code()),
            ("hexr_authz.service", self.operation.as_ref().map_or("", Operation::service)),
            ("hexr_authz.action", self.operation.as_ref().map_or("", Operation::action)),
            ("hexr_authz.revision", self.revision),
            ("hexr_authz.decision_id", self.id.as_str()),
        ];
        filter_state(facts, self.denial.rejection().map(|rejection| &rejection.remarks), &self.id)
    }
}

/// The facts of a decision, and what the policy told beside it.
fn filter_state<'a, const N: usize>(
    facts: [(&'static str, &'a str); N],
    remarks: Option<&'a Remarks>,
    id: &DecisionId,
) -> impl Iterator<Item = FilterState<'a>> {
    let reason = remarks.and_then(|remarks| remarks.reason.as_deref()).map(Cow::Borrowed);
    let metadata = remarks.and_then(|remarks| remarks.metadata_of(id)).map(Cow::Owned);
    let told = [("hexr_authz.policy_reason", reason), ("hexr_authz.metadata", metadata)];
    let facts = facts.into_iter().map(|(name, value)| (name, Cow::Borrowed(value)));
    facts.chain(told.into_iter().filter_map(|(name, value)| Some((name, value?))))
}

// === impl DecisionId ===

impl DecisionId {
    /// Makes an id of 16 random bytes.
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(uuid::Builder::from_random_bytes(bytes).into_uuid().hyphenated().to_string())
    }

    /// A number that follows from it: what random builtins of a policy answer by, one for each decision.
    pub fn seed(&self) -> u64 {
        let bytes = self.0.bytes();
        // FNV-1a: every bit of the id counts, and the seed does not give the id away.
        bytes
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
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
