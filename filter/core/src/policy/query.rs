//! Any query over a library, and its result set as OPA has it: for each way in which the query holds the value of each
//! of its expressions, and of its variables.
//!
//! The query becomes a rule of a module of its own, `[{"e": [...], "b": {...}} | QUERY]`, with the expressions that have
//! a value changed into assignments to a variable, as OPA does it.

use std::collections::{BTreeSet, HashSet};

use regorus::{
    Value,
    unstable::{Expr, Literal, LiteralStmt, Rule},
};
use serde_json::{Map, Value as Json};

use super::{
    CompileError, CompileErrors, Data, Dialect, Input, Library, Module, Moment, WORK_PER_MILLISECOND,
    compile::{RulePath, parse},
    source_text::Checker,
};
use crate::{
    pace::{Pace, finish},
    rego::{
        Asked, Halt, builtin_arity, constant_path,
        trace::{children, place, whole_text},
    },
};

/// A query that was read.
#[derive(Clone, Debug)]
pub struct Query {
    module: Module,
    rule: RulePath,
    /// Those of its expressions that a result tells, in their order.
    expressions: Vec<Expression>,
    /// How many lines stand before the query in its module.
    lines_before: u32,
}

/// An expression of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expression {
    /// Its text.
    pub text: String,
    /// The line in the query, counted from 1.
    pub row: u32,
    /// The column, counted from 1.
    pub column: u32,
}

/// One way in which a query holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryResult {
    /// The values of the expressions, in their order.
    pub values: Vec<Json>,
    /// The values of the variables.
    pub bindings: Map<String, Json>,
}

/// The module's file in messages.
const FILE: &str = "query";
/// What no operator's package is called.
const PACKAGE: &str = "__query__";
const RULE: &str = "__result__";
/// What the values of expressions are called.
const CAPTURE: &str = "__capture";
const ROW: &str = "__row";
/// As long as a test may take.
const MILLISECONDS: u64 = 5_000;

// === impl Query ===

impl Query {
    /// Reads a query that may use what `imports` import: `data.hexr.roles`, `input.role as role`.
    ///
    /// # Errors
    /// Where it does not parse.
    pub fn parse(text: &str, imports: &[String]) -> Result<Self, CompileErrors> {
        let imports: String = imports.iter().map(|import| format!("import {import}\n")).collect();
        let header = format!("package {PACKAGE}\n{imports}");
        let lines_before = u32::try_from(header.lines().count() + 1).unwrap_or(u32::MAX);
        let as_body = |body: String| Module {
            path: FILE.to_owned(),
            text: format!("{header}{body}\n"),
            dialect: Some(Dialect::V1),
        };
        let module = as_body(format!("{RULE} if {{\n{text}\n}}"));
        let refused = |error| shifted(error, lines_before);
        let (_, parsed) = finish(parse(&module, &mut Checker::new(), &Pace::unhurried())).map_err(refused)?;
        let rule = match parsed.policy.as_slice() {
            [rule] => rule,
            _ => {
                return Err(CompileErrors::one(no_query()));
            }
        };
        let Rule::Spec { bodies, .. } = &**rule else {
            return Err(CompileErrors::one(no_query()));
        };
        let statements: Vec<&LiteralStmt> = bodies.iter().flat_map(|body| &body.query.stmts).collect();
        let imported = parsed.imports.iter().filter_map(|import| match &import.r#as {
            Some(alias) => Some(alias.text().to_owned()),
            None => constant_path(&import.refr).pop(),
        });
        let mut reading = Reading { globals: imported.collect(), ..Reading::default() };
        statements.iter().for_each(|statement| reading.statement(statement, lines_before));
        if statements.len() > 1 || reading.iterates {
            // Values that are false count as such where there is more than one.
            reading.body.extend(reading.captures.clone());
        }
        let bindings: Vec<String> =
            reading.variables.iter().map(|name| format!("{}: {name}", Json::from(name.as_str()))).collect();
        let body = format!(
            "{RULE} := [{ROW} |\n{}\n{ROW} := {{\"e\": [{}], \"b\": {{{}}}}}\n]",
            reading.body.join("\n"),
            reading.values.join(", "),
            bindings.join(", "),
        );
        let rule = RulePath::parse(&format!("{PACKAGE}/{RULE}"));
        let rule = rule.ok_or_else(|| CompileErrors::one(no_query()))?;
        Ok(Self { module: as_body(body), rule, expressions: reading.expressions, lines_before })
    }

    /// The expressions that each result has a value for.
    pub fn expressions(&self) -> &[Expression] {
        &self.expressions
    }

    /// The module that the query is, to be read with others: what explains them explains it then.
    pub fn module(&self) -> &Module {
        &self.module
    }

    /// The rule that the query is.
    pub fn rule(&self) -> &RulePath {
        &self.rule
    }
}

