//! Random policies of the kind operators write, and nastier ones, with inputs for them. A seed gives the same case
//! wherever it is made.

mod body;
mod collections;
mod indexed;
mod iteration;
mod modifiers;
mod operators;
mod rules;
mod scalars;
mod statement;
mod term;
mod world;

use hexr_authz_core::policy::{Dialect, Module};

use super::{case::Case, random::Random};

/// How a module is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// `allow if { ... }`, with all keywords.
    V1,
    /// `allow { ... }`, in which `in`, `every`, `if` and `contains` are names.
    V0,
    /// Either form, with `import future.keywords`.
    V0Keywords,
}

/// The kinds of value that terms are made of on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    Number,
    Text,
    Flag,
    Texts,
    Numbers,
    TextSet,
    NumberSet,
    Object,
    User,
    Call,
    Any,
}

/// A rule that later rules may refer to.
#[derive(Clone, Debug)]
struct Rule {
    package: String,
    name: String,
    shape: Shape,
}

#[derive(Clone, Debug)]
enum Shape {
    Complete(Type),
    Set(Type),
    Object(Type, Type),
    Function(Vec<Type>, Type),
}

/// Writes the modules of one case.
struct Writer<'r> {
    random: &'r mut Random,
    style: Style,
    package: String,
    /// The rules of all packages so far. No rule refers to one that comes later, so there is no recursion.
    rules: Vec<Rule>,
    /// How `data.lib` can be named besides: by an import.
    aliases: Vec<(String, String)>,
    /// Names for parts of the input, by imports.
    input_aliases: Vec<&'static str>,
    /// The variables that may be used, with those of the innermost body last.
    scope: Vec<(String, Type)>,
    /// Where the innermost body's variables begin in `scope`.
    body_start: usize,
    /// Names are bound by unification and not declared: then the order of expressions is free.
    undeclared: bool,
    /// The names that the innermost body has declared with `some`.
    declared: Vec<String>,
    next_name: usize,
}

/// The case of `seed`.
pub(super) fn case(seed: u64) -> Case {
    let mut random = Random::new(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ 0x6865_7872);
    let now_ns = world::instant(&mut random);
    let data = world::data(&mut random, now_ns).to_string();
    let style = match random.below(10) {
        0..=5 => Style::V1,
        6..=8 => Style::V0,
        _ => Style::V0Keywords,
    };
    let mut writer = Writer::new(&mut random, style);
    let mut modules = Vec::new();
    let kind = writer.random.below(10);
    if kind < 6 {
        if writer.random.percent(50) {
            modules.push(writer.module("lib", "lib.rego", 4));
        }
        if writer.random.percent(25) {
            modules.push(writer.module("shared.teams", "teams.rego", 3));
        }
        modules.push(writer.module("p", "p.rego", 7));
        if writer.random.percent(15) {
            modules.push(writer.module("p", "p2.rego", 3));
        }
    } else if kind < 8 {
        modules.push(writer.indexed_module());
    } else {
        modules.push(writer.operator_module());
    }
    let queries = writer.queries();
    let inputs = (0..writer.random.between(3, 5)).map(|_| world::input(writer.random)).collect();
    Case { name: format!("seed {seed}"), modules, data, inputs, queries, now_ns }
}

// === impl Style ===

impl Style {
    fn has_keywords(self) -> bool {
        self != Self::V0
    }

    fn dialect(self) -> Dialect {
        match self {
            Self::V1 => Dialect::V1,
            Self::V0 | Self::V0Keywords => Dialect::V0,
        }
    }
}

// === impl Writer ===

impl<'r> Writer<'r> {
    fn new(random: &'r mut Random, style: Style) -> Self {
        Self {
            random,
            style,
            package: String::new(),
            rules: Vec::new(),
            aliases: Vec::new(),
            input_aliases: Vec::new(),
            scope: Vec::new(),
            body_start: 0,
            undeclared: false,
            declared: Vec::new(),
            next_name: 0,
        }
    }

    /// The package's clause and imports, from now on in force.
    fn header(&mut self, package: &str) -> String {
        package.clone_into(&mut self.package);
        self.aliases.clear();
        self.input_aliases.clear();
        let mut text = format!("package {package}\n\n");
        if self.style == Style::V0Keywords {
            text.push_str(self.random.pick(&[
                "import future.keywords\n",
                "import rego.v1\n",
                "import future.keywords\n",
            ]));
        } else if self.style == Style::V1 && self.random.percent(20) {
            text.push_str("import rego.v1\n");
        }
        for other in ["lib", "shared.teams"] {
            if other != package
                && self.rules.iter().any(|rule| rule.package == other)
                && self.random.percent(60)
            {
                let last = other.rsplit('.').next().unwrap_or(other).to_owned();
                let (clause, alias) = match self.random.below(3) {
                    0 => (format!("import data.{other} as other_{last}\n"), format!("other_{last}")),
                    _ => (format!("import data.{other}\n"), last),
                };
                text.push_str(&clause);
                self.aliases.push((other.to_owned(), alias));
            }
        }
        for (clause, alias) in [
            ("import input.service as asked\n", "asked"),
            ("import input.role\n", "role"),
            ("import data.owner as owners\n", "owners[input.tenant]"),
            ("import input as request\n", "request.action"),
        ] {
            if self.random.percent(6) {
                text.push_str(clause);
                self.input_aliases.push(alias);
            }
        }
        text.push('\n');
        text
    }

    fn module(&mut self, package: &str, path: &str, most: usize) -> Module {
        let mut text = self.header(package);
        for _ in 0..self.random.between(1, most) {
            let rule = self.rule();
            text.push_str(&rule);
            text.push('\n');
        }
        self.finished(path, text)
    }

    fn finished(&self, path: &str, text: String) -> Module {
        Module { path: path.to_owned(), text, dialect: Some(self.style.dialect()) }
    }

    /// What is asked: every rule that is not a function, and now and then a whole package or a part of a rule's value.
    fn queries(&mut self) -> Vec<Vec<String>> {
        let mut queries: Vec<Vec<String>> = Vec::new();
        for rule in &self.rules {
            let mut path: Vec<String> = rule.package.split('.').map(str::to_owned).collect();
            path.extend(rule.name.split('.').map(str::to_owned));
            let is_function = matches!(rule.shape, Shape::Function(..));
            if !is_function && !queries.contains(&path) {
                queries.push(path);
            }
        }
        queries.truncate(9);
        if self.random.percent(25) || queries.is_empty() {
            queries.push(vec!["p".to_owned()]);
        }
        if self.random.percent(10) {
            queries.push(vec!["p".to_owned(), "nothing".to_owned()]);
        }
        queries
    }

    fn name(&mut self, prefix: &str) -> String {
        self.next_name += 1;
        format!("{prefix}{}", self.next_name)
    }
}
