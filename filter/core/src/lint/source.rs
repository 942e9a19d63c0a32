//! A module, read as far as it can be.

use regorus::unstable::{Module as Syntax, Rule, Span as SourceSpan};

use super::{
    finding::{Code, Finding, Span},
    ignored::Ignored,
};
use crate::{
    bundle::{Manifest, Subject},
    pace::{Pace, finish},
    policy::{Checker, CompileError, Module, TokenKind, Tokens, parse},
    rego::{TEST_PREFIX, constant_path},
};

/// A module of the bundle.
pub(super) struct Source<'b> {
    module: &'b Module,
    /// What it says, where it parses.
    syntax: Option<Syntax>,
    /// Whether a plain OPA takes it as it is.
    pub(super) is_portable: bool,
    /// Whether a package had to be put in front of it, on a line of its own.
    lacks_package: bool,
    ignored: Ignored,
}

/// What the names of test modules and of their packages end with.
const TEST_SUFFIX: &str = "_test";
/// The most errors that are told of one module.
const MOST_ERRORS: usize = 20;

// === impl Source ===

impl<'b> Source<'b> {
    /// Reads a module; `package` is what it most likely belongs to where it does not say.
    pub(super) fn read(module: &'b Module, package: &str, findings: &mut Vec<Finding>) -> Self {
        let lacks_package = lacks_package(&module.text);
        let mut source = Self {
            module,
            syntax: None,
            is_portable: true,
            lacks_package,
            ignored: Ignored::read(&module.text),
        };
        let mut text = module.text.clone();
        if lacks_package {
            text = format!("package {package}\n{text}");
            let finding = Finding::new(
                Code::MissingPackage,
                "this file has no `package`, so that its rules have no name",
            );
            let finding = finding.mended_by(format!("write `package {package}` as its first line"));
            findings.push(finding.in_file(&module.path).at(source.first_token()));
        }
        let mut complete = Module { text, ..module.clone() };
        for attempt in 0..MOST_ERRORS {
            let error = match finish(parse(&complete, &mut Checker::new(), &Pace::unhurried())) {
                Ok((portable, syntax)) => {
                    if attempt == 0 {
                        source.is_portable = matches!(portable.text, std::borrow::Cow::Borrowed(_));
                        source.syntax = Some(syntax);
                    }
                    break;
                }
                Err(error) => error,
            };
            let line = if let CompileError::Unparsable { line, .. } = &error { Some(*line) } else { None };
            findings.push(source.error(&error));
            match line.and_then(|line| without_item(&complete.text, line)) {
                Some(rest) => complete.text = rest,
                None => break,
            }
        }
        source
    }

    pub(super) fn file(&self) -> &str {
        &self.module.path
    }

    pub(super) fn text(&self) -> &str {
        &self.module.text
    }

    pub(super) fn syntax(&self) -> Option<&Syntax> {
        self.syntax.as_ref()
    }

    /// Gives what it says away.
    pub(super) fn take_syntax(&mut self) -> Option<(String, Syntax)> {
        self.syntax.take().map(|syntax| (self.module.path.clone(), syntax))
    }

    pub(super) fn ignores(&self, finding: &Finding) -> bool {
        finding.file.as_deref() == Some(self.file()) && self.ignored.has(finding)
    }

    /// Whether it is there for tests alone.
    pub(super) fn is_test(&self) -> bool {
        let name = self.file().strip_suffix(".rego").unwrap_or(self.file());
        let package = self.syntax.as_ref().and_then(|syntax| constant_path(&syntax.package.refr).pop());
        name.ends_with(TEST_SUFFIX) || package.is_some_and(|last| last.ends_with(TEST_SUFFIX))
    }

    /// The rules that are no tests.
    pub(super) fn rules(&self) -> impl Iterator<Item = &Rule> {
        let syntax = self.syntax.as_ref().filter(|_| !self.is_test());
        let rules = syntax.into_iter().flat_map(|syntax| syntax.policy.iter().map(|rule| &**rule));
        rules.filter(|rule| {
            let text = rule.span().text();
            !text.starts_with(TEST_PREFIX) && !text.starts_with("todo_test_")
        })
    }

    /// What the parser or the compiler says, with its place.
    pub(super) fn error(&self, error: &CompileError) -> Finding {
        match error {
            CompileError::Unreadable { message, .. } => {
                Finding::new(Code::ParseError, message.clone()).in_file(self.file())
            }
            CompileError::Unparsable { line, column, message, .. } => {
                let span = self.token_at(*line, *column);
                let finding = Finding::new(Code::ParseError, message.clone());
                let finding = Finding { remedy: super::syntax::remedy(message), ..finding };
                finding.in_file(self.file()).at(span)
            }
            CompileError::Refused { line, column, message, .. } => {
                let finding = Finding::new(Code::CompileError, message.clone());
                finding.in_file(self.file()).at(self.token_at(*line, *column))
            }
            other @ (CompileError::NoEntryPoint(_)
            | CompileError::OutsideRoots(_)
            | CompileError::ReservedData) => {
                Finding::new(Code::CompileError, other.to_string()).in_file(self.file())
            }
        }
    }

