//! What a request is for: the cloud service and the action, derived from the request and never from what the
//! caller asserts.
//!
//! The operator's own table ([`Service`]) is one source; it wins for the hosts that it lists. Further sources go
//! behind [`Catalog::operation`], which stays the only question.

mod uri_template;

pub use uri_template::{UriTemplate, UriTemplateError};

use std::collections::HashMap;

use crate::{denial::Denial, policy::Text, request::Request};

/// The name of a service or an action that the catalog does not know.
const UNKNOWN: &str = "unknown";

/// Everything that is known of services and their operations.
#[derive(Debug)]
pub struct Catalog {
    exact: HashMap<Host, usize>,
    /// Leading `*.` hosts without the `*`, longest first.
    wildcards: Vec<(Host, usize)>,
    services: Vec<Service>,
    on_unknown: OnUnknown,
    unknown: Text,
}

/// One service of the operator's table.
#[derive(Debug)]
pub struct Service {
    /// Its name in policies, as `aws_s3`.
    pub service: Text,
    /// The hosts that only it answers at.
    pub hosts: Vec<Host>,
    /// Its operations. The first that fits wins.
    pub actions: Vec<Action>,
}

/// One operation of a [`Service`].
#[derive(Debug)]
pub struct Action {
    /// Its name in policies, as `PutObject`.
    pub action: Text,
    /// The method that it is called by; any, where absent.
    pub method: Option<String>,
    /// The paths that it is called at.
    pub path: UriTemplate,
}

/// A host of the table: exact, or all below a name. Without a port it stands for every port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Host {
    /// In lower case; `.example.com` when it was written `*.example.com`.
    name: String,
    port: Option<u16>,
}

/// What becomes of a request that the catalog does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnUnknown {
    /// It is denied before policy.
    #[default]
    Deny,
    /// The policy decides, with `unknown` as service or action.
    Policy,
}

/// The operation that a request asks for.
#[derive(Clone, Copy, Debug)]
pub struct Operation<'a> {
    service: &'a Text,
    action: &'a Text,
    known: Known,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Both,
    ServiceOnly,
    Nothing,
}

// === impl Catalog ===

impl Catalog {
    /// Makes a catalog of services that have no host in common.
    pub fn new(services: Vec<Service>, on_unknown: OnUnknown) -> Self {
        let (mut exact, mut wildcards) = (HashMap::new(), Vec::new());
        for (at, service) in services.iter().enumerate() {
            for host in &service.hosts {
                if host.is_wildcard() {
                    wildcards.push((host.clone(), at));
                } else {
                    exact.insert(host.clone(), at);
                }
            }
        }
        // The longest name is the most specific, and one with a port more than one without.
        wildcards.sort_by_key(|(host, _)| std::cmp::Reverse((host.name.len(), host.port)));
        Self { exact, wildcards, services, on_unknown, unknown: Text::new(UNKNOWN) }
    }

    /// The operation that `request` asks for. What is not known is named `unknown`; [`Self::admit`] judges it.
    pub fn operation(&self, request: &Request<'_>) -> Operation<'_> {
        let Some(service) = self.service_at(request.host(), request.port()) else {
            return Operation { service: &self.unknown, action: &self.unknown, known: Known::Nothing };
        };
        let fits = |action: &&Action| {
            action.method.as_deref().is_none_or(|method| method == request.method())
                && action.path.matches(request.path())
        };
        match service.actions.iter().find(fits) {
            Some(action) => {
                Operation { service: &service.service, action: &action.action, known: Known::Both }
            }
            None => Operation { service: &service.service, action: &self.unknown, known: Known::ServiceOnly },
        }
    }

    /// Whether the policy may be asked about `operation`.
    ///
    /// # Errors
    /// [`Denial::UnknownService`] or [`Denial::UnknownAction`], unless the operator wants the policy to decide.
    pub fn admit(&self, operation: Operation<'_>, request: &Request<'_>) -> Result<(), Denial> {
        match (self.on_unknown, operation.known) {
            (OnUnknown::Policy, _) | (OnUnknown::Deny, Known::Both) => Ok(()),
            (OnUnknown::Deny, Known::ServiceOnly) => Err(Denial::UnknownAction(format!(
                "`{} {}` is no known action of service `{}`",
                request.method(),
                request.path(),
                operation.service()
            ))),
            (OnUnknown::Deny, Known::Nothing) => Err(Denial::UnknownService(request.host().to_owned())),
        }
    }

    fn service_at(&self, name: &str, port: Option<u16>) -> Option<&Service> {
        let exact = |port| self.exact.get(&Host { name: name.to_owned(), port });
        let at = port
            .and_then(|port| exact(Some(port)))
            .or_else(|| exact(None))
            .or_else(|| self.wildcards.iter().find(|(host, _)| host.covers(name, port)).map(|(_, at)| at))?;
        self.services.get(*at)
    }
}

// === impl Host ===

impl Host {
    /// Reads `s3.example`, `*.s3.example` or either with a port.
    ///
    /// # Errors
    /// When it is not of that form.
    pub fn parse(text: &str) -> Result<Self, String> {
        let problem = || {
            format!(
                "`{text}` is not a host: a name in lower case, `*.` before it for all below, `:PORT` behind it"
            )
        };
        let (name, port) = match text.split_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
                (name, Some(port.parse().map_err(|_| problem())?))
            }
            Some(_) => return Err(problem()),
            None => (text, None),
        };
        let (name, below) = match name.strip_prefix('*') {
            Some(rest) => (rest, rest.strip_prefix('.').ok_or_else(problem)?),
            None => (name, name),
        };
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let label = |label: &str| !label.is_empty() && label.bytes().all(allowed);
        if below.split('.').all(label) { Ok(Self { name: name.to_owned(), port }) } else { Err(problem()) }
    }

    fn is_wildcard(&self) -> bool {
        self.name.starts_with('.')
    }

    fn covers(&self, name: &str, port: Option<u16>) -> bool {
        name.len() > self.name.len()
            && name.ends_with(&self.name)
            && (self.port.is_none() || self.port == port)
    }
}

