//! What the differential suite asks, and what is answered on the machine that builds: an answer must not depend on the
//! target.
//!
//! `integration/tests/targets.rs` writes the cases with the answers of a native build, and runs the tests of this crate
//! as `wasm32-unknown-unknown` and as `wasm32-wasip1`, where they are asked again.

use hexr_authz_core::policy::{Data, Dialect, Library, Module, Question};
use serde::{Deserialize, Serialize};

/// A policy over base data, and everything that is asked of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Case {
    /// Where it comes from.
    pub name: String,
    /// The modules: path, text, and the version of Rego if it is told.
    pub modules: Vec<(String, String, Option<u8>)>,
    /// Base data, as JSON.
    pub data: String,
    /// The inputs, as JSON; absent where `input` is undefined.
    pub inputs: Vec<Option<String>>,
    /// The documents that are asked for, as paths below `data`.
    pub queries: Vec<Vec<String>>,
    /// The instant of all evaluations.
    pub now_ns: i64,
}

/// A case with its answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answered {
    /// What is asked.
    pub case: Case,
    /// What is answered: why the policy is refused, or one answer for each input, query and way to evaluate.
    pub answers: Result<Vec<String>, String>,
}

/// The work that one answer may take: some seconds.
const WORK: u64 = 20_000_000;

// === impl Case ===

impl Case {
    /// Compiles the policy and asks everything. Answers are texts: a value, `~` for none, `!` and the error.
    ///
    /// # Errors
    /// Why the policy is refused.
    pub fn answers(&self) -> Result<Vec<String>, String> {
        let data = Data::from_json(&self.data).map_err(|error| error.to_string())?;
        let modules: Vec<Module> = self.modules.iter().map(module).collect();
        let library = Library::compile(&modules, &data).map_err(|errors| errors.to_string())?;
        let mut answers = Vec::new();
        for input in &self.inputs {
            for query in &self.queries {
                let path: Vec<&str> = query.iter().map(String::as_str).collect();
                for is_indexed in [true, false] {
                    let input = input.as_deref();
                    let question =
                        Question { path: &path, input, now_ns: self.now_ns, work: WORK, is_indexed };
                    answers.push(match library.ask(question) {
                        Ok(Some(value)) => value,
                        Ok(None) => "~".to_owned(),
                        Err(error) => format!("!{error}"),
                    });
                }
            }
        }
        Ok(answers)
    }
}

fn module((path, text, version): &(String, String, Option<u8>)) -> Module {
    let dialect = version.map(|version| if version == 0 { Dialect::V0 } else { Dialect::V1 });
    Module { path: path.clone(), text: text.clone(), dialect }
}
