//! The response to an admitted request, on its way back to the caller.

use hexr_authz_core::policy::Header;
use proxy_wasm::types::Action;

use crate::host::{self, HostError};

/// Sends the response on, with what the policy adds to it.
pub(crate) fn send_on(additions: &[Header]) -> Result<Action, HostError> {
    for header in additions {
        host::add_response_header(&header.name, &header.value)?;
    }
    Ok(Action::Continue)
}
