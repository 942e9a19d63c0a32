//! Mistakes in a configuration, each with its JSON path, all of them at once.

use std::{cell::RefCell, fmt};

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where, as a JSON path: `$.identity.trust_domains[0].name`.
    pub path: String,
    /// What is wrong and how to mend it.
    pub message: String,
}

/// All mistakes of one configuration, never none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

/// Where mistakes are collected while a configuration is read.
#[derive(Debug, Default)]
pub(super) struct Collector(RefCell<Vec<Problem>>);

// === impl Problem ===

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

// === impl Problems ===

impl Problems {
    /// The mistakes, in the order in which the configuration is read.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Problems {}

// === impl Collector ===

impl Collector {
    pub(super) fn add(&self, path: &str, message: impl Into<String>) {
        self.0.borrow_mut().push(Problem { path: path.to_owned(), message: message.into() });
    }

    /// `value` if nothing is wrong and it is there; else everything that is wrong.
    pub(super) fn finish<T>(self, value: Option<T>) -> Result<T, Problems> {
        let problems = self.0.into_inner();
        match value {
            Some(value) if problems.is_empty() => Ok(value),
            Some(_) => Err(Problems(problems)),
            None if problems.is_empty() => {
                // INVARIANT: whoever gives no value has said why; were it forgotten, the configuration is refused all the same.
                let message = "the configuration is not complete".to_owned();
                Err(Problems(vec![Problem { path: "$".to_owned(), message }]))
            }
            None => Err(Problems(problems)),
        }
    }
}

/// The path of the field `name` below `path`.
pub(super) fn field_path(path: &str, name: &str) -> String {
    let plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if plain { format!("{path}.{name}") } else { format!("{path}[{}]", serde_json::Value::from(name)) }
}
