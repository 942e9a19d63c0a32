//! The decision for one input, as the filter would make it.

use hexr_authz_core::{
    denial::Denial,
    policy::{Data, Header, Input, Insight, Library, Module, Outcome, Remarks, RulePath, RuleTrace},
    timestamp::Timestamp,
};
use serde_json::{Map, Value as Json, json};

use super::{
    Answer, Eval, Format, Problem, at_moment, explanation, json_text, loading::with_calls, read_input,
};
use crate::command::BUDGET;

/// What the caller sees of an outcome.
struct Decision {
    is_allowed: bool,
    /// In the order in which they are told.
    fields: Vec<(&'static str, Json)>,
}

impl From<String> for Problem {
    fn from(text: String) -> Self {
        Self { text, is_output: false }
    }
}

/// What is decided.
struct Case<'a> {
    modules: &'a [Module],
    data: Data,
    rule: &'a RulePath,
    input: &'a Input,
    /// That of the decision, which is else this moment.
    instant: Option<Timestamp>,
}

/// Whether the rule allows an input in JSON, and the decision and why, as `hexr-authz eval --explain` tells it.
///
/// # Errors
/// Why nothing can be decided.
pub(crate) fn explained(
    modules: &[Module],
    data: Data,
    rule: &RulePath,
    input: &str,
) -> Result<(bool, String), String> {
    let (input, instant) = read_input(input)?;
    let (decision, trace) = Case { modules, data, rule, input: &input, instant }.decide(true)?;
    Ok((decision.is_allowed, decision.pretty(trace.as_ref())))
}

impl Eval {
    /// # Errors
    /// Why nothing can be decided.
    pub(super) fn decision(&self) -> Result<Answer, Problem> {
        let (modules, data) = self.loaded()?;
        let (input, timestamp) = self.input()?;
        let instant = self.time.or(timestamp);
        let case = Case { modules: &modules, data, rule: &self.decision, input: &input, instant };
        let (decision, trace) = case.decide(self.explain)?;
        let text = match self.format() {
            Format::Json => decision.json(trace.as_ref()),
            Format::Raw | Format::Values | Format::Bindings => format!("{}\n", decision.is_allowed),
            Format::Pretty => decision.pretty(trace.as_ref()),
        };
        Ok(Answer { text, is_defined: decision.is_allowed })
    }
}

// === impl Case ===

impl Case<'_> {
    fn decide(self, is_explained: bool) -> Result<(Decision, Option<RuleTrace>), String> {
        let Self { modules, data, rule, input, instant } = self;
        let library = Library::compile(modules, &with_calls(data)).map_err(|errors| errors.to_string())?;
        if !library.has(rule) {
            return Err(format!(
                "no rule `{rule}`: name the one that decides with `--decision`, and where it is with `--data` or `--bundle`",
            ));
        }
        at_moment(instant, |moment| {
            let outcome = library.decide(rule, input, moment, BUDGET);
            let trace = if is_explained {
                let insight = Insight::new(modules).map_err(|errors| errors.to_string())?;
                library.explain(&insight, rule, input, moment)
            } else {
                None
            };
            Ok((Decision::of(&outcome), trace))
        })
    }
}

// === impl Decision ===

impl Decision {
    fn of(outcome: &Result<Outcome, Denial>) -> Self {
        let mut fields = Vec::new();
        match outcome {
            Ok(Outcome::Allow(consent)) => {
                add_remarks(&consent.remarks, &mut fields);
                add_headers("headers", &consent.request_headers, &mut fields);
                if !consent.request_headers_to_remove.is_empty() {
                    fields.push(("request_headers_to_remove", json!(consent.request_headers_to_remove)));
                }
                add_headers("response_headers_to_add", &consent.response_headers, &mut fields);
            }
            Ok(Outcome::Deny(rejection)) => {
                let denial = Denial::PolicyDenied(Box::new(rejection.clone()));
                fields.push(("reason", json!(denial.reason().code())));
                fields.push(("http_status", json!(rejection.status())));
                add_remarks(&rejection.remarks, &mut fields);
                add_headers("headers", &rejection.headers, &mut fields);
                fields.extend(rejection.body.as_ref().map(|body| ("body", json!(body))));
            }
            Err(denial) => {
                fields.push(("reason", json!(denial.reason().code())));
                fields.push(("http_status", json!(denial.reason().status())));
                fields.push(("message", json!(denial.to_string())));
            }
        }
        Self { is_allowed: matches!(outcome, Ok(Outcome::Allow(_))), fields }
    }

    fn json(&self, trace: Option<&RuleTrace>) -> String {
        let mut lines = vec![format!("  \"allowed\": {}", self.is_allowed)];
        let explanation = trace.map(|trace| ("explanation", explanation::json(trace)));
        for (name, value) in self.fields.iter().cloned().chain(explanation) {
            // One level deeper than it is by itself.
            lines.push(format!("  \"{name}\": {}", json_text(&value).trim_end().replace('\n', "\n  ")));
        }
        format!("{{\n{}\n}}\n", lines.join(",\n"))
    }

    fn pretty(&self, trace: Option<&RuleTrace>) -> String {
        let field = |name: &str| self.fields.iter().find(|(known, _)| *known == name).map(|(_, value)| value);
        let text = |value: &Json| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let mut told = match (self.is_allowed, field("reason"), field("http_status")) {
            (true, ..) => "allowed\n".to_owned(),
            (false, Some(reason), Some(status)) => format!("denied: {} ({status})\n", text(reason)),
            (false, ..) => "denied\n".to_owned(),
        };
        for (name, value) in &self.fields {
            if !matches!(*name, "reason" | "http_status") {
                told.push_str(&format!("{name}: {}\n", text(value)));
            }
        }
        if let Some(trace) = trace {
            told.push('\n');
            told.push_str(&explanation::pretty(trace));
        }
        told
    }
}

fn add_remarks(remarks: &Remarks, fields: &mut Vec<(&'static str, Json)>) {
    fields.extend(remarks.reason.as_ref().map(|reason| ("policy_reason", json!(reason))));
    let metadata = remarks.metadata.clone().map(Json::Object);
    fields.extend(metadata.map(|metadata| ("dynamic_metadata", metadata)));
}

/// Headers as a policy gives them: of several with one name an array of values.
fn add_headers(field: &'static str, headers: &[Header], fields: &mut Vec<(&'static str, Json)>) {
    let mut by_name: Map<String, Json> = Map::new();
    for header in headers {
        let value = Json::from(header.value.as_str());
        match by_name.get_mut(&header.name) {
            None => drop(by_name.insert(header.name.clone(), value)),
            Some(Json::Array(values)) => values.push(value),
            Some(first) => *first = json!([first.clone(), value]),
        }
    }
    if !by_name.is_empty() {
        fields.push((field, Json::Object(by_name)));
    }
}
