use super::*;
use crate::policy::Text;

fn service(service: &str, hosts: &[&str], kind: Kind) -> Service {
    Service {
        service: Text::new(service),
        hosts: hosts.iter().map(|host| Host::parse(host).unwrap()).collect(),
        kind,
    }
}

fn action(action: &str, method: &str, path: &str) -> Action {
    Action {
        action: Text::new(action),
        method: (method != "*").then(|| method.to_owned()),
        path: UriTemplate::parse(path).unwrap(),
        headers: Vec::new(),
        json: Vec::new(),
    }
}

fn objects() -> Kind {
    Kind::Actions(vec![
        action("PutObject", "PUT", "/{bucket}/{key=**}"),
        action("GetObject", "GET", "/{bucket}/{key=**}"),
        action("Any", "*", "/any"),
    ])
}

fn catalog(on_unknown: OnUnknown) -> Catalog {
    Catalog::new(
        vec![
            service("aws_s3", &["s3.corp.example", "*.s3.corp.example:9000", "*.corp.example"], objects()),
            service("other_s3", &["*.s3.corp.example"], objects()),
            service("with_port", &["s3.corp.example:8443"], objects()),
        ],
        on_unknown,
    )
}

/// A request by its method, authority and path, with further headers.
fn request<'a>(
    method: &'a str,
    authority: &'a str,
    path: &'a str,
    headers: &[(&'a str, &'a str)],
) -> Request<'a> {
    let head = [(":method", method), (":authority", authority), (":path", path)];
    let all = head.into_iter().chain(headers.iter().copied());
    Request::parse(all.map(|(name, value)| (name.as_bytes(), value.as_bytes()))).unwrap()
}

#[track_caller]
fn check(method: &str, authority: &str, path: &str, expect: Result<(&str, &str), &str>) {
    for (on_unknown, expect) in [(OnUnknown::Deny, expect), (OnUnknown::Policy, expect.or(Ok(("", ""))))] {
        let catalog = catalog(on_unknown);
        let request = request(method, authority, path, &[]);
        let admitted = catalog.admit(catalog.derive(&request), &request);
        match expect {
            Ok(("", "")) => assert_eq!(admitted.unwrap().operation.action(), "unknown"),
            Ok(names) => {
                let operation = admitted.unwrap().operation;
                assert_eq!((operation.service(), operation.action()), names);
            }
            Err(code) => assert_eq!(admitted.unwrap_err().reason().code(), code),
        }
    }
}

#[test]
fn own_services() {
    check("PUT", "s3.corp.example", "/bucket/a/b", Ok(("aws_s3", "PutObject")));
    check("PUT", "S3.Corp.Example.", "/bucket/a/b?x=y", Ok(("aws_s3", "PutObject")));
    check("GET", "s3.corp.example:1234", "/bucket/a", Ok(("aws_s3", "GetObject")));
    check("GET", "s3.corp.example:8443", "/bucket/a", Ok(("with_port", "GetObject")));
    check("GET", "b.s3.corp.example", "/bucket/a", Ok(("other_s3", "GetObject")));
    check("GET", "b.s3.corp.example:9000", "/bucket/a", Ok(("aws_s3", "GetObject")));
    check("GET", "x.corp.example", "/bucket/a", Ok(("aws_s3", "GetObject")));
    check("DELETE", "x.corp.example", "/any", Ok(("aws_s3", "Any")));
    check("DELETE", "s3.corp.example", "/bucket/a", Err("unknown_action"));
    check("put", "s3.corp.example", "/bucket/a", Err("unknown_action"));
    check("PUT", "s3.corp.example", "/bucket%2Fa", Err("unknown_action"));
    check("PUT", "corp.example", "/bucket/a", Err("unknown_service"));
    check("PUT", "evilcorp.example", "/bucket/a", Err("unknown_service"));
    check("PUT", "s3.corp.example.evil.example", "/bucket/a", Err("unknown_service"));
}

/// What a request is found to be, in short: `service action`, or the kind of refusal.
fn found(derivation: &Derivation) -> String {
    match derivation {
        Derivation::Known(derived) => {
            let Derived { operation, facts } = derived;
            let mut text = format!("{} {}", operation.service(), operation.action());
            for (name, fact) in [("resource", &facts.resource), ("model", &facts.model)] {
                if let Some(fact) = fact {
                    text.push_str(&format!(" {name}={fact}"));
                }
            }
            if let Some(tool) = &facts.tool {
                text.push_str(&format!(" tool={} {}", tool.name, tool.arguments));
            }
            text
        }
        Derivation::NeedsBody(rule) => format!("{} needs its body", rule.service().as_str()),
        Derivation::UnknownAction { service } => format!("{} unknown", service.as_str()),
        Derivation::UnknownService => "unknown".to_owned(),
        Derivation::Ambiguous(_) => "ambiguous".to_owned(),
        Derivation::Unreadable { .. } => "unreadable".to_owned(),
        Derivation::Unheard { .. } => "unheard".to_owned(),
    }
}

