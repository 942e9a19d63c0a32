//! The limits, as Envoy's own rate limit service reads them.

use envoy_types::pb::envoy::{
    extensions::common::ratelimit::v3::RateLimitDescriptor,
    service::ratelimit::v3::rate_limit_response as envoy,
};
use serde::Deserialize;

/// The limits of a domain.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limits {
    /// What Envoy's filter names.
    pub(crate) domain: String,
    descriptors: Vec<Node>,
}

/// What an entry of a descriptor has to be for the limit, or for those below.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Node {
    key: String,
    /// Without one, each value has the limit for itself.
    value: Option<String>,
    rate_limit: Option<Limit>,
    #[serde(default)]
    descriptors: Vec<Node>,
}

/// So many calls in each second, minute, ..., counted anew in the next one.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limit {
    pub(crate) unit: Unit,
    pub(crate) requests_per_unit: u32,
}

/// A time after which calls are counted anew.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Unit {
    Second,
    Minute,
    Hour,
    Day,
    Year,
}

// === impl Limits ===

impl Limits {
    /// The limit of a descriptor: that of the node which all of its entries lead to.
    pub(crate) fn of(&self, descriptor: &RateLimitDescriptor) -> Option<Limit> {
        let (mut nodes, mut found) = (&self.descriptors, None);
        for entry in &descriptor.entries {
            let of_key = || nodes.iter().filter(|node| node.key == entry.key);
            let of_value = of_key().find(|node| node.value.as_ref() == Some(&entry.value));
            let node = of_value.or_else(|| of_key().find(|node| node.value.is_none()))?;
            (nodes, found) = (&node.descriptors, node.rate_limit);
        }
        found
    }
}

// === impl Unit ===

impl Unit {
    /// How long it is.
    pub(crate) const fn seconds(self) -> u64 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3600,
            Self::Day => 86_400,
            Self::Year => 365 * 86_400,
        }
    }

    /// Its name in Envoy's protocol.
    pub(crate) const fn in_envoy(self) -> envoy::rate_limit::Unit {
        match self {
            Self::Second => envoy::rate_limit::Unit::Second,
            Self::Minute => envoy::rate_limit::Unit::Minute,
            Self::Hour => envoy::rate_limit::Unit::Hour,
            Self::Day => envoy::rate_limit::Unit::Day,
            Self::Year => envoy::rate_limit::Unit::Year,
        }
    }
}
