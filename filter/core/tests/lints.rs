//! What is found in policies, and what is not: a warning is only worth something where it is right.

#![expect(clippy::unwrap_used, reason = "what the tests share stops at the first thing that does not work")]

use std::{fs, path::Path};

use hexr_authz_core::{
    audit_log::AuditLog,
    bundle::{Bundle, SourceFile, Subject},
    catalog::{Catalog, OnUnknown},
    config::Config,
    lint::{Finding, Purpose, findings},
    policy::RulePath,
};

const HEAD: &str = "package hexr.authz\n\ndefault allow := false\n\n";
/// The first line below it.
const FIRST: usize = 5;

fn files(modules: &[(&str, &str)]) -> Vec<SourceFile> {
    let file = |(path, text): &(&str, &str)| SourceFile {
        path: (*path).to_owned(),
        content: text.as_bytes().to_vec(),
    };
    modules.iter().map(file).collect()
}

fn look(
    files: &[SourceFile],
    subject: &Subject,
    audit_log: &AuditLog,
    own: Option<&Catalog>,
) -> Vec<Finding> {
    let (bundle, problems) = Bundle::of_sources(files);
    assert_eq!(problems, Vec::<String>::new());
    let clouds = Catalog::new(Vec::new(), OnUnknown::Deny);
    let (catalog, has_own_services) = (own.unwrap_or(&clouds), own.is_some());
    findings(&bundle, Purpose { subject, audit_log, catalog, has_own_services })
}

fn platform() -> Subject {
    Subject::Platform(RulePath::parse("hexr/authz/allow").unwrap())
}

/// `CODE LINE:COLUMN TEXT`, or `FILE CODE ...` where there are several files.
fn shown(found: &[Finding], modules: &[(&str, &str)]) -> Vec<String> {
    let show = |finding: &Finding| {
        let code = finding.code.name();
        let Some(file) = &finding.file else { return code.to_owned() };
        let text = modules.iter().find(|(path, _)| path == file).unwrap().1;
        let file = if modules.len() > 1 { format!("{file} ") } else { String::new() };
        let Some(span) = finding.span else { return format!("{file}{code}") };
        let line = text.lines().nth(span.line - 1).unwrap_or_default();
        let marked: String = line.chars().skip(span.column - 1).take(span.length).collect();
        format!("{file}{code} {}:{} {marked}", span.line, span.column)
    };
    found.iter().map(show).collect()
}

/// What is found in modules as they are.
#[track_caller]
fn check_modules(modules: &[(&str, &str)], expect: &[&str]) {
    let found = look(&files(modules), &platform(), &AuditLog::default(), None);
    assert_eq!(shown(&found, modules), expect, "{modules:#?}\n{found:#?}");
}

/// What is found in rules below a package with a default; lines are counted from theirs.
#[track_caller]
fn check(rules: &str, expect: &[&str]) {
    check_by(rules, &AuditLog::default(), None, expect);
}

#[track_caller]
fn check_by(rules: &str, audit_log: &AuditLog, own: Option<&Catalog>, expect: &[&str]) {
    let text = format!("{HEAD}{rules}");
    let modules = [("authz.rego", text.as_str())];
    let mut found = look(&files(&modules), &platform(), audit_log, own);
    let shown = shown(&found, &modules);
    for span in found.iter_mut().filter_map(|finding| finding.span.as_mut()) {
        span.line -= FIRST - 1;
    }
    let shown: Vec<String> = shown
        .iter()
        .zip(&found)
        .map(|(shown, finding)| match finding.span {
            Some(span) => {
                shown.replacen(&format!(" {}:", span.line + FIRST - 1), &format!(" {}:", span.line), 1)
            }
            None => shown.clone(),
        })
        .collect();
    assert_eq!(shown, expect, "{rules}\n{found:#?}");
}