/// `"METHOD host/path"`, further headers, a body if the catalog asks for one, and what is found.
#[track_caller]
fn finds(catalog: &Catalog, line: &str, headers: &[(&str, &str)], body: &str, expect: &str) {
    let (method, url) = line.split_once(' ').unwrap();
    let (authority, path) = url.split_at(url.find('/').unwrap());
    let request = request(method, authority, path, headers);
    let mut derivation = catalog.derive(&request);
    if let Derivation::NeedsBody(rule) = &derivation {
        derivation = catalog.derive_with_body(rule, &request, body.as_bytes());
    }
    assert_eq!(found(&derivation), expect, "{line} {headers:?} {body}: {derivation:?}");
}

#[test]
fn s3() {
    let catalog = Catalog::new(Vec::new(), OnUnknown::Deny);
    let rows = [
        ("GET s3.amazonaws.com/", "aws_s3 ListBuckets"),
        ("GET s3.us-west-2.amazonaws.com/b", "aws_s3 ListObjects resource=b"),
        ("GET s3.us-west-2.amazonaws.com/b/", "aws_s3 ListObjects resource=b"),
        ("GET s3.us-west-2.amazonaws.com/b?list-type=2&prefix=x", "aws_s3 ListObjectsV2 resource=b"),
        ("GET b.s3.us-west-2.amazonaws.com/?list-type=2", "aws_s3 ListObjectsV2 resource=b"),
        ("GET b.s3.us-west-2.amazonaws.com/", "aws_s3 ListObjects resource=b"),
        ("GET b.s3.us-west-2.amazonaws.com/k", "aws_s3 GetObject resource=b/k"),
        ("GET b.s3.us-west-2.amazonaws.com/k?partNumber=1", "aws_s3 GetObject resource=b/k"),
        ("GET s3.us-west-2.amazonaws.com/b/k", "aws_s3 GetObject resource=b/k"),
        ("GET s3.us-west-2.amazonaws.com/b/k/l//m%2Fn%20o", "aws_s3 GetObject resource=b/k/l//m/n o"),
        ("GET s3.dualstack.us-west-2.amazonaws.com/b/k", "aws_s3 GetObject resource=b/k"),
        ("GET a.b.s3-fips.us-west-2.amazonaws.com/k", "aws_s3 GetObject resource=a.b/k"),
        ("GET b.s3-accelerate.amazonaws.com/k", "aws_s3 GetObject resource=b/k"),
        ("GET dynamodb.s3.us-west-2.amazonaws.com/k", "aws_s3 GetObject resource=dynamodb/k"),
        (
            "GET mine-123456789012.s3-accesspoint.us-west-2.amazonaws.com/k",
            "aws_s3 GetObject resource=mine-123456789012/k",
        ),
        ("GET x.mrap.accesspoint.s3-global.amazonaws.com/k", "aws_s3 GetObject resource=x.mrap/k"),
        (
            "GET b--usw2-az1--x-s3.s3express-usw2-az1.us-west-2.amazonaws.com/k",
            "aws_s3 GetObject resource=b--usw2-az1--x-s3/k",
        ),
        ("GET s3express-control.us-west-2.amazonaws.com/", "aws_s3 ListDirectoryBuckets"),
        ("PUT s3.us-west-2.amazonaws.com/b/k?uploadId=1&partNumber=2", "aws_s3 UploadPart resource=b/k"),
        ("PUT s3.us-west-2.amazonaws.com/b/k?partNumber=2", "aws_s3 unknown"),
        ("POST s3.us-west-2.amazonaws.com/b/k?uploads", "aws_s3 CreateMultipartUpload resource=b/k"),
        ("POST s3.us-west-2.amazonaws.com/b/k?uploadId=1", "aws_s3 CompleteMultipartUpload resource=b/k"),
        ("DELETE s3.us-west-2.amazonaws.com/b/k?uploadId=1", "aws_s3 AbortMultipartUpload resource=b/k"),
        ("POST s3.us-west-2.amazonaws.com/b?delete", "aws_s3 DeleteObjects resource=b"),
        ("POST s3.us-west-2.amazonaws.com/b", "aws_s3 unknown"),
        ("GET s3.us-west-2.amazonaws.com/b?%61cl", "aws_s3 GetBucketAcl resource=b"),
        ("GET s3.us-west-2.amazonaws.com/b?acl&policy", "aws_s3 unknown"),
        ("GET s3.us-west-2.amazonaws.com/b?acl&acl", "ambiguous"),
        ("GET s3.us-west-2.amazonaws.com/b?prefix=x;acl", "ambiguous"),
        ("DELETE s3.us-west-2.amazonaws.com/b/k?legal-hold", "aws_s3 unknown"),
        ("GET s3.us-west-2.amazonaws.com/b?lifecycle", "aws_s3 GetBucketLifecycleConfiguration resource=b"),
        ("GET s3.us-west-2.amazonaws.com/b?analytics", "aws_s3 ListBucketAnalyticsConfigurations resource=b"),
        (
            "GET s3.us-west-2.amazonaws.com/b?analytics&id=1",
            "aws_s3 GetBucketAnalyticsConfiguration resource=b",
        ),
        ("GET s3.us-west-2.amazonaws.com/b%2Fk", "ambiguous"),
        ("PUT s3.us-west-2.amazonaws.com/b/k?X-Amz-Copy-Source=o", "ambiguous"),
        ("GET s3.us-west-2.amazonaws.com//b/k", "ambiguous"),
        ("GET s3.us-west-2.amazonaws.com/b/k?Action=ListUsers", "ambiguous"),
        ("GET s3.evil.example/b/k", "unknown"),
        ("GET s3.us-west-2.amazonaws.com.evil.example/b/k", "unknown"),
        ("GET s3.us-west-2.amazonaws.com:8443/b/k", "unknown"),
        ("GET s3.us-west-2.amazonaws.com:443/b/k", "aws_s3 GetObject resource=b/k"),
    ];
    for (line, expect) in rows {
        finds(&catalog, line, &[], "", expect);
    }
    let copy = [("x-amz-copy-source", "other/key")];
    finds(&catalog, "PUT s3.us-west-2.amazonaws.com/b/k", &copy, "", "aws_s3 CopyObject resource=b/k");
    finds(&catalog, "PUT s3.us-west-2.amazonaws.com/b/k", &[], "", "aws_s3 PutObject resource=b/k");
    finds(&catalog, "PUT s3.us-west-2.amazonaws.com/b/k?acl", &copy, "", "aws_s3 unknown");
    let part = "PUT s3.us-west-2.amazonaws.com/b/k?uploadId=1&partNumber=2";
    finds(&catalog, part, &copy, "", "aws_s3 UploadPartCopy resource=b/k");
}

