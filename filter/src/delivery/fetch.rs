//! The requests to a server, and its answers.

use hexr_authz_core::{
    delivery::{Download, FetchError, Fetched},
    timestamp::Timestamp,
};

use crate::{
    host,
    post::{self, random},
};

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
    let headers = post::headers(num_headers)?;
    let body = if body_size == 0 { Ok(Vec::new()) } else { host::call_response_body(body_size) };
    Fetched::read(headers.iter(), body.map_err(|_| FetchError::Unreadable)?)
}
