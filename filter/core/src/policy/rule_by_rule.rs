//! Parses a module rule by rule: of a large one, all of it in one go would take too long.
//!
//! The parser has a function for a rule, and none for imports: package and imports are parsed as a module of their own,
//! which is the text up to the first rule. What the parser says of them is what it would say of all of the text.

use std::num::{NonZeroU32, NonZeroUsize};

use regorus::unstable::{Module, Parser, Ref, Source};

use super::Dialect;
use crate::{pace::Pace, rego::constant_path};

/// The largest module, which is far beyond what a bundle may hold.
const MAX_BYTES: NonZeroUsize = non_zero(64 << 20);
const MAX_LINES: NonZeroUsize = non_zero(4 << 20);
/// Generated policies have long lines.
const MAX_COLUMN: NonZeroU32 = NonZeroU32::MAX;
/// A unit of work for so many bytes of a rule.
const BYTES_PER_UNIT: usize = 2;
/// With it in front of its rules, a module means something else to the parser.
const TARGET: &str = "__target__";

const KEYWORDS: [&str; 4] = ["contains", "every", "if", "in"];
/// What all of the future keywords are imported by.
const ALL_KEYWORDS: [&str; 2] = ["future", "keywords"];

const fn non_zero(number: usize) -> NonZeroUsize {
    match NonZeroUsize::new(number) {
        Some(number) => number,
        None => NonZeroUsize::MIN,
    }
}

/// The module that `source` is.
///
/// # Errors
/// The parser's.
pub(super) async fn parse(source: &Source, dialect: Dialect, pace: &Pace) -> anyhow::Result<Module> {
    let mut parser = parser(source, dialect)?;
    let Some(head) = to_rules(&mut parser, source) else { return whole(source, dialect) };
    let head = limited_source(source.file(), head.to_owned())?;
    let head = self::parser(&head, dialect)?.parse()?;
    if !head.policy.is_empty() || head.target.is_some() {
        return whole(source, dialect);
    }
    import_keywords(&head, &mut parser)?;
    let mut policy = Vec::new();
    while at(&parser, source) != Some(source.contents().len()) {
        if parser.token_text() == TARGET {
            return whole(source, dialect);
        }
        let rule = parser.parse_rule()?;
        pace.spend(5 + rule.span().text().len() / BYTES_PER_UNIT).await;
        policy.push(Ref::new(rule));
    }
    let (num_expressions, num_statements) = (parser.num_expressions(), parser.num_statements());
    Ok(Module { policy, num_expressions, num_statements, num_queries: parser.num_queries(), ..head })
}

/// Takes a parsed module apart in slices.
pub(super) async fn retire(module: Module, pace: &Pace) {
    for rule in module.policy {
        let length = rule.span().text().len();
        drop(rule);
        pace.spend(5 + length / (2 * BYTES_PER_UNIT)).await;
    }
}

/// A source of the size that is read.
///
/// # Errors
/// When it is larger.
pub(super) fn limited_source(path: &str, text: String) -> anyhow::Result<Source> {
    Source::from_contents_with_limits(path.to_owned(), text, MAX_BYTES, MAX_LINES)
}

fn parser(source: &Source, dialect: Dialect) -> anyhow::Result<Parser<'_>> {
    let mut parser = Parser::new(source)?;
    parser.set_max_col(MAX_COLUMN);
    if dialect == Dialect::V1 {
        parser.enable_rego_v1()?;
    }
    Ok(parser)
}

/// Parses all of it in one go.
fn whole(source: &Source, dialect: Dialect) -> anyhow::Result<Module> {
    parser(source, dialect)?.parse()
}

/// Brings the parser to the first rule, and gives the text in front of it; nothing where there is no rule, or where what
/// stands there is to be parsed as a whole.
fn to_rules<'s>(parser: &mut Parser<'_>, source: &'s Source) -> Option<&'s str> {
    parser.parse_package().ok()?;
    while parser.token_text() == "import" {
        parser.next_token().ok()?;
        parser.next_token().ok()?;
        loop {
            let tokens = match parser.token_text() {
                "." => 2,
                "[" => 3,
                _ => break,
            };
            for _ in 0..tokens {
                parser.next_token().ok()?;
            }
        }
        if parser.token_text() == "as" {
            parser.next_token().ok()?;
            parser.next_token().ok()?;
        }
    }
    if matches!(parser.token_text(), "" | TARGET) {
        None
    } else {
        source.contents().get(..at(parser, source)?)
    }
}

/// Where the token stands that comes next: the parser does not tell, but the token is a part of the source's text.
fn at(parser: &Parser<'_>, source: &Source) -> Option<usize> {
    let (token, text) = (parser.token_text().as_ptr().addr(), source.contents().as_ptr().addr());
    token.checked_sub(text).filter(|at| *at <= source.contents().len())
}

/// Has the parser know the keywords that a module imports.
fn import_keywords(head: &Module, parser: &mut Parser<'_>) -> anyhow::Result<()> {
    for import in &head.imports {
        let path = constant_path(&import.refr);
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        if path == ALL_KEYWORDS {
            KEYWORDS.iter().try_for_each(|keyword| parser.set_future_keyword(keyword, &None))?;
        } else if let Some([keyword]) = path.strip_prefix(&ALL_KEYWORDS) {
            parser.set_future_keyword(keyword, &None)?;
        }
    }
    if head.rego_v1 { parser.enable_rego_v1() } else { Ok(()) }
}
