//! The filter's configuration on one thread of Envoy: its start, its ticks, and the answers to its calls.

use std::{rc::Rc, time::Duration};

use hexr_authz_core::config::Config;
use proxy_wasm::{
    traits::{Context, HttpContext, RootContext},
    types::ContextType,
};

use crate::{
    audit_log::Upkeep,
    delivery::Delivery,
    host::{self, Level},
    http::{self, Stream},
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
}

impl Context for Root {
    fn on_http_call_response(
        &mut self,
        token: u32,
        num_headers: usize,
        body_size: usize,
        _num_trailers: usize,
    ) {
        if let Some(Configured { worker, delivery: Some(delivery), .. }) = &mut self.configured {
            delivery.on_response(token, num_headers, body_size, worker);
        }
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
        let Some(Configured { worker, delivery, audit_log }) = &mut self.configured else { return };
        if let Some(delivery) = delivery {
            delivery.on_tick(worker);
        }
        audit_log.on_tick();
        // Comes last: what follows is about other requests.
        http::refuse_overdue(worker);
    }

    fn create_http_context(&self, context_id: u32) -> Option<Box<dyn HttpContext>> {
        // Envoy makes no stream on a plugin that is not configured; were it to, the SDK would trap the VM.
        self.configured.as_ref().map(|configured| -> Box<dyn HttpContext> {
            Box::new(Stream::new(Rc::clone(&configured.worker), context_id))
        })
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
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
    let delivery = match &config.bundle {
        Some(source) => Some(
            Delivery::new(source.clone(), Rc::clone(&config))
                .map_err(|_| one("Envoy's shared data is out of reach"))?,
        ),
        None => None,
    };
    let audit_log = Upkeep::new(config.audit_log).map_err(|_| one("Envoy's shared data is out of reach"))?;
    let worker =
        Rc::new(Worker::new(config, delivery.as_ref().map(|delivery| delivery.keys().problem.clone())));
    let mut configured = Configured { worker, delivery, audit_log };
    host::set_tick_period(TICK).map_err(|_| one("Envoy gives no ticks"))?;
    if let Some(delivery) = &mut configured.delivery {
        // A VM that was reloaded has no memory; without this it would refuse everything until its next tick.
        delivery.follow(&configured.worker);
    }
    Ok(configured)
}
