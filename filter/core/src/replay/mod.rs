//! Decides the requests of a decision log anew, by another policy: what a rollout would change, before it is one.
//!
//! Each is decided at its own instant, with the calls before it as they were allowed then and not as the candidate would
//! have allowed them: the question is what the candidate makes of the past as it was.

mod event;

pub use event::{Past, instant_of};

use std::collections::{BTreeMap, BTreeSet, HashMap};

use self::event::{Asked, Event};
use crate::{
    audit_log::{AuditLog, Book, Calls, Sweep},
    denial::Denial,
    header_names::is_secret,
    policy::{Consent, Decider, Moment, Policy, Rejection, RulePath},
    timestamp::{NANOS_PER_SECOND, Timestamp},
};

/// Decides a log anew, event by event, oldest first.
#[derive(Debug)]
pub struct Replay {
    platform: Candidate,
    /// The candidates of tenants that have a policy of their own.
    tenants: BTreeMap<String, Candidate>,
    rule: RulePath,
    audit_log: AuditLog,
    /// The audit log of each process whose decisions are in the log.
    books: HashMap<String, Chronicle>,
    seen: usize,
}

#[derive(Debug)]
struct Candidate {
    policy: Policy,
    deciders: Vec<Decider>,
    reads: BTreeSet<Vec<String>>,
}

/// The calls of one process.
#[derive(Debug)]
struct Chronicle {
    book: Book,
    sweep: Sweep,
    last: Timestamp,
}

/// What an event comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replayed {
    /// It would be decided as it was.
    Same,
    /// It would be decided otherwise.
    Changed(Box<Change>),
    /// These paths of the input were erased, and the candidate reads them.
    Uncertain(Vec<String>),
    /// It cannot be decided again: the code of the reason why.
    NotReplayable(String),
}

/// A decision that would be another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its id in the log.
    pub decision_id: String,
    /// When it was made.
    pub instant: Timestamp,
    /// Who asked.
    pub tenant: String,
    /// For what.
    pub service: String,
    /// For what of it.
    pub action: String,
    /// What it was.
    pub past: Past,
    /// Why it would be denied, by its code; nothing where it would be allowed.
    pub reason: Option<&'static str>,
    /// What the candidate says to that, or why it has no answer.
    pub said: Option<String>,
    /// The definition that decides now, as `FILE:LINE`; none where no definition gives the answer by itself.
    pub decider: Option<String>,
}

/// Why an event cannot be decided again of which not even a decision can be read.
const UNREADABLE_EVENT: &str = "unreadable_event";
/// Every so many events the calls that have left the window are looked for.
const SWEEP_EVERY: usize = 64;

// === impl Replay ===

impl Replay {
    /// Decides by `platform`, whose rule is `rule`, and after it by the tenants' own. `audit_log` is the configuration's;
    /// its limits do not count, because what is in the log was entered.
    pub fn new(
        platform: Policy,
        tenants: BTreeMap<String, Policy>,
        rule: RulePath,
        audit_log: AuditLog,
    ) -> Self {
        let tenants =
            tenants.into_iter().map(|(name, policy)| (name, Candidate::new(policy.of_tenant()))).collect();
        Self {
            platform: Candidate::new(platform),
            tenants,
            rule,
            audit_log: AuditLog {
                agent_calls: u32::MAX,
                tenant_bytes: u64::MAX,
                bytes: u64::MAX,
                ..audit_log
            },
            books: HashMap::new(),
            seen: 0,
        }
    }

    /// Decides the next event, in JSON, of which [`instant_of`] has told the instant.
    pub fn next(&mut self, text: &str) -> Replayed {
        let Some(event) = Event::read(text, &self.rule) else {
            return Replayed::NotReplayable(UNREADABLE_EVENT.to_owned());
        };
        self.forget_what_is_over(event.instant);
        match &event.asked {
            Ok(asked) => self.decide(&event, asked),
            Err(reason) => Replayed::NotReplayable(reason.clone()),
        }
    }

    fn decide(&mut self, event: &Event, asked: &Asked) -> Replayed {
        let tenant = self.tenants.get(asked.identity.tenant());
        let candidates = Candidates { platform: &self.platform, tenant };
        let erased = candidates.misses(&event.erased);
        let moment = Moment { now: event.instant, seed: event.id.seed(), is_over: &|_| false };
        if !candidates.count_calls() {
            return match erased.is_empty() {
                true => candidates.compare(event, asked, moment, Calls::none()),
                false => Replayed::Uncertain(erased),
            };
        }
        let chronicle =
            self.books.entry(event.origin.clone()).or_insert_with(|| Chronicle::at(event.instant));
        chronicle.book.set_clock(event.instant);
        chronicle.last = event.instant;
        let mut replayed = Replayed::Uncertain(erased.clone());
        // Entered is what was decided, not what would have been; a log that cannot be written has been full then too.
        let _ = self.audit_log.settle(&asked.identity, &asked.operation, &chronicle.book, |calls, _now| {
            if erased.is_empty() {
                replayed = candidates.compare(event, asked, moment, calls);
            }
            event.past.judged()
        });
        replayed
    }

