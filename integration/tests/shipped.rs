//! What is shipped fits together: the Envoy configuration, docker-compose.yml, the documentation, the architecture.

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use hexr_authz_core::config::Config;
use integration::{
    artifacts,
    bundle_server::BundleServer,
    envoy::Envoy,
    envoy_binary,
    envoy_config::EnvoyConfig,
    eventually::eventually,
    repository,
    stack::{ANY_PORT, Foundation, PATIENCE},
};
use serde_json::Value;

fn read(path: &str) -> Result<String> {
    fs::read_to_string(repository().join(path)).context(path.to_owned())
}

/// All values under the key `name`, however deep.
fn all<'a>(document: &'a Value, name: &str) -> Vec<&'a Value> {
    match document {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(key, value)| if key == name { vec![value] } else { all(value, name) })
            .collect(),
        Value::Array(items) => items.iter().flat_map(|item| all(item, name)).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

#[test]
fn every_shipped_configuration_refuses_after_a_trap_and_recovers() -> Result<()> {
    let mut filters = 0;
    for entry in fs::read_dir(repository().join("envoy-config"))? {
        let path = entry?.path();
        // What the rate limit service reads.
        if path.ends_with("limits.yaml") {
            continue;
        }
        let document: Value = yaml_serde::from_str(&fs::read_to_string(&path)?)?;
        for config in all(&document, "config").into_iter().filter(|config| config.get("vm_config").is_some())
        {
            filters += 1;
            let place = path.display();
            assert_eq!(config["failure_policy"], "FAIL_RELOAD", "{place}");
            assert_eq!(config["allow_on_headers_stop_iteration"], true, "{place}");
            assert!(config["vm_config"]["vm_id"].as_str().is_some_and(|id| !id.is_empty()), "{place}");
            let text = config["configuration"]["value"].as_str().context("no configuration")?;
            let limits = Config::read(text, &|_| Some("value".to_owned()))?.limits;
            // What decides is held back as a whole.
            let held = all(&document, "per_connection_buffer_limit_bytes");
            let enough = |bytes: &&Value| {
                bytes.as_u64().is_some_and(|bytes| bytes >= 2 * limits.request_body_bytes as u64)
            };
            assert!(!held.is_empty() && held.iter().all(enough), "{place}");
        }
        // What waits when a VM traps hears nothing more of it.
        let managers = all(&document, "filters").into_iter().flat_map(|filters| all(filters, "typed_config"));
        for manager in managers.filter(|config| config.get("http_filters").is_some()) {
            for timeout in ["stream_idle_timeout", "request_headers_timeout"] {
                let seconds =
                    manager[timeout].as_str().and_then(|text| text.strip_suffix('s')?.parse::<u64>().ok());
                assert!(seconds.is_some_and(|seconds| (1..=60).contains(&seconds)), "{timeout}");
            }
        }
        assert!(
            all(&document, "require_client_certificate").iter().all(|value| **value == Value::Bool(true))
        );
    }
    assert_eq!(filters, 3);
    Ok(())
}

/// The configuration for a fleet is the other one, with a rate limit filter that nothing passes by: it is behind the
/// authorization, has its limits itself, and refuses when the service is away.
#[test]
fn the_fleet_configuration_is_the_other_one_with_a_limit() -> Result<()> {
    const HTTP: &str = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";
    let mut fleet = EnvoyConfig::shipped_for_a_fleet()?.document().clone();
    let filters = fleet.pointer_mut(&format!("{HTTP}/http_filters")).and_then(Value::as_array_mut);
    let filters = filters.context("http_filters")?;
    assert_eq!(filters.len(), 3);
    let limit = filters.remove(1);
    assert_eq!(limit["name"], "envoy.filters.http.ratelimit");
    let limit = &limit["typed_config"];
    assert_eq!(limit["failure_mode_deny"], true);
    assert!(limit["domain"].as_str().is_some_and(|domain| !domain.is_empty()));
    for switch in ["failure_mode_deny_percent", "filter_enabled", "filter_enforced", "request_type"] {
        assert!(limit.get(switch).is_none(), "{switch}");
    }
    let actions: Vec<&Value> =
        all(limit, "actions").into_iter().filter_map(Value::as_array).flatten().collect();
    assert!(!actions.is_empty());
    for action in actions {
        let header = action["request_headers"]["header_name"].as_str().context("not a header")?;
        assert!(header.starts_with("x-hexr-"), "an agent may send {header}");
    }
    let manager = fleet.pointer_mut(HTTP).and_then(Value::as_object_mut).context("no manager")?;
    manager.remove("local_reply_config").context("no local_reply_config")?;
    let clusters = fleet.pointer_mut("/static_resources/clusters").and_then(Value::as_array_mut);
    clusters.context("clusters")?.retain(|cluster| cluster["name"] != "rate-limit-service");
    assert_eq!(&fleet, EnvoyConfig::shipped()?.document());
    Ok(())
}