#[test]
fn aws_by_name() {
    let catalog = Catalog::new(Vec::new(), OnUnknown::Deny);
    let dynamo = "POST dynamodb.eu-central-1.amazonaws.com/";
    let json = ("content-type", "application/x-amz-json-1.0");
    let get = ("x-amz-target", "DynamoDB_20120810.GetItem");
    finds(&catalog, dynamo, &[json, get], "", "aws_dynamodb GetItem");
    finds(
        &catalog,
        dynamo,
        &[json, ("x-amz-target", "DynamoDB_20120810.Nothing")],
        "",
        "aws_dynamodb unknown",
    );
    finds(
        &catalog,
        dynamo,
        &[json, ("x-amz-target", "DynamoDBStreams_20120810.GetItem")],
        "",
        "aws_dynamodb unknown",
    );
    finds(&catalog, dynamo, &[json, get, get], "", "ambiguous");
    finds(&catalog, dynamo, &[get], "", "ambiguous");
    finds(&catalog, "GET dynamodb.eu-central-1.amazonaws.com/", &[json, get], "", "ambiguous");
    finds(&catalog, "POST dynamodb.eu-central-1.amazonaws.com/x", &[json, get], "", "ambiguous");
    finds(
        &catalog,
        "POST dynamodb.eu-central-1.amazonaws.com/?Action=PutItem",
        &[json, get],
        "",
        "ambiguous",
    );
    finds(&catalog, "GET s3.amazonaws.com/", &[json, get], "", "ambiguous");
    let signed = "AWS4-HMAC-SHA256 Credential=AKID/20260102/eu-central-1/dynamodb/aws4_request, Signature=1";
    finds(&catalog, dynamo, &[json, get, ("authorization", signed)], "", "aws_dynamodb GetItem");
    let elsewhere = "AWS4-HMAC-SHA256 Credential=AKID/20260102/eu-central-1/s3/aws4_request, Signature=1";
    finds(&catalog, dynamo, &[json, get, ("authorization", elsewhere)], "", "ambiguous");

    let form = ("content-type", "application/x-www-form-urlencoded; charset=utf-8");
    let sts = "POST sts.us-east-1.amazonaws.com/";
    let who = "Action=GetCallerIdentity&Version=2011-06-15";
    finds(&catalog, sts, &[form], who, "aws_sts GetCallerIdentity");
    finds(
        &catalog,
        sts,
        &[form],
        "Version=2011-06-15&%41ction=GetCallerIdentity",
        "aws_sts GetCallerIdentity",
    );
    finds(&catalog, sts, &[form], "Action=GetCallerIdentity", "aws_sts unknown");
    finds(&catalog, sts, &[form], "Action=GetCallerIdentity&Version=2010-05-08", "aws_sts unknown");
    finds(
        &catalog,
        sts,
        &[form],
        "Action=AssumeRole&Version=2011-06-15&Action=GetCallerIdentity",
        "ambiguous",
    );
    finds(
        &catalog,
        sts,
        &[form],
        "Action=GetCallerIdentity&Version=2011-06-15&action=AssumeRole",
        "ambiguous",
    );
    finds(
        &catalog,
        sts,
        &[form],
        "Action=GetCallerIdentity&Version=2011-06-15;Action=AssumeRole",
        "ambiguous",
    );
    finds(
        &catalog,
        sts,
        &[form],
        "Action=GetCallerIdentity&Version=2011-06-15&x=%zz",
        "aws_sts GetCallerIdentity",
    );
    finds(&catalog, sts, &[form], "Action=%zz&Version=2011-06-15", "unreadable");
    finds(&catalog, sts, &[form, ("content-encoding", "gzip")], who, "ambiguous");
    finds(&catalog, sts, &[], who, "aws_sts unknown");
    let get = "GET sts.us-east-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15";
    finds(&catalog, get, &[], "", "aws_sts GetCallerIdentity");
    finds(&catalog, get, &[], "Action=AssumeRole", "ambiguous");
    finds(&catalog, get, &[form], "Action=GetCallerIdentity&Version=2011-06-15", "ambiguous");
    let describe = "Action=DescribeInstances&Version=2016-11-15";
    finds(&catalog, "POST ec2.us-east-1.amazonaws.com/", &[form], describe, "aws_ec2 DescribeInstances");
    let send = "Action=SendMessage&Version=2012-11-05";
    finds(&catalog, "POST sqs.us-east-1.amazonaws.com/123456789012/q", &[form], send, "aws_sqs SendMessage");

    let smithy = ("smithy-protocol", "rpc-v2-cbor");
    let put = "POST monitoring.us-east-1.amazonaws.com/service/GraniteServiceVersion20100801/operation/PutMetricData";
    finds(&catalog, put, &[smithy], "", "aws_cloudwatch PutMetricData");
    finds(&catalog, put, &[], "", "aws_cloudwatch unknown");
    let prefixed = "POST monitoring.us-east-1.amazonaws.com/x/service/GraniteServiceVersion20100801/operation/PutMetricData";
    finds(&catalog, prefixed, &[smithy], "", "aws_cloudwatch unknown");
    finds(
        &catalog,
        put,
        &[smithy, ("x-amz-target", "GraniteServiceVersion20100801.ListMetrics")],
        "",
        "ambiguous",
    );
}