    /// Keeps no more than the window of each process.
    fn forget_what_is_over(&mut self, now: Timestamp) {
        self.seen = self.seen.wrapping_add(1);
        if !self.seen.is_multiple_of(SWEEP_EVERY) {
            return;
        }
        let window = i64::try_from(self.audit_log.window_seconds).unwrap_or(i64::MAX);
        let oldest = now.unix_nanos().saturating_sub(window.saturating_mul(NANOS_PER_SECOND));
        self.books.retain(|_, chronicle| chronicle.last.unix_nanos() >= oldest);
        for chronicle in self.books.values_mut() {
            // Nobody else writes there, and nothing fails.
            let _ = chronicle.sweep.turn(&self.audit_log, &chronicle.book);
        }
    }
}

// === impl Past ===

impl Past {
    /// As the audit log is told of it.
    fn judged(&self) -> Result<(), Denial> {
        match self.reason.as_deref() {
            None if self.is_allowed => Ok(()),
            None | Some("policy_denied" | "tenant_policy_denied") => {
                Err(Denial::PolicyDenied(Box::<Rejection>::default()))
            }
            Some(other) => Err(Denial::EvaluationError(other.to_owned())),
        }
    }
}

// === impl Chronicle ===

impl Chronicle {
    fn at(instant: Timestamp) -> Self {
        Self { book: Book::at(instant), sweep: Sweep::new(0), last: instant }
    }
}

// === impl Candidate ===

impl Candidate {
    fn new(policy: Policy) -> Self {
        Self { deciders: policy.deciders(), reads: policy.reads(), policy }
    }
}

/// Those whose consent one request needs.
#[derive(Clone, Copy)]
struct Candidates<'a> {
    platform: &'a Candidate,
    tenant: Option<&'a Candidate>,
}

// === impl Candidates ===

impl<'a> Candidates<'a> {
    fn all(self) -> impl Iterator<Item = &'a Candidate> {
        std::iter::once(self.platform).chain(self.tenant)
    }

    fn count_calls(self) -> bool {
        self.all().any(|candidate| candidate.policy.counts_calls())
    }

    /// What they read of what was erased.
    fn misses(self, erased: &[Vec<String>]) -> Vec<String> {
        let is_read = |erased: &&Vec<String>| {
            !is_never_seen(erased)
                && self.all().flat_map(|candidate| &candidate.reads).any(|read| overlap(read, erased))
        };
        erased.iter().filter(is_read).map(|path| shown(path)).collect()
    }

    fn compare(self, event: &Event, asked: &Asked, moment: Moment<'_>, calls: Calls<'_>) -> Replayed {
        let (decided_by, of_tenant, answer) = self.answer(event, asked, moment, calls);
        if answer.is_ok() == event.past.is_allowed {
            return Replayed::Same;
        }
        let calls = if of_tenant { calls.of_tenant(&asked.identity) } else { calls };
        let decider = decided_by.policy.decider(&decided_by.deciders, &asked.input, moment, calls);
        let (reason, said) = match &answer {
            Ok(consent) => (None, consent.remarks.reason.clone()),
            Err(denial) => {
                let said = match denial.rejection() {
                    Some(rejection) => rejection.remarks.reason.clone(),
                    None => Some(denial.to_string()),
                };
                (Some(denial.reason().code()), said)
            }
        };
        Replayed::Changed(Box::new(Change {
            decision_id: event.id.to_string(),
            instant: event.instant,
            tenant: asked.identity.tenant().to_owned(),
            service: asked.operation.service().to_owned(),
            action: asked.operation.action().to_owned(),
            past: event.past.clone(),
            reason,
            said,
            decider: decider.map(|decider| decider.place.clone()),
        }))
    }

    /// What they answer, by the last that was asked, and whether that is the tenant's.
    fn answer(
        self,
        event: &Event,
        asked: &Asked,
        moment: Moment<'_>,
        calls: Calls<'_>,
    ) -> (&'a Candidate, bool, Result<Consent, Denial>) {
        let platform = self.platform.policy.answer_again(&asked.input, moment, calls);
        match (platform, self.tenant) {
            (Ok(_), Some(tenant)) => {
                let calls = calls.of_tenant(&asked.identity);
                (tenant, true, tenant.policy.answer_again(&asked.input, moment, calls))
            }
            // The tenant's own policy is not here, and has denied it: it still does.
            (Ok(_), None) if event.past.reason.as_deref() == Some("tenant_policy_denied") => {
                (self.platform, false, Err(Denial::TenantPolicyDenied(Box::default())))
            }
            (answer, _) => (self.platform, false, answer),
        }
    }
}

/// A path as a policy has it.
fn shown(path: &[String]) -> String {
    path.iter().fold("input".to_owned(), |text, name| format!("{text}.{name}"))
}

/// Whether one of the two paths leads to a part of what the other leads to.
fn overlap(one: &[String], other: &[String]) -> bool {
    one.iter().zip(other).all(|(one, other)| one == other)
}

/// Whether a policy never sees what is there: secrets in headers and queries.
fn is_never_seen(path: &[String]) -> bool {
    match path {
        [request, part, name, ..] => {
            request == "request" && matches!(part.as_str(), "headers" | "query") && is_secret(name)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
