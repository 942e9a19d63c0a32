//! From modules and data to a [`Policy`], or to every reason why not.

use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
    fmt,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};

use regorus::{
    Engine, Value,
    unstable::{Expr, Rule, RuleHead},
    utils::limits::ExecutionTimerConfig,
};
use thiserror::Error;

use super::{
    Budget, Data, Module, Package, Policy, Portable,
    recursion::recursive_rules,
    semantics::{self, Doubt},
    source_text,
    sprintf::sprintf,
};

/// How many units of work the evaluator does between two looks at the clock.
const CLOCK_CHECK_INTERVAL: NonZeroU32 = match NonZeroU32::new(256) {
    Some(interval) => interval,
    None => NonZeroU32::MIN,
};

/// The name under `data` where the calls of the recent past stand; nobody else may define it.
const AUDIT_LOG: &str = "audit_log";

/// The path of the rule that decides: `data.hexr.authz.allow`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RulePath {
    segments: Vec<String>,
    text: String,
}

/// One reason why modules and data make no policy.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CompileError {
    /// A module does not parse. The text begins with `FILE:LINE:COLUMN`.
    #[error("{0}")]
    Parse(String),
    /// A module is refused before it is parsed.
    #[error("{path}:{line}: {message}")]
    Refused {
        /// Its file.
        path: String,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// The modules do not fit together.
    #[error("{0}")]
    Compile(String),
    /// No rule stands at the decision's path.
    #[error("no rule `{0}`: write one, or set `decision.path` to the rule that decides")]
    NoEntryPoint(RulePath),
    /// Base data stands where a rule is.
    #[error("{path}:{line}: the rule `{rule}` has base data in its way at `{data}`: rename one of them")]
    DataOverRule {
        /// The rule's file.
        path: String,
        /// The rule's line, counted from 1.
        line: u32,
        /// The rule.
        rule: String,
        /// Where the data stands.
        data: String,
    },
    /// An expression that would be answered otherwise than by OPA when a part of it is undefined.
    #[error(
        "{path}:{line}: this version cannot answer this expression as OPA does when a part of it is undefined: \
         bind that part to a variable first (`x := ...`) and use the variable"
    )]
    Undefined {
        /// The module's file.
        path: String,
        /// The line, counted from 1.
        line: u32,
    },
    /// A negation with a variable that nothing else binds, which OPA refuses too.
    #[error(
        "{path}:{line}: a variable in this negation is bound nowhere else: write a rule that tests for one \
         (`some x in ...`) and negate that rule"
    )]
    Unbound {
        /// The module's file.
        path: String,
        /// The line, counted from 1.
        line: u32,
    },
    /// A pattern that is matched otherwise than by OPA.
    #[error(
        "{path}:{line}: this version does not match this pattern as OPA does: compare with `==` in an `every`, take \
         objects apart by their keys (`x.key`), and give every parameter a name of its own"
    )]
    Pattern {
        /// The module's file.
        path: String,
        /// The line, counted from 1.
        line: u32,
    },
    /// A regular expression or a glob that may be read otherwise than by OPA.
    #[error(
        "{path}:{line}: this version reads regular expressions and globs as OPA does only where they are constants of \
         the common kind: no `\\` or nested brackets in a class, no `**`, and a list of delimiters"
    )]
    Text {
        /// The module's file.
        path: String,
        /// The line, counted from 1.
        line: u32,
    },
    /// A rule that needs itself, which OPA refuses too.
    #[error("{path}:{line}: this rule is recursive: it needs its own value")]
    Recursion {
        /// The module's file.
        path: String,
        /// The line, counted from 1.
        line: u32,
    },
    /// A rule without a value and without a body.
    #[error(
        "{path}:{line}: this rule has neither a value nor a body: `allow := true`, or `allow if {{ ... }}`"
    )]
    BareRule {
        /// The module's file.
        path: String,
        /// The line, counted from 1.
        line: u32,
    },
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

// === impl Policy ===

