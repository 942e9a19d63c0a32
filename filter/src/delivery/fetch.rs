//! The requests to a server, and its answers.

use hexr_authz_core::{
    delivery::{Download, FetchError, Fetched},
    timestamp::Timestamp,
};

use crate::{answer::Answer, host, post::random};

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

/// What has come to `download`.
pub(super) fn receive(download: &mut Download, answer: Answer) -> Result<Fetched, FetchError> {
    download.answered(answer.fetched(), answer.came, random())
}
