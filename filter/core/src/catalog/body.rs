//! Requests whose whole body says what they ask for.

use serde_json::Value;

use super::{
    builtin::{self, FormRule, Table},
    json, mcp,
    operation::{Ambiguity, Derivation, Facts},
    own::Service,
};
use crate::{
    denial::Denial,
    policy::Text,
    request::{Request, Seen},
};

/// How the body of a request decides what it asks for. It holds for the request that it was made of.
#[derive(Clone, Debug, PartialEq)]
pub struct BodyRule {
    service: Text,
    rule: Rule,
}

#[derive(Clone, Debug, PartialEq)]
enum Rule {
    /// `Action` of an AWS form.
    Form(Box<FormRule>),
    /// The operation is known; the JSON body names the model.
    Model { action: Text, facts: Facts },
    /// The operation is known, unless the job runs a query.
    BigQueryJob { action: Text, facts: Facts },
    /// A JSON-RPC message of MCP.
    Mcp,
    /// Fields of a JSON body choose one of an operator's own actions.
    Own { service: usize },
}

/// The action of a job that runs a query, whichever way it is started.
const QUERY: &str = "query";

// === impl BodyRule ===

impl BodyRule {
    /// The service, which is known without the body.
    pub fn service(&self) -> &Text {
        &self.service
    }

    /// What the request asks for where its body cannot be had: it is refused for `denial`.
    pub(crate) fn unheard(self, denial: Denial) -> Derivation {
        Derivation::Unheard { service: self.service, denial }
    }

    /// What of the request says what it asks for, in words.
    pub(super) fn sign(&self) -> &'static str {
        match &self.rule {
            Rule::Form(_) => "the `Action` of its query and form together",
            Rule::Model { .. } => "its method and path, with the model in its body,",
            Rule::BigQueryJob { .. } => "the job in its body, which runs a query or does not,",
            Rule::Mcp => "the JSON-RPC message in its body",
            Rule::Own { .. } => "its method and path, with the JSON in its body,",
        }
    }

    pub(super) fn form(service: Text, rule: FormRule) -> Self {
        Self { service, rule: Rule::Form(Box::new(rule)) }
    }

    pub(super) fn mcp(service: Text) -> Self {
        Self { service, rule: Rule::Mcp }
    }

    pub(super) fn own(service: Text, number: usize) -> Self {
        Self { service, rule: Rule::Own { service: number } }
    }

    /// What a route asks the body for.
    pub(super) fn of_route(
        rule: builtin::Rule,
        service: Text,
        action: Text,
        facts: Facts,
        request: &Request<'_>,
    ) -> Result<Derivation, Ambiguity> {
        let rule = match rule {
            builtin::Rule::ModelInBody => Rule::Model { action, facts },
            builtin::Rule::BigQueryJob => Rule::BigQueryJob { action, facts },
            // Only the start of a resumable upload is the job alone; otherwise it is the first part of a mixed body.
            builtin::Rule::BigQueryUpload if is_resumable(request.query()) => {
                Rule::BigQueryJob { action, facts }
            }
            builtin::Rule::BigQueryUpload => return Ok(Derivation::UnknownAction { service }),
        };
        if request.has_plain_body() {
            Ok(Derivation::NeedsBody(Self { service, rule }))
        } else {
            Err(Ambiguity(ENCODED))
        }
    }

    /// What the request with this whole body asks for.
    pub(super) fn decide(
        &self,
        table: &Table,
        services: &[Service],
        request: &Request<'_>,
        body: &[u8],
    ) -> Derivation {
        match &self.rule {
            Rule::Form(rule) => rule.decide(table, body),
            Rule::Model { action, facts } => self.with_json(body, |document| {
                let model = json::field(document, &["model"])?.and_then(Value::as_str).map(str::to_owned);
                let facts = Facts { model, ..facts.clone() };
                Ok(Derivation::known(self.service.clone(), action.clone(), facts))
            }),
            Rule::BigQueryJob { action, facts } => self.with_json(body, |document| {
                let runs_query = json::field(document, &["configuration", "query"])?.is_some();
                let action = if runs_query { Text::new(QUERY) } else { action.clone() };
                Ok(Derivation::known(self.service.clone(), action, facts.clone()))
            }),
            Rule::Mcp => self.with_json(body, |document| mcp::derive(&self.service, request, document)),
            Rule::Own { service } => match services.get(*service) {
                Some(service) => {
                    self.with_json(body, |document| Ok(service.derive_with_json(request, document)))
                }
                None => Derivation::UnknownAction { service: self.service.clone() },
            },
        }
    }

    fn with_json(
        &self,
        body: &[u8],
        derive: impl FnOnce(&Value) -> Result<Derivation, String>,
    ) -> Derivation {
        match json::parse(body).and_then(|document| derive(&document)) {
            Ok(derivation) => derivation,
            Err(problem) => Derivation::Unreadable { service: self.service.clone(), problem },
        }
    }
}

/// What is said of a body that would be read otherwise here than by the service.
pub(super) const ENCODED: &str = "its body is compressed, or not in UTF-8, and decides what it asks for";

fn is_resumable(query: &str) -> bool {
    let mut types = query.split('&').filter_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        builtin::decoded(key)
            .is_ok_and(|key| matches!(&*key, "uploadType" | "upload_protocol"))
            .then_some(value)
    });
    types.next() == Some("resumable") && types.next().is_none()
}

/// Whether a content type leaves a body in UTF-8.
pub(super) fn is_utf8(content_type: Seen<'_>) -> bool {
    match content_type {
        Seen::Never => true,
        Seen::Often => false,
        Seen::Once(value) => {
            let value = value.to_ascii_lowercase();
            let mut charsets = value.split(|byte| *byte == b';').skip(1).filter_map(|parameter| {
                parameter.trim_ascii().strip_prefix(b"charset=").map(|charset| charset.trim_ascii().to_vec())
            });
            charsets.all(|charset| matches!(&charset[..], b"utf-8" | b"\"utf-8\"" | b"utf8"))
        }
    }
}
