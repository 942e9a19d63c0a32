//! OPA takes what we sign: bundles by every algorithm, with data that is hard to hash alike.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what the tests share stops at the first thing that does not work"
)]

use std::{collections::BTreeMap, fs};

use hexr_authz_core::{
    bundle::{Signer, SourceFile, pack_signed},
    timestamp::Timestamp,
};
use integration::{
    differential::{Signatures, SignedBundle},
    repository,
};
use serde_json::Value;

const NOW: Timestamp = Timestamp::from_unix_nanos(1_800_000_000_000_000_000);
const ALGORITHMS: [&str; 12] = [
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "HS256", "HS384",
    "HS512",
];

/// The keys of the recorded vectors, and the files of those bundles that are odd.
fn vectors() -> (BTreeMap<String, Value>, Vec<SourceFile>) {
    let path = repository().join("filter/core/src/bundle/signature/vectors/opa.json");
    let vectors: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let keys = serde_json::from_value(vectors["keys"].clone()).unwrap();
    let mut files = vec![source("authz.rego", "package hexr.authz\n\nallow := true\n")];
    for trial in vectors["trials"].as_array().unwrap() {
        if trial["name"].as_str().unwrap().starts_with("odd: ") {
            let odd = trial["files"].as_object().unwrap().iter();
            let odd = odd.filter(|(path, _)| !matches!(path.as_str(), ".signatures.json" | "authz.rego"));
            // Numbers that no evaluator of ours reads are left to the vectors.
            let odd = odd.filter(|(path, _)| *path != "numbers/data.json");
            files.extend(odd.map(|(path, text)| source(path, text.as_str().unwrap())));
        }
    }
    files.push(source("numbers/data.json", r#"{"n": [1.0, 1E2, -0, 0.10, 12345678901234567890123]}"#));
    files.push(source(".manifest", r#"{"metadata": {"by": "<us & them>", "n": 1.0, "deep": [{}]}}"#));
    (keys, files)
}

fn source(path: &str, text: &str) -> SourceFile {
    SourceFile { path: path.to_owned(), content: text.as_bytes().to_vec() }
}

#[test]
fn opa_takes_what_we_sign() {
    let Some(opa) = Signatures::build().unwrap() else {
        println!("there is no Go: OPA is not asked");
        return;
    };
    let (keys, files) = vectors();
    assert!(files.len() > 10);
    let mut bundles = Vec::new();
    for algorithm in ALGORITHMS {
        let key = &keys[algorithm];
        for private in key["private"].as_array().unwrap() {
            let signer = Signer::new(algorithm, private.as_str().unwrap(), "the key").unwrap();
            let signer = signer.with_claims(r#"{"scope": "write", "iss": "tests"}"#).unwrap();
            bundles.push(SignedBundle {
                bytes: pack_signed(&files, "r1", &signer, NOW).unwrap(),
                key_id: "the key".to_owned(),
                algorithm: algorithm.to_owned(),
                key: key["key"].as_str().unwrap().to_owned(),
                scope: "write".to_owned(),
            });
        }
    }
    let verdicts = opa.verdicts(&bundles).unwrap();
    for (bundle, verdict) in bundles.iter().zip(&verdicts) {
        assert_eq!(verdict, "", "{}", bundle.algorithm);
    }
    // And it looks at them.
    let wrong = SignedBundle { scope: "read".to_owned(), ..bundles[0].clone() };
    let other = SignedBundle { key: bundles[2].key.replace("MII", "MIJ"), ..bundles[0].clone() };
    assert!(opa.verdicts(&[wrong, other]).unwrap().iter().all(|verdict| !verdict.is_empty()));
}
