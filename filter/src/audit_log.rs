//! The audit log in Envoy's shared data, which all workers of an Envoy read and write.

use hexr_authz_core::{
    audit_log::{AuditLog, Ledger, LedgerFault, Swap, Sweep, Versioned},
    timestamp::Timestamp,
};

use crate::host::{self, HostError};

/// Envoy's shared data as the log's ledger.
pub(crate) struct SharedData;

/// The log's upkeep on one thread.
pub(crate) struct Upkeep {
    log: AuditLog,
    sweep: Sweep,
}

impl Ledger for SharedData {
    fn read(&self, key: &str) -> Result<Versioned, LedgerFault> {
        let shared = host::shared_data(key).map_err(fault)?;
        Ok(Versioned { value: shared.value, version: shared.cas })
    }

    fn replace(&self, key: &str, value: &[u8], version: u32) -> Result<Swap, LedgerFault> {
        match host::set_shared_data(key, value, Some(version)) {
            Ok(()) => Ok(Swap::Done),
            Err(HostError::CasMismatch) => Ok(Swap::Outrun),
            Err(error) => Err(fault(error)),
        }
    }

    fn now(&self) -> Result<Timestamp, LedgerFault> {
        host::now().map_err(fault)
    }
}

fn fault(error: HostError) -> LedgerFault {
    LedgerFault(format!("{error:?}"))
}

// === impl Upkeep ===

impl Upkeep {
    /// Makes the keys of the log, unless another VM has.
    pub(crate) fn new(log: AuditLog) -> Result<Self, HostError> {
        let seeded = log.seeded_key();
        if host::is_absent(&seeded) {
            host::seed_shared_data(log.keys())?;
            host::seed_shared_data([seeded])?;
        }
        let mut anywhere = [0; 16];
        host::fill_random(&mut anywhere)?;
        let [a, b, c, d, ..] = anywhere;
        Ok(Self { log, sweep: Sweep::new(u32::from_le_bytes([a, b, c, d])) })
    }

    /// Takes out what has left the window, a few shards at a time.
    pub(crate) fn on_tick(&mut self) {
        // A shard that cannot be read is reported by the decision that needs it.
        let _ = self.sweep.turn(&self.log, &SharedData);
    }
}