impl Policy {
    /// Compiles `modules` over `data`; `rule` decides.
    ///
    /// # Errors
    /// Every module that does not parse; then everything that keeps the modules and the data from fitting together.
    pub fn compile(
        modules: &[Module],
        data: &Data,
        rule: &RulePath,
        budget: Budget,
    ) -> Result<Self, CompileErrors> {
        let (now, failed) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicBool::new(false)));
        let mut engine = new_engine(budget, &now, &failed).map_err(|error| CompileErrors(vec![error]))?;
        let unparsed: Vec<_> =
            modules.iter().filter_map(|module| add_module(&mut engine, module).err()).collect();
        if !unparsed.is_empty() {
            return Err(CompileErrors(unparsed));
        }
        let packages = packages(&mut engine);
        let misfits = misfits(&mut engine, data, rule);
        if !misfits.is_empty() {
            return Err(CompileErrors(misfits));
        }
        let compiled = engine
            .add_data(data.value().clone())
            // Compiling shows what evaluating would stumble over on every request: unsafe variables, missing rules.
            .and_then(|()| engine.compile_with_entrypoint(&rule.text.as_str().into()));
        match compiled {
            Ok(_) => Ok(Self {
                engine,
                rule: rule.clone(),
                now,
                failed,
                last_second: RefCell::new(None),
                budget,
                packages,
            }),
            Err(error) => Err(CompileErrors(vec![CompileError::Compile(one_line(&error))])),
        }
    }
}

/// The package of `module`, as its path below `data`, and the module in a form that a plain OPA takes.
///
/// # Errors
/// When the module does not parse.
pub fn module_header(module: &Module) -> Result<(Vec<String>, Portable<'_>), CompileError> {
    let mut engine = Engine::new();
    let portable = add_module(&mut engine, module)?;
    Ok((packages(&mut engine).pop().map(|package| package.path).unwrap_or_default(), portable))
}

fn packages(engine: &mut Engine) -> Vec<Package> {
    let modules = engine.get_modules().iter();
    let packages = modules.map(|module| Package {
        module: module.package.span.source.get_path().clone(),
        path: static_path(&module.package.refr),
    });
    packages.collect()
}

fn new_engine(
    budget: Budget,
    now: &Arc<AtomicI64>,
    failed: &Arc<AtomicBool>,
) -> Result<Engine, CompileError> {
    let mut engine = Engine::new();
    // OPA's default: an error in a builtin makes the expression undefined.
    engine.set_strict_builtin_errors(false);
    // Else they go to Envoy's log as errors. They have no reader yet.
    engine.set_gather_prints(true);
    engine.set_execution_timer_config(ExecutionTimerConfig {
        limit: budget.duration(),
        check_interval: CLOCK_CHECK_INTERVAL,
    });
    let now = Arc::clone(now);
    let now_ns = move |_: Vec<Value>| Ok(Value::from(now.load(Ordering::Relaxed)));
    let failed = Arc::clone(failed);
    let sprintf_or_fail =
        move |values: Vec<Value>| sprintf(&values).inspect_err(|_| failed.store(true, Ordering::Relaxed));
    engine
        .add_extension("time.now_ns".to_owned(), 0, Box::new(now_ns))
        .and_then(|()| engine.add_extension("sprintf".to_owned(), 2, Box::new(sprintf_or_fail)))
        .map_err(|error| CompileError::Compile(one_line(&error)))?;
    Ok(engine)
}

fn add_module<'m>(engine: &mut Engine, module: &'m Module) -> Result<Portable<'m>, CompileError> {
    source_text::check(&module.text).map_err(|refused| CompileError::Refused {
        path: module.path.clone(),
        line: refused.line,
        message: refused.message,
    })?;
    Portable::add(engine, module).map_err(|error| CompileError::Parse(one_line(&error)))
}

