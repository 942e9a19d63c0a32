//! From modules and data to a [`Policy`], or to every reason why not.

use std::fmt;

use regorus::{
    Value,
    unstable::{Module as ParsedModule, Rule, RuleHead, Source},
};
use thiserror::Error;

use super::{
    Budget, Data, Module, Package, Policy, Portable, SlowPart,
    parser_error::{column_in, unparsable},
    rule_by_rule,
    source_text::Checker,
};
use crate::{
    audit_log::AuditLog,
    pace::{Pace, finish},
    rego::{AUDIT_LOG, Position, Program, RuleId, RuleView, constant_path as static_path, position},
};

/// The path of the rule that decides: `data.hexr.authz.allow`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RulePath {
    segments: Vec<String>,
    text: String,
}

/// One reason why modules and data make no policy.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CompileError {
    /// A module does not parse, and the parser does not say where.
    #[error("{path}: {message}")]
    Unreadable {
        /// Its file.
        path: String,
        /// What is wrong.
        message: String,
    },
    /// A module does not parse.
    #[error("{path}:{line}:{column}: {message}")]
    Unparsable {
        /// Its file.
        path: String,
        /// The line, counted from 1.
        line: usize,
        /// The column, in characters counted from 1.
        column: usize,
        /// What is wrong.
        message: String,
    },
    /// Something in a module that keeps it from being compiled.
    #[error("{path}:{line}:{column}: {message}")]
    Refused {
        /// Its file.
        path: String,
        /// The line, counted from 1.
        line: usize,
        /// The column, in characters counted from 1.
        column: usize,
        /// What is wrong, and how to mend it.
        message: String,
    },
    /// No rule stands at the decision's path.
    #[error("no rule `{0}`: write one, or set `decision.path` to the rule that decides")]
    NoEntryPoint(RulePath),
    /// A package that the bundle does not own.
    #[error("{}: the package `data.{}` lies under none of the manifest's roots", .0.module, .0.path.join("."))]
    OutsideRoots(Package),
    /// Data under a name that is the filter's.
    #[error("`data.{AUDIT_LOG}` is the filter's own record of calls: a bundle must not define it")]
    ReservedData,
}

/// All reasons, never none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompileErrors(Vec<CompileError>);

// === impl RulePath ===

impl RulePath {
    /// Reads a path as OPA's configuration writes it: `hexr/authz/allow`.
    pub fn parse(path: &str) -> Option<Self> {
        let segments: Vec<String> = path.trim_matches('/').split('/').map(str::to_owned).collect();
        let name = |segment: &String| {
            segment.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
                && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        let text = format!("data.{}", segments.join("."));
        (segments.len() >= 2 && segments.iter().all(name)).then_some(Self { segments, text })
    }
}

impl RulePath {
    #[cfg(feature = "trace")]
    pub(super) fn segments(&self) -> &[String] {
        &self.segments
    }

    /// As OPA's decision logs name it: `hexr/authz/allow`.
    pub fn slashes(&self) -> String {
        self.segments.join("/")
    }

    /// The rule by which a tenant's own policy decides: `data.hexr.tenants["acme-corp"].allow`.
    pub fn of_tenant(tenant: &str) -> Self {
        let segments = ["hexr", "tenants", tenant, "allow"].map(str::to_owned).to_vec();
        Self { segments, text: format!("data.hexr.tenants[\"{tenant}\"].allow") }
    }
}

impl fmt::Display for RulePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

// === impl CompileErrors ===

impl CompileErrors {
    /// Collects `errors`; none if there are none.
    pub(crate) fn of(errors: Vec<CompileError>) -> Option<Self> {
        (!errors.is_empty()).then_some(Self(errors))
    }

    #[cfg(feature = "trace")]
    pub(super) fn one(error: CompileError) -> Self {
        Self(vec![error])
    }

    #[cfg(feature = "trace")]
    pub(super) fn into_vec(self) -> Vec<CompileError> {
        self.0
    }

    /// The reasons, in the order of the modules.
    pub fn iter(&self) -> impl Iterator<Item = &CompileError> {
        self.0.iter()
    }
}

impl fmt::Display for CompileErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for CompileErrors {}

/// Modules that are parsed, and the packages that they are.
pub(crate) struct Parsed {
    packages: Vec<Package>,
    modules: Vec<ParsedModule>,
    /// Their texts, where they have rules.
    sources: Vec<Option<Source>>,
}

// === impl Parsed ===

impl Parsed {
    /// Parses all modules.
    ///
    /// # Errors
    /// Every module that does not parse.
    pub(super) async fn new(modules: &[Module], pace: &Pace) -> Result<Self, CompileErrors> {
        let mut parsed = Self::none();
        let mut errors = Vec::new();
        let mut checker = Checker::new();
        for module in modules {
            match parse(module, &mut checker, pace).await {
                Ok((_, source)) => {
                    parsed.add(module.path.clone(), source);
                }
                Err(error) => errors.push(error),
            }
        }
        match CompileErrors::of(errors) {
            None => Ok(parsed),
            Some(errors) => {
                parsed.retire(pace).await;
                Err(errors)
            }
        }
    }

