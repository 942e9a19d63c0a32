//! Policies on disk: which files of a folder belong into a bundle, and whether they make a policy.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use glob::Pattern;
use hexr_authz_core::{
    audit_log::AuditLog,
    bundle::{
        Bundle, BundleLimits, BundleSet, Manifest, Signer, SourceFile, Subject, Verification, pack,
        pack_signed, unpack, verify_files,
    },
    delivery::Digest,
    pace::{Pace, finish},
    policy::{Budget, Data, Module, Policy, SlowPart},
    timestamp::Timestamp,
};
use walkdir::{DirEntry, WalkDir};

/// A folder, or a single file, with policies.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    path: PathBuf,
    ignored: Ignored,
    /// A bundle already, and how it is verified.
    bundle: Option<Option<Verification>>,
    signer: Option<Arc<Signer>>,
}

/// Patterns of the names of files and folders that are left out, as OPA's `--ignore` has them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ignored(Vec<Pattern>);

/// What changes when a source changes: paths, sizes and times of its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint(Vec<(PathBuf, u64, Option<SystemTime>)>);

/// A bundle that compiles.
#[derive(Clone, Debug)]
pub(crate) struct Packed {
    pub(crate) bytes: Vec<u8>,
    pub(crate) revision: String,
    /// What costs more the larger it grows.
    pub(crate) slow_parts: Vec<SlowPart>,
}

/// The filter's, where it is not told others.
pub(crate) const LIMITS: BundleLimits = BundleLimits { compressed: crate::command::BUNDLE_BYTES };
/// The file in which a bundle speaks of itself.
const MANIFEST: &str = ".manifest";
/// How many characters of the sources' digest are a revision of their own.
const REVISION_LENGTH: usize = 12;

// === impl Source ===

impl Source {
    pub(crate) fn new(path: &Path, ignored: Ignored) -> Self {
        Self { path: path.to_owned(), ignored, bundle: None, signer: None }
    }

    /// The source as a bundle: a tarball, or a folder that was one. What is signed in it must be so by `verification`.
    pub(crate) fn into_bundle(self, verification: Option<Verification>) -> Self {
        Self { bundle: Some(verification), ..self }
    }

    /// The source as one whose bundles are signed.
    pub(crate) fn signed_by(self, signer: Signer) -> Self {
        Self { signer: Some(Arc::new(signer)), ..self }
    }

    /// What the source looks like from outside.
    pub(crate) fn fingerprint(&self) -> Result<Fingerprint, String> {
        Fingerprint::of(self.paths()?)
    }

    /// Packs the source and compiles the result as the filter would.
    ///
    /// # Errors
    /// Everything that is wrong with it, a line each.
    pub(crate) fn pack(
        &self,
        revision: Option<&str>,
        subject: &Subject,
        budget: Budget,
        audit_log: &AuditLog,
    ) -> Result<Packed, String> {
        let files = rooted(self.files()?, subject);
        let given =
            revision.map(str::to_owned).or_else(|| self.bundle.as_ref().and_then(|_| revision_of(&files)));
        Packed::of(&files, given.as_deref(), self.signer.as_deref(), subject, budget, audit_log)
    }

    /// The policy that the source is, compiled as the filter would.
    ///
    /// # Errors
    /// Everything that is wrong with it, a line each.
    pub(crate) fn policy(
        &self,
        subject: &Subject,
        budget: Budget,
        audit_log: &AuditLog,
    ) -> Result<Policy, String> {
        let files = rooted(self.files()?, subject);
        let unsigned = pack(&files, &content_revision(&files))?;
        compile(&unsigned, subject, budget, audit_log).map(|(_, policy)| policy)
    }

