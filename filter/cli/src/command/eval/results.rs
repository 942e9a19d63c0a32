//! The results of a query, as `opa eval` tells them.

use hexr_authz_core::policy::{CompileError, CompileErrors, Insight, Library, Query, QueryResult};
use serde::Serialize;
use serde_json::{Map, Value as Json};

use super::{Answer, Eval, Format, Problem, at_moment, escaped, explanation, json_text, loading::with_calls};

#[derive(Serialize)]
struct Output<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    result: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    expressions: Vec<Cell<'a>>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    bindings: &'a Map<String, Json>,
}

#[derive(Serialize)]
struct Cell<'a> {
    value: &'a Json,
    text: &'a str,
    location: Location,
}

#[derive(Serialize)]
struct Location {
    row: u32,
    col: u32,
}

#[derive(Serialize)]
struct Errors {
    errors: Vec<ErrorOutput>,
}

#[derive(Serialize)]
struct ErrorOutput {
    message: String,
    code: &'static str,
}

/// How many characters of a value a table has.
const MAX_CELL: usize = 80;

impl Eval {
    /// # Errors
    /// Why there is no answer.
    pub(super) fn results(&self, text: &str) -> Result<Answer, Problem> {
        let format = self.format();
        let (mut modules, data) = self.loaded()?;
        let (input, _) = self.input()?;
        let query = Query::parse(text, &self.imports).map_err(|errors| refused(&errors, format))?;
        let library = Library::with_query(&modules, &query, &with_calls(data))
            .map_err(|errors| refused(&errors, format))?;
        at_moment(self.time, |moment| {
            let results = library.results(&query, &input, moment).map_err(|error| ended(error, format))?;
            let mut text = told(&query, &results, format);
            if self.explain {
                modules.push(query.module().clone());
                let insight = Insight::new(&modules).map_err(|errors| errors.to_string())?;
                for trace in library.explain_query(&insight, &query, &input, moment) {
                    text.push('\n');
                    text.push_str(&explanation::pretty(&trace));
                }
            }
            Ok(Answer { text, is_defined: !results.is_empty() })
        })
    }
}

fn refused(errors: &CompileErrors, format: Format) -> Problem {
    let of = |error: &CompileError| ErrorOutput {
        message: error.to_string(),
        code: match error {
            CompileError::Unreadable { .. } | CompileError::Unparsable { .. } => "rego_parse_error",
            CompileError::Refused { .. }
            | CompileError::NoEntryPoint(_)
            | CompileError::OutsideRoots(_)
            | CompileError::ReservedData => "rego_compile_error",
        },
    };
    problem(errors.iter().map(of).collect(), format)
}

fn ended(message: String, format: Format) -> Problem {
    problem(vec![ErrorOutput { message, code: "eval_error" }], format)
}

/// Errors are JSON on standard output, or lines on standard error.
fn problem(errors: Vec<ErrorOutput>, format: Format) -> Problem {
    if format == Format::Json {
        return Problem { text: json_text(&Errors { errors }), is_output: true };
    }
    let lines: Vec<String> = errors.into_iter().map(|error| error.message).collect();
    Problem::from(lines.join("\n"))
}

fn told(query: &Query, results: &[QueryResult], format: Format) -> String {
    match format {
        Format::Json => {
            json_text(&Output { result: results.iter().map(|result| row(query, result)).collect() })
        }
        Format::Pretty => pretty(query, results),
        Format::Values => results.iter().map(|result| json_text(&result.values)).collect(),
        Format::Bindings => results.iter().map(|result| json_text(&result.bindings)).collect(),
        Format::Raw => {
            let raw =
                |value: &Json| value.as_str().map_or_else(|| escaped(&value.to_string()), str::to_owned);
            let line =
                |result: &QueryResult| result.values.iter().map(raw).collect::<Vec<_>>().join(" ") + "\n";
            results.iter().map(line).collect()
        }
    }
}

fn row<'a>(query: &'a Query, result: &'a QueryResult) -> Row<'a> {
    let cells = query.expressions().iter().zip(&result.values).map(|(expression, value)| Cell {
        value,
        text: &expression.text,
        location: Location { row: expression.row, col: expression.column },
    });
    Row { expressions: cells.collect(), bindings: &result.bindings }
}

/// A single value by itself, everything else as a table.
fn pretty(query: &Query, results: &[QueryResult]) -> String {
    let Some(first) = results.first() else { return "undefined\n".to_owned() };
    if let ([only], true) = (results, first.bindings.is_empty())
        && let Some(value) = only.values.first()
        && (only.values.len() == 1 || only.values.iter().all(Json::is_boolean))
    {
        return json_text(value);
    }
    let is_told = |value: &Json| !value.is_boolean() || first.bindings.is_empty();
    let told: Vec<usize> =
        (0..first.values.len()).filter(|at| first.values.get(*at).is_some_and(is_told)).collect();
    let texts = told.iter().filter_map(|at| query.expressions().get(*at)).map(|it| it.text.clone());
    let header: Vec<String> = texts.chain(first.bindings.keys().cloned()).collect();
    let cell = |value: Option<&Json>| {
        let text = value.map(|value| escaped(&value.to_string())).unwrap_or_default();
        match text.char_indices().nth(MAX_CELL) {
            Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
            None => text,
        }
    };
    let rows: Vec<Vec<String>> = results
        .iter()
        .map(|result| {
            let values = told.iter().map(|at| result.values.get(*at));
            values.chain(first.bindings.keys().map(|key| result.bindings.get(key))).map(cell).collect()
        })
        .collect();
    table(&header, &rows)
}

/// A table as OPA draws it, its header in the middle.
fn table(header: &[String], rows: &[Vec<String>]) -> String {
    let width = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at)).chain(header.get(at));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let rule = |left: &str, middle: &str, right: &str| {
        let lines: Vec<String> = widths.iter().map(|width| "─".repeat(width + 2)).collect();
        format!("{left}{}{right}\n", lines.join(middle))
    };
    let line = |cells: Vec<String>| format!("│ {} │\n", cells.join(" │ "));
    let centered = header.iter().zip(&widths).map(|(cell, width)| format!("{cell:^width$}")).collect();
    let mut text = rule("┌", "┬", "┐") + &line(centered) + &rule("├", "┼", "┤");
    for row in rows {
        text += &line(row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect());
    }
    text + &rule("└", "┴", "┘")
}
