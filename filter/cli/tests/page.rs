//! The page of `hexr-authz serve`, asked by plain clients. What a browser makes of it is `integration/tests/page.rs`.

#![expect(clippy::unwrap_used, reason = "what the tests share stops at the first thing that does not work")]

mod server;
mod tool;

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::Server;

const POLICY: &str =
    "package hexr.authz\n\ndefault allow := false\n\nallow if data.hexr.roles.editors[input.role]\n";
const ROLES: &str = "package hexr.roles\n\neditors contains \"editor\"\n";
const STRICT: &str =
    "package hexr.authz\n\nallow := {\"allowed\": false, \"reason\": \"not <b>today</b>\"}\n";
const TENANT: &str = "package hexr.tenants.acme\n\nallow if input.action == \"GetObject\"\n";
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const JSON: (&str, &str) = ("content-type", "application/json");

/// An answer: its status, its head in lower case, and its body.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap()
}

/// Sends a request as it is written, with a host unless the headers have one.
fn send(stream: &mut TcpStream, line: &str, headers: &[(&str, &str)], body: &str) {
    let has_host = headers.iter().any(|(name, _)| *name == "host");
    let mut request = format!("{line} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers.iter().chain([&("host", "localhost")].into_iter().filter(|_| !has_host)) {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{request}\r\n{body}").as_bytes()).unwrap();
}

fn ask(server: &Server, line: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut stream = connect(server);
    send(&mut stream, line, headers, body);
    let mut bytes = Vec::new();
    // Who is refused for a body that is too large may find the connection closed.
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_lowercase(), body: body.to_owned() }
}

fn folder() -> TempDir {
    tool::folder(&[
        ("policies/authz.rego", POLICY),
        ("policies/roles.rego", ROLES),
        ("strict/authz.rego", STRICT),
        ("tenants/acme/authz.rego", TENANT),
        ("token", "secret\n"),
    ])
}

fn event(id: &str, at: &str, agent: &str) -> Value {
    json!({"decision_id": id, "timestamp": at, "result": false, "reason": "policy_denied",
        "input": {"tenant": "acme", "agent": agent, "role": "viewer", "service": "aws_s3", "action": "PutObject"}})
}

fn evaluate(server: &Server, bundle: &str, input: &str) -> Answer {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("bundle", bundle).append_pair("input", input);
    ask(server, "POST /evaluate", &[FORM], &form.finish())
}

#[test]
fn every_page_is_sealed() {
    let folder = folder();
    let server = Server::start(folder.path(), &[]);
    for (path, media_type) in [
        ("/", "text/html"),
        ("/evaluate", "text/html"),
        ("/page.css", "text/css"),
        ("/page.js", "text/javascript"),
        ("/icon.svg", "image/svg+xml"),
    ] {
        let answer = ask(&server, &format!("GET {path}"), &[], "");
        assert_eq!(answer.status, 200, "{path}");
        for header in [
            &format!("content-type: {media_type}"),
            "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
             connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
            "x-content-type-options: nosniff",
            "referrer-policy: same-origin",
            "cross-origin-resource-policy: same-origin",
            "cache-control: no-store",
        ] {
            assert!(
                answer.head.contains(&format!("\r\n{header}")),
                "{path} lacks {header}:\n{}",
                answer.head
            );
        }
        // Nothing that the policy would stop is of our own making.
        if path == "/" {
            for inline in [" style=", "<style", "onload=", "javascript:", "http://", "https://"] {
                let own = answer.body.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
                assert!(!own.contains(inline), "{inline}");
            }
        }
    }
    // It only reads.
    for line in ["POST /", "PUT /evaluate", "DELETE /", "POST /live", "OPTIONS /evaluate"] {
        assert_eq!(ask(&server, line, &[], "").status, 405, "{line}");
    }
}

