//! Decision cases beside tests.

use super::*;

pub(crate) const CASES_CONFIG: &str = r#"{"identity": {"trust_domains": [{"name": "hexr.cloud"}]}, "catalog": {"services": [
    {"service": "aws_s3", "hosts": ["s3.example"], "actions": [{"action": "GetObject", "method": "GET", "path": "/**"}]}]}}"#;

#[test]
fn decision_cases() {
    let cases = "\
roles:
  - name: an editor reads
    spiffe_id: spiffe://hexr.cloud/agent/acme/crew/editor
    request: { method: GET, host: s3.example, path: /a }
    expect: { decision: allow, action: GetObject }
  - name: a viewer reads
    spiffe_id: spiffe://hexr.cloud/agent/acme/crew/viewer
    request: { method: GET, host: s3.example, path: /a }
    expect: { decision: allow }
";
    let files = [("authz.rego", POLICY), ("cases/config.json", CASES_CONFIG), ("cases/roles.yaml", cases)];
    let failed = [
        "cases/roles.yaml:6:",
        "cases.roles[\"a viewer reads\"]: FAIL",
        "  decision is `deny`, expected `allow`, reason is `policy_denied`, expected none, status is `403`, expected none, \
         at 2025-01-15T10:30:00Z",
        RULE,
        "PASS: 1/2",
        "FAIL: 1/2",
    ];
    check_test(&files, &["."], 2, &failed, &[]);
    check_test(&files, &[".", "-r", "an editor"], 0, &["PASS: 1/1"], &[]);
    let mistakes = cases.replace("expect: { decision: allow }", "expect: { decision: deny }\n    at: noon");
    check_test(
        &[files[0], files[1], ("cases/roles.yaml", &mistakes)],
        &["."],
        1,
        &[],
        &["a viewer reads: say by which `reason`", "a viewer reads: `noon` is no instant"],
    );
    // Without a configuration it is data.
    let test = ("a_test.rego", "package a\ntest_a if count(data.cases.roles) == 2");
    check_test(&[files[0], files[2], test], &["."], 0, &["PASS: 1/1"], &[]);
}