// === impl Operation ===

impl<'a> Operation<'a> {
    /// The service, as `aws_s3`.
    pub fn service(&self) -> &'a str {
        self.service.as_str()
    }

    /// The action, as `PutObject`.
    pub fn action(&self) -> &'a str {
        self.action.as_str()
    }

    pub(crate) fn texts(&self) -> (&'a Text, &'a Text) {
        (self.service, self.action)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog(on_unknown: OnUnknown) -> Catalog {
        let service = |service: &str, hosts: &[&str], actions: &[(&str, &str, &str)]| Service {
            service: Text::new(service),
            hosts: hosts.iter().map(|host| Host::parse(host).unwrap()).collect(),
            actions: actions
                .iter()
                .map(|(action, method, path)| Action {
                    action: Text::new(action),
                    method: (*method != "*").then(|| (*method).to_owned()),
                    path: UriTemplate::parse(path).unwrap(),
                })
                .collect(),
        };
        let objects = [
            ("PutObject", "PUT", "/{bucket}/{key=**}"),
            ("GetObject", "GET", "/{bucket}/{key=**}"),
            ("Any", "*", "/any"),
        ];
        Catalog::new(
            vec![
                service("aws_s3", &["s3.corp.example", "*.s3.corp.example:9000", "*.corp.example"], &objects),
                service("other_s3", &["*.s3.corp.example"], &objects),
                service("with_port", &["s3.corp.example:8443"], &objects),
            ],
            on_unknown,
        )
    }

    #[track_caller]
    fn check(method: &str, authority: &str, path: &str, expect: Result<(&str, &str), &str>) {
        for (on_unknown, expect) in [(OnUnknown::Deny, expect), (OnUnknown::Policy, expect.or(Ok(("", ""))))]
        {
            let catalog = catalog(on_unknown);
            let headers = [(":method", method), (":authority", authority), (":path", path)];
            let request = Request::parse(headers.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes()))).unwrap();
            let operation = catalog.operation(&request);
            let admitted = catalog.admit(operation, &request);
            match expect {
                Ok(("", "")) => assert_eq!(operation.action(), "unknown"),
                Ok(names) => assert_eq!((operation.service(), operation.action()), names),
                Err(_) => {}
            }
            assert_eq!(admitted.map_err(|denial| denial.reason().code()), expect.map(|_| ()));
        }
    }

    #[test]
    fn operations() {
        check("PUT", "s3.corp.example", "/bucket/a/b", Ok(("aws_s3", "PutObject")));
        check("PUT", "S3.Corp.Example.", "/bucket/a/b?x=y", Ok(("aws_s3", "PutObject")));
        check("GET", "s3.corp.example:1234", "/bucket/a", Ok(("aws_s3", "GetObject")));
        check("GET", "s3.corp.example:8443", "/bucket/a", Ok(("with_port", "GetObject")));
        check("GET", "b.s3.corp.example", "/bucket/a", Ok(("other_s3", "GetObject")));
        check("GET", "b.s3.corp.example:9000", "/bucket/a", Ok(("aws_s3", "GetObject")));
        check("GET", "x.corp.example", "/bucket/a", Ok(("aws_s3", "GetObject")));
        check("DELETE", "x.corp.example", "/any", Ok(("aws_s3", "Any")));
        check("DELETE", "s3.corp.example", "/bucket/a", Err("unknown_action"));
        check("put", "s3.corp.example", "/bucket/a", Err("unknown_action"));
        check("PUT", "s3.corp.example", "/bucket%2Fa", Err("unknown_action"));
        check("PUT", "corp.example", "/bucket/a", Err("unknown_service"));
        check("PUT", "evilcorp.example", "/bucket/a", Err("unknown_service"));
        check("PUT", "s3.corp.example.evil.example", "/bucket/a", Err("unknown_service"));
    }

    #[test]
    fn hosts() {
        for good in ["a", "a.b-c.example", "*.a.example", "a.example:443", "*.a.example:443"] {
            assert!(Host::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "*",
            "*.",
            "*a.example",
            "a.*.example",
            "A.example",
            "a..b",
            "a.example:",
            "a:b",
            "a:+1",
            "a/b",
            "a.",
        ] {
            assert!(Host::parse(bad).is_err(), "{bad}");
        }
    }
}
