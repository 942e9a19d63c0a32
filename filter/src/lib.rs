//! Hexr Authz for Envoy: reads what a request brings, lets the core decide, and does what it decided.
//!
//! A request: [`http`] to the core's `Authorizer` and back. A policy: [`delivery`], on the ticks of [`root`]. The calls
//! that rate limits count: [`audit_log`]. What is told of decisions: [`decision_log`].
//! Everything that touches Envoy goes through [`host`].

mod answer;
mod audit_log;
mod body;
mod clock;
mod decision_log;
mod delivery;
mod host;
mod http;
mod metrics;
mod post;
mod response;
mod root;
mod worker;

use proxy_wasm::traits::RootContext;

/// Called by Envoy when the module is loaded.
#[expect(unsafe_code, reason = "an exported symbol, with the name that the proxy-wasm ABI gives it")]
#[unsafe(no_mangle)]
pub extern "C" fn _initialize() {
    host::run_constructors();
    // The SDK's panic hook names the place of a panic in Envoy's log, but only once a level is set.
    proxy_wasm::set_log_level(proxy_wasm::types::LogLevel::Info);
    proxy_wasm::set_root_context(|_| -> Box<dyn RootContext> { Box::new(root::Root::default()) });
}
