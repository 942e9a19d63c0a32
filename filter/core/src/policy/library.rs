//! Modules of which any document can be asked, for tools and for comparing with OPA.

use regorus::Value;

use super::{CompileErrors, Data, Module, Package, compile::Parsed};
use crate::rego::{Asked, Halt, Program, term_text};

/// Compiled modules over base data.
#[derive(Debug)]
pub struct Library {
    pub(super) program: Program,
    pub(super) modules: Vec<Package>,
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
        let parsed = Parsed::new(modules)?;
        Ok(Self { program: parsed.compile(data)?, modules: parsed.packages() })
    }

    /// The document at the path, in Rego's own notation, with sets and objects in order; nothing where it is undefined.
    ///
    /// # Errors
    /// Why there is no answer.
    pub fn ask(&self, question: Question<'_>) -> Result<Option<String>, String> {
        let input = match question.input {
            Some(text) => {
                Value::from_json_str(text).map_err(|error| format!("the input is not JSON: {error}"))?
            }
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
        match self.program.document(&path, asked) {
            Ok(Value::Undefined) => Ok(None),
            Ok(value) => Ok(Some(term_text(&value))),
            Err(Halt::OutOfBudget) => Err("the evaluation took too much work".to_owned()),
            Err(Halt::Error(message)) => Err(message),
        }
    }
}