#[test]
fn what_the_parser_says() {
    check("allow if { input.role == }", &["parse-error 1:26 }"]);
    // A tab is one character.
    check("allow if {\n\tinput.role == \"a\"\n\tinput.tenant ==\n}", &["parse-error 4:1 }"]);
    // Several in one file, where one does not lead to the next.
    let several = "allow if { input.role == }\n\nx := := 1\n\nreason := sprintf(\"%s\", [input.role]\n\n\
                   allow if { input.role == \"b\" }\n\ny := := 2";
    check(several, &["parse-error 1:26 }", "parse-error 3:6 :=", "parse-error 7:1 allow"]);
    // In the dialect that the file is written in.
    check_modules(
        &[(
            "a.rego",
            "package hexr.authz\ndefault allow = false\nallow { input.role == \"a\" }\nallow { input.role == }",
        )],
        &["parse-error 4:7 {"],
    );
    // Of all files.
    check_modules(
        &[
            ("a.rego", "package hexr.authz\nx := ["),
            ("b.rego", "package b\ny := }"),
            ("c.rego", "package c\nz := 1"),
        ],
        &["a.rego parse-error 2:7 ", "b.rego parse-error 2:6 }"],
    );
}

#[test]
fn what_the_compiler_says() {
    check("allow if http.send({\"url\": input.role})", &["compile-error 1:10 http.send"]);
    check(
        "allow if x == input.role\n\nallow if y == input.role",
        &["compile-error 1:10 x", "compile-error 3:10 y"],
    );
    check_modules(&[("a.rego", "package other\nallow if input.role == \"a\"")], &["no-decision"]);
}

#[test]
fn packages() {
    let rule = "default allow := false\n\nallow if input.role == \"a\"\n";
    check_modules(&[("a.rego", rule)], &["missing-package 1:1 default"]);
    check_modules(
        &[("a.rego", "# why\n\n  allow if input.rol == \"a\"\n")],
        &[
            "missing-package 3:3 allow",
            "default-allow-missing 3:3 allow",
            "unknown-input-field 3:12 input.rol",
        ],
    );
    check_modules(&[("a.rego", "")], &["missing-package 1:1 ", "no-decision"]);
    let tenants = format!("package hexr.tenants.acme\n\n{rule}");
    let good = format!("package hexr.authz\n\n{rule}");
    check_modules(&[("a.rego", &good), ("t.rego", &tenants)], &["t.rego outside-root 1:9 hexr.tenants.acme"]);
    let manifest =
        SourceFile { path: ".manifest".to_owned(), content: b"{\"roots\": [\"hexr/authz\"]}".to_vec() };
    let modules = [("a.rego", good.as_str()), ("b.rego", "package hexr.authzs\nx := 1")];
    let mut all = files(&modules);
    all.push(manifest);
    let found = look(&all, &platform(), &AuditLog::default(), None);
    assert_eq!(shown(&found, &modules), ["b.rego outside-root 1:9 hexr.authzs"]);
}

#[test]
fn a_tenants_packages() {
    let root = SourceFile {
        path: ".manifest".to_owned(),
        content: b"{\"roots\": [\"hexr/tenants/acme-corp\"]}".to_vec(),
    };
    let rule = "default allow := false\nallow if input.role == \"a\"";
    for (package, expect) in [
        ("package hexr.tenants[\"acme-corp\"]\n", &[][..]),
        ("package hexr.authz\n", &["outside-root 1:9 hexr.authz", "no-decision"]),
        ("package hexr.tenants.globex\n", &["outside-root 1:9 hexr.tenants.globex", "no-decision"]),
        ("", &["missing-package 1:1 default"]),
    ] {
        let text = format!("{package}{rule}");
        let modules = [("a.rego", text.as_str())];
        let mut all = files(&modules);
        all.push(root.clone());
        let found = look(&all, &Subject::Tenant("acme-corp".to_owned()), &AuditLog::default(), None);
        let mut shown = shown(&found, &modules);
        shown.sort_by_key(|shown| shown == "no-decision");
        assert_eq!(shown, expect, "{package}");
    }
}

