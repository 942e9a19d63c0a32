//! From the files of a bundle to whose signature covers them, or to why none does.

use std::collections::{BTreeMap, btree_map::Entry};

use thiserror::Error;

use super::{
    KeyChoice, Signed, Verification, VerificationKey,
    digest::DigestAlgorithm,
    is_signature,
    token::{SignedFile, Token},
};
use crate::{bundle::archive::Files, pace::Pace, timestamp::Timestamp};

/// Why a bundle is not accepted by its signature.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SignatureError {
    /// There is none.
    #[error("the bundle is not signed: it has no `.signatures.json`, and `signing` is configured")]
    Missing,
    /// There is one, and nothing to verify it with.
    #[error("the bundle is signed, and no key to verify it is there: give `keys` and the bundle's `signing`")]
    NoVerification,
    /// There are several files with signatures.
    #[error("`{first}` and `{second}`: a bundle has one file with its signature")]
    SeveralFiles {
        /// One.
        first: String,
        /// Another.
        second: String,
    },
    /// There are several signatures, or none, where one belongs.
    #[error(".signatures.json: exactly one signature belongs there, but there are {0}")]
    Count(usize),
    /// It is not of the form that it must have.
    #[error(".signatures.json: {0}")]
    Unreadable(String),
    /// It names no key, and the configuration none either.
    #[error("the signature names no key: name it by the configuration's `signing.keyid`")]
    NoKeyId,
    /// It names a key that is not among the configured ones.
    #[error("the signature is by the key `{0}`, which is not among `keys`")]
    UnknownKey(String),
    /// It is not one by a key that counts.
    #[error("the signature is not one by {0}")]
    WrongSignature(String),
    /// It is for something else.
    #[error("the signature is for the scope `{found}`, not for `{expected}`")]
    WrongScope {
        /// That of the signature.
        found: String,
        /// That of the configuration.
        expected: String,
    },
    /// It does not say when it was made, and that is asked for.
    #[error(
        "the signature does not say when it was made (`iat`), and `max_age_seconds` or `min_iat` asks for it"
    )]
    NoIssuedAt,
    /// It was made too long ago.
    #[error("the signature is {age} seconds old, more than `max_age_seconds` ({max_age})")]
    TooOld {
        /// Its age.
        age: i64,
        /// The greatest age.
        max_age: u64,
    },
    /// It was made before the earliest time that is accepted.
    #[error("the signature was made at {issued_at}, before `min_iat` ({min_iat})")]
    BeforeMinimum {
        /// When it was made.
        issued_at: i64,
        /// The earliest.
        min_iat: i64,
    },
    /// It says that it was made in the future.
    #[error("the signature was made {0} seconds from now: one of the clocks is wrong")]
    InFuture(i64),
    /// A file stands twice among those that are signed.
    #[error("{0}: the signature lists this file twice")]
    ListedTwice(String),
    /// A file of the bundle is not signed.
    #[error("{0}: the signature does not cover this file")]
    NotSigned(String),
    /// Files that are signed are not there.
    #[error("{}: the signature covers what is not in the bundle", .0.join(", "))]
    NotThere(Vec<String>),
    /// Its digest cannot be taken.
    #[error("{path}: {problem}")]
    NoDigest {
        /// The file.
        path: String,
        /// Why.
        problem: String,
    },
    /// A file is not the one that was signed.
    #[error("{0}: this is not the file that was signed: its digest is another")]
    Changed(String),
}

/// How many files a message names.
const MOST_NAMED: usize = 10;
/// How many characters of what somebody else wrote a message has.
const MOST_CHARACTERS: usize = 160;
/// How far the signer's clock may be ahead.
const SKEW_SECONDS: i64 = 300;

/// Verifies what `files` are signed with: nothing where they are not, and no one asks for it.
pub(in crate::bundle) async fn verify(
    files: &Files,
    verification: Option<&Verification>,
    now: Timestamp,
    pace: &Pace,
) -> Result<Option<Signed>, SignatureError> {
    let mut signatures = files.iter().filter(|(path, _)| is_signature(path));
    let text = match (signatures.next(), signatures.next()) {
        (Some((first, _)), Some((second, _))) => {
            return Err(SignatureError::SeveralFiles { first: first.clone(), second: second.clone() });
        }
        (Some((_, content)), None) => Token::find(content)?,
        (None, _) => None,
    };
    let (text, verification) = match (text, verification) {
        (Some(text), Some(verification)) => (text, verification),
        (Some(_), None) => return Err(SignatureError::NoVerification),
        (None, Some(_)) => return Err(SignatureError::Missing),
        (None, None) => return Ok(None),
    };
    let token = Token::parse(&text)?;
    pace.give_way().await;
    let key = verification.key_of(&token, pace).await?;
    verification.check_claims(&token, key, now)?;
    let signed = Signed { key_id: key.id.clone(), issued_at: token.payload.iat };
    check_files(files, token.payload.files.unwrap_or_default(), pace).await?;
    Ok(Some(signed))
}

