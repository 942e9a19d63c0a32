//! The hand-written edge cases, a file for each topic.
//!
//! A line of its own that begins with `? ` is three cases: an expression, asked for its value, as a condition, and
//! negated. Everything longer begins with `== name`, has its `@` lines (`@v0`, `@input JSON`, `@data JSON`, `@query
//! path`), and then the policy; modules after the first follow a line `--`. `package p` is understood, `x` is asked for,
//! and without `@input` there is none.

use std::{collections::HashSet, fs, path::Path};

use anyhow::{Context as _, Result, bail};
use hexr_authz_core::policy::{Dialect, Module};

use super::case::Case;

/// The instant of all edge cases: 2026-01-15T10:30:00.123456789Z.
pub(super) const NOW_NS: i64 = 1_768_473_000_123_456_789;

/// The input of expressions that stand alone.
const INPUT: &str = r#"{"s":"abc","n":5,"f":1.5,"t":true,"no":false,"z":null,"e":"","a":[1,"b",[2,3],{"k":"v"}],"o":{"a":1,"b":{"c":[1,2]},"d-e":"q"},"l":["x","y","z","x"],"nums":[3,1,2],"big":12345678901234567890123,"neg":-3}"#;

/// The data of expressions that stand alone.
const DATA: &str = r#"{"d":{"users":[{"name":"ann","roles":["r","w"]},{"name":"bob","roles":[]}],"m":{"x":1,"y":2},"empty":[],"nest":{"a":{"b":{"c":3}}},"mixed":[null,false,0,"",[],{}]}}"#;

/// All of them.
///
/// # Errors
/// When a file cannot be read, or is not written as it must be.
pub fn edge_cases() -> Result<Vec<Case>> {
    let folder = crate::repository().join("integration/tests/opa-edges");
    let mut files: Vec<_> = fs::read_dir(&folder)
        .with_context(|| format!("cannot read {}", folder.display()))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.sort();
    let mut cases = Vec::new();
    for file in files {
        cases.extend(read(&file)?);
    }
    let mut names = HashSet::new();
    if let Some(twice) = cases.iter().find(|case| !names.insert(case.name.as_str())) {
        bail!("two edge cases are named `{}`", twice.name);
    }
    Ok(cases)
}

fn read(file: &Path) -> Result<Vec<Case>> {
    let topic = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or("edges").to_owned();
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut cases: Vec<Case> = Vec::new();
    // The case that is being read.
    let mut open: Option<Vec<&str>> = None;
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("== ") {
            cases.extend(open.take().map(|lines| long_case(&topic, &lines)).transpose()?);
            open = Some(vec![name]);
        } else if let Some(lines) = &mut open {
            lines.push(line);
        } else if let Some(expression) = line.strip_prefix("? ") {
            cases.extend(expression_cases(&topic, expression));
        } else if !line.trim().is_empty() && !line.starts_with('#') {
            bail!("{}: `{line}` belongs to no case", file.display());
        }
    }
    cases.extend(open.take().map(|lines| long_case(&topic, &lines)).transpose()?);
    Ok(cases)
}

/// Rules that an expression may name.
const NAMED: &str = "other := 1\n\nset contains 3\n\nset contains \"a\"\n\nobj[\"k\"] := 1\n\nf(x) := x + 1\n\ng(x) if x > 1\n";

/// Each alone, because OPA may refuse one and take another.
fn expression_cases(topic: &str, expression: &str) -> impl Iterator<Item = Case> {
    let ways = [
        (format!("{topic}: {expression}"), format!("x := {expression}")),
        (format!("{topic}: if {expression}"), format!("x if {{\n\t{expression}\n}}")),
        (format!("{topic}: not {expression}"), format!("x if {{\n\tnot {expression}\n}}")),
    ];
    ways.into_iter().map(|(name, rule)| Case {
        name,
        modules: vec![Module {
            path: "p.rego".to_owned(),
            text: format!("package p\n\n{rule}\n\n{NAMED}"),
            dialect: Some(Dialect::V1),
        }],
        data: DATA.to_owned(),
        inputs: vec![Some(INPUT.to_owned()), None],
        queries: vec![vec!["p".to_owned(), "x".to_owned()]],
        now_ns: NOW_NS,
    })
}

fn long_case(topic: &str, lines: &[&str]) -> Result<Case> {
    let [name, lines @ ..] = lines else { bail!("{topic}: a case without a name") };
    let (mut dialect, mut data, mut inputs, mut queries) =
        (Dialect::V1, "{}".to_owned(), Vec::new(), Vec::new());
    let mut texts = vec![String::new()];
    for line in lines {
        if *line == "@v0" {
            dialect = Dialect::V0;
        } else if let Some(json) = line.strip_prefix("@data ") {
            json.clone_into(&mut data);
        } else if let Some(json) = line.strip_prefix("@input ") {
            inputs.push((json != "none").then(|| json.to_owned()));
        } else if let Some(paths) = line.strip_prefix("@query ") {
            queries.extend(paths.split(' ').map(query));
        } else if *line == "--" {
            texts.push(String::new());
        } else if line.starts_with('@') {
            bail!("{topic}: {name}: `{line}` says nothing");
        } else if let Some(text) = texts.last_mut() {
            text.push_str(line);
            text.push('\n');
        }
    }
    if inputs.is_empty() {
        inputs.push(None);
    }
    if queries.is_empty() {
        queries.push(query("x"));
    }
    let modules = texts.into_iter().enumerate().map(|(at, text)| Module {
        path: format!("m{at}.rego"),
        text: if text.lines().any(|line| line.starts_with("package ")) {
            text
        } else {
            format!("package p\n\n{text}")
        },
        dialect: Some(dialect),
    });
    Ok(Case {
        name: format!("{topic}: {name}"),
        modules: modules.collect(),
        data,
        inputs,
        queries,
        now_ns: NOW_NS,
    })
}

/// A path below `data.p`, or below `data` with a slash in front; `.` is `data.p` itself.
fn query(path: &str) -> Vec<String> {
    match path.strip_prefix('/') {
        Some(path) => path.split('/').map(str::to_owned).collect(),
        None if path == "." => vec!["p".to_owned()],
        None => std::iter::once("p").chain(path.split('/')).map(str::to_owned).collect(),
    }
}