    /// What two spans cover with what is between them, up to the end of the line. A text is covered with its quotes.
    pub(super) fn span(&self, from: &SourceSpan, to: &SourceSpan) -> Span {
        let text = from.source.contents();
        let place = |offset: u32| usize::try_from(offset).unwrap_or(usize::MAX);
        let (mut start, mut end) = (place(from.start), place(to.end));
        let byte = |at: usize| text.as_bytes().get(at).copied();
        let before = start.checked_sub(1).and_then(byte);
        if matches!(before, Some(b'"' | b'`')) && byte(end) == before {
            (start, end) = (start - 1, end + 1);
        }
        let span = span_in(text, start, end);
        Span { line: self.own_line(span.line), ..span }
    }

    /// What stands between two places of the operator's own text, counted in bytes.
    pub(super) fn span_of(&self, start: usize, end: usize) -> Span {
        span_in(self.text(), start, end)
    }

    /// The token that begins at a place of the module as it was parsed.
    pub(super) fn token_at(&self, line: usize, column: usize) -> Span {
        let line = self.own_line(line);
        let text = self.text().lines().nth(line.saturating_sub(1)).unwrap_or_default();
        let rest: String = text.chars().skip(column.saturating_sub(1)).collect();
        let mut end = 0;
        let mut last = TokenKind::Dot;
        for token in Tokens::new(&rest) {
            let continues = token.at == end
                && (end == 0
                    || token.kind == TokenKind::Dot
                    || last == TokenKind::Dot && token.kind == TokenKind::Word);
            if !continues {
                break;
            }
            (end, last) = (token.end(), token.kind);
            if !matches!(last, TokenKind::Word | TokenKind::Dot) {
                break;
            }
        }
        let length = rest.get(..end).unwrap_or_default().chars().count();
        Span { line, column, length: length.max(1) }
    }

    /// The line of the operator's file that is the given one of the text as it was parsed.
    fn own_line(&self, line: usize) -> usize {
        line.saturating_sub(usize::from(self.lacks_package)).max(1)
    }

    fn first_token(&self) -> Span {
        let first = Tokens::new(self.text()).find(|token| token.kind != TokenKind::Newline);
        first.map_or(Span { line: 1, column: 1, length: 1 }, |token| self.span_of(token.at, token.end()))
    }

    /// Finds a package that is not the bundle's to define.
    pub(super) fn outside_roots(&self, manifest: &Manifest, subject: &Subject, findings: &mut Vec<Finding>) {
        let Some(syntax) = self.syntax.as_ref().filter(|_| !self.lacks_package) else { return };
        let path = constant_path(&syntax.package.refr);
        let Some((message, remedy)) = subject.misplaces(&path, manifest) else { return };
        let span = syntax.package.refr.span();
        let finding = Finding::new(Code::OutsideRoot, message).mended_by(remedy);
        findings.push(finding.in_file(self.file()).at(self.span(span, span)));
    }
}

/// A piece of a text, up to the end of its line.
fn span_in(text: &str, start: usize, end: usize) -> Span {
    let before = text.get(..start).unwrap_or_default();
    let covered = text.get(start..end).unwrap_or_default();
    let length = covered.lines().next().unwrap_or_default().chars().count();
    Span {
        line: before.matches('\n').count() + 1,
        column: before.rsplit('\n').next().unwrap_or_default().chars().count() + 1,
        length: length.max(1),
    }
}

/// Whether the first thing that a text says is not its package.
fn lacks_package(text: &str) -> bool {
    let first = Tokens::new(text).find(|token| token.kind != TokenKind::Newline);
    first.is_none_or(|token| token.text != "package")
}

/// The text without the rule or import around a line, so that what follows can be read; every other line stays where it
/// is. Nothing where that would only lead to errors that are none.
fn without_item(text: &str, line: usize) -> Option<String> {
    let lines: Vec<&str> = text.lines().collect();
    let begins = |line: &&str| line.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    let at = line.saturating_sub(1).min(lines.len().saturating_sub(1));
    let from = lines.get(..=at)?.iter().rposition(begins)?;
    let to = lines.iter().skip(at + 1).position(begins).map_or(lines.len(), |more| at + 1 + more);
    let (before, item, after) = (lines.get(..from)?, lines.get(from..to)?, lines.get(to..)?);
    // A bracket that stays open above makes errors of what follows.
    if item.first()?.starts_with("package") || open_brackets(&before.join("\n")) != 0 {
        return None;
    }
    let blank = vec![""; item.len()];
    Some([before, &blank, after].concat().join("\n"))
}

fn open_brackets(text: &str) -> i64 {
    let change = |token: crate::policy::TokenKind| {
        i64::from(token == TokenKind::Open) - i64::from(token == TokenKind::Close)
    };
    Tokens::new(text).map(|token| change(token.kind)).sum()
}
