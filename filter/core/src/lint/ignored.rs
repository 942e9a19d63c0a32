//! `# hexr-authz:ignore CODE`: warnings that the author knows of.

use std::collections::HashMap;

use super::finding::{Finding, Severity};

/// Which codes are ignored on which lines, counted from 1.
#[derive(Debug, Default)]
pub(super) struct Ignored(HashMap<usize, Vec<String>>);

const MARK: &str = "hexr-authz:ignore";

impl Ignored {
    /// Finds the comments of a module. One behind code is about its own line; one on a line of its own is about the next
    /// line that is no comment.
    pub(super) fn read(text: &str) -> Self {
        let mut ignored = Self::default();
        let mut pending: Vec<String> = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let codes = line.split_once('#').and_then(|(_, comment)| codes(comment));
            if line.trim_start().starts_with('#') {
                pending.extend(codes.into_iter().flatten());
            } else {
                let codes: Vec<String> = pending.drain(..).chain(codes.into_iter().flatten()).collect();
                ignored.0.insert(at + 1, codes);
            }
        }
        ignored
    }

    /// Whether a finding is ignored. An error never is: the filter would refuse the policy all the same.
    pub(super) fn has(&self, finding: &Finding) -> bool {
        let codes = finding.span.and_then(|span| self.0.get(&span.line));
        finding.severity == Severity::Warning
            && codes.is_some_and(|codes| codes.iter().any(|code| code == finding.code.name()))
    }
}

/// The codes that a comment names.
fn codes(comment: &str) -> Option<impl Iterator<Item = String>> {
    let (_, named) = comment.split_once(MARK)?;
    Some(named.split([',', ' ', '\t']).filter(|code| !code.is_empty()).map(str::to_owned))
}
