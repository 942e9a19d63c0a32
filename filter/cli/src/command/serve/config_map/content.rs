//! What of a ConfigMap is policy.

use std::collections::BTreeSet;

use hexr_authz_core::bundle::SourceFile;
use k8s_openapi::api::core::v1;

use super::{ConfigMap, Presence, Seen};

impl ConfigMap {
    /// Takes what the cluster has now, and tells whoever packs it.
    pub(super) fn take(&self, object: Option<v1::ConfigMap>) {
        let mut seen = self.seen();
        let presence = match object {
            Some(object) => Presence::Here(self.files_of(object, &mut seen)),
            None if matches!(seen.presence, Presence::Unknown | Presence::Missing) => Presence::Missing,
            None => Presence::Deleted,
        };
        let same = match (&presence, &seen.presence) {
            (Presence::Here(new), Presence::Here(old)) => new == old,
            (Presence::Missing, Presence::Missing) | (Presence::Deleted, Presence::Deleted) => true,
            (Presence::Here(_) | Presence::Missing | Presence::Deleted | Presence::Unknown, _) => false,
        };
        if !same {
            seen.contents += 1;
            seen.presence = presence;
            self.changed.notify_one();
        }
    }

    /// The keys that are policy. Each other one is warned of once, for as long as it is there.
    fn files_of(&self, object: v1::ConfigMap, seen: &mut Seen) -> Vec<SourceFile> {
        let text = object.data.unwrap_or_default().into_iter().map(|(key, text)| (key, text.into_bytes()));
        // A module that is no UTF-8 is not left out but refused with the rest: it may be the one that forbids.
        let binary = object.binary_data.unwrap_or_default().into_iter().map(|(key, bytes)| (key, bytes.0));
        let (policy, others): (Vec<_>, Vec<_>) =
            text.chain(binary).filter(|(key, _)| !self.ignored.has(key)).partition(|(key, _)| {
                key.ends_with(".rego") || matches!(&**key, "data.json" | "data.yaml" | "data.yml")
            });
        let others: BTreeSet<String> = others.into_iter().map(|(key, _)| key).collect();
        for key in others.difference(&seen.warned_of) {
            self.log(&format!(
                "key `{key}` is ignored: modules end in `.rego`, data is `data.json`, `data.yaml` or `data.yml`"
            ));
        }
        seen.warned_of = others;
        let file = |(path, content)| SourceFile { path, content };
        policy.into_iter().map(file).collect()
    }
}
