//! The request as it must be read to know what it is for, strictly: what could mean something else upstream than
//! here is refused, whoever sent it.

use std::borrow::Cow;

use crate::denial::Denial;

/// The head of one HTTP request, without contradictions.
#[derive(Debug)]
pub struct Request<'a> {
    method: &'a str,
    host: Cow<'a, str>,
    port: Option<u16>,
    path: Cow<'a, str>,
    reserved_headers: Vec<&'a str>,
}

/// Headers by which a caller can ask a server for another method than the one in the request line.
pub(crate) const METHOD_OVERRIDES: [&str; 3] =
    ["x-http-method-override", "x-http-method", "x-method-override"];

/// All names that begin so are the filter's: the credential exchange trusts them.
const RESERVED_PREFIX: &[u8] = b"x-hexr-";

// === impl Request ===

impl<'a> Request<'a> {
    /// Reads the head of a request from its headers, Envoy's pseudo-headers included.
    ///
    /// # Errors
    /// [`Denial::AmbiguousRequest`] with what is wrong.
    pub fn parse(headers: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Result<Self, Denial> {
        let (mut method, mut authority, mut path) = (None, None, None);
        let mut reserved_headers = Vec::new();
        for (name, value) in headers {
            let slot = match name {
                b":method" => &mut method,
                b":authority" => &mut authority,
                b":path" => &mut path,
                b":protocol" | b"upgrade" => {
                    return Err(ambiguous("it asks for another protocol (`upgrade`)"));
                }
                [b':', ..] => continue,
                _ => {
                    if is_reserved(name) {
                        reserved_headers.push(text(name, "a header name")?);
                    } else if METHOD_OVERRIDES.iter().any(|other| same_header(name, other.as_bytes())) {
                        return Err(ambiguous("a header asks for another method"));
                    }
                    continue;
                }
            };
            if slot.replace(value).is_some() {
                return Err(ambiguous("a pseudo-header stands twice"));
            }
        }
        let method = text(method.ok_or_else(|| ambiguous("it has no method"))?, "the method")?;
        if method == "CONNECT" {
            return Err(ambiguous("CONNECT hides what is asked for"));
        }
        let authority = text(authority.ok_or_else(|| ambiguous("it has no authority"))?, "the authority")?;
        let target = text(path.ok_or_else(|| ambiguous("it has no path"))?, "the path")?;
        let (host, port) = host_and_port(authority)?;
        let raw_path = target.split_once('?').map_or(target, |(path, _query)| path);
        let path = normal_path(raw_path).map_err(ambiguous)?;
        Ok(Self { method, host, port, path, reserved_headers })
    }

    /// The method, as sent.
    pub fn method(&self) -> &str {
        self.method
    }

    /// The host in lower case, without port and trailing dot.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, where the authority names one.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The path in its normal form ([`normal_path`]), without the query.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The caller's own headers with names that are the filter's, to be removed: `x-hexr-*`, and the underscore
    /// forms that many servers take for the same.
    pub fn reserved_headers(&self) -> &[&'a str] {
        &self.reserved_headers
    }
}

/// Whether a header, or a trailer, has a name that is the filter's.
pub fn is_reserved(name: &[u8]) -> bool {
    name.get(..RESERVED_PREFIX.len()).is_some_and(|prefix| same_header(prefix, RESERVED_PREFIX))
}

/// Header names are compared as servers behind CGI-like gateways do: `_` is `-`, and case means nothing.
fn same_header(name: &[u8], other: &[u8]) -> bool {
    let fold = |byte: &u8| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    name.len() == other.len() && name.iter().map(fold).eq(other.iter().copied())
}

fn text<'a>(bytes: &'a [u8], what: &str) -> Result<&'a str, Denial> {
    std::str::from_utf8(bytes).map_err(|_| ambiguous(format!("{what} is not UTF-8")))
}

fn ambiguous(what: impl Into<String>) -> Denial {
    Denial::AmbiguousRequest(what.into())
}

