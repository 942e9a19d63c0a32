use super::*;
use crate::bundle::{KeyChoice, Verification, VerificationKey};

/// A configuration with everything in it.
const COMPLETE: &str = r#"{
  "identity": {
    "trust_domains": [
      {"name": "hexr.cloud", "paths": ["/agent/{tenant}/{agent}/{role}", "/ns/{tenant}/sa/{agent}"], "tenants": ["acme"]},
      {"name": "partner.example", "tenants": ["globex"]}],
    "map": {"spiffe://hexr.cloud/ns/acme/sa/y": {"role": "researcher"}}},
  "decision": {"path": "hexr/authz/allow", "mode": "enforce", "contact": "platform-security@acme"},
  "policy": {"modules": {"authz.rego": "package hexr.authz\nallow if data.open"}, "data": {"open": false}},
  "services": {"bundles": {"cluster": "bundle-server", "url": "http://bundles.hexr-system:8181/base/",
    "headers": {"Authorization": "Bearer ${TOKEN}"}, "response_header_timeout_seconds": 3}},
  "bundles": {"authz": {"service": "bundles", "resource": "bundles/authz.tar.gz",
    "polling": {"min_delay_seconds": 1, "max_delay_seconds": 2}}},
  "catalog": {"on_unknown": "deny", "services": [
    {"service": "aws_s3", "hosts": ["s3.corp.example", "*.s3.corp.example:9000"], "kind": "http",
     "actions": [{"action": "PutObject", "method": "PUT", "path": "/{bucket}/{key=**}"}]}]},
  "limits": {"bundle_bytes": 1024, "evaluation_ms": 20, "request_body_bytes": 2048, "body_timeout_ms": 300},
  "ready_path": "/hexr-authz/ready"
}"#;

fn read(text: &str) -> Result<Config, Problems> {
    Config::read(text, &|name| (name == "TOKEN").then(|| "secret".to_owned()))
}

/// Changes one place of [`COMPLETE`].
fn with(pointer: &str, value: Option<serde_json::Value>) -> String {
    let mut document: serde_json::Value = serde_json::from_str(COMPLETE).unwrap();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = document.pointer_mut(parent).unwrap();
    match (parent, value) {
        (serde_json::Value::Object(fields), Some(value)) => drop(fields.insert(key.to_owned(), value)),
        (serde_json::Value::Object(fields), None) => drop(fields.remove(key)),
        (other, value) => other[key.parse::<usize>().unwrap()] = value.unwrap(),
    }
    document.to_string()
}

#[track_caller]
fn rejects(text: &str, expect: &[&str]) {
    let problems: Vec<String> = read(text).err().unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(problems.len(), expect.len(), "{problems:#?}");
    for (problem, expect) in problems.iter().zip(expect) {
        assert!(problem.starts_with(expect), "{problem}\nis not\n{expect}");
    }
}

#[test]
fn a_complete_configuration() {
    let config = read(COMPLETE).unwrap();
    assert_eq!(
        config.bundles,
        [BundleSource {
            name: "authz".to_owned(),
            resource: Resource {
                cluster: "bundle-server".to_owned(),
                authority: "bundles.hexr-system:8181".to_owned(),
                path: "/base/bundles/authz.tar.gz".to_owned(),
                headers: vec![("authorization".to_owned(), "Bearer secret".to_owned())],
                timeout_millis: 3000,
                polling: Polling {
                    min_delay_millis: 1000,
                    max_delay_millis: 2000,
                    long_polling_timeout_seconds: 30,
                },
            },
            signing: None,
        }]
    );
    assert_eq!(
        config.limits,
        Limits {
            bundle_bytes: 1024,
            evaluation: Budget { milliseconds: 20 },
            request_body_bytes: 2048,
            body_timeout_millis: 300,
        }
    );
    assert_eq!(config.contact.as_deref(), Some("platform-security@acme"));
    assert!(config.embedded_policy.is_some());
}