/// Names that lead here by another's will get nothing, and neither do other sites' scripts.
#[test]
fn who_may_ask() {
    let folder = folder();
    let server = Server::start(folder.path(), &["--page-host", "policies.corp.example"]);
    let address = server.url.strip_prefix("http://").unwrap();
    let evil = ("origin", "http://evil.example");
    for (line, headers, status) in [
        ("GET /", &[("host", address)][..], 200),
        ("GET /", &[("host", "policies.corp.example")], 200),
        ("GET /", &[("host", "evil.example")], 421),
        ("GET /live", &[("host", "evil.example")], 421),
        ("GET http://evil.example/", &[], 421),
        ("POST /evaluate", &[("host", "evil.example"), ("origin", "http://evil.example"), FORM], 421),
        ("POST /evaluate", &[("origin", "http://localhost"), FORM], 200),
        ("POST /evaluate", &[evil, FORM], 403),
        ("POST /evaluate", &[("origin", "null"), FORM], 403),
        ("POST /evaluate", &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), FORM], 403),
        ("GET /live", &[evil], 403),
        ("GET /live", &[("sec-fetch-site", "same-site"), ("sec-fetch-mode", "cors")], 403),
        // A link on another site leads here.
        ("GET /", &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")], 200),
        ("GET /", &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")], 403),
        // Envoys know the server by any name; a browser tells on behalf of whom it asks.
        ("POST /logs", &[("host", "bundles.hexr-system"), JSON], 200),
        ("POST /logs", &[evil, JSON], 403),
        ("POST /logs", &[("host", "evil.example"), evil, JSON], 403),
        ("POST /status", &[evil, JSON], 403),
        ("POST /status/agents", &[("sec-fetch-site", "cross-site"), JSON], 403),
        ("GET /bundles/authz.tar.gz", &[("host", "bundles.hexr-system")], 200),
        // What they told is not shown under a name that was made to lead here.
        ("GET /logs", &[("host", "evil.example")], 421),
        ("GET /status", &[("host", "evil.example")], 421),
        ("GET /logs", &[("host", address)], 200),
        ("GET /status", &[("host", "policies.corp.example")], 200),
    ] {
        let answer = ask(&server, line, headers, if headers.contains(&JSON) { "[]" } else { "" });
        assert_eq!(answer.status, status, "{line} {headers:?}: {}", answer.body);
    }
}

/// With tokens, a browser asks its user for one, as the password.
#[test]
fn who_has_a_token() {
    let folder = folder();
    let server = Server::start(folder.path(), &["--authentication=token", "--token-file", "token"]);
    for (authorization, status) in [
        (None, 401),
        (Some("Bearer secret"), 200),
        // `operator:secret`, `:secret`, `secret:`, `secret` and something that is no base64.
        (Some("Basic b3BlcmF0b3I6c2VjcmV0"), 200),
        (Some("basic OnNlY3JldA=="), 200),
        (Some("Basic c2VjcmV0Og=="), 401),
        (Some("Basic c2VjcmV0"), 401),
        (Some("Basic ?"), 401),
    ] {
        let headers: Vec<_> = authorization.map(|value| ("authorization", value)).into_iter().collect();
        for path in ["/", "/page.js", "/evaluate"] {
            let answer = ask(&server, &format!("GET {path}"), &headers, "");
            assert_eq!(answer.status, status, "{path} {authorization:?}");
            let challenges = answer.head.matches("www-authenticate: basic realm=").count();
            assert_eq!(challenges, usize::from(status == 401), "{}", answer.head);
        }
    }
}

/// What HTML means by a text.
fn unescaped(text: &str) -> String {
    text.replace("&#34;", "\"")
        .replace("&#39;", "'")
        .replace("&#60;", "<")
        .replace("&#62;", ">")
        .replace("&#38;", "&")
}

/// What stands between the first `begin` and the next `end`.
fn between<'t>(text: &'t str, begin: &str, end: &str) -> &'t str {
    text.split_once(begin).and_then(|(_, rest)| rest.split_once(end)).map(|(found, _)| found).unwrap()
}

