//! How far long work has come, for whoever waits at a terminal.

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

/// A line on standard error that is written over again and again, and is gone in the end.
pub(super) struct Progress {
    is_shown: bool,
    last: Instant,
    what: &'static str,
    count: u64,
}

const EVERY: Duration = Duration::from_millis(250);

// === impl Progress ===

impl Progress {
    pub(super) fn new() -> Self {
        Self { is_shown: io::stderr().is_terminal(), last: Instant::now(), what: "", count: 0 }
    }

    /// One more of the events is through.
    pub(super) fn step(&mut self, what: &'static str) {
        if what != self.what {
            (self.what, self.count) = (what, 0);
        }
        self.count += 1;
        // Asking for the time costs more than an event; a few hundred of them do not.
        if self.is_shown && self.count.is_multiple_of(256) && self.last.elapsed() >= EVERY {
            self.last = Instant::now();
            let _ = write!(io::stderr(), "\r\x1b[K{} events {what}", self.count);
        }
    }

    pub(super) fn end(&self) {
        if self.is_shown {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
