//! Modules of which any document can be asked, for tools and for comparing with OPA.

use regorus::Value;

use super::{CompileErrors, Data, DataError, Module, Package, compile::Parsed, data::json};
use crate::{
    pace::{Pace, finish},
    rego::{Asked, Halt, Program, term_text},
};

/// Compiled modules over base data.
#[derive(Debug)]
pub struct Library {
    pub(super) program: Program,
    pub(super) modules: Vec<Package>,
}

/// An input, read once.
#[derive(Clone, Debug)]
pub struct Input(Value);

/// A rule of a library.
#[derive(Clone, Copy, Debug)]
pub struct Rule(usize);

// === impl Input ===

impl Input {
    /// Reads JSON.
    ///
    /// # Errors
    /// When it is none.
    pub fn from_json(text: &str) -> Result<Self, DataError> {
        Value::from_json_str(text).map(Self).map_err(|error| DataError::Syntax(error.to_string()))
    }

    /// No input at all.
    pub fn none() -> Self {
        Self(Value::Undefined)
    }

    #[cfg(feature = "trace")]
    pub(super) fn value(&self) -> Value {
        self.0.clone()
    }
}

/// What a library is asked.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The path of a rule, a package or base data, below `data`.
    pub path: &'a [&'a str],
    /// The input, in JSON; none for no input at all.
    pub input: Option<&'a str>,
    /// Nanoseconds since the Unix epoch, which `time.now_ns()` answers.
    pub now_ns: i64,
    /// The most units of work, each some 50 ns.
    pub work: u64,
    /// Whether rules with many definitions are looked up instead of tried. The answer is the same.
    pub is_indexed: bool,
}

// === impl Library ===

impl Library {
    /// Compiles `modules` over `data`.
    ///
    /// # Errors
    /// As [`super::Policy::compile`], but no rule has to be there.
    pub fn compile(modules: &[Module], data: &Data) -> Result<Self, CompileErrors> {
        let pace = Pace::unhurried();
        let mut parsed = finish(Parsed::new(modules, &pace))?;
        let program = finish(parsed.compile(data, &pace))?;
        Ok(Self { program, modules: finish(parsed.retire(&pace)) })
    }

    /// The rule at `path` below `data`.
    pub fn rule(&self, path: &[&str]) -> Option<Rule> {
        let path: Vec<String> = path.iter().map(|part| (*part).to_owned()).collect();
        self.program.rule_at(&path).map(Rule)
    }

    /// Whether a rule is true; no rule is not.
    ///
    /// # Errors
    /// Why there is no answer.
    pub fn is_true(
        &self,
        rule: Option<Rule>,
        input: &Input,
        now_ns: i64,
        is_indexed: bool,
    ) -> Result<bool, String> {
        let Some(Rule(rule)) = rule else { return Ok(false) };
        let asked = Asked {
            input: input.0.clone(),
            now_ns,
            seed: 0,
            work: u64::MAX,
            watch: &|| false,
            is_indexed,
            calls: None,
        };
        let answer = self.program.evaluate(rule, asked);
        answer.map(|answer| answer.value == Value::Bool(true)).map_err(|halt| format!("{halt:?}"))
    }

    /// The document at the path, in Rego's own notation, with sets and objects in order; nothing where it is undefined.
    ///
    /// # Errors
    /// Why there is no answer.
    pub fn ask(&self, question: Question<'_>) -> Result<Option<String>, String> {
        self.ask_by(question, |program, path, asked| program.document(path, asked))
    }

    pub(super) fn ask_by(
        &self,
        question: Question<'_>,
        document: impl FnOnce(&Program, &[Value], Asked<'_>) -> Result<Value, Halt>,
    ) -> Result<Option<String>, String> {
        let input = match question.input {
            Some(text) => json(text).map_err(|error| format!("the input is not JSON: {error}"))?,
            None => Value::Undefined,
        };
        let path: Vec<Value> = question.path.iter().map(|part| Value::from(*part)).collect();
        let asked = Asked {
            input,
            now_ns: question.now_ns,
            seed: 0,
            calls: None,
            work: question.work,
            watch: &|| false,
            is_indexed: question.is_indexed,
        };
        match document(&self.program, &path, asked) {
            Ok(Value::Undefined) => Ok(None),
            Ok(value) => Ok(Some(term_text(&value))),
            Err(Halt::OutOfBudget) => Err("the evaluation took too much work".to_owned()),
            Err(Halt::Error(message)) => Err(message),
        }
    }
}
