//! The clouds' own clients and a client of MCP, as they come, through a real Envoy over mTLS. What the server behind it is
//! told of each request is what the client was asked to do, and what is denied arrives as an error that says so.
//!
//! Names are resolved to Envoy, and Envoy's certificate is trusted; nothing else of the clients is touched.

use anyhow::{Context, Result};
use integration::{
    clients::{Credentials, Server},
    stack::{Foundation, Stack},
};
use serde_json::{Value, json};

/// What no agent may; and files below `/public/` only.
const POLICY: &str = r#"
package hexr.authz

default allow := false

allow if {
    input.role == "researcher"
    not input.service in {"unknown", "mcp_files"}
    not denied
}

denied if input.action in {
    "DeleteObject", "DeleteBucket", "DeleteTable", "DeleteQueue", "AssumeRole", "DeleteFunction", "TerminateInstances",
    "tables.delete", "jobs.insert", "objects.delete", "topics.delete",
}

denied if startswith(input.resource, "payroll/")

allow if {
    input.service == "mcp_files"
    input.action in {
        "initialize", "notifications/initialized", "session/stream", "session/delete", "server/discover",
        "tools/list", "resources/read",
    }
}

allow if {
    input.action == "tools/call:read_file"
    startswith(input.tool.arguments.path, "/public/")
}
"#;

/// The names that lead to Envoy.
const HOSTS: [&str; 14] = [
    "localhost",
    "mcp.example",
    "*.googleapis.com",
    "*.amazonaws.com",
    "*.s3.eu-central-1.amazonaws.com",
    "s3.eu-central-1.amazonaws.com",
    "*.eu-west-1.amazonaws.com",
    "*.us-west-2.amazonaws.com",
    "*.us-east-1.amazonaws.com",
    "*.us-east-2.amazonaws.com",
    "*.ap-northeast-1.amazonaws.com",
    "*.ap-southeast-2.amazonaws.com",
    "*.s3.amazonaws.com",
    "*.s3.us-east-1.amazonaws.com",
];

struct Scene {
    stack: Stack,
    server: Server,
    credentials: Credentials,
}

impl Scene {
    /// Envoy in front of the server that a script is.
    async fn set(server: &str, http2: bool) -> Result<Self> {
        let foundation = Foundation::lay().await?;
        foundation.authority.envoy_as(&HOSTS)?.write(&foundation.path("tls"), "envoy")?;
        let server = Server::start(server, &foundation.path("."))?;
        let mut config =
            foundation.config_with_policy(POLICY)?.with_cluster("credential-exchange", server.address())?;
        config = config.with_filter_config(|config| {
            config["catalog"] = json!({"services": [
                {"service": "mcp_files", "kind": "mcp", "hosts": ["mcp.example"], "path": "/mcp"}]});
        })?;
        if http2 {
            config = config.with_http2_to("credential-exchange")?;
        }
        let credentials = Credentials::write(&foundation.authority, "researcher", &foundation.path("."))?;
        Ok(Self { stack: foundation.start(&config, 1).await?, server, credentials })
    }

    /// Has the agent do its work: what the server saw, and what the agent was told of what was denied.
    async fn play(&self, agent: &'static str) -> Result<(Vec<Value>, Vec<Value>)> {
        let (credentials, envoy) = (self.credentials.clone(), self.stack.envoy.agents());
        let told = tokio::task::spawn_blocking(move || credentials.run(agent, envoy)).await?;
        let seen = self.server.record()?;
        let told = told.with_context(|| format!("the server saw {seen:#?}"))?;
        for request in &seen {
            assert_eq!(request["role"], "researcher", "{request}");
        }
        Ok((seen, told))
    }
}

/// The services and actions that the server was told, `service/action`, runs of equal ones once.
fn operations(seen: &[Value]) -> Vec<String> {
    let text = |request: &Value, field: &str| request[field].as_str().unwrap_or_default().to_owned();
    let mut names: Vec<String> = seen
        .iter()
        .map(|request| format!("{}/{}", text(request, "service"), text(request, "action")))
        .collect();
    names.dedup();
    names
}

/// Each denial came as the client's own error, and says what was denied, of which service, and by which decision.
#[track_caller]
fn denied(told: &[Value], kind: &str, code: &Value, operations: &[(&str, &str)]) {
    assert_eq!(told.len(), operations.len(), "{told:#?}");
    for (told, (service, action)) in told.iter().zip(operations) {
        assert_eq!((&told["kind"], &told["code"]), (&json!(kind), code), "{told}");
        let text = told["text"].as_str().unwrap_or_default();
        assert!(text.contains(&format!("`{action}` on `{service}`")), "{told}");
        let id = told["decision_id"].as_str().unwrap_or("no id");
        assert!(text.contains(id), "{told}");
    }
}

