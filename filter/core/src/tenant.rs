//! The tenants' own policies, as one worker has them. Which ones it needs it learns from the requests.

use std::{cell::RefCell, collections::BTreeSet, fmt, num::NonZeroUsize, rc::Rc};

use lru::LruCache;

use crate::{
    authorizer::ActivePolicy,
    denial::Denial,
    identity::Identity,
    policy::{Policy, Rejection, Remarks},
};

/// A tenant of a trust domain: two domains may each have one of the same name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantKey {
    /// `TRUST_DOMAIN/TENANT`; neither has a slash in it.
    text: String,
}

/// What is known of a tenant's own policy.
#[derive(Debug)]
pub enum TenantState {
    /// The server knows of none.
    Missing,
    /// It is in force.
    Active(ActivePolicy),
}

/// Who decides for a tenant that has no policy of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnMissing {
    /// Nobody: its requests are refused.
    #[default]
    Deny,
    /// The platform's policy alone.
    Platform,
}

/// The tenants of one worker. Those that were not asked for the longest give way to others; they are unknown again
/// then, and never decided by the platform alone.
#[derive(Debug)]
pub struct Tenants {
    on_missing: OnMissing,
    known: RefCell<LruCache<TenantKey, Rc<TenantState>>>,
    wanted: RefCell<BTreeSet<TenantKey>>,
}

/// How many tenants a worker asks for at once.
const MAX_WANTED: usize = 1024;

// === impl TenantKey ===

impl TenantKey {
    /// The tenant that an identity is of.
    pub fn of(identity: &Identity) -> Self {
        Self { text: format!("{}/{}", identity.trust_domain(), identity.tenant()) }
    }

    /// Reads what [`fmt::Display`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let (trust_domain, tenant) = text.split_once('/')?;
        let is_name = |name: &str| {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
            !matches!(name, "" | "." | "..") && name.bytes().all(allowed)
        };
        (is_name(trust_domain) && is_name(tenant)).then(|| Self { text: text.to_owned() })
    }

    /// The trust domain.
    pub fn trust_domain(&self) -> &str {
        self.text.split_once('/').map_or("", |(trust_domain, _)| trust_domain)
    }

    /// The tenant's name.
    pub fn tenant(&self) -> &str {
        self.text.split_once('/').map_or("", |(_, tenant)| tenant)
    }
}

impl fmt::Display for TenantKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

// === impl Tenants ===

impl Tenants {
    pub(crate) fn new(on_missing: OnMissing, most: NonZeroUsize) -> Self {
        Self { on_missing, known: RefCell::new(LruCache::new(most)), wanted: RefCell::default() }
    }

    /// The policy that an identity's tenant has besides the platform's; nothing where the platform's decides alone.
    ///
    /// # Errors
    /// [`Denial::NoPolicy`] as long as it is not known, and [`Denial::TenantPolicyDenied`] where it is known that there
    /// is none, unless the platform decides for such tenants.
    pub(crate) fn policy_of(&self, identity: &Identity) -> Result<Option<Rc<Policy>>, Denial> {
        let key = TenantKey::of(identity);
        let mut known = self.known.try_borrow_mut().map_err(|_| Denial::NoPolicy)?;
        match (known.get(&key).map(|state| &**state), self.on_missing) {
            (Some(TenantState::Active(active)), _) => Ok(Some(Rc::clone(&active.policy))),
            (Some(TenantState::Missing), OnMissing::Platform) => Ok(None),
            (Some(TenantState::Missing), OnMissing::Deny) => {
                let reason = Some("the tenant has no policy of its own".to_owned());
                let remarks = Remarks { reason, metadata: None };
                Err(Denial::TenantPolicyDenied(Box::new(Rejection { remarks, ..Rejection::default() })))
            }
            (None, _) => {
                if let Ok(mut wanted) = self.wanted.try_borrow_mut()
                    && wanted.len() < MAX_WANTED
                {
                    wanted.insert(key);
                }
                Err(Denial::NoPolicy)
            }
        }
    }

    /// The tenants that requests have asked for, and of which nothing is known. Each is told once a request.
    pub fn take_wanted(&self) -> BTreeSet<TenantKey> {
        self.wanted.try_borrow_mut().map(|mut wanted| std::mem::take(&mut *wanted)).unwrap_or_default()
    }

    /// The tenants of which something is known.
    pub fn known(&self) -> Vec<TenantKey> {
        self.known
            .try_borrow()
            .map(|known| known.iter().map(|(key, _)| key.clone()).collect())
            .unwrap_or_default()
    }

    /// From now on this is known of a tenant. What it takes the place of comes back: its policy, or that of the tenant
    /// that had to give way.
    pub fn learn(&self, key: TenantKey, state: TenantState) -> Option<Rc<TenantState>> {
        let mut known = self.known.try_borrow_mut().ok()?;
        known.push(key, Rc::new(state)).map(|(_, replaced)| replaced)
    }

    /// From now on nothing is known of a tenant.
    pub fn forget(&self, key: &TenantKey) {
        if let Ok(mut known) = self.known.try_borrow_mut() {
            known.pop(key);
        }
    }
}