#[test]
fn defaults() {
    let config = read(
        r#"{"identity": {"trust_domains": [{"name": "hexr.cloud"}]}, "services": {"b": {"cluster": "c"}},
            "bundles": {"authz": {"service": "b"}}}"#,
    )
    .unwrap();
    let bundle = &config.bundles[0].resource;
    assert_eq!((bundle.authority.as_str(), bundle.path.as_str()), ("c", "/bundles/authz"));
    assert_eq!(bundle.timeout_millis, 10_000);
    assert_eq!(
        bundle.polling,
        Polling { min_delay_millis: 5000, max_delay_millis: 10_000, long_polling_timeout_seconds: 30 }
    );
    assert_eq!(config.rule.to_string(), "data.hexr.authz.allow");
    assert_eq!(
        config.limits,
        Limits {
            bundle_bytes: 16 << 20,
            evaluation: Budget { milliseconds: 50 },
            request_body_bytes: 1 << 20,
            body_timeout_millis: 5000,
        }
    );
    assert!(config.trust_domains.identity_of("spiffe://hexr.cloud/agent/a/b/c").is_ok());
}

#[test]
fn a_candidate() {
    let bundles = |bundles: serde_json::Value| {
        let config = serde_json::json!({
            "identity": {"trust_domains": [{"name": "hexr.cloud"}]},
            "services": {"b": {"cluster": "c"}},
            "bundles": bundles,
        });
        read(&config.to_string())
    };
    let active = serde_json::json!({"service": "b"});
    let candidate =
        |replaces: &str| serde_json::json!({"service": "b", "mode": "candidate", "replaces": replaces});
    let config =
        bundles(serde_json::json!({"base": active, "authz": active, "next": candidate("authz")})).unwrap();
    let names =
        |sources: &[BundleSource]| sources.iter().map(|source| source.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&config.bundles), ["authz", "base"]);
    let candidates = config.candidate.unwrap();
    assert_eq!(
        (names(&candidates.bundles), candidates.sampling_percent),
        (vec!["base".into(), "next".into()], 100)
    );
    for (mistaken, expect) in [
        (
            serde_json::json!({"next": candidate("next")}),
            "$.bundles: at least one bundle is needed that decides",
        ),
        (
            serde_json::json!({"authz": active, "next": candidate("other")}),
            "$.bundles.next.replaces: `other` is not among the bundles that decide (`authz`)",
        ),
        (
            serde_json::json!({"authz": active, "next": candidate("authz"), "later": candidate("authz")}),
            "$.bundles.next: another candidate replaces `authz` too: one at a time",
        ),
        (
            serde_json::json!({"authz": {"service": "b", "replaces": "authz"}}),
            "$.bundles.authz.replaces: only a bundle with `mode` `candidate` has this key",
        ),
        (
            serde_json::json!({"authz": active, "next": {"service": "b", "mode": "candidate"}}),
            "$.bundles.next.replaces: this key is missing",
        ),
        (
            serde_json::json!({"authz": {"service": "b", "mode": "shadow"}}),
            "$.bundles.authz.mode: must be `active` or `candidate`, but is `shadow`",
        ),
    ] {
        let problems = bundles(mistaken).unwrap_err();
        let found: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(found.iter().any(|problem| problem.starts_with(expect)), "{expect}\n{found:#?}");
    }
}

