//! The shipped Envoy configuration, with other ports, paths and filter configurations: changed as parsed YAML, so that
//! what is tested is what is shipped.

use std::{fs, net::SocketAddr, path::Path};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::repository;

/// A configuration of Envoy.
#[derive(Clone, Debug)]
pub struct EnvoyConfig(Value);

const LISTENER: &str = "/static_resources/listeners/0";
const TLS: &str = "/static_resources/listeners/0/filter_chains/0/transport_socket/typed_config";
const HTTP: &str = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";

impl EnvoyConfig {
    /// `envoy-config/envoy.yaml`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn shipped() -> Result<Self> {
        Self::read("envoy-config/envoy.yaml")
    }

    /// `envoy-config/envoy-fleet.yaml`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn shipped_for_a_fleet() -> Result<Self> {
        Self::read("envoy-config/envoy-fleet.yaml")
    }

    /// `envoy-config/direct.yaml`: requests go to the clouds themselves.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn direct() -> Result<Self> {
        Self::read("envoy-config/direct.yaml")
    }

    fn read(path: &str) -> Result<Self> {
        let text = fs::read_to_string(repository().join(path)).context(path.to_owned())?;
        Ok(Self(yaml_serde::from_str(&text)?))
    }

    /// The filter's own configuration, as it stands in Envoy's.
    ///
    /// # Errors
    /// When the configuration is not of the shipped shape.
    pub fn filter_config(&self) -> Result<&str> {
        let text = self.0.pointer(&format!("{HTTP}/http_filters/0/typed_config/config/configuration/value"));
        text.and_then(Value::as_str).context("the filter's configuration")
    }

    /// The whole configuration.
    pub fn document(&self) -> &Value {
        &self.0
    }

    /// The value at a JSON pointer.
    ///
    /// # Errors
    /// When there is none.
    pub fn at(&mut self, pointer: &str) -> Result<&mut Value> {
        self.0.pointer_mut(pointer).with_context(|| format!("the configuration has no {pointer}"))
    }

    /// Has the system choose Envoy's own ports, on loopback only.
    ///
    /// # Errors
    /// When the configuration is not of the shipped shape.
    pub fn with_free_ports(mut self) -> Result<Self> {
        *self.at("/admin/address/socket_address/port_value")? = json!(0);
        *self.at(&format!("{LISTENER}/address/socket_address"))? =
            json!({"address": "127.0.0.1", "port_value": 0});
        Ok(self)
    }

    /// Reads certificates from `folder`.
    ///
    /// # Errors
    /// When the configuration is not of the shipped shape.
    pub fn with_certificates(mut self, folder: &Path) -> Result<Self> {
        let common = format!("{TLS}/common_tls_context");
        for (pointer, file) in [
            ("tls_certificates/0/certificate_chain", "envoy.pem"),
            ("tls_certificates/0/private_key", "envoy-key.pem"),
            ("validation_context/trusted_ca", "ca.pem"),
        ] {
            *self.at(&format!("{common}/{pointer}/filename"))? = json!(folder.join(file));
        }
        Ok(self)
    }

    /// Lets clients connect without a certificate.
    ///
    /// # Errors
    /// When the configuration is not of the shipped shape.
    pub fn with_optional_client_certificates(mut self) -> Result<Self> {
        *self.at(&format!("{TLS}/require_client_certificate"))? = json!(false);
        Ok(self)
    }

    /// Loads the filter from `path`.
    ///
    /// # Errors
    /// When the configuration is not of the shipped shape.
    pub fn with_filter(mut self, path: &Path) -> Result<Self> {
        *self.at(&format!("{HTTP}/http_filters/0/typed_config/config/vm_config/code/local/filename"))? =
            json!(path);
        Ok(self)
    }

    /// Replaces the filter by another one, or by none.
    ///
    /// # Errors
    /// When the configuration is not of the shipped shape.
    pub fn with_other_filter(mut self, filter: Option<Value>) -> Result<Self> {
        let filters = self.at(&format!("{HTTP}/http_filters"))?.as_array_mut().context("http_filters")?;
        filters.splice(..1, filter);
        Ok(self)
    }

    /// Changes the filter's own configuration.
    ///
    /// # Errors
    /// When the configuration is not of the shipped shape.
    pub fn with_filter_config(mut self, change: impl FnOnce(&mut Value)) -> Result<Self> {
        let text = self.at(&format!("{HTTP}/http_filters/0/typed_config/config/configuration/value"))?;
        let mut config = serde_json::from_str(text.as_str().context("configuration")?)?;
        change(&mut config);
        *text = json!(config.to_string());
        Ok(self)
    }

    /// Moves the listener into a file that Envoy watches.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn with_listener_in(mut self, file: &Path) -> Result<Self> {
        self.write_listener(file)?;
        self.at("/static_resources/listeners")?.as_array_mut().context("listeners")?.clear();
        let document = self.at("")?.as_object_mut().context("a configuration")?;
        document.insert("node".to_owned(), json!({"id": "test", "cluster": "test"}));
        let source = json!({"resource_api_version": "V3", "path_config_source": {"path": file}});
        document.insert("dynamic_resources".to_owned(), json!({"lds_config": source}));
        Ok(self)
    }

    /// Writes the listener into such a file. Envoy takes it up when it is moved into place.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_listener(&self, file: &Path) -> Result<()> {
        let mut listener =
            self.document().pointer("/static_resources/listeners/0").context("a listener")?.clone();
        let fields = listener.as_object_mut().context("a listener")?;
        fields.insert("@type".to_owned(), json!("type.googleapis.com/envoy.config.listener.v3.Listener"));
        let next = file.with_extension("next");
        std::fs::write(&next, json!({"resources": [listener]}).to_string())?;
        std::fs::rename(&next, file)?;
        Ok(())
    }

    /// Sends the requests of a cluster to `address`.
    ///
    /// # Errors
    /// When there is no such cluster.
    pub fn with_cluster(mut self, name: &str, address: SocketAddr) -> Result<Self> {
        let endpoint = self
            .cluster(name)?
            .pointer_mut("/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address/socket_address")
            .with_context(|| format!("cluster {name} has no address"))?;
        *endpoint = json!({"address": address.ip(), "port_value": address.port()});
        Ok(self)
    }

    fn cluster(&mut self, name: &str) -> Result<&mut Value> {
        let clusters = self.at("/static_resources/clusters")?.as_array_mut().context("clusters")?;
        let cluster = clusters.iter_mut().find(|cluster| cluster.pointer("/name") == Some(&json!(name)));
        cluster.with_context(|| format!("there is no cluster {name}"))
    }

    /// Speaks HTTP/2 to a cluster.
    ///
    /// # Errors
    /// When there is no such cluster.
    pub fn with_http2_to(mut self, name: &str) -> Result<Self> {
        let fields = self.cluster(name)?.as_object_mut().with_context(|| format!("cluster {name}"))?;
        fields.insert(
            "typed_extension_protocol_options".to_owned(),
            json!({"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}},
            }}),
        );
        Ok(self)
    }
}

/// Sets a field of the object at a JSON pointer. Where there is no such object nothing is set, and whatever is tested
/// will not be as it should.
pub fn set(document: &mut Value, object: &str, field: &str, value: Value) {
    if let Some(fields) = document.pointer_mut(object).and_then(Value::as_object_mut) {
        fields.insert(field.to_owned(), value);
    }
}
