//! TLS, with certificates that are read again when their files change.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
};

/// OPA's flags.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct TlsFlags {
    /// The certificate of the server, in PEM, with those that it is signed by. Read again when it changes.
    #[arg(long, value_name = "FILE", requires = "tls_private_key_file")]
    tls_cert_file: Option<PathBuf>,
    /// The private key of the certificate.
    #[arg(long, value_name = "FILE", requires = "tls_cert_file")]
    tls_private_key_file: Option<PathBuf>,
    /// The certificates that those of clients are signed by, for `--authentication=tls`.
    #[arg(long, value_name = "FILE", requires = "tls_cert_file")]
    tls_ca_cert_file: Option<PathBuf>,
}

/// The files, and what was made of them.
#[derive(Debug)]
pub(super) struct Tls {
    files: Files,
    current: RwLock<(Content, Arc<ServerConfig>)>,
}

#[derive(Clone, Debug)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
    authority: Option<PathBuf>,
}

/// What was in the files.
#[derive(Clone, PartialEq, Eq)]
struct Content {
    certificate: Vec<u8>,
    key: Vec<u8>,
    authority: Option<Vec<u8>>,
}

// === impl TlsFlags ===

impl TlsFlags {
    pub(super) fn has_authority(&self) -> bool {
        self.tls_ca_cert_file.is_some()
    }

    pub(super) fn tls(&self) -> Result<Option<Tls>, String> {
        let (Some(certificate), Some(key)) = (&self.tls_cert_file, &self.tls_private_key_file) else {
            return Ok(None);
        };
        let files = Files {
            certificate: certificate.clone(),
            key: key.clone(),
            authority: self.tls_ca_cert_file.clone(),
        };
        let content = files.read()?;
        let config = Arc::new(files.config(&content)?);
        Ok(Some(Tls { files, current: RwLock::new((content, config)) }))
    }
}

// === impl Tls ===

impl Tls {
    /// What the next connection is made with.
    pub(super) fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner).1)
    }

    /// Reads the files again; says whether they have changed.
    ///
    /// # Errors
    /// Why what is in them is of no use; what was read before stays.
    pub(super) fn refresh(&self) -> Result<bool, String> {
        let content = self.files.read()?;
        if self.current.read().unwrap_or_else(PoisonError::into_inner).0 == content {
            return Ok(false);
        }
        let config = Arc::new(self.files.config(&content)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = (content, config);
        Ok(true)
    }
}

// === impl Files ===

impl Files {
    fn read(&self) -> Result<Content, String> {
        let authority = self.authority.as_deref().map(read).transpose()?;
        Ok(Content { certificate: read(&self.certificate)?, key: read(&self.key)?, authority })
    }

    fn config(&self, content: &Content) -> Result<ServerConfig, String> {
        let chain = certificates(&self.certificate, &content.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&content.key)
            .map_err(|error| format!("{}: {error}", self.key.display()))?;
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let builder = match (&self.authority, &content.authority) {
            (Some(path), Some(authority)) => {
                let said = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
                let mut roots = RootCertStore::empty();
                for certificate in certificates(path, authority)? {
                    roots.add(certificate).map_err(|error| said(&error))?;
                }
                // A probe has no certificate; everything but `/health` is refused without.
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                    .allow_unauthenticated()
                    .build()
                    .map_err(|error| said(&error))?;
                builder.with_client_cert_verifier(verifier)
            }
            _ => builder.with_no_client_auth(),
        };
        let mut config = builder
            .with_single_cert(chain, key)
            .map_err(|error| format!("{}: {error}", self.certificate.display()))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = certificates.map_err(|error| format!("{}: {error}", path.display()))?;
    if certificates.is_empty() {
        return Err(format!("{}: there is no certificate in it", path.display()));
    }
    Ok(certificates)
}

// === impl Content ===

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Content").finish_non_exhaustive()
    }
}
