//! MCP: one JSON-RPC message a request, read as a whole.

use serde_json::Value;

use super::{
    body::{BodyRule, ENCODED},
    json,
    operation::{Derivation, Facts, Tool},
};
use crate::{
    policy::Text,
    request::{Request, Seen},
};

/// The keys that a JSON-RPC message may have.
const KEYS: [&str; 6] = ["jsonrpc", "id", "method", "params", "result", "error"];
const CALL: &str = "tools/call";
const READ: &str = "resources/read";
/// The longest name of a method or a tool, which goes into a header.
const LONGEST: usize = 128;

/// Headers in which later versions of the protocol repeat what the body says.
const METHOD_HEADER: &str = "mcp-method";
const NAME_HEADER: &str = "mcp-name";

/// What a request to an MCP server asks for, as far as it has no body.
pub(super) fn derive_head(service: &Text, request: &Request<'_>) -> Derivation {
    let without_body = |action| Derivation::known(service.clone(), Text::new(action), Facts::default());
    match request.method() {
        "POST" if request.has_plain_body() => Derivation::NeedsBody(BodyRule::mcp(service.clone())),
        "POST" => Derivation::ambiguous(ENCODED),
        "GET" => without_body("session/stream"),
        "DELETE" => without_body("session/delete"),
        _ => Derivation::UnknownAction { service: service.clone() },
    }
}

/// What a message asks for.
///
/// # Errors
/// Where it is no message of one meaning.
pub(super) fn derive(service: &Text, request: &Request<'_>, message: &Value) -> Result<Derivation, String> {
    let Some(object) = message.as_object() else {
        return Err("the body is not one JSON-RPC message".to_owned());
    };
    if let Some(key) = object.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(format!("a JSON-RPC message has no key `{key}`"));
    }
    if object.get("jsonrpc") != Some(&Value::from("2.0")) {
        return Err("the body is not a message of JSON-RPC 2.0".to_owned());
    }
    if !matches!(object.get("id"), None | Some(Value::String(_) | Value::Number(_) | Value::Null)) {
        return Err("the message's `id` is no text or number".to_owned());
    }
    let is_answer = object.contains_key("result") != object.contains_key("error");
    let (action, name, facts) = match object.get("method") {
        None if is_answer && !object.contains_key("params") => {
            ("response".to_owned(), None, Facts::default())
        }
        Some(Value::String(method)) if !object.contains_key("result") && !object.contains_key("error") => {
            asked(method, object.get("params"), message)?
        }
        _ => return Err("the message is neither a request nor an answer".to_owned()),
    };
    if !is_name(&action) {
        return Err("the message's method or tool is no name: 1 to 128 printable characters".to_owned());
    }
    let method = object.get("method").and_then(Value::as_str);
    for (header, said) in [(METHOD_HEADER, method), (NAME_HEADER, name.as_deref())] {
        match (request.header(header), said) {
            (Seen::Never, _) => {}
            (Seen::Once(value), Some(said)) if value == said.as_bytes() => {}
            (Seen::Once(_) | Seen::Often, _) => {
                return Ok(Derivation::ambiguous(format!("its header `{header}` contradicts its body")));
            }
        }
    }
    Ok(Derivation::known(service.clone(), Text::new(&action), facts))
}

/// The id under which a message wants its answer. A notification has none, nor has what is no message.
pub(super) fn message_id(body: &[u8]) -> Option<Value> {
    let message = json::parse(body).ok()?;
    message.get("id").filter(|id| id.is_string() || id.is_number()).cloned()
}

/// The action, the name of what is asked for, and the facts of a request.
fn asked(
    method: &str,
    params: Option<&Value>,
    message: &Value,
) -> Result<(String, Option<String>, Facts), String> {
    let text = |field: &str| -> Result<String, String> {
        let value = json::field(message, &["params", field])?.and_then(Value::as_str);
        value.map(str::to_owned).ok_or_else(|| format!("`{method}` without a `{field}`"))
    };
    match method {
        CALL => {
            let name = text("name")?;
            let arguments = json::field(message, &["params", "arguments"])?;
            if arguments.is_some_and(|arguments| !arguments.is_object()) {
                return Err("the tool's `arguments` are no object".to_owned());
            }
            let tool = Tool { name: name.clone(), arguments: arguments.cloned().unwrap_or(Value::Null) };
            Ok((format!("{CALL}:{name}"), Some(name), Facts { tool: Some(tool), ..Facts::default() }))
        }
        READ => {
            let uri = text("uri")?;
            Ok((READ.to_owned(), Some(uri.clone()), Facts { resource: Some(uri), ..Facts::default() }))
        }
        _ => {
            if params.is_some_and(|params| !params.is_object() && !params.is_array()) {
                return Err("the message's `params` are no object".to_owned());
            }
            let name = json::field(message, &["params", "name"])?.and_then(Value::as_str).map(str::to_owned);
            Ok((method.to_owned(), name, Facts::default()))
        }
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= LONGEST && text.bytes().all(|byte| byte.is_ascii_graphic())
}
