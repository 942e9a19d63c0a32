//! The `test_` rules of a library, run as `opa test` runs them: each definition by itself, those of one name numbered,
//! and a parameterised one case by case.

use std::collections::{BTreeMap, HashMap};

use regorus::Value;

use super::{Author, Budget, Library, Moment, WORK_PER_MILLISECOND};
use crate::rego::{Apart, Asked, DefinitionId, DefinitionView, Gives, Halt, TEST_PREFIX};

/// A rule that tests others, or one of several definitions of it.
#[derive(Clone, Debug)]
pub struct TestRule {
    /// Its package: `data.hexr.authz_test`.
    pub package: String,
    /// The whole reference: `data.hexr.authz_test.test_a`; of a second one `data.hexr.authz_test["test_a#01"]`.
    pub reference: String,
    /// Its name in the package: `test_a`; the second of that name is `test_a#01`.
    pub name: String,
    /// The module that it stands in.
    pub module: String,
    /// Counted from 1.
    pub line: u32,
    /// Counted from 1.
    pub column: u32,
    /// Whether it is left out: `todo_test_...`.
    pub is_todo: bool,
    pub(super) id: DefinitionId,
    gives: Gives,
    /// Whether its rule stands below the name, so that the name stands for an object.
    is_inner: bool,
}

/// What a test came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestRun {
    /// Whether it passed.
    pub verdict: TestVerdict,
    /// The cases of a parameterised test, by name.
    pub cases: BTreeMap<String, TestCase>,
    /// What it printed, a line for each `print`.
    pub printed: String,
}

/// Whether a test passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TestVerdict {
    /// It is true, or all of its cases are.
    Pass,
    /// It is something else, or undefined.
    Fail,
    /// It has no answer.
    Error(String),
    /// It was left out.
    Skip,
}

/// One case of a parameterised test, or a group of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TestCase {
    /// Whether it, or one of its own, is not true.
    pub has_failed: bool,
    /// Its own cases.
    pub cases: BTreeMap<String, TestCase>,
}

/// What the names of tests begin with that are left out.
const TODO_PREFIX: &str = "todo_test_";

// === impl Library ===

impl Library {
    /// Its tests, in the order of the modules.
    pub fn tests(&self) -> Vec<TestRule> {
        let mut count = HashMap::new();
        self.program.definitions().iter().filter_map(|view| self.test(view, &mut count)).collect()
    }

    fn test(
        &self,
        view: &DefinitionView<'_>,
        count: &mut HashMap<(String, String), usize>,
    ) -> Option<TestRule> {
        let module = self.modules.get(view.at.module)?;
        let path: Vec<String> = view.path.iter().map(name_of).collect();
        let own = path.get(module.path.len()..)?;
        let at =
            own.iter().position(|part| part.starts_with(TEST_PREFIX) || part.starts_with(TODO_PREFIX))?;
        let (name, parents) = own.get(..=at)?.split_last()?;
        let is_todo = name.starts_with(TODO_PREFIX);
        let package = reference("data", &module.path);
        let mut numbered = name.clone();
        if !is_todo {
            let earlier = count.entry((package.clone(), own.get(..=at)?.join("."))).or_default();
            if *earlier > 0 {
                numbered = format!("{name}#{earlier:02}");
            }
            *earlier += 1;
        }
        let below = [parents, &[numbered]].concat();
        Some(TestRule {
            package,
            reference: reference("data", &[&*module.path, &*below].concat()),
            name: match below.as_slice() {
                [first, rest @ ..] => reference(first, rest),
                [] => String::new(),
            },
            module: module.module.clone(),
            line: view.at.line,
            column: view.at.column,
            is_todo,
            id: view.id,
            gives: view.gives,
            is_inner: at + 1 < own.len(),
        })
    }

    /// Runs a test of this library. `budget` bounds the work that it does.
    pub fn run(&self, test: &TestRule, moment: Moment<'_>, budget: Budget) -> TestRun {
        if test.is_todo {
            return TestRun::of(TestVerdict::Skip);
        }
        if test.gives == Gives::Results {
            let problem = "a function is no test: it is not called";
            return TestRun::of(TestVerdict::Error(problem.to_owned()));
        }
        let asked = Asked {
            input: Value::Undefined,
            now_ns: moment.now.unix_nanos(),
            seed: moment.seed,
            calls: None,
            work: budget.milliseconds.saturating_mul(WORK_PER_MILLISECOND),
            watch: &|| (moment.is_over)(Author::Platform),
            is_indexed: true,
        };
        let Apart { value, cases, printed } = self.program.evaluate_apart(test.id, asked);
        let value = match value {
            Ok(value) => value,
            Err(Halt::OutOfBudget) => return TestRun::error("it took too long".to_owned(), printed),
            Err(Halt::Error(message)) => return TestRun::error(message, printed),
        };
        if test.gives == Gives::Fields {
            let whole = cases_of(&value, &cases);
            let verdict = if whole.has_failed { TestVerdict::Fail } else { TestVerdict::Pass };
            return TestRun { verdict, cases: whole.cases, printed };
        }
        let is_true = test.gives == Gives::Value && !test.is_inner && value == Value::Bool(true);
        let verdict = if is_true { TestVerdict::Pass } else { TestVerdict::Fail };
        TestRun { printed, ..TestRun::of(verdict) }
    }
}

// === impl TestRun ===

impl TestRun {
    /// A run that is told by its verdict alone.
    pub fn of(verdict: TestVerdict) -> Self {
        Self { verdict, cases: BTreeMap::new(), printed: String::new() }
    }

    fn error(message: String, printed: String) -> Self {
        Self { printed, ..Self::of(TestVerdict::Error(message)) }
    }
}

// === impl TestCase ===

impl TestCase {
    /// What the value of a case says.
    fn of(value: &Value) -> Self {
        if let Value::Object(fields) = value {
            let cases: BTreeMap<String, Self> =
                fields.iter().map(|(name, value)| (name_of(name), Self::of(value))).collect();
            return Self { has_failed: cases.values().any(|case| case.has_failed), cases };
        }
        Self { has_failed: *value != Value::Bool(true), cases: BTreeMap::new() }
    }

    /// Takes note of a case that was begun: where it is not there by now, it has failed.
    fn begun(&mut self, names: &[Value]) {
        let Some((name, inner)) = names.split_first() else { return };
        let failed = Self { has_failed: true, cases: BTreeMap::new() };
        let case = self.cases.entry(name_of(name)).or_insert(failed);
        case.begun(inner);
        self.has_failed |= case.has_failed;
    }
}

fn cases_of(value: &Value, begun: &[Value]) -> TestCase {
    let mut whole = TestCase::of(value);
    for case in begun {
        if let Value::Array(names) = case {
            whole.begun(&names.iter().cloned().collect::<Vec<_>>());
        }
    }
    whole
}

/// A name, or what stands for one, as text.
fn name_of(value: &Value) -> String {
    if let Value::String(text) = value { text.to_string() } else { value.to_json_str().unwrap_or_default() }
}

/// A reference as OPA writes it: `data.hexr["a-b"]`.
fn reference(head: &str, path: &[String]) -> String {
    let mut text = head.to_owned();
    for part in path {
        let is_name = !part.is_empty()
            && !part.starts_with(|first: char| first.is_ascii_digit())
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if is_name {
            text.push('.');
            text.push_str(part);
        } else {
            text.push_str(&format!("[{}]", Value::from(part.as_str()).to_json_str().unwrap_or_default()));
        }
    }
    text
}

#[cfg(test)]
mod tests;