/// Splits an authority strictly: no user, no list, no brackets, nothing that servers read in different ways.
fn host_and_port(authority: &str) -> Result<(Cow<'_, str>, Option<u16>), Denial> {
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => {
            let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
            let port = port.parse().ok().filter(|_| digits);
            (host, Some(port.ok_or_else(|| ambiguous("the authority's port is no port"))?))
        }
        None => (authority, None),
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    if host.is_empty() || !host.bytes().all(allowed) || host.split('.').any(str::is_empty) {
        return Err(ambiguous("the authority is not a host name"));
    }
    let host = if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    };
    Ok((host, port))
}

/// The form of a path in which equal meanings are equal texts: printable ASCII is decoded, but for `%`, `?`, `#` and
/// the slash, which separates segments only where it is raw; all other escapes are kept, in upper case.
///
/// # Errors
/// What is wrong, for paths that servers resolve in different ways: dot segments, empty segments, backslashes,
/// broken escapes, control characters, all of them escaped or not.
pub(crate) fn normal_path(raw: &str) -> Result<Cow<'_, str>, String> {
    if !raw.starts_with('/') {
        return Err("the path does not begin with a slash".to_owned());
    }
    let normal = if raw.contains('%') { Cow::Owned(decode(raw)?) } else { Cow::Borrowed(raw) };
    if let Some(byte) = normal.bytes().find(|byte| !byte.is_ascii_graphic() || matches!(byte, b'\\' | b'#')) {
        return Err(format!("the path contains the byte {byte:#04x}"));
    }
    let mut segments = normal.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        // Some servers cut a segment at its first `;` before they resolve it.
        let (name, is_cut) = segment.split_once(';').map_or((segment, false), |(name, _)| (name, true));
        if name == "." || name == ".." {
            return Err("the path has a dot segment".to_owned());
        }
        if name.is_empty() && (is_cut || segments.peek().is_some()) {
            return Err("the path has an empty segment (`//`)".to_owned());
        }
    }
    Ok(normal)
}

