//! What the compiled policy tells: that it cannot be compiled, what decides, and what that depends on.

use super::{
    Purpose,
    finding::{Code, Finding, Severity},
    source::Source,
};
use crate::{
    bundle::Subject,
    pace::{Pace, finish},
    policy::{CompileError, CompileErrors, Data, Parsed},
    rego::{Fallback, Look, Position, Program, RuleId, Tested},
};

/// Compiles the modules where all of them parse, and looks at the result.
pub(super) fn check(
    sources: &mut [Source<'_>],
    data: &Data,
    purpose: Purpose<'_>,
    findings: &mut Vec<Finding>,
) {
    if sources.iter().any(|source| source.syntax().is_none()) {
        return;
    }
    let is_test: Vec<bool> = sources.iter().map(Source::is_test).collect();
    let parsed = Parsed::of(sources.iter_mut().filter_map(Source::take_syntax).collect());
    let mut policy = Compiled { parsed, sources, is_test, subject: purpose.subject, findings };
    let pace = Pace::unhurried();
    let program = match finish(policy.parsed.compile(data, &pace)) {
        Ok(program) => program,
        Err(errors) => return policy.errors(&errors),
    };
    policy.negations(&program);
    policy.slow_rules(&program);
    match finish(policy.parsed.decision(&program, data, &purpose.subject.rule(), &pace)) {
        Ok(entry) => policy.decision(&program, entry, purpose),
        Err(errors) => policy.errors(&errors),
    }
}

struct Compiled<'c, 's> {
    parsed: Parsed,
    sources: &'c [Source<'s>],
    is_test: Vec<bool>,
    subject: &'c Subject,
    findings: &'c mut Vec<Finding>,
}

impl Compiled<'_, '_> {
    fn errors(&mut self, errors: &CompileErrors) {
        for error in errors.iter() {
            let finding = match error {
                CompileError::NoEntryPoint(rule) => {
                    let message = format!("there is no rule `{rule}`, so that nothing decides");
                    let package = self.subject.package();
                    let remedy = match self.subject {
                        Subject::Tenant(_) => format!("write one in `package {package}`"),
                        Subject::Platform(_) => format!(
                            "write one in `package {package}`, or name the rule that decides by `--decision`"
                        ),
                    };
                    Finding::new(Code::NoDecision, message).mended_by(remedy)
                }
                CompileError::Refused { path, .. }
                | CompileError::Unparsable { path, .. }
                | CompileError::Unreadable { path, .. } => {
                    match self.sources.iter().find(|source| source.file() == path) {
                        Some(source) => source.error(error),
                        None => Finding::new(Code::CompileError, error.to_string()),
                    }
                }
                CompileError::OutsideRoots(_) | CompileError::ReservedData => {
                    Finding::new(Code::CompileError, error.to_string())
                }
            };
            self.findings.push(finding);
        }
    }

    fn tell(&mut self, finding: Finding, at: Position) {
        let Some(source) = self.sources.get(at.module) else { return };
        let (line, column) = self.parsed.place(at);
        self.findings.push(finding.in_file(source.file()).at(source.token_at(line, column)));
    }

    fn is_test(&self, at: Position) -> bool {
        self.is_test.get(at.module).copied().unwrap_or_default()
    }

    fn decision(&mut self, program: &Program, entry: RuleId, purpose: Purpose<'_>) {
        let rule = purpose.subject.rule();
        match program.default_of(entry) {
            Fallback::Denies => {}
            Fallback::Missing(at) => {
                let message = format!(
                    "`{rule}` has no default, so that it has no value where none of its bodies holds"
                );
                let remedy = "write `default allow := false` above it: undefined denies too, but whoever reads the decision \
                              cannot tell it from a mistake";
                self.tell(
                    Finding::new(Code::DefaultAllowMissing, message)
                        .mended_by(named(remedy, &rule.to_string())),
                    at,
                );
            }
            Fallback::Allows(at) => {
                let message = format!("`{rule}` allows by default: whatever no rule decides is allowed");
                let remedy = "write `default allow := false`, and a body for what is allowed";
                self.tell(
                    Finding::new(Code::DefaultAllowTrue, message).mended_by(named(remedy, &rule.to_string())),
                    at,
                );
            }
        }
        for widening in program.widenings(entry) {
            let (tested, condition) = match widening.tested {
                Tested::Clock => ("the clock", "in_hours"),
                Tested::AuditLog => ("the recent calls", "under_limit"),
                Tested::Both => ("the clock and the recent calls", "under_limit"),
            };
            let message = format!(
                "this body tests only {tested}, and allows everybody everything: bodies of `{}` are alternatives, so that \
                 it widens what the others allow",
                widening.rule
            );
            let remedy = format!(
                "to narrow, put it into the body that says who may do what: `{} if {{ permitted; {condition} }}`",
                widening.rule.rsplit('.').next().unwrap_or_default()
            );
            self.tell(Finding::new(Code::BodyWidens, message).mended_by(remedy), widening.at);
        }
        let audit_log = match purpose.subject {
            Subject::Platform(_) => *purpose.audit_log,
            Subject::Tenant(_) => purpose.audit_log.of_tenant(),
        };
        for look in finish(program.looks(entry, &Pace::unhurried())) {
            let is_bounded = look.bounds.back_ns.is_some();
            match audit_log.refuses(look) {
                Some(problem) => {
                    let code = if is_bounded { Code::AuditLogReach } else { Code::UnboundedAuditLogScan };
                    let (message, remedy) = problem.split_once(": ").unwrap_or((&problem, ""));
                    let remedy = Some(remedy.to_owned()).filter(|remedy| !remedy.is_empty());
                    self.tell(Finding { remedy, ..Finding::new(code, message) }, look.at);
                }
                None if !is_bounded => self.unbounded(look),
                None => {}
            }
        }
    }

    /// What the configuration accepts without proof.
    fn unbounded(&mut self, look: Look) {
        let message = "this walks over all of `data.audit_log`: nothing bounds how far it looks back, and what it finds depends \
                       on how long the log happens to be";
        let remedy = "compare `call.timestamp > time.now_ns() - N` with a constant N";
        let finding = Finding::new(Code::UnboundedAuditLogScan, message).mended_by(remedy);
        self.tell(Finding { severity: Severity::Warning, ..finding }, look.at);
    }

    fn negations(&mut self, program: &Program) {
        for negation in program.fallible_negations() {
            if self.is_test(negation.at) {
                continue;
            }
            let message = format!(
                "this holds too where `{}` has no value because `{}` cannot read what it is given",
                negation.rule, negation.builtin
            );
            let remedy = "turn it around, so that what cannot be read denies: a rule that says what must hold, without the `not`; \
                          or give the rule a default";
            self.tell(Finding::new(Code::NotOverError, message).mended_by(remedy), negation.at);
        }
    }

    fn slow_rules(&mut self, program: &Program) {
        for slow in self.parsed.slow_parts(program) {
            let Some(source) = self.sources.iter().find(|source| source.file() == slow.module) else {
                continue;
            };
            let (message, remedy) = slow.message.split_once(": ").unwrap_or((&slow.message, ""));
            let finding = Finding::new(Code::SlowRule, message).mended_by(remedy);
            self.findings.push(finding.in_file(source.file()).at(source.token_at(slow.line, 1)));
        }
    }
}

/// The remedy for a rule of another name.
fn named(remedy: &str, rule: &str) -> String {
    let name = rule.rsplit('.').next().unwrap_or_default();
    remedy.replace("allow :=", &format!("{name} :="))
}
