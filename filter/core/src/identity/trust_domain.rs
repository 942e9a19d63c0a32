//! The trust domains whose agents may come, and how each names them.

use std::collections::{BTreeMap, BTreeSet};

use spiffe::SpiffeId;

use super::{Certificate, Identity, Parts, PathTemplate, Peer};
use crate::denial::Denial;

/// One SPIFFE trust domain.
#[derive(Clone, Debug)]
pub struct TrustDomain {
    /// Its name, without `spiffe://`.
    pub name: spiffe::TrustDomain,
    /// The paths that its agents' IDs have. The first that fits wins.
    pub paths: Vec<PathTemplate>,
    /// The tenants that it may speak for; all of them where it is the only trust domain and lists none.
    pub tenants: Option<BTreeSet<String>>,
}

/// The longest SPIFFE ID that implementations must support, and the longest that this one does.
const MAX_SPIFFE_ID_BYTES: usize = 2048;

/// All trust domains, and what the operator adds about single IDs.
#[derive(Clone, Debug)]
pub struct TrustDomains {
    domains: Vec<TrustDomain>,
    map: BTreeMap<SpiffeId, Parts>,
}

impl TrustDomains {
    pub(crate) fn new(domains: Vec<TrustDomain>, map: BTreeMap<SpiffeId, Parts>) -> Self {
        Self { domains, map }
    }

    /// Reads a client certificate in PEM and tells whom it speaks for.
    ///
    /// The certificate must already be verified: Envoy's TLS context does that.
    pub fn identify(&self, pem: &[u8]) -> Peer {
        match Certificate::from_pem(pem) {
            Ok(certificate) => self.peer(&certificate),
            Err(error) => Peer::new(None, Err(Denial::InvalidSpiffeId(error.to_string()))),
        }
    }

    /// Tells whom a certificate speaks for that has been read.
    pub(crate) fn peer(&self, certificate: &Certificate) -> Peer {
        let identity = certificate.uri_san().and_then(|uri| self.identity_of(uri));
        Peer::new(Some(certificate.validity()), identity)
    }

