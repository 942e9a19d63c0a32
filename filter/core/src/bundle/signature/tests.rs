use std::collections::BTreeMap;

use serde::Deserialize;

use super::*;
use crate::{
    bundle::{Bundle, BundleError, BundleLimits, SourceFile, archive::Files, pack, pack_signed},
    pace::{Pace, finish},
    timestamp::Timestamp,
};

const LIMITS: BundleLimits = BundleLimits { compressed: 1 << 20 };
/// In seconds since 1970, and then as the caller has it.
const NOW_SECONDS: i64 = 1_800_000_000;
const NOW: Timestamp = at(NOW_SECONDS);
const POLICY: &str = "package hexr.authz\nallow if true";

const fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_nanos(seconds * 1_000_000_000)
}

/// What a real OPA signed, and what it thinks of it. `integration/opa-oracle/signatures` made it.
#[derive(Deserialize)]
struct Vectors {
    keys: BTreeMap<String, Key>,
    trials: Vec<Trial>,
}

#[derive(Clone, Deserialize)]
struct Key {
    algorithm: String,
    key: String,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    private: Vec<String>,
}

#[derive(Deserialize)]
struct Trial {
    name: String,
    files: BTreeMap<String, String>,
    keys: Option<BTreeMap<String, Key>>,
    #[serde(default)]
    keyid: String,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    refused: String,
    #[serde(default)]
    stricter: String,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("vectors/opa.json")).unwrap()
}

impl Key {
    fn verification(&self, id: &str) -> VerificationKey {
        VerificationKey::new(id, &self.algorithm, &self.key, &self.scope).unwrap()
    }
}

impl Trial {
    fn verification(&self) -> Option<Verification> {
        let keys = self.keys.as_ref()?.iter().map(|(id, key)| key.verification(id));
        let (keys, choice) = match self.keyid.as_str() {
            "" => (keys.collect(), KeyChoice::Named),
            id => (keys.filter(|key| key.id() == id).collect(), KeyChoice::Any),
        };
        Some(Verification::new(keys, choice, &self.scope).unwrap())
    }

    fn files(&self) -> Files {
        // As they are called once they are unpacked.
        let file = |(path, text): (&String, &String)| {
            (path.trim_start_matches('/').to_owned(), text.clone().into_bytes())
        };
        self.files.iter().map(file).collect()
    }
}

#[test]
fn bundles_that_opa_signed() {
    let vectors = vectors();
    assert!(vectors.trials.len() > 80);
    for trial in &vectors.trials {
        let verification = trial.verification();
        let verdict = finish(verify(&trial.files(), verification.as_ref(), NOW, &Pace::new(|| true)));
        let accepts = trial.refused.is_empty() && trial.stricter.is_empty();
        assert_eq!(verdict.is_ok(), accepts, "{}: {verdict:?}, but OPA: {}", trial.name, trial.refused);
        if trial.stricter.is_empty() && accepts && verification.is_some() {
            assert!(verdict.unwrap().is_some(), "{}", trial.name);
        }
    }
}