#[test]
fn single_mistakes() {
    for (pointer, value, expect) in [
        ("/identty", Some(1.into()), "$.identty: unknown key"),
        ("/identity", None, "$.identity: this key is missing"),
        ("/decision", Some("x".into()), "$.decision: must be an object, but is a string"),
        (
            "/identity/trust_domains/1/name",
            Some("Hexr/x".into()),
            "$.identity.trust_domains[1].name: `Hexr/x` is not",
        ),
        (
            "/identity/trust_domains/1/name",
            Some("hexr.cloud".into()),
            "$.identity.trust_domains[1].name: this trust domain",
        ),
        (
            "/identity/trust_domains/1/tenants",
            None,
            "$.identity.trust_domains[1].tenants: with more than one",
        ),
        (
            "/identity/trust_domains/0/paths/0",
            Some("agent".into()),
            "$.identity.trust_domains[0].paths[0]: a path template",
        ),
        (
            "/identity/trust_domains/0/paths",
            Some(serde_json::json!([])),
            "$.identity.trust_domains[0].paths: at least",
        ),
        ("/identity/map/x", Some(serde_json::json!({})), "$.identity.map.x: this key is not a SPIFFE ID"),
        (
            "/identity/map/spiffe:~1~1other~1x",
            Some(serde_json::json!({"role": "a"})),
            "$.identity.map[\"spiffe:~1~1other~1x\"]: this key is not",
        ),
        ("/decision/path", Some("allow".into()), "$.decision.path: must be the path of a rule"),
        (
            "/decision/mode",
            Some("monitor".into()),
            "$.decision.mode: must be `enforce` or `shadow`, but is `monitor`",
        ),
        (
            "/policy/modules/b.rego",
            Some("package b\nx :=".into()),
            "$.policy.modules[\"b.rego\"]: b.rego:2:5: ",
        ),
        ("/policy/data", Some(1.into()), "$.policy.data: data must be an object, but is a number"),
        ("/policy/modules", Some(serde_json::json!({})), "$.policy: no rule `data.hexr.authz.allow`"),
        ("/services/bundles/cluster", None, "$.services.bundles.cluster: this key is missing"),
        ("/services/bundles/url", Some("ftp://x".into()), "$.services.bundles.url: `ftp://x` must be"),
        (
            "/services/bundles/headers/x",
            Some("${NO}".into()),
            "$.services.bundles.headers.x: the VM's environment has no",
        ),
        (
            "/services/bundles/headers/x",
            Some("a\nb".into()),
            "$.services.bundles.headers.x: a header's value",
        ),
        ("/status", Some(serde_json::json!({})), "$.status.service: this key is missing"),
        (
            "/status",
            Some(serde_json::json!({"service": "bundles", "partition_name": "a b"})),
            "$.status.partition_name: ",
        ),
        (
            "/status",
            Some(serde_json::json!({"service": "bundles", "reporting": {"min_delay_seconds": 1}})),
            "$.status.reporting.max_delay_seconds: with `min_delay_seconds`",
        ),
        ("/decision_logs", Some(serde_json::json!({})), "$.decision_logs.service: this key is missing"),
        (
            "/decision_logs",
            Some(serde_json::json!({"service": "bundles", "only": "some"})),
            "$.decision_logs.only: must be `all` or `denied`, but is `some`",
        ),
        (
            "/decision_logs",
            Some(serde_json::json!({"service": "bundles", "reporting": {"upload_size_limit_bytes": 1}})),
            "$.decision_logs.reporting.upload_size_limit_bytes: must be an",
        ),
        ("/labels", Some(serde_json::json!({"id": "x"})), "$.labels.id: this label is the filter's own"),
        ("/labels", Some(serde_json::json!({"region": 1})), "$.labels.region: must be a string"),
        (
            "/bundles/authz/service",
            Some("other".into()),
            "$.bundles.authz.service: `other` is not among `services` (`bundles`)",
        ),
        (
            "/bundles/authz/polling/long_polling_timeout_seconds",
            Some(601.into()),
            "$.bundles.authz.polling.long_polling_timeout_seconds: must be an",
        ),
        (
            "/bundles/authz/polling/min_delay_seconds",
            Some(5.into()),
            "$.bundles.authz.polling: `min_delay_seconds` (5)",
        ),
        (
            "/bundles/authz/polling/min_delay_seconds",
            Some(0.into()),
            "$.bundles.authz.polling.min_delay_seconds: must be an",
        ),
        ("/bundles/authz/polling/max_delay_seconds", None, "$.bundles.authz.polling.max_delay_seconds: with"),
        ("/catalog/on_unknown", Some("allow".into()), "$.catalog.on_unknown: must be `deny` or `policy`"),
        (
            "/catalog/services/0/hosts/0",
            Some("S3".into()),
            "$.catalog.services[0].hosts[0]: `S3` is not a host",
        ),
        (
            "/catalog/services/0/hosts/1",
            Some("s3.corp.example".into()),
            "$.catalog.services[0].hosts[1]: this host stands at",
        ),
        (
            "/catalog/services/0/kind",
            Some("mcp".into()),
            "$.catalog.services[0].actions: an MCP server's actions are its JSON-RPC methods",
        ),
        (
            "/catalog/services/0/kind",
            Some("grpc".into()),
            "$.catalog.services[0].kind: must be `http` or `mcp`, but is `grpc`",
        ),
        (
            "/catalog/services/0/path",
            Some("/mcp".into()),
            "$.catalog.services[0].path: only an entry of `kind: mcp` has a path",
        ),
        (
            "/catalog/services/0",
            Some(serde_json::json!({"service": "aws_nothing", "hosts": ["x.example"]})),
            "$.catalog.services[0].service: no service `aws_nothing` is built in",
        ),
        (
            "/catalog/services/0/actions/0/headers",
            Some(serde_json::json!(["X-Upper"])),
            "$.catalog.services[0].actions[0].headers[0]: `X-Upper` is not a header's name",
        ),
        (
            "/catalog/services/0/actions/0/json",
            Some(serde_json::json!([{"field": "a..b"}])),
            "$.catalog.services[0].actions[0].json[0].field: `a..b` must be keys",
        ),
        (
            "/catalog/services/0/actions/0/json",
            Some(serde_json::json!([{"field": "a", "value": null}])),
            "$.catalog.services[0].actions[0].json[0].value: must be a text, a number or a boolean",
        ),
        (
            "/catalog/services/0/actions",
            Some(serde_json::json!([
                {"action": "Any", "path": "/{bucket}/{key=**}"},
                {"action": "Put", "method": "PUT", "path": "/{b}/{k=**}", "headers": ["x-copy"]}
            ])),
            "$.catalog.services[0].actions[1]: `Put` is never reached: whatever fits it is `Any` at \
             `$.catalog.services[0].actions[0]` already",
        ),
        (
            "/catalog/services/0/service",
            Some("unknown".into()),
            "$.catalog.services[0].service: `unknown` is what",
        ),
        (
            "/catalog/services/0/actions/0/method",
            Some("put".into()),
            "$.catalog.services[0].actions[0].method: `put` is not",
        ),
        (
            "/catalog/services/0/actions/0/path",
            Some("/{x".into()),
            "$.catalog.services[0].actions[0].path: the braces",
        ),
        (
            "/limits/evaluation_ms",
            Some("50".into()),
            "$.limits.evaluation_ms: must be an integer from 1 to 10000",
        ),
        (
            "/limits/evaluation_ms",
            Some((-1).into()),
            "$.limits.evaluation_ms: must be an integer from 1 to 10000",
        ),
        ("/ready_path", Some("/a/../b".into()), "$.ready_path: the path has a dot segment"),
        ("/audit_log", Some(1.into()), "$.audit_log: must be an object, but is a number"),
        (
            "/audit_log",
            Some(serde_json::json!({"window_seconds": 86_401})),
            "$.audit_log.window_seconds: must be an integer from 1 to 86400",
        ),
        (
            "/audit_log",
            Some(serde_json::json!({"scope": "role"})),
            "$.audit_log.scope: must be `agent`, `tenant` or `all`, but is `role`",
        ),
        (
            "/audit_log",
            Some(serde_json::json!({"record": "denied"})),
            "$.audit_log.record: must be `allowed` or `all`, but is `denied`",
        ),
        (
            "/audit_log",
            Some(serde_json::json!({"accept_unproven": "yes"})),
            "$.audit_log.accept_unproven: must be a boolean, but is a string",
        ),
        (
            "/audit_log",
            Some(serde_json::json!({"bytes": 1 << 20, "tenant_bytes": 1 << 21})),
            "$.audit_log.tenant_bytes: is more than `bytes`",
        ),
        ("/audit_log", Some(serde_json::json!({"agents": 1})), "$.audit_log.agents: unknown key"),
    ] {
        rejects(&with(pointer, value), &[expect]);
    }
}

