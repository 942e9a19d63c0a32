//! `hexr-authz request` of curl command lines and of HAR files: what is taken for the request, and the exit code.

#![expect(clippy::unwrap_used, reason = "what the tests share stops at the first thing that does not work")]

use std::{
    fs,
    io::Write as _,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

/// An MCP server, so that what is in a body shows in the action, and hosts whose paths show in the action.
const CONFIG: &str = r#"{"identity": {"trust_domains": [{"name": "hexr.cloud"}]},
    "services": {"bundles": {"cluster": "bundle-server"}}, "bundles": {"authz": {"service": "bundles"}},
    "catalog": {"services": [
        {"service": "mcp_github", "kind": "mcp", "hosts": ["mcp.example"]},
        {"service": "own_api", "hosts": ["api.example", "api.example:8080"], "actions": [
            {"action": "list", "method": "GET", "path": "/a/c/"},
            {"action": "up", "method": "GET", "path": "/a/b"},
            {"action": "head", "method": "HEAD", "path": "/**"},
            {"action": "put", "method": "PUT", "path": "/d/body.json"},
            {"action": "odd", "method": "PURGE", "path": "/a"},
            {"action": "accent", "method": "GET", "path": "/%C3%A9"},
            {"action": "post", "method": "POST", "path": "/a"},
            {"action": "root", "method": "GET", "path": "/"}
        ]}]}}"#;
const CALL: &str =
    r#"{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "create_issue"}}"#;

/// Runs `hexr-authz request` beside `config.json` and a file with a call of a tool.
fn run(arguments: &[&str], input: &str) -> (Option<i32>, String, String) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("config.json"), CONFIG).unwrap();
    fs::write(folder.path().join("body.json"), CALL.replace(' ', "\n")).unwrap();
    fs::write(folder.path().join("har.json"), input).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_hexr-authz"));
    command.arg("request").args(arguments).current_dir(folder.path());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    // Only `-` reads it.
    let _ = process.stdin.take().unwrap().write_all(input.as_bytes());
    let output = process.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// The service and the action of a curl command line, with what is said besides.
#[track_caller]
fn check_curl(command: &str, exit_code: i32, expect: (&str, &str), note: &str) {
    let (code, stdout, stderr) = run(&["--curl", command, "--config", "config.json", "--format", "json"], "");
    let said: Value = serde_json::from_str(&stdout).unwrap_or_default();
    let part = |name: &str| said.get(name).and_then(Value::as_str).unwrap_or("none").to_owned();
    assert_eq!(
        (code, part("service").as_str(), part("action").as_str(), stderr.trim_end()),
        (Some(exit_code), expect.0, expect.1, note),
        "{command}: {stdout}"
    );
}

/// Each of these was asked of a real curl, against a server that tells what came.
#[test]
fn curl_asks_for() {
    for (command, service, action) in [
        ("curl https://s3.amazonaws.com/", "aws_s3", "ListBuckets"),
        ("curl -XPUT https://s3.amazonaws.com/bucket/key", "aws_s3", "PutObject"),
        ("$ curl --silent -X PUT --url 'https://s3.amazonaws.com/b/k' | jq .", "aws_s3", "PutObject"),
        ("curl -sSLo x -X \\\n PUT https://s3.amazonaws.com/b/k -w '%{http_code}'", "aws_s3", "PutObject"),
        (
            "curl -d '{}' -H 'X-Amz-Target: DynamoDB_20120810.GetItem' -H 'Content-Type: application/x-amz-json-1.0' \
             https://dynamodb.eu-central-1.amazonaws.com",
            "aws_dynamodb",
            "GetItem",
        ),
        // A form is what `-d` sends, and `-G` puts it into the query.
        (
            "curl -d Action=GetCallerIdentity -d Version=2011-06-15 https://sts.amazonaws.com",
            "aws_sts",
            "GetCallerIdentity",
        ),
        (
            "curl -G -d Action=GetCallerIdentity --data-urlencode 'Version=2011-06-15' https://sts.amazonaws.com",
            "aws_sts",
            "GetCallerIdentity",
        ),
        (
            "curl --json '{\"jsonrpc\":\"2.0\",' --json '\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"x\"}}' mcp.example",
            "mcp_github",
            "tools/call:x",
        ),
        ("curl --json @body.json http://mcp.example/", "mcp_github", "tools/call:create_issue"),
        (
            "curl -H 'content-type: application/json' -d @body.json mcp.example",
            "mcp_github",
            "tools/call:create_issue",
        ),
        (
            "curl $'http://mcp.example/' -H 'content-type: application/json' --data-raw $'{\"jsonrpc\":\"2.0\",\"id\":1,\\n\"method\":\"tools/call\",\"params\":{\"name\":\"it\\'s\\u0021\"}}'",
            "mcp_github",
            "tools/call:it's!",
        ),
        // curl takes dots out of paths, and the query and escapes as they are.
        ("curl api.example/a/./b/../c/d/..?x=../y", "own_api", "list"),
        ("curl --path-as-is api.example/a/b", "own_api", "up"),
        ("curl 'http://api.example?q=1#frag'", "own_api", "root"),
        ("curl http://user:password@api.example:8080/", "own_api", "root"),
        ("curl -H 'Host: api.example' http://127.0.0.1/", "own_api", "root"),
        ("curl api.example/é", "own_api", "accent"),
        ("curl -I api.example/a/b", "own_api", "head"),
        ("curl -T body.json api.example/d/", "own_api", "put"),
        ("curl -X PURGE api.example/a", "own_api", "odd"),
        ("curl -d '' api.example/a", "own_api", "post"),
        (
            "curl -u a:b -A agent -b c=d -e r --compressed -H 'accept:' -H 'x-empty;' api.example",
            "own_api",
            "root",
        ),
        ("curl --aws-sigv4 aws:amz:eu-1:s3 -u K:S https://s3.amazonaws.com/", "aws_s3", "ListBuckets"),
    ] {
        check_curl(command, 0, (service, action), "");
    }
}

