//! The tenants that some worker of this Envoy has asked for.

use std::collections::BTreeSet;

use crate::tenant::TenantKey;

/// Grows only: who fetches keeps the policies of all of them up to date.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TenantRoll(BTreeSet<TenantKey>);

/// How many tenants one Envoy knows. Those beyond stay unknown, and are refused.
const MAX_TENANTS: usize = 10_000;

// === impl TenantRoll ===

impl TenantRoll {
    /// Adds tenants; says whether the roll has changed.
    pub fn add<'k>(&mut self, keys: impl IntoIterator<Item = &'k TenantKey>) -> bool {
        let before = self.0.len();
        for key in keys {
            if self.0.len() < MAX_TENANTS {
                self.0.insert(key.clone());
            }
        }
        self.0.len() > before
    }

    /// Whether it has all that it can have.
    pub fn is_full(&self) -> bool {
        self.0.len() >= MAX_TENANTS
    }

    /// The tenants.
    pub fn iter(&self) -> impl Iterator<Item = &TenantKey> {
        self.0.iter()
    }

    /// Its form in shared data: a line a tenant.
    pub fn encode(&self) -> Vec<u8> {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        lines.join("\n").into_bytes()
    }

    /// Reads that form; what is no tenant is left out.
    pub fn decode(bytes: &[u8]) -> Self {
        let text = std::str::from_utf8(bytes).unwrap_or_default();
        Self(text.lines().filter_map(TenantKey::parse).take(MAX_TENANTS).collect())
    }
}
