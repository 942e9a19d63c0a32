//! The decision engine of Hexr Authz, pure: no IO, no clock, no environment, no logging, no proxy-wasm.
//!
//! A request, a certificate and an instant come in as values; a [`decision::Decision`] goes out.

pub mod audit_log;
pub mod authorizer;
pub mod body;
pub mod bundle;
pub mod candidate;
#[cfg(feature = "cases")]
pub mod cases;
pub mod catalog;
pub mod config;
pub mod decision;
pub mod decision_log;
pub mod delivery;
pub mod denial;
mod header_names;
pub mod identity;
#[cfg(feature = "lint")]
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "what is found is about a few of the many shapes of Rego's syntax; `lint::reference` matches all of them"
)]
pub mod lint;
pub mod pace;
mod packed;
pub mod policy;
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "most functions know a few of the many shapes of Rego's syntax and values; `rego::visit` matches all of them"
)]
mod rego;
#[cfg(feature = "replay")]
pub mod replay;
pub mod reply;
pub mod request;
pub mod series;
mod signature;
pub mod status;
pub mod tenant;
pub mod timestamp;
