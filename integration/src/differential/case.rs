//! What is asked, and what is answered.

use anyhow::{Context as _, Result, bail};
use hexr_authz_core::policy::{Dialect, Module};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// A policy over base data, and everything that is asked of it.
#[derive(Clone, Debug)]
pub struct Case {
    /// Where it comes from: `seed 17`, or `topic: name` of the edge cases.
    pub name: String,
    /// The modules, each with its dialect.
    pub modules: Vec<Module>,
    /// Base data, as JSON.
    pub data: String,
    /// The inputs, as JSON; absent where `input` is undefined.
    pub inputs: Vec<Option<String>>,
    /// The documents that are asked for, as paths below `data`.
    pub queries: Vec<Vec<String>>,
    /// The instant of all evaluations.
    pub now_ns: i64,
}

/// What an evaluator answers to one query for one input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// No value.
    Undefined,
    /// A value in canonical text (see `integration/opa-oracle`).
    Value(String),
    /// An error that ends the evaluation, with its code or text.
    Error(String),
}

/// What an evaluator answers to a [`Case`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answers {
    /// It does not take the policy.
    Refused {
        /// The kind of reason.
        kind: String,
        /// Its words, where they are not a record.
        message: String,
    },
    /// Its answers to each query, for each input.
    Given(Vec<Vec<Answer>>),
}

// === impl Case ===

impl Case {
    /// The line that asks OPA.
    pub(super) fn to_json(&self) -> Value {
        let modules = self.modules.iter().map(|module| {
            let dialect = if module.dialect == Some(Dialect::V0) { "v0" } else { "v1" };
            json!({ "path": module.path, "text": module.text, "dialect": dialect })
        });
        json!({
            "modules": modules.collect::<Vec<_>>(),
            "data": self.data,
            "inputs": self.inputs,
            "queries": self.queries,
            "now": self.now_ns,
        })
    }

    /// Eight bytes, in hexadecimal, that are others for another case.
    pub(super) fn digest(&self) -> String {
        let digest = Sha256::digest(self.to_json().to_string());
        digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}

// === impl Answer ===

impl Answer {
    /// The text of the oracle and of the records.
    pub(super) fn to_text(&self) -> String {
        match self {
            Self::Undefined => "~".to_owned(),
            Self::Value(text) => text.clone(),
            Self::Error(code) => format!("!{code}"),
        }
    }

    pub(super) fn from_text(text: &str) -> Self {
        match text.strip_prefix('!') {
            Some(code) => Self::Error(code.to_owned()),
            None if text == "~" => Self::Undefined,
            None => Self::Value(text.to_owned()),
        }
    }
}

// === impl Answers ===

impl Answers {
    /// Whether the policy is not taken.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }

    /// Whether `kept` is the record of these.
    pub fn are_recorded_as(&self, kept: &Self) -> bool {
        match (self, kept) {
            // Of several mistakes OPA names any first.
            (Self::Refused { .. }, Self::Refused { .. }) => true,
            _ => self.to_record() == kept.to_record(),
        }
    }

    /// Reads a line of the oracle.
    pub(super) fn from_json(line: &str) -> Result<Self> {
        let line: Value = serde_json::from_str(line).context("the oracle wrote no JSON")?;
        if let Some(kind) = line.get("refused").and_then(Value::as_str) {
            let message = line.get("message").and_then(Value::as_str).unwrap_or_default().to_owned();
            return Ok(Self::Refused { kind: kind.to_owned(), message });
        }
        let Some(rows) = line.get("answers").and_then(Value::as_array) else { bail!("no answers in {line}") };
        let row = |row: &Value| -> Vec<Answer> {
            row.as_array().into_iter().flatten().filter_map(Value::as_str).map(Answer::from_text).collect()
        };
        Ok(Self::Given(rows.iter().map(row).collect()))
    }

    /// One line of the records. Canonical text has neither tabs nor line ends.
    pub(super) fn to_record(&self) -> String {
        match self {
            Self::Refused { kind, .. } => format!("?{kind}"),
            Self::Given(rows) => rows.iter().flatten().map(Answer::to_text).collect::<Vec<_>>().join("\t"),
        }
    }

    /// Reads what [`Self::to_record`] wrote for `case`.
    pub(super) fn from_record(record: &str, case: &Case) -> Result<Self> {
        if let Some(kind) = record.strip_prefix('?') {
            return Ok(Self::Refused { kind: kind.to_owned(), message: String::new() });
        }
        let answers: Vec<Answer> = record.split('\t').map(Answer::from_text).collect();
        if answers.len() != case.inputs.len() * case.queries.len() {
            bail!("{} recorded answers, but other questions", answers.len());
        }
        Ok(Self::Given(answers.chunks(case.queries.len()).map(<[Answer]>::to_vec).collect()))
    }
}
