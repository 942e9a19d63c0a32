//! The filter's configuration on one thread of Envoy: its start, its ticks, and the answers to its calls.

use std::{rc::Rc, time::Duration};

use hexr_authz_core::{config::Config, decision::DecisionId, delivery::ID_KEY};
use proxy_wasm::{
    traits::{Context, HttpContext, RootContext},
    types::ContextType,
};

use crate::{
    answer::Answer,
    audit_log::Upkeep,
    decision_log::{self, Uploads},
    delivery::{Delivery, PAUSE},
    host::{self, HostError, Level},
    http::{self, Stream},
    metrics::{DecisionMetrics, LogMetrics, Metrics},
    worker::Worker,
};

/// How often a worker looks for a newer policy, and for bodies that do not come: less than half of the 250 ms in which
/// all workers switch.
const TICK: Duration = Duration::from_millis(100);

/// One configuration on one thread.
#[derive(Default)]
pub(crate) struct Root {
    configured: Option<Configured>,
}

struct Configured {
    worker: Rc<Worker>,
    delivery: Option<Delivery>,
    audit_log: Upkeep,
    uploads: Option<Uploads>,
    ticks: Ticks,
    metrics: Metrics,
    is_ending: bool,
}

/// How often this thread ticks, and when the regular work was done last.
#[derive(Default)]
struct Ticks {
    are_frequent: bool,
    last_regular_millis: i64,
}

impl Context for Root {
    fn on_http_call_response(
        &mut self,
        token: u32,
        num_headers: usize,
        body_size: usize,
        _num_trailers: usize,
    ) {
        let (Some(configured), Ok(came)) = (&mut self.configured, host::now()) else { return };
        let answer = Answer { token, came, num_headers, body_size };
        let Configured { worker, delivery, uploads, ticks, metrics, .. } = configured;
        if let Some(uploads) = uploads
            && uploads.on_response(answer, worker)
        {
            return configured.end_if_done();
        }
        if let Some(delivery) = delivery {
            metrics.time(|| delivery.on_response(answer, worker));
            ticks.adapt(delivery.is_busy());
        }
    }

    /// The listener is drained, or Envoy ends: what the log holds is sent first.
    fn on_done(&mut self) -> bool {
        let Some(Configured { worker, uploads: Some(uploads), is_ending, .. }) = &mut self.configured else {
            return true;
        };
        let is_done = uploads.is_done(worker);
        *is_ending = !is_done;
        is_done
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, _configuration_size: usize) -> bool {
        match configure() {
            Ok(configured) => {
                self.configured = Some(configured);
                true
            }
            Err(problems) => {
                for problem in problems {
                    host::log(Level::Error, &format!("configuration: {problem}"));
                }
                false
            }
        }
    }

    fn on_tick(&mut self) {
        let Some(configured) = &mut self.configured else { return };
        let Configured { worker, delivery, audit_log, uploads, ticks, metrics, .. } = configured;
        if let Some(delivery) = delivery {
            metrics.time(|| delivery.on_tick(worker));
            ticks.adapt(delivery.is_busy());
        }
        if !ticks.is_regular() {
            return;
        }
        audit_log.on_tick();
        worker.count_remembered();
        worker.run_rehearsals();
        if let Some(uploads) = uploads {
            uploads.on_tick(worker);
        }
        // Comes last: what follows is about other requests.
        http::refuse_overdue(worker);
        configured.end_if_done();
    }