    /// Splits a SPIFFE ID by its trust domain's templates.
    ///
    /// # Errors
    /// When the ID is invalid, foreign, or names less than tenant, agent and role.
    pub fn identity_of(&self, uri: &str) -> Result<Identity, Denial> {
        let invalid =
            |problem: &str| Denial::InvalidSpiffeId(format!("`{uri}` is not a SPIFFE ID: {problem}"));
        // SPIFFE ID specification, section 2.3, which the parser does not check.
        if uri.len() > MAX_SPIFFE_ID_BYTES {
            return Err(Denial::InvalidSpiffeId(format!(
                "the SPIFFE ID has more than {MAX_SPIFFE_ID_BYTES} bytes"
            )));
        }
        let id = SpiffeId::new(uri).map_err(|error| invalid(&error.to_string()))?;
        // The parser forgives upper case; an issuer that writes it is not one to trust with names.
        if id.to_string() != uri {
            return Err(invalid("scheme and trust domain are written in lower case"));
        }
        let domain =
            self.domains.iter().find(|domain| domain.name == *id.trust_domain()).ok_or_else(|| {
                Denial::UntrustedDomain(format!("`{}` is not a trusted domain", id.trust_domain()))
            })?;
        let captured =
            domain.paths.iter().find_map(|template| template.captures(id.path())).ok_or_else(|| {
                Denial::UnmappedIdentity(format!("the path of `{id}` fits no template of its trust domain"))
            })?;
        let Parts { tenant, agent, role } = captured.or(self.map.get(&id));
        let missing = |part: &str| {
            Denial::UnmappedIdentity(format!("neither the path of `{id}` nor the map gives its {part}"))
        };
        let tenant = tenant.ok_or_else(|| missing("tenant"))?;
        let agent = agent.ok_or_else(|| missing("agent"))?;
        let role = role.ok_or_else(|| missing("role"))?;
        if domain.tenants.as_ref().is_some_and(|tenants| !tenants.contains(&tenant)) {
            return Err(Denial::UntrustedDomain(format!(
                "`{}` may not speak for tenant `{tenant}`",
                id.trust_domain()
            )));
        }
        Ok(Identity::new(&id, tenant, agent, role))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trust_domains() -> TrustDomains {
        let domain = |name: &str, paths: &[&str], tenants: &[&str]| TrustDomain {
            name: spiffe::TrustDomain::new(name).unwrap(),
            paths: paths.iter().map(|path| PathTemplate::parse(path).unwrap()).collect(),
            tenants: Some(tenants.iter().map(|tenant| (*tenant).to_owned()).collect()),
        };
        let role = Parts { role: Some("researcher".to_owned()), ..Parts::default() };
        TrustDomains::new(
            vec![
                domain(
                    "hexr.cloud",
                    &["/agent/{tenant}/{agent}/{role}", "/ns/{tenant}/sa/{agent}"],
                    &["acme", "x"],
                ),
                domain("partner.example", &["/agent/{tenant}/{agent}/{role}"], &["globex"]),
            ],
            [(SpiffeId::new("spiffe://hexr.cloud/ns/x/sa/y").unwrap(), role)].into(),
        )
    }

    #[track_caller]
    fn check(uri: &str, expect: Result<[&str; 3], &str>) {
        let identity = trust_domains().identity_of(uri);
        let parts = identity.as_ref().map(|id| [id.tenant(), id.agent(), id.role()]);
        assert_eq!(parts.map_err(|denial| denial.reason().code()), expect, "{uri}");
    }

    #[test]
    fn identities() {
        check("spiffe://hexr.cloud/agent/acme/crew/editor", Ok(["acme", "crew", "editor"]));
        check("spiffe://hexr.cloud/ns/x/sa/y", Ok(["x", "y", "researcher"]));
        check("spiffe://hexr.cloud/ns/x/sa/z", Err("unmapped_identity"));
        check("spiffe://hexr.cloud/other", Err("unmapped_identity"));
        check("spiffe://hexr.cloud", Err("unmapped_identity"));
        check("spiffe://partner.example/agent/globex/crew/editor", Ok(["globex", "crew", "editor"]));
        check("spiffe://partner.example/agent/acme/crew/editor", Err("untrusted_domain"));
        check("spiffe://evil.example/agent/acme/crew/editor", Err("untrusted_domain"));
        check("spiffe://hexr.cloud.evil.example/agent/acme/crew/editor", Err("untrusted_domain"));
    }

    /// The SPIFFE ID specification, section 2.
    #[test]
    fn what_is_no_spiffe_id() {
        for uri in [
            "",
            "https://hexr.cloud/agent/acme/crew/editor",
            "SPIFFE://hexr.cloud/agent/acme/crew/editor",
            "spiffe://Hexr.cloud/agent/acme/crew/editor",
            "spiffe://hexr.cloud:8443/agent/acme/crew/editor",
            "spiffe://user@hexr.cloud/agent/acme/crew/editor",
            "spiffe://hexr.cloud/agent/acme/crew/editor/",
            "spiffe://hexr.cloud/agent//crew/editor",
            "spiffe://hexr.cloud/agent/../crew/editor",
            "spiffe://hexr.cloud/agent/./crew/editor",
            "spiffe://hexr.cloud/agent/acme/crew/editor?x=1",
            "spiffe://hexr.cloud/agent/acme/crew/editor#x",
            "spiffe://hexr.cloud/agent/acme/cr%65w/editor",
            "spiffe:///agent/acme/crew/editor",
            "spiffe://hexr.cloud/agent/acme/crew/editor\0",
            " spiffe://hexr.cloud/agent/acme/crew/editor",
        ] {
            check(uri, Err("invalid_spiffe_id"));
        }
        check(&format!("spiffe://hexr.cloud/agent/acme/crew/{}", "e".repeat(2048)), Err("invalid_spiffe_id"));
    }
}
