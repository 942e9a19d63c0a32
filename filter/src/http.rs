//! One request: collect, let the core decide, then admit or refuse.

use std::rc::Rc;

use hexr_authz_core::{
    decision::{Decision, DecisionId, Permit, Refusal},
    reply::Reply,
    request::Request,
};
use proxy_wasm::{
    traits::{Context, HttpContext},
    types::Action,
};

use crate::{
    host::{self, HostError, Level, LocalResponse},
    worker::Worker,
};

/// One request on its way through the filter.
pub(crate) struct Stream {
    worker: Rc<Worker>,
}

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _num_headers: usize, _end_of_stream: bool) -> Action {
        match self.judge() {
            Ok(action) => action,
            Err(error) => {
                let id = self.worker.decision_id().unwrap_or_else(|_| DecisionId::from_random([0; 16]));
                host::log(Level::Error, &format!("decision {id}: a host call failed: {error:?}"));
                reply(&id.fault("a host call failed"))
            }
        }
    }
}

// === impl Stream ===

impl Stream {
    pub(crate) fn new(worker: Rc<Worker>) -> Self {
        Self { worker }
    }

    fn judge(&self) -> Result<Action, HostError> {
        let headers = host::request_headers()?;
        let request = Request::parse(headers.iter());
        let authorizer = self.worker.authorizer().ok_or(HostError::NotFound)?;
        if authorizer.is_readiness(&request) {
            return Ok(self.report_readiness());
        }
        let peer = self.worker.peer();
        let decision = authorizer.decide(&peer, &request, host::now()?, self.worker.decision_id()?);
        match decision {
            Decision::Allow(permit) => {
                let reserved = request.as_ref().map(Request::reserved_headers).unwrap_or_default();
                admit(permit, reserved)
            }
            Decision::Deny(refusal) => Ok(refuse(&refusal, authorizer.config().contact.as_deref())),
        }
    }

    fn report_readiness(&self) -> Action {
        let Some(authorizer) = self.worker.authorizer() else { return abandon() };
        let cause =
            if authorizer.active().is_some() { String::new() } else { self.worker.cause_of_no_policy() };
        let readiness = authorizer.readiness(&cause);
        let response = LocalResponse {
            status: readiness.status,
            grpc_status: None,
            details: "hexr_authz_ready",
            headers: &[("content-type", "application/json")],
            body: readiness.body.as_bytes(),
        };
        host::send_local_response(&response).map_or_else(|_| abandon(), |()| Action::Pause)
    }
}

/// Lets the request go on, with what the credential exchange is told in the place of what the caller said of itself.
///
/// The only place in the request's path that continues it, and it takes a permit to get here.
fn admit(permit: Permit<'_>, reserved_headers: &[&str]) -> Result<Action, HostError> {
    for name in reserved_headers {
        host::remove_request_header(name)?;
    }
    for (name, value) in permit.headers() {
        host::replace_request_header(name, value)?;
    }
    for (name, value) in permit.filter_state() {
        // Only access logs read it.
        let _ = host::set_filter_state(name, value);
    }
    Ok(Action::Continue)
}

fn refuse(refusal: &Refusal<'_>, contact: Option<&str>) -> Action {
    for (name, value) in refusal.filter_state() {
        let _ = host::set_filter_state(name, value);
    }
    if refusal.denial.is_fault() {
        let Refusal { id, denial, .. } = refusal;
        host::log(Level::Error, &format!("decision {id}: {}: {denial}", denial.reason().code()));
    }
    reply(&Reply::new(refusal, contact))
}

fn reply(reply: &Reply) -> Action {
    let headers: Vec<(&str, &str)> =
        reply.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let response = LocalResponse {
        status: reply.status,
        grpc_status: Some(reply.grpc_status),
        details: &reply.details,
        headers: &headers,
        body: reply.body.as_bytes(),
    };
    host::send_local_response(&response).map_or_else(|_| abandon(), |()| Action::Pause)
}

/// Ends a request that can be neither answered nor continued. A trap is what is left: Envoy answers 503 and reloads
/// the VM, while a request paused for ever would hang its caller.
fn abandon() -> Action {
    host::log(Level::Error, "a request can be neither answered nor continued");
    std::process::abort()
}
