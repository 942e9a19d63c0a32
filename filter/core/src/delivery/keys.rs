//! Where things stand in Envoy's shared data.
//!
//! Envoy never deletes a key, keeps them over configuration updates and VM reloads, and shares them with every VM of
//! the same `vm_id`, those of another version of this filter included: hence the format's version in each key.

use super::{Digest, Slot};
use crate::{
    bundle::Verification,
    config::{BundleSource, CandidateSource, Config, TenantSource},
    tenant::TenantKey,
};

/// Changes when the meaning of any record changes.
const FORMAT: &str = "hexr-authz/3";

/// The keys of all deliveries of one configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryKeys {
    place: String,
    /// Who fetches: a [`super::Lease`].
    pub lease: String,
    /// The digest that is being loaded for the first time.
    pub probe: String,
    /// The same for tenants' policies, so that the one never waits for the other.
    pub tenant_probe: String,
    /// What must not be loaded again: a [`super::Quarantine`].
    pub quarantine: String,
    /// The tenants that some worker has asked for: a [`super::TenantRoll`].
    pub roll: String,
    /// Written whenever the record of some tenant is.
    pub tenants_changed: String,
    /// The generation of a policy that is not asked any more: a number as text.
    pub given_up: String,
}

/// The keys of one policy: the platform's, or a tenant's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyKeys {
    prefix: String,
    /// What is active: an [`super::ActiveRecord`].
    pub active: String,
    /// What keeps something newer from being active, as text; empty when nothing does.
    pub problem: String,
}

/// The key of the Envoy's own id, the same for every configuration.
pub const ID_KEY: &str = "hexr-authz/id";

// === impl DeliveryKeys ===

impl DeliveryKeys {
    /// The keys of a configuration. They are others where anything differs that says which bundles are good and where
    /// they come from: during an update of the configuration, the old one and the new one need not agree on that.
    pub fn new(config: &Config) -> Self {
        Self::of(config, &config.bundles, config.tenants.as_ref(), "")
    }

    /// Those of a candidate. They are not those of the policy that it may replace, which must stay what it is when a
    /// candidate comes or goes.
    pub fn of_candidate(config: &Config, candidate: &CandidateSource) -> Self {
        Self::of(config, &candidate.bundles, None, "candidate/")
    }

    fn of(config: &Config, bundles: &[BundleSource], tenants: Option<&TenantSource>, kind: &str) -> Self {
        let Config { rule, limits, audit_log, .. } = config;
        let bundle_bytes = limits.bundle_bytes;
        let signing = bundles.iter().map(|source| source.signing.as_ref());
        let signing = signing.chain(tenants.iter().map(|source| source.signing.as_ref()));
        // What a debug text leaves out of a key, its fingerprint has in it.
        let signing: Vec<_> = signing.map(|signing| signing.map(Verification::fingerprint)).collect();
        let text = format!("{bundles:?}\n{tenants:?}\n{signing:?}\n{rule}\n{bundle_bytes}\n{audit_log:?}");
        let digest = Digest::of(text.as_bytes());
        let place = format!("{FORMAT}/{kind}{}", digest.as_str());
        let key = |name: &str| format!("{place}/{name}");
        Self {
            lease: key("lease"),
            probe: key("probe"),
            tenant_probe: key("tenant-probe"),
            quarantine: key("quarantine"),
            roll: key("roll"),
            tenants_changed: key("tenants-changed"),
            given_up: key("given-up"),
            place,
        }
    }

    /// Those of the platform's policy.
    pub fn platform(&self) -> PolicyKeys {
        PolicyKeys::new(format!("{}/platform", self.place))
    }

    /// Those of a tenant's policy.
    pub fn tenant(&self, key: &TenantKey) -> PolicyKeys {
        PolicyKeys::new(format!("{}/tenant/{key}", self.place))
    }
}

// === impl PolicyKeys ===

impl PolicyKeys {
    fn new(prefix: String) -> Self {
        Self { active: format!("{prefix}/active"), problem: format!("{prefix}/problem"), prefix }
    }

    /// The key of a bundle's bytes.
    pub fn slot(&self, bundle: &str, slot: Slot) -> String {
        format!("{}/bundle-{}/{bundle}", self.prefix, slot.name())
    }
}
