//! What the requests of one worker share.

use std::{
    cell::{Cell, Ref, RefCell, RefMut},
    collections::{BTreeSet, VecDeque},
    num::NonZeroUsize,
    rc::Rc,
};

use hexr_authz_core::{
    authorizer::{ActivePolicy, Authorizer},
    candidate::{Candidate, Comparison, Rehearsal},
    config::Config,
    decision::DecisionId,
    decision_log::{DecisionLog, Entry},
    identity::Peer,
    policy::Policy,
    tenant::{TenantKey, TenantState, Tenants},
    timestamp::Timestamp,
};
use lru::LruCache;
use rustc_hash::FxBuildHasher;

use crate::{
    audit_log::SharedData,
    body::Waiting,
    clock::deadline,
    host::{self, HostError},
    metrics::DecisionMetrics,
};

/// How many certificates a worker remembers.
const MAX_PEERS: NonZeroUsize = match NonZeroUsize::new(4096) {
    Some(max) => max,
    None => NonZeroUsize::MIN,
};
/// How many decisions wait for the candidate at most.
const MOST_REHEARSALS: usize = 1_000;
/// For how long it is asked on a tick: so short that a request which comes meanwhile hardly waits.
const REHEARSALS_NANOS: i64 = 2_000_000;
/// How many decision ids are made of one call to the system's generator.
const IDS_AT_ONCE: usize = 128;

/// The SHA-256 of a certificate, as Envoy writes it: 64 digits, in words that are compared faster. Nobody chooses it, so that
/// its hash need not be a keyed one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct CertificateDigest([u64; 8]);

/// The state of one worker, for one configuration of the filter.
#[derive(Debug)]
pub(crate) struct Worker {
    authorizer: RefCell<Authorizer>,
    /// By the digest of the whole certificate: a second certificate with the same SAN is another peer.
    peers: RefCell<LruCache<CertificateDigest, Rc<Peer>, FxBuildHasher>>,
    anonymous: Rc<Peer>,
    random: RefCell<Vec<[u8; 16]>>,
    waiting: Waiting,
    retired: RefCell<Vec<Policy>>,
    served: Cell<bool>,
    /// The shared-data key under which the fetching worker tells why there is no newer policy.
    problem_key: Option<String>,
    log: Option<RefCell<DecisionLog>>,
    /// Decisions on which the candidate is still to be asked, with what is to be logged of them.
    rehearsals: RefCell<VecDeque<(Rehearsal, Option<Entry>)>>,
    metrics: DecisionMetrics,
}

// === impl CertificateDigest ===

impl CertificateDigest {
    fn read(text: &[u8]) -> Option<Self> {
        let (words, []) = text.as_chunks::<8>() else { return None };
        let words: &[[u8; 8]; 8] = words.try_into().ok()?;
        Some(Self(words.map(u64::from_le_bytes)))
    }
}

// === impl Worker ===

impl Worker {
    pub(crate) fn new(
        config: Rc<Config>,
        problem_key: Option<String>,
        log: Option<DecisionLog>,
        metrics: DecisionMetrics,
    ) -> Self {
        Self {
            authorizer: RefCell::new(Authorizer::new(config)),
            peers: RefCell::new(LruCache::with_hasher(MAX_PEERS, FxBuildHasher)),
            anonymous: Rc::new(Peer::anonymous()),
            random: RefCell::default(),
            waiting: Waiting::default(),
            retired: RefCell::default(),
            served: Cell::new(false),
            problem_key,
            log: log.map(RefCell::new),
            rehearsals: RefCell::default(),
            metrics,
        }
    }