#[test]
fn docker_compose_fits_the_envoy_configuration() -> Result<()> {
    let compose: Value = yaml_serde::from_str(&read("docker-compose.yml")?)?;
    let envoy = EnvoyConfig::shipped()?;
    let services = compose["services"].as_object().context("services")?;
    let service = |name: &str| services.get(name).with_context(|| format!("no service {name}"));

    let image = service("envoy")?["image"].as_str().context("image")?;
    assert_eq!(image, format!("envoyproxy/envoy:v{}", envoy_binary::version()?));
    let folder = service("envoy")?["working_dir"].as_str().context("working_dir")?;
    let strings = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(|item| item.as_str().map(str::to_owned)).collect()
    };

    // Every file of the configuration is in a folder that is mounted.
    let mounts: Vec<(String, String)> = strings(&service("envoy")?["volumes"])
        .iter()
        .filter_map(|mount| {
            mount.split_once(':').map(|(from, to)| (from.to_owned(), to.trim_end_matches(":ro").to_owned()))
        })
        .collect();
    let files = all(envoy.document(), "filename");
    assert_eq!(files.len(), 4);
    let configuration = Value::from(strings(&service("envoy")?["command"])[2].clone());
    for file in files.into_iter().chain([&configuration]) {
        let path = format!("{folder}/{}", file.as_str().context("filename")?);
        assert!(mounts.iter().any(|(_, to)| Path::new(&path).starts_with(to)), "{path} is not mounted");
    }

    // The clusters' addresses are where the services listen, in Envoy's own network.
    for (cluster, name) in
        [("bundle-server", "bundle-server"), ("credential-exchange", "credential-exchange")]
    {
        let endpoint = all(envoy.document(), "clusters")[0]
            .as_array()
            .into_iter()
            .flatten()
            .find(|one| one["name"] == cluster)
            .context(cluster.to_owned())?;
        let address = all(endpoint, "socket_address")[0];
        let address =
            format!("{}:{}", address["address"].as_str().context("address")?, address["port_value"]);
        assert!(
            strings(&service(name)?["command"]).contains(&address),
            "{name} does not listen at {address}"
        );
        assert_eq!(service(name)?["network_mode"], "service:envoy");
    }
    let bundles = Config::read(envoy.filter_config()?, &|_| None)?.bundles;
    assert_eq!(bundles.first().context("no bundle")?.resource.path, "/bundles/authz.tar.gz");
    assert!(
        strings(&service("bundle-server")?["command"]).iter().any(|argument| argument.starts_with("authz="))
    );

    // Nothing names what is not there.
    let dockerfile = read("Dockerfile")?;
    let volumes = compose["volumes"].as_object().context("volumes")?;
    for (name, service) in services {
        if let Some(target) = service["build"]["target"].as_str() {
            assert!(dockerfile.contains(&format!(" AS {target}\n")), "{name}: no stage {target}");
        }
        for mount in strings(&service["volumes"]) {
            let from = mount.split(':').next().unwrap_or_default();
            let known = if from.starts_with("./") {
                repository().join(from).exists()
            } else {
                volumes.contains_key(from)
            };
            assert!(known, "{name}: no {from}");
        }
        let depends_on = &service["depends_on"];
        let conditional = depends_on.as_object().map(|fields| fields.keys().cloned().collect());
        let dependencies: Vec<String> = conditional.unwrap_or_else(|| strings(depends_on));
        assert!(dependencies.iter().all(|other| services.contains_key(other)), "{name}: {dependencies:?}");
    }
    Ok(())
}

