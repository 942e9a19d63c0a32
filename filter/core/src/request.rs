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
    raw_path: &'a str,
    path: NormalPath<'a>,
    query: &'a str,
    headers: Vec<(&'a [u8], &'a [u8])>,
    reserved_headers: Vec<&'a str>,
    told: Told<'a>,
    has_no_body: bool,
}

/// The headers by which a caller tells a service what it wants.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Told<'a> {
    pub(crate) amz_target: Seen<'a>,
    pub(crate) amzn_target: Seen<'a>,
    pub(crate) smithy_protocol: Seen<'a>,
    pub(crate) content_type: Seen<'a>,
    pub(crate) content_encoding: Seen<'a>,
    pub(crate) authorization: Seen<'a>,
    pub(crate) copy_source: Seen<'a>,
}

/// A header that may stand once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Seen<'a> {
    /// It does not stand there.
    #[default]
    Never,
    /// Its only value.
    Once(&'a [u8]),
    /// It stands there more than once.
    Often,
}

/// A path in the form in which equal meanings are equal texts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NormalPath<'a> {
    text: Cow<'a, str>,
    has_empty_segments: bool,
}

/// A segment of a path up to its first `;`, at which some servers cut it before they resolve it.
#[derive(Debug, Default)]
struct Segment {
    length: usize,
    /// How many bytes of it are dots.
    dots: usize,
    is_cut: bool,
}

/// Headers by which a caller can ask a server for another method than the one in the request line.
pub(crate) const METHOD_OVERRIDES: [&str; 3] =
    ["x-http-method-override", "x-http-method", "x-method-override"];

/// Headers by which services are told what is wanted. Some servers take `x_amz_target` for `x-amz-target`, others do
/// not, so that only the first spelling has one meaning.
const TOLD: [&str; 7] = [
    "x-amz-target",
    "x-amzn-target",
    "smithy-protocol",
    "content-type",
    "content-encoding",
    "authorization",
    "x-amz-copy-source",
];

/// More headers than most requests have.
const MOST_AT_ONCE: usize = 64;

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
        let (mut reserved_headers, mut others) = (Vec::new(), Vec::with_capacity(most_of(&headers)));
        let mut told = Told::default();
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
                    } else {
                        told.take(name, value)?;
                    }
                    others.push((name, value));
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
        let (raw_path, query) = cut(target, b'?').unwrap_or((target, ""));
        if !query.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
            return Err(ambiguous("the query has bytes that must be escaped"));
        }
        let path = NormalPath::read(raw_path).map_err(ambiguous)?;
        Ok(Self {
            method,
            host,
            port,
            raw_path,
            path,
            query,
            headers: others,
            reserved_headers,
            told,
            has_no_body: false,
        })
    }

    /// Notes whether the stream ended with the headers: then there is no body to wait for.
    #[must_use]
    pub fn ended(self, end_of_stream: bool) -> Self {
        Self { has_no_body: end_of_stream, ..self }
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

    /// The path in its normal form ([`normal_path`]), without the query. Only a path with
    /// [`Self::has_empty_segments`] is not quite in it.
    pub fn path(&self) -> &str {
        &self.path.text
    }

    /// The path as sent, without the query.
    pub fn raw_path(&self) -> &str {
        self.raw_path
    }

    /// Whether the path has `//`. Only where that is the name of something, as in S3's keys, has it one meaning.
    pub(crate) fn has_empty_segments(&self) -> bool {
        self.path.has_empty_segments
    }

    /// The query as sent, without the `?`.
    pub fn query(&self) -> &'a str {
        self.query
    }

    /// Whether the request is known to have no body.
    pub(crate) fn has_no_body(&self) -> bool {
        self.has_no_body
    }

    /// The headers, without the pseudo-headers, as sent.
    pub fn headers(&self) -> &[(&'a [u8], &'a [u8])] {
        &self.headers
    }

    /// The header `name`, in lower case.
    pub(crate) fn header(&self, name: &str) -> Seen<'a> {
        let mut seen = Seen::Never;
        for (_, value) in self.headers.iter().filter(|(other, _)| same_header(other, name.as_bytes())) {
            seen.see(value);
        }
        seen
    }

    pub(crate) fn told(&self) -> &Told<'a> {
        &self.told
    }

    /// The caller's own headers with names that are the filter's, to be removed: `x-hexr-*`, and the underscore
    /// forms that many servers take for the same.
    pub fn reserved_headers(&self) -> &[&'a str] {
        &self.reserved_headers
    }
}

// === impl Told ===

impl<'a> Told<'a> {
    fn take(&mut self, name: &'a [u8], value: &'a [u8]) -> Result<(), Denial> {
        let slot = match name {
            b"x-amz-target" => &mut self.amz_target,
            b"x-amzn-target" => &mut self.amzn_target,
            b"smithy-protocol" => &mut self.smithy_protocol,
            b"content-type" => &mut self.content_type,
            b"content-encoding" => &mut self.content_encoding,
            b"authorization" => &mut self.authorization,
            b"x-amz-copy-source" => &mut self.copy_source,
            _ => {
                if METHOD_OVERRIDES.iter().any(|other| same_header(name, other.as_bytes())) {
                    return Err(ambiguous("a header asks for another method"));
                }
                let other_spelling =
                    TOLD.iter().any(|told| same_header(name, told.as_bytes())) && name.contains(&b'_');
                return if other_spelling {
                    Err(ambiguous("a header has an underscore in its name that some servers read as a dash"))
                } else {
                    Ok(())
                };
            }
        };
        slot.see(value);
        Ok(())
    }
}

