//! URLs as curl sends them.

use super::super::asked::Target;

/// A URL of a command line, and what curl takes out of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) target: Target,
    /// `USER:PASSWORD` of the authority.
    pub(super) user: Option<String>,
}

/// How curl is told to read URLs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reading {
    /// `--path-as-is`
    pub(super) path_as_is: bool,
    /// `--globoff`
    pub(super) globoff: bool,
}

// === impl Url ===

impl Url {
    /// # Errors
    /// When curl makes none or several requests of it.
    pub(super) fn read(text: &str, reading: Reading) -> Result<Self, String> {
        // The brackets of an IPv6 address are no pattern.
        let authority_end = text.find("://").map_or(0, |at| at + 3);
        let behind = text.get(authority_end..).unwrap_or_default();
        let pattern = if behind.starts_with('[') {
            behind.split_once(']').map_or("", |(_, rest)| rest)
        } else {
            behind
        };
        if !reading.globoff && pattern.contains(['{', '}', '[', ']']) {
            return Err(format!(
                "curl takes `{{}}` and `[]` in `{text}` for patterns of several URLs: write the URL out, or pass \
                 `--globoff`"
            ));
        }
        if text.contains(|char: char| char.is_whitespace() || char.is_control()) {
            return Err(format!("curl asks for nothing at `{text}`: there is a space in it"));
        }
        // Without a scheme it asks by HTTP.
        let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        // What stands behind `#` is not sent.
        let sent = whole.split('#').next().unwrap_or_default();
        let mut target = Target::parse(sent)?;
        target.path = ascii(&target.path);
        let user = target.authority.rsplit_once('@').map(|(user, host)| (user.to_owned(), host.to_owned()));
        let user = user.map(|(user, host)| {
            target.authority = host;
            user
        });
        if !reading.path_as_is {
            let (path, query) = target
                .path
                .split_once('?')
                .map_or((target.path.as_str(), None), |(path, query)| (path, Some(query)));
            let path = without_dots(path);
            target.path = query.map_or(path.clone(), |query| format!("{path}?{query}"));
        }
        Ok(Self { target, user })
    }
}

/// The text with an escape for each byte that is not ASCII.
fn ascii(text: &str) -> String {
    text.bytes().fold(String::new(), |mut ascii, byte| {
        if byte.is_ascii() {
            ascii.push(char::from(byte))
        } else {
            ascii.push_str(&format!("%{byte:02x}"))
        }
        ascii
    })
}

/// The path without `.` and `..`, as RFC 3986 has it removed. curl does so before it sends.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if is_last {
                    kept.push("");
                }
            }
            _ => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}
