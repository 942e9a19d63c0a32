//! One request, as its headers and its body reach Envoy, however it was given.

use std::{
    fs,
    io::{self, Read},
    path::Path,
};

use hexr_authz_core::{
    catalog::{Catalog, Explanation},
    denial::Denial,
    request::Request,
};

/// What is asked of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) method: String,
    pub(super) target: Target,
    /// Names are in lower case, as Envoy has them.
    pub(super) headers: Vec<(String, String)>,
    /// Nothing where the request ends with its headers.
    pub(super) body: Option<Vec<u8>>,
}

/// Where a request goes, as it stands in its pseudo-headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) authority: String,
    pub(super) path: String,
}

// === impl Asked ===

impl Asked {
    /// What the catalog says of it. Where the body decides, it may have `most` bytes.
    pub(super) fn explain(&self, catalog: &Catalog, most: usize) -> Explanation {
        let target = &self.target;
        let head = [(":method", &self.method), (":authority", &target.authority), (":path", &target.path)];
        let headers = self.headers.iter().map(|(name, value)| (name.as_str(), value));
        let all = head.into_iter().chain(headers).map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let body = self.body.as_deref().unwrap_or_default();
        match Request::parse(all) {
            Ok(request) => catalog.explain(&request.ended(body.is_empty()), body, most),
            Err(denial) => refused(&denial),
        }
    }
}

fn refused(denial: &Denial) -> Explanation {
    unknown(format!("{}: {denial}", denial.reason().code()))
}

/// A request of which nothing is known.
pub(super) fn unknown(reason: String) -> Explanation {
    Explanation { service: None, action: None, reason, is_known: false }
}

// === impl Target ===

impl Target {
    /// Takes a URL apart without changing anything in it.
    ///
    /// # Errors
    /// When it is none that a client can ask.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let rest =
            rest.ok_or_else(|| format!("`{text}` is not a URL, as `https://s3.amazonaws.com/bucket`"))?;
        if rest.contains('#') {
            return Err("no client sends what stands behind `#`: leave it out, or write `%23`".to_owned());
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { authority: authority.to_owned(), path })
    }
}

pub(super) fn method(text: &str) -> Result<String, String> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-') {
        Ok(text.to_owned())
    } else {
        Err(format!("`{text}` is not a method, as `GET`"))
    }
}

/// A header, with its name in lower case, as Envoy has it.
pub(super) fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("must be NAME: VALUE")?;
    let name = header_name(name)?;
    if name == "host" {
        return Err("the host stands in the URL".to_owned());
    }
    Ok((name, value.trim().to_owned()))
}

pub(super) fn header_name(name: &str) -> Result<String, String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(allowed) {
        return Err(format!("`{name}` is not the name of a header"));
    }
    Ok(name.to_ascii_lowercase())
}

/// A file, or standard input where it is `-`.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, String> {
    let mut content = Vec::new();
    let read = if path == Path::new("-") {
        io::stdin().read_to_end(&mut content).map(|_| content)
    } else {
        fs::read(path)
    };
    read.map_err(|error| format!("{}: {error}", path.display()))
}
