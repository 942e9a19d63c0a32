//! The cases that OPA's authors test their own evaluator with, read from the module that the oracle is built from.
//!
//! They are asked of OPA and never recorded: they are not ours, and where there is no Go there are none.

use std::{path::PathBuf, process::Command};

use anyhow::{Context as _, Result, bail};
use hexr_authz_core::policy::{Dialect, Module};
use serde_json::Value;
use walkdir::WalkDir;

use super::{
    case::Case,
    edges::NOW_NS,
    oracle::{Oracle, source},
};

/// What a test must not do: reach out, or answer otherwise each time.
const NOT_ASKED: [&str; 6] =
    ["http.send", "net.lookup_ip_addr", "rand.", "uuid.rfc4122", "opa.runtime", "providers.aws"];

impl Oracle {
    /// OPA's own cases, those that ask for one document.
    ///
    /// # Errors
    /// When they cannot be found or read.
    pub fn conformance_cases(&self) -> Result<Vec<Case>> {
        let folder = testdata()?;
        let mut cases = Vec::new();
        for (folder, dialect) in [(folder.join("v0"), Dialect::V0), (folder.join("v1"), Dialect::V1)] {
            for file in WalkDir::new(&folder).sort_by_file_name() {
                let file = file?;
                if file.path().extension().is_some_and(|extension| extension == "yaml") {
                    let text = std::fs::read_to_string(file.path())?;
                    // A few files hold what only OPA's own reader takes.
                    let Ok(set) = yaml_serde::from_str::<Value>(&text) else { continue };
                    let tests = set.get("cases").and_then(Value::as_array).into_iter().flatten();
                    cases.extend(tests.filter_map(|test| case(test, dialect)));
                }
            }
        }
        Ok(cases)
    }
}

fn testdata() -> Result<PathBuf> {
    let listed = Command::new("go")
        .args(["list", "-m", "-f", "{{.Dir}}", "github.com/open-policy-agent/opa"])
        .current_dir(source())
        .output()
        .context("cannot run `go list`")?;
    if !listed.status.success() {
        bail!("`go list` fails: {}", String::from_utf8_lossy(&listed.stderr));
    }
    Ok(PathBuf::from(String::from_utf8(listed.stdout)?.trim()).join("v1/test/cases/testdata"))
}

fn case(test: &Value, dialect: Dialect) -> Option<Case> {
    let text = |name: &str| test.get(name).and_then(Value::as_str);
    let modules = test.get("modules").and_then(Value::as_array).into_iter().flatten();
    let modules: Vec<Module> = modules
        .filter_map(Value::as_str)
        .enumerate()
        .map(|(at, text)| Module {
            path: format!("m{at}.rego"),
            text: text.to_owned(),
            dialect: Some(dialect),
        })
        .collect();
    if modules.iter().any(|module| NOT_ASKED.iter().any(|name| module.text.contains(name))) {
        return None;
    }
    let input = match (test.get("input_term"), test.get("input")) {
        // A term that is no JSON cannot be an input of ours.
        (Some(term), _) => Some(serde_json::from_str::<Value>(term.as_str()?).ok()?.to_string()),
        (None, input) => input.map(Value::to_string),
    };
    Some(Case {
        name: format!("{dialect:?} {}", text("note")?),
        modules,
        data: test
            .get("data")
            .filter(|data| data.is_object())
            .map_or_else(|| "{}".to_owned(), Value::to_string),
        inputs: vec![input],
        queries: vec![document(text("query")?)?],
        now_ns: NOW_NS,
    })
}

/// The document that `data.a.b = x` asks for.
fn document(query: &str) -> Option<Vec<String>> {
    let (path, variable) = query.split_once('=')?;
    let is_name =
        |text: &str| !text.is_empty() && text.chars().all(|char| char.is_ascii_alphanumeric() || char == '_');
    let segments: Vec<&str> = path.trim().strip_prefix("data.")?.split('.').collect();
    let plain = is_name(variable.trim()) && segments.iter().all(|segment| is_name(segment));
    plain.then(|| segments.into_iter().map(str::to_owned).collect())
}
