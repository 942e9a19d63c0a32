//! What a decision leaves for its event.

use std::{rc::Rc, time::Duration};

use crate::{
    candidate::Verdict,
    catalog::Operation,
    decision::{Decision, DecisionId, Grounds, Permit, Refusal},
    denial::Denial,
    identity::{Identity, Peer},
    policy::{FurtherFields, Remarks},
    request::{Request, Seen},
    timestamp::Timestamp,
};

/// One decision, as it will be logged. It shares what it can with the decision.
#[derive(Debug)]
pub struct Entry {
    pub(super) id: DecisionId,
    pub(super) at: Timestamp,
    /// Who asked; nothing where no certificate proves it.
    peer: Option<Rc<Peer>>,
    pub(super) operation: Option<Operation>,
    pub(super) further: FurtherFields,
    /// JSON pointers to what is left out of the input.
    pub(super) erased: Vec<String>,
    pub(super) refusal: Option<Refused>,
    /// Whether a refusal ended the request.
    pub(super) is_enforced: bool,
    pub(super) policy_reason: Option<String>,
    /// Whether a policy was in force.
    pub(super) has_policy: bool,
    pub(super) bundles: Rc<[(String, String)]>,
    pub(super) trace: Option<Trace>,
    pub(super) took: Duration,
    /// What a candidate would have decided instead.
    pub(super) candidate: Option<Verdict>,
}

/// Why a request was refused.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) reason: &'static str,
    pub(super) message: String,
    /// Whether the operator has to mend something.
    pub(super) is_fault: bool,
}

/// The request's place in a trace, from its `traceparent`: <https://www.w3.org/TR/trace-context/>.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// 32 hexadecimal digits.
    pub trace_id: String,
    /// 16 hexadecimal digits.
    pub span_id: String,
}

/// What an entry takes in memory beside the texts that only it has, in bytes: the struct, its id, and its places in lists.
const OWN_BYTES: usize = 512;
/// The longest message that is kept, in bytes.
const MAX_MESSAGE: usize = 1024;

// === impl Entry ===

impl Entry {
    /// That of `decision` on a request of `peer`, which took so long.
    pub fn new(
        decision: &Decision<'_>,
        peer: &Rc<Peer>,
        request: Option<&Request<'_>>,
        took: Duration,
    ) -> Self {
        let trace = request.and_then(Trace::of);
        match decision {
            Decision::Allow(permit) => Self::allowed(permit, peer, trace, took),
            Decision::Deny(refusal) => Self::refused(refusal, peer, trace, took),
            Decision::Waive(waiver) => {
                Self { is_enforced: false, ..Self::refused(waiver.refusal(), peer, trace, took) }
            }
        }
    }

    fn allowed(permit: &Permit<'_>, peer: &Rc<Peer>, trace: Option<Trace>, took: Duration) -> Self {
        let peer = Some(Rc::clone(peer));
        let operation = Some(permit.operation().clone());
        let entry = Self::of(permit.id(), permit.grounds(), peer, operation, trace, took);
        Self { policy_reason: permit.consent().remarks.reason.clone(), ..entry }
    }

    fn refused(refusal: &Refusal<'_>, peer: &Rc<Peer>, trace: Option<Trace>, took: Duration) -> Self {
        let peer = refusal.identity.map(|_| Rc::clone(peer));
        let operation = refusal.operation.clone();
        let remarks: Option<&Remarks> = refusal.denial.rejection().map(|rejection| &rejection.remarks);
        let policy_reason = remarks.and_then(|remarks| remarks.reason.clone());
        let entry = Self::of(&refusal.id, &refusal.grounds, peer, operation, trace, took);
        Self { refusal: Some(Refused::by(&refusal.denial)), policy_reason, ..entry }
    }

    /// That of a request which could not even be brought to a decision.
    pub fn fault(id: DecisionId, at: Timestamp, message: &str) -> Self {
        let grounds = Grounds { at, ..Grounds::none() };
        let denial = Denial::InternalError(message.to_owned());
        let entry = Self::of(&id, &grounds, None, None, None, Duration::ZERO);
        Self { refusal: Some(Refused::by(&denial)), ..entry }
    }

    fn of(
        id: &DecisionId,
        grounds: &Grounds<'_>,
        peer: Option<Rc<Peer>>,
        operation: Option<Operation>,
        trace: Option<Trace>,
        took: Duration,
    ) -> Self {
        let (further, erased) = grounds.further.erased();
        Self {
            id: id.clone(),
            at: grounds.at,
            peer,
            operation,
            further,
            erased,
            refusal: None,
            is_enforced: true,
            policy_reason: None,
            has_policy: grounds.active.is_some(),
            bundles: grounds.active.map(|active| Rc::clone(&active.bundles)).unwrap_or_default(),
            trace,
            took,
            candidate: None,
        }
    }

    /// Whether it went on by the policy.
    pub fn is_allowed(&self) -> bool {
        self.refusal.is_none()
    }

    /// With what a candidate would have decided instead.
    #[must_use]
    pub fn beside(self, candidate: Verdict) -> Self {
        Self { candidate: Some(candidate), ..self }
    }

    /// Who asked.
    pub(super) fn identity(&self) -> Option<&Identity> {
        self.peer.as_ref()?.identity()
    }

    /// About what it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        let erased = self.erased.iter().map(String::len).sum::<usize>();
        OWN_BYTES.saturating_add(erased).saturating_add(self.further.bytes())
    }
}

// === impl Refused ===

impl Refused {
    fn by(denial: &Denial) -> Self {
        let mut message = denial.to_string();
        message.truncate(message.floor_char_boundary(MAX_MESSAGE));
        Self { reason: denial.reason().code(), message, is_fault: denial.is_fault() }
    }
}

// === impl Trace ===

impl Trace {
    /// What a request says of its trace. Where Envoy traces, its own word stands there by now.
    fn of(request: &Request<'_>) -> Option<Self> {
        let Seen::Once(value) = request.header("traceparent") else { return None };
        let mut parts = std::str::from_utf8(value).ok()?.split('-');
        let (_version, trace_id, span_id) = (parts.next()?, parts.next()?, parts.next()?);
        let is_id = |text: &str, digits: usize| {
            text.len() == digits
                && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
                && text.bytes().any(|byte| byte != b'0')
        };
        (is_id(trace_id, 32) && is_id(span_id, 16))
            .then(|| Self { trace_id: trace_id.to_owned(), span_id: span_id.to_owned() })
    }
}
