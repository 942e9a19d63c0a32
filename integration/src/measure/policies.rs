//! The policies that are measured: all of them allow a researcher to query BigQuery.

use std::fmt::Write as _;

/// A condition that holds, and that depends on the request itself: what the policy answers is not remembered.
pub const EVERY_TIME: &str = r#"input.request.method == "POST""#;
/// A condition that looks a role up in [`grants`].
pub const GRANTED: &str = "data.grants[input.tenant] == input.role";
/// In nanoseconds.
pub const SECOND: u64 = 1_000_000_000;

/// A rate limit that nobody reaches, over the calls of so many nanoseconds.
pub fn limit(look_back_nanos: u64) -> String {
    format!(
        "count([call | some call in data.audit_log; call.agent == input.agent; \
         call.timestamp > time.now_ns() - {look_back_nanos}]) < 1000000000"
    )
}

/// A policy of so many rules, of which the last one allows, on further conditions.
pub fn policy(rules: usize, conditions: &[&str]) -> String {
    let mut module = "package hexr.authz\n\ndefault allow := false\n".to_owned();
    for rule in 1..rules {
        // To write to a string does not fail.
        let _ = write!(
            module,
            "\nallow if {{\n    input.tenant == \"t{rule}\"\n    input.role == \"r{}\"\n    input.service == \
             \"s{}\"\n}}\n",
            rule % 7,
            rule % 11
        );
    }
    module.push_str(
        "\nallow if {\n    input.role == \"researcher\"\n    input.service == \"gcp_bigquery\"\n    input.action \
         == \"query\"\n",
    );
    for condition in conditions {
        let _ = writeln!(module, "    {condition}");
    }
    module.push_str("}\n");
    module
}

/// Data of so many entries, by tenant, of which the last one is what [`GRANTED`] finds.
pub fn grants(entries: usize) -> serde_json::Value {
    let other = |entry: usize| (format!("t{entry}"), format!("r{}", entry % 7).into());
    let own = ("acme-corp".to_owned(), "researcher".into());
    serde_json::json!({"grants": serde_json::Map::from_iter((1..entries).map(other).chain([own]))})
}
