//! What the server says of all tenants at once: `{"tenants": {"acme-corp": "\"ETAG\""}}`.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The ETags of the tenants' bundles. A tenant that is not in it has none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct TenantIndex {
    tenants: BTreeMap<String, String>,
}

// === impl TenantIndex ===

impl TenantIndex {
    /// Reads the server's answer.
    ///
    /// # Errors
    /// When it is no index.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes)
            .map_err(|error| format!("the server's list of tenants is none: {error}"))
    }

    /// The ETag of a tenant's bundle.
    pub fn etag(&self, tenant: &str) -> Option<&str> {
        self.tenants.get(tenant).map(String::as_str)
    }
}
