//! Modules that load here, and not in a plain OPA: version 0 with keywords that nobody imported.

use super::{
    finding::{Code, Finding},
    source::Source,
};
use crate::{
    pace::{Pace, finish},
    policy::unimported_keyword,
};

pub(super) fn check(source: &Source<'_>, findings: &mut Vec<Finding>) {
    if source.is_portable {
        return;
    }
    let keyword = finish(unimported_keyword(source.text(), &Pace::unhurried()));
    let word = keyword.map_or("if", |keyword| keyword.text);
    let message =
        format!("a plain OPA does not load this file: it is Rego v0, and uses `{word}` without importing it");
    let remedy = format!(
        "write `import future.keywords.{word}` below the package, or all of it in Rego v1; what `hexr-authz build` and \
         `serve` emit has the import"
    );
    let finding = Finding::new(Code::NotPortable, message).mended_by(remedy).in_file(source.file());
    let span = keyword.map(|keyword| source.span_of(keyword.at, keyword.end()));
    findings.push(Finding { span, ..finding });
}
