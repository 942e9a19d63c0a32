//! A certificate authority with SPIFFE IDs, made on the spot.

use std::{fs, path::Path};

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, string::Ia5String,
};
use time::{Duration, OffsetDateTime};

/// Signs certificates.
pub struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, in PEM.
#[derive(Clone, Debug)]
pub struct Svid {
    /// The certificate.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

/// How long certificates are valid where nothing else is asked for.
const DAY: Duration = Duration::DAY;

// === impl Authority ===

impl Authority {
    /// Makes one.
    ///
    /// # Errors
    /// When a key cannot be made.
    pub fn new() -> Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Hexr Authz demo authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = OffsetDateTime::now_utc() - DAY;
        params.not_after = OffsetDateTime::now_utc() + 30 * DAY;
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { pem, issuer: Issuer::new(params, key) })
    }

    /// Its own certificate.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// An agent's certificate with these URI SANs, valid for a day.
    ///
    /// # Errors
    /// When a URI is not ASCII.
    pub fn svid(&self, uris: &[&str]) -> Result<Svid> {
        self.svid_until(uris, OffsetDateTime::now_utc() + DAY)
    }

    /// The same, valid until `not_after`.
    ///
    /// # Errors
    /// When a URI is not ASCII.
    pub fn svid_until(&self, uris: &[&str], not_after: OffsetDateTime) -> Result<Svid> {
        let names = uris.iter().map(|uri| Ok(SanType::URI(Ia5String::try_from(*uri)?)));
        self.issue(names.collect::<Result<_>>()?, not_after, ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// Envoy's own certificate.
    ///
    /// # Errors
    /// When a key cannot be made.
    pub fn envoy(&self) -> Result<Svid> {
        self.envoy_as(&["localhost"])
    }

    /// A certificate for an Envoy that is taken for hosts of these names.
    ///
    /// # Errors
    /// When a name is not ASCII.
    pub fn envoy_as(&self, hosts: &[&str]) -> Result<Svid> {
        let hosts = hosts.iter().map(|host| Ok(SanType::DnsName(Ia5String::try_from(*host)?)));
        let mut names = hosts.collect::<Result<Vec<_>>>()?;
        names.push(SanType::IpAddress(std::net::Ipv4Addr::LOCALHOST.into()));
        self.issue(names, OffsetDateTime::now_utc() + DAY, ExtendedKeyUsagePurpose::ServerAuth)
    }

    fn issue(
        &self,
        names: Vec<SanType>,
        not_after: OffsetDateTime,
        usage: ExtendedKeyUsagePurpose,
    ) -> Result<Svid> {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names;
        params.not_before = OffsetDateTime::now_utc() - DAY;
        params.not_after = not_after;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate()?;
        Ok(Svid { certificate: params.signed_by(&key, &self.issuer)?.pem(), key: key.serialize_pem() })
    }

    /// Writes `ca.pem`, and Envoy's certificate as `envoy.pem` and `envoy-key.pem`.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write_for_envoy(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join("ca.pem"), &self.pem)?;
        self.envoy()?.write(folder, "envoy")
    }
}

// === impl Svid ===

impl Svid {
    /// Writes `NAME.pem` and `NAME-key.pem`.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, folder: &Path, name: &str) -> Result<()> {
        fs::write(folder.join(format!("{name}.pem")), &self.certificate)?;
        Ok(fs::write(folder.join(format!("{name}-key.pem")), &self.key)?)
    }
}
