//! How a policy reaches every worker of one Envoy: one of them fetches, all of them switch.
//!
//! Here are the decisions and the records; the filter only moves them between Envoy's shared data and its HTTP calls.

mod lease;
mod record;
mod response;
mod schedule;

pub use lease::Lease;
pub use record::{ActiveRecord, Digest, Quarantine, Slot, SourceKeys};
pub use response::{FetchError, Fetched};
pub use schedule::Schedule;

#[cfg(test)]
mod tests;