#[test]
fn curl_asks_for_what_is_not_known() {
    check_curl("curl https://nowhere.example/", 1, ("unknown", "unknown"), "");
    check_curl("curl --path-as-is https://s3.amazonaws.com/b/../c", 1, ("none", "none"), "");
    // curl leaves these dots, and some servers do not.
    check_curl("curl https://s3.amazonaws.com/b/%2e%2e/c", 1, ("none", "none"), "");
    // Signed for another service than the one that is asked.
    check_curl("curl --aws-sigv4 aws:amz:eu-1:sqs -u K:S https://s3.amazonaws.com/", 1, ("none", "none"), "");
    let note = "--curl: note: `$BUCKET` is taken as it stands here: a shell would put its value there";
    check_curl("curl \"https://s3.amazonaws.com/$BUCKET\"", 0, ("aws_s3", "ListObjects"), note);
}

#[test]
fn curl_asks_for_nothing_that_can_be_explained() {
    for (command, problem) in [
        ("wget x", "this is no command line of curl, as `curl https://s3.amazonaws.com/`"),
        ("", "this is no command line of curl, as `curl https://s3.amazonaws.com/`"),
        ("curl 'x", "a quote is not closed"),
        ("curl $'x", "a quote is not closed"),
        ("curl -s", "there is no URL in it"),
        ("curl a b", "`b` is a second URL: give the requests one by one"),
        (
            "curl --frob a",
            "curl's flag `--frob` is not known here: leave it out if it does not change the request",
        ),
        ("curl -sy a", "curl's flag `-y` is not known here: leave it out if it does not change the request"),
        ("curl a -X", "`-X` has no value"),
        ("curl a --next b", "`--next`: it makes several requests: give them one by one"),
        ("curl -H x a", "`-H`: `x` is no header, as `accept: text/plain`"),
        ("curl -H 'a b: c' a", "`-H`: `a b` is not the name of a header"),
        ("curl -X 'G T' a", "`-X`: `G T` is not a method, as `GET`"),
        ("curl -b jar a", "`-b`: a file of cookies is not read here"),
        ("curl -d @missing a", "`-d`: missing: No such file or directory (os error 2)"),
        ("curl -d x -T body.json a", "curl takes only one of `--head`, `--upload-file` and data"),
        ("curl -I -d x a", "curl takes only one of `--head`, `--upload-file` and data"),
        ("curl 'a b'", "curl asks for nothing at `a b`: there is a space in it"),
        ("curl ftp://a", "`ftp://a` is not a URL, as `https://s3.amazonaws.com/bucket`"),
        (
            "curl http://a/{b,c}",
            "curl takes `{}` and `[]` in `http://a/{b,c}` for patterns of several URLs: write the URL out, or pass \
             `--globoff`",
        ),
        (
            "curl -F a=@b http://a",
            "`-F`: it sends a form of several parts, in whose body the catalog looks for nothing: give the request by \
             `--method`, `--url` and `--header`",
        ),
    ] {
        let (code, stdout, stderr) = run(&["--curl", command], "");
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{command}");
        assert_eq!(stderr.trim_end(), format!("--curl: {problem}"), "{command}");
    }
}