    /// The files that belong into the bundle.
    ///
    /// # Errors
    /// Everything that cannot be read, a line each.
    pub(crate) fn files(&self) -> Result<Vec<SourceFile>, String> {
        let verified = match &self.bundle {
            Some(verification) if self.path.is_file() => {
                let bytes =
                    fs::read(&self.path).map_err(|error| format!("{}: {error}", self.path.display()))?;
                unpack(&bytes, LIMITS, verification.as_ref(), now())
                    .map_err(|error| format!("{}: {error}", self.path.display()))?
            }
            Some(verification) => {
                let files = self.read(files_below(&self.path, &self.ignored, |_| true)?)?;
                verify_files(files, verification.as_ref(), now())
                    .map_err(|error| format!("{}: {error}", self.path.display()))?
            }
            None => return self.read_paths(),
        };
        Ok(verified.into_iter().filter(|file| self.ignored.leaves(&file.path)).collect())
    }

    fn read_paths(&self) -> Result<Vec<SourceFile>, String> {
        let paths = self.paths()?;
        if paths.is_empty() {
            return Err(format!(
                "{}: no policy here: files that end in `.rego`, `data.json`, `data.yaml`",
                self.path.display()
            ));
        }
        self.read(paths)
    }

    fn read(&self, paths: Vec<PathBuf>) -> Result<Vec<SourceFile>, String> {
        let read = |path: PathBuf| {
            let content = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            let base = if self.path.is_dir() { &self.path } else { self.path.parent().unwrap_or(&self.path) };
            let inside = path.strip_prefix(base).unwrap_or(&path);
            let segments: Vec<_> = inside.iter().map(|segment| segment.to_string_lossy()).collect();
            Ok(SourceFile { path: segments.join("/"), content })
        };
        paths.into_iter().map(read).collect()
    }

    fn paths(&self) -> Result<Vec<PathBuf>, String> {
        files_below(&self.path, &self.ignored, belongs)
    }
}

// === impl Fingerprint ===

impl Fingerprint {
    /// What files look like from outside.
    ///
    /// # Errors
    /// When one of them is not there any more.
    pub(crate) fn of(paths: Vec<PathBuf>) -> Result<Self, String> {
        let look = |path: PathBuf| {
            let metadata = fs::metadata(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            Ok((path, metadata.len(), metadata.modified().ok()))
        };
        paths.into_iter().map(look).collect::<Result<_, String>>().map(Self)
    }
}

// === impl Packed ===

impl Packed {
    /// Packs files, whose content is the revision where none is given, and compiles the result as the filter would.
    ///
    /// # Errors
    /// Everything that is wrong with them, a line each.
    pub(crate) fn of(
        files: &[SourceFile],
        revision: Option<&str>,
        signer: Option<&Signer>,
        subject: &Subject,
        budget: Budget,
        audit_log: &AuditLog,
    ) -> Result<Self, String> {
        let revision = revision.map_or_else(|| content_revision(files), str::to_owned);
        let unsigned = pack(files, &revision)?;
        let (_, policy) = compile(&unsigned, subject, budget, audit_log)?;
        let slow_parts = policy.slow_parts().to_vec();
        let bytes = match signer {
            Some(signer) => pack_signed(files, &revision, signer, now())?,
            None => unsigned,
        };
        Ok(Self { bytes, revision, slow_parts })
    }
}

/// Compiles a bundle that is not signed as the filter would; its revision, and the policy.
///
/// # Errors
/// Everything that is wrong with it, a line each.
pub(crate) fn compile(
    unsigned: &[u8],
    subject: &Subject,
    budget: Budget,
    audit_log: &AuditLog,
) -> Result<(String, Policy), String> {
    let bundle = Bundle::read(unsigned, LIMITS, None, now()).map_err(|error| error.to_string())?;
    let revision = bundle.revision().to_owned();
    let set = BundleSet::new(vec![(String::new(), bundle)]);
    let policy = finish(set.compile(subject, budget, audit_log, &Pace::unhurried()))?;
    Ok((revision, policy))
}

/// The modules and the data of a bundle that is not signed.
///
/// # Errors
/// Everything that is wrong with it, a line each.
pub(crate) fn parts(name: &str, unsigned: &[u8]) -> Result<(Vec<Module>, Data), String> {
    let bundle = Bundle::read(unsigned, LIMITS, None, now()).map_err(|error| error.to_string())?;
    BundleSet::new(vec![(name.to_owned(), bundle)]).into_parts()
}

/// The same bundle with a signature of this moment.
///
/// # Errors
/// When it is no bundle, or cannot be signed.
pub(crate) fn sign(unsigned: &[u8], signer: &Signer) -> Result<Vec<u8>, String> {
    let files = unpack(unsigned, LIMITS, None, now()).map_err(|error| error.to_string())?;
    pack_signed(&files, &revision_of(&files).unwrap_or_default(), signer, now())
}

/// The files with a manifest that says where a tenant's bundle is rooted, unless they have one.
pub(crate) fn rooted(mut files: Vec<SourceFile>, subject: &Subject) -> Vec<SourceFile> {
    if let Subject::Tenant(tenant) = subject
        && !files.iter().any(|file| file.path == MANIFEST)
    {
        let content = serde_json::json!({"roots": [format!("hexr/tenants/{tenant}")]}).to_string();
        files.push(SourceFile { path: MANIFEST.to_owned(), content: content.into_bytes() });
    }
    files
}

// === impl Ignored ===

impl Ignored {
    pub(crate) fn new(patterns: Vec<Pattern>) -> Self {
        Self(patterns)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|pattern| pattern.matches(name))
    }