#[test]
fn the_default() {
    for (rules, expect) in [
        ("allow if input.role == \"a\"", &["default-allow-missing 2:1 allow"][..]),
        ("default allow := true\nallow := false if input.role == \"a\"", &["default-allow-true 2:1 default"]),
        (
            "default allow = {\"allowed\": true}\nallow := false if input.role == \"a\"",
            &["default-allow-true 2:1 default"],
        ),
        ("default allow := false\nallow if input.role == \"a\"", &[]),
        ("default allow := {\"allowed\": false, \"reason\": \"no\"}\nallow if input.role == \"a\"", &[]),
    ] {
        check_modules(&[("a.rego", &format!("package hexr.authz\n{rules}"))], expect);
    }
}

const CALLS: &str = "recent_calls contains call if {\n\tsome call in data.audit_log\n\tcall.agent == input.agent\n\t\
                     call.tenant == input.tenant\n\tcall.timestamp > time.now_ns() - 60000000000\n}\n";

#[test]
fn bodies_that_widen() {
    for (rules, expect) in [
        ("allow if time.clock(time.now_ns())[0] >= 8", &["body-widens 1:1 allow"][..]),
        ("allow if {\n\thour := time.clock(time.now_ns())[0]\n\thour >= 8\n}", &["body-widens 1:1 allow"]),
        ("allow if input.role == \"a\"\nallow if input.timestamp < \"2027\"", &["body-widens 2:1 allow"]),
        (
            "allow if in_hours\nin_hours if time.weekday(time.now_ns()) != \"Sunday\"",
            &["body-widens 2:1 in_hours"],
        ),
        (
            "allow if {\n\tin_hours\n\tdata.open\n}\nin_hours if time.weekday(time.now_ns()) != \"Sunday\"",
            &["body-widens 1:1 allow"],
        ),
        (
            "allow := {\"allowed\": true} if time.weekday(time.now_ns()) != \"Sunday\"",
            &["body-widens 1:1 allow"],
        ),
        // One level below.
        (
            "allow if permitted\npermitted if input.role == \"a\"\npermitted if time.weekday(time.now_ns()) != \"Sunday\"",
            &["body-widens 3:1 permitted"],
        ),
        // What looks at the request narrows.
        ("allow if {\n\tinput.role == \"a\"\n\ttime.clock(time.now_ns())[0] >= 8\n}", &[]),
        (
            "allow if {\n\tpermitted\n\tin_hours\n}\npermitted if input.role == \"a\"\nin_hours if time.weekday(time.now_ns()) != \"Sunday\"",
            &[],
        ),
        ("allow if time.weekday(time.now_ns()) in data.days[input.role]", &[]),
        // What only denies does not widen.
        ("allow := false if time.clock(time.now_ns())[0] >= 8", &[]),
        ("allow := {\"allowed\": false} if time.clock(time.now_ns())[0] >= 8", &[]),
        (
            "allow := refusal if time.clock(time.now_ns())[0] >= 8\nrefusal := {\"allowed\": false, \"reason\": \"late\"}",
            &[],
        ),
        // Neither clock nor calls: who writes that means it.
        ("allow if true", &[]),
        ("allow if data.open", &[]),
    ] {
        check(rules, expect);
    }
    let below = |rules: &str| format!("{CALLS}{rules}");
    check(&below("allow if count(recent_calls) < 100"), &["body-widens 7:1 allow"]);
    check(
        &below("allow if {\n\tcount(recent_calls) < 100\n\ttime.weekday(time.now_ns()) != \"Sunday\"\n}"),
        &["body-widens 7:1 allow"],
    );
    check(&below("allow if {\n\tcount(recent_calls) < 100\n\tinput.role == \"a\"\n}"), &[]);
    check(&below("allow if count(recent_calls) < data.limits[input.role]"), &[]);
    check(
        "allow if count([call |\n\tsome call in data.audit_log\n\tcall.agent == input.agent\n\tcall.timestamp > time.now_ns() - 60000000000\n]) < 3",
        &["body-widens 1:1 allow"],
    );
    // A call of the agent's own to the service that it asks for.
    check(
        "allow if {\n\tsome call in data.audit_log\n\tcall.agent == input.agent\n\tcall.service == input.service\n\tinput.role == \"a\"\n\t\
         call.timestamp > time.now_ns() - 60000000000\n}",
        &[],
    );
}

