//! One request: collect, let the core decide, then admit or refuse.

use std::{ops::RangeInclusive, rc::Rc};

use hexr_authz_core::{
    body::Body,
    candidate::Rehearsal,
    catalog::Addressee,
    decision::{Decision, DecisionId, Permit, Refusal, Waiver},
    decision_log::{DecisionLog, Entry},
    identity::Peer,
    policy::{Consent, Header, Moment},
    reply::Reply,
    request::{Request, is_reserved},
    timestamp::Timestamp,
};
use proxy_wasm::{
    traits::{Context, HttpContext},
    types::Action,
};

use crate::{
    audit_log::SharedData,
    clock::deadline,
    host::{self, HeaderMap, HostError, Level, LocalResponse},
    response,
    worker::Worker,
};

/// One request on its way through the filter.
pub(crate) struct Stream {
    worker: Rc<Worker>,
    context: u32,
    admitted: Option<Admitted>,
    /// What the policy adds to the response.
    additions: Vec<Header>,
}

/// Evidence that this request was admitted. Only [`admit`] makes one of a permit, and [`waive`] of a waiver.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Admitted(());

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _num_headers: usize, end_of_stream: bool) -> Action {
        self.settle(if end_of_stream { Body::Absent } else { Body::Coming })
    }

    fn on_http_request_body(&mut self, body_size: usize, end_of_stream: bool) -> Action {
        if let Some(admitted) = self.admitted() {
            return go_on(admitted);
        }
        let waiting = self.worker.waiting();
        waiting.note(self.context, body_size);
        if waiting.holds(self.context) && (end_of_stream || body_size > self.most()) {
            return self.settle_whole();
        }
        Action::Pause
    }

    fn on_http_request_trailers(&mut self, _num_trailers: usize) -> Action {
        if self.worker.waiting().holds(self.context) {
            self.settle_whole();
        }
        let Some(admitted) = self.admitted() else { return Action::Pause };
        match remove_reserved_trailers() {
            Ok(()) => go_on(admitted),
            // The head of the request may be upstream already; what must not follow it does not.
            Err(_) => abandon(),
        }
    }

    /// After the reply, so that no request waits for what is logged of it, or of one before it.
    fn on_log(&mut self) {
        self.worker.run_rehearsal();
        self.worker.write_event();
    }

    /// Also called for the filter's own replies, to which nothing is added.
    fn on_http_response_headers(&mut self, _num_headers: usize, _end_of_stream: bool) -> Action {
        response::send_on(&std::mem::take(&mut self.additions)).unwrap_or_else(|error| self.fail(error))
    }
}

/// What became of a request.
enum Judgement {
    /// It goes on; its response gets these headers.
    Admitted(Admitted, Vec<Header>),
    /// The filter has answered it.
    Answered,
    /// Its body decides, and is still coming.
    Waits,
}

// === impl Stream ===

impl Stream {
    pub(crate) fn new(worker: Rc<Worker>, context: u32) -> Self {
        Self { worker, context, admitted: None, additions: Vec::new() }
    }

    /// That the request was admitted, on one of its own callbacks or on a tick.
    fn admitted(&mut self) -> Option<Admitted> {
        if self.admitted.is_none() {
            self.admitted = self.worker.waiting().take_admitted(self.context);
        }
        self.admitted
    }

    /// Decides by what has come. Without a decision the request waits, which only one that is still coming may.
    fn settle(&mut self, body: Body<'_>) -> Action {
        match judge(&self.worker, body) {
            Ok(Judgement::Admitted(admitted, additions)) => {
                self.admitted = Some(admitted);
                self.additions = additions;
                go_on(admitted)
            }
            Ok(Judgement::Answered) => Action::Pause,
            Ok(Judgement::Waits) => match self.wait() {
                Ok(()) => Action::Pause,
                Err(error) => self.fail(error),
            },
            Err(error) => self.fail(error),
        }
    }

    /// Decides a request that waited, and has come as a whole or is too large.
    fn settle_whole(&mut self) -> Action {
        match self.worker.waiting().end(self.context, self.most()) {
            Ok(ended) => self.settle(ended.body()),
            Err(error) => self.fail(error),
        }
    }

    fn wait(&self) -> Result<(), HostError> {
        let authorizer = self.worker.authorizer().ok_or(HostError::NotFound)?;
        let millis = authorizer.config().limits.body_timeout_millis;
        self.worker.waiting().begin(self.context, host::now()?, millis)
    }

    /// The largest body that is read.
    fn most(&self) -> usize {
        self.worker.authorizer().map_or(0, |authorizer| authorizer.config().limits.request_body_bytes)
    }

    fn fail(&self, error: HostError) -> Action {
        fail(&self.worker, error);
        Action::Pause
    }
}