    fn create_http_context(&self, context_id: u32) -> Option<Box<dyn HttpContext>> {
        // Envoy makes no stream on a plugin that is not configured; were it to, the SDK would trap the VM.
        self.configured.as_ref().map(|configured| -> Box<dyn HttpContext> {
            configured.worker.note_request();
            Box::new(Stream::new(Rc::clone(&configured.worker), context_id))
        })
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

// === impl Configured ===

impl Configured {
    /// Tells Envoy when nothing is waited for any more.
    fn end_if_done(&mut self) {
        if self.is_ending
            && self.uploads.as_mut().is_none_or(|uploads| uploads.is_done(&self.worker))
            && host::done().is_ok()
        {
            self.is_ending = false;
        }
    }
}

// === impl Ticks ===

impl Ticks {
    /// Ticks more often while there is work that is done in slices.
    fn adapt(&mut self, is_busy: bool) {
        if self.are_frequent != is_busy && host::set_tick_period(if is_busy { PAUSE } else { TICK }).is_ok() {
            self.are_frequent = is_busy;
        }
    }

    /// Whether it is time again for what is done on every tick of [`TICK`].
    fn is_regular(&mut self) -> bool {
        let Ok(now) = host::now() else { return true };
        let since = now.unix_millis().saturating_sub(self.last_regular_millis);
        // A clock that was set back must not stop it.
        let is_due = !self.are_frequent
            || since < 0
            || u128::try_from(since).is_ok_and(|since| since >= TICK.as_millis());
        if is_due {
            self.last_regular_millis = now.unix_millis();
        }
        is_due
    }
}

/// Reads the configuration and takes up the policy that is active in this Envoy.
///
/// Must depend on nothing but the configuration: Envoy remembers a refusal and does not ask again.
fn configure() -> Result<Configured, Vec<String>> {
    let one = |problem: &str| vec![problem.to_owned()];
    let vm_id = host::property("plugin_vm_id").unwrap_or_default();
    if vm_id.is_empty() {
        return Err(one(
            "`vm_config.vm_id` is empty: set it, or policies are shared with every other filter without one",
        ));
    }
    let bytes = host::plugin_configuration().map_err(|_| one("there is none"))?;
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| one("it is not UTF-8 text: put JSON into a `google.protobuf.StringValue`"))?;
    let config = Config::read(text, &host::environment)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    let config = Rc::new(config);
    let out_of_reach = |_: HostError| one("Envoy's shared data is out of reach");
    let no_metrics = |_: HostError| one("Envoy takes no metrics");
    let metrics = Metrics::define().map_err(no_metrics)?;
    let decisions = DecisionMetrics::define().map_err(no_metrics)?;
    let id = envoy_id().map_err(out_of_reach)?;
    let log = decision_log::of(&config, &id);
    let log_metrics = log.as_ref().map(|_| LogMetrics::define()).transpose().map_err(no_metrics)?;
    let uploads = log_metrics.map(Uploads::new).transpose().map_err(out_of_reach)?;
    let delivery = Delivery::new(&config, &id, metrics, log_metrics).map_err(out_of_reach)?;
    let audit_log = Upkeep::new(config.audit_log).map_err(out_of_reach)?;
    let problem_key = delivery.as_ref().map(|delivery| delivery.problem_key().to_owned());
    let worker = Rc::new(Worker::new(config, problem_key, log, decisions));
    let ticks = Ticks::default();
    let mut configured =
        Configured { worker, delivery, audit_log, uploads, ticks, metrics, is_ending: false };
    host::set_tick_period(TICK).map_err(|_| one("Envoy gives no ticks"))?;
    if let Some(delivery) = &mut configured.delivery {
        // A VM that was reloaded has no memory; without this it would refuse everything until its next tick.
        delivery.catch_up(&configured.worker);
    }
    Ok(configured)
}

/// The id of this Envoy, under which it tells of itself. Envoy configures one VM alone before all others, so that there is
/// one id.
fn envoy_id() -> Result<String, HostError> {
    if host::is_absent(ID_KEY) {
        let mut random = [0; 16];
        host::fill_random(&mut random)?;
        host::set_shared_data(ID_KEY, DecisionId::from_random(random).as_str().as_bytes(), None)?;
    }
    Ok(String::from_utf8_lossy(&host::shared_data(ID_KEY)?.value).into_owned())
}
