//! Finds what keeps a policy from being loaded, and what loads and means something else than its author thinks.
//!
//! Errors are the filter's own: the same code parses and compiles. Warnings are about what bites in this product; how
//! Rego is written in general is for Regal to say. A warning is only worth something where it is right, so in doubt there
//! is none. `docs/lints.md` has an example of each.

mod compiled;
mod finding;
mod ignored;
mod input_fields;
mod names;
mod portability;
mod reference;
mod source;
mod suggestion;
mod syntax;

pub use finding::{Code, Finding, Severity, Span};

use self::{names::Known, source::Source};
use crate::{
    audit_log::AuditLog,
    bundle::{Bundle, Subject},
    catalog::Catalog,
};

/// What a policy is looked at for.
#[derive(Clone, Copy, Debug)]
pub struct Purpose<'a> {
    /// Whose policy it is.
    pub subject: &'a Subject,
    /// How far it may look back.
    pub audit_log: &'a AuditLog,
    /// The services and actions that there are.
    pub catalog: &'a Catalog,
    /// Whether the catalog has the operator's own services too. Without them a name that is none of the clouds' may be one.
    pub has_own_services: bool,
}

/// Everything that is to be said of the modules of a bundle, in the order of its files and of their lines.
pub fn findings(bundle: &Bundle, purpose: Purpose<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let package = purpose.subject.package();
    let mut sources: Vec<Source<'_>> =
        bundle.modules.iter().map(|module| Source::read(module, &package, &mut findings)).collect();
    for source in &sources {
        source.outside_roots(&bundle.manifest, purpose.subject, &mut findings);
    }
    let known = Known::new(purpose.catalog, purpose.has_own_services);
    for source in &sources {
        portability::check(source, &mut findings);
        input_fields::check(source, &mut findings);
        names::check(source, &known, &mut findings);
    }
    compiled::check(&mut sources, &bundle.data, purpose, &mut findings);
    findings.retain(|finding| !sources.iter().any(|source| source.ignores(finding)));
    let place = |finding: &Finding| {
        let file = finding.file.as_deref();
        // What is of no file comes last.
        let at = sources.iter().position(|source| Some(source.file()) == file).unwrap_or(sources.len());
        (at, finding.span, finding.code)
    };
    findings.sort_by_key(place);
    findings.dedup();
    findings
}