/// The shipped file with the shipped paths, started the way the README says; only its ports are others.
async fn starts_with(launcher: &dyn Fn(&Path) -> Result<Command>) -> Result<()> {
    let foundation = Foundation::lay().await?;
    let folder = foundation.path("repository");
    let server =
        BundleServer::start(ANY_PORT, &repository().join("policies"), &foundation.path("server.log"))?;
    fs::create_dir_all(folder.join("target/demo"))?;
    fs::create_dir_all(folder.join("target/wasm32-wasip1/release"))?;
    fs::create_dir_all(folder.join("envoy-config"))?;
    std::os::unix::fs::symlink(foundation.path("tls"), folder.join("target/demo/tls"))?;
    let filter = folder.join("target/wasm32-wasip1/release/hexr_authz_filter.wasm");
    std::os::unix::fs::symlink(artifacts::filter()?, filter)?;
    fs::copy(repository().join(".envoy-version"), folder.join(".envoy-version"))?;
    let config = EnvoyConfig::shipped()?
        .with_free_ports()?
        .with_cluster("credential-exchange", foundation.exchange.address())?
        .with_cluster("bundle-server", server.address())?;
    // JSON is YAML.
    fs::write(folder.join("envoy-config/envoy.yaml"), config.document().to_string())?;
    let mut command = launcher(&folder)?;
    command.current_dir(&folder);
    let envoy = Envoy::start_by(command, &foundation.path("envoy")).await?;
    let svid = foundation.authority.svid(&["spiffe://hexr.cloud/agent/acme-corp/content-crew/researcher"])?;
    let agent = integration::agent::Agent::new(envoy.agents(), &foundation.authority, Some(&svid))?;
    eventually(PATIENCE, "an allowed query at every worker", async || {
        // Connections are spread over the workers.
        for _ in 0..8 {
            let answer = agent
                .send("POST", "bigquery.googleapis.com", "/bigquery/v2/projects/p/queries")
                .await
                .ok()?;
            if answer.status != 200 {
                return None;
            }
        }
        Some(())
    })
    .await?;
    let answer = agent.send("PUT", "s3.eu-central-1.amazonaws.com", "/bucket/key").await?;
    // As AWS's clients read it.
    let body = String::from_utf8_lossy(&answer.body);
    assert!(body.contains("asked for `PutObject` on `aws_s3`: the policy does not allow it"), "{body}");
    Ok(())
}

#[tokio::test]
async fn the_shipped_configuration_runs_as_it_is() -> Result<()> {
    starts_with(&|_| {
        let mut command = Command::new(envoy_binary::find()?);
        command.args(["-c", "envoy-config/envoy.yaml"]);
        Ok(command)
    })
    .await
}

/// Where func-e is (`FUNC_E`, `PATH`, Go's folder for binaries), it runs the same file. Where it is not, the test before
/// this one is what there is to show.
#[tokio::test]
async fn func_e_runs_the_shipped_configuration() -> Result<()> {
    let on_path = env::split_paths(&env::var_os("PATH").unwrap_or_default())
        .map(|folder| folder.join("func-e"))
        .collect();
    let go = env::var_os("HOME").map(|home| PathBuf::from(home).join("go/bin/func-e"));
    let named = env::var_os("FUNC_E").map(PathBuf::from);
    let candidates: Vec<PathBuf> =
        [named.into_iter().collect(), on_path, go.into_iter().collect::<Vec<_>>()].concat();
    let Some(func_e) = candidates.into_iter().find(|path| path.is_file()) else {
        println!("func-e is not on this machine: the shipped configuration was run by Envoy itself only");
        return Ok(());
    };
    starts_with(&|folder| {
        // Envoy is where func-e keeps the versions that it has installed.
        let home = folder.join("func-e");
        let bin = home.join("versions").join(envoy_binary::version()?).join("bin");
        fs::create_dir_all(&bin)?;
        fs::copy(envoy_binary::find()?, bin.join("envoy"))?;
        let mut command = Command::new(&func_e);
        command.env("FUNC_E_HOME", home).env("ENVOY_PATH", bin.join("envoy"));
        command.args(["run", "-c", "envoy-config/envoy.yaml"]);
        Ok(command)
    })
    .await
}

