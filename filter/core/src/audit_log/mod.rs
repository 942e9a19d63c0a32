//! The calls of the recent past, `data.audit_log`: what rate limits count, exact over all workers of an Envoy.
//!
//! The log stands in data that the workers share and change by compare-and-swap ([`Ledger`]), in a fixed number of
//! shards. A decision reads the one shard that its subject is in, decides by it, and enters the call by replacing the
//! shard; if somebody else was faster it decides again. Deciding and recording are one step that way, and no agent
//! costs anything once its calls have left the window.

mod accounts;
#[cfg(any(feature = "cases", feature = "replay"))]
mod book;
mod calls;
mod settle;
mod shard;
mod subject;
mod sweep;

#[cfg(any(feature = "cases", feature = "replay"))]
pub(crate) use book::Book;
pub use calls::Calls;
pub use settle::Judged;
pub use sweep::Sweep;

use thiserror::Error;

use crate::{
    rego::{Bounds, Look, Whose},
    timestamp::{NANOS_PER_SECOND, Timestamp},
};

/// Which calls a policy sees, how long they are kept, and what they may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditLog {
    /// How long a call stays.
    pub window_seconds: u64,
    /// Whose calls a policy sees.
    pub scope: Scope,
    /// Which calls are entered.
    pub record: Record,
    /// Whether a policy is accepted that looks back for a time that its text does not tell.
    pub accept_unproven: bool,
    /// The most calls of one agent.
    pub agent_calls: u32,
    /// The most bytes of one tenant.
    pub tenant_bytes: u64,
    /// The most bytes in all.
    pub bytes: u64,
}

/// Whose calls a policy sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// Those of the agent that asks.
    #[default]
    Agent,
    /// Those of its tenant.
    Tenant,
    /// Those of everybody.
    All,
}

/// Which calls are entered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Record {
    /// Those that were allowed.
    #[default]
    Allowed,
    /// Those that the policy denied, too.
    All,
}

/// The data that the workers share, and their clock.
pub trait Ledger {
    /// The value at `key`, with its version.
    ///
    /// # Errors
    /// When it cannot be had.
    fn read(&self, key: &str) -> Result<Versioned, LedgerFault>;

    /// Replaces the value at `key` if it still has that version.
    ///
    /// # Errors
    /// When it can be neither replaced nor found to have another version.
    fn replace(&self, key: &str, value: &[u8], version: u32) -> Result<Swap, LedgerFault>;

    /// The instant now.
    ///
    /// # Errors
    /// When there is no clock.
    fn now(&self) -> Result<Timestamp, LedgerFault>;
}

/// A value of the shared data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned {
    /// Its bytes; none for one that nobody has written yet.
    pub value: Vec<u8>,
    /// Changes with every write.
    pub version: u32,
}

/// What became of an attempt to replace a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swap {
    /// It is replaced.
    Done,
    /// Somebody else has replaced it first.
    Outrun,
}

/// Why the shared data is out of reach.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("the audit log is out of reach: {0}")]
pub struct LedgerFault(pub String);

/// How often a decision is made anew, or an account changed anew, before it is given up. Each time some other worker
/// has succeeded, so that only a worker that loses against all others again and again comes to it.
const TRIES: u32 = 100;

// === impl AuditLog ===

impl Default for AuditLog {
    fn default() -> Self {
        Self {
            window_seconds: 60,
            scope: Scope::Agent,
            record: Record::Allowed,
            accept_unproven: false,
            agent_calls: 10_000,
            tenant_bytes: 16 << 20,
            bytes: 64 << 20,
        }
    }
}

impl AuditLog {
    /// The same log as a tenant's own policy may look into it: no wider than its tenant.
    #[must_use]
    pub fn of_tenant(self) -> Self {
        let scope = match self.scope {
            Scope::Agent => Scope::Agent,
            Scope::Tenant | Scope::All => Scope::Tenant,
        };
        Self { scope, ..self }
    }

    /// The keys in the shared data that must be there before the first decision, with empty values.
    pub fn keys(&self) -> impl Iterator<Item = String> {
        let (scope, accounts) = (self.scope, accounts::keys(self.scope));
        (0..scope.shards()).map(move |shard| scope.shard_key(shard)).chain(accounts)
    }

    /// The key that says that all the others are there.
    pub fn seeded_key(&self) -> String {
        format!("{LAYOUT}/{}/seeded", self.scope.name())
    }

    /// Why a policy must not look so into the log; nothing where it may.
    pub(crate) fn refuses(&self, look: Look) -> Option<String> {
        let Bounds { back_ns, whose } = look.bounds;
        let reach = self.window_ns();
        if let Some(back_ns) = back_ns.filter(|back_ns| *back_ns > reach) {
            return Some(format!(
                "the policy looks back {} seconds, but `data.audit_log` reaches back only {}, so that it would count too \
                 few calls: raise `audit_log.window_seconds`",
                seconds(back_ns),
                self.window_seconds
            ));
        }
        if self.accept_unproven {
            return None;
        }
        let wanted = match (self.scope, whose) {
            (Scope::Agent, Whose::OwnAgent)
            | (Scope::Tenant, Whose::OwnAgent | Whose::OwnTenant)
            | (Scope::All, Whose::OwnAgent | Whose::OwnTenant | Whose::Anyone) => None,
            (Scope::Agent, Whose::OwnTenant | Whose::Anyone) => Some("call.agent == input.agent"),
            (Scope::Tenant, Whose::Anyone) => Some("call.tenant == input.tenant"),
        };
        if back_ns.is_none() {
            return Some(
                "how far this looks back cannot be read from the text: walk over it (`some call in data.audit_log`) and \
                 compare `call.timestamp > time.now_ns() - N` with a constant, or set `audit_log.accept_unproven`"
                    .to_owned(),
            );
        }
        let wanted = wanted?;
        Some(format!(
            "this looks at calls that `data.audit_log` does not have with `audit_log.scope` `{}`, so that it would count \
             too few: add `{wanted}`, widen the scope, or set `audit_log.accept_unproven`",
            self.scope.name()
        ))
    }

    const fn window_ns(&self) -> i64 {
        // The configuration has no window of more than a day.
        (self.window_seconds as i64).saturating_mul(NANOS_PER_SECOND)
    }
}

/// Seconds with as many decimals as they need.
fn seconds(nanos: i64) -> String {
    let text = format!("{}.{:09}", nanos / NANOS_PER_SECOND, (nanos % NANOS_PER_SECOND).unsigned_abs());
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The layout of what stands in the shared data. Another layout has other keys, so that an older version of the filter,
/// which serves its last connections, does not read what it does not know.
const LAYOUT: &str = "hexr-authz/audit_log/1";

// === impl Scope ===

impl Scope {
    /// Its name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Tenant => "tenant",
            Self::All => "all",
        }
    }

    /// How many shards there are. A decision copies one, so that they have to be small: with 100,000 agents three
    /// share one.
    const fn shards(self) -> u32 {
        match self {
            Self::Agent => 32_768,
            Self::Tenant => 1024,
            Self::All => 1,
        }
    }

    fn shard_key(self, shard: u32) -> String {
        format!("{LAYOUT}/{}/{shard:x}", self.name())
    }
}

#[cfg(test)]
mod tests;
