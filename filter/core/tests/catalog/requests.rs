//! Requests as the clouds' own clients made them.

use std::{fmt, fs};

use anyhow::{Context, Result};
use hexr_authz_core::{
    catalog::{BodyRule, Catalog, Derivation},
    request::Request,
};
use serde_json::Value;

use crate::sources;

/// One request, and what it was made of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorded {
    pub(crate) service: String,
    pub(crate) action: String,
    pub(crate) label: String,
    pub(crate) protocol: String,
    pub(crate) method: String,
    pub(crate) authority: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

/// All that a script makes, which is kept until the script or its packages change.
pub(crate) fn made_by(script: &str) -> Result<Vec<Recorded>> {
    fs::read_to_string(sources::output_of(script)?)?.lines().map(Recorded::read).collect()
}

impl Recorded {
    fn read(line: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(line)?;
        let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let pair =
            |pair: &Value| -> (String, String) { serde_json::from_value(pair.clone()).unwrap_or_default() };
        Ok(Self {
            service: text("service"),
            action: text("action"),
            label: text("label"),
            protocol: text("protocol"),
            method: text("method"),
            authority: text("authority"),
            path: text("path"),
            headers: value.get("headers").and_then(Value::as_array).into_iter().flatten().map(pair).collect(),
            body: text("body"),
        })
    }

    /// The request as the filter sees it.
    pub(crate) fn try_request(&self) -> Option<Request<'_>> {
        let head = [(":method", &self.method), (":authority", &self.authority), (":path", &self.path)];
        let head = head.into_iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let others = self.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        Request::parse(head.chain(others)).ok()
    }

    pub(crate) fn request(&self) -> Result<Request<'_>> {
        self.try_request().with_context(|| format!("a genuine request is refused: {self}"))
    }

    /// `derivation`, or what the body makes of it.
    pub(crate) fn with_body(
        &self,
        catalog: &Catalog,
        request: &Request<'_>,
        derivation: Derivation,
    ) -> Derivation {
        let decide = |rule: &BodyRule| catalog.derive_with_body(rule, request, self.body());
        if let Derivation::NeedsBody(rule) = &derivation { decide(rule) } else { derivation }
    }

    /// Google's client sends no body for a job of nothing, which its server would refuse.
    fn body(&self) -> &[u8] {
        if self.body.is_empty() && self.protocol == "google" { b"{}" } else { self.body.as_bytes() }
    }

    /// What the catalog accepts it for.
    pub(crate) fn accepted(&self, catalog: &Catalog) -> Option<(String, String)> {
        let request = self.try_request()?;
        known(&self.with_body(catalog, &request, catalog.derive(&request)))
    }
}

impl fmt::Display for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { service, action, method, authority, path, .. } = self;
        write!(f, "{service} {action}: {method} {authority}{path}")
    }
}

/// Service and action, where both are known.
pub(crate) fn known(derivation: &Derivation) -> Option<(String, String)> {
    match derivation {
        Derivation::Known(derived) => {
            Some((derived.operation.service().to_owned(), derived.operation.action().to_owned()))
        }
        Derivation::NeedsBody(_)
        | Derivation::UnknownAction { .. }
        | Derivation::UnknownService
        | Derivation::Ambiguous(_)
        | Derivation::Unreadable { .. }
        | Derivation::Unheard { .. } => None,
    }
}
