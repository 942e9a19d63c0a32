//! Hexr Authz on real parts: Envoy, mTLS with SPIFFE certificates, the bundle server, HTTP.
//!
//! [`stack::Stack`] starts all of it; the demo, the scenarios under `tests` and the benchmarks are told in its terms.

pub mod agent;
pub mod artifacts;
pub mod browser;
pub mod bundle_server;
pub mod bundles;
pub mod certificates;
mod chromium_binary;
pub mod clients;
pub mod credential_exchange;
pub mod demo;
pub mod differential;
pub mod dns;
pub mod envoy;
pub mod envoy_binary;
pub mod envoy_config;
pub mod eventually;
pub mod guard;
pub mod kube_api;
pub mod measure;
pub mod policies;
pub mod process;
pub mod rate_limits;
mod redis_binary;
pub mod scripted_server;
pub mod stack;
pub mod wasm_cases;
mod wheel;

pub use filter_build::{repository, target_folder};