    /// Modules that were parsed one by one, with their files.
    #[cfg(feature = "lint")]
    pub(crate) fn of(modules: Vec<(String, ParsedModule)>) -> Self {
        let mut parsed = Self::none();
        for (module, source) in modules {
            parsed.add(module, source);
        }
        parsed
    }

    fn none() -> Self {
        Self { packages: Vec::new(), modules: Vec::new(), sources: Vec::new() }
    }

    fn add(&mut self, file: String, module: ParsedModule) {
        self.packages.push(Package { module: file, path: static_path(&module.package.refr) });
        self.sources.push(module.policy.first().map(|rule| rule.span().source.clone()));
        self.modules.push(module);
    }

    /// Compiles the modules over `data`. Of them nothing is left but their packages and texts.
    ///
    /// # Errors
    /// Everything that keeps them from fitting together, and from fitting to the data.
    pub(crate) async fn compile(&mut self, data: &Data, pace: &Pace) -> Result<Program, CompileErrors> {
        let mut errors = self.bare_rules(pace).await;
        match Program::compile(std::mem::take(&mut self.modules), data.value().clone(), pace).await {
            Ok(program) => {
                self.data_over_rules(&program, data, &mut errors, pace).await;
                match CompileErrors::of(errors) {
                    None => Ok(program),
                    Some(errors) => {
                        program.retire(pace).await;
                        Err(errors)
                    }
                }
            }
            Err(problems) => {
                errors.extend(problems.into_iter().map(|problem| self.refused(problem.at, problem.message)));
                // The order of the modules, and within them of the lines.
                Err(CompileErrors(errors))
            }
        }
    }

    /// Takes what was parsed apart in slices, and leaves the packages.
    pub(super) async fn retire(self, pace: &Pace) -> Vec<Package> {
        for module in self.modules {
            rule_by_rule::retire(module, pace).await;
        }
        self.packages
    }

    pub(crate) fn slow_parts(&self, program: &Program) -> Vec<SlowPart> {
        let part = |(rule, tried, all): (RuleView<'_>, usize, usize)| SlowPart {
            module: self.path(rule.at),
            line: usize::try_from(rule.at.line).unwrap_or(usize::MAX),
            message: format!(
                "{tried} of the {all} definitions of `data.{}` are tried one by one, because they compare no field of \
                 the input, and no argument, with a constant (`input.tenant == \"acme\"`, `input.role in {{...}}`): \
                 put what differs between them into data, and look it up",
                path_text(rule.path)
            ),
        };
        program.slow_rules().map(part).collect()
    }

    pub(crate) fn path(&self, at: Position) -> String {
        self.packages.get(at.module).map(|package| package.module.clone()).unwrap_or_default()
    }

    fn refused(&self, at: Position, message: String) -> CompileError {
        let (line, column) = self.place(at);
        CompileError::Refused { path: self.path(at), line, column, message }
    }

    /// The line and the column of a position, as editors count them.
    pub(crate) fn place(&self, at: Position) -> (usize, usize) {
        let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let (line, column) = (count(at.line), count(at.column));
        // The package was parsed out of a text of its own.
        let source = self.sources.get(at.module).and_then(Option::as_ref);
        (line, source.map_or(column, |source| column_in(source.contents(), line, column)))
    }

    async fn bare_rules(&self, pace: &Pace) -> Vec<CompileError> {
        let mut bare = Vec::new();
        for (module, source) in self.modules.iter().enumerate() {
            for rule in &source.policy {
                pace.spend(1).await;
                if is_bare(rule) {
                    let message =
                        "this rule has neither a value nor a body: `allow := true`, or `allow if { ... }`";
                    bare.push(self.refused(position(module, rule.span()), message.to_owned()));
                }
            }
        }
        bare
    }

    async fn data_over_rules(
        &self,
        program: &Program,
        data: &Data,
        errors: &mut Vec<CompileError>,
        pace: &Pace,
    ) {
        for rule in program.rules() {
            pace.spend(10).await;
            let path: Vec<String> = rule
                .path
                .iter()
                .filter_map(|part| part.as_string().ok().map(|text| text.to_string()))
                .collect();
            let Some(obstacle) = data.obstacle(&path) else { continue };
            let message = format!(
                "the rule `data.{}` has base data in its way at `data.{}`: rename one of them",
                path.join("."),
                obstacle.join(".")
            );
            errors.push(self.refused(rule.at, message));
        }
    }

