//! `keys` and `bundles.<name>.signing`: by what signatures bundles are accepted.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Environment, bundle_source::substitute, node::Node};
use crate::bundle::{KeyChoice, Verification, VerificationKey};

/// The keys by their ids; one with a mistake in it is known by its id alone.
pub(super) type Keys<'a> = BTreeMap<&'a str, Option<VerificationKey>>;

/// Ten years.
const LONGEST_AGE_SECONDS: u64 = 315_360_000;

pub(super) fn check_keys<'a>(node: &Node<'a>, environment: Environment<'_>) -> Keys<'a> {
    node.entries().into_iter().map(|(id, node)| (id, check_key(id, &node, environment))).collect()
}

fn check_key(id: &str, node: &Node<'_>, environment: Environment<'_>) -> Option<VerificationKey> {
    if id.is_empty() {
        node.problem("a key has a name");
    }
    let fields = node.fields();
    let private = fields.field("private_key");
    if private.is_present() {
        private.problem(
            "the filter only verifies, and a private key has no place where others read it; remove it",
        );
    }
    let algorithm_node = fields.field("algorithm");
    let algorithm = if algorithm_node.is_present() {
        algorithm_node.parsed(|name| VerificationKey::check_algorithm(name).map(|()| name))
    } else {
        Some(VerificationKey::DEFAULT_ALGORITHM)
    };
    let scope = fields.field("scope").string().unwrap_or_default();
    let key_node = fields.field("key").required();
    let text = key_node.parsed(|text| substitute(text, environment));
    fields.end();
    let (algorithm, text) = (algorithm?, text?);
    if text == super::UNKNOWN_VALUE {
        return Some(VerificationKey::unknown(id, algorithm, scope));
    }
    let key = VerificationKey::new(id, algorithm, &text, scope);
    key.map_err(|problem| key_node.problem(problem)).ok()
}

/// How the bundles of a source are verified; nothing where that is not asked for, or has a mistake.
pub(super) fn check_signing(node: &Node<'_>, keys: &Keys<'_>) -> Option<Verification> {
    if !node.is_present() {
        return None;
    }
    let fields = node.fields();
    let excluded = fields.field("exclude_files");
    if excluded.is_present() {
        excluded.problem("a signature covers every file of a bundle, without exceptions; remove it");
    }
    let (one, several) = (fields.field("keyid"), fields.field("keyids"));
    let scope = fields.field("scope").string().unwrap_or_default();
    let max_age = fields.field("max_age_seconds");
    let max_age_seconds = max_age.is_present().then(|| max_age.integer(1..=LONGEST_AGE_SECONDS, 1));
    let min_iat = fields.field("min_iat");
    let min_iat = min_iat.is_present().then(|| min_iat.integer(0..=i64::MAX.unsigned_abs(), 0));
    fields.end();
    let (ids, choice) = match (one.is_present(), several.is_present()) {
        (true, true) => {
            several.problem("with `keyid` this key contradicts it: give all ids in `keyids`");
            return None;
        }
        (true, false) => (vec![one], KeyChoice::Any),
        (false, true) => {
            if several.raw().and_then(Value::as_array).is_some_and(Vec::is_empty) {
                several.problem("at least one key is needed");
            }
            (several.array(), KeyChoice::Any)
        }
        (false, false) => {
            if keys.is_empty() {
                node.problem("there are no `keys` to verify with");
                return None;
            }
            let all: Option<Vec<_>> = keys.values().cloned().collect();
            return finished(all?, KeyChoice::Named, scope, max_age_seconds, min_iat);
        }
    };
    let chosen: Option<Vec<VerificationKey>> = ids
        .iter()
        .map(|id| {
            id.parsed(|name| {
                let known = || keys.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
                keys.get(name).ok_or_else(|| format!("`{name}` is not among `keys` ({})", known()))
            })
        })
        .collect::<Option<Vec<_>>>()?
        .into_iter()
        .cloned()
        .collect();
    finished(chosen?, choice, scope, max_age_seconds, min_iat)
}

fn finished(
    keys: Vec<VerificationKey>,
    choice: KeyChoice,
    scope: &str,
    max_age_seconds: Option<u64>,
    min_iat: Option<u64>,
) -> Option<Verification> {
    let mut verification = Verification::new(keys, choice, scope).ok()?;
    verification.max_age_seconds = max_age_seconds;
    verification.min_iat = min_iat.and_then(|iat| i64::try_from(iat).ok());
    Some(verification)
}
