//! Decision cases: requests and what must be decided of them, as rows of YAML.
//!
//! One format and one reader, for every way to decide: natively, by `hexr-authz test`, and by a real Envoy. A row that
//! comes to something else in one of them is a mistake in the product.

mod row;
mod verdict;

pub use row::{Case, CertificateRow, RecentRow, RequestRow};
pub use verdict::{Expectation, Verdict, Word};

use std::{collections::BTreeMap, rc::Rc};

use serde_json::Value;

use crate::{
    audit_log::Book,
    authorizer::Authorizer,
    catalog::{Addressee, Derivation},
    config::Config,
    decision::{Decision, DecisionId, Refusal},
    identity::{Certificate, Peer, Validity},
    policy::Moment,
    reply::Reply,
    request::Request,
    timestamp::Timestamp,
};

/// Cases, and by which configuration they are decided.
#[derive(Debug)]
pub struct Cases {
    config: Value,
    files: Vec<CaseFile>,
}

/// The cases of one file.
#[derive(Debug)]
pub struct CaseFile {
    /// The file.
    pub path: String,
    /// Groups of cases. Their names stand in one file only, so that OPA can load the files as data.
    pub groups: BTreeMap<String, Vec<Case>>,
    text: String,
}

/// Decides cases natively, by modules and data.
#[derive(Debug)]
pub struct Judge {
    authorizer: Authorizer,
}

/// The instants at which a case is decided that names none: such a case holds at any time.
const ANY_TIME: [Timestamp; 2] = [
    // 2025-01-15T10:30:00Z, a Wednesday.
    Timestamp::from_unix_nanos(1_736_937_000_000_000_000),
    // 2025-01-18T03:00:00Z, a Saturday.
    Timestamp::from_unix_nanos(1_737_169_200_000_000_000),
];

// === impl Cases ===

impl Cases {
    /// Reads files of cases, each with its path. `config` has the identities and the catalog, in the filter's own
    /// vocabulary.
    ///
    /// # Errors
    /// Everything that is wrong with them, a line each.
    pub fn read(config: (&str, &str), files: &[(String, String)]) -> Result<Self, String> {
        let mut problems = Vec::new();
        let (path, text) = config;
        let config = serde_json::from_str(text).unwrap_or_else(|error| {
            problems.push(format!("{path}: {error}"));
            Value::Null
        });
        let mut read = Vec::new();
        for (path, text) in files {
            match CaseFile::read(path, text) {
                Ok(file) => read.push(file),
                Err(found) => problems.extend(found.into_iter().map(|problem| format!("{path}: {problem}"))),
            }
        }
        let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
        for (file, group) in read.iter().flat_map(|file| file.groups.keys().map(move |group| (file, group))) {
            if let Some(other) = owners.insert(group, &file.path) {
                problems.push(format!("{}: the group `{group}` is in {other} too: rename one", file.path));
            }
        }
        if problems.is_empty() { Ok(Self { config, files: read }) } else { Err(problems.join("\n")) }
    }

    /// The files, in the order in which they were given.
    pub fn files(&self) -> &[CaseFile] {
        &self.files
    }

    /// All cases.
    pub fn iter(&self) -> impl Iterator<Item = &Case> {
        self.files.iter().flat_map(|file| file.groups.values().flatten())
    }

    /// The configuration by which they are decided, with modules and data (in JSON) for its policy.
    pub fn config(&self, modules: &BTreeMap<String, String>, data: Value) -> Value {
        let mut config = self.config.clone();
        if let Some(fields) = config.as_object_mut() {
            fields.insert("policy".to_owned(), serde_json::json!({"modules": modules, "data": data}));
        }
        config
    }
}

// === impl CaseFile ===

impl CaseFile {
    fn read(path: &str, text: &str) -> Result<Self, Vec<String>> {
        let groups: BTreeMap<String, Vec<Case>> =
            yaml_serde::from_str(text).map_err(|error| vec![error.to_string()])?;
        let mut problems = Vec::new();
        for (group, cases) in &groups {
            let mut names = Vec::new();
            for case in cases {
                if names.contains(&&case.name) {
                    problems.push(format!("{group}: two cases are `{}`: rename one", case.name));
                }
                names.push(&case.name);
                problems
                    .extend(case.problems().into_iter().map(|problem| format!("{}: {problem}", case.name)));
            }
        }
        if problems.is_empty() {
            Ok(Self { path: path.to_owned(), groups, text: text.to_owned() })
        } else {
            Err(problems)
        }
    }

    /// The line on which a case of this file begins, counted from 1.
    pub fn line_of(&self, case: &Case) -> usize {
        let is_name = |line: &str| {
            let value = line.trim_start().trim_start_matches("- ").trim_start().strip_prefix("name:");
            value.is_some_and(|value| value.trim().trim_matches(['"', '\'']) == case.name)
        };
        self.text.lines().position(is_name).map_or(1, |at| at + 1)
    }
}