/// The form answers as `hexr-authz eval --explain`, of what is served.
#[test]
fn an_input_is_evaluated() {
    let folder = folder();
    let server = Server::start(folder.path(), &["--bundle", "strict=strict", "--tenants", "tenants"]);
    for (bundle, path, decision, input, class) in [
        ("authz", "policies", "hexr/authz/allow", r#"{"role": "editor"}"#, "allow"),
        ("authz", "policies", "hexr/authz/allow", r#"{"role": "</textarea><script>'&amp;"}"#, "deny"),
        ("strict", "strict", "hexr/authz/allow", "{}", "deny"),
        ("tenants/acme", "tenants/acme", "hexr/tenants/acme/allow", r#"{"action": "GetObject"}"#, "allow"),
        ("tenants/acme", "tenants/acme", "hexr/tenants/acme/allow", "[1, \"2\"]", "deny"),
        ("authz", "policies", "hexr/authz/allow", r#"{"role": <b>"#, "problem"),
        ("authz", "policies", "hexr/authz/allow", "", "problem"),
    ] {
        let answer = evaluate(&server, bundle, input);
        assert_eq!(answer.status, 200);
        let eval = ["eval", "--data", path, "--decision", decision, "--explain", "--stdin-input"];
        let ran = tool::run(folder.path(), &eval, input);
        assert_eq!(ran.exit_code, Some(if class == "problem" { 2 } else { 0 }));
        // A bundle has its files by their paths in it.
        let expected = (ran.stdout + &ran.stderr).replace(&format!("{path}/"), "");
        let told = unescaped(between(&answer.body, "<pre id=\"answer\" class=\"answer ", "</pre>"));
        assert_eq!(told, format!("{class}\">{}", expected.trim_end()), "{bundle} {input}");
        // The form has what was asked, in it and nowhere else.
        assert_eq!(unescaped(between(&answer.body, "autocomplete=\"off\">\n", "</textarea>")), input);
        assert!(answer.body.contains(&format!("<option value=\"{bundle}\" selected>{bundle} ")));
        assert!(!answer.body.contains("<script>") && !answer.body.contains("<b>"), "{}", answer.body);
    }
    let (deep, long) = ("[".repeat(100_000), format!("\"{}\"", "x".repeat(300_000)));
    for (bundle, input, status, expected) in [
        ("authz", deep, 200, "the input is not JSON: "),
        ("authz", long, 200, "the input has more than 262144 bytes"),
        ("authz", "x".repeat(2 << 20), 413, "length limit exceeded"),
        ("<i>", "{}".to_owned(), 200, "there is no bundle `&#60;i&#62;`"),
        ("tenants/nobody", "{}".to_owned(), 200, "there is no bundle `tenants/nobody`"),
    ] {
        let answer = evaluate(&server, bundle, &input);
        assert_eq!(answer.status, status);
        assert!(answer.body.contains(expected), "{expected}");
    }
}

/// A decision's own input stands in the form that it links to, with what could not be seen in it spelled out.
#[test]
fn a_decision_is_asked_again() {
    let folder = folder();
    let server = Server::start(folder.path(), &[]);
    let event = event("d&1\"", "2026-01-15T10:30:00.5Z", "crew\u{202e}<b>");
    assert_eq!(ask(&server, "POST /logs", &[JSON], &json!([event]).to_string()).status, 200);
    let page = ask(&server, "GET /", &[], "").body;
    let link = "evaluate?at=1768473000500000000&#38;decision=d%261%22";
    assert!(page.contains(&format!("href=\"{link}\"")), "{page}");
    for (query, expected) in [
        (link.replace("&#38;", "&"), "&#34;agent&#34;: &#34;crew\\u202e&#60;b&#62;&#34;"),
        ("evaluate?at=7&decision=none".to_owned(), "&#34;agent&#34;: &#34;content-crew&#34;"),
        ("evaluate?at=1768473000500000000".to_owned(), "&#34;agent&#34;: &#34;content-crew&#34;"),
    ] {
        let body = ask(&server, &format!("GET /{query}"), &[], "").body;
        assert!(body.contains(expected), "{query}: {body}");
    }
}

/// The next rendering that a listener is sent; nothing once the server has ended.
fn next(listener: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    while listener.read_line(&mut line).is_ok_and(|read| read > 0) {
        if let Some(data) = line.strip_prefix("data: ") {
            return serde_json::from_str(data.trim()).ok();
        }
        line.clear();
    }
    None
}

fn listen(server: &Server) -> BufReader<TcpStream> {
    let mut stream = connect(server);
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    send(&mut stream, "GET /live", &[], "");
    BufReader::new(stream)
}

#[test]
fn listeners_are_told_and_bounded() {
    let folder = folder();
    let mut server = Server::start(folder.path(), &["--history", "history"]);
    let mut listeners: Vec<_> = (0..64).map(|_| listen(&server)).collect();
    for listener in &mut listeners {
        assert!(next(listener).unwrap().contains("None so far"));
    }
    assert_eq!(ask(&server, "GET /live", &[], "").status, 503);
    let now = this_moment();
    // A line break would end an event of the stream.
    let hostile = event("d1\r\n\r\ndata: \"<u>\"", &now, "<i>\r\n");
    assert_eq!(ask(&server, "POST /logs", &[JSON], &json!([hostile]).to_string()).status, 200);
    for listener in &mut listeners {
        let told = loop {
            let told = next(listener).unwrap();
            if !told.contains("None so far") {
                break told;
            }
        };
        assert!(told.contains("acme/&#60;i&#62;\\r\\n"), "{told}");
        assert!(!told.contains("<u>") && !told.contains("<i>"), "{told}");
    }
    // Who leaves makes room.
    listeners.pop();
    let start = Instant::now();
    let mut late = loop {
        let mut late = listen(&server);
        match next(&mut late) {
            Some(_) => break late,
            None => assert!(start.elapsed() < Duration::from_secs(10), "no seat is free"),
        }
    };
    // What is sent again is counted once.
    assert_eq!(ask(&server, "POST /logs", &[JSON], &json!([hostile]).to_string()).status, 200);
    assert!(ask(&server, "GET /", &[], "").body.contains("<b>1</b> denied"));
    let start = Instant::now();
    assert!(
        Command::new("kill").args(["-TERM", &server.process.id().to_string()]).status().unwrap().success()
    );
    while next(&mut late).is_some() {}
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    assert_eq!(server.process.wait().unwrap().code(), Some(0));
    // And counted again after a restart.
    let server = Server::start(folder.path(), &["--history", "history"]);
    assert!(ask(&server, "GET /", &[], "").body.contains("<b>1</b> denied"));
}

/// This moment in RFC 3339.
fn this_moment() -> String {
    let output = Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%SZ"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
