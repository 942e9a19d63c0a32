//! Who may ask for pages: a browser that was led here by its user, and no other site's script in it.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::command::serve::http::Served;

/// The names that pages may be asked for by, besides addresses and `localhost`.
#[derive(Debug)]
pub(super) struct Hosts(Vec<String>);

const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const HTTP: [&str; 2] = ["http", "https"];
/// What a browser may do with a page: load what this server has, tell this server, and nothing else.
const SEALS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    // With `no-referrer` a browser would not say that the form is this server's own.
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
];

/// Lets those requests for pages pass that may, and seals what is answered.
pub(super) async fn admit(State(served): State<Arc<Served>>, request: Request, next: Next) -> Response {
    let hosts = &served.page.hosts;
    let mut response = if hosts.asked(&request).is_none() {
        misdirected()
    } else if is_link(&request) || hosts.is_own(&request) {
        next.run(request).await
    } else {
        foreign()
    };
    let headers = response.headers_mut();
    headers.extend(SEALS.map(|(name, value)| (name, HeaderValue::from_static(value))));
    response
}

/// Refuses what a browser sends for another site. Envoys, and other programs, do not say where they come from.
pub(in crate::command::serve) async fn refuse_foreign_posts(
    State(served): State<Arc<Served>>,
    request: Request,
    next: Next,
) -> Response {
    if request.method() == Method::POST && !served.page.hosts.is_own(&request) {
        return foreign();
    }
    next.run(request).await
}

/// Refuses to show what Envoys told under a name that anyone can make lead here, where nothing but the address keeps others
/// from asking. A browser tells of such a page no more than of any program.
pub(in crate::command::serve) async fn refuse_foreign_names(
    State(served): State<Arc<Served>>,
    request: Request,
    next: Next,
) -> Response {
    if request.method() == Method::GET && served.page.hosts.asked(&request).is_none() {
        return misdirected();
    }
    next.run(request).await
}

fn misdirected() -> Response {
    let problem =
        "what is shown here is at an address, at `localhost`, and at the names that `--page-host` gives\n";
    (StatusCode::MISDIRECTED_REQUEST, problem).into_response()
}

fn foreign() -> Response {
    (StatusCode::FORBIDDEN, "another site's page asks for this\n").into_response()
}

/// Whether somebody follows a link, which may stand anywhere.
fn is_link(request: &Request) -> bool {
    request.method() == Method::GET && request.headers().get(MODE).is_some_and(|mode| mode == "navigate")
}

// === impl Hosts ===

impl Hosts {
    pub(super) fn new(names: Vec<String>) -> Self {
        Self(names)
    }

    /// The authority that a request is for, as `127.0.0.1:8181`, if it is one of this server's.
    fn asked<'r>(&self, request: &'r Request) -> Option<&'r str> {
        let headers = request.headers().get_all(header::HOST).iter();
        let named = headers.map(|host| host.to_str().unwrap_or_default());
        let mut all = request.uri().authority().map(Authority::as_str).into_iter().chain(named);
        let first = all.next()?;
        (self.has(first) && all.all(|other| other == first)).then_some(first)
    }

    /// Whether no other site's owner can have a browser believe that this authority is theirs: a name can be made to lead
    /// anywhere (DNS rebinding), and an address not.
    fn has(&self, authority: &str) -> bool {
        let Ok(authority) = authority.parse::<Authority>() else { return false };
        if authority.as_str().contains('@') {
            return false;
        }
        let host = authority.host();
        let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let mut names = self.0.iter().map(String::as_str).chain(["localhost"]);
        address.parse::<IpAddr>().is_ok() || names.any(|name| name.eq_ignore_ascii_case(host))
    }

    /// Whether no browser sends this, or one does for a page of this server.
    fn is_own(&self, request: &Request) -> bool {
        let headers = request.headers();
        let from_here = |origin: &HeaderValue| {
            let (scheme, authority) = origin.to_str().ok()?.split_once("://")?;
            let asked = self.asked(request)?;
            (HTTP.contains(&scheme) && authority.eq_ignore_ascii_case(asked)).then_some(())
        };
        headers.get_all(header::ORIGIN).iter().all(|origin| from_here(origin).is_some())
            && headers.get_all(SITE).iter().all(|site| site == "same-origin")
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn request(headers: &[(&str, &str)]) -> Request {
        let mut request = Request::builder().method("POST").uri("/evaluate");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Body::empty()).unwrap()
    }

    #[test]
    fn hosts_that_cannot_be_another_sites() {
        let hosts = Hosts::new(vec!["policies.corp.example".to_owned()]);
        for (host, is_known) in [
            ("127.0.0.1:8181", true),
            ("10.0.0.7", true),
            ("[::1]:8181", true),
            ("LOCALHOST:8181", true),
            ("policies.corp.example", true),
            ("Policies.corp.example:8443", true),
            ("evil.example", false),
            ("evil.example:8181", false),
            ("localhost.evil.example", false),
            ("policies.corp.example.evil.example", false),
            ("policies.corp.example.", false),
            ("127.0.0.1.evil.example", false),
            ("localhost@evil.example", false),
            ("evil.example@localhost", false),
            ("127.0.0.1:8181, evil.example", false),
            ("[::1", false),
            ("", false),
        ] {
            assert_eq!(hosts.asked(&request(&[("host", host)])).is_some(), is_known, "{host}");
        }
        assert_eq!(hosts.asked(&request(&[])), None);
        assert_eq!(hosts.asked(&request(&[("host", "localhost"), ("host", "evil.example")])), None);
    }

    #[test]
    fn what_browsers_send_for_others() {
        let hosts = Hosts::new(Vec::new());
        let own = ("host", "localhost:8181");
        for (headers, is_own) in [
            (&[own][..], true),
            (&[own, ("origin", "http://localhost:8181")], true),
            (&[own, ("origin", "https://LOCALHOST:8181"), ("sec-fetch-site", "same-origin")], true),
            (&[own, ("origin", "http://localhost:8181"), ("sec-fetch-site", "cross-site")], false),
            (&[own, ("origin", "http://localhost:8182")], false),
            (&[own, ("origin", "http://localhost:8181.evil.example")], false),
            (&[own, ("origin", "http://evil.example")], false),
            (&[own, ("origin", "ftp://localhost:8181")], false),
            (&[own, ("origin", "null")], false),
            (&[own, ("origin", "")], false),
            (&[own, ("sec-fetch-site", "same-site")], false),
            (&[own, ("sec-fetch-site", "none")], false),
            // A name that was made to lead here is of one origin with itself.
            (&[("host", "evil.example"), ("origin", "http://evil.example")], false),
            // Envoys have any name for this server.
            (&[("host", "bundles.hexr-system")], true),
        ] {
            assert_eq!(hosts.is_own(&request(headers)), is_own, "{headers:?}");
        }
    }
}
