//! Our evaluator, asked the same questions.

use anyhow::Result;
use hexr_authz_core::policy::Dialect;
use regorus::{Engine, Value};

use super::case::{Answer, Case};

/// One of our ways to evaluate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// With the index over rules, as in the filter.
    Indexed,
}

/// All of them.
pub(super) const WAYS: [Way; 1] = [Way::Indexed];

/// A case's policy, compiled.
pub(super) struct Program(Engine);

// === impl Program ===

impl Program {
    /// Compiles the policy of `case`; the error is ours.
    pub(super) fn compile(case: &Case) -> Result<Self, String> {
        Self::engine(case).map(Self).map_err(|error| error.to_string())
    }

    fn engine(case: &Case) -> Result<Engine> {
        let mut engine = Engine::new();
        engine.set_strict_builtin_errors(false);
        engine.set_gather_prints(true);
        let now = case.now_ns;
        engine.add_extension("time.now_ns".to_owned(), 0, Box::new(move |_| Ok(Value::from(now))))?;
        for module in &case.modules {
            engine.set_rego_v0(module.dialect == Some(Dialect::V0));
            engine.add_policy(module.path.clone(), module.text.clone())?;
        }
        engine.add_data(Value::from_json_str(&case.data)?)?;
        engine.eval_query("true".to_owned(), false)?;
        Ok(engine)
    }

    /// The answer to one query.
    pub(super) fn query(&self, _way: Way, path: &[&str], input: Option<&str>, _now_ns: i64) -> Answer {
        match self.evaluate(path, input) {
            Ok(Some(value)) => Answer::Value(value),
            Ok(None) => Answer::Undefined,
            Err(error) => Answer::Error(error.to_string()),
        }
    }

    fn evaluate(&self, path: &[&str], input: Option<&str>) -> Result<Option<String>> {
        let mut engine = self.0.clone();
        engine.set_input(match input {
            Some(json) => Value::from_json_str(json)?,
            None => Value::Undefined,
        });
        let brackets: String = path.iter().map(|segment| format!("[{segment:?}]")).collect();
        let results = engine.eval_query(format!("data{brackets}"), false)?;
        let value =
            results.result.first().and_then(|result| result.expressions.first()).map(|found| &found.value);
        Ok(value.filter(|value| **value != Value::Undefined).map(canonical))
    }
}

fn canonical(value: &Value) -> String {
    let joined = |items: Vec<String>| items.join(", ");
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            serde_json::to_string(value).unwrap_or_default()
        }
        Value::Array(items) => format!("[{}]", joined(items.iter().map(canonical).collect())),
        Value::Set(members) if members.is_empty() => "set()".to_owned(),
        Value::Set(members) => format!("{{{}}}", joined(members.iter().map(canonical).collect())),
        Value::Object(fields) => {
            let fields =
                fields.iter().map(|(key, value)| format!("{}: {}", canonical(key), canonical(value)));
            format!("{{{}}}", joined(fields.collect()))
        }
        Value::Undefined => "undefined".to_owned(),
    }
}