impl Drop for Stream {
    /// Its client may be gone before all of it has come.
    fn drop(&mut self) {
        self.worker.waiting().drop(self.context);
    }
}

/// Refuses the requests of which the bodies do not come. What the callback does afterwards is about the last of them.
pub(crate) fn refuse_overdue(worker: &Worker) {
    let Ok(now) = host::now() else { return };
    for context in worker.waiting().overdue(now) {
        // One that Envoy does not know any more needs no answer.
        if host::turn_to(context).is_err() {
            continue;
        }
        match judge(worker, Body::TooLate) {
            Ok(Judgement::Answered) => {}
            // Nothing is enforced: its body goes on as it comes.
            Ok(Judgement::Admitted(admitted, _)) => {
                let noted = worker.waiting().admit(context, admitted);
                noted.and_then(|()| host::continue_request()).unwrap_or_else(|error| fail(worker, error));
            }
            // What has waited once is refused for having waited; were it not, it must not wait for ever.
            Ok(Judgement::Waits) => fail(worker, HostError::NotFound),
            Err(error) => fail(worker, error),
        }
    }
}

fn judge(worker: &Worker, body: Body<'_>) -> Result<Judgement, HostError> {
    let headers = host::request_headers()?;
    let request = Request::parse(headers.iter()).map(|request| request.ended(body == Body::Absent));
    let authorizer = worker.authorizer().ok_or(HostError::NotFound)?;
    if authorizer.is_readiness(headers.iter()) {
        report_readiness(worker);
        return Ok(Judgement::Answered);
    }
    let (peer, now) = (worker.peer(), host::now()?);
    let Some(asked) = authorizer.asked(&peer, &request, body, now) else { return Ok(Judgement::Waits) };
    let id = worker.decision_id()?;
    let ends = deadline(Some(now), authorizer.config().limits.evaluation.milliseconds);
    let moment = Moment { now, seed: id.seed(), is_over: &|author| ends.is_over(author) };
    let decision = authorizer.decide_derived(&peer, asked, moment, &SharedData, id);
    let decided = host::now().unwrap_or(now);
    // What Envoy does not do is no decision: it is told as a fault.
    let admitted = match &decision {
        Decision::Allow(permit) => {
            let reserved = request.as_ref().map(Request::reserved_headers).unwrap_or_default();
            Some(admit(permit, reserved)?)
        }
        Decision::Waive(waiver) => Some(waive(waiver, &headers)?),
        Decision::Deny(_) => None,
    };
    record(worker, &decision, &peer, request.as_ref().ok(), now..=decided);
    match (decision, admitted) {
        (Decision::Allow(permit), Some(admitted)) => {
            Ok(Judgement::Admitted(admitted, permit.into_response_headers()))
        }
        (Decision::Waive(_), Some(admitted)) => Ok(Judgement::Admitted(admitted, Vec::new())),
        // Both were admitted above, or have failed there.
        (Decision::Allow(_) | Decision::Waive(_), None) => Err(HostError::NotFound),
        (Decision::Deny(refusal), _) => {
            let config = authorizer.config();
            let addressee = request.as_ref().map_or_else(
                |_| Addressee::anyone(),
                |request| config.catalog.addressee(request, body.whole()),
            );
            refuse(&refusal, config.contact.as_deref(), &addressee);
            Ok(Judgement::Answered)
        }
    }
}

/// Counts a decision, and leaves what is asked and written of it afterwards.
fn record(
    worker: &Worker,
    decision: &Decision<'_>,
    peer: &Rc<Peer>,
    request: Option<&Request<'_>>,
    decided: RangeInclusive<Timestamp>,
) {
    let (began, decided) = decided.into_inner();
    let in_all = host::now().unwrap_or(decided).since(began);
    worker.metrics().count(decision, decided.since(began), in_all);
    // Only access logs read it.
    let _ = host::set_filter_state("hexr_authz.duration_us", &in_all.as_micros().to_string());
    let rehearsal = Rehearsal::of(decision, peer);
    // What the candidate refuses is logged even where only refusals are.
    let is_wanted =
        |log: &DecisionLog| rehearsal.is_some() || log.wants(matches!(decision, Decision::Allow(_)));
    let entry = worker
        .log()
        .filter(|log| is_wanted(log))
        .map(|_| Entry::new(decision, peer, request, decided.since(began)));
    match (rehearsal, entry) {
        (Some(rehearsal), entry) => worker.add_rehearsal(rehearsal, entry),
        (None, Some(entry)) => {
            if let Some(mut log) = worker.log() {
                log.record(entry);
            }
        }
        (None, None) => {}
    }
}

