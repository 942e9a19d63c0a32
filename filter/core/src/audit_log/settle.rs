//! Decides by the calls so far and enters the call, in one step.

use super::{
    AuditLog, Calls, Ledger, LedgerFault, Record, Scope, Swap, TRIES,
    accounts::{self, Refused, chunks},
    shard::{Block, Draft, Full, Malformed, Shard},
    subject::{Face, Subject, account_of},
};
use crate::{
    catalog::Operation,
    denial::Denial,
    identity::Identity,
    timestamp::{Timestamp, seconds_to_wait},
};

/// How a policy answers to the calls so far at an instant.
pub type Judged<T> = Result<T, Denial>;

/// A block gives memory back once it has this many chunks more than it needs, so that one that grows and shrinks by a
/// call does not change its account each time.
const SPARE_CHUNKS: u32 = 4;

/// What a decision holds while it is tried.
struct Attempt<'a> {
    log: &'a AuditLog,
    ledger: &'a dyn Ledger,
    subject: &'a Subject,
    key: String,
    /// Chunks that are paid for and not written yet.
    held: u32,
}

/// Whether a call was entered.
enum Entry {
    Done,
    Outrun,
}

impl AuditLog {
    /// Has `judge` decide, and enters the call if it is to be entered. Nothing else of the same subject is decided or
    /// entered in between: where it is, `judge` is asked again, with the calls as they are then, at the instant then.
    ///
    /// # Errors
    /// What `judge` refuses; [`Denial::AuditLogFull`] and [`Denial::AuditLogContention`] where the call cannot be
    /// entered, because a call that is not entered must not pass; [`Denial::InternalError`] where the log is out of
    /// reach or unreadable.
    pub fn settle<T>(
        &self,
        identity: &Identity,
        operation: &Operation,
        ledger: &dyn Ledger,
        judge: impl FnMut(Calls<'_>, Timestamp) -> Judged<T>,
    ) -> Judged<T> {
        let subject = Subject::new(self.scope, identity);
        let key = self.scope.shard_key(subject.shard);
        let mut attempt = Attempt { log: self, ledger, subject: &subject, key, held: 0 };
        let judged = attempt.settle(identity, operation, judge);
        attempt.give_back();
        judged
    }

    /// Shows `look` the calls that an identity made before an instant, and enters nothing.
    ///
    /// # Errors
    /// What `look` says; [`Denial::InternalError`] where the log is out of reach or unreadable.
    pub fn look_back<T>(
        &self,
        identity: &Identity,
        ledger: &dyn Ledger,
        before: Timestamp,
        look: impl FnOnce(Calls<'_>) -> Judged<T>,
    ) -> Judged<T> {
        let subject = Subject::new(self.scope, identity);
        let shared = ledger.read(&self.scope.shard_key(subject.shard)).map_err(fault)?;
        let shard = Shard::parse(&shared.value).map_err(malformed)?;
        let block = shard.sealed(&subject.key).map(super::shard::Sealed::open).transpose();
        let block = block.map_err(malformed)?;
        let before = before.unix_nanos();
        let since = before.saturating_sub(self.window_ns());
        look(Calls::new(block.as_ref(), since, subject.shard).before(before))
    }

    fn enters<T>(&self, judged: &Judged<T>) -> bool {
        match (judged, self.record) {
            (Ok(_), Record::Allowed | Record::All) => true,
            // What the policy was not asked about, or could not answer, is nothing that it denied.
            (Err(denial), Record::All) => denial.rejection().is_some(),
            (Err(_), Record::Allowed) => false,
        }
    }
}

// === impl Attempt ===

impl Attempt<'_> {
    fn settle<T>(
        &mut self,
        identity: &Identity,
        operation: &Operation,
        mut judge: impl FnMut(Calls<'_>, Timestamp) -> Judged<T>,
    ) -> Judged<T> {
        for _ in 0..TRIES {
            let shared = self.ledger.read(&self.key).map_err(fault)?;
            let shard = Shard::parse(&shared.value).map_err(malformed)?;
            let block = shard.sealed(&self.subject.key).map(super::shard::Sealed::open).transpose();
            let block = block.map_err(malformed)?;
            // The clock is asked after the calls were read, and the log has an order: no call is before another that
            // was decided earlier, even if the clock is set back.
            let now = self.ledger.now().map_err(fault)?;
            let newest = block.as_ref().map(|block| Timestamp::from_unix_nanos(block.newest));
            let now = newest.map_or(now, |newest| now.max(newest));
            let since = now.unix_nanos().saturating_sub(self.log.window_ns());
            let calls = Calls::new(block.as_ref(), since, self.subject.shard);
            let judged = judge(calls, now);
            if !self.log.enters(&judged) {
                return judged;
            }
            let face = Face::new(identity, operation, judged.is_ok());
            let version = shared.version;
            match (self.enter(&shard, block.as_ref(), version, now, &face, calls), judged) {
                (Ok(Entry::Done), judged) => return judged,
                (Ok(Entry::Outrun), _) => {}
                // A denial stands, entered or not: with the log full, nothing that it should be counted for passes.
                (Err(Denial::AuditLogFull { .. }), Err(denial)) => return Err(denial),
                (Err(problem), _) => return Err(problem),
            }
        }
        Err(Denial::AuditLogContention)
    }

    fn enter(
        &mut self,
        shard: &Shard<'_>,
        block: Option<&Block<'_>>,
        version: u32,
        now: Timestamp,
        face: &Face<'_>,
        calls: Calls<'_>,
    ) -> Result<Entry, Denial> {
        self.check_agent(calls, now, face)?;
        let subject = self.subject;
        let now = now.unix_nanos();
        let keep_ns = shard.keep_ns.max(self.log.window_ns());
        let oldest = now.saturating_sub(keep_ns);
        let is_new = block.is_none();
        let mut draft = block.map_or_else(|| Draft::new(&subject.key, shard.next_serial), Block::draft);
        draft.forget(block.map_or(0, |block| block.older_than(oldest)));
        draft.push(now, face).map_err(|Full| full("the agent makes too many kinds of calls", None))?;
        let paid = draft.charged;
        let needed = chunks(draft.size());
        self.hold(needed.saturating_sub(paid))?;
        draft.charged = if paid > needed.saturating_add(SPARE_CHUNKS) { needed } else { paid.max(needed) };

        let mut gone = Vec::new();
        let capacity: usize = draft.size() + 4096;
        let mut bytes = Shard::begin(shard.next_serial + u64::from(is_new), keep_ns, capacity);
        for other in shard.blocks.iter().filter(|other| other.key != self.subject.key) {
            if other.newest < oldest {
                gone.push((account_of(other.key), other.charged));
            } else {
                other.write(&mut bytes);
            }
        }
        draft.write(&mut bytes);
        match self.ledger.replace(&self.key, &bytes, version).map_err(fault)? {
            Swap::Outrun => Ok(Entry::Outrun),
            Swap::Done => {
                self.held = self.held.saturating_add(paid).saturating_sub(draft.charged);
                for (account, chunks) in gone {
                    accounts::release(self.log, self.ledger, account, chunks);
                }
                Ok(Entry::Done)
            }
        }
    }

    fn check_agent(&self, calls: Calls<'_>, now: Timestamp, face: &Face<'_>) -> Result<(), Denial> {
        let most = usize::try_from(self.log.agent_calls).unwrap_or(usize::MAX);
        if calls.len() < most {
            return Ok(());
        }
        let of_agent = match self.log.scope {
            Scope::Agent => calls.len(),
            Scope::Tenant | Scope::All => calls.of_agent(face),
        };
        if of_agent < most {
            return Ok(());
        }
        let oldest = match self.log.scope {
            Scope::Agent => calls.oldest(),
            Scope::Tenant | Scope::All => None,
        };
        // The window has both of its ends.
        let leaves = oldest.map(|oldest| oldest.saturating_add(self.log.window_ns()).saturating_add(1));
        let seconds = leaves.map(|leaves| seconds_to_wait(leaves.saturating_sub(now.unix_nanos())));
        Err(full("the agent has made as many calls as the log has room for", seconds))
    }

    /// Pays for chunks, with those that are held already.
    fn hold(&mut self, needed: u32) -> Result<(), Denial> {
        let missing = needed.saturating_sub(self.held);
        if missing == 0 {
            return Ok(());
        }
        let charged = accounts::charge(self.log, self.ledger, account_of(&self.subject.key), missing);
        match charged {
            Ok(()) => {
                self.held = self.held.saturating_add(missing);
                Ok(())
            }
            Err(Refused::Tenant) => Err(full("the tenant's calls take all the memory that they may", None)),
            Err(Refused::All) => {
                Err(full("the calls of all tenants take all the memory that they may", None))
            }
            Err(Refused::Contention) => Err(Denial::AuditLogContention),
            Err(Refused::Fault(problem)) => Err(fault(problem)),
        }
    }

    fn give_back(&mut self) {
        accounts::release(self.log, self.ledger, account_of(&self.subject.key), self.held);
        self.held = 0;
    }
}

fn full(cause: &'static str, retry_after_seconds: Option<i64>) -> Denial {
    Denial::AuditLogFull { cause, retry_after_seconds }
}

fn fault(problem: LedgerFault) -> Denial {
    Denial::InternalError(problem.to_string())
}

fn malformed(_: Malformed) -> Denial {
    Denial::InternalError("a shard of the audit log is not readable: restart Envoy".to_owned())
}
