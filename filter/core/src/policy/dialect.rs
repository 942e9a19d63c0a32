//! Which Rego a module is written in.
//!
//! Operators have three: v1; v0; and v0 whose bodies use `in`, `every`, `contains` or `if` without importing them,
//! which only tools with all future keywords switched on take. The third becomes the second by an import on the line
//! of the package, so that every position in errors but the end of that line stays the operator's own.

use std::borrow::Cow;

use regorus::unstable::{Module, Rule, Source};

use super::{
    compile::is_bare,
    parser_error::place_of,
    rule_by_rule::{limited_source, parse},
    source_text::{unimported_keyword, with_separators},
};
use crate::pace::Pace;

/// The versions of Rego.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Rego before OPA 1.0: `allow { ... }`.
    V0,
    /// Rego since OPA 1.0: `allow if { ... }`.
    V1,
}

/// A module in a form that the parser, and a plain OPA told the dialect, take.
#[derive(Debug)]
pub struct Portable<'m> {
    /// Its dialect.
    pub dialect: Dialect,
    /// Its text, with the missing import where there was one.
    pub text: Cow<'m, str>,
}

/// One by one: since OPA has a keyword `not`, `import future.keywords` changes what a negation covers.
const FUTURE_KEYWORDS: &str = " import future.keywords.contains import future.keywords.every import future.keywords.if \
     import future.keywords.in";

impl<'m> Portable<'m> {
    /// Parses `module` in the dialect that a manifest binds it to, or in the first of v1, v0 and v0 with keywords that
    /// parses it.
    ///
    /// # Errors
    /// The parser's: for the bound dialect, or for the one in which most of the text parses.
    pub(crate) async fn parse(module: &'m super::Module, pace: &Pace) -> anyhow::Result<(Self, Module)> {
        let plain = |dialect| Self { dialect, text: Cow::Borrowed(module.text.as_str()) };
        let source = source(&module.path, &module.text, pace).await?;
        let first = module.dialect.unwrap_or(Dialect::V1);
        let mut error = match parse(&source, first, pace).await {
            Ok(parsed) => return Ok((plain(first), parsed)),
            Err(error) if module.dialect.is_some() => return Err(error),
            Err(error) => error,
        };
        if unimported_keyword(&module.text, pace).await.is_none() {
            match parse_complete(&source, pace).await {
                Ok(parsed) => return Ok((plain(Dialect::V0), parsed)),
                Err(in_v0) => error = further(error, in_v0),
            }
        }
        let Some(text) = with_future_keywords(&module.text) else { return Err(error) };
        match parse_complete(&self::source(&module.path, &text, pace).await?, pace).await {
            Ok(parsed) => Ok((Self { dialect: Dialect::V0, text: Cow::Owned(text) }, parsed)),
            Err(with_keywords) => Err(further(error, with_keywords)),
        }
    }
}

/// The one of two errors that stands further down. In the dialect that a module is not written in, its first rule is an
/// error already; of two at one place that of the newer dialect is the one to mend.
fn further(error: anyhow::Error, other: Option<anyhow::Error>) -> anyhow::Error {
    match other {
        Some(other) if place_of(&other) > place_of(&error) => other,
        Some(_) | None => error,
    }
}

async fn source(path: &str, text: &str, pace: &Pace) -> anyhow::Result<Source> {
    let text = with_separators(text, pace).await.into_owned();
    pace.give_way().await;
    let source = limited_source(path, text)?;
    pace.give_way().await;
    Ok(source)
}

/// Parses v0.
///
/// # Errors
/// The parser's; nothing where only OPA has one, because it asks for an import.
async fn parse_complete(source: &Source, pace: &Pace) -> Result<Module, Option<anyhow::Error>> {
    let parsed = parse(source, Dialect::V0, pace).await.map_err(Some)?;
    if lacks_import(&parsed, pace).await { Err(None) } else { Ok(parsed) }
}

