//! How long a callback of Envoy works on what can wait.

use std::{cell::Cell, rc::Rc, time::Duration};

use hexr_authz_core::pace::Pace;

use crate::host;

/// Beside requests: so short that a request, which comes back to its worker several times, waits without anybody
/// noticing.
const BESIDE_REQUESTS_NANOS: i64 = 2_000_000;
/// Where no request came since the last slice, as on Envoy's main thread: so long that all of a large policy is ready
/// within half a second, and so short that the next request hardly waits.
const ALONE_NANOS: i64 = 5_000_000;
/// The pause between two slices, in which the worker turns to its requests.
pub(crate) const PAUSE: Duration = Duration::from_millis(1);

/// The slice of the current callback.
#[derive(Default)]
pub(super) struct Slice {
    ends_at_nanos: Rc<Cell<i64>>,
}

impl Slice {
    /// Begins the slice of a callback, beside requests or alone.
    pub(super) fn begin(&self, beside_requests: bool) {
        let nanos = if beside_requests { BESIDE_REQUESTS_NANOS } else { ALONE_NANOS };
        let ends_at = host::now().map_or(0, |now| now.unix_nanos().saturating_add(nanos));
        self.ends_at_nanos.set(ends_at);
    }

    /// Whether it has ended.
    pub(super) fn is_over(&self) -> bool {
        is_over(&self.ends_at_nanos)
    }

    /// The pace of work that gives way when the current slice has ended, whichever callback that is in.
    pub(super) fn pace(&self) -> Pace {
        let ends_at = Rc::clone(&self.ends_at_nanos);
        Pace::new(move || is_over(&ends_at))
    }
}

/// Without a clock every slice is over at once: slow, but no request waits.
fn is_over(ends_at_nanos: &Cell<i64>) -> bool {
    host::now().map_or(true, |now| now.unix_nanos() >= ends_at_nanos.get())
}
