//! A candidate: a policy that decides nothing, and of which is told what it would have decided.
//!
//! A decision leaves a [`Rehearsal`], and the candidate is asked after the reply, at the same instant and with the calls
//! before it. It enters nothing into the audit log and refuses nobody.

use std::{cell::Cell, rc::Rc};

use crate::{
    audit_log::{AuditLog, Calls, Ledger},
    authorizer::{ActivePolicy, Further, Policies},
    catalog::{Derived, Operation},
    decision::{Decision, Permit, Refusal},
    denial::Denial,
    identity::{Identity, Peer},
    policy::{Author, Moment, Policy, Remarks},
    request::Request,
    timestamp::Timestamp,
};

/// A policy that may take the place of the active one.
#[derive(Debug)]
pub struct Candidate {
    loaded: ActivePolicy,
    /// How many evaluations in a row took more than their budget.
    overruns: Cell<u32>,
}

/// What the candidate is asked of one request.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    candidate: Rc<Candidate>,
    tenants_own: Option<Rc<Policy>>,
    further: Result<Further, Denial>,
    /// Whether a policy in force has the call entered into the audit log.
    is_entered: bool,
}

/// A decision on which the candidate is still to be asked.
#[derive(Debug)]
pub struct Rehearsal {
    question: Question,
    peer: Rc<Peer>,
    operation: Operation,
    at: Timestamp,
    seed: u64,
    /// What was decided.
    standing: Result<(), Denial>,
}

/// What the candidate says, next to what was decided.
#[derive(Debug)]
pub struct Verdict {
    /// How the two compare.
    pub comparison: Comparison,
    /// By chance, which is the same for the same decision: from 0 to 99.
    pub draw: u64,
    pub(crate) reason: Option<&'static str>,
    pub(crate) policy_reason: Option<String>,
    pub(crate) bundles: Rc<[(String, String)]>,
}

/// How a candidate's decision compares with the one that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Comparison {
    /// It is the same.
    Agrees,
    /// The candidate allows what was refused.
    WouldAllow,
    /// The candidate refuses what was allowed.
    WouldDeny,
    /// The candidate was not asked, because too much waited for it.
    Skipped,
}

/// How many evaluations in a row may take too long before the candidate is not asked any more.
const MOST_OVERRUNS: u32 = 3;

// === impl Candidate ===

impl Candidate {
    pub(crate) fn new(loaded: ActivePolicy) -> Self {
        Self { loaded, overruns: Cell::new(0) }
    }

    /// Whether it has taken more than its budget again and again.
    pub fn is_spent(&self) -> bool {
        self.overruns.get() >= MOST_OVERRUNS
    }

    /// The policy itself, for whoever takes it apart.
    pub fn into_policy(self) -> Rc<Policy> {
        self.loaded.policy
    }

    fn policies<'a>(&'a self, tenants_own: Option<&'a Policy>) -> Policies<'a> {
        Policies { platform: &self.loaded.policy, tenant: tenants_own }
    }

    /// What it is to be asked of a request, which is read as long as it is there.
    pub(crate) fn question(
        self: &Rc<Self>,
        derived: &Derived,
        request: &Request<'_>,
        tenants_own: Option<Rc<Policy>>,
        is_entered: bool,
    ) -> Question {
        let further = self.policies(tenants_own.as_deref()).further(derived, request);
        Question { candidate: Rc::clone(self), tenants_own, further, is_entered }
    }
}

// === impl Rehearsal ===

impl Rehearsal {
    /// That of a decision on a request of `peer`; nothing where no policy was asked, or the answer was not the policy's.
    pub fn of(decision: &Decision<'_>, peer: &Rc<Peer>) -> Option<Self> {
        match decision {
            Decision::Allow(permit) => Self::of_permit(permit, peer),
            Decision::Deny(refusal) => Self::of_refusal(refusal, peer),
            Decision::Waive(waiver) => Self::of_refusal(waiver.refusal(), peer),
        }
    }

