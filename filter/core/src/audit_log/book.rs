//! An audit log of its own, for a case or for a replayed log: nobody else writes in it.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
};

use super::{Ledger, LedgerFault, Swap, Versioned};
use crate::timestamp::Timestamp;

/// Shared data that is not shared, and a clock that stands still.
#[derive(Debug)]
pub(crate) struct Book {
    values: RefCell<HashMap<String, (Vec<u8>, u32)>>,
    now: Cell<Timestamp>,
}

// === impl Book ===

impl Book {
    pub(crate) fn at(now: Timestamp) -> Self {
        Self { values: RefCell::default(), now: Cell::new(now) }
    }

    pub(crate) fn set_clock(&self, now: Timestamp) {
        self.now.set(now);
    }
}

impl Ledger for Book {
    fn read(&self, key: &str) -> Result<Versioned, LedgerFault> {
        let (value, version) = self.values.borrow().get(key).cloned().unwrap_or_default();
        Ok(Versioned { value, version })
    }

    fn replace(&self, key: &str, value: &[u8], version: u32) -> Result<Swap, LedgerFault> {
        let mut values = self.values.borrow_mut();
        let known = values.entry(key.to_owned()).or_default();
        if known.1 != version {
            return Ok(Swap::Outrun);
        }
        *known = (value.to_vec(), version + 1);
        Ok(Swap::Done)
    }

    fn now(&self) -> Result<Timestamp, LedgerFault> {
        Ok(self.now.get())
    }
}