    /// The authorizer, for reading; nothing if it is being changed.
    pub(crate) fn authorizer(&self) -> Option<Ref<'_, Authorizer>> {
        self.authorizer.try_borrow().ok()
    }

    /// Notes that a request has come.
    pub(crate) fn note_request(&self) {
        self.served.set(true);
    }

    /// Whether a request has come since this was last asked.
    pub(crate) fn take_served(&self) -> bool {
        self.served.replace(false)
    }

    /// Puts a policy in force between two requests.
    pub(crate) fn activate(&self, policy: ActivePolicy) {
        self.count_remembered();
        let replaced = match self.authorizer.try_borrow_mut() {
            Ok(mut authorizer) => authorizer.activate(policy),
            Err(_) => None,
        };
        self.retire(replaced.map(|replaced| replaced.policy));
    }

    /// Counts the decisions of the active policy that were remembered.
    pub(crate) fn count_remembered(&self) {
        if let Some(authorizer) = self.authorizer()
            && let Some(active) = authorizer.active()
        {
            self.metrics.count_remembered(active.policy.take_recalled());
        }
    }

    /// The policies that are not in force any more. To drop a large one takes as long as to make it.
    pub(crate) fn take_retired(&self) -> Vec<Policy> {
        self.retired.try_borrow_mut().map(|mut retired| std::mem::take(&mut *retired)).unwrap_or_default()
    }

    fn retire(&self, policy: Option<Rc<Policy>>) {
        if let (Some(policy), Ok(mut retired)) =
            (policy.and_then(Rc::into_inner), self.retired.try_borrow_mut())
        {
            retired.push(policy);
        }
    }

    /// From now on this policy, or none, is asked beside the active one. What still waits for the one before is not asked of
    /// anybody.
    pub(crate) fn rehearse(&self, policy: Option<ActivePolicy>) {
        while self.skip_rehearsal() {}
        let replaced = match self.authorizer.try_borrow_mut() {
            Ok(mut authorizer) => authorizer.rehearse(policy),
            Err(_) => None,
        };
        self.retire(replaced.and_then(Rc::into_inner).map(Candidate::into_policy));
    }

    /// Whether the candidate has taken more than its budget again and again.
    pub(crate) fn is_candidate_spent(&self) -> bool {
        self.authorizer()
            .is_some_and(|authorizer| authorizer.candidate().is_some_and(|candidate| candidate.is_spent()))
    }

    /// Takes a decision on which the candidate is to be asked, and what is to be logged of it.
    pub(crate) fn add_rehearsal(&self, rehearsal: Rehearsal, entry: Option<Entry>) {
        if self.rehearsals.try_borrow().is_ok_and(|waiting| waiting.len() >= MOST_REHEARSALS) {
            self.skip_rehearsal();
        }
        if let Ok(mut waiting) = self.rehearsals.try_borrow_mut() {
            waiting.push_back((rehearsal, entry));
        }
    }

    /// Asks the candidate about one decision; says whether there was one.
    pub(crate) fn run_rehearsal(&self) -> bool {
        if self.is_candidate_spent() {
            return self.skip_rehearsal();
        }
        let Some(authorizer) = self.authorizer() else { return false };
        let Some((rehearsal, entry)) = self.next_rehearsal() else { return false };
        let config = authorizer.config();
        let ends = deadline(host::now().ok(), config.limits.evaluation.milliseconds);
        let verdict = rehearsal.run(&config.audit_log, &SharedData, &|author| ends.is_over(author));
        self.metrics.count_rehearsal(verdict.comparison);
        let sampling = config.candidate.as_ref().map_or(0, |candidate| candidate.sampling_percent);
        let (Some(entry), Some(mut log)) = (entry, self.log()) else { return true };
        if verdict.comparison.differs() && verdict.draw < sampling {
            log.record(entry.beside(verdict));
        } else if log.wants(entry.is_allowed()) {
            log.record(entry);
        }
        true
    }

    /// Asks the candidate about decisions that no request came to have it asked about.
    pub(crate) fn run_rehearsals(&self) {
        let Ok(began) = host::now() else { return };
        let is_over = |now: Timestamp| {
            let took = now.unix_nanos().saturating_sub(began.unix_nanos());
            !(0..REHEARSALS_NANOS).contains(&took)
        };
        while self.run_rehearsal() {
            if host::now().map_or(true, is_over) {
                break;
            }
        }
    }

    /// Lets one decision go without asking.
    fn skip_rehearsal(&self) -> bool {
        let Some((_, entry)) = self.next_rehearsal() else { return false };
        self.metrics.count_rehearsal(Comparison::Skipped);
        if let (Some(entry), Some(mut log)) = (entry, self.log())
            && log.wants(entry.is_allowed())
        {
            log.record(entry);
        }
        true
    }

    fn next_rehearsal(&self) -> Option<(Rehearsal, Option<Entry>)> {
        self.rehearsals.try_borrow_mut().ok()?.pop_front()
    }

    /// Puts no policy in force, between two requests.
    pub(crate) fn withdraw(&self) {
        if let Ok(mut authorizer) = self.authorizer.try_borrow_mut() {
            authorizer.withdraw();
        }
    }

    /// The tenants that requests asked for, and of whose policies nothing is known.
    pub(crate) fn take_wanted_tenants(&self) -> BTreeSet<TenantKey> {
        self.with_tenants(Tenants::take_wanted).unwrap_or_default()
    }

    /// From now on this is known of a tenant.
    pub(crate) fn learn_tenant(&self, key: TenantKey, state: TenantState) {
        let replaced = self.with_tenants(|tenants| tenants.learn(key, state)).flatten();
        if let Some(TenantState::Active(replaced)) = replaced.and_then(Rc::into_inner) {
            self.retire(Some(replaced.policy));
        }
    }

    /// From now on nothing is known of a tenant.
    pub(crate) fn forget_tenant(&self, key: &TenantKey) {
        self.with_tenants(|tenants| tenants.forget(key));
    }

    fn with_tenants<T>(&self, act: impl FnOnce(&Tenants) -> T) -> Option<T> {
        self.authorizer.try_borrow().ok()?.tenants().map(act)
    }

    /// The peer of the connection that the current request came over. Its certificate is read once.
    pub(crate) fn peer(&self) -> Rc<Peer> {
        let digest = host::property("connection\0sha256_peer_certificate_digest");
        let Some(digest) = digest.ok().and_then(|digest| CertificateDigest::read(&digest)) else {
            return Rc::clone(&self.anonymous);
        };
        let Ok(mut peers) = self.peers.try_borrow_mut() else { return Rc::clone(&self.anonymous) };
        if let Some(peer) = peers.get(&digest) {
            return Rc::clone(peer);
        }
        let (Ok(pem), Some(authorizer)) = (host::property("connection\0peer_certificate"), self.authorizer())
        else {
            return Rc::clone(&self.anonymous);
        };
        let peer = Rc::new(authorizer.config().trust_domains.identify(&pem));
        peers.put(digest, Rc::clone(&peer));
        peer
    }

    /// The requests that wait for their bodies.
    pub(crate) fn waiting(&self) -> &Waiting {
        &self.waiting
    }

    /// A new decision id.
    pub(crate) fn decision_id(&self) -> Result<DecisionId, HostError> {
        let mut random = self.random.try_borrow_mut().map_err(|_| HostError::NotFound)?;
        if random.is_empty() {
            let mut bytes = [[0; 16]; IDS_AT_ONCE];
            host::fill_random(bytes.as_flattened_mut())?;
            random.extend(bytes);
        }
        random.pop().map(DecisionId::from_random).ok_or(HostError::NotFound)
    }

    /// The decision log, where there is one.
    pub(crate) fn log(&self) -> Option<RefMut<'_, DecisionLog>> {
        self.log.as_ref()?.try_borrow_mut().ok()
    }

    /// What is counted of decisions.
    pub(crate) fn metrics(&self) -> &DecisionMetrics {
        &self.metrics
    }

    /// Writes one event of the decision log; says whether there was one to write.
    pub(crate) fn write_event(&self) -> bool {
        let (Some(mut log), Some(authorizer)) = (self.log(), self.authorizer()) else { return false };
        log.write_one(authorizer.active().map(|active| &*active.policy))
    }

    /// Why there is no policy, as far as any worker knows.
    pub(crate) fn cause_of_no_policy(&self) -> String {
        let problem = self.problem_key.as_ref().and_then(|key| host::shared_data(key).ok());
        let problem = problem.map(|shared| String::from_utf8_lossy(&shared.value).into_owned());
        problem
            .filter(|problem| !problem.is_empty())
            .unwrap_or_else(|| "the first bundle has not arrived yet".to_owned())
    }
}
