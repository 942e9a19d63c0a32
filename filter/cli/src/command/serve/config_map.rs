//! ConfigMaps that are watched through the Kubernetes API.

mod access;
mod cluster;
mod content;
mod watch;

use std::{
    collections::BTreeSet,
    fmt,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hexr_authz_core::bundle::SourceFile;
use tokio::sync::Notify;

pub(super) use self::cluster::is_configured as is_cluster_configured;
use self::watch::Trouble;
use crate::{output::tell, source::Ignored};

/// How long the start waits for the Kubernetes API before it serves what there is, which may be nothing.
const FIRST_LOOK: Duration = Duration::from_secs(3);

/// A ConfigMap's namespace and name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    namespace: String,
    name: String,
}

/// What the ConfigMaps of a server have in common.
#[derive(Debug)]
pub(super) struct ConfigMaps {
    pub(super) ignored: Ignored,
    /// Told whenever something is new.
    pub(super) changed: Arc<Notify>,
}

/// One ConfigMap, as it was last seen.
#[derive(Debug)]
pub(super) struct ConfigMap {
    place: Place,
    /// The bundle that is made of it, for the log.
    bundle: String,
    ignored: Ignored,
    changed: Arc<Notify>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    presence: Presence,
    link: Link,
    /// How many contents there have been.
    contents: u64,
    /// The keys that the log has said to be ignored.
    warned_of: BTreeSet<String>,
}

/// What the cluster last said of the ConfigMap.
#[derive(Debug, Default)]
enum Presence {
    /// Nothing yet.
    #[default]
    Unknown,
    /// It is there, with these files.
    Here(Vec<SourceFile>),
    /// There has never been one.
    Missing,
    /// There was one.
    Deleted,
}

/// Whether changes would be heard of.
#[derive(Debug, Default)]
enum Link {
    #[default]
    Connecting,
    Watching,
    Broken(Trouble),
}

// === impl Place ===

impl Place {
    /// Reads `NAMESPACE/NAME`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (namespace, name) =
            text.split_once('/').ok_or("must be NAMESPACE/CONFIGMAP, as `hexr-system/opa-policy`")?;
        let allowed =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
        for part in [namespace, name] {
            if part.is_empty() || !part.bytes().all(allowed) {
                return Err(format!("`{part}` must be lower case letters, digits, `-`, `.`"));
            }
        }
        Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
    }
}

impl Default for Place {
    fn default() -> Self {
        Self { namespace: "hexr-system".to_owned(), name: "opa-policy".to_owned() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.namespace, self.name)
    }
}

// === impl ConfigMaps ===

impl ConfigMaps {
    /// Follows ConfigMaps for as long as the runtime lives, and returns when each has been looked for once, or when that
    /// takes long.
    ///
    /// # Errors
    /// When it is not known how to reach the cluster.
    pub(super) async fn follow(
        &self,
        places: Vec<(String, Place)>,
        kubeconfig: Option<&Path>,
    ) -> anyhow::Result<Vec<(String, Arc<ConfigMap>)>> {
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let client = cluster::client(kubeconfig).await?;
        let mut maps = Vec::new();
        for (name, place) in places {
            let map = Arc::new(ConfigMap {
                place,
                bundle: name.clone(),
                ignored: self.ignored.clone(),
                changed: Arc::clone(&self.changed),
                seen: Mutex::default(),
            });
            tokio::spawn(watch::follow(Arc::clone(&map), client.clone()));
            maps.push((name, map));
        }
        let looked_for = async {
            while maps.iter().any(|(_, map)| !map.was_looked_for()) {
                self.changed.notified().await;
            }
        };
        let _ = tokio::time::timeout(FIRST_LOOK, looked_for).await;
        Ok(maps)
    }
}

// === impl ConfigMap ===

impl ConfigMap {
    /// How many contents there have been, while there is one.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn fingerprint(&self) -> Result<u64, String> {
        let seen = self.seen();
        match (&seen.presence, &seen.link) {
            (Presence::Here(_), _) => Ok(seen.contents),
            (Presence::Missing, _) => Err(self.is_missing()),
            (Presence::Deleted, _) => Err(self.is_deleted()),
            (Presence::Unknown, Link::Broken(trouble)) => {
                Err(format!("ConfigMap `{}`: {}", self.place, trouble.long))
            }
            (Presence::Unknown, Link::Connecting | Link::Watching) => {
                Err(format!("ConfigMap `{}` has not been read yet", self.place))
            }
        }
    }

    /// The policy's files.
    ///
    /// # Errors
    /// When there are none.
    pub(super) fn files(&self) -> Result<Vec<SourceFile>, String> {
        match &self.seen().presence {
            Presence::Here(files) if files.is_empty() => Err(format!(
                "ConfigMap `{}`: no policy here: keys that end in `.rego`, `data.json`, `data.yaml`",
                self.place
            )),
            Presence::Here(files) => Ok(files.clone()),
            Presence::Unknown | Presence::Missing | Presence::Deleted => Err(self.is_missing()),
        }
    }

    /// How it stands, in a line; `serving` when a bundle of it is served.
    pub(super) fn state(&self, serving: bool) -> String {
        let seen = self.seen();
        let stays = if serving { "; the last good bundle is served" } else { "" };
        match (&seen.link, &seen.presence) {
            (Link::Broken(trouble), _) => format!("{}{stays}", trouble.short),
            (Link::Connecting | Link::Watching, Presence::Deleted) => format!("{}{stays}", self.is_deleted()),
            (Link::Connecting | Link::Watching, Presence::Missing) => self.is_missing(),
            (Link::Connecting, Presence::Unknown | Presence::Here(_)) => "connecting".to_owned(),
            (Link::Watching, Presence::Unknown | Presence::Here(_)) => "connected".to_owned(),
        }
    }

    fn is_missing(&self) -> String {
        format!("there is no ConfigMap `{}`", self.place)
    }

    fn is_deleted(&self) -> String {
        format!("the ConfigMap `{}` is deleted", self.place)
    }

    fn was_looked_for(&self) -> bool {
        let seen = self.seen();
        !matches!((&seen.presence, &seen.link), (Presence::Unknown, Link::Connecting))
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self, message: &str) {
        tell(format!("bundle `{}`: ConfigMap `{}`: {message}", self.bundle, self.place));
    }
}