#[test]
fn how_far_a_policy_looks_back() {
    let scan = |bound: &str| {
        format!(
            "allow if {{\n\tinput.role == \"a\"\n\tcount([1 | some call in data.audit_log; call.agent == input.agent{bound}]) < 3\n}}"
        )
    };
    let accepting = AuditLog { accept_unproven: true, ..AuditLog::default() };
    let bounded = scan("; call.timestamp > time.now_ns() - 1000000000");
    let far = scan("; call.timestamp > time.now_ns() - 61000000000");
    check(&bounded, &[]);
    check(&scan(""), &["unbounded-audit-log-scan 3:13 some"]);
    check_by(&scan(""), &accepting, None, &["unbounded-audit-log-scan 3:13 some"]);
    check_by(&bounded, &accepting, None, &[]);
    check(&far, &["audit-log-reach 3:13 some"]);
    // What nobody asks of is no matter.
    check("allow if input.role == \"a\"\nunused := count(data.audit_log)", &[]);
}

#[test]
fn services_and_actions() {
    for (body, expect) in [
        ("input.service == \"aws_s33\"", &["unknown-service 1:29 \"aws_s33\""][..]),
        ("\"aws_s33\" == input.service", &["unknown-service 1:12 \"aws_s33\""]),
        ("input.service = \"gcp_bigqery\"", &["unknown-service 1:28 \"gcp_bigqery\""]),
        ("input.service != \"aws_s33\"", &["unknown-service 1:29 \"aws_s33\""]),
        ("not input.service == \"aws_s33\"", &["unknown-service 1:33 \"aws_s33\""]),
        ("input.service in {\"aws_s3\", \"gcp_bigqery\"}", &["unknown-service 1:40 \"gcp_bigqery\""]),
        (
            "input.service in [\"s3\", \"bigquery\"]",
            &["unknown-service 1:30 \"s3\"", "unknown-service 1:36 \"bigquery\""],
        ),
        ("input[\"service\"] == \"opnai\"", &[]),
        ("input.service == \"open_ai\"", &["unknown-service 1:29 \"open_ai\""]),
        ("input.service == \"openai\"", &[]),
        ("input.service == \"unknown\"", &[]),
        // May be the operator's own.
        ("input.service == \"mcp_files\"", &[]),
        ("input.service == \"bank\"; input.action == \"pay\"", &[]),
        (
            "input.service == \"aws_s3\"; input.action == \"getObject\"",
            &["unknown-action 1:55 \"getObject\""],
        ),
        (
            "input.service == \"aws_s3\"; input.action in {\"GetObject\", \"query\"}",
            &["unknown-action 1:69 \"query\""],
        ),
        ("input.service in {\"aws_s3\", \"gcp_bigquery\"}; input.action in {\"GetObject\", \"query\"}", &[]),
        (
            "input.action == \"PutObject\"; input.service == \"gcp_bigquery\"",
            &["unknown-action 1:28 \"PutObject\""],
        ),
        ("input.service != \"aws_s3\"; input.action == \"query\"", &[]),
        ("not input.service == \"aws_s3\"; input.action == \"query\"", &[]),
        ("input.action == \"putobject\"", &["unknown-action 1:28 \"putobject\""]),
        ("input.action == \"s3:GetObjekt\"", &["unknown-action 1:28 \"s3:GetObjekt\""]),
        ("input.action == \"PutObject\"", &[]),
        ("input.action == \"pay\"", &[]),
        ("input.action == \"tools/call:read\"", &[]),
        ("startswith(input.action, \"Get\"); input.service == \"aws_s3\"", &[]),
        ("every a in [\"x\"] { input.action != a }", &[]),
    ] {
        check(&format!("allow if {{ {body} }}"), expect);
    }
    check(
        "readable := {\"aws_s3\", \"gcp_bigqery\"}\nallow if input.service in readable",
        &["unknown-service 1:24 \"gcp_bigqery\""],
    );
    check(
        "readable := {\"aws_s3\", \"gcp_bigqery\"}\nallow if readable[input.service]",
        &["unknown-service 1:24 \"gcp_bigqery\""],
    );
    check_modules(
        &[(
            "a.rego",
            "package hexr.authz\nimport input.service\ndefault allow := false\nallow if service == \"aws_s33\"",
        )],
        &["unknown-service 4:21 \"aws_s33\""],
    );
}