    /// Whether the file at this path in a bundle stays a part of it.
    pub(crate) fn leaves(&self, path: &str) -> bool {
        path.rsplit('/').next().is_some_and(belongs) && !path.split('/').any(|segment| self.has(segment))
    }
}

/// The files of a folder whose names belong there, or the file itself.
pub(crate) fn files_below(
    path: &Path,
    ignored: &Ignored,
    belongs: fn(&str) -> bool,
) -> Result<Vec<PathBuf>, String> {
    let mut paths = Vec::new();
    // A mounted ConfigMap is links to links: `authz.rego` to `..data/authz.rego`, and `..data` to a folder.
    let walk = WalkDir::new(path).follow_links(true).sort_by_file_name();
    let is_left_out =
        |entry: &DirEntry| is_hidden(entry) || ignored.has(&entry.file_name().to_string_lossy());
    for entry in walk.into_iter().filter_entry(|entry| entry.depth() == 0 || !is_left_out(entry)) {
        let entry = entry.map_err(|error| error.to_string())?;
        if entry.file_type().is_file() && belongs(&entry.file_name().to_string_lossy()) {
            paths.push(entry.into_path());
        }
    }
    Ok(paths)
}

fn is_hidden(entry: &DirEntry) -> bool {
    let name = entry.file_name().to_string_lossy();
    name.starts_with('.') && !matches!(&*name, ".manifest" | ".signatures.json")
}

/// Whether a bundle has files of that name.
pub(crate) fn belongs(name: &str) -> bool {
    name.ends_with(".rego") || matches!(name, "data.json" | "data.yaml" | "data.yml" | ".manifest")
}

/// This moment.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

/// The revision that a manifest among the files names.
fn revision_of(files: &[SourceFile]) -> Option<String> {
    let manifest = files.iter().find(|file| file.path == MANIFEST)?;
    let manifest = Manifest::parse(std::str::from_utf8(&manifest.content).ok()?).ok()?;
    Some(manifest.revision).filter(|revision| !revision.is_empty())
}

fn content_revision(files: &[SourceFile]) -> String {
    let mut content = Vec::new();
    for file in files {
        let size = file.content.len().to_le_bytes();
        content.extend([file.path.as_bytes(), &[0], &size, &file.content].concat());
    }
    Digest::of(&content).as_str().chars().take(REVISION_LENGTH).collect()
}
