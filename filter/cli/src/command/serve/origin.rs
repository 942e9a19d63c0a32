//! What a bundle is made of.

use std::sync::Arc;

use hexr_authz_core::bundle::Subject;

use super::config_map::ConfigMap;
use crate::{
    command::{ANY_AUDIT_LOG, BUDGET},
    source::{Fingerprint, Packed, Source},
};

/// Where the files of a bundle come from.
#[derive(Debug)]
pub(super) enum Origin {
    /// A folder, looked at again and again.
    Folder(Source),
    /// A ConfigMap, which tells of its changes.
    ConfigMap(Arc<ConfigMap>),
}

/// What changes when an origin changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Of a folder.
    Folder(Fingerprint),
    /// How many contents the ConfigMap has had.
    ConfigMap(u64),
}

// === impl Origin ===

impl Origin {
    /// What the origin looks like from outside.
    pub(super) fn fingerprint(&self) -> Result<Look, String> {
        match self {
            Self::Folder(source) => source.fingerprint().map(Look::Folder),
            Self::ConfigMap(map) => map.fingerprint().map(Look::ConfigMap),
        }
    }

    /// Packs what is there now.
    ///
    /// # Errors
    /// Everything that is wrong with it, a line each.
    pub(super) fn pack(&self, subject: &Subject) -> Result<Packed, String> {
        match self {
            Self::Folder(source) => source.pack(None, subject, BUDGET, &ANY_AUDIT_LOG),
            Self::ConfigMap(map) => Packed::of(&map.files()?, None, None, subject, BUDGET, &ANY_AUDIT_LOG),
        }
    }

    /// How it stands with an origin that is elsewhere; `serving` when a bundle of it is served.
    pub(super) fn state(&self, serving: bool) -> Option<String> {
        match self {
            Self::Folder(_) => None,
            Self::ConfigMap(map) => Some(map.state(serving)),
        }
    }
}
