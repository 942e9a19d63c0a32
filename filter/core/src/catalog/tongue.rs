//! In which form a caller expects an answer: what a refusal should look like to it.

use serde_json::Value;

use super::{
    Catalog, Kind,
    builtin::{Speaks, with_form},
    mcp,
};
use crate::request::{Request, Seen};

/// The form of errors that a caller's client reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tongue {
    /// No client of any cloud is known to ask.
    Plain,
    /// AWS's XML of S3, CloudFront and Route 53.
    AwsRestXml,
    /// AWS's XML for forms.
    AwsQueryXml,
    /// EC2's XML for forms.
    AwsEc2Xml,
    /// AWS's JSON, by route or by target.
    AwsJson,
    /// AWS's CBOR.
    AwsCbor,
    /// Google's JSON.
    Google,
    /// gRPC.
    Grpc,
    /// The JSON of OpenAI, Azure OpenAI and Anthropic.
    ModelApi,
    /// JSON-RPC, of MCP.
    JsonRpc,
}

/// Whom a refusal is for: the tongue of its client, and the message that it answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Addressee {
    tongue: Tongue,
    message_id: Option<Value>,
}

// === impl Addressee ===

impl Addressee {
    /// Somebody of whom nothing is known.
    pub fn anyone() -> Self {
        Self { tongue: Tongue::Plain, message_id: None }
    }

    /// The form of errors that its client reads.
    pub fn tongue(&self) -> Tongue {
        self.tongue
    }

    /// The id of its JSON-RPC message, where it waits for an answer.
    pub fn message_id(&self) -> Option<&Value> {
        self.message_id.as_ref()
    }
}

const GRPC: &[u8] = b"application/grpc";

impl Catalog {
    /// Who sent `request`, as far as its refusal must know; with its whole body, where it has been read.
    pub fn addressee(&self, request: &Request<'_>, body: Option<&[u8]>) -> Addressee {
        let tongue = self.tongue(request);
        let message_id = match tongue {
            Tongue::JsonRpc => body.and_then(mcp::message_id),
            Tongue::Plain
            | Tongue::AwsRestXml
            | Tongue::AwsQueryXml
            | Tongue::AwsEc2Xml
            | Tongue::AwsJson
            | Tongue::AwsCbor
            | Tongue::Google
            | Tongue::Grpc
            | Tongue::ModelApi => None,
        };
        Addressee { tongue, message_id }
    }

    /// How the caller of `request` expects to be answered. It is asked where a request is refused, not on the way.
    pub fn tongue(&self, request: &Request<'_>) -> Tongue {
        let told = request.told();
        let is_grpc = matches!(told.content_type, Seen::Once(value) if value.starts_with(GRPC));
        if is_grpc {
            return Tongue::Grpc;
        }
        let own = self.service_at(request.host(), request.port());
        let kind = own.and_then(|(number, _)| self.services.get(number)).map(|service| &service.kind);
        let speaks = match kind {
            Some(Kind::Mcp(_)) => return Tongue::JsonRpc,
            Some(Kind::Actions(_)) => return Tongue::Plain,
            Some(Kind::BuiltIn) | None => self.speaks_at(request),
        };
        let is_aws = [
            (told.smithy_protocol.is_there(), Tongue::AwsCbor),
            (told.amz_target.is_there(), Tongue::AwsJson),
            (speaks.any(Speaks::EC2), Tongue::AwsEc2Xml),
            (speaks.any(Speaks::QUERY) && with_form(request), Tongue::AwsQueryXml),
            (speaks.any(Speaks::REST_XML), Tongue::AwsRestXml),
            (speaks.any(Speaks::REST.or(Speaks::JSON)), Tongue::AwsJson),
            (speaks.any(Speaks::QUERY), Tongue::AwsQueryXml),
            (speaks.any(Speaks::CBOR), Tongue::AwsCbor),
        ];
        if speaks == Speaks::NOTHING {
            Tongue::Plain
        } else if speaks.any(Speaks::GOOGLE) {
            Tongue::Google
        } else if speaks.any(Speaks::MODEL) {
            Tongue::ModelApi
        } else {
            is_aws.into_iter().find_map(|(is_it, tongue)| is_it.then_some(tongue)).unwrap_or(Tongue::Plain)
        }
    }
}