#[test]
fn the_core_is_pure() -> Result<()> {
    let tree = Command::new(env!("CARGO"))
        .args([
            "tree",
            "-p",
            "hexr-authz-core",
            "-e",
            "normal",
            "--prefix",
            "none",
            "--target",
            "wasm32-wasip1",
        ])
        .current_dir(repository())
        .output()?;
    let tree = String::from_utf8(tree.stdout)?;
    assert!(tree.contains("regorus "), "{tree}");
    for foreign in ["proxy-wasm ", "tokio ", "log ", "tracing ", "hexr-authz-filter "] {
        assert!(!tree.lines().any(|line| line.starts_with(foreign)), "the core depends on {foreign}");
    }
    for (file, text) in sources("filter/core/src")? {
        for foreign in [
            "std::fs",
            "net::Tcp",
            "net::Udp",
            "ToSocketAddrs",
            "std::env",
            "std::io::std",
            "SystemTime",
            "Instant::now",
            "println!",
            "thread::",
        ] {
            assert!(!text.contains(foreign), "{file}: {foreign}");
        }
    }
    Ok(())
}

#[test]
fn one_file_touches_the_host() -> Result<()> {
    let callers: Vec<String> = sources("filter/src")?
        .into_iter()
        .filter(|(_, text)| {
            text.contains("hostcalls") || text.contains("extern \"C\" {") || text.contains("unsafe {")
        })
        .map(|(file, _)| file)
        .collect();
    assert_eq!(callers, ["filter/src/host.rs"]);
    // And one function continues a request, another one a response.
    let continuing: Vec<String> = sources("filter/src")?
        .into_iter()
        .flat_map(|(file, text)| text.matches("Action::Continue").map(|_| file.clone()).collect::<Vec<_>>())
        .collect();
    assert_eq!(continuing, ["filter/src/http.rs", "filter/src/response.rs"]);
    Ok(())
}

#[test]
fn lints_are_set_once() -> Result<()> {
    for folder in ["filter/src", "filter/core/src", "filter/cli/src", "integration/src"] {
        for (file, text) in sources(folder)? {
            assert!(
                !text.contains("#![allow") && !text.contains("#[allow"),
                "{file}: use `expect` with a reason"
            );
        }
    }
    Ok(())
}

fn sources(folder: &str) -> Result<Vec<(String, String)>> {
    let mut sources = Vec::new();
    for entry in fs::read_dir(repository().join(folder))? {
        let entry = entry?;
        let name = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            sources.extend(self::sources(&name)?);
        } else {
            sources.push((name, fs::read_to_string(entry.path())?));
        }
    }
    sources.sort();
    Ok(sources)
}

/// A document without its examples, whose files are their own.
fn without_examples(document: &str) -> String {
    let mut is_example = false;
    let lines = document.lines().filter(|line| {
        if line.starts_with("```") {
            is_example = *line == "```console";
        }
        !is_example
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Every path that the documentation names exists.
#[test]
fn the_documentation_names_what_is_there() -> Result<()> {
    let mut documents = vec!["README.md".to_owned()];
    documents.extend(sources("docs")?.into_iter().map(|(file, _)| file));
    assert!(documents.contains(&"docs/architecture.md".to_owned()));
    let roots = ["filter/", "policies/", "envoy-config/", "integration/", "docs/"];
    let mut named = BTreeSet::new();
    for document in &documents {
        let text = without_examples(&read(document)?);
        for word in text.split(|char: char| char.is_whitespace() || "`()[]\"'".contains(char)) {
            let path = word.trim_end_matches(['.', ',', ':', ';']);
            if roots.iter().any(|root| path.starts_with(root)) && !path.contains(['*', '<', '{', '=']) {
                assert!(repository().join(path).exists(), "{document} names {path}");
                named.insert(path.to_owned());
            }
        }
    }
    assert!(named.len() > 10, "{named:?}");
    Ok(())
}