/// Whether a module has what the parser lets pass in v0, and OPA does not without an import: a rule that is a bare name
/// (in `allow if { ... }` it is the first of two rules), and `contains`.
async fn lacks_import(module: &Module, pace: &Pace) -> bool {
    let imports = module.imports.iter().any(|import| import.span.text().contains("future.keywords"));
    let contains = |rule: &Rule| rule.span().text().split_whitespace().nth(1) == Some("contains");
    for rule in &module.policy {
        pace.spend(2).await;
        if is_bare(rule) || (contains(rule) && !imports && !module.rego_v1) {
            return true;
        }
    }
    false
}

/// `text` with an import of all future keywords behind its package; nothing where no package is found.
fn with_future_keywords(text: &str) -> Option<String> {
    let (before, package) = text.split_at(package_end(text)?);
    Some([before, FUTURE_KEYWORDS, package].concat())
}

/// Where the package clause ends: behind the path that follows the first `package` outside of comments.
fn package_end(text: &str) -> Option<usize> {
    let mut at = skip_blank(text, 0);
    let keyword = text.get(at..)?.strip_prefix("package")?;
    if !keyword.starts_with(char::is_whitespace) {
        return None;
    }
    at = skip_blank(text, at + "package".len());
    let mut in_string = false;
    for (offset, char) in text.get(at..)?.char_indices() {
        match char {
            '"' => in_string = !in_string,
            _ if in_string => {}
            'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '.' | '[' | ']' => {}
            _ => return Some(at + offset),
        }
    }
    Some(text.len())
}

/// Where blanks and comments from `at` on end.
fn skip_blank(text: &str, mut at: usize) -> usize {
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let blank = rest.len() - rest.trim_start().len();
        if blank > 0 {
            at += blank;
        } else if rest.starts_with('#') {
            at += rest.find('\n').unwrap_or(rest.len());
        } else {
            break;
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pace::finish;

    #[track_caller]
    fn check(text: &str, expect: Option<(Dialect, bool)>) {
        let module = super::super::Module { path: "a.rego".to_owned(), text: text.to_owned(), dialect: None };
        let found = finish(Portable::parse(&module, &Pace::unhurried()))
            .ok()
            .map(|(it, _)| (it.dialect, matches!(it.text, Cow::Owned(_))));
        assert_eq!(found, expect, "{text}");
    }

    #[test]
    fn the_first_that_parses() {
        check("package p\nallow if input.x in [1]", Some((Dialect::V1, false)));
        check("package p\nallow { input.x == 1 }", Some((Dialect::V0, false)));
        check("package p\nimport future.keywords.in\nallow { input.x in [1] }", Some((Dialect::V0, false)));
        check("package p\nallow { input.x in {\"a\", \"b\"} }", Some((Dialect::V0, true)));
        check("package p\nallow { every x in [1] { x > 0 } }", Some((Dialect::V0, true)));
        check("package p\ndeny contains x { x := 1 }", Some((Dialect::V0, true)));
        check("package p\nallow if { true }\ndeny { false }", Some((Dialect::V0, true)));
        check("# c\n\n  package # c\n p.q[\"r-s\"] # c\nallow { 1 in [1] }", Some((Dialect::V0, true)));
        check("package p # in\r\n\tallow\t{\r\n input.x in [1]\r\n}", Some((Dialect::V0, true)));
        check("package p;allow { 1 in [1] }", None);
        check("allow { 1 in [1] }", None);
        check("package p\nallow { 1 in }", None);
        check("", None);
    }

    #[test]
    fn positions_stay_the_operators() {
        let text = "package p\nallow { input.x in [1] }\n";
        assert_eq!(
            with_future_keywords(text).as_deref(),
            Some(
                "package p import future.keywords.contains import future.keywords.every import future.keywords.if \
                 import future.keywords.in\nallow { input.x in [1] }\n"
            )
        );
    }
}
