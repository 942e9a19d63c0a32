//! What is posted to a server, and whether it was taken.

use hexr_authz_core::{
    delivery::{FetchError, Outbox},
    timestamp::Timestamp,
};

use crate::host::{self, Level};

/// What a server does not take, told in the log once for each cause.
#[derive(Debug)]
pub(crate) struct Complaints {
    /// What is posted, as the log names it.
    title: &'static str,
    /// Why the last of it was not taken.
    problem: Option<String>,
}

// === impl Complaints ===

impl Complaints {
    pub(crate) fn of(title: &'static str) -> Self {
        Self { title, problem: None }
    }

    /// Why the last of it was not taken.
    pub(crate) fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// Says whether it is otherwise than it was.
    pub(crate) fn note(&mut self, taken: Result<(), FetchError>) -> bool {
        let problem = taken.err().map(|error| error.to_string());
        if self.problem == problem {
            return false;
        }
        match &problem {
            Some(problem) => host::log(Level::Warn, &format!("{}: {problem}", self.title)),
            None => host::log(Level::Info, &format!("{}: the server is fine again", self.title)),
        }
        self.problem = problem;
        true
    }
}

/// Sends JSON, written as `encoding` says.
pub(crate) fn send(
    outbox: &mut Outbox,
    encoding: Option<&'static str>,
    body: &[u8],
    now: Timestamp,
) -> Result<(), FetchError> {
    let request = outbox.request(encoding);
    let headers = request.iter().map(|(name, value)| (*name, value.as_ref())).collect();
    match host::dispatch_http_call(outbox.cluster(), headers, Some(body), outbox.timeout()) {
        Ok(token) => {
            outbox.sent(token, now);
            Ok(())
        }
        Err(_) => Err(FetchError::NotSent(outbox.cluster().to_owned())),
    }
}

/// What delays are drawn by.
pub(crate) fn random() -> u64 {
    let mut bytes = [0; 8];
    // Without it the delays are the shortest ones.
    let _ = host::fill_random(&mut bytes);
    u64::from_le_bytes(bytes)
}
