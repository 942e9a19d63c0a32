//! Takes the calls of agents that have fallen silent out of the log.

use super::{AuditLog, Ledger, LedgerFault, Swap, accounts, shard::Shard, subject::account_of};

/// How many shards one turn looks at.
const SHARDS_AT_ONCE: u32 = 8;

/// A way through all shards, some at each turn.
#[derive(Debug)]
pub struct Sweep {
    next: u32,
}

// === impl Sweep ===

impl Sweep {
    /// Begins anywhere, so that several workers do not look at the same shards.
    pub const fn new(anywhere: u32) -> Self {
        Self { next: anywhere }
    }

    /// Looks at some shards, and takes out blocks without a call that is still kept.
    ///
    /// # Errors
    /// When the shared data is out of reach; the next turn goes on behind it.
    pub fn turn(&mut self, log: &AuditLog, ledger: &dyn Ledger) -> Result<(), LedgerFault> {
        for _ in 0..SHARDS_AT_ONCE.min(log.scope.shards()) {
            let shard = self.next % log.scope.shards();
            self.next = self.next.wrapping_add(1);
            log.sweep(shard, ledger)?;
        }
        Ok(())
    }
}

impl AuditLog {
    fn sweep(&self, shard: u32, ledger: &dyn Ledger) -> Result<(), LedgerFault> {
        let key = self.scope.shard_key(shard);
        let shared = ledger.read(&key)?;
        // What cannot be read is reported by the decision that needs it.
        let Ok(shard) = Shard::parse(&shared.value) else { return Ok(()) };
        let keep_ns = shard.keep_ns.max(self.window_ns());
        let oldest = ledger.now()?.unix_nanos().saturating_sub(keep_ns);
        if shard.blocks.iter().all(|block| block.newest >= oldest) {
            return Ok(());
        }
        let mut bytes = Shard::begin(shard.next_serial, keep_ns, shared.value.len());
        for block in shard.blocks.iter().filter(|block| block.newest >= oldest) {
            block.write(&mut bytes);
        }
        match ledger.replace(&key, &bytes, shared.version)? {
            // Whoever was faster leaves out the same blocks.
            Swap::Outrun => {}
            Swap::Done => {
                for block in shard.blocks.iter().filter(|block| block.newest < oldest) {
                    accounts::release(self, ledger, account_of(block.key), block.charged);
                }
            }
        }
        Ok(())
    }
}
