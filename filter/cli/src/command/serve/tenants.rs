//! The tenants' own bundles: a folder with a folder for each.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{Duration, Instant},
};

use axum::body::Bytes;
use hexr_authz_core::bundle::Subject;

use super::{
    bundles::{BundleState, LOOK_EVERY, Terms},
    document::{Document, Kind, Publication, Reading},
    origin::Origin,
};
use crate::{
    output::tell,
    source::{Ignored, Source},
};

/// All tenants.
#[derive(Debug)]
pub(super) struct Tenants {
    folder: PathBuf,
    ignored: Ignored,
    terms: Arc<Terms>,
    bundles: RwLock<BTreeMap<String, Tenant>>,
    index: Publication,
    problem: RwLock<Option<String>>,
    /// Names of folders that are none of tenants; each is complained of once.
    strange: Mutex<BTreeSet<String>>,
}

#[derive(Clone, Debug)]
struct Tenant {
    bundle: Arc<BundleState>,
    /// How often in a row its folder was not there.
    missed: u32,
}

/// A folder is replaced by removing it and moving another there: it is gone when it was missed that often.
const GONE_AFTER: u32 = 3;
/// The pause after a look at many tenants is this many times as long as the look,
const PAUSES: u32 = 10;
/// but no longer than this.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

// === impl Tenants ===

impl Tenants {
    pub(super) fn new(folder: &Path, ignored: Ignored, terms: Arc<Terms>) -> Self {
        Self {
            folder: folder.to_owned(),
            ignored,
            terms,
            bundles: RwLock::default(),
            index: Publication::new(),
            problem: RwLock::default(),
            strange: Mutex::default(),
        }
    }

    /// The bundle of the tenant that is served as `file`.
    pub(super) fn find(&self, file: &str) -> Option<Arc<BundleState>> {
        let bundles = self.bundles.read().unwrap_or_else(PoisonError::into_inner);
        bundles.get(file.strip_suffix(".tar.gz")?).map(|tenant| Arc::clone(&tenant.bundle))
    }

    /// The list of all tenants' ETags.
    pub(super) fn index(&self) -> Reading {
        self.index.reading()
    }

