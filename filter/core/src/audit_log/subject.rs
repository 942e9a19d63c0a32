//! Who a call is counted for, and what is kept of it.

use super::Scope;
use crate::{catalog::Operation, identity::Identity};

/// Who calls are counted for: an agent, a tenant or everybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Subject {
    pub(super) shard: u32,
    pub(super) key: Vec<u8>,
}

/// What is kept of a call besides its instant. Many calls share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Face<'a> {
    /// In the order of [`FIELDS`].
    pub(super) texts: [&'a str; TEXTS],
    pub(super) is_allowed: bool,
}

/// How many texts a face has.
pub(super) const TEXTS: usize = 6;
/// The names of a face's texts in `data.audit_log`.
pub(super) const FIELDS: [&str; TEXTS] = ["tenant", "agent", "role", "spiffe_id", "service", "action"];

// === impl Subject ===

impl Subject {
    pub(super) fn new(scope: Scope, identity: &Identity) -> Self {
        let mut key = Vec::new();
        let trust_domain = identity.trust_domain();
        match scope {
            Scope::Agent => {
                write_account(&mut key, &[trust_domain, identity.tenant()]);
                key.extend(identity.agent().as_bytes());
            }
            Scope::Tenant => write_account(&mut key, &[trust_domain, identity.tenant()]),
            Scope::All => write_account(&mut key, &[]),
        }
        let shard = u32::try_from(hash(&key) % u64::from(scope.shards())).unwrap_or_default();
        Self { shard, key }
    }
}

/// The part of a subject's key that says whose memory its calls take. It comes first, behind its own length.
pub(super) fn account_of(key: &[u8]) -> &[u8] {
    let Some((length, rest)) = key.split_first_chunk::<2>() else { return &[] };
    rest.get(..usize::from(u16::from_le_bytes(*length))).unwrap_or(rest)
}

fn write_account(key: &mut Vec<u8>, parts: &[&str]) {
    // A trust domain has no NUL in it, so that the first one ends it.
    let account = parts.join("\0");
    key.extend(u16::try_from(account.len()).unwrap_or(u16::MAX).to_le_bytes());
    key.extend(account.as_bytes());
}

/// FNV-1a, with its bits mixed once more so that the low ones are as good as the high ones.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash ^ (hash >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93) >> 16
}

// === impl Face ===

impl<'a> Face<'a> {
    pub(super) fn new(identity: &'a Identity, operation: &'a Operation, is_allowed: bool) -> Self {
        let (service, action) = operation.texts();
        let texts = [
            identity.tenant(),
            identity.agent(),
            identity.role(),
            identity.spiffe_id(),
            service.as_str(),
            action.as_str(),
        ];
        Self { texts, is_allowed }
    }

    /// Whether it is of the tenant that `identity` is of.
    pub(super) fn is_of_tenant(&self, identity: &Identity) -> bool {
        let [tenant, _, _, spiffe_id, ..] = self.texts;
        tenant == identity.tenant() && trust_domain(spiffe_id) == identity.trust_domain()
    }

    /// Whether it is of the same agent as `other`.
    pub(super) fn is_of_same_agent(&self, other: &Face<'_>) -> bool {
        let [tenant, agent, _, spiffe_id, ..] = self.texts;
        let [other_tenant, other_agent, _, other_spiffe_id, ..] = other.texts;
        tenant == other_tenant
            && agent == other_agent
            && trust_domain(spiffe_id) == trust_domain(other_spiffe_id)
    }
}

/// The trust domain of a SPIFFE ID.
pub(super) fn trust_domain(spiffe_id: &str) -> &str {
    let rest = spiffe_id.strip_prefix("spiffe://").unwrap_or(spiffe_id);
    rest.split_once('/').map_or(rest, |(trust_domain, _)| trust_domain)
}
