//! The decision engine of Hexr Authz, pure: no IO, no clock, no environment, no logging, no proxy-wasm.
//!
//! A request, a certificate and an instant come in as values; a [`decision::Decision`] goes out.

pub mod authorizer;
pub mod body;
pub mod bundle;
pub mod catalog;
pub mod config;
pub mod decision;
pub mod delivery;
pub mod denial;
mod header_names;
pub mod identity;
pub mod policy;
mod rego;
pub mod reply;
pub mod request;
pub mod timestamp;