#[test]
fn the_operators_own_services() {
    let config = serde_json::json!({
        "identity": {"trust_domains": [{"name": "hexr.cloud"}]},
        "policy": {"modules": {"authz.rego": "package hexr.authz\nallow := false"}},
        "catalog": {"services": [
            {"service": "mcp_files", "kind": "mcp", "hosts": ["mcp.example"]},
            {"service": "bank", "hosts": ["bank.example"], "actions": [{"action": "pay", "path": "/**"}]},
            {"service": "aws_s3", "hosts": ["s3.example"]}]},
    });
    let config = Config::read(&config.to_string(), &|_| None).unwrap();
    for (body, expect) in [
        ("input.service == \"bank\"; input.action == \"pay\"", &[][..]),
        ("input.service == \"bank\"; input.action == \"paid\"", &["unknown-action 1:53 \"paid\""]),
        ("input.service == \"bnak\"", &["unknown-service 1:29 \"bnak\""]),
        ("input.service == \"mcp_github\"", &["unknown-service 1:29 \"mcp_github\""]),
        ("input.service == \"mcp_files\"; input.action == \"tools/call:x\"", &[]),
        ("input.service == \"mcp_files\"; input.action == \"anything\"", &[]),
        ("input.service == \"aws_s3\"; input.action == \"GetObject\"", &[]),
    ] {
        check_by(&format!("allow if {{ {body} }}"), &AuditLog::default(), Some(&config.catalog), expect);
    }
}

#[test]
fn fields_of_the_input() {
    for (body, expect) in [
        ("input.servce == \"aws_s3\"", &["unknown-input-field 1:12 input.servce"][..]),
        ("input.user.name == \"a\"", &["unknown-input-field 1:12 input.user"]),
        ("input[\"user\"] == \"a\"", &["unknown-input-field 1:12 input[\"user\"]"]),
        ("input.agent.name == \"a\"", &["unknown-input-field 1:12 input.agent.name"]),
        ("input.request.body == \"a\"", &["unknown-input-field 1:12 input.request.body"]),
        ("input.request.http.method == \"a\"", &["unknown-input-field 1:12 input.request.http"]),
        ("input.tool.args.path == \"a\"", &["unknown-input-field 1:12 input.tool.args"]),
        (
            "input.request.headers[\"X-Approval\"] == \"a\"",
            &["unknown-input-field 1:12 input.request.headers[\"X-Approval\"]"],
        ),
        (
            "input.request.headers.x_approval == \"a\"",
            &["unknown-input-field 1:12 input.request.headers.x_approval"],
        ),
        (
            "input.request.headers.authorization == \"a\"",
            &["unknown-input-field 1:12 input.request.headers.authorization"],
        ),
        (
            "input.request.headers[\"x-hexr-role\"] == \"a\"",
            &["unknown-input-field 1:12 input.request.headers[\"x-hexr-role\"]"],
        ),
        (
            "input.request.query[\"X-Amz-Signature\"]",
            &["unknown-input-field 1:12 input.request.query[\"X-Amz-Signature\"]"],
        ),
        ("count([x | x := input.roles[_]]) > 0", &["unknown-input-field 1:28 input.roles"]),
        ("f(input.roles)", &["unknown-input-field 1:14 input.roles"]),
        ("data.permitted[input.user]", &["unknown-input-field 1:27 input.user"]),
        ("input.request.headers[\"x-approval\"] == \"a\"", &[]),
        ("input.request.headers.accept == \"a\"", &[]),
        ("input.request.query.to[0] == \"a\"", &[]),
        ("input.request.method == \"GET\"; input.request.host == \"a\"; input.request.path == \"/\"", &[]),
        ("input.tool.name == \"read\"; input.tool.arguments.path.deep == \"a\"", &[]),
        (
            "input.model == \"a\"; input.resource == \"b\"; input.timestamp < \"2027\"; input.spiffe_id != \"\"",
            &[],
        ),
        ("some field in [\"a\"]; input[field] == \"a\"", &[]),
        ("object.get(input, \"user\", \"\") == \"a\"", &[]),
        ("permitted with input as {\"user\": \"a\"}", &[]),
    ] {
        let rules = format!("allow if {{ {body} }}\nf(x) if x\npermitted if input.role == \"a\"");
        check(&rules, expect);
    }
    check_modules(
        &[(
            "a.rego",
            "package hexr.authz\nimport input.user\nimport input.request as r\ndefault allow := false\nallow if { user == \"a\"; r.methd == \"GET\" }",
        )],
        &["unknown-input-field 2:8 input.user", "unknown-input-field 5:25 r.methd"],
    );
}