#[test]
fn aws_by_route() {
    let catalog = Catalog::new(Vec::new(), OnUnknown::Deny);
    let rows = [
        ("POST lambda.us-east-1.amazonaws.com/2015-03-31/functions/f/invocations", "aws_lambda Invoke"),
        (
            "POST lambda.us-east-1.amazonaws.com/2015-03-31/functions/arn%3Aaws%3Alambda%2Fx/invocations",
            "aws_lambda Invoke",
        ),
        ("GET lambda.us-east-1.amazonaws.com/2015-03-31/functions", "aws_lambda ListFunctions"),
        ("GET lambda.us-east-1.amazonaws.com/2015-03-31/functions/", "aws_lambda ListFunctions"),
        ("GET lambda.us-east-1.api.aws/2015-03-31/functions/f", "aws_lambda GetFunction"),
        ("GET lambda.us-east-1.amazonaws.com/2015-03-31//functions/f", "ambiguous"),
        ("GET lambda.us-east-1.amazonaws.com/nothing", "unknown unknown"),
        ("GET ec2-1-2-3-4.compute-1.amazonaws.com/", "unknown"),
        ("GET vpce-svc-0123.us-east-1.vpce.amazonaws.com/", "unknown"),
        (
            "POST bedrock-runtime.us-east-1.amazonaws.com/model/anthropic.claude/invoke",
            "aws_bedrock_runtime InvokeModel model=anthropic.claude",
        ),
        (
            "POST bedrock-runtime.us-east-1.amazonaws.com/model/arn%3Aaws%3Abedrock%2Fm/converse",
            "aws_bedrock_runtime Converse model=arn:aws:bedrock/m",
        ),
    ];
    for (line, expect) in rows {
        finds(&catalog, line, &[], "", expect);
    }
}

