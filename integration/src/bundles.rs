//! Bundles for the scripted server.

use anyhow::{Result, anyhow};
use flate2::{Compression, write::GzEncoder};
use hexr_authz_core::bundle::{SourceFile, pack};
use hyper::body::Bytes;

use crate::scripted_server::Script;

/// A bundle of `files` (paths and contents), as our own tool makes it.
///
/// # Errors
/// Everything that is wrong with the files.
pub fn packed(files: &[(&str, &str)], revision: &str) -> Result<Bytes> {
    let file = |(path, content): &(&str, &str)| SourceFile {
        path: (*path).to_owned(),
        content: content.as_bytes().to_vec(),
    };
    let files: Vec<SourceFile> = files.iter().map(file).collect();
    pack(&files, revision).map(Bytes::from).map_err(|problems| anyhow!(problems))
}

/// A bundle of one module, as a tool without a compiler makes it.
///
/// # Errors
/// When it cannot be written.
pub fn unchecked(module: &str) -> Result<Bytes> {
    bundle_of(&[("authz.rego", module)])
}

/// A bundle of just these files, `.manifest` among them or not.
///
/// # Errors
/// When it cannot be written.
pub fn bundle_of(files: &[(&str, &str)]) -> Result<Bytes> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, path, content.as_bytes())?;
    }
    Ok(archive.into_inner()?.finish()?.into())
}

/// A policy that allows one role everything.
pub fn allowing(role: &str) -> String {
    format!("package hexr.authz\n\ndefault allow := false\n\nallow if input.role == \"{role}\"\n")
}

/// A rule that fills the memory which Envoy gives a VM when a `crasher` asks, where the evaluation may take that long.
pub const TRAPS_FOR_CRASHER: &str = r#"
allow {
    input.role == "crasher"
    big := concat("", [text | numbers.range(1, 100000)[_]; text := "0123456789"])
    count([text | n := numbers.range(1, 3000)[_]; text := sprintf("%s%d", [big, n])]) < 0
}
"#;

// === impl Script ===

impl Script {
    /// 200 with a bundle of one module, without an `ETag`.
    ///
    /// # Errors
    /// When the module does not parse.
    pub fn module(module: &str, revision: &str) -> Result<Self> {
        Ok(Self::body(200, packed(&[("authz.rego", module)], revision)?))
    }

    /// An answer without an `ETag`.
    pub fn body(status: u16, body: impl Into<Bytes>) -> Self {
        Self::Answer { status, etag: None, body: body.into() }
    }
}
