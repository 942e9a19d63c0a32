//! A request's whole way through the core: reading it, who asks, what for, the policy, the permit.

use std::rc::Rc;

use anyhow::{Context as _, Result, anyhow};
use hexr_authz_core::{
    audit_log::{Calls, Ledger, LedgerFault, Swap, Versioned},
    authorizer::Authorizer,
    config::Config,
    decision::{Decision, DecisionId},
    denial::Denial,
    identity::Peer,
    policy::{FurtherFields, Moment},
    request::Request,
    timestamp::Timestamp,
};

/// The policies here count no calls.
struct NoCalls;

impl Ledger for NoCalls {
    fn read(&self, _key: &str) -> Result<Versioned, LedgerFault> {
        Err(LedgerFault("nobody counts calls here".to_owned()))
    }

    fn replace(&self, _key: &str, _value: &[u8], _version: u32) -> Result<Swap, LedgerFault> {
        Err(LedgerFault("nobody counts calls here".to_owned()))
    }

    fn now(&self) -> Result<Timestamp, LedgerFault> {
        Ok(now())
    }
}

pub(crate) struct Whole {
    authorizer: Authorizer,
}

/// 2026-11-24T12:00:00Z stands in the certificate's day when the clock says so; the caller's clock is used.
fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

impl Whole {
    pub(crate) fn new(rule: &str) -> Result<Self> {
        let module = format!("package hexr.authz\ndefault allow := false\n{rule}\n")
            .replace('"', "\\\"")
            .replace('\n', "\\n");
        let text = format!(
            r#"{{"identity": {{"trust_domains": [{{"name": "hexr.cloud"}}]}},
                "policy": {{"modules": {{"authz.rego": "{module}"}}}},
                "catalog": {{"services": [{{"service": "corp_search", "hosts": ["search.corp.example"],
                    "actions": [{{"action": "query", "method": "POST", "path": "/v1/{{index}}/query"}}]}}]}}}}"#
        );
        let config = Config::read(&text, &|_| None).map_err(|problems| anyhow!("{problems}"))?;
        Ok(Self { authorizer: Authorizer::new(Rc::new(config)) })
    }

    pub(crate) fn peer(&self, pem: &str) -> Peer {
        self.authorizer.config().trust_domains.identify(pem.as_bytes())
    }

    /// The whole way. It has to end in a permit: a benchmark of refusals would say something else.
    pub(crate) fn decide(&self, peer: &Peer) {
        let request = request();
        let decision =
            self.authorizer.decide(peer, &request, moment(), &NoCalls, DecisionId::from_random([7; 16]));
        assert!(matches!(decision, Decision::Allow(_)), "{decision:?}");
    }

    /// The policy's part of it alone, as a call.
    pub(crate) fn policy<'a>(&'a self, peer: &'a Peer) -> Result<impl FnMut() + 'a> {
        let identity = peer.at(now()).map_err(|denial| anyhow!("{denial:?}"))?;
        let request = request().map_err(|denial| anyhow!("{denial:?}"))?;
        let derivation = self.authorizer.config().catalog.derive(&request);
        let operation = derivation.operation().context("the catalog does not know the request")?;
        let policy = &self.authorizer.active().context("no policy")?.policy;
        let further = FurtherFields::default();
        Ok(move || {
            let consent = policy.allows(identity, &operation, &further, moment(), Calls::none());
            assert!(consent.is_ok(), "{consent:?}");
        })
    }
}

fn request() -> Result<Request<'static>, Denial> {
    const HEADERS: [(&[u8], &[u8]); 8] = [
        (b":method", b"POST"),
        (b":authority", b"search.corp.example"),
        (b":path", b"/v1/papers/query?limit=10"),
        (b":scheme", b"https"),
        (b"user-agent", b"agent/1.0"),
        (b"accept", b"application/json"),
        (b"content-type", b"application/json"),
        (b"content-length", b"120"),
    ];
    Request::parse(HEADERS.into_iter())
}

fn moment() -> Moment<'static> {
    Moment { now: now(), seed: 0, is_over: &|_| false }
}