// === impl Judge ===

impl Judge {
    /// Compiles the modules over the data, and reads the configuration of the cases.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn new(cases: &Cases, modules: &BTreeMap<String, String>, data: Value) -> Result<Self, String> {
        let config = Config::read(&cases.config(modules, data).to_string(), &|_name| None)
            .map_err(|problems| problems.to_string())?;
        Ok(Self { authorizer: Authorizer::new(Rc::new(config)) })
    }

    /// What a case comes to, at its instant, or at several where it names none.
    ///
    /// # Errors
    /// Every difference from what is expected.
    pub fn check(&self, case: &Case) -> Result<(), String> {
        let instants = match case.at() {
            Some(instant) => vec![instant],
            None => ANY_TIME.to_vec(),
        };
        for now in instants {
            let checked = self.decide(case, now).and_then(|verdict| case.expect.compare(&verdict));
            checked.map_err(|differences| match case.at() {
                Some(_) => differences,
                None => format!("{differences}, at {}", now.to_rfc3339()),
            })?;
        }
        Ok(())
    }

    /// What a case comes to at an instant.
    ///
    /// # Errors
    /// When one of the earlier calls is not allowed.
    fn decide(&self, case: &Case, now: Timestamp) -> Result<Verdict, String> {
        let moment = Moment { now, seed: 0, is_over: &|_| false };
        let Some(request) = &case.request else { return Ok(self.answer(case, moment)) };
        let book = Book::at(now);
        for recent in &case.recent {
            let ago = i64::from(recent.seconds_ago).saturating_mul(1_000_000_000);
            let then = Timestamp::from_unix_nanos(now.unix_nanos().saturating_sub(ago));
            book.set_clock(then);
            let peer = self.peer(case.certificate_of(recent));
            for call in 1..=recent.calls {
                let verdict = self.ask(&peer, request, Moment { now: then, ..moment }, &book);
                if verdict.decision == Word::Deny {
                    let reason = verdict.reason.unwrap_or_default();
                    return Err(format!(
                        "the earlier call {call} of {} was denied: `{reason}`",
                        recent.calls
                    ));
                }
            }
        }
        book.set_clock(now);
        Ok(self.ask(&self.peer(case.certificate()), request, moment, &book))
    }

    fn ask(&self, peer: &Peer, request: &RequestRow, moment: Moment<'_>, book: &Book) -> Verdict {
        let headers = request.headers();
        let parsed = Request::parse(headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())))
            .map(|parsed| parsed.ended(request.body.is_none()));
        let config = self.authorizer.config();
        let body = request.body.as_deref().unwrap_or_default().as_bytes();
        let asked = parsed.as_ref().map_err(Clone::clone).map(|request| {
            let derivation = match config.catalog.derive(request) {
                Derivation::NeedsBody(rule) => config.catalog.derive_with_body(&rule, request, body),
                of_head @ (Derivation::Known(_)
                | Derivation::UnknownAction { .. }
                | Derivation::UnknownService
                | Derivation::Ambiguous(_)
                | Derivation::Unreadable { .. }
                | Derivation::Unheard { .. }) => of_head,
            };
            (request, derivation)
        });
        let id = DecisionId::from_random([0; 16]);
        let decision = self.authorizer.decide_derived(peer, asked, moment, book, id);
        let addressee = parsed
            .as_ref()
            .map_or_else(|_| Addressee::anyone(), |request| config.catalog.addressee(request, None));
        match decision {
            Decision::Allow(permit) => Verdict::allow(permit.filter_state()),
            Decision::Deny(refusal) => self.refused(&refusal, &addressee),
            Decision::Waive(waiver) => self.refused(waiver.refusal(), &addressee),
        }
    }

    fn refused(&self, refusal: &Refusal<'_>, addressee: &Addressee) -> Verdict {
        let contact = self.authorizer.config().contact.as_deref();
        Verdict::deny(refusal.filter_state(), Reply::new(refusal, contact, addressee))
    }

    /// The answer of the policy alone.
    fn answer(&self, case: &Case, moment: Moment<'_>) -> Verdict {
        let input = case.input.as_ref().map(ToString::to_string).unwrap_or_default();
        let Some(policy) = &self.authorizer.config().embedded_policy else { return Verdict::default() };
        match policy.answer(&input, moment) {
            Ok(consent) => Verdict::consent(&consent),
            Err(denial) => Verdict::denial(&denial),
        }
    }

    fn peer(&self, certificate: Option<CertificateRow>) -> Peer {
        match certificate {
            Some(certificate) => {
                let (not_before, not_after) = certificate.validity();
                let validity = Validity::between(not_before, not_after);
                let certificate = Certificate::of(certificate.uris, validity);
                self.authorizer.config().trust_domains.peer(&certificate)
            }
            None => Peer::anonymous(),
        }
    }
}
