//! The operator's own table of services. It wins for the hosts that it lists.

use serde_json::Value;

use super::{
    body::{BodyRule, ENCODED},
    builtin::Site,
    host::Host,
    json, mcp,
    operation::{Derivation, Facts},
    uri_template::UriTemplate,
};
use crate::{policy::Text, request::Request};

/// One service of the operator's table.
#[derive(Debug)]
pub struct Service {
    /// Its name in policies, as `aws_s3`.
    pub service: Text,
    /// The hosts that only it answers at.
    pub hosts: Vec<Host>,
    /// How its operations are found.
    pub kind: Kind,
}

/// How the operations of a [`Service`] are found.
#[derive(Debug)]
pub enum Kind {
    /// By the operator's own list. The first action that fits wins.
    Actions(Vec<Action>),
    /// As at the cloud's own hosts: the built-in service of this name at another place.
    BuiltIn,
    /// By the JSON-RPC messages of MCP, at these paths; at any, where absent.
    Mcp(Option<UriTemplate>),
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
    /// Headers that must be there, in lower case.
    pub headers: Vec<String>,
    /// Fields that the JSON body must have.
    pub json: Vec<JsonField>,
}

/// A field of a JSON body.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonField {
    /// The keys that lead to it.
    pub path: Vec<String>,
    /// What it must be; anything but `null`, where absent.
    pub value: Option<Value>,
}

/// The built-in APIs of a [`Kind::BuiltIn`], at its hosts and below them.
#[derive(Debug)]
pub(super) struct BuiltIn {
    pub(super) at: Site,
    pub(super) below: Site,
}

// === impl Service ===

impl Service {
    /// What `request` asks of this service, which stands at `number`; nothing where the built-in table knows.
    pub(super) fn derive(&self, number: usize, request: &Request<'_>) -> Option<Derivation> {
        match &self.kind {
            Kind::BuiltIn => None,
            Kind::Mcp(path) if path.as_ref().is_none_or(|path| path.matches(request.path())) => {
                Some(mcp::derive_head(&self.service, request))
            }
            Kind::Mcp(_) => Some(self.unknown()),
            Kind::Actions(actions) => {
                let fitting = actions.iter().find(|action| action.fits(request));
                Some(match fitting {
                    // The body may choose this action or a later one.
                    Some(action) if !action.json.is_empty() => {
                        if request.has_plain_body() {
                            Derivation::NeedsBody(BodyRule::own(self.service.clone(), number))
                        } else {
                            Derivation::ambiguous(ENCODED)
                        }
                    }
                    Some(action) => self.known(action),
                    None => self.unknown(),
                })
            }
        }
    }

    pub(super) fn derive_with_json(&self, request: &Request<'_>, document: &Value) -> Derivation {
        let Kind::Actions(actions) = &self.kind else { return self.unknown() };
        for action in actions.iter().filter(|action| action.fits(request)) {
            match action.json.iter().map(|field| field.fits(document)).collect::<Result<Vec<bool>, _>>() {
                Ok(fits) if fits.iter().all(|fits| *fits) => return self.known(action),
                Ok(_) => {}
                Err(problem) => return Derivation::Unreadable { service: self.service.clone(), problem },
            }
        }
        self.unknown()
    }

    fn known(&self, action: &Action) -> Derivation {
        Derivation::known(self.service.clone(), action.action.clone(), Facts::default())
    }

    fn unknown(&self) -> Derivation {
        Derivation::UnknownAction { service: self.service.clone() }
    }
}

// === impl Action ===

impl Action {
    /// Whether the head of `request` fits.
    fn fits(&self, request: &Request<'_>) -> bool {
        self.method.as_deref().is_none_or(|method| method == request.method())
            && self.path.matches(request.path())
            && self.headers.iter().all(|name| request.header(name).is_there())
    }

    /// Whether every request that `other` fits, this one fits too, so that `other` behind it means nothing.
    pub fn hides(&self, other: &Self) -> bool {
        (self.method.is_none() || self.method == other.method)
            && self.path.is_same(&other.path)
            && self.headers.iter().all(|name| other.headers.contains(name))
            && self.json.iter().all(|field| other.json.contains(field))
    }
}

// === impl JsonField ===

impl JsonField {
    fn fits(&self, document: &Value) -> Result<bool, String> {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        let found = json::field(document, &path)?;
        Ok(match (&self.value, found) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(expected), Some(found)) => expected == found,
        })
    }
}
