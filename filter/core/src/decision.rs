//! The outcome of a request: a permit to go on, or a refusal.

use std::{borrow::Cow, fmt};

use crate::{
    authorizer::ActivePolicy,
    candidate::Question,
    catalog::Operation,
    denial::Denial,
    identity::Identity,
    policy::{Consent, FurtherFields, Header, Remarks},
    timestamp::Timestamp,
};

/// Allow or deny. Everything that leads to a reply matches it exhaustively.
#[derive(Debug)]
pub enum Decision<'a> {
    /// The request may go on.
    Allow(Permit<'a>),
    /// The request is refused.
    Deny(Refusal<'a>),
    /// The request would be refused, and goes on because the configuration enforces nothing.
    Waive(Waiver<'a>),
}

/// Evidence that a refusal is not enforced. Only [`crate::authorizer::Authorizer::decide`] makes one, in
/// [`Mode::Shadow`].
#[must_use]
#[derive(Debug)]
pub struct Waiver<'a> {
    refusal: Refusal<'a>,
}

/// What becomes of a refusal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// The request is refused.
    #[default]
    Enforce,
    /// It goes on, and what would have become of it is told: for a first rollout.
    Shadow,
}

/// Evidence that the policy allowed this request. Only [`crate::authorizer::Authorizer::decide`] makes one.
#[must_use]
#[derive(Debug)]
pub struct Permit<'a> {
    id: DecisionId,
    identity: &'a Identity,
    operation: Operation,
    consent: Consent,
    grounds: Grounds<'a>,
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
    /// By what it was decided.
    pub grounds: Grounds<'a>,
}

/// By what a request was decided.
#[derive(Debug)]
pub struct Grounds<'a> {
    /// The instant: what `time.now_ns()` answered.
    pub at: Timestamp,
    /// The active policy; nothing without one.
    pub active: Option<&'a ActivePolicy>,
    /// What the policy was told beyond the seven fields; nothing where it was not asked.
    pub further: FurtherFields,
    /// What a candidate is to be asked, where there is one.
    pub(crate) question: Option<Question>,
}

/// The id under which a decision stands in replies, logs and headers: a UUID, version 4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecisionId(String);

/// The name of a value in the request's filter state, below `wasm.`, and the value.
pub type FilterState<'a> = (&'static str, Cow<'a, str>);

// === impl Grounds ===

impl<'a> Grounds<'a> {
    /// Those of a refusal that nothing was asked for.
    pub(crate) fn none() -> Self {
        Self::of(Timestamp::from_unix_nanos(0), None)
    }

    pub(crate) fn of(at: Timestamp, active: Option<&'a ActivePolicy>) -> Self {
        Self { at, active, further: FurtherFields::default(), question: None }
    }

    /// The revision of the active policy; empty without one.
    pub fn revision(&self) -> &'a str {
        self.active.map_or("", |active| active.revision.as_str())
    }
}

// === impl Permit ===

impl<'a> Permit<'a> {
    pub(crate) fn new(
        id: DecisionId,
        identity: &'a Identity,
        operation: Operation,
        consent: Consent,
        grounds: Grounds<'a>,
    ) -> Self {
        Self { id, identity, operation, consent, grounds }
    }

    /// What the credential exchange is told, as headers of the forwarded request.
    pub fn headers(&self) -> [(&'static str, &str); 7] {
        let [spiffe_id, tenant, agent, role] = identity_headers(self.identity);
        let [service, action] = operation_headers(&self.operation);
        [spiffe_id, tenant, agent, role, service, action, ("x-hexr-decision-id", self.id.as_str())]
    }

    /// What access logs are told, as filter state `wasm.hexr_authz.*`.
    pub fn filter_state(&self) -> impl Iterator<Item = FilterState<'_>> {
        let facts = [
            ("hexr_authz.decision", "allow"),
            ("hexr_authz.service", self.operation.service()),
            ("hexr_authz.action", self.operation.action()),
            ("hexr_authz.revision", self.grounds.revision()),
            ("hexr_authz.decision_id", self.id.as_str()),
        ];
        filter_state(facts, Some(&self.consent.remarks), &self.id)
    }

    /// The decision's id.
    pub fn id(&self) -> &DecisionId {
        &self.id
    }

    /// Who is allowed it.
    pub fn identity(&self) -> &'a Identity {
        self.identity
    }

    /// What is allowed.
    pub fn operation(&self) -> &Operation {
        &self.operation
    }

    /// By what it was decided.
    pub fn grounds(&self) -> &Grounds<'a> {
        &self.grounds
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
            ("hexr_authz.revision", self.grounds.revision()),
            ("hexr_authz.decision_id", self.id.as_str()),
        ];
        filter_state(facts, self.denial.rejection().map(|rejection| &rejection.remarks), &self.id)
    }
}

// === impl Waiver ===

impl<'a> Waiver<'a> {
    pub(crate) fn new(refusal: Refusal<'a>) -> Self {
        Self { refusal }
    }

    /// What would have been.
    pub fn refusal(&self) -> &Refusal<'a> {
        &self.refusal
    }

    /// What the credential exchange is told, as headers of the forwarded request: nothing of whom no certificate proves.
    pub fn headers(&self) -> Vec<(&'static str, &str)> {
        let Refusal { id, identity: Some(identity), operation, .. } = &self.refusal else {
            return Vec::new();
        };
        let mut headers = identity_headers(identity).to_vec();
        if let Some(operation) = operation {
            headers.extend(operation_headers(operation));
        }
        headers.push(("x-hexr-decision-id", id.as_str()));
        headers
    }

    /// What access logs are told: the true decision, and that it was not enforced.
    pub fn filter_state(&self) -> impl Iterator<Item = FilterState<'_>> {
        let mode = ("hexr_authz.mode", Cow::Borrowed("shadow"));
        self.refusal.filter_state().chain([mode])
    }
}

fn identity_headers(identity: &Identity) -> [(&'static str, &str); 4] {
    [
        ("x-hexr-spiffe-id", identity.spiffe_id()),
        ("x-hexr-tenant", identity.tenant()),
        ("x-hexr-agent", identity.agent()),
        ("x-hexr-role", identity.role()),
    ]
}

fn operation_headers(operation: &Operation) -> [(&'static str, &str); 2] {
    [("x-hexr-service", operation.service()), ("x-hexr-action", operation.action())]
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

    /// The id of a decision that was made.
    #[cfg(feature = "replay")]
    pub(crate) fn of_past(text: &str) -> Self {
        Self(text.to_owned())
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
