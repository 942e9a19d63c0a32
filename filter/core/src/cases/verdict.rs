//! What was decided, and what should have been.

use std::{collections::BTreeMap, fmt};

use serde::Deserialize;

use crate::{
    decision::FilterState,
    denial::Denial,
    policy::{Consent, Remarks},
    reply::Reply,
};

/// What must be decided.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// Allow or deny.
    pub decision: Word,
    /// The code of the reason of a denial.
    #[serde(default)]
    pub reason: Option<String>,
    /// The status of a denial; 403 where there is none.
    #[serde(default)]
    pub status: Option<u16>,
    /// The policy's own reason; it gives none where there is none.
    #[serde(default)]
    pub policy_reason: Option<String>,
    /// The service, where it matters.
    #[serde(default)]
    pub service: Option<String>,
    /// The action, where it matters.
    #[serde(default)]
    pub action: Option<String>,
    /// Headers of the reply to a denied request, among others.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
}

/// Allow or deny.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Word {
    /// The request went on.
    Allow,
    /// It was refused.
    #[default]
    Deny,
}

/// What was decided, as everybody can see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Allow or deny.
    pub decision: Word,
    /// The code of the reason of a denial.
    pub reason: Option<String>,
    /// The status of the reply to a denied request.
    pub status: Option<u16>,
    /// The policy's own reason.
    pub policy_reason: Option<String>,
    /// The service, where it is known.
    pub service: Option<String>,
    /// The action, where it is known.
    pub action: Option<String>,
    /// The headers of the reply to a denied request.
    pub headers: BTreeMap<String, String>,
}

/// The status of a denial where a case names none.
const FORBIDDEN: u16 = 403;

// === impl Word ===

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        })
    }
}

// === impl Expectation ===

impl Expectation {
    /// Compares with what was decided.
    ///
    /// # Errors
    /// Every difference.
    pub fn compare(&self, verdict: &Verdict) -> Result<(), String> {
        let text = |value: Option<&str>| value.map_or("none".to_owned(), |value| format!("`{value}`"));
        let number = |value: Option<u16>| value.map(|value| value.to_string());
        let mut differences = Vec::new();
        let mut compare = |what: &str, expected: Option<&str>, found: Option<&str>| {
            if expected != found {
                differences.push(format!("{what} is {}, expected {}", text(found), text(expected)));
            }
        };
        compare("decision", Some(&self.decision.to_string()), Some(&verdict.decision.to_string()));
        compare("reason", self.reason.as_deref(), verdict.reason.as_deref());
        compare("status", number(self.status()).as_deref(), number(verdict.status).as_deref());
        compare("policy_reason", self.policy_reason.as_deref(), verdict.policy_reason.as_deref());
        for (what, expected, found) in
            [("service", &self.service, &verdict.service), ("action", &self.action, &verdict.action)]
        {
            if expected.is_some() {
                compare(what, expected.as_deref(), found.as_deref());
            }
        }
        for (name, value) in &self.headers {
            compare(
                &format!("header {name}"),
                Some(value.as_str()),
                verdict.headers.get(name).map(String::as_str),
            );
        }
        if differences.is_empty() { Ok(()) } else { Err(differences.join(", ")) }
    }

    fn status(&self) -> Option<u16> {
        match self.decision {
            Word::Allow => None,
            Word::Deny => Some(self.status.unwrap_or(FORBIDDEN)),
        }
    }

    /// What is wrong with it.
    pub(super) fn problems(&self) -> Vec<String> {
        let is_allow = self.decision == Word::Allow;
        let mut problems = Vec::new();
        if is_allow && (self.reason.is_some() || self.status.is_some() || !self.headers.is_empty()) {
            problems.push("what is allowed has no `reason`, `status` and `headers`".to_owned());
        }
        if !is_allow && self.reason.is_none() {
            problems.push("say by which `reason` it is denied".to_owned());
        }
        problems
    }
}

// === impl Verdict ===

impl Verdict {
    /// A request that went on, by what access logs are told of it.
    pub(super) fn allow<'a>(filter_state: impl Iterator<Item = FilterState<'a>>) -> Self {
        Self { decision: Word::Allow, ..Self::of(filter_state) }
    }

    /// A request that was refused, by what access logs and the caller are told of it.
    pub(super) fn deny<'a>(filter_state: impl Iterator<Item = FilterState<'a>>, reply: Reply) -> Self {
        let headers = reply.headers.into_iter().map(|(name, value)| (name.into_owned(), value)).collect();
        Self { decision: Word::Deny, status: Some(reply.status), headers, ..Self::of(filter_state) }
    }

    fn of<'a>(filter_state: impl Iterator<Item = FilterState<'a>>) -> Self {
        let mut verdict = Self::default();
        for (name, value) in filter_state {
            let slot = match name {
                "hexr_authz.reason" => &mut verdict.reason,
                "hexr_authz.policy_reason" => &mut verdict.policy_reason,
                "hexr_authz.service" => &mut verdict.service,
                "hexr_authz.action" => &mut verdict.action,
                _ => continue,
            };
            *slot = Some(value.into_owned()).filter(|value| !value.is_empty());
        }
        verdict
    }

    /// What a policy allows.
    pub(super) fn consent(consent: &Consent) -> Self {
        Self { decision: Word::Allow, policy_reason: consent.remarks.reason.clone(), ..Self::default() }
    }

    /// What a policy denies, or fails to answer.
    pub(super) fn denial(denial: &Denial) -> Self {
        let rejection = denial.rejection();
        let headers = rejection.iter().flat_map(|rejection| &rejection.headers);
        Self {
            decision: Word::Deny,
            reason: Some(denial.reason().code().to_owned()),
            status: Some(denial.reason().status()),
            policy_reason: rejection
                .map(|rejection| &rejection.remarks)
                .and_then(|remarks: &Remarks| remarks.reason.clone()),
            headers: headers.map(|header| (header.name.clone(), header.value.clone())).collect(),
            ..Self::default()
        }
    }
}
