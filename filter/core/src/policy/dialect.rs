//! Which Rego a module is written in.
//!
//! Operators have three: v1; v0; and v0 whose bodies use `in`, `every`, `contains` or `if` without importing them,
//! which only tools with all future keywords switched on take. The third becomes the second by an import on the line
//! of the package, so that every position in errors but the end of that line stays the operator's own.

use std::{
    borrow::Cow,
    num::{NonZeroU32, NonZeroUsize},
};

use regorus::unstable::{Module, Parser, Ref, Rule, Source};

use super::{compile::is_bare, source_text::with_separators};

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

/// The largest module, which is far beyond what a bundle may hold.
const MAX_BYTES: NonZeroUsize = non_zero(64 << 20);
const MAX_LINES: NonZeroUsize = non_zero(4 << 20);
/// Generated policies have long lines.
const MAX_COLUMN: NonZeroU32 = NonZeroU32::MAX;

const fn non_zero(number: usize) -> NonZeroUsize {
    match NonZeroUsize::new(number) {
        Some(number) => number,
        None => NonZeroUsize::MIN,
    }
}

/// One by one: since OPA has a keyword `not`, `import future.keywords` changes what a negation covers.
const FUTURE_KEYWORDS: &str = " import future.keywords.contains import future.keywords.every import future.keywords.if \
     import future.keywords.in";

impl<'m> Portable<'m> {
    /// Parses `module` in the dialect that a manifest binds it to, or in the first of v1, v0 and v0 with keywords that
    /// parses it.
    ///
    /// # Errors
    /// The parser's, for the bound dialect or for v1.
    pub(crate) fn parse(module: &'m super::Module) -> anyhow::Result<(Self, Ref<Module>)> {
        let path = &module.path;
        let plain = |dialect| Self { dialect, text: Cow::Borrowed(module.text.as_str()) };
        let first = plain(module.dialect.unwrap_or(Dialect::V1));
        // The error of the current dialect is the one to mend.
        let error = match first.parse_at(path) {
            Ok(parsed) => return Ok((first, parsed)),
            Err(error) if module.dialect.is_some() => return Err(error),
            Err(error) => error,
        };
        let with_keywords = with_future_keywords(&module.text)
            .map(|text| Self { dialect: Dialect::V0, text: Cow::Owned(text) });
        for candidate in std::iter::once(plain(Dialect::V0)).chain(with_keywords) {
            if let Ok(parsed) = candidate.parse_at(path)
                && !lacks_import(&parsed)
            {
                return Ok((candidate, parsed));
            }
        }
        Err(error)
    }

    /// Parses it under the operator's own path.
    fn parse_at(&self, path: &str) -> anyhow::Result<Ref<Module>> {
        let source = Source::from_contents_with_limits(
            path.to_owned(),
            with_separators(&self.text).into_owned(),
            MAX_BYTES,
            MAX_LINES,
        )?;
        let mut parser = Parser::new(&source)?;
        parser.set_max_col(MAX_COLUMN);
        if self.dialect == Dialect::V1 {
            parser.enable_rego_v1()?;
        }
        Ok(Ref::new(parser.parse()?))
    }
}

/// Whether a module has what the parser lets pass in v0, and OPA does not without an import: a rule that is a bare name
/// (in `allow if { ... }` it is the first of two rules), and `contains`.
fn lacks_import(module: &Module) -> bool {
    let imports = module.imports.iter().any(|import| import.span.text().contains("future.keywords"));
    let contains = |rule: &Rule| rule.span().text().split_whitespace().nth(1) == Some("contains");
    module.policy.iter().any(|rule| is_bare(rule) || (contains(rule) && !imports && !module.rego_v1))
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

    #[track_caller]
    fn check(text: &str, expect: Option<(Dialect, bool)>) {
        let module = super::super::Module { path: "a.rego".to_owned(), text: text.to_owned(), dialect: None };
        let found =
            Portable::parse(&module).ok().map(|(it, _)| (it.dialect, matches!(it.text, Cow::Owned(_))));
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