#[tokio::test]
async fn boto3() -> Result<()> {
    let scene = Scene::set("aws_server.py", false).await?;
    let (seen, told) = scene.play("aws_agent.py").await?;
    assert_eq!(
        operations(&seen),
        [
            "aws_s3/CreateBucket",
            "aws_s3/PutObject",
            "aws_s3/GetObject",
            "aws_s3/CopyObject",
            "aws_s3/ListObjectsV2",
            "aws_s3/CreateMultipartUpload",
            "aws_s3/UploadPart",
            "aws_s3/CompleteMultipartUpload",
            "aws_s3/HeadObject",
            "aws_s3/CreateBucket",
            "aws_s3/PutObject",
            "aws_s3/GetObjectTagging",
            "aws_dynamodb/CreateTable",
            "aws_dynamodb/PutItem",
            "aws_dynamodb/GetItem",
            "aws_sqs/CreateQueue",
            "aws_sqs/SendMessage",
            "aws_sqs/ReceiveMessage",
            "aws_sts/GetCallerIdentity",
            "aws_iam/CreateRole",
            "aws_lambda/CreateFunction",
            "aws_lambda/Invoke",
            "aws_ec2/DescribeRegions",
            "aws_ec2/CreateVpc",
        ]
    );
    for request in &seen {
        assert_eq!(request["is_signed"], true, "the signature fits what arrived: {request}");
    }
    denied(
        &told,
        "ClientError",
        &json!("AccessDenied"),
        &[
            ("aws_s3", "DeleteObject"),
            ("aws_s3", "PutObject"),
            ("aws_s3", "DeleteBucket"),
            ("aws_dynamodb", "DeleteTable"),
            ("aws_sqs", "DeleteQueue"),
            ("aws_sts", "AssumeRole"),
            ("aws_lambda", "DeleteFunction"),
            ("aws_ec2", "TerminateInstances"),
        ],
    );
    Ok(())
}

#[tokio::test]
async fn google() -> Result<()> {
    let scene = Scene::set("google_server.py", false).await?;
    let (seen, told) = scene.play("google_agent.py").await?;
    assert_eq!(
        operations(&seen),
        [
            "gcp_bigquery/query",
            "gcp_bigquery/getQueryResults",
            "gcp_bigquery/query",
            "gcp_bigquery/jobs.get",
            "gcp_bigquery/datasets.list",
            "gcp_storage/buckets.get",
            "gcp_storage/objects.insert",
            "gcp_storage/objects.get",
            "gcp_storage/objects.list",
        ]
    );
    denied(
        &told,
        "Forbidden",
        &json!(403),
        &[
            ("gcp_bigquery", "tables.delete"),
            ("gcp_bigquery", "jobs.insert"),
            ("gcp_bigquery", "jobs.insert"),
            ("gcp_storage", "objects.delete"),
        ],
    );
    Ok(())
}

#[tokio::test]
async fn google_by_grpc() -> Result<()> {
    let scene = Scene::set("pubsub_server.py", true).await?;
    let (seen, told) = scene.play("pubsub_agent.py").await?;
    assert_eq!(
        operations(&seen),
        ["gcp_pubsub/topics.create", "gcp_pubsub/topics.get", "gcp_pubsub/publish"]
    );
    let code = json!("PERMISSION_DENIED");
    denied(&told, "PermissionDenied", &code, &[("gcp_pubsub", "topics.delete")]);
    Ok(())
}

#[tokio::test]
async fn mcp() -> Result<()> {
    let scene = Scene::set("mcp_server.py", false).await?;
    let (seen, told) = scene.play("mcp_agent.py").await?;
    let by_version = |is_meant: &dyn Fn(&str) -> bool| {
        let version = |request: &&Value| is_meant(request["version"].as_str().unwrap_or_default());
        let mut names = operations(&seen.iter().filter(version).cloned().collect::<Vec<_>>());
        // The stream from the server is opened whenever the client comes to it.
        names.retain(|name| name != "mcp_files/session/stream");
        names
    };
    let work = [
        "mcp_files/tools/list",
        "mcp_files/tools/call:read_file",
        "mcp_files/resources/read",
        "mcp_files/tools/call:read_file",
    ];
    assert_eq!(by_version(&|version| version == "2026-07-28"), work);
    let session = [
        &["mcp_files/initialize", "mcp_files/notifications/initialized"][..],
        &work[..],
        &["mcp_files/session/delete"],
    ];
    assert_eq!(by_version(&|version| version != "2026-07-28"), session.concat());
    let names = ["tools/call:delete_file", "tools/call:read_file"].map(|action| ("mcp_files", action));
    denied(&told, "MCPError", &json!(-32003), &[names, names].concat());
    Ok(())
}