/// What is said of a text that is no query, though it parses as a part of a module.
fn no_query() -> CompileError {
    CompileError::Refused {
        path: FILE.to_owned(),
        line: 1,
        column: 1,
        message: "this is no query".to_owned(),
    }
}

/// An error with the line that it has in the query.
fn shifted(mut error: CompileError, lines_before: u32) -> CompileErrors {
    match &mut error {
        CompileError::Unparsable { path, line, .. } | CompileError::Refused { path, line, .. } => {
            if path == FILE {
                *line = line.saturating_sub(usize::try_from(lines_before).unwrap_or(0)).max(1);
            }
        }
        CompileError::Unreadable { .. }
        | CompileError::NoEntryPoint(_)
        | CompileError::OutsideRoots(_)
        | CompileError::ReservedData => {}
    }
    CompileErrors::one(error)
}

/// What becomes of the statements of a query.
#[derive(Default)]
struct Reading {
    body: Vec<String>,
    captures: Vec<String>,
    expressions: Vec<Expression>,
    /// What stands for the values of the expressions.
    values: Vec<String>,
    variables: BTreeSet<String>,
    /// The names of imports.
    globals: HashSet<String>,
    iterates: bool,
}

// === impl Reading ===

impl Reading {
    fn statement(&mut self, statement: &LiteralStmt, lines_before: u32) {
        let (text, column) = (whole_text(&statement.span).to_owned(), place(&statement.span).1);
        let mut captured = None;
        match &statement.literal {
            Literal::SomeVars { vars, .. } => {
                self.variables.extend(vars.iter().map(|name| name.text().to_owned()));
                return self.body.push(text);
            }
            Literal::SomeIn { key, value, collection, .. } => {
                let parts = key.iter().chain([value, collection]);
                parts.for_each(|part| self.variables(part));
            }
            Literal::Every { domain, .. } => self.variables(domain),
            Literal::NotExpr { expr, .. } => self.variables(expr),
            Literal::Expr { expr, .. } => {
                self.variables(expr);
                if has_value(expr) {
                    captured = Some(format!("{CAPTURE}{}", self.captures.len()));
                }
            }
        }
        statement.with_mods.iter().for_each(|modifier| self.variables(&modifier.r#as));
        let row = statement.span.line.saturating_sub(lines_before);
        self.expressions.push(Expression { text: text.clone(), row, column });
        match captured {
            Some(name) => {
                self.body.push(format!("{name} := {text}"));
                self.values.push(name.clone());
                self.captures.push(name);
            }
            None => {
                self.body.push(text);
                self.values.push("true".to_owned());
            }
        }
    }

    /// Takes note of the variables of an expression, but for those that comprehensions have to themselves.
    fn variables(&mut self, expr: &Expr) {
        if matches!(expr, Expr::ArrayCompr { .. } | Expr::SetCompr { .. } | Expr::ObjectCompr { .. }) {
            return;
        }
        if let Expr::Var { span, .. } = expr
            && !matches!(span.text(), "_" | "input" | "data")
            && !self.globals.contains(span.text())
        {
            self.variables.insert(span.text().to_owned());
        }
        if let Expr::RefBrack { index, .. } = expr {
            self.iterates |= matches!(**index, Expr::Var { .. });
        }
        children(expr).into_iter().for_each(|child| self.variables(child));
    }
}

/// Whether an expression has a value, as far as OPA tells it: assignments have none, nor have calls whose result is
/// given a name in them.
fn has_value(expr: &Expr) -> bool {
    if let Expr::Call { fcn, params, .. } = expr {
        let name = fcn.span().text();
        return name != "print" && builtin_arity(name).is_none_or(|arity| arity == params.len());
    }
    !matches!(expr, Expr::AssignExpr { .. })
}

// === impl Library ===

impl Library {
    /// Compiles `modules` over `data`, with a query that asks them.
    ///
    /// # Errors
    /// As [`Self::compile`]; those of the query have `query` for a file.
    pub fn with_query(modules: &[Module], query: &Query, data: &Data) -> Result<Self, CompileErrors> {
        let all: Vec<Module> = modules.iter().chain([&query.module]).cloned().collect();
        Self::compile(&all, data).map_err(|errors| {
            let shifted =
                errors.iter().flat_map(|error| shifted(error.clone(), query.lines_before).into_vec());
            CompileErrors::of(shifted.collect()).unwrap_or(errors)
        })
    }

    /// The results of a query that this library was compiled with, in the order in which they are found.
    ///
    /// # Errors
    /// Why there is no answer.
    pub fn results(
        &self,
        query: &Query,
        input: &Input,
        moment: Moment<'_>,
    ) -> Result<Vec<QueryResult>, String> {
        let asked = Asked {
            input: input.value(),
            now_ns: moment.now.unix_nanos(),
            seed: moment.seed,
            calls: None,
            work: MILLISECONDS * WORK_PER_MILLISECOND,
            watch: &|| (moment.is_over)(super::Author::Platform),
            is_indexed: true,
        };
        let Some(rule) = self.program.rule_at(query.rule.segments()) else { return Ok(Vec::new()) };
        match self.program.evaluate(rule, asked) {
            Ok(evaluated) => Ok(results(&evaluated.value)),
            Err(Halt::OutOfBudget) => Err("the evaluation took too much work".to_owned()),
            Err(Halt::Error(message)) => Err(message),
        }
    }
}

fn results(value: &Value) -> Vec<QueryResult> {
    let Value::Array(results) = value else { return Vec::new() };
    let of =
        |result: &Value, key: &str| result.as_object().ok().and_then(|it| it.get(&Value::from(key)).cloned());
    let read = |result: &Value| QueryResult {
        values: match of(result, "e") {
            Some(Value::Array(values)) => values.iter().map(json_of).collect(),
            _ => Vec::new(),
        },
        bindings: match of(result, "b").map(|bindings| json_of(&bindings)) {
            Some(Json::Object(bindings)) => bindings,
            _ => Map::new(),
        },
    };
    results.iter().map(read).collect()
}

/// A value as OPA makes JSON of it: a set is an array, and keys are texts.
fn json_of(value: &Value) -> Json {
    match value {
        Value::Null | Value::Undefined => Json::Null,
        Value::Bool(is_true) => Json::from(*is_true),
        Value::String(text) => Json::from(&**text),
        Value::Number(_) => {
            value.to_json_str().ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or(Json::Null)
        }
        Value::Array(items) => items.iter().map(json_of).collect(),
        Value::Set(_) => crate::rego::in_order(value).iter().map(json_of).collect(),
        Value::Object(fields) => {
            let key_text = |key: &Value| {
                if let Value::String(text) = key { text.to_string() } else { json_of(key).to_string() }
            };
            Json::Object(fields.iter().map(|(key, value)| (key_text(key), json_of(value))).collect())
        }
    }
}