#[test]
fn google() {
    let catalog = Catalog::new(Vec::new(), OnUnknown::Deny);
    let queries = "POST bigquery.googleapis.com/bigquery/v2/projects/p/queries";
    finds(&catalog, queries, &[], "", "gcp_bigquery query resource=projects/p/queries");
    let jobs = "POST bigquery.googleapis.com/bigquery/v2/projects/p/jobs";
    let is_query = r#"{"configuration":{"query":{"query":"SELECT 1"}}}"#;
    let is_load = r#"{"configuration":{"load":{}}}"#;
    finds(&catalog, jobs, &[], is_query, "gcp_bigquery query resource=projects/p/jobs");
    finds(&catalog, jobs, &[], is_load, "gcp_bigquery jobs.insert resource=projects/p/jobs");
    finds(&catalog, jobs, &[], r#"{"configuration":{"load":{}},"Configuration":{"query":{}}}"#, "unreadable");
    finds(&catalog, jobs, &[], r#"{"configuration":{"load":{}},"configuration":{"query":{}}}"#, "unreadable");
    finds(&catalog, jobs, &[("content-encoding", "gzip")], is_load, "ambiguous");
    finds(&catalog, jobs, &[("content-type", "application/json; charset=utf-16")], is_load, "ambiguous");
    let upload = "POST bigquery.googleapis.com/upload/bigquery/v2/projects/p/jobs";
    finds(
        &catalog,
        &format!("{upload}?uploadType=resumable"),
        &[],
        is_query,
        "gcp_bigquery query resource=projects/p/jobs",
    );
    finds(&catalog, &format!("{upload}?uploadType=multipart"), &[], is_query, "gcp_bigquery unknown");
    finds(
        &catalog,
        &format!("{upload}?uploadType=resumable&uploadType=multipart"),
        &[],
        is_query,
        "gcp_bigquery unknown",
    );
    let rows = [
        (
            "DELETE bigquery.mtls.googleapis.com/bigquery/v2/projects/p/datasets/d/tables/t",
            "gcp_bigquery tables.delete resource=projects/p/datasets/d/tables/t",
        ),
        (
            "GET bigquery.us-central1.rep.googleapis.com/bigquery/v2/projects/p/datasets",
            "gcp_bigquery datasets.list resource=projects/p/datasets",
        ),
        ("GET bigquery.evil.rep.googleapis.com/bigquery/v2/projects/p/datasets", "unknown"),
        ("GET storage.googleapis.com/storage/v1/b/b/o/a%2Fb", "gcp_storage objects.get resource=b/b/o/a%2Fb"),
        ("GET storage.googleapis.com/storage/v1/b/b/o/a%3Ab", "gcp_storage objects.get resource=b/b/o/a:b"),
        (
            "GET storage.googleapis.com/download/storage/v1/b/b/o/x?alt=media",
            "gcp_storage objects.get resource=b/b/o/x",
        ),
        (
            "POST storage.googleapis.com/upload/storage/v1/b/b/o?uploadType=media",
            "gcp_storage objects.insert resource=b/b/o",
        ),
        (
            "PUT storage.googleapis.com/upload/storage/v1/b/b/o?uploadType=resumable&upload_id=x",
            "gcp_storage objects.insert resource=b/b/o",
        ),
        ("GET storage.googleapis.com/bucket/object", "gcp_storage unknown"),
        ("POST storage.googleapis.com/batch/storage/v1", "ambiguous"),
        ("POST www.googleapis.com/batch", "ambiguous"),
        (
            "POST pubsub.googleapis.com/v1/projects/p/topics/t:publish",
            "gcp_pubsub publish resource=projects/p/topics/t",
        ),
        ("POST pubsub.googleapis.com/v1/projects/p/topics/t%3Apublish", "gcp_pubsub unknown"),
        ("PUT pubsub.googleapis.com/v1/projects/p/topics/t%3Apublish", "gcp_pubsub unknown"),
        (
            "GET secretmanager.googleapis.com/v1/projects/p/secrets/s/versions/latest:access",
            "gcp_secretmanager access resource=projects/p/secrets/s/versions/latest",
        ),
        (
            "GET secretmanager.googleapis.com/v1/projects/p/secrets/s/versions/latest:access/",
            "gcp_secretmanager unknown",
        ),
        (
            "POST us-central1-aiplatform.googleapis.com/v1/projects/p/locations/l/publishers/google/models/gemini:generateContent",
            "gcp_aiplatform models.generateContent resource=projects/p/locations/l/publishers/google/models/gemini model=gemini",
        ),
        ("POST us-central1-bigquery.googleapis.com/bigquery/v2/projects/p/queries", "unknown"),
        (
            "POST generativelanguage.googleapis.com/v1beta/models/gemini-2:streamGenerateContent?alt=sse",
            "gcp_generativelanguage streamGenerateContent resource=models/gemini-2 model=gemini-2",
        ),
        ("GET bigquery.googleapis.com/bigquery/v2/projects/p/datasets?%24httpMethod=DELETE", "ambiguous"),
        ("GET bigquery.googleapis.com/bigquery/v2/projects/p/datasets?Action=x", "ambiguous"),
    ];
    for (line, expect) in rows {
        finds(&catalog, line, &[], "", expect);
    }
    finds(&catalog, queries, &[("content-type", "application/grpc")], "", "gcp_bigquery unknown");
    finds(&catalog, queries, &[("x-amz-target", "x.y")], "", "ambiguous");
}

#[test]
fn models() {
    let catalog = Catalog::new(Vec::new(), OnUnknown::Deny);
    let chat = "POST api.openai.com/v1/chat/completions";
    finds(
        &catalog,
        chat,
        &[],
        r#"{"model":"gpt","messages":[]}"#,
        "openai chat.completions.create model=gpt",
    );
    finds(&catalog, chat, &[], r#"{"model":"gpt","model":"other"}"#, "unreadable");
    finds(&catalog, chat, &[], r#"{"model":"gpt","MODEL":"other"}"#, "unreadable");
    finds(&catalog, chat, &[], "", "unreadable");
    finds(&catalog, "GET api.openai.com/v1/models", &[], "", "openai models.list");
    finds(&catalog, "GET api.openai.com/v2/models", &[], "", "openai unknown");
    let messages = "POST api.anthropic.com/v1/messages";
    finds(&catalog, messages, &[], r#"{"model":"claude"}"#, "anthropic messages.create model=claude");
    finds(
        &catalog,
        "POST api.anthropic.com/v1/messages?beta=true",
        &[],
        r#"{"model":"claude"}"#,
        "anthropic messages.create model=claude",
    );
    let azure = "POST mine.openai.azure.com/openai/deployments/gpt/chat/completions?api-version=1";
    finds(&catalog, azure, &[], "", "azure_openai chat.completions.create resource=mine model=gpt");
    let v1 = "POST mine.openai.azure.com/openai/v1/chat/completions";
    finds(
        &catalog,
        v1,
        &[],
        r#"{"model":"gpt"}"#,
        "azure_openai chat.completions.create resource=mine model=gpt",
    );
}

#[test]
fn mcp() {
    let path = UriTemplate::parse("/mcp").unwrap();
    let catalog =
        Catalog::new(vec![service("mcp_github", &["mcp.example"], Kind::Mcp(Some(path)))], OnUnknown::Deny);
    let rows = [
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"create_issue","arguments":{"a":1}}}"#,
            r#"mcp_github tools/call:create_issue tool=create_issue {"a":1}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}"#,
            "mcp_github tools/call:x tool=x null",
        ),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#, "mcp_github tools/list"),
        (r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#, "mcp_github notifications/initialized"),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///x"}}"#,
            "mcp_github resources/read resource=file:///x",
        ),
        (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, "mcp_github response"),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"tools/list"}]"#, "unreadable"),
        (r#"{"id":1,"method":"tools/list"}"#, "unreadable"),
        (r#"{"jsonrpc":"1.0","id":1,"method":"tools/list"}"#, "unreadable"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","Method":"tools/call"}"#, "unreadable"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"tools/call"}"#, "unreadable"),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","n\u0061me":"b"}}"#,
            "unreadable",
        ),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","Name":"b"}}"#, "unreadable"),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":[1]}}"#,
            "unreadable",
        ),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a b"}}"#, "unreadable"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#, "unreadable"),
        (r#"{"jsonrpc":"2.0","id":[],"method":"tools/list"}"#, "unreadable"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}{}"#, "unreadable"),
        ("", "unreadable"),
    ];
    for (body, expect) in rows {
        finds(&catalog, "POST mcp.example/mcp", &[], body, expect);
    }
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    finds(&catalog, "POST mcp.example/mcp", &[("mcp-method", "tools/list")], list, "mcp_github tools/list");
    finds(&catalog, "POST mcp.example/mcp", &[("mcp-method", "tools/call")], list, "ambiguous");
    finds(&catalog, "POST mcp.example/mcp", &[("mcp-name", "x")], list, "ambiguous");
    finds(&catalog, "POST mcp.example/other", &[], list, "mcp_github unknown");
    finds(&catalog, "GET mcp.example/mcp", &[], "", "mcp_github session/stream");
    finds(&catalog, "DELETE mcp.example/mcp", &[], "", "mcp_github session/delete");
    finds(&catalog, "PUT mcp.example/mcp", &[], "", "mcp_github unknown");
    finds(&catalog, "POST mcp.example/mcp", &[("content-encoding", "gzip")], list, "ambiguous");
}

#[test]
fn own_conditions_and_places() {
    let with_json = |name: &str, value: Option<&str>| Action {
        json: vec![JsonField { path: vec!["kind".to_owned()], value: value.map(Into::into) }],
        ..action(name, "POST", "/pay")
    };
    let approve = Action { headers: vec!["x-approve".to_owned()], ..action("approve", "POST", "/pay") };
    let kind = Kind::Actions(vec![
        approve,
        with_json("transfer", Some("transfer")),
        with_json("other", None),
        action("pay", "POST", "/pay"),
    ]);
    let catalog = Catalog::new(
        vec![
            service("bank", &["bank.example"], kind),
            service("aws_s3", &["minio.example:9000", "*.minio.example:9000"], Kind::BuiltIn),
            service("aws_sqs", &["vpce-1.sqs.us-east-1.vpce.amazonaws.com"], Kind::BuiltIn),
        ],
        OnUnknown::Deny,
    );
    finds(&catalog, "POST bank.example/pay", &[("x-approve", "1")], "", "bank approve");
    finds(&catalog, "POST bank.example/pay", &[], r#"{"kind":"transfer"}"#, "bank transfer");
    finds(&catalog, "POST bank.example/pay", &[], r#"{"kind":"x"}"#, "bank other");
    finds(&catalog, "POST bank.example/pay", &[], "{}", "bank pay");
    finds(&catalog, "POST bank.example/pay", &[], r#"{"Kind":"transfer"}"#, "unreadable");
    finds(&catalog, "POST bank.example/pay", &[], "kind=transfer", "unreadable");
    finds(&catalog, "POST bank.example//pay", &[], "{}", "ambiguous");
    finds(&catalog, "GET minio.example:9000/b/k", &[], "", "aws_s3 GetObject resource=b/k");
    finds(&catalog, "GET b.minio.example:9000/k", &[], "", "aws_s3 GetObject resource=b/k");
    finds(&catalog, "GET a.b.minio.example:9000/k", &[], "", "aws_s3 GetObject resource=a.b/k");
    finds(&catalog, "GET b.minio.example/k", &[], "", "unknown");
    let headers = [("content-type", "application/x-amz-json-1.0"), ("x-amz-target", "AmazonSQS.SendMessage")];
    finds(&catalog, "POST vpce-1.sqs.us-east-1.vpce.amazonaws.com/", &headers, "", "aws_sqs SendMessage");
}

#[test]
fn grpc() {
    let catalog = Catalog::new(Vec::new(), OnUnknown::Deny);
    let grpc = [("content-type", "application/grpc+proto"), ("te", "trailers")];
    let publish = "POST pubsub.googleapis.com/google.pubsub.v1.Publisher/Publish";
    finds(&catalog, publish, &grpc, "", "gcp_pubsub publish");
    finds(&catalog, publish, &[], "", "gcp_pubsub unknown");
    let access = "POST secretmanager.googleapis.com/google.cloud.secretmanager.v1.SecretManagerService/AccessSecretVersion";
    finds(&catalog, access, &grpc, "", "gcp_secretmanager access");
    finds(
        &catalog,
        "POST pubsub.googleapis.com/google.pubsub.v1.Publisher/Nothing",
        &grpc,
        "",
        "gcp_pubsub unknown",
    );
    let elsewhere = "POST storage.googleapis.com/google.pubsub.v1.Publisher/Publish";
    finds(&catalog, elsewhere, &grpc, "", "gcp_storage unknown");
}

#[test]
fn tongues() {
    let mcp = service("mcp_x", &["mcp.example"], Kind::Mcp(None));
    let minio = service("aws_s3", &["minio.example"], Kind::BuiltIn);
    let catalog =
        Catalog::new(vec![mcp, minio, service("own", &["own.example"], objects())], OnUnknown::Deny);
    let form = ("content-type", "application/x-www-form-urlencoded");
    type Headers<'h> = &'h [(&'h str, &'h str)];
    let rows: [(&str, Headers<'_>, Tongue); 13] = [
        ("s3.us-east-1.amazonaws.com", &[], Tongue::AwsRestXml),
        ("minio.example", &[], Tongue::AwsRestXml),
        ("lambda.us-east-1.amazonaws.com", &[], Tongue::AwsJson),
        ("dynamodb.us-east-1.amazonaws.com", &[("x-amz-target", "x")], Tongue::AwsJson),
        ("sts.us-east-1.amazonaws.com", &[form], Tongue::AwsQueryXml),
        ("ec2.us-east-1.amazonaws.com", &[form], Tongue::AwsEc2Xml),
        ("monitoring.us-east-1.amazonaws.com", &[("smithy-protocol", "rpc-v2-cbor")], Tongue::AwsCbor),
        ("bigquery.googleapis.com", &[], Tongue::Google),
        ("bigquery.googleapis.com", &[("content-type", "application/grpc")], Tongue::Grpc),
        ("api.openai.com", &[], Tongue::ModelApi),
        ("mcp.example", &[], Tongue::JsonRpc),
        ("own.example", &[], Tongue::Plain),
        ("nowhere.example", &[], Tongue::Plain),
    ];
    for (authority, headers, expect) in rows {
        assert_eq!(catalog.tongue(&request("POST", authority, "/", headers)), expect, "{authority}");
    }
}

#[test]
fn explanations() {
    let catalog = Catalog::new(
        vec![
            service("bank", &["bank.corp.example"], Kind::Actions(vec![action("pay", "POST", "/payments")])),
            service("mcp_github", &["mcp.example"], Kind::Mcp(None)),
            service("aws_s3", &["minio.example"], Kind::BuiltIn),
        ],
        OnUnknown::Deny,
    );
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}"#;
    let job = r#"{"configuration":{"query":{}}}"#;
    let rows = [
        (
            "POST bank.corp.example/payments",
            "",
            "bank pay: `bank.corp.example` is a host of your own entry `bank`, and `POST /payments` says what is \
             asked for",
        ),
        (
            "POST mcp.example/",
            call,
            "mcp_github tools/call:x: `mcp.example` is a host of your MCP server `mcp_github`, and the JSON-RPC \
             message in its body says what is asked for; tool `x`",
        ),
        (
            "GET minio.example/b/k",
            "",
            "aws_s3 GetObject: `minio.example` is a host at which your own entry puts the built-in service \
             `aws_s3`, and `GET /b/k` says what is asked for; resource `b/k`",
        ),
        (
            "POST bigquery.googleapis.com/bigquery/v2/projects/p/jobs",
            job,
            "gcp_bigquery query: `bigquery.googleapis.com` is a host of the built-in catalog, and the job in its \
             body, which runs a query or does not, says what is asked for; resource `projects/p/jobs`",
        ),
        (
            "GET other.example/",
            "",
            "unknown unknown: unknown_service: no service is known at `other.example`",
        ),
        (
            "DELETE bank.corp.example/payments",
            "",
            "bank unknown: unknown_action: `DELETE /payments` is no known action of service `bank`",
        ),
        (
            "POST mcp.example/",
            "{}{}",
            "mcp_github unknown: unreadable_body: the body is no JSON of one meaning: trailing characters at line \
             1 column 3",
        ),
        (
            "POST mcp.example/",
            &" ".repeat(101),
            "mcp_github unknown: body_too_large: the body decides what is asked for, and is larger than 100 bytes",
        ),
        (
            "GET b.s3.amazonaws.com/?acl&tagging&Action=x",
            "",
            "- -: ambiguous_request: the request is ambiguous: ",
        ),
    ];
    for (line, body, expect) in rows {
        let (method, url) = line.split_once(' ').unwrap();
        let (authority, path) = url.split_at(url.find('/').unwrap());
        let request = request(method, authority, path, &[]).ended(body.is_empty());
        let Explanation { service, action, reason, is_known } =
            catalog.explain(&request, body.as_bytes(), 100);
        let (service, action) = (service.unwrap_or("-".to_owned()), action.unwrap_or("-".to_owned()));
        let said = format!("{service} {action}: {reason}");
        assert!(said.starts_with(expect), "{said}\nis not\n{expect}");
        assert_eq!(is_known, reason.starts_with('`'), "{said}");
    }
    let catalog = self::catalog(OnUnknown::Policy);
    let unknown = catalog.explain(&request("GET", "nowhere.example", "/", &[]).ended(true), b"", 100);
    assert!(
        !unknown.is_known && unknown.reason.ends_with("the policy decides (`on_unknown`)"),
        "{unknown:?}"
    );
}