/// Answers where Envoy does not do what it was asked to.
fn fail(worker: &Worker, error: HostError) {
    let id = worker.decision_id().unwrap_or_else(|_| DecisionId::from_random([0; 16]));
    host::log(Level::Error, &format!("decision {id}: a host call failed: {error:?}"));
    if let (Some(mut log), Ok(now)) = (worker.log(), host::now()) {
        log.record(Entry::fault(id.clone(), now, "a host call failed"));
    }
    reply(&id.fault("a host call failed"));
}

fn report_readiness(worker: &Worker) {
    let Some(authorizer) = worker.authorizer() else { abandon() };
    let cause = if authorizer.active().is_some() { String::new() } else { worker.cause_of_no_policy() };
    let readiness = authorizer.readiness(&cause);
    let response = LocalResponse {
        status: readiness.status,
        grpc_status: None,
        details: "hexr_authz_ready",
        headers: &[("content-type", "application/json")],
        body: readiness.body.as_bytes(),
    };
    host::send_local_response(&response).unwrap_or_else(|_| abandon());
}

/// Puts what the credential exchange is told in the place of what the caller said of itself, and changes what the
/// policy wants changed. What the exchange is told comes last, so that nothing overwrites it.
fn admit(permit: &Permit<'_>, reserved_headers: &[&str]) -> Result<Admitted, HostError> {
    for name in reserved_headers {
        host::remove_request_header(name)?;
    }
    change_request(permit.consent())?;
    for (name, value) in permit.headers() {
        host::replace_request_header(name, value)?;
    }
    for (name, value) in permit.filter_state() {
        // Only access logs read it.
        let _ = host::set_filter_state(name, &value);
    }
    Ok(Admitted(()))
}

/// Lets a request go on that would be refused. Of the caller's own word for itself nothing is left, and what the exchange
/// is told is what a certificate proves.
fn waive(waiver: &Waiver<'_>, headers: &HeaderMap) -> Result<Admitted, HostError> {
    for (name, _) in headers.iter().filter(|(name, _)| is_reserved(name)) {
        host::remove_request_header(std::str::from_utf8(name).map_err(|_| HostError::NotFound)?)?;
    }
    for (name, value) in waiver.headers() {
        host::replace_request_header(name, value)?;
    }
    for (name, value) in waiver.filter_state() {
        let _ = host::set_filter_state(name, &value);
    }
    report_fault(waiver.refusal());
    Ok(Admitted(()))
}

/// What the operator has to mend stands in Envoy's log.
fn report_fault(refusal: &Refusal<'_>) {
    if refusal.denial.is_fault() {
        let Refusal { id, denial, .. } = refusal;
        host::log(Level::Error, &format!("decision {id}: {}: {denial}", denial.reason().code()));
    }
}

fn change_request(consent: &Consent) -> Result<(), HostError> {
    for headers in consent.request_headers.chunk_by(|one, other| one.name == other.name) {
        let Some((first, more)) = headers.split_first() else { continue };
        host::replace_request_header(&first.name, &first.value)?;
        for header in more {
            host::add_request_header(&header.name, &header.value)?;
        }
    }
    for name in &consent.request_headers_to_remove {
        host::remove_request_header(name)?;
    }
    Ok(())
}

/// The only place that lets a request go on, and it takes what only a permit leads to.
fn go_on(_admitted: Admitted) -> Action {
    Action::Continue
}

/// Trailers are headers to some servers, so that the caller may not speak for itself there either.
fn remove_reserved_trailers() -> Result<(), HostError> {
    for (name, _) in host::request_trailers()?.iter().filter(|(name, _)| is_reserved(name)) {
        let name = std::str::from_utf8(name).map_err(|_| HostError::NotFound)?;
        host::remove_request_trailer(name)?;
    }
    Ok(())
}

fn refuse(refusal: &Refusal<'_>, contact: Option<&str>, addressee: &Addressee) {
    for (name, value) in refusal.filter_state() {
        let _ = host::set_filter_state(name, &value);
    }
    report_fault(refusal);
    reply(&Reply::new(refusal, contact, addressee));
}

fn reply(reply: &Reply) {
    let headers: Vec<(&str, &str)> =
        reply.headers.iter().map(|(name, value)| (name.as_ref(), value.as_str())).collect();
    let response = LocalResponse {
        status: reply.status,
        grpc_status: Some(reply.grpc_status),
        details: &reply.details,
        headers: &headers,
        body: &reply.body,
    };
    host::send_local_response(&response).unwrap_or_else(|_| abandon());
}

/// Ends a request that can be neither answered nor continued. A trap is what is left: Envoy answers 503 and reloads
/// the VM, while a request paused for ever would hang its caller.
fn abandon() -> ! {
    host::log(Level::Error, "a request can be neither answered nor continued");
    std::process::abort()
}