    /// What decides, where the policy looks no further into the past than it may.
    async fn entry(
        &self,
        program: &Program,
        data: &Data,
        rule: &RulePath,
        audit_log: &AuditLog,
        pace: &Pace,
    ) -> Result<RuleId, CompileErrors> {
        let entry = self.decision(program, data, rule, pace).await?;
        let looks = program.looks(entry, pace).await;
        let too_far = looks.into_iter().filter_map(|look| {
            let message = audit_log.refuses(look)?;
            Some(self.refused(look.at, message))
        });
        CompileErrors::of(too_far.collect()).map_or(Ok(entry), Err)
    }

    /// What decides, where nothing stands in the place of the audit log.
    pub(crate) async fn decision(
        &self,
        program: &Program,
        data: &Data,
        rule: &RulePath,
        pace: &Pace,
    ) -> Result<RuleId, CompileErrors> {
        if data.obstacle(&[AUDIT_LOG.to_owned()]).is_some() {
            return Err(CompileErrors(vec![CompileError::ReservedData]));
        }
        let is_reserved = |path: &[Value]| path.first().is_some_and(|first| *first == Value::from(AUDIT_LOG));
        for rule in program.rules() {
            pace.spend(1).await;
            if is_reserved(rule.path) {
                return Err(CompileErrors(vec![CompileError::ReservedData]));
            }
        }
        program
            .rule_at(&rule.segments)
            .ok_or_else(|| CompileErrors(vec![CompileError::NoEntryPoint(rule.clone())]))
    }
}

// === impl Policy ===

impl Policy {
    /// Compiles `modules` over `data`; `rule` decides.
    ///
    /// # Errors
    /// Every module that does not parse; then everything that keeps the modules and the data from fitting together; then
    /// every place where the policy looks further back, or wider, than `audit_log` reaches.
    pub fn compile(
        modules: &[Module],
        data: &Data,
        rule: &RulePath,
        budget: Budget,
        audit_log: &AuditLog,
    ) -> Result<Self, CompileErrors> {
        finish(Self::compile_in(modules, data, rule, budget, audit_log, &Pace::unhurried()))
    }

    /// As [`Self::compile`], in slices.
    ///
    /// # Errors
    /// As [`Self::compile`].
    pub async fn compile_in(
        modules: &[Module],
        data: &Data,
        rule: &RulePath,
        budget: Budget,
        audit_log: &AuditLog,
        pace: &Pace,
    ) -> Result<Self, CompileErrors> {
        let mut parsed = Parsed::new(modules, pace).await?;
        let program = match parsed.compile(data, pace).await {
            Ok(program) => match parsed.entry(&program, data, rule, audit_log, pace).await {
                Ok(entry) => Ok((parsed.slow_parts(&program), program, entry)),
                Err(errors) => {
                    program.retire(pace).await;
                    Err(errors)
                }
            },
            Err(errors) => Err(errors),
        };
        let packages = parsed.retire(pace).await;
        let (slow_parts, program, entry) = program?;
        Ok(Self::new(program, rule.clone(), entry, budget, packages, slow_parts))
    }
}

/// The package of `module`, as its path below `data`, and the module in a form that a plain OPA takes.
///
/// # Errors
/// When the module does not parse.
pub fn module_header(module: &Module) -> Result<(Vec<String>, Portable<'_>), CompileError> {
    let (portable, parsed) = finish(parse(module, &mut Checker::new(), &Pace::unhurried()))?;
    Ok((static_path(&parsed.package.refr), portable))
}

/// Parses one module.
///
/// # Errors
/// When it does not parse.
pub(crate) async fn parse<'m>(
    module: &'m Module,
    checker: &mut Checker,
    pace: &Pace,
) -> Result<(Portable<'m>, ParsedModule), CompileError> {
    checker.check(&module.text, pace).await.map_err(|refused| CompileError::Refused {
        path: module.path.clone(),
        line: refused.line,
        column: 1,
        message: refused.message,
    })?;
    Portable::parse(module, pace).await.map_err(|error| unparsable(module, &error))
}

fn path_text(path: &[Value]) -> String {
    let parts: Vec<&str> = path.iter().filter_map(|part| part.as_string().ok().map(|text| &**text)).collect();
    parts.join(".")
}

/// Whether a rule is a name and nothing else. The evaluator takes it for `NAME := true`, OPA for a mistake.
pub(super) fn is_bare(rule: &Rule) -> bool {
    match rule {
        Rule::Spec { head: RuleHead::Compr { assign: None, .. }, bodies, .. } => bodies.is_empty(),
        Rule::Spec { .. } | Rule::Default { .. } => false,
    }
}
