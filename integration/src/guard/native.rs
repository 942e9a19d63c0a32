//! The same decisions in the core alone, natively, where an allocator can count what it is asked for.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail};
use hexr_authz_core::{
    audit_log::{Ledger, LedgerFault, Swap, Versioned},
    authorizer::Authorizer,
    body::Body,
    catalog::Addressee,
    config::Config,
    decision::{Decision, DecisionId},
    decision_log::{DecisionLog, Entry},
    identity::Peer,
    policy::Moment,
    reply::Reply,
    request::Request,
    timestamp::Timestamp,
};

use super::{
    BEFORE, MEASURED,
    scenario::{DAYBREAK, Scenario},
};

/// Data that nobody shares.
struct Own {
    values: RefCell<BTreeMap<String, Versioned>>,
    now: Cell<Timestamp>,
}

/// The core, as the filter has it.
struct Core {
    authorizer: Authorizer,
    peer: Option<Rc<Peer>>,
    ledger: Own,
    log: Option<DecisionLog>,
}

impl Ledger for Own {
    fn read(&self, key: &str) -> Result<Versioned, LedgerFault> {
        self.values.borrow().get(key).cloned().ok_or_else(|| LedgerFault(format!("no {key}")))
    }

    fn replace(&self, key: &str, value: &[u8], version: u32) -> Result<Swap, LedgerFault> {
        let value = Versioned { value: value.to_vec(), version: version + 1 };
        self.values.borrow_mut().insert(key.to_owned(), value);
        Ok(Swap::Done)
    }

    fn now(&self) -> Result<Timestamp, LedgerFault> {
        Ok(self.now.get())
    }
}

/// The allocations of one decision of a scenario, from the request's headers to what Envoy is told: those of the median
/// one. `count` counts what it runs.
pub(super) fn allocations(scenario: &Scenario, count: &dyn Fn(&mut dyn FnMut()) -> u64) -> Result<u64> {
    let mut core = Core::new(scenario)?;
    let mut counts = Vec::new();
    for request in 0..BEFORE + MEASURED {
        core.arrive(scenario, i64::try_from(request)?);
        let mut status = Ok(None);
        counts.push(count(&mut || status = core.decide(scenario)));
        let status = status?;
        if status != scenario.refused_with {
            bail!("{}: the core answers with {status:?}", scenario.name);
        }
    }
    let mut measured = counts.split_off(BEFORE);
    measured.sort_unstable();
    measured.get(MEASURED / 2).copied().context("no request")
}

// === impl Core ===

impl Core {
    fn new(scenario: &Scenario) -> Result<Self> {
        let config = Config::read(&scenario.config.to_string(), &|_| None);
        let config = Rc::new(config.map_err(|problems| anyhow!("{}: {problems}", scenario.name))?);
        let empty = |key| (key, Versioned { value: Vec::new(), version: 1 });
        let log = config.decision_logs.clone();
        Ok(Self {
            ledger: Own {
                values: RefCell::new(config.audit_log.keys().map(empty).collect()),
                now: Cell::new(Timestamp::from_unix_nanos(0)),
            },
            log: log.map(|settings| DecisionLog::new(settings, BTreeMap::new(), &config.rule.slashes())),
            authorizer: Authorizer::new(config),
            peer: None,
        })
    }

    fn arrive(&mut self, scenario: &Scenario, second: i64) {
        let now = (DAYBREAK + second).saturating_mul(1_000_000_000);
        self.ledger.now.set(Timestamp::from_unix_nanos(now));
        if scenario.is_over_new_connections {
            self.peer = None;
        }
        if let Some(log) = &mut self.log {
            while log.write_one(None) {}
        }
    }

    /// Decides a request, and makes what Envoy is told of it. Says what it is refused with.
    fn decide(&mut self, scenario: &Scenario) -> Result<Option<u32>> {
        let headers = || scenario.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let authorizer = &self.authorizer;
        let peer = match &self.peer {
            Some(peer) => Rc::clone(peer),
            None => {
                let pem = scenario.certificate.as_bytes();
                let peer = Rc::new(authorizer.config().trust_domains.identify(pem));
                Rc::clone(self.peer.insert(peer))
            }
        };
        let now = self.ledger.now.get();
        let request = Request::parse(headers());
        let asked = authorizer.asked(&peer, &request, Body::Coming, now);
        let asked = asked.or_else(|| authorizer.asked(&peer, &request, Body::Whole(&scenario.body), now));
        let asked = asked.context("the request waits for more than its body")?;
        let id = DecisionId::from_random([7; 16]);
        let moment = Moment { now, seed: id.seed(), is_over: &|_| false };
        let decision = authorizer.decide_derived(&peer, asked, moment, &self.ledger, id);
        if let Some(log) = &mut self.log {
            log.record(Entry::new(&decision, &peer, request.as_ref().ok(), Duration::from_micros(1)));
        }
        match decision {
            Decision::Allow(permit) => {
                std::hint::black_box((permit.headers(), permit.filter_state().count()));
                Ok(None)
            }
            Decision::Deny(refusal) => {
                std::hint::black_box(refusal.filter_state().count());
                let config = authorizer.config();
                let addressee = request.as_ref().map_or_else(
                    |_| Addressee::anyone(),
                    |request| config.catalog.addressee(request, Some(&scenario.body)),
                );
                let reply = Reply::new(&refusal, config.contact.as_deref(), &addressee);
                Ok(Some(u32::from(std::hint::black_box(reply).status)))
            }
            Decision::Waive(_) => bail!("{}: nothing is enforced", scenario.name),
        }
    }
}