    fn of_permit(permit: &Permit<'_>, peer: &Rc<Peer>) -> Option<Self> {
        Some(Self {
            question: permit.grounds().question.clone()?,
            peer: Rc::clone(peer),
            operation: permit.operation().clone(),
            at: permit.grounds().at,
            seed: permit.id().seed(),
            standing: Ok(()),
        })
    }

    fn of_refusal(refusal: &Refusal<'_>, peer: &Rc<Peer>) -> Option<Self> {
        let question = refusal.grounds.question.clone()?;
        if !is_the_policys(&refusal.denial) {
            return None;
        }
        Some(Self {
            question,
            peer: Rc::clone(peer),
            operation: refusal.operation.clone()?,
            at: refusal.grounds.at,
            seed: refusal.id.seed(),
            standing: Err(refusal.denial.clone()),
        })
    }

    /// Asks the candidate. Where nothing else has calls entered, and it counts them, the call is entered now; what that
    /// fails for refuses nobody.
    pub fn run(self, log: &AuditLog, ledger: &dyn Ledger, is_over: &dyn Fn(Author) -> bool) -> Verdict {
        let Self { question, peer, operation, at, seed, standing } = &self;
        let Question { candidate, tenants_own, further, is_entered } = question;
        let policies = candidate.policies(tenants_own.as_deref());
        let moment = Moment { now: *at, seed: *seed, is_over };
        let ask = |identity: &Identity, calls: Calls<'_>| {
            let further = further.as_ref().map_err(Clone::clone)?;
            let consent = policies.allow(identity, operation, further, moment, calls)?;
            Ok(consent.remarks)
        };
        let answer = peer.at(*at).and_then(|identity| {
            if !policies.count_calls() {
                return ask(identity, Calls::none());
            }
            if *is_entered {
                return log.look_back(identity, ledger, *at, |calls| ask(identity, calls));
            }
            let mut answer = None;
            let settled = log.settle(identity, operation, ledger, |calls, _| {
                answer = Some(ask(identity, calls));
                standing.clone()
            });
            answer.unwrap_or_else(|| Err(settled.err().unwrap_or(Denial::AuditLogContention)))
        });
        let overran = matches!(answer, Err(Denial::BudgetExceeded(_)));
        candidate.overruns.set(if overran { candidate.overruns.get().saturating_add(1) } else { 0 });
        self.verdict(answer)
    }

    fn verdict(&self, answer: Result<Remarks, Denial>) -> Verdict {
        let comparison = match (&self.standing, &answer) {
            (Ok(()), Ok(_)) | (Err(_), Err(_)) => Comparison::Agrees,
            (Err(_), Ok(_)) => Comparison::WouldAllow,
            (Ok(()), Err(_)) => Comparison::WouldDeny,
        };
        let (reason, policy_reason) = match answer {
            Ok(remarks) => (None, remarks.reason),
            Err(denial) => {
                let told = denial.rejection().and_then(|rejection| rejection.remarks.reason.clone());
                (Some(denial.reason().code()), told)
            }
        };
        let bundles = Rc::clone(&self.question.candidate.loaded.bundles);
        Verdict { comparison, draw: self.seed % 100, reason, policy_reason, bundles }
    }
}

/// Whether a policy refused it, or could not be evaluated: what another one may do otherwise.
fn is_the_policys(denial: &Denial) -> bool {
    denial.rejection().is_some() || matches!(denial, Denial::EvaluationError(_) | Denial::BudgetExceeded(_))
}

// === impl Comparison ===

impl Comparison {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Agrees, Self::WouldAllow, Self::WouldDeny, Self::Skipped];

    /// The name by which it is counted.
    pub fn name(self) -> &'static str {
        match self {
            Self::Agrees => "agrees",
            Self::WouldAllow => "would_allow",
            Self::WouldDeny => "would_deny",
            Self::Skipped => "skipped",
        }
    }

    /// Whether the candidate says something else.
    pub fn differs(self) -> bool {
        match self {
            Self::WouldAllow | Self::WouldDeny => true,
            Self::Agrees | Self::Skipped => false,
        }
    }
}

#[cfg(feature = "replay")]
#[cfg(test)]
mod tests;