/// A configuration whose bundle must be signed.
fn signed(keys: serde_json::Value, signing: serde_json::Value) -> String {
    let mut document: serde_json::Value = serde_json::from_str(&with("/keys", Some(keys))).unwrap();
    document["bundles"]["authz"]["signing"] = signing;
    document.to_string()
}

const PUBLIC_KEY: &str = "-----BEGIN PUBLIC KEY-----\n\
    MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAExgzn72+c5kH0K8O3SonkvECo2QEg\n\
    IudX6LzqPnPZ7JcNaseFfHjyheTMqsMnulWDVCjZduM5CJBC0/BZxtND/A==\n\
    -----END PUBLIC KEY-----\n";

#[test]
fn keys_and_signing() {
    let keys = || {
        serde_json::json!({
            "k1": {"algorithm": "ES256", "key": PUBLIC_KEY, "scope": "write"},
            "k2": {"algorithm": "HS256", "key": "${TOKEN}"},
            "k3": {"algorithm": "ES256", "key": PUBLIC_KEY}
        })
    };
    let of = |signing| read(&signed(keys(), signing)).unwrap().bundles.remove(0).signing.unwrap();
    let ids = |verification: &Verification| {
        verification.keys().iter().map(|key| key.id().to_owned()).collect::<Vec<_>>()
    };
    let key = |id: &str, algorithm: &str, text: &str, scope: &str| {
        VerificationKey::new(id, algorithm, text, scope).unwrap()
    };
    let mut expect =
        Verification::new(vec![key("k2", "HS256", "secret", "")], KeyChoice::Any, "write").unwrap();
    expect.max_age_seconds = Some(86_400);
    expect.min_iat = Some(1_700_000_000);
    let signing = serde_json::json!({
        "keyid": "k2", "scope": "write", "max_age_seconds": 86_400, "min_iat": 1_700_000_000
    });
    assert_eq!(of(signing), expect);
    let rotation = of(serde_json::json!({"keyids": ["k3", "k1"]}));
    let by_both = vec![key("k3", "ES256", PUBLIC_KEY, ""), key("k1", "ES256", PUBLIC_KEY, "write")];
    assert_eq!(rotation, Verification::new(by_both, KeyChoice::Any, "").unwrap());
    let by_name = of(serde_json::json!({}));
    assert_eq!(ids(&by_name), ["k1", "k2", "k3"]);
    assert_ne!(by_name, Verification::new(by_name.keys().to_vec(), KeyChoice::Any, "").unwrap());
    // Keys that nothing uses are fine.
    assert_eq!(read(&with("/keys", Some(keys()))).unwrap().bundles.remove(0).signing, None);
    // Where the environment is not known, neither are the keys in it.
    let unknown = Config::read(&signed(keys(), serde_json::json!({})), &|_| Some(UNKNOWN_VALUE.to_owned()));
    assert_eq!(ids(&unknown.unwrap().bundles.remove(0).signing.unwrap()), ["k1", "k2", "k3"]);
    for (signing, expect) in [
        (serde_json::json!({"keyid": "k4"}), "keyid: `k4` is not among `keys` (`k1`, `k2`, `k3`)"),
        (serde_json::json!({"keyids": ["k1", "k4"]}), "keyids[1]: `k4` is not among `keys`"),
        (serde_json::json!({"keyids": []}), "keyids: at least one key is needed"),
        (serde_json::json!({"keyids": "k1"}), "keyids: must be an array, but is a string"),
        (
            serde_json::json!({"keyid": "k1", "keyids": ["k1"]}),
            "keyids: with `keyid` this key contradicts it",
        ),
        (serde_json::json!({"keyid": 1}), "keyid: must be a string, but is a number"),
        (serde_json::json!({"scope": 1}), "scope: must be a string, but is a number"),
        (serde_json::json!({"max_age_seconds": 0}), "max_age_seconds: must be an integer from 1 to"),
        (serde_json::json!({"min_iat": "2026"}), "min_iat: must be an integer from 0 to"),
        (serde_json::json!({"exclude_files": ["*.md"]}), "exclude_files: a signature covers every file"),
        (serde_json::json!({"key": "k1"}), "key: unknown key"),
    ] {
        rejects(&signed(keys(), signing), &[&format!("$.bundles.authz.signing.{expect}")]);
    }
    let no_object = signed(keys(), serde_json::json!(true));
    rejects(&no_object, &["$.bundles.authz.signing: must be an object, but is a boolean"]);
    let no_keys = signed(serde_json::json!({}), serde_json::json!({}));
    rejects(&no_keys, &["$.bundles.authz.signing: there are no `keys` to verify with"]);
}