// === impl Seen ===

impl<'a> Seen<'a> {
    fn see(&mut self, value: &'a [u8]) {
        *self = if *self == Self::Never { Self::Once(value) } else { Self::Often };
    }

    /// Whether it stands there at all.
    pub(crate) fn is_there(self) -> bool {
        self != Self::Never
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

/// How many headers there can be, so that a list of them is made once.
fn most_of<'a>(headers: &impl Iterator<Item = (&'a [u8], &'a [u8])>) -> usize {
    let (least, most) = headers.size_hint();
    most.unwrap_or(least).min(MOST_AT_ONCE)
}

/// The texts before and behind the first such byte, which is ASCII.
///
/// What is read here is read of every request, byte by byte and once, because in WebAssembly the library's searchers cost
/// more than what they search.
pub(crate) fn cut(text: &str, at: u8) -> Option<(&str, &str)> {
    let place = text.bytes().position(|byte| byte == at)?;
    Some((text.get(..place)?, text.get(place + 1..)?))
}

/// Splits an authority strictly: no user, no list, no brackets, nothing that servers read in different ways.
fn host_and_port(authority: &str) -> Result<(Cow<'_, str>, Option<u16>), Denial> {
    let (host, port) = match cut(authority, b':') {
        Some((host, port)) => {
            let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
            let port = port.parse().ok().filter(|_| digits);
            (host, Some(port.ok_or_else(|| ambiguous("the authority's port is no port"))?))
        }
        None => (authority, None),
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    let not_a_host = || ambiguous("the authority is not a host name");
    let (mut is_label_empty, mut has_upper_case) = (true, false);
    for byte in host.bytes() {
        match byte {
            b'.' if is_label_empty => return Err(not_a_host()),
            b'.' => is_label_empty = true,
            b'a'..=b'z' | b'0'..=b'9' | b'-' => is_label_empty = false,
            b'A'..=b'Z' => (is_label_empty, has_upper_case) = (false, true),
            _ => return Err(not_a_host()),
        }
    }
    if is_label_empty {
        return Err(not_a_host());
    }
    let host = if has_upper_case { Cow::Owned(host.to_ascii_lowercase()) } else { Cow::Borrowed(host) };
    Ok((host, port))
}

/// The form of a path in which equal meanings are equal texts: printable ASCII is decoded, but for `%`, `?`, `#` and
/// the slash, which separates segments only where it is raw; all other escapes are kept, in upper case.
///
/// # Errors
/// What is wrong, for paths that servers resolve in different ways: dot segments, empty segments, backslashes,
/// broken escapes, control characters, all of them escaped or not.
pub(crate) fn normal_path(raw: &str) -> Result<Cow<'_, str>, String> {
    let path = NormalPath::read(raw)?;
    if path.has_empty_segments { Err(EMPTY_SEGMENT.to_owned()) } else { Ok(path.text) }
}

/// What is said of a path with `//`.
pub(crate) const EMPTY_SEGMENT: &str = "the path has an empty segment (`//`)";

// === impl NormalPath ===

impl<'a> NormalPath<'a> {
    fn read(raw: &'a str) -> Result<Self, String> {
        if !raw.starts_with('/') {
            return Err("the path does not begin with a slash".to_owned());
        }
        let has_escapes = raw.bytes().any(|byte| byte == b'%');
        let text = if has_escapes { Cow::Owned(decode(raw)?) } else { Cow::Borrowed(raw) };
        let mut has_empty_segments = false;
        let mut segment = Segment::default();
        for byte in text.bytes().skip(1) {
            match byte {
                b'/' => {
                    segment.check()?;
                    has_empty_segments |= segment.length == 0;
                    segment = Segment::default();
                }
                b';' => segment.is_cut = true,
                // The last two are what is no printable ASCII.
                b'\\' | b'#' | ..=b' ' | 0x7f.. => {
                    return Err(format!("the path contains the byte {byte:#04x}"));
                }
                _ if segment.is_cut => {}
                _ => {
                    segment.length += 1;
                    segment.dots += usize::from(byte == b'.');
                }
            }
        }
        segment.check()?;
        Ok(Self { text, has_empty_segments })
    }
}

// === impl Segment ===

impl Segment {
    fn check(&self) -> Result<(), String> {
        if self.dots == self.length && matches!(self.length, 1 | 2) {
            return Err("the path has a dot segment".to_owned());
        }
        if self.length == 0 && self.is_cut {
            return Err(EMPTY_SEGMENT.to_owned());
        }
        Ok(())
    }
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
        let empty = request.as_ref().is_ok_and(Request::has_empty_segments);
        let facts = if empty { Err(&ambiguous(EMPTY_SEGMENT)) } else { facts };
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
            (("x_amz_target", "DynamoDB_20120810.GetItem"), true),
            (("content_type", "application/json"), true),
            (("x-amz-target", "DynamoDB_20120810.GetItem"), false),
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
