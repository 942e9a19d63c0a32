//! How findings are printed: for reading, for programs, and for GitHub.

use std::{collections::BTreeMap, fmt::Write as _, ops::Range};

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use hexr_authz_core::lint::{Finding, Severity, Span};
use serde_json::{Map, Value, json};

use crate::output::say;

/// How to print findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// For reading.
    Pretty,
    /// For programs: one document.
    Json,
    /// Workflow commands of GitHub Actions, which annotate the lines of a pull request.
    Github,
}

/// What was found, and the texts that it was found in.
#[derive(Debug, Default)]
pub(super) struct Report {
    entries: Vec<Entry>,
    /// By the files' names.
    texts: BTreeMap<String, String>,
}

#[derive(Debug)]
struct Entry {
    finding: Finding,
    /// The place in a document of JSON, for programs.
    json_path: Option<String>,
}

pub(super) fn is_error(finding: &Finding) -> bool {
    finding.severity == Severity::Error
}

// === impl Report ===

impl Report {
    pub(super) fn add(&mut self, finding: Finding) {
        self.entries.push(Entry { finding, json_path: None });
    }

    /// Adds what was found at a place of a JSON document.
    pub(super) fn add_at(&mut self, finding: Finding, json_path: &str) {
        self.entries.push(Entry { finding, json_path: Some(json_path.to_owned()) });
    }

    /// Takes note of the content of files.
    pub(super) fn know(&mut self, texts: impl IntoIterator<Item = (String, String)>) {
        self.texts.extend(texts);
    }

    /// Whether there is something to mend.
    pub(super) fn fails(&self, is_strict: bool) -> bool {
        self.entries.iter().any(|entry| is_strict || is_error(&entry.finding))
    }

    /// Writes all of it to standard output.
    ///
    /// # Errors
    /// When that cannot be written.
    pub(super) fn print(&self, format: Format) -> Result<(), String> {
        let text = match format {
            Format::Pretty => self.pretty(),
            Format::Json => self.json(),
            Format::Github => self.entries.iter().map(|entry| annotation(&entry.finding)).collect(),
        };
        say(text)
    }

    fn pretty(&self) -> String {
        let renderer = Renderer::styled();
        let mut text = String::new();
        for Entry { finding, .. } in &self.entries {
            let _ = write!(text, "{}\n\n", renderer.render(&[self.group(finding)]));
        }
        if !self.entries.is_empty() {
            let [errors, warnings] = self.counts();
            let counted = |count: usize, what: &str| match count {
                0 => None,
                1 => Some(format!("1 {what}")),
                _ => Some(format!("{count} {what}s")),
            };
            let counted: Vec<String> =
                [counted(errors, "error"), counted(warnings, "warning")].into_iter().flatten().collect();
            let _ = writeln!(text, "{}", counted.join(", "));
        }
        text
    }

    fn group<'r>(&'r self, finding: &'r Finding) -> Group<'r> {
        let level = match finding.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group = Group::with_title(level.primary_title(&finding.message).id(finding.code.name()));
        if let Some(file) = &finding.file {
            let text = self.texts.get(file);
            group = match text.zip(finding.span).and_then(|(text, span)| Some((text, bytes(text, span)?))) {
                Some((text, range)) => {
                    let marked = AnnotationKind::Primary.span(range);
                    group.element(Snippet::source(text).path(file).annotation(marked))
                }
                None => group.element(Origin::path(file)),
            };
        }
        match &finding.remedy {
            Some(remedy) => group.element(Level::HELP.message(remedy)),
            None => group,
        }
    }

    /// Errors and warnings.
    fn counts(&self) -> [usize; 2] {
        let errors = self.entries.iter().filter(|entry| is_error(&entry.finding)).count();
        [errors, self.entries.len() - errors]
    }

    fn json(&self) -> String {
        let findings: Vec<Value> = self.entries.iter().map(Entry::json).collect();
        let [errors, warnings] = self.counts();
        let document = json!({"findings": findings, "errors": errors, "warnings": warnings});
        format!("{document:#}\n")
    }
}

// === impl Entry ===

impl Entry {
    fn json(&self) -> Value {
        let finding = &self.finding;
        let mut object = Map::new();
        object.insert("code".to_owned(), finding.code.name().into());
        object.insert("severity".to_owned(), finding.severity.name().into());
        object.insert("message".to_owned(), finding.message.clone().into());
        if let Some(remedy) = &finding.remedy {
            object.insert("remedy".to_owned(), remedy.clone().into());
        }
        if let Some(file) = &finding.file {
            let mut location = json!({"file": file});
            if let (Some(span), Some(location)) = (finding.span, location.as_object_mut()) {
                location.insert("row".to_owned(), span.line.into());
                location.insert("col".to_owned(), span.column.into());
                location.insert("end_col".to_owned(), (span.column + span.length).into());
            }
            object.insert("location".to_owned(), location);
        }
        if let Some(path) = &self.json_path {
            object.insert("path".to_owned(), path.clone().into());
        }
        object.into()
    }
}

/// What a span covers of a text, in bytes; nothing where the text has no such line.
fn bytes(text: &str, span: Span) -> Option<Range<usize>> {
    let mut from = 0;
    for _ in 1..span.line {
        from += text.get(from..)?.find('\n')? + 1;
    }
    let rest = text.get(from..)?;
    let line = rest.lines().next().unwrap_or_default();
    let place = |characters: usize| line.char_indices().nth(characters).map_or(line.len(), |(at, _)| at);
    let (start, end) = (place(span.column - 1), place(span.column - 1 + span.length));
    Some(from + start..from + end)
}

/// `::error file=FILE,line=LINE,col=COLUMN,title=CODE::MESSAGE`
fn annotation(finding: &Finding) -> String {
    let mut properties = Vec::new();
    if let Some(file) = &finding.file {
        properties.push(format!("file={}", property(file)));
        if let Some(span) = finding.span {
            properties.push(format!("line={},col={}", span.line, span.column));
            properties.push(format!("endColumn={}", span.column + span.length));
        }
    }
    properties.push(format!("title={}", finding.code));
    let message = match &finding.remedy {
        Some(remedy) => format!("{}\n{remedy}", finding.message),
        None => finding.message.clone(),
    };
    format!("::{} {}::{}\n", finding.severity.name(), properties.join(","), escaped(&message))
}

fn escaped(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    escaped(text).replace(':', "%3A").replace(',', "%2C")
}