// === impl SignatureError ===

impl SignatureError {
    /// Messages of parsers quote what they could not read.
    pub(super) fn unreadable(problem: &str) -> Self {
        Self::Unreadable(shortened(problem))
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(MOST_CHARACTERS).collect()
}

// === impl Verification ===

impl Verification {
    /// The key by which the signature is one.
    async fn key_of(&self, token: &Token, pace: &Pace) -> Result<&VerificationKey, SignatureError> {
        let candidates: Vec<&VerificationKey> = match self.choice {
            KeyChoice::Any => self.keys.iter().collect(),
            KeyChoice::Named => {
                let id = token.key_id().ok_or(SignatureError::NoKeyId)?;
                let named = self.keys.iter().filter(|key| key.id == id).collect::<Vec<_>>();
                if named.is_empty() {
                    return Err(SignatureError::UnknownKey(shortened(id)));
                }
                named
            }
        };
        for key in &candidates {
            let (algorithm, signature) = (key.algorithm, token.signature.as_slice());
            let is_by = key.key.fits(algorithm, signature)
                && key.key.verifies(algorithm, &token.message, signature).unwrap_or(false);
            if is_by {
                return Ok(key);
            }
            pace.give_way().await;
        }
        let names: Vec<String> = candidates.iter().map(|key| format!("`{}`", key.id)).collect();
        Err(SignatureError::WrongSignature(names.join(", ")))
    }

    /// Whether the signature is for this, and of a time that counts.
    fn check_claims(
        &self,
        token: &Token,
        key: &VerificationKey,
        now: Timestamp,
    ) -> Result<(), SignatureError> {
        let expected = if self.scope.is_empty() { &key.scope } else { &self.scope };
        let found = token.payload.scope.as_deref().unwrap_or_default();
        if found != expected {
            return Err(SignatureError::WrongScope { found: shortened(found), expected: expected.clone() });
        }
        let Some(issued_at) = token.payload.iat else {
            let asked = self.max_age_seconds.is_some() || self.min_iat.is_some();
            return if asked { Err(SignatureError::NoIssuedAt) } else { Ok(()) };
        };
        let age = now.unix_seconds().saturating_sub(issued_at);
        if age < -SKEW_SECONDS {
            return Err(SignatureError::InFuture(age.saturating_neg()));
        }
        if let Some(max_age) = self.max_age_seconds
            && u64::try_from(age).is_ok_and(|age| age > max_age)
        {
            return Err(SignatureError::TooOld { age, max_age });
        }
        match self.min_iat {
            Some(min_iat) if issued_at < min_iat => Err(SignatureError::BeforeMinimum { issued_at, min_iat }),
            Some(_) | None => Ok(()),
        }
    }
}

/// Whether the files are those that are signed: all of them, and no others.
async fn check_files(files: &Files, signed: Vec<SignedFile>, pace: &Pace) -> Result<(), SignatureError> {
    let mut expected = BTreeMap::new();
    for file in signed {
        match expected.entry(file.name.clone()) {
            Entry::Vacant(entry) => entry.insert(file),
            Entry::Occupied(_) => return Err(SignatureError::ListedTwice(file.name)),
        };
    }
    let mut pairs = Vec::new();
    for (path, content) in files.iter().filter(|(path, _)| !is_signature(path)) {
        let file = expected.remove(path).ok_or_else(|| SignatureError::NotSigned(path.clone()))?;
        pairs.push((path, content, file));
    }
    if !expected.is_empty() {
        return Err(SignatureError::NotThere(expected.into_keys().take(MOST_NAMED).collect()));
    }
    for (path, content, file) in pairs {
        let no_digest = |problem: String| SignatureError::NoDigest { path: path.clone(), problem };
        let algorithm = DigestAlgorithm::named(&file.algorithm).map_err(no_digest)?;
        let digest = algorithm.of_file(path, content, pace).await.map_err(no_digest)?;
        if !digest.eq_ignore_ascii_case(&file.hash) {
            return Err(SignatureError::Changed(path.clone()));
        }
        pace.give_way().await;
    }
    Ok(())
}