    /// Why the folder cannot be read.
    pub(super) fn problem(&self) -> Option<String> {
        self.problem.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn all(&self) -> Vec<(String, Arc<BundleState>)> {
        let bundles = self.bundles.read().unwrap_or_else(PoisonError::into_inner);
        bundles.iter().map(|(name, tenant)| (name.clone(), Arc::clone(&tenant.bundle))).collect()
    }

    /// Looks at every tenant's folder, and packs those that have changed.
    pub(super) async fn refresh(self: &Arc<Self>) -> bool {
        let tenants = Arc::clone(self);
        tokio::task::spawn_blocking(move || tenants.look()).await.unwrap_or_default()
    }

    pub(super) async fn watch(self: Arc<Self>) {
        let mut pause = LOOK_EVERY;
        loop {
            tokio::time::sleep(pause).await;
            let start = Instant::now();
            let has_changed = self.refresh().await;
            pause = if has_changed {
                LOOK_EVERY
            } else {
                (start.elapsed() * PAUSES).clamp(LOOK_EVERY, LONGEST_PAUSE)
            };
        }
    }

    fn look(&self) -> bool {
        let is_first = self.index.current().is_none();
        let kept: BTreeSet<String> =
            self.terms.shelf.as_ref().map(|shelf| shelf.tenants().into_iter().collect()).unwrap_or_default();
        let found = self.names().and_then(|names| {
            let are_known = !kept.is_empty() || !self.all().is_empty();
            // What is not mounted, or not there yet, looks so; that nobody has a policy any more would be a lot to say.
            if names.is_empty() && are_known { Err(self.is_empty()) } else { Ok(names) }
        });
        let problem = found.as_ref().err().cloned();
        let mut has_changed = match found {
            // Those of an earlier run are gone when they are missed again.
            Ok(names) if is_first => self.enroll(&names.union(&kept).cloned().collect(), false),
            Ok(names) => self.enroll(&names, true),
            // All stay as they are; at the beginning that is as an earlier run has left them.
            Err(_) if is_first => self.enroll(&kept, false),
            Err(_) => false,
        };
        for (_, bundle) in self.all() {
            has_changed |= bundle.refresh();
        }
        let is_known = problem.is_none() || !self.all().is_empty();
        let mut told = self.problem.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(problem) = problem.as_ref().filter(|problem| told.as_ref() != Some(problem)) {
            tell(format!("tenants: those known stay, because:\n{problem}"));
        }
        *told = problem;
        drop(told);
        // An empty list would say that no tenant has a policy.
        if is_known && (has_changed || is_first) {
            self.publish();
        }
        has_changed
    }

    /// Begins to serve those that are new, and ends it for those that are gone.
    fn enroll(&self, names: &BTreeSet<String>, is_whole: bool) -> bool {
        let mut bundles = self.bundles.write().unwrap_or_else(PoisonError::into_inner);
        for name in names {
            let tenant = bundles.entry(name.clone()).or_insert_with(|| Tenant {
                bundle: Arc::new(BundleState::new(
                    format!("tenants/{name}"),
                    Origin::Folder(Source::new(&self.folder.join(name), self.ignored.clone())),
                    Subject::Tenant(name.clone()),
                    Arc::clone(&self.terms),
                )),
                missed: 0,
            });
            tenant.missed = 0;
        }
        let before = bundles.len();
        if is_whole {
            bundles.retain(|name, tenant| {
                tenant.missed = if names.contains(name) { 0 } else { tenant.missed.saturating_add(1) };
                let stays = tenant.missed < GONE_AFTER;
                if !stays {
                    tell(format!("bundle `tenants/{name}`: no longer served, because its folder is gone"));
                }
                stays
            });
        }
        let has_changed = bundles.len() != before;
        drop(bundles);
        if let Some(shelf) = self.terms.shelf.as_ref().filter(|_| is_whole) {
            let known: BTreeSet<String> = self.all().into_iter().map(|(name, _)| name).collect();
            if has_changed {
                shelf.tenants().iter().filter(|name| !known.contains(*name)).for_each(|name| {
                    shelf.remove(&format!("tenants/{name}"));
                });
            }
        }
        has_changed
    }

    fn publish(&self) {
        let all = self.all();
        let etags: BTreeMap<&str, String> = all
            .iter()
            .filter_map(|(name, bundle)| {
                let etag = bundle.current()?.etag.to_str().ok()?.to_owned();
                Some((name.as_str(), etag))
            })
            .collect();
        let index = serde_json::json!({"tenants": etags}).to_string();
        self.index.publish(Document::new(Bytes::from(index), Kind::Json));
    }

    fn is_empty(&self) -> String {
        format!(
            "{} is empty: is it mounted? The last tenant leaves with the server's restart",
            self.folder.display()
        )
    }

    fn names(&self) -> Result<BTreeSet<String>, String> {
        let said = |error: io::Error| format!("{}: {error}", self.folder.display());
        let mut names = BTreeSet::new();
        for entry in fs::read_dir(&self.folder).map_err(said)? {
            let entry = entry.map_err(said)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            // A mounted ConfigMap or Secret has its content in `..data`.
            if name.starts_with('.') {
                continue;
            }
            match fs::metadata(entry.path()) {
                Ok(metadata) if !metadata.is_dir() => continue,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(format!("{}: {error}", entry.path().display())),
            }
            if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)) {
                names.insert(name);
            } else if self.strange.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone()) {
                tell(format!("tenants: `{name}` is not served: a tenant is letters, digits, `.`, `_`, `-`"));
            }
        }
        Ok(names)
    }
}
