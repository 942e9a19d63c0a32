//! Who pays for the memory of the log: each tenant for the chunks that its blocks take, within the limit for all.
//!
//! A block pays for a chunk before it grows into it, so that most calls change no account.

use super::{AuditLog, LAYOUT, Ledger, LedgerFault, Scope, Swap, TRIES, subject::hash};

/// Bytes of a chunk.
pub(super) const CHUNK: u64 = 256;

/// How many values the accounts of all tenants are spread over.
const SPREAD: u64 = 64;

/// Why memory cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The tenant has as much as it may have.
    Tenant,
    /// All that there is is taken.
    All,
    /// Others changed the account again and again.
    Contention,
    Fault(LedgerFault),
}

/// The keys of the accounts.
pub(super) fn keys(scope: Scope) -> impl Iterator<Item = String> {
    (0..SPREAD).map(move |at| account_key(scope, at)).chain([total_key(scope)])
}

fn account_key(scope: Scope, at: u64) -> String {
    format!("{LAYOUT}/{}/account/{at:x}", scope.name())
}

fn total_key(scope: Scope) -> String {
    format!("{LAYOUT}/{}/total", scope.name())
}

/// The chunks in `bytes`.
pub(super) fn chunks(bytes: usize) -> u32 {
    u32::try_from((bytes as u64).div_ceil(CHUNK)).unwrap_or(u32::MAX)
}

/// Takes chunks for a tenant.
pub(super) fn charge(
    log: &AuditLog,
    ledger: &dyn Ledger,
    account: &[u8],
    chunks: u32,
) -> Result<(), Refused> {
    let more = u64::from(chunks);
    change(ledger, &key_of(log.scope, account), |value| {
        let mut accounts = Accounts::parse(value);
        let taken = accounts.add(account, more);
        if taken > log.tenant_bytes / CHUNK { Err(Refused::Tenant) } else { Ok(accounts.encode()) }
    })?;
    let charged = change(ledger, &total_key(log.scope), |value| {
        let total = total_of(value).saturating_add(more);
        if total > log.bytes / CHUNK { Err(Refused::All) } else { Ok(total.to_le_bytes().to_vec()) }
    });
    charged.inspect_err(|_| release_account(log, ledger, account, more))
}

/// Gives chunks back. What cannot be given back is lost until Envoy restarts, which takes a hundred lost races.
pub(super) fn release(log: &AuditLog, ledger: &dyn Ledger, account: &[u8], chunks: u32) {
    if chunks == 0 {
        return;
    }
    let less = u64::from(chunks);
    release_account(log, ledger, account, less);
    let _ = change(ledger, &total_key(log.scope), |value| {
        Ok(total_of(value).saturating_sub(less).to_le_bytes().to_vec())
    });
}

fn release_account(log: &AuditLog, ledger: &dyn Ledger, account: &[u8], less: u64) {
    let _ = change(ledger, &key_of(log.scope, account), |value| {
        let mut accounts = Accounts::parse(value);
        accounts.subtract(account, less);
        Ok(accounts.encode())
    });
}

fn key_of(scope: Scope, account: &[u8]) -> String {
    account_key(scope, hash(account) % SPREAD)
}

fn change(
    ledger: &dyn Ledger,
    key: &str,
    mut to: impl FnMut(&[u8]) -> Result<Vec<u8>, Refused>,
) -> Result<(), Refused> {
    for _ in 0..TRIES {
        let shared = ledger.read(key).map_err(Refused::Fault)?;
        let value = to(&shared.value)?;
        match ledger.replace(key, &value, shared.version).map_err(Refused::Fault)? {
            Swap::Done => return Ok(()),
            Swap::Outrun => {}
        }
    }
    Err(Refused::Contention)
}

fn total_of(value: &[u8]) -> u64 {
    value.first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// The chunks of some tenants. Bytes that do not fit end the list early: they pay again what they have paid.
struct Accounts<'b>(Vec<(&'b [u8], u64)>);

// === impl Accounts ===

impl<'b> Accounts<'b> {
    fn parse(mut bytes: &'b [u8]) -> Self {
        let mut accounts = Vec::new();
        while let Some((length, rest)) = bytes.split_first_chunk::<2>() {
            let Some((account, rest)) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))
            else {
                break;
            };
            let Some((taken, rest)) = rest.split_first_chunk::<8>() else { break };
            accounts.push((account, u64::from_le_bytes(*taken)));
            bytes = rest;
        }
        Self(accounts)
    }

    /// Adds to an account; what it has then.
    fn add(&mut self, account: &'b [u8], more: u64) -> u64 {
        match self.0.iter_mut().find(|(known, _)| *known == account) {
            Some((_, taken)) => {
                *taken = taken.saturating_add(more);
                *taken
            }
            None => {
                self.0.push((account, more));
                more
            }
        }
    }

    fn subtract(&mut self, account: &[u8], less: u64) {
        for (_, taken) in self.0.iter_mut().filter(|(known, _)| *known == account) {
            *taken = taken.saturating_sub(less);
        }
        self.0.retain(|(_, taken)| *taken > 0);
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (account, taken) in &self.0 {
            bytes.extend(u16::try_from(account.len()).unwrap_or(u16::MAX).to_le_bytes());
            bytes.extend(*account);
            bytes.extend(taken.to_le_bytes());
        }
        bytes
    }
}
