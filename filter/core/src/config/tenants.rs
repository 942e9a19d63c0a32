//! `tenants`: where the tenants' own policies come from.

use std::num::NonZeroUsize;

use super::{
    BundleSource, Resource,
    bundle_source::{Services, check_polling, check_resource, find_service},
    node::Node,
    signing::{Keys, check_signing},
};
use crate::{
    bundle::Verification,
    tenant::{OnMissing, TenantKey},
};

/// Where the tenants' own policies come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantSource {
    /// The resource of a tenant's bundle, with `{tenant}` and perhaps `{trust_domain}` in its path.
    template: Resource,
    /// What the bundles must be signed with; nothing where they must not be signed.
    pub signing: Option<Verification>,
    /// Who decides for a tenant without a policy.
    pub on_missing: OnMissing,
    /// The largest bundle of a tenant, compressed, in bytes.
    pub bundle_bytes: usize,
    /// How many tenants' policies a worker holds at a time.
    pub most_in_memory: NonZeroUsize,
}

const TENANT: &str = "{tenant}";
const TRUST_DOMAIN: &str = "{trust_domain}";
const MIB: u64 = 1 << 20;

pub(super) fn check(node: &Node<'_>, services: &Services<'_>, keys: &Keys<'_>) -> Option<TenantSource> {
    if !node.is_present() {
        return None;
    }
    let fields = node.fields();
    let service = find_service(&fields.field("service").required(), services);
    let resource = fields.field("resource").required().parsed(check_template);
    let on_missing = fields.field("on_missing");
    let on_missing = on_missing.is_present().then(|| {
        on_missing.parsed(|text| match text {
            "deny" => Ok(OnMissing::Deny),
            "platform" => Ok(OnMissing::Platform),
            other => Err(format!("must be `deny` or `platform`, but is `{other}`")),
        })
    });
    let signing_node = fields.field("signing");
    let signing = check_signing(&signing_node, keys);
    let polling = check_polling(&fields.field("polling"));
    let bundle_bytes = fields.field("bundle_bytes").integer(1..=(256 * MIB), MIB);
    let most = fields.field("most_in_memory").integer(1..=100_000, 1_000);
    fields.end();
    // Tenants that are to be verified are never some that are not.
    if signing_node.is_present() && signing.is_none() {
        return None;
    }
    Some(TenantSource {
        signing,
        template: service?.resource(&resource?, polling),
        on_missing: on_missing.flatten().unwrap_or_default(),
        bundle_bytes: usize::try_from(bundle_bytes).unwrap_or(usize::MAX),
        most_in_memory: usize::try_from(most).ok().and_then(NonZeroUsize::new).unwrap_or(NonZeroUsize::MIN),
    })
}

/// A resource with `{tenant}` in it. What takes the place of the braces are letters, digits, `-`, `.` and `_`.
fn check_template(text: &str) -> Result<String, String> {
    if !text.contains(TENANT) {
        return Err(format!("`{text}` has no `{TENANT}`: every tenant would have the same policy"));
    }
    check_resource(&fill(text, "t", "t")).map_err(|problem| {
        format!("`{text}` must be a path with `{TENANT}` in it, and perhaps `{TRUST_DOMAIN}`: {problem}")
    })?;
    Ok(text.trim_start_matches('/').to_owned())
}

fn fill(template: &str, trust_domain: &str, tenant: &str) -> String {
    template.replace(TENANT, tenant).replace(TRUST_DOMAIN, trust_domain)
}

// === impl TenantSource ===

impl TenantSource {
    /// The bundle of one tenant.
    pub fn bundle_of(&self, key: &TenantKey) -> BundleSource {
        let path = fill(&self.template.path, key.trust_domain(), key.tenant());
        let resource = Resource { path, ..self.template.clone() };
        BundleSource { name: format!("tenants/{key}"), resource, signing: self.signing.clone() }
    }

    /// Where the server lists the ETags of all tenants' bundles, so that one long poll does for all: the folder that the
    /// tenants' names stand in. Nothing where the path has no such folder.
    pub fn index(&self) -> Option<Resource> {
        let (folder, _) = self.template.path.split_once(TENANT)?;
        let folder = folder.strip_suffix('/').filter(|folder| !folder.is_empty())?;
        let is_one_folder = !self.template.path.contains(TRUST_DOMAIN);
        is_one_folder.then(|| Resource { path: folder.to_owned(), ..self.template.clone() })
    }
}