/// Each refusal is for its own reason.
#[test]
fn why_bundles_are_refused() {
    let vectors = vectors();
    for (name, expect) in [
        ("digests by MD5", ".manifest: MD5 is broken"),
        ("digests by SHA-1", ".manifest: SHA-1 is broken"),
        ("no digest's algorithm", "README.md: no algorithm is named"),
        ("an unknown digest", "README.md: the algorithm `SHA-3` is not known"),
        ("half a digest", "README.md: this is not the file that was signed"),
        ("a file listed twice", "README.md: the signature lists this file twice"),
        ("no key", "no key to verify it is there"),
        ("another key", "the signature is not one by `other RS256`"),
        ("an HMAC by the public key", "the signature is not one by `RS256`"),
        ("no algorithm", "the signature is not one by `RS256`"),
        ("another header", "the signature is not one by `RS256`"),
        ("nameless", "the signature names no key"),
        ("named by another name", "the key `RS256`, which is not among `keys`"),
        ("another scope", "for the scope `write`, not for `Write`"),
        ("a scope that is not there", "for the scope ``, not for `write`"),
        ("two parts", "not a compact JSON Web Signature"),
        ("two signatures", "exactly one signature belongs there, but there are 2"),
        ("no signature", "exactly one signature belongs there, but there are 0"),
        ("an empty file of signatures", "the bundle is not signed"),
        ("no file of signatures", "the bundle is not signed"),
        ("another plugin", "the plugin `x` is not known"),
        ("two files of signatures", "`.signatures.json` and `folder/.signatures.json`"),
        ("no JSON", ".signatures.json: expected value"),
        ("a changed module", "authz.rego: this is not the file that was signed"),
        ("changed data", "grants/data.json: this is not the file that was signed"),
        ("one file more", "more.rego: the signature does not cover this file"),
        ("one file less", "README.md: the signature covers what is not in the bundle"),
        ("a key that stands twice", "grants/data.json: the key `editor` stands twice"),
    ] {
        let trial = vectors.trials.iter().find(|trial| trial.name == name).unwrap();
        let verdict = finish(verify(&trial.files(), trial.verification().as_ref(), NOW, &Pace::unhurried()));
        let problem = verdict.unwrap_err().to_string();
        assert!(problem.contains(expect), "{name}: {problem}\nlacks\n{expect}");
    }
}