#[test]
fn negations_that_hold_by_error() {
    for (rules, expect) in [
        (
            "allow if {\n\tinput.role == \"a\"\n\tnot expired\n}\nexpired if time.parse_rfc3339_ns(input.tool.arguments.until) < time.now_ns()",
            &["not-over-error 3:6 expired"][..],
        ),
        (
            "allow if {\n\tinput.role == \"a\"\n\tnot large(input.model)\n}\nlarge(x) if to_number(x) > 3",
            &["not-over-error 3:6 large"],
        ),
        // In what it needs.
        (
            "allow if {\n\tinput.role == \"a\"\n\tnot late\n}\nlate if expired\nexpired if to_number(input.model) > 3",
            &["not-over-error 3:6 late"],
        ),
        (
            "allow if {\n\tinput.role == \"a\"\n\tnot odd\n}\nodd if data.n / data.m == 1",
            &["not-over-error 3:6 odd"],
        ),
        // One with a default has a value.
        (
            "allow if {\n\tinput.role == \"a\"\n\tnot expired\n}\ndefault expired := true\nexpired if to_number(input.model) > 3",
            &[],
        ),
        ("allow if {\n\tinput.role == \"a\"\n\tnot expired\n}\nexpired if to_number(\"3\") > 3", &[]),
        (
            "allow if {\n\tinput.role == \"a\"\n\tnot blocked\n}\nblocked if regex.match(\"^x\", input.model)",
            &[],
        ),
        ("allow if {\n\tinput.role == \"a\"\n\tnot blocked\n}\nblocked if input.agent in data.blocked", &[]),
        (
            "allow if {\n\tinput.role == \"a\"\n\tnot closed\n}\nclosed if { not open }\nopen if input.role == \"b\"",
            &[],
        ),
    ] {
        check(rules, expect);
    }
}

#[test]
fn plain_opas() {
    for (rules, expect) in [
        ("allow { input.service in {\"aws_s3\"} }", &["not-portable 3:23 in"][..]),
        ("allow { every r in [\"a\"] { input.role == r } }", &["not-portable 3:9 every"]),
        ("allow { deny == set() }\ndeny contains x { x := input.role }", &["not-portable 4:6 contains"]),
        ("allow if { input.role == \"a\" }\ndeny { false }", &["not-portable 3:7 if"]),
        ("allow { input.role == \"a\" }", &[]),
        ("allow { contains(input.role, \"a\") }", &[]),
    ] {
        check_modules(&[("a.rego", &format!("package hexr.authz\ndefault allow = false\n{rules}"))], expect);
    }
    let imported = "package hexr.authz\nimport future.keywords.in\ndefault allow = false\nallow { input.role in {\"a\"} }";
    check_modules(&[("a.rego", imported)], &[]);
}

#[test]
fn rules_that_grow_slow() {
    let bodies: String =
        (0..64).map(|n| format!("allow if startswith(input.resource, \"{n}/\")\n")).collect();
    check(&bodies, &["slow-rule 1:1 allow"]);
    let few: String = (0..63).map(|n| format!("allow if startswith(input.resource, \"{n}/\")\n")).collect();
    check(&few, &[]);
}

