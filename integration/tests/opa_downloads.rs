//! A real OPA takes what the bundle server serves.
//!
//! What it answered to a bundle is recorded here with the digest of the bundle's archive, so that the test says on a machine
//! without Go whether the server still serves what OPA has taken. With Go, OPA is asked anew. How the archive is compressed
//! is a matter of the libraries' versions and features.

use std::{
    io::{Read, Write},
    process::{Command, Stdio},
};

use anyhow::{Context, Result};
use flate2::read::GzDecoder;
use hexr_authz_core::delivery::Digest;
use integration::{
    bundle_server::BundleServer, differential::downloading_opa, envoy::get_bytes, policies::Policies,
    stack::ANY_PORT,
};
use serde_json::json;

/// As operators write it: v0, with an `in` that nobody imported. A plain OPA does not parse it.
const OPERATORS: &str = r#"package hexr.authz

default allow = false

allow {
    input.service in {"gcp_bigquery", "aws_s3"}
    input.role in data.roles.allowed
}
"#;

/// The archive of the bundle that a real OPA 1.22.2 has taken.
const TAKEN: &str = "76ea4378f72e6b3232d0cf34c7b7341a2d5f050dab1232dd1e7c79a4264ca3ff";

#[tokio::test]
async fn a_real_opa_takes_what_is_served() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let policies = Policies::of(&folder.path().join("policies"), OPERATORS)?;
    std::fs::create_dir(policies.folder().join("roles"))?;
    policies.write("roles/data.json", r#"{"allowed": ["researcher"]}"#)?;
    let server = BundleServer::start(ANY_PORT, policies.folder(), &folder.path().join("server.log"))?;
    let (status, bundle) = get_bytes(server.address(), "/bundles/authz.tar.gz").await?;
    assert_eq!(status, 200);
    let asked =
        [("researcher", "aws_s3", true), ("researcher", "aws_ec2", false), ("editor", "aws_s3", false)];
    if let Some(opa) = downloading_opa()? {
        let mut process = Command::new(opa)
            .args([&format!("http://{}", server.address()), "bundles/authz.tar.gz"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut stdin = process.stdin.take().context("stdin")?;
        for (role, service, _) in asked {
            writeln!(stdin, "{}", json!({"role": role, "service": service}))?;
        }
        drop(stdin);
        let output = tokio::task::spawn_blocking(move || process.wait_with_output()).await??;
        let answers = String::from_utf8(output.stdout)?;
        let expected: Vec<String> = asked.iter().map(|(_, _, allowed)| allowed.to_string()).collect();
        assert_eq!(answers.lines().collect::<Vec<_>>(), expected);
    }
    let mut archive = Vec::new();
    GzDecoder::new(&*bundle).read_to_end(&mut archive)?;
    assert_eq!(
        Digest::of(&archive).as_str(),
        TAKEN,
        "the server makes another archive of the same files: run this test with Go, and record their digest here"
    );
    Ok(())
}