fn decode(raw: &str) -> Result<String, String> {
    let mut normal = String::with_capacity(raw.len());
    let mut rest = raw.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            // What is not ASCII is refused by the caller; here it must only not look like anything else.
            normal.push(if byte.is_ascii() { char::from(byte) } else { '\u{7f}' });
            continue;
        }
        let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16));
        let (Some(high), Some(low)) = (digit(), digit()) else {
            return Err("the path has a broken escape (`%`)".to_owned());
        };
        let decoded = u8::try_from(high * 16 + low).unwrap_or_default();
        match decoded {
            b'/' | b'%' | b'?' | b'#' | b' ' | 0x80.. => normal.push_str(&format!("%{decoded:02X}")),
            _ => normal.push(char::from(decoded)),
        }
    }
    Ok(normal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse<'a>(headers: &'a [(&'a str, &'a str)]) -> Result<Request<'a>, Denial> {
        Request::parse(headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())))
    }

    #[track_caller]
    fn check(authority: &str, path: &str, expect: Result<(&str, Option<u16>, &str), &str>) {
        let headers = [(":method", "GET"), (":authority", authority), (":path", path), (":scheme", "https")];
        let request = parse(&headers);
        let facts = request.as_ref().map(|request| (request.host(), request.port(), request.path()));
        let expect = expect.map_err(|message| Denial::AmbiguousRequest(message.to_owned()));
        assert_eq!(facts.map_err(Clone::clone), expect, "{authority} {path}");
    }

    #[test]
    fn authorities() {
        check("s3.example", "/", Ok(("s3.example", None, "/")));
        check("S3.Example.:8443", "/", Ok(("s3.example", Some(8443), "/")));
        let refused = [
            ("", "the authority is not a host name"),
            ("a@s3.example", "the authority is not a host name"),
            ("s3.example,evil.example", "the authority is not a host name"),
            ("[::1]", "the authority's port is no port"),
            ("s3.example:", "the authority's port is no port"),
            ("s3.example:+80", "the authority's port is no port"),
            ("s3.example:80:80", "the authority's port is no port"),
            ("s3.example:99999", "the authority's port is no port"),
            ("s3..example", "the authority is not a host name"),
            ("s3.example..", "the authority is not a host name"),
            ("ſ3.example", "the authority is not a host name"),
        ];
        for (authority, message) in refused {
            check(authority, "/", Err(message));
        }
    }

    #[test]
    fn paths() {
        check("h", "/a/b?x=/../y", Ok(("h", None, "/a/b")));
        check("h", "/%41b%63/", Ok(("h", None, "/Abc/")));
        check("h", "/a%2fb%3Ac%20d%c3%a9", Ok(("h", None, "/a%2Fb:c%20d%C3%A9")));
        check("h", "/a%252Fb", Ok(("h", None, "/a%252Fb")));
        check("h", "/a;x=y/b;", Ok(("h", None, "/a;x=y/b;")));
        let refused = [
            ("a", "the path does not begin with a slash"),
            ("*", "the path does not begin with a slash"),
            ("http://other/a", "the path does not begin with a slash"),
            ("/a/../b", "the path has a dot segment"),
            ("/a/%2e%2E/b", "the path has a dot segment"),
            ("/a/.%2e", "the path has a dot segment"),
            ("/./a", "the path has a dot segment"),
            ("/public/..;/admin", "the path has a dot segment"),
            ("/a/.%2e;x/b", "the path has a dot segment"),
            ("/a/.%3bx/b", "the path has a dot segment"),
            ("/a/;x/b", "the path has an empty segment (`//`)"),
            ("//a", "the path has an empty segment (`//`)"),
            ("/a//", "the path has an empty segment (`//`)"),
            ("/a\\b", "the path contains the byte 0x5c"),
            ("/a%5cb", "the path contains the byte 0x5c"),
            ("/a%00", "the path contains the byte 0x00"),
            ("/a%0d%0a", "the path contains the byte 0x0d"),
            ("/a#b", "the path contains the byte 0x23"),
            ("/a b", "the path contains the byte 0x20"),
            ("/é", "the path contains the byte 0xc3"),
            ("/é%41", "the path contains the byte 0x7f"),
            ("/a%4", "the path has a broken escape (`%`)"),
            ("/a%zz", "the path has a broken escape (`%`)"),
            ("/a%+4", "the path has a broken escape (`%`)"),
        ];
        for (path, message) in refused {
            check("h", path, Err(message));
        }
    }

    #[test]
    fn contradictions() {
        let head = [(":method", "GET"), (":authority", "h"), (":path", "/")];
        for (extra, refused) in [
            (("x-http-method-override", "DELETE"), true),
            (("x_http_method", "DELETE"), true),
            (("upgrade", "websocket"), true),
            ((":protocol", "websocket"), true),
            ((":path", "/other"), true),
            ((":authority", "other"), true),
            ((":method", "PUT"), true),
            (("host", "other"), false),
            (("x-forwarded-host", "other"), false),
        ] {
            assert_eq!(parse(&[head.as_slice(), &[extra]].concat()).is_err(), refused, "{extra:?}");
        }
        assert!(parse(&[(":method", "CONNECT"), (":authority", "h"), (":path", "/")]).is_err());
        for missing in 0..3 {
            let rest: Vec<_> =
                head.iter().enumerate().filter(|(at, _)| *at != missing).map(|(_, pair)| *pair).collect();
            assert!(parse(&rest).is_err());
        }
    }

    #[test]
    fn reserved_headers() {
        let names =
            ["x-hexr-role", "x_hexr_role", "x-hexr_tenant", "X-Hexr-Agent", "x-hexr-", "x-hexr", "x-other"];
        let mut headers = vec![(":method", "GET"), (":authority", "h"), (":path", "/")];
        headers.extend(names.iter().map(|name| (*name, "spoofed")));
        assert_eq!(parse(&headers).unwrap().reserved_headers(), &names[..5]);
    }
}
