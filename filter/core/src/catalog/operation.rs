//! What a request asks for, and what is not known of it.

use serde_json::Value;

use super::body::BodyRule;
use crate::{denial::Denial, policy::Text};

/// The name of a service or an action that the catalog does not know.
pub(super) const UNKNOWN: &str = "unknown";

/// The operation that a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    service: Text,
    action: Text,
}

/// An operation, and what else the request says of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Derived {
    /// The operation.
    pub operation: Operation,
    /// Further facts.
    pub facts: Facts,
}

/// What a request says beyond service and action, where the catalog knows where it stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// What is acted on: an S3 `bucket/key`, the path of a Google resource, the URI of an MCP resource.
    pub resource: Option<String>,
    /// The model that is asked.
    pub model: Option<String>,
    /// The tool that is called.
    pub tool: Option<Tool>,
}

/// A tool that is called by MCP.
#[derive(Clone, Debug, PartialEq)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// Its arguments, `null` without any.
    pub arguments: Value,
}

/// What the catalog finds in a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Derivation {
    /// Service and action are known.
    Known(Derived),
    /// The whole body decides: read it, within the limits, and ask [`super::Catalog::derive_with_body`].
    NeedsBody(BodyRule),
    /// The service is known, and this is no operation of it.
    UnknownAction {
        /// The service.
        service: Text,
    },
    /// No service is known at the host.
    UnknownService,
    /// The request contradicts itself, or may mean several things.
    Ambiguous(String),
    /// The body is not what the request says it is.
    Unreadable {
        /// The service.
        service: Text,
        /// What is wrong with the body.
        problem: String,
    },
    /// The body decides, and could not be had. Only [`BodyRule::unheard`] makes it.
    Unheard {
        /// The service.
        service: Text,
        /// Why not.
        denial: Denial,
    },
}

/// Why a request has no single meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ambiguity(pub(super) &'static str);

// === impl Operation ===

impl Operation {
    pub(crate) fn new(service: Text, action: Text) -> Self {
        Self { service, action }
    }

    /// The service, as `aws_s3`.
    pub fn service(&self) -> &str {
        self.service.as_str()
    }

    /// The action, as `PutObject`.
    pub fn action(&self) -> &str {
        self.action.as_str()
    }

    pub(crate) fn texts(&self) -> (&Text, &Text) {
        (&self.service, &self.action)
    }
}

// === impl Derivation ===

impl Derivation {
    pub(super) fn known(service: Text, action: Text, facts: Facts) -> Self {
        Self::Known(Derived { operation: Operation::new(service, action), facts })
    }

    /// What was found, or why nothing can be.
    pub(super) fn of(outcome: Result<Self, Ambiguity>) -> Self {
        outcome.unwrap_or_else(|Ambiguity(what)| Self::ambiguous(what))
    }

    pub(super) fn ambiguous(what: impl Into<String>) -> Self {
        Self::Ambiguous(what.into())
    }

    /// The operation as far as it is known; what is not known of it is named `unknown`.
    pub fn operation(&self) -> Option<Operation> {
        let unknown = || Text::new(UNKNOWN);
        match self {
            Self::Known(derived) => Some(derived.operation.clone()),
            Self::UnknownAction { service }
            | Self::Unreadable { service, .. }
            | Self::Unheard { service, .. } => Some(Operation::new(service.clone(), unknown())),
            Self::NeedsBody(rule) => Some(Operation::new(rule.service().clone(), unknown())),
            Self::UnknownService => Some(Operation::new(unknown(), unknown())),
            Self::Ambiguous(_) => None,
        }
    }
}