/// Everything that keeps parsed modules from being activated over `data`.
fn misfits(engine: &mut Engine, data: &Data, entry: &RulePath) -> Vec<CompileError> {
    let mut misfits = Vec::new();
    let mut entry_found = false;
    if data.obstacle(&[AUDIT_LOG.to_owned()]).is_some() {
        misfits.push(CompileError::ReservedData);
    }
    let modules = engine.get_modules();
    let mut rule_names: HashMap<Vec<String>, HashSet<&str>> = HashMap::new();
    for module in modules.iter() {
        rule_names
            .entry(static_path(&module.package.refr))
            .or_default()
            .extend(semantics::rule_names(module));
    }
    let input_is_whole = !semantics::replace_input(modules.iter().map(|module| &**module));
    for (module, line) in recursive_rules(modules.iter().map(|module| &**module)) {
        let path = module.package.span.source.get_path().clone();
        misfits.push(CompileError::Recursion { path, line });
    }
    for module in modules.iter() {
        let package = static_path(&module.package.refr);
        let file = module.package.span.source.get_path();
        if let Some(names) = rule_names.get(&package) {
            misfits.extend(semantics::findings(module, names, input_is_whole).into_iter().map(|finding| {
                let (path, line) = (file.clone(), finding.line);
                match finding.doubt {
                    Doubt::Undefined => CompileError::Undefined { path, line },
                    Doubt::Unbound => CompileError::Unbound { path, line },
                    Doubt::Pattern => CompileError::Pattern { path, line },
                    Doubt::Text => CompileError::Text { path, line },
                }
            }));
        }
        for rule in &module.policy {
            let mut path = package.clone();
            path.extend(static_path(rule_ref(rule)));
            entry_found |= path == entry.segments;
            if is_bare(rule) {
                misfits.push(CompileError::BareRule { path: file.clone(), line: rule.span().line });
            }
            if let Some(obstacle) = data.obstacle(&path) {
                let span = rule.span();
                misfits.push(CompileError::DataOverRule {
                    path: file.clone(),
                    line: span.line,
                    rule: format!("data.{}", path.join(".")),
                    data: format!("data.{}", obstacle.join(".")),
                });
            }
        }
    }
    if !entry_found {
        misfits.push(CompileError::NoEntryPoint(entry.clone()));
    }
    misfits
}

/// Whether a rule is a name and nothing else. The evaluator takes it for `NAME := true`, OPA for a mistake.
pub(super) fn is_bare(rule: &Rule) -> bool {
    match rule {
        Rule::Spec { head: RuleHead::Compr { assign: None, .. }, bodies, .. } => bodies.is_empty(),
        Rule::Spec { .. } | Rule::Default { .. } => false,
    }
}

/// The reference that names a rule.
pub(super) fn rule_ref(rule: &Rule) -> &Expr {
    match rule {
        Rule::Spec { head, .. } => match head {
            RuleHead::Compr { refr, .. } | RuleHead::Set { refr, .. } | RuleHead::Func { refr, .. } => refr,
        },
        Rule::Default { refr, .. } => refr,
    }
}

/// The segments of a reference up to the first that is not a constant.
pub(super) fn static_path(reference: &Expr) -> Vec<String> {
    let mut from_the_end = Vec::new();
    let mut expr = reference;
    loop {
        if let Expr::RefDot { refr, field, .. } = expr {
            from_the_end.push(text_of(&field.1));
            expr = refr;
        } else if let Expr::RefBrack { refr, index, .. } = expr {
            from_the_end.push(constant(index));
            expr = refr;
        } else {
            from_the_end.push(root(expr));
            break;
        }
    }
    from_the_end.into_iter().rev().map_while(|segment| segment).collect()
}

/// The name at the root of a reference.
fn root(expr: &Expr) -> Option<String> {
    if let Expr::Var { value, .. } = expr { text_of(value) } else { constant(expr) }
}

/// The text in the brackets of a reference, unless it is known only when evaluating.
fn constant(expr: &Expr) -> Option<String> {
    if let Expr::String { value, .. } | Expr::RawString { value, .. } = expr { text_of(value) } else { None }
}

fn text_of(value: &Value) -> Option<String> {
    value.as_string().ok().map(|text| text.to_string())
}

/// An error of the evaluator, `\n--> FILE:LINE:COLUMN\n...\nerror: MESSAGE`, as `FILE:LINE:COLUMN: MESSAGE`.
pub(super) fn one_line(error: &anyhow::Error) -> String {
    let text = error.to_string();
    let position = text.lines().find_map(|line| line.trim_start().strip_prefix("--> "));
    let message = text.lines().find_map(|line| line.trim_start().strip_prefix("error: "));
    match (position, message) {
        (Some(position), Some(message)) => format!("{}: {}", position.trim(), message.trim()),
        _ => text.split_whitespace().collect::<Vec<_>>().join(" "),
    }
}
