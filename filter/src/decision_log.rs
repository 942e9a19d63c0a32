//! The decision log of one worker on its way to the server: sent from ticks, so that no request waits for it.

use std::rc::Rc;

use hexr_authz_core::{
    config::Config,
    decision::DecisionId,
    decision_log::{DecisionLog, HOLDERS_KEY, Holder},
    delivery::FetchError,
    status::{LogStatus, labels},
};

use crate::{
    answer::Answer,
    host::{self, HostError},
    metrics::LogMetrics,
    post::{self, Complaints},
    worker::Worker,
};

/// The uploads of one worker.
pub(crate) struct Uploads {
    metrics: LogMetrics,
    complaints: Complaints,
    holder: Holder,
    /// In milliseconds since 1970, when a worker that ends waits no longer for the server.
    ends_at_millis: Option<i64>,
}

/// Why the last upload of any worker was not taken; empty where it was.
const PROBLEM_KEY: &str = "hexr-authz/1/decision-log-problem";
/// How often a worker tries to write down what it holds when others are faster; it tries again at its next turn.
const TRIES: usize = 4;
/// How many events are written on a tick: so few that a request which comes meanwhile hardly waits.
const EVENTS_AT_ONCE: usize = 64;
/// What is answered so is not taken the next time either.
const NEVER_TAKEN: [u16; 3] = [400, 413, 422];
/// How long a worker that ends waits for the server to take what it holds.
const LAST_UPLOAD_MILLIS: i64 = 10_000;

/// An empty log, where the configuration wants one. `id` is that of the Envoy.
pub(crate) fn of(config: &Rc<Config>, id: &str) -> Option<DecisionLog> {
    let settings = config.decision_logs.clone()?;
    Some(DecisionLog::new(settings, labels(&config.labels, id), &config.rule.slashes()))
}

/// What became of the events of all workers.
pub(crate) fn status(metrics: LogMetrics) -> LogStatus {
    let problem = host::shared_data(PROBLEM_KEY).ok().filter(|shared| !shared.value.is_empty());
    let problem = problem.map(|shared| String::from_utf8_lossy(&shared.value).into_owned());
    LogStatus { totals: metrics.totals(), problem }
}

// === impl Uploads ===

impl Uploads {
    pub(crate) fn new(metrics: LogMetrics) -> Result<Self, HostError> {
        host::seed_shared_data([HOLDERS_KEY])?;
        let mut random = [0; 16];
        host::fill_random(&mut random)?;
        Ok(Self {
            metrics,
            complaints: Complaints::of("decision logs"),
            holder: Holder::new(DecisionId::from_random(random).to_string()),
            ends_at_millis: None,
        })
    }

    /// Writes events that no request came to write, and sends what is due.
    pub(crate) fn on_tick(&mut self, worker: &Worker) {
        for _ in 0..EVENTS_AT_ONCE {
            if !worker.write_event() {
                break;
            }
        }
        self.send(worker);
        self.count(worker);
    }

    /// Whether an answer is to an upload; then it is taken.
    pub(crate) fn on_response(&mut self, answer: Answer, worker: &Worker) -> bool {
        let Some(mut log) = worker.log() else { return false };
        if !log.outbox().expects(answer.token) {
            return false;
        }
        let (now, taken) = (answer.came, answer.taken());
        match &taken {
            Ok(()) => log.succeeded(now, post::random()),
            Err(error) if error.http_code().is_some_and(|code| NEVER_TAKEN.contains(&code)) => {
                log.rejected(now, post::random());
            }
            Err(_) => log.failed(now, post::random()),
        }
        drop(log);
        self.note(taken);
        self.send(worker);
        self.count(worker);
        true
    }

    /// Whether there is nothing left to wait for when the worker ends. What is held is sent once more.
    pub(crate) fn is_done(&mut self, worker: &Worker) -> bool {
        let Ok(now) = host::now() else { return true };
        let ends_at =
            *self.ends_at_millis.get_or_insert_with(|| now.unix_millis().saturating_add(LAST_UPLOAD_MILLIS));
        while worker.run_rehearsal() {}
        while worker.write_event() {}
        self.send(worker);
        self.count(worker);
        let is_done = now.unix_millis() >= ends_at || worker.log().is_none_or(|log| log.is_empty());
        if is_done {
            self.sign_off(worker);
        }
        is_done
    }

    fn send(&mut self, worker: &Worker) {
        let (Some(mut log), Ok(now)) = (worker.log(), host::now()) else { return };
        let is_ending = self.ends_at_millis.is_some();
        let Some(body) = log.upload(now, post::random(), is_ending) else { return };
        if let Err(problem) = post::send(log.outbox(), Some("gzip"), &body, now) {
            log.failed(now, post::random());
            drop(log);
            self.note(Err(problem));
        }
    }

    fn note(&mut self, taken: Result<(), FetchError>) {
        if self.complaints.note(taken) {
            // Only status events tell of it.
            let problem = self.complaints.problem().unwrap_or_default();
            let _ = host::set_shared_data(PROBLEM_KEY, problem.as_bytes(), None);
        }
    }

    /// Counts what became of events, and writes down how many are held.
    fn count(&mut self, worker: &Worker) {
        let Some(mut log) = worker.log() else { return };
        self.metrics.count(log.take_counts());
        let held = log.held();
        drop(log);
        let Ok(now) = host::now() else { return };
        for _ in 0..TRIES {
            let Ok(shared) = host::shared_data(HOLDERS_KEY) else { return };
            let Some(turned) = self.holder.turn(&shared.value, held, now) else { return };
            if host::set_shared_data(HOLDERS_KEY, &turned.bytes, Some(shared.cas)).is_ok() {
                self.holder.told(held, now);
                return self.metrics.note_holders(turned.lost, turned.held);
            }
        }
    }

    /// Nobody has to watch a worker that has ended. What it holds still is lost.
    fn sign_off(&self, worker: &Worker) {
        let held = worker.log().map_or(0, |log| log.held());
        for _ in 0..TRIES {
            let Ok(shared) = host::shared_data(HOLDERS_KEY) else { return };
            let turned = self.holder.end(&shared.value, held);
            if host::set_shared_data(HOLDERS_KEY, &turned.bytes, Some(shared.cas)).is_ok() {
                return self.metrics.note_holders(turned.lost, turned.held);
            }
        }
    }
}
