//! The policies that are compared.

/// A policy with an input that it allows.
pub(crate) struct Policy {
    /// Rego, version 1, package `p`.
    pub(crate) module: String,
    /// JSON.
    pub(crate) data: String,
    /// JSON.
    pub(crate) input: String,
}

/// How many rules, of which the last matches.
pub(crate) const SIZES: [usize; 4] = [10, 100, 1_000, 10_000];

fn input(tenant: &str, agent: &str, role: &str, service: &str) -> String {
    format!(
        r#"{{"spiffe_id": "spiffe://hexr.cloud/agent/{tenant}/{agent}/{role}", "tenant": "{tenant}", "agent": "{agent}",
            "role": "{role}", "service": "{service}", "action": "query", "timestamp": "2026-01-15T10:30:00Z"}}"#
    )
}

/// Roles, services and an exception.
pub(crate) fn small() -> Policy {
    let module = r#"package p
default allow := false
allow if {
    input.role in {"editor", "researcher"}
    input.service in {"gcp_bigquery", "aws_s3"}
    not input.action == "tables.delete"
}"#;
    Policy {
        module: module.to_owned(),
        data: "{}".to_owned(),
        input: input("acme-corp", "content-crew", "researcher", "gcp_bigquery"),
    }
}

/// One rule a tenant, with its role and service.
pub(crate) fn rules(count: usize) -> Policy {
    let mut module = "package p\ndefault allow := false\n".to_owned();
    for at in 0..count {
        module.push_str(&format!(
            "allow if {{\n\tinput.tenant == \"t{at}\"\n\tinput.role == \"r{}\"\n\tinput.service == \"s{}\"\n}}\n",
            at % 7,
            at % 11
        ));
    }
    let last = count - 1;
    Policy {
        module,
        data: "{}".to_owned(),
        input: input(&format!("t{last}"), "crew", &format!("r{}", last % 7), &format!("s{}", last % 11)),
    }
}

/// One rule that looks a grant up among `count`.
pub(crate) fn grants(count: usize) -> Policy {
    let module =
        "package p\ndefault allow := false\nallow if data.grants[input.tenant][input.agent] == input.role\n";
    let grants: Vec<String> =
        (0..count).map(|at| format!("\"t{at}\": {{\"crew\": \"r{}\"}}", at % 7)).collect();
    let last = count - 1;
    Policy {
        module: module.to_owned(),
        data: format!("{{\"grants\": {{{}}}}}", grants.join(",")),
        input: input(&format!("t{last}"), "crew", &format!("r{}", last % 7), "s"),
    }
}