#[test]
fn mistakes_in_keys() {
    let private = "-----BEGIN PRIVATE KEY-----\nMC4=\n-----END PRIVATE KEY-----\n";
    for (key, expect) in [
        (serde_json::json!({}), "key: this key is missing"),
        (
            serde_json::json!({"key": PUBLIC_KEY}),
            "key: `RS256` wants an RSA key, but this is a key on the curve P-256",
        ),
        (serde_json::json!({"key": "${NO}"}), "key: the VM's environment has no `NO`"),
        (serde_json::json!({"key": "${TOKEN}"}), "key: this is not a public key in PEM"),
        (serde_json::json!({"key": private}), "key: this is a private key"),
        (
            serde_json::json!({"key": PUBLIC_KEY, "algorithm": "HS256"}),
            "key: `HS256` wants a secret, and this is PEM",
        ),
        (serde_json::json!({"key": "", "algorithm": "HS256"}), "key: the secret is empty"),
        (serde_json::json!({"key": PUBLIC_KEY, "algorithm": "none"}), "algorithm: must be RS, PS, ES or HS"),
        (
            serde_json::json!({"key": PUBLIC_KEY, "algorithm": "ES256", "scope": []}),
            "scope: must be a string",
        ),
        (
            serde_json::json!({"key": PUBLIC_KEY, "algorithm": "ES256", "private_key": "x"}),
            "private_key: the filter only verifies",
        ),
        (serde_json::json!({"key": PUBLIC_KEY, "algorithm": "ES256", "id": "x"}), "id: unknown key"),
    ] {
        let keys = serde_json::json!({"k": key});
        rejects(&with("/keys", Some(keys.clone())), &[&format!("$.keys.k.{expect}")]);
        // A mistake is said once, and what must be verified is never taken for what need not be.
        rejects(&signed(keys, serde_json::json!({"keyid": "k"})), &[&format!("$.keys.k.{expect}")]);
    }
}