#[test]
fn a_command_line_may_be_read() {
    let (code, stdout, stderr) = run(&["--curl", "-"], "curl https://s3.amazonaws.com/\n");
    let reason = "`s3.amazonaws.com` is a host of the built-in catalog, and `GET /` says what is asked for";
    assert_eq!(stdout, format!("service: aws_s3\naction:  ListBuckets\nreason:  {reason}\n"));
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    for more in
        [&["--method", "GET"][..], &["--url", "http://a"], &["-H", "a: b"], &["--har", "x"], &["--body", "x"]]
    {
        let (code, stdout, _) = run(&[&["--curl", "-"], more].concat(), "");
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{more:?}");
    }
}

fn har(requests: &[Value]) -> String {
    let entries: Vec<Value> = requests.iter().map(|request| json!({"request": request})).collect();
    json!({"log": {"version": "1.2", "entries": entries}}).to_string()
}

#[test]
fn a_har_file_has_several() {
    let requests = [
        json!({"method": "GET", "url": "https://s3.amazonaws.com/#top", "headers": [
            {"name": ":authority", "value": "s3.amazonaws.com"}, {"name": "Accept", "value": "*/*"}]}),
        json!({"method": "POST", "url": "http://mcp.example/", "headers": [
            {"name": "Content-Type", "value": "application/json"}], "postData": {"mimeType": "application/json", "text": CALL}}),
    ];
    let (code, stdout, stderr) = run(&["--har", "-", "--config", "config.json"], &har(&requests));
    let said = "GET https://s3.amazonaws.com/#top\nservice: aws_s3\naction:  ListBuckets\n\
                reason:  `s3.amazonaws.com` is a host of the built-in catalog, and `GET /` says what is asked for\n\n\
                POST http://mcp.example/\nservice: mcp_github\naction:  tools/call:create_issue\n\
                reason:  `mcp.example` is a host of your MCP server `mcp_github`, and the JSON-RPC message in its body says what is asked for; \
                tool `create_issue`\n\n2 of 2 requests are known\n";
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (Some(0), said, ""));

    let more = [
        requests[0].clone(),
        json!({"method": "GET", "url": "https://nowhere.example/", "headers": []}),
        json!({"method": "GET", "url": "data:text/plain,x"}),
        json!({"method": "POST", "url": "https://s3.amazonaws.com/b", "postData":
            {"mimeType": "multipart/form-data", "params": [{"name": "a", "value": "b"}]}}),
    ];
    let (code, stdout, stderr) = run(&["--har", "har.json", "--format", "json"], &har(&more));
    assert_eq!((code, stderr.as_str()), (Some(1), ""), "{stdout}");
    let said: Vec<Value> = serde_json::from_str(&stdout).unwrap();
    let rows: Vec<(&str, &str)> = said
        .iter()
        .map(|said| (said["url"].as_str().unwrap(), said["service"].as_str().unwrap_or("none")))
        .collect();
    assert_eq!(
        rows,
        [
            ("https://s3.amazonaws.com/#top", "aws_s3"),
            ("https://nowhere.example/", "unknown"),
            ("data:text/plain,x", "none"),
            ("https://s3.amazonaws.com/b", "none"),
        ]
    );
    let reason = "its body of type `multipart/form-data` is given in parts, and not as it was sent";
    assert_eq!(
        said[3],
        json!({"method": "POST", "url": "https://s3.amazonaws.com/b", "service": null, "action": null, "reason": reason})
    );
}

#[test]
fn what_is_no_har_file() {
    for (content, problem) in [
        ("{", "har.json: this is no HAR file: EOF"),
        ("{\"log\": {}}", "har.json: this is no HAR file: missing field `entries`"),
        ("{\"log\": {\"entries\": []}}", "har.json: there is no request in it"),
    ] {
        let (code, stdout, stderr) = run(&["--har", "har.json"], content);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{content}");
        assert!(stderr.starts_with(problem), "{stderr}");
    }
}
