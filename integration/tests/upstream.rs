//! Where an allowed request goes: to the host that it was judged for, and to no other.

use anyhow::Result;
use integration::{
    credential_exchange::CredentialExchange,
    dns::NameServer,
    eventually::eventually,
    stack::{Foundation, PATIENCE, Stack},
};
use serde_json::{Value, json};

/// Only one of two services is allowed.
const POLICY: &str = r#"
package hexr.authz

default allow := false

allow if input.service == "a"
"#;

struct Clouds {
    stack: Stack,
    a: CredentialExchange,
    b: CredentialExchange,
    _names: NameServer,
}

/// Two hosts with certificates of their own, at two ports of this machine, behind the shipped configuration.
async fn clouds() -> Result<Clouds> {
    let foundation = Foundation::lay().await?;
    let cloud =
        async |host: &str| CredentialExchange::start_cloud(&foundation.authority.envoy_as(&[host])?).await;
    let (a, b) = (cloud("a.example").await?, cloud("b.example").await?);
    let names = NameServer::start().await?;
    let mut config = foundation.direct_config_with_policy(POLICY)?.with_filter_config(|config| {
        let service = |name: &str| {
            json!({"service": name, "hosts": [format!("{name}.example")],
                "actions": [{"action": "call", "path": "/**"}]})
        };
        config["catalog"] = json!({"services": [service("a"), service("b")]});
    })?;
    let resolver = json!({
        "name": "envoy.network.dns_resolver.cares",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
            "resolvers": [{"socket_address": {"address": "127.0.0.1", "port_value": names.address().port()}}],
        },
    });
    let clusters = "/static_resources/clusters/0";
    let filter = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters/1";
    for place in [format!("{clusters}/cluster_type"), filter.to_owned()] {
        config.at(&format!("{place}/typed_config/dns_cache_config"))?["typed_dns_resolver_config"] =
            resolver.clone();
    }
    let trusted = "transport_socket/typed_config/common_tls_context/validation_context/trusted_ca/filename";
    *config.at(&format!("{clusters}/{trusted}"))? = json!(foundation.path("tls/ca.pem"));
    Ok(Clouds { stack: foundation.start(&config, 1).await?, a, b, _names: names })
}

/// What reached the two hosts since the last time.
fn reached(clouds: &Clouds) -> (Vec<String>, usize) {
    let hosts = clouds.a.take().into_iter().inspect(|request| {
        for name in request.headers.keys() {
            assert!(!name.as_str().starts_with("x-hexr-"), "{request:?}");
        }
    });
    (hosts.map(|request| request.host).collect(), clouds.b.take().len())
}

#[tokio::test]
async fn a_request_goes_where_it_was_judged_to_go() -> Result<()> {
    let clouds = clouds().await?;
    let agent = clouds.stack.agent("researcher")?;
    let (a, b) = (clouds.a.address().port(), clouds.b.address().port());
    let (at_a, at_b) = (format!("a.example:{a}"), format!("b.example:{b}"));
    let elsewhere = format!("127.0.0.1:{b}");
    let misleading: Vec<(&str, &[u8])> = vec![
        ("x-forwarded-host", at_b.as_bytes()),
        ("x-host", at_b.as_bytes()),
        ("forwarded", b"host=b.example"),
        ("x-envoy-original-dst-host", elsewhere.as_bytes()),
        ("x-envoy-upstream-alt-stat-name", b"b"),
    ];
    for http2 in [false, true] {
        let connect = async || if http2 { agent.connect_http2().await } else { agent.connect().await };
        let answer = connect().await?.send_with("GET", &at_a, "/x%2F/%41?y=/../", &misleading).await?;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(reached(&clouds), (vec![at_a.clone()], 0));

        // Whatever has led to another host, that host is not the one that was judged.
        let answer = connect().await?.send_with("GET", &format!("a.example:{b}"), "/", &misleading).await?;
        assert_eq!(answer.status, 503, "{answer:?}");
        let line = eventually(PATIENCE, "a line in the access log", async || {
            clouds.stack.envoy.access_log().into_iter().find(|line| line["status"] == 503)
        })
        .await?
        .0;
        assert!(line["details"].as_str().unwrap().contains("CERTIFICATE_VERIFY_FAILED"), "{line}");
        let answer = connect().await?.send("GET", &at_b, "/").await?;
        assert_eq!((answer.status.as_u16(), answer.reason().as_deref()), (403, Some("policy_denied")));
        assert_eq!(reached(&clouds), (vec![], 0));
    }
    // The target's own authority is judged, and goes upstream.
    for (target, host, status, reaches) in [
        (format!("https://{at_a}/"), &at_b, "200", vec![at_a.clone()]),
        (format!("https://{at_b}/"), &at_a, "403", vec![]),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        let answer = agent.send_raw(request.as_bytes()).await?;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert_eq!(reached(&clouds), (reaches, 0), "{request}");
    }
    for hosts in [format!("host: {at_a}\r\nhost: {at_b}"), format!("host: b@{at_a}")] {
        let answer = agent
            .send_raw(format!("GET / HTTP/1.1\r\n{hosts}\r\nconnection: close\r\n\r\n").as_bytes())
            .await?;
        assert!(answer.starts_with("HTTP/1.1 40"), "{answer}");
        assert_eq!(reached(&clouds), (vec![], 0), "{hosts}");
    }
    Ok(())
}

/// What Envoy would change of a path is signed.
#[tokio::test]
async fn a_path_arrives_as_it_was_signed() -> Result<()> {
    let clouds = clouds().await?;
    let mut connection = clouds.stack.agent("researcher")?.connect().await?;
    let host = format!("a.example:{}", clouds.a.address().port());
    for path in ["/a%2Fb%5Bc", "/%41%7e~", "/a;b/c", "/a?x=/../&&y=%2e", "/a/?"] {
        assert_eq!(connection.send("GET", &host, path).await?.status, 200, "{path}");
        let arrived: Vec<String> = clouds.a.take().into_iter().map(|request| request.path).collect();
        assert_eq!(arrived, [path]);
    }
    Ok(())
}

/// No shipped route leads anywhere but to what a request was judged for.
#[test]
fn every_shipped_upstream_is_bound() -> Result<()> {
    let mut configurations = 0;
    for entry in std::fs::read_dir(integration::repository().join("envoy-config"))? {
        let text = std::fs::read_to_string(entry?.path())?;
        let document: Value = yaml_serde::from_str(&text)?;
        // What others read: the rate limit service, Prometheus, Grafana.
        if document.get("static_resources").is_none() {
            continue;
        }
        configurations += 1;
        let manager =
            &document["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
        assert_eq!((&manager["normalize_path"], &manager["merge_slashes"]), (&json!(false), &json!(false)));
        assert_eq!(manager["path_with_escaped_slashes_action"], "KEEP_UNCHANGED");
        for cluster in document["static_resources"]["clusters"].as_array().unwrap() {
            let options = &cluster["typed_extension_protocol_options"]["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"];
            let bound = json!({"auto_sni": true, "auto_san_validation": true});
            let is_bound = options["upstream_http_protocol_options"] == bound
                && cluster["transport_socket"]["name"] == "envoy.transport_sockets.tls";
            assert!(is_bound || cluster["type"] == "STATIC", "{}", cluster["name"]);
        }
        for word in ["ORIGINAL_DST", "cluster_header", "host_rewrite", "use_original_dst"] {
            assert!(!text.contains(word), "{word}");
        }
    }
    assert_eq!(configurations, 3);
    Ok(())
}
