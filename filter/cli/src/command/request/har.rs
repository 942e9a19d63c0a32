//! The requests of a HAR file, as browsers and proxies export them.

use serde::Deserialize;

use super::asked::{Asked, Target, header_name, method};

/// One request, or why it is none that can be explained.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) method: String,
    pub(super) url: String,
    pub(super) asked: Result<Asked, String>,
}

#[derive(Deserialize)]
struct File {
    log: Log,
}

#[derive(Deserialize)]
struct Log {
    entries: Vec<RawEntry>,
}

#[derive(Deserialize)]
struct RawEntry {
    request: RawRequest,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawRequest {
    method: String,
    url: String,
    #[serde(default)]
    headers: Vec<Pair>,
    #[serde(default)]
    post_data: Option<PostData>,
}

#[derive(Deserialize)]
struct Pair {
    name: String,
    #[serde(default)]
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PostData {
    #[serde(default)]
    mime_type: String,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    params: Vec<Pair>,
}

/// Reads a file.
///
/// # Errors
/// When it is none, or has no request in it.
pub(super) fn entries(content: &[u8]) -> Result<Vec<Entry>, String> {
    let file: File =
        serde_json::from_slice(content).map_err(|error| format!("this is no HAR file: {error}"))?;
    let entries: Vec<Entry> = file.log.entries.into_iter().map(|entry| Entry::of(entry.request)).collect();
    if entries.is_empty() { Err("there is no request in it".to_owned()) } else { Ok(entries) }
}

// === impl Entry ===

impl Entry {
    fn of(request: RawRequest) -> Self {
        let (method, url) = (request.method.clone(), request.url.clone());
        Self { method, url, asked: asked(request) }
    }
}

fn asked(request: RawRequest) -> Result<Asked, String> {
    let sent = request.url.split('#').next().unwrap_or_default();
    let mut target = Target::parse(sent)?;
    let mut headers = Vec::new();
    for Pair { name, value } in request.headers {
        // HTTP/2 has the first line in headers.
        if name.starts_with(':') {
            continue;
        }
        match header_name(&name)?.as_str() {
            "host" => target.authority = value,
            name => headers.push((name.to_owned(), value)),
        }
    }
    let body = request.post_data.map(PostData::body).transpose()?;
    Ok(Asked { method: method(&request.method)?, target, headers, body })
}

// === impl PostData ===

impl PostData {
    fn body(self) -> Result<Vec<u8>, String> {
        match self.text {
            Some(text) => Ok(text.into_bytes()),
            None if self.params.is_empty() => Ok(Vec::new()),
            None => Err(format!(
                "its body of type `{}` is given in parts, and not as it was sent",
                self.mime_type
            )),
        }
    }
}
