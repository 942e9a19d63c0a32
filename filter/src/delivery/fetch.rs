//! The requests to a server, and its answers.

use hexr_authz_core::{
    delivery::{Download, FetchError, Fetched},
    status::Reporter,
    timestamp::Timestamp,
};

use crate::host::{self, HeaderMap};

/// Sends the request of `download`.
pub(super) fn send(download: &mut Download, now: Timestamp) -> Result<(), FetchError> {
    let request = download.request();
    let headers = request.iter().map(|(name, value)| (*name, value.as_ref())).collect();
    match host::dispatch_http_call(&download.resource().cluster, headers, None, download.timeout()) {
        Ok(token) => {
            download.sent(token, now);
            Ok(())
        }
        Err(_) => Err(download.not_sent(now, random())),
    }
}

/// The answer that has come to `download`.
pub(super) fn answer(
    download: &mut Download,
    num_headers: usize,
    body_size: usize,
    now: Timestamp,
) -> Result<Fetched, FetchError> {
    download.answered(read(num_headers, body_size), now, random())
}

fn read(num_headers: usize, body_size: usize) -> Result<Fetched, FetchError> {
    // Without headers there is no answer, and asking for them is an error.
    let headers = if num_headers == 0 { Ok(HeaderMap::empty()) } else { host::call_response_headers() };
    let body = if body_size == 0 { Ok(Vec::new()) } else { host::call_response_body(body_size) };
    let (Ok(headers), Ok(body)) = (headers, body) else { return Err(FetchError::Unreadable) };
    Fetched::read(headers.iter(), body)
}

/// Sends an event; the next one tells what this one did not.
pub(super) fn report(reporter: &mut Reporter, event: &str, now: Timestamp) -> Result<(), FetchError> {
    let request = reporter.request();
    let headers = request.iter().map(|(name, value)| (*name, value.as_ref())).collect();
    match host::dispatch_http_call(reporter.cluster(), headers, Some(event.as_bytes()), reporter.timeout()) {
        Ok(token) => {
            reporter.sent(token, now);
            Ok(())
        }
        Err(_) => {
            reporter.failed(now, random());
            Err(FetchError::NotSent(reporter.cluster().to_owned()))
        }
    }
}

/// Whether the server took an event.
pub(super) fn reported(
    reporter: &mut Reporter,
    num_headers: usize,
    now: Timestamp,
) -> Result<(), FetchError> {
    let headers = if num_headers == 0 { Ok(HeaderMap::empty()) } else { host::call_response_headers() };
    let taken = match headers {
        Ok(headers) => match headers.iter().find(|(name, _)| *name == b":status") {
            Some((_, [b'2', _, _])) => Ok(()),
            Some((_, status)) => Err(FetchError::Status(String::from_utf8_lossy(status).into_owned())),
            None => Err(FetchError::NoAnswer),
        },
        Err(_) => Err(FetchError::Unreadable),
    };
    match &taken {
        Ok(()) => reporter.succeeded(now, random()),
        Err(_) => reporter.failed(now, random()),
    }
    taken
}

fn random() -> u64 {
    let mut bytes = [0; 8];
    // Without it the delays are the shortest ones.
    let _ = host::fill_random(&mut bytes);
    u64::from_le_bytes(bytes)
}