fn sources() -> Vec<SourceFile> {
    let file =
        |path: &str, text: &str| SourceFile { path: path.to_owned(), content: text.as_bytes().to_vec() };
    vec![
        file("authz.rego", POLICY),
        file("grants/data.json", "{\"a\": [1.0, \"<\u{2028}>\"]}"),
        file(".manifest", r#"{"metadata": {"n": 1E2}}"#),
        file(".signatures.json", "{\"signatures\": [\"of before\"]}"),
    ]
}

fn packed(signer: &Signer, now: Timestamp) -> Vec<u8> {
    pack_signed(&sources(), "r1", signer, now).unwrap()
}

fn read(bytes: &[u8], verification: Option<&Verification>) -> Result<Bundle, BundleError> {
    Bundle::read(bytes, LIMITS, verification, NOW)
}

#[track_caller]
fn refuses(bytes: &[u8], verification: Option<&Verification>, expect: &str) {
    let problem = read(bytes, verification).unwrap_err().to_string();
    assert!(problem.contains(expect), "{problem}\nlacks\n{expect}");
}

#[test]
fn what_is_signed_is_accepted() {
    let vectors = vectors();
    for (name, key) in vectors.keys.iter().filter(|(name, key)| **name == key.algorithm) {
        let verification = Verification::new(vec![key.verification(name)], KeyChoice::Named, "").unwrap();
        assert!(!key.private.is_empty());
        for private in &key.private {
            let signer = Signer::new(&key.algorithm, private, name).unwrap();
            let bundle = read(&packed(&signer, NOW), Some(&verification)).unwrap();
            let signed = Signed { key_id: name.clone(), issued_at: Some(NOW_SECONDS) };
            assert_eq!(bundle.signed, Some(signed), "{name}");
            assert_eq!(bundle.revision(), "r1");
        }
    }
    // Every key verifies what it signed, and nothing that another signed.
    let all: Vec<VerificationKey> = vectors.keys.iter().map(|(id, key)| key.verification(id)).collect();
    let signer = Signer::new("ES384", &vectors.keys["ES384"].private[0], "whatever").unwrap();
    let bytes = packed(&signer, NOW);
    for key in &all {
        let alone = Verification::new(vec![key.clone()], KeyChoice::Any, "").unwrap();
        assert_eq!(read(&bytes, Some(&alone)).is_ok(), key.id() == "ES384", "{}", key.id());
    }
    let any = Verification::new(all, KeyChoice::Any, "").unwrap();
    assert_eq!(read(&bytes, Some(&any)).unwrap().signed.unwrap().key_id, "ES384");
    refuses(&bytes, None, "the bundle is signed, and no key to verify it is there");
    let unsigned = pack(&sources(), "r1").unwrap();
    assert_eq!(read(&unsigned, None).unwrap().signed, None);
    refuses(&unsigned, Some(&any), "the bundle is not signed");
}

#[test]
fn claims_are_signed() {
    let vectors = vectors();
    let key = &vectors.keys["HS256"];
    let signer = || Signer::new("HS256", &key.private[0], "k1").unwrap();
    let claims = r#"{"scope": "write", "iss": "tests", "iat": 1700000000, "keyid": "k2", "more": [1]}"#;
    let bytes = packed(&signer().with_claims(claims).unwrap(), NOW);
    let accepts = |id: &str, scope: &str| {
        let keys = vec![VerificationKey::new(id, "HS256", &key.key, "").unwrap()];
        read(&bytes, Some(&Verification::new(keys, KeyChoice::Named, scope).unwrap()))
    };
    let signed = Signed { key_id: "k2".to_owned(), issued_at: Some(1_700_000_000) };
    assert_eq!(accepts("k2", "write").unwrap().signed, Some(signed));
    assert!(accepts("k1", "write").is_err());
    assert!(accepts("k2", "").is_err());
    for (claims, expect) in [
        ("[]", "the claims are no JSON object"),
        (r#"{"files": []}"#, "remove `files`"),
        (r#"{"scope": 1}"#, "the claim `scope` must be a string"),
        (r#"{"iat": "now"}"#, "the claim `iat` must be whole seconds"),
        (r#"{"iat": 1.5}"#, "the claim `iat` must be whole seconds"),
    ] {
        let problem = signer().with_claims(claims).unwrap_err();
        assert!(problem.contains(expect), "{problem}");
    }
}

#[test]
fn old_signatures_are_refused() {
    let vectors = vectors();
    let key = &vectors.keys["ES256"];
    let signer = Signer::new("ES256", &key.private[0], "k").unwrap();
    let check = |issued_at: i64, max_age_seconds, min_iat, expect: &str| {
        let mut verification = Verification::new(vec![key.verification("k")], KeyChoice::Named, "").unwrap();
        verification.max_age_seconds = max_age_seconds;
        verification.min_iat = min_iat;
        let verdict = read(&packed(&signer, at(issued_at)), Some(&verification));
        match verdict {
            Ok(bundle) => {
                assert_eq!(bundle.signed.unwrap().issued_at, Some(issued_at));
                assert_eq!(expect, "");
            }
            Err(error) => {
                let problem = error.to_string();
                assert!(!expect.is_empty() && problem.contains(expect), "{problem}\nlacks\n{expect}");
            }
        }
    };
    check(0, None, None, "");
    check(NOW_SECONDS - 60, Some(60), None, "");
    check(NOW_SECONDS - 61, Some(60), None, "61 seconds old, more than `max_age_seconds` (60)");
    check(NOW_SECONDS, None, Some(NOW_SECONDS), "");
    check(NOW_SECONDS - 1, None, Some(NOW_SECONDS), "before `min_iat` (1800000000)");
    check(NOW_SECONDS + 300, Some(60), Some(0), "");
    check(NOW_SECONDS + 301, None, None, "301 seconds from now");
    check(i64::MAX / 1_000_000_000, None, None, "seconds from now");
}

/// OPA's own signatures say when they were made only if the claims do.
#[test]
fn a_signature_without_its_time() {
    let vectors = vectors();
    let trial = vectors.trials.iter().find(|trial| trial.name == "RS256").unwrap();
    let verdict = |max_age_seconds, min_iat| {
        let mut verification = trial.verification().unwrap();
        verification.max_age_seconds = max_age_seconds;
        verification.min_iat = min_iat;
        finish(verify(&trial.files(), Some(&verification), NOW, &Pace::unhurried()))
    };
    assert_eq!(verdict(None, None).unwrap().unwrap().issued_at, None);
    assert_eq!(verdict(Some(1), None), Err(SignatureError::NoIssuedAt));
    assert_eq!(verdict(None, Some(0)), Err(SignatureError::NoIssuedAt));
}

#[test]
fn keys_that_are_not_what_they_must_be() {
    let keys = vectors().keys;
    let small = "-----BEGIN PUBLIC KEY-----\n\
        MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDG5ckBbq6ALvNB4vBHEpu2vcxj\n\
        5AJBvhYs57rGkwEqD0+S3iFP2Yd7GAmpHRQQ5aHBL2869TR/Huvv+IsUzBEga7p0\n\
        2RHuPIxrOTfSPg4UY2gZvV0tguRX0P2ocndv1ea/brsEsUQSUfTC9rjjcIS3LPrO\n\
        NbsP66IMSvUKpNpdAQIDAQAB\n\
        -----END PUBLIC KEY-----";
    let private = |name: &str, form: usize| keys[name].private[form].as_str();
    for (algorithm, text, expect) in [
        ("RS256", keys["ES256"].key.as_str(), "wants an RSA key, but this is a key on the curve P-256"),
        ("ES256", &keys["RS256"].key, "wants a key on the curve P-256, but this is an RSA key"),
        ("ES256", &keys["ES384"].key, "wants a key on the curve P-256, but this is a key on the curve P-384"),
        ("ES512", &keys["ES256"].key, "wants a key on the curve P-521, but this is a key on the curve P-256"),
        ("HS256", &keys["RS256"].key, "wants a secret, and this is PEM"),
        ("HS256", "", "the secret is empty"),
        ("RS256", private("RS256", 0), "this is a private key"),
        ("RS256", private("RS256", 1), "this is a private key"),
        ("ES256", private("ES256", 0), "this is a private key"),
        ("ES256", private("ES256", 1), "this is a private key"),
        ("RS256", "a secret", "this is not a public key in PEM"),
        ("RS256", small, "an RSA key has at least 2048 bits, but this one has 1024"),
        (
            "RS256",
            "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
            "this public key is not known",
        ),
        ("EdDSA", &keys["RS256"].key, "must be RS, PS, ES or HS with 256, 384 or 512"),
        ("none", "", "must be RS, PS, ES or HS"),
    ] {
        let problem = VerificationKey::new("k", algorithm, text, "").unwrap_err();
        assert!(problem.contains(expect), "{algorithm}: {problem}\nlacks\n{expect}");
    }
    for (algorithm, text, expect) in [
        ("RS256", keys["RS256"].key.as_str(), "this is a public key"),
        ("RS256", private("ES256", 0), "wants an RSA key"),
        ("ES384", private("ES256", 0), "wants a key on the curve P-384"),
        ("ES256", "x", "this is not a private key in PEM"),
        ("HS256", private("RS256", 0), "wants a secret"),
        ("HS256", "", "the secret is empty"),
    ] {
        let problem = Signer::new(algorithm, text, "k").unwrap_err();
        assert!(problem.contains(expect), "{algorithm}: {problem}\nlacks\n{expect}");
    }
    let short = VerificationKey::new("k", "HS512", "a secret", "").unwrap();
    assert_eq!(short.missing_bytes(), Some(56));
    assert_eq!(keys["HS512"].verification("k").missing_bytes(), None);
}

#[test]
fn a_fingerprint_tells_everything_but_the_key() {
    let secret = "a secret that nobody may read";
    let key = |id: &str, algorithm: &str, secret: &str, scope: &str| {
        VerificationKey::new(id, algorithm, secret, scope).unwrap()
    };
    let one = |key: VerificationKey| Verification::new(vec![key], KeyChoice::Any, "").unwrap();
    let base = one(key("k", "HS256", secret, ""));
    assert!(Verification::new(Vec::new(), KeyChoice::Any, "").is_err());
    let others = [
        one(key("l", "HS256", secret, "")),
        one(key("k", "HS384", secret, "")),
        one(key("k", "HS256", "another secret", "")),
        one(key("k", "HS256", secret, "write")),
        Verification { choice: KeyChoice::Named, ..base.clone() },
        Verification { scope: "write".to_owned(), ..base.clone() },
        Verification { max_age_seconds: Some(1), ..base.clone() },
        Verification { min_iat: Some(1), ..base.clone() },
        Verification { keys: [base.keys.clone(), base.keys.clone()].concat(), ..base.clone() },
    ];
    let fingerprints: std::collections::BTreeSet<String> =
        others.iter().chain([&base]).map(Verification::fingerprint).collect();
    assert_eq!(fingerprints.len(), others.len() + 1);
    assert!(others.iter().all(|other| *other != base));
    assert_eq!(base.fingerprint(), base.clone().fingerprint());
    assert!(!format!("{base:?}").contains(secret));
}
