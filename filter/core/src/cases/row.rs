//! What stands in a row.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::Expectation;
use crate::timestamp::Timestamp;

/// One case: who asks for what and when, and what must be decided.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What is shown by it.
    pub name: String,
    /// Short for a certificate with this one URI.
    #[serde(default)]
    spiffe_id: Option<String>,
    /// The client certificate; none where there is neither this nor `spiffe_id`.
    #[serde(default)]
    certificate: Option<CertificateRow>,
    /// What is asked for.
    #[serde(default)]
    pub request: Option<RequestRow>,
    /// The policy's input, instead of a request and who sends it.
    #[serde(default)]
    pub input: Option<Value>,
    /// When, in RFC 3339. Without it the case holds at any time.
    #[serde(default)]
    at: Option<String>,
    /// Calls that were allowed before, oldest first.
    #[serde(default)]
    pub recent: Vec<RecentRow>,
    /// What must be decided.
    pub expect: Expectation,
}

/// Earlier calls: of the same agent for the same, unless it says otherwise.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecentRow {
    /// How many.
    pub calls: u32,
    /// How many seconds ago.
    #[serde(default)]
    pub seconds_ago: u32,
    /// Who made them.
    #[serde(default)]
    pub spiffe_id: Option<String>,
}

/// A client certificate.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateRow {
    /// Its URI SANs.
    pub uris: Vec<String>,
    /// From when it is valid, in RFC 3339; always, where there is nothing.
    #[serde(default)]
    not_before: Option<String>,
    /// Until when it is valid.
    #[serde(default)]
    not_after: Option<String>,
}

/// An HTTP request.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestRow {
    /// Its method.
    pub method: String,
    /// Its authority.
    pub host: String,
    /// Its path, with the query.
    pub path: String,
    /// Further headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Its whole body; it ends with its headers, where there is none.
    #[serde(default)]
    pub body: Option<String>,
}

// === impl Case ===

impl Case {
    /// The client certificate.
    pub fn certificate(&self) -> Option<CertificateRow> {
        let short = self.spiffe_id.as_deref().map(CertificateRow::of);
        short.or_else(|| self.certificate.clone())
    }

    /// The client certificate of earlier calls.
    pub fn certificate_of(&self, recent: &RecentRow) -> Option<CertificateRow> {
        let own = recent.spiffe_id.as_deref().map(CertificateRow::of);
        own.or_else(|| self.certificate())
    }

    /// When it is decided, where that matters.
    pub fn at(&self) -> Option<Timestamp> {
        self.at.as_deref().and_then(Timestamp::from_rfc3339)
    }

    /// Why Envoy cannot decide it; nothing where it can.
    pub fn why_not_in_envoy(&self) -> Option<&'static str> {
        let Some(request) = &self.request else { return Some("an input is no request") };
        if request.method.bytes().any(|letter| letter.is_ascii_lowercase()) {
            return Some("Envoy's reader of HTTP/1.1 takes no method in small letters");
        }
        if self.at.is_some() {
            return Some("Envoy's clock cannot be set");
        }
        if self.recent.iter().any(|recent| recent.seconds_ago > 0) {
            return Some("calls of a while ago cannot be made");
        }
        match self.certificate() {
            None => Some("the shipped listener takes no connection without a certificate"),
            Some(certificate) if certificate.not_before.is_some() || certificate.not_after.is_some() => {
                Some("Envoy verifies when a certificate is valid")
            }
            Some(_) => None,
        }
    }

    /// What is wrong with the row.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = self.expect.problems();
        let mut refuse = |is_wrong: bool, problem: &str| {
            if is_wrong {
                problems.push(problem.to_owned());
            }
        };
        let has_identity = self.spiffe_id.is_some() || self.certificate.is_some();
        refuse(self.request.is_some() == self.input.is_some(), "give either a `request` or an `input`");
        refuse(self.input.is_some() && has_identity, "an `input` says itself who asks");
        refuse(self.input.is_some() && !self.recent.is_empty(), "an `input` has no `recent` calls");
        refuse(self.spiffe_id.is_some() && self.certificate.is_some(), "give `spiffe_id` or `certificate`");
        let validity =
            self.certificate.iter().flat_map(|certificate| [&certificate.not_before, &certificate.not_after]);
        for text in validity.chain([&self.at]).flatten() {
            if Timestamp::from_rfc3339(text).is_none() {
                problems.push(format!("`{text}` is no instant, as `2025-01-15T10:30:00Z`"));
            }
        }
        problems
    }
}

// === impl CertificateRow ===

impl CertificateRow {
    fn of(spiffe_id: &str) -> Self {
        Self { uris: vec![spiffe_id.to_owned()], ..Self::default() }
    }

    /// Between which seconds it is valid.
    pub(super) fn validity(&self) -> (i64, i64) {
        let seconds = |text: &Option<String>| {
            text.as_deref().and_then(Timestamp::from_rfc3339).map(|instant| instant.unix_seconds())
        };
        (seconds(&self.not_before).unwrap_or(i64::MIN), seconds(&self.not_after).unwrap_or(i64::MAX))
    }
}

// === impl RequestRow ===

impl RequestRow {
    /// All headers, as Envoy gives them.
    pub(super) fn headers(&self) -> Vec<(&str, &str)> {
        let pseudo = [
            (":method", self.method.as_str()),
            (":scheme", "https"),
            (":authority", &self.host),
            (":path", &self.path),
        ];
        let others = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        pseudo.into_iter().chain(others).collect()
    }
}