#[test]
fn what_is_ignored() {
    for (rules, expect) in [
        ("# hexr-authz:ignore unknown-service\nallow if input.service == \"aws_s33\"", &[][..]),
        ("allow if input.service == \"aws_s33\" # hexr-authz:ignore unknown-service", &[]),
        (
            "# why: hexr-authz:ignore body-widens, unknown-service\n# more\nallow if input.service == \"aws_s33\"",
            &[],
        ),
        (
            "# hexr-authz:ignore unknown-action\nallow if input.service == \"aws_s33\"",
            &["unknown-service 2:27 \"aws_s33\""],
        ),
        (
            "# hexr-authz:ignore unknown-service\n\nallow if input.service == \"aws_s33\"",
            &["unknown-service 3:27 \"aws_s33\""],
        ),
        // Errors are the filter's.
        ("# hexr-authz:ignore compile-error\nallow if x == input.role", &["compile-error 2:10 x"]),
    ] {
        check(rules, expect);
    }
}

/// Tests mock the input, and ask what never is.
#[test]
fn tests_are_left_alone() {
    let authz = format!(
        "{HEAD}allow if input.role == \"a\"\n\ntest_own if allow with input as {{\"role\": \"a\", \"x\": input.x}}"
    );
    let test = "package hexr.authz_test\nimport data.hexr.authz\n\ncall := {\"service\": \"aws_s33\", \"user\": input.user}\n\n\
                test_a if not late with input as call\n\nlate if to_number(input.n) > 3\n\nasked if input.service == \"aws_s33\"\n\n\
                test_b if authz.allow with input as {\"role\": \"a\"}";
    check_modules(&[("authz.rego", &authz), ("authz_test.rego", test)], &[]);
}

fn rego_files(folder: &Path, base: &Path, files: &mut Vec<SourceFile>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rego_files(&path, base, files);
        } else if path.extension().is_some_and(|extension| extension == "rego") || path.ends_with("data.json")
        {
            let content = fs::read(&path).unwrap();
            let path = path.strip_prefix(base).unwrap().to_str().unwrap().to_owned();
            files.push(SourceFile { path, content });
        }
    }
}

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

#[test]
fn nothing_is_found_in_what_is_shipped() {
    let (policies, mut files) = (repository().join("policies"), Vec::new());
    rego_files(&policies, &policies, &mut files);
    files.sort_by(|one, other| one.path.cmp(&other.path));
    assert!(files.len() > 10, "{files:?}");
    assert_eq!(look(&files, &platform(), &AuditLog::default(), None), []);
}

/// The examples of the documentation are what people copy.
#[test]
fn nothing_is_found_in_what_the_documentation_shows() {
    let mut examples = 0;
    let page = fs::read_to_string(repository().join("docs/policy.md")).unwrap();
    for block in blocks(&page).into_iter().filter(|block| block.contains(" if ")) {
        examples += 1;
        let complete = format!("{HEAD}allow if input.role == \"a\"\n");
        let test =
            format!("package hexr.authz_test\nimport data.hexr.authz\n{}", block.replace(", ...}", "}"));
        let below = format!("{HEAD}{block}");
        let modules = match (block.contains("test_"), block.starts_with("package ")) {
            (true, _) => vec![("authz.rego", complete.as_str()), ("authz_test.rego", test.as_str())],
            (false, true) => vec![("authz.rego", block.as_str())],
            (false, false) => vec![("authz.rego", below.as_str())],
        };
        let found = look(&files(&modules), &platform(), &AuditLog::default(), None);
        assert_eq!(shown(&found, &modules), [""; 0], "{block}");
    }
    assert_eq!(examples, 3);
}

/// The indented blocks of a page.
fn blocks(page: &str) -> Vec<String> {
    let mut blocks = vec![String::new()];
    for line in page.lines() {
        let last = blocks.last_mut().unwrap();
        match line.strip_prefix("    ") {
            Some(code) => last.push_str(&format!("{code}\n")),
            None if line.is_empty() && !last.is_empty() => last.push('\n'),
            None if line.is_empty() => {}
            None => blocks.push(String::new()),
        }
    }
    blocks.into_iter().map(|block| block.trim_end().to_owned()).filter(|block| !block.is_empty()).collect()
}