#[test]
fn urls_of_services() {
    for (url, good) in [
        ("http://bundles", true),
        ("http://bundles:8181/base", true),
        ("http://127.0.0.1:8181", true),
        ("http://[::1]:8181", true),
        ("http://[::1]", true),
        ("http://:8181:x", false),
        ("http://bundles:", false),
        ("http://bundles:99999", false),
        ("http://[::1", false),
        ("http://[bundles]", false),
        ("http://user@bundles", false),
    ] {
        assert_eq!(read(&with("/services/bundles/url", Some(url.into()))).is_ok(), good, "{url}");
    }
    let odd_name = with("/bundles/my bundle", Some(serde_json::json!({"service": "bundles"})));
    assert!(
        read(&odd_name)
            .unwrap_err()
            .to_string()
            .contains("without `resource`, the bundle's name is its path")
    );
}

#[test]
fn all_mistakes_at_once() {
    rejects(
        r#"{"identity": {"trust_domains": []}, "decision": {"mode": 1}, "limits": {"bundle_bytes": 0, "x": 1},
            "tenants": {}, "ready_path": "x", "identity": {"trust_domains": []}}"#,
        &[
            "$.identity: this key stands twice",
            "$.identity.trust_domains: at least one trust domain",
            "$.decision.mode: must be a string, but is a number",
            "$.limits.bundle_bytes: must be an integer",
            "$.limits.x: unknown key; known here are ",
            "$.tenants.service: this key is missing",
            "$.tenants.resource: this key is missing",
            "$: neither `policy` nor `bundles` is there",
            "$.ready_path: the path does not begin with a slash",
        ],
    );
}

#[test]
fn what_is_no_json() {
    for text in ["", "{", "{}x", "\u{0}", "[]", "null", "{\"a\":1,}"] {
        assert!(read(text).is_err(), "{text}");
    }
}
