//! Which bundles are tried together when a new one has come.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    rc::Rc,
};

use super::{ActiveRecord, Digest};

/// The bundles of one policy that have come and are not active yet.
#[derive(Debug)]
pub struct Assembly {
    /// All bundles of the policy, in the order of the configuration.
    names: Vec<String>,
    pending: BTreeMap<String, Pending>,
    attempts: VecDeque<Attempt>,
    /// What was refused last of each bundle, and why, as long as the others stay what they were.
    refused: BTreeMap<String, (Digest, String)>,
}

/// A bundle that has come.
#[derive(Clone, Debug)]
pub struct Pending {
    /// Its bytes.
    pub bytes: Rc<Vec<u8>>,
    /// Of its bytes.
    pub digest: Digest,
    /// What the server called it.
    pub etag: Option<String>,
}

/// What has become of a bundle that has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It is active already.
    Active,
    /// It is tried next.
    Tried,
    /// It was tried and refused for this reason, and nothing else is new.
    Refused(String),
    /// It waits for the first ones of these bundles. Without them it could allow what they forbid.
    Waits(Vec<String>),
}

/// A set of bundles to be tried: those that have come, by their names, and for the rest those that are active.
#[derive(Clone, Debug)]
pub struct Attempt(BTreeMap<String, Pending>);

// === impl Assembly ===

impl Assembly {
    /// Of the bundles with these names.
    pub fn new(names: Vec<String>) -> Self {
        Self { names, pending: BTreeMap::new(), attempts: VecDeque::new(), refused: BTreeMap::new() }
    }

    /// The names of all bundles.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// A bundle has come, while `active` is.
    pub fn arrived(&mut self, name: &str, new: Pending, active: Option<&ActiveRecord>) -> Arrival {
        if let Some((digest, problem)) = self.refused.get(name)
            && *digest == new.digest
        {
            return Arrival::Refused(problem.clone());
        }
        let held = active.and_then(|active| active.bundle(name));
        if held.is_some_and(|held| held.digest == new.digest) {
            // The server went back to it: what was newer is not wanted any more.
            self.pending.remove(name);
            self.refused.remove(name);
            return Arrival::Active;
        }
        self.refused.remove(name);
        self.pending.insert(name.to_owned(), new);
        let is_there = |wanted: &String| {
            self.pending.contains_key(wanted) || active.is_some_and(|active| active.bundle(wanted).is_some())
        };
        let missing: Vec<String> = self.names.iter().filter(|name| !is_there(name)).cloned().collect();
        if !missing.is_empty() {
            return Arrival::Waits(missing);
        }
        self.attempts = VecDeque::from([Attempt(self.pending.clone())]);
        let without_others: BTreeMap<_, _> =
            self.pending.iter().filter(|(other, _)| *other == name).map(owned).collect();
        let is_complete = self
            .names
            .iter()
            .all(|wanted| wanted == name || active.is_some_and(|active| active.bundle(wanted).is_some()));
        // What waits beside it may be what is wrong.
        if is_complete && self.pending.len() > 1 {
            self.attempts.push_back(Attempt(without_others));
        }
        Arrival::Tried
    }

    /// What is to be tried next.
    pub fn next_attempt(&mut self) -> Option<Attempt> {
        self.attempts.pop_front()
    }

    /// Whether there is anything to be tried.
    pub fn has_attempts(&self) -> bool {
        !self.attempts.is_empty()
    }

    /// The attempt has become active.
    pub fn succeeded(&mut self, attempt: &Attempt) {
        self.attempts.clear();
        for (name, tried) in &attempt.0 {
            if self.pending.get(name).is_some_and(|pending| pending.digest == tried.digest) {
                self.pending.remove(name);
            }
        }
        // Another company may make good what was refused.
        self.refused.clear();
    }

    /// The attempt was refused for this reason.
    pub fn refused(&mut self, attempt: &Attempt, problem: &str) {
        for (name, tried) in &attempt.0 {
            self.refused.insert(name.clone(), (tried.digest.clone(), problem.to_owned()));
        }
        // One that is refused by itself, with all others active, is forgotten: the server has it still.
        if self.names.len() == 1 {
            self.pending.clear();
        }
    }

    /// Forgets all that has come: somebody else is ahead.
    pub fn forget(&mut self) {
        self.pending.clear();
        self.attempts.clear();
        self.refused.clear();
    }
}

fn owned((name, pending): (&String, &Pending)) -> (String, Pending) {
    (name.clone(), pending.clone())
}

// === impl Attempt ===

impl Attempt {
    /// The bundle of that name, if it is one of those that have come.
    pub fn bundle(&self, name: &str) -> Option<&Pending> {
        self.0.get(name)
    }

    /// What tells the attempt from others: the digest of its bundle, or of its bundles' digests.
    pub fn digest(&self) -> Digest {
        let digests: BTreeSet<&Digest> = self.0.values().map(|pending| &pending.digest).collect();
        let mut digests = digests.into_iter();
        match (digests.next(), digests.next()) {
            (Some(only), None) => only.clone(),
            _ => {
                let texts: Vec<&str> = self.0.values().map(|pending| pending.digest.as_str()).collect();
                Digest::of(texts.concat().as_bytes())
            }
        }
    }
}
