//! Ways in which a request can contradict itself, each of which a server that reads it in its own order could fall for.

use crate::requests::Recorded;

/// `recorded` with each of the contradictions that it can have.
pub(crate) fn all(recorded: &Recorded) -> Vec<(&'static str, Recorded)> {
    let mut all = vec![
        ("an `Action` in the query", with_query(recorded, "Action=DescribeSafeThing")),
        ("a method in the query", with_query(recorded, "$httpMethod=DELETE")),
        ("a target in the query", with_query(recorded, "X-Amz-Target=DynamoDB_20120810.ListTables")),
        ("an `Action` in escapes", with_query(recorded, "%41ction=DescribeSafeThing")),
        ("another `x-amz-target`", with_header(recorded, "x-amz-target", "DynamoDB_20120810.ListTables")),
        ("an `x_amz_target`", with_header(recorded, "x_amz_target", "DynamoDB_20120810.ListTables")),
        ("an `x-amzn-target`", with_header(recorded, "x-amzn-target", "X.ListTables")),
        ("a Smithy protocol", with_header(recorded, "smithy-protocol", "rpc-v2-json")),
        ("another method", with_header(recorded, "x-http-method-override", "DELETE")),
        ("another method, underscored", with_header(recorded, "x_http_method_override", "DELETE")),
        ("an upgrade", with_header(recorded, "upgrade", "websocket")),
        ("dot segments", with_path(recorded, |path| format!("/x/..{path}"))),
        ("escaped dot segments", with_path(recorded, |path| format!("/x/%2e%2e{path}"))),
        ("an empty segment", with_path(recorded, |path| format!("/{path}"))),
        ("a backslash", with_path(recorded, |path| format!("/x\\..{path}"))),
        ("a NUL", with_path(recorded, |path| format!("/%00{path}"))),
        ("a user", with_authority(recorded, |host| format!("s3.amazonaws.com@{host}"))),
        ("two hosts", with_authority(recorded, |host| format!("{host},s3.amazonaws.com"))),
        ("another domain", with_authority(recorded, |host| format!("{host}.evil.example"))),
        ("another port", with_authority(recorded, |host| format!("{host}:8443"))),
        ("CONNECT", Recorded { method: "CONNECT".to_owned(), ..recorded.clone() }),
        ("the method in lower case", Recorded { method: recorded.method.to_lowercase(), ..recorded.clone() }),
    ];
    if recorded.headers.iter().any(|(_, value)| value.contains("Credential=")) {
        all.push(("a signature for another service", rescoped(recorded)));
    }
    if matches!(recorded.protocol.as_str(), "query" | "ec2") {
        let twice = |more: &str| Recorded { body: format!("{}{more}", recorded.body), ..recorded.clone() };
        all.push(("a second `Action` in the body", twice("&Action=DescribeSafeThing")));
        all.push(("a second `Action` behind a semicolon", twice(";Action=DescribeSafeThing")));
        all.push(("an `action` in the body", twice("&action=DescribeSafeThing")));
        all.push(("a second `Version` in the body", twice("&Version=2006-03-01")));
        all.push(("a compressed body", with_header(recorded, "content-encoding", "gzip")));
    }
    if recorded.headers.iter().any(|(name, _)| name == "x-amz-target") {
        all.push(("the content type of a form", with_type(recorded, "application/x-www-form-urlencoded")));
    }
    all
}

fn with_query(recorded: &Recorded, parameter: &str) -> Recorded {
    let mark = if recorded.path.contains('?') { '&' } else { '?' };
    Recorded { path: format!("{}{mark}{parameter}", recorded.path), ..recorded.clone() }
}

fn with_header(recorded: &Recorded, name: &str, value: &str) -> Recorded {
    let mut twisted = recorded.clone();
    twisted.headers.push((name.to_owned(), value.to_owned()));
    twisted
}

fn with_type(recorded: &Recorded, value: &str) -> Recorded {
    let mut twisted = recorded.clone();
    for (name, old) in &mut twisted.headers {
        if name == "content-type" {
            value.clone_into(old);
        }
    }
    twisted
}

fn with_path(recorded: &Recorded, change: impl Fn(&str) -> String) -> Recorded {
    Recorded { path: change(&recorded.path), ..recorded.clone() }
}

fn with_authority(recorded: &Recorded, change: impl Fn(&str) -> String) -> Recorded {
    Recorded { authority: change(&recorded.authority), ..recorded.clone() }
}

fn rescoped(recorded: &Recorded) -> Recorded {
    let mut twisted = recorded.clone();
    for (name, value) in &mut twisted.headers {
        if name == "authorization" {
            let parts: Vec<&str> = value.split('/').collect();
            let scope = parts.len().checked_sub(2);
            let renamed = parts.iter().enumerate();
            let renamed = renamed.map(|(at, part)| if Some(at) == scope { "otherservice" } else { part });
            *value = renamed.collect::<Vec<_>>().join("/");
        }
    }
    twisted
}
