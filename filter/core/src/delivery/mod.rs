//! How policies reach every worker of one Envoy: one of them fetches, all of them switch.
//!
//! Here are the decisions and the records; the filter only moves them between Envoy's shared data and its HTTP calls.

mod assembly;
mod download;
mod index;
mod keys;
mod lease;
mod load;
mod outbox;
mod record;
mod response;
mod roll;
mod schedule;
mod turn;

pub use assembly::{Arrival, Assembly, Attempt, Pending};
pub use download::Download;
pub use index::TenantIndex;
pub use keys::{DeliveryKeys, ID_KEY, PolicyKeys};
pub use lease::Lease;
pub use load::{LoadError, Loaded, Origin, Part, Terms, load};
pub use outbox::Outbox;
pub use record::{ActiveRecord, Content, Digest, Held, Quarantine, Slot};
pub use response::{FetchError, Fetched};
pub use roll::TenantRoll;
pub use schedule::Schedule;

#[cfg(test)]
mod tests;
