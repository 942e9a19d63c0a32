//! What names stand for: the packages and rules of all modules, and each module's imports.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    rc::Rc,
};

use regorus::{
    Value,
    unstable::{Expr, Import, Literal, Module, Query, Rule as RuleSource, RuleHead},
};

use super::{
    Problem,
    ir::{Node, NodeId, Position, RuleId, RuleKind},
};

/// The packages and rules below `data`.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) nodes: Vec<Node>,
}

/// A rule as far as its heads tell.
#[derive(Debug)]
pub(super) struct Declared {
    pub(super) path: Vec<String>,
    pub(super) kind: RuleKind,
    pub(super) at: Position,
}

/// What names mean in one module.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) module: usize,
    pub(super) package: Vec<String>,
    /// Whether a `not` covers all of its expression, as OPA has it since the keyword `not` came with
    /// `import future.keywords`: without it, calls and what they are called with stand outside.
    pub(super) negates_bodies: bool,
    imports: HashMap<String, Imported>,
    rules: Rc<HashSet<String>>,
}

#[derive(Clone, Debug)]
struct Imported {
    of_input: bool,
    path: Vec<String>,
}

/// What a name stands for outside of the variables of a body.
pub(super) enum Global {
    /// A path below `input`.
    Input(Vec<String>),
    /// A path below `data`.
    Data(Vec<String>),
}

/// The path of a rule's head: the part that is known, and the keys behind it.
pub(super) struct HeadPath<'m> {
    pub(super) constant: Vec<String>,
    pub(super) keys: Vec<HeadKey<'m>>,
}

/// A key of a partial rule.
pub(super) enum HeadKey<'m> {
    Constant(String),
    Expr(&'m Expr),
}

// === impl Tree ===

impl Tree {
    pub(super) fn new() -> Self {
        Self { nodes: vec![Node::default()] }
    }

    pub(super) const ROOT: NodeId = 0;

    pub(super) fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id)
    }

    /// The path of a node below `data`.
    pub(super) fn path_of(&self, id: NodeId) -> Vec<Value> {
        let mut path = Vec::new();
        let mut at = self.node(id);
        while let Some((above, name)) = at.and_then(|node| node.above.as_ref()) {
            path.push(name.clone());
            at = self.node(*above);
        }
        path.reverse();
        path
    }

    /// The node at `path`, made where it is missing.
    pub(super) fn ensure(&mut self, path: &[String]) -> NodeId {
        let mut at = Self::ROOT;
        for segment in path {
            let known = self.nodes.get(at).and_then(|node| node.children.get(segment)).copied();
            at = known.unwrap_or_else(|| {
                let id = self.nodes.len();
                let above = Some((at, Value::from(segment.as_str())));
                self.nodes.push(Node { children: BTreeMap::new(), rule: None, above });
                if let Some(parent) = self.nodes.get_mut(at) {
                    parent.children.insert(segment.clone(), id);
                }
                id
            });
        }
        at
    }

    pub(super) fn put(&mut self, path: &[String], rule: RuleId) {
        let at = self.ensure(path);
        if let Some(node) = self.nodes.get_mut(at) {
            node.rule = Some(rule);
        }
    }

    pub(super) fn rule_at(&self, path: &[String]) -> Option<RuleId> {
        let mut at = Self::ROOT;
        for segment in path {
            at = *self.node(at)?.children.get(segment)?;
        }
        self.node(at)?.rule
    }
}

// === impl Names ===

impl Names {
    pub(super) fn new(
        module: usize,
        source: &Module,
        rules: Rc<HashSet<String>>,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let package = constant_path(&source.package.refr);
        let mut imports: HashMap<String, Imported> = HashMap::new();
        for import in &source.imports {
            let path = constant_path(&import.refr);
            let Some((root, rest)) = path.split_first() else { continue };
            let of_input = match root.as_str() {
                "input" => true,
                "data" => false,
                _ => continue,
            };
            let Some(name) = import_name(import) else { continue };
            let imported = Imported { of_input, path: rest.to_vec() };
            if imports.insert(name.clone(), imported).is_some() && source.rego_v1 {
                problems.push(Problem {
                    at: position(module, &import.span),
                    message: format!("the name `{name}` is imported twice: give one of them another (`as`)"),
                });
            }
        }
        let negates_bodies = source.imports.iter().any(|import| {
            let path = constant_path(&import.refr);
            path == ["future", "keywords"] || path == ["future", "keywords", "not"]
        });
        Self { module, package, negates_bodies, imports, rules }
    }

    /// Whether an expression is a call of `print`.
    pub(super) fn is_print(&self, expr: &Expr) -> bool {
        matches!(expr, Expr::Call { fcn, .. } if fcn.span().text() == "print")
            && self.global("print").is_none()
    }

    /// Whether a body prints, or one of an `every` in it: OPA evaluates all of it then.
    pub(super) fn prints(&self, query: &Query) -> bool {
        query.stmts.iter().any(|statement| match &statement.literal {
            Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => self.is_print(expr),
            Literal::Every { query, .. } => self.prints(query),
            Literal::SomeVars { .. } | Literal::SomeIn { .. } => false,
        })
    }

    /// What `name` stands for where no variable has it.
    pub(super) fn global(&self, name: &str) -> Option<Global> {
        match name {
            "input" => return Some(Global::Input(Vec::new())),
            "data" => return Some(Global::Data(Vec::new())),
            _ => {}
        }
        if let Some(import) = self.imports.get(name) {
            let path = import.path.clone();
            return Some(if import.of_input { Global::Input(path) } else { Global::Data(path) });
        }
        self.rules.contains(name).then(|| {
            let mut path = self.package.clone();
            path.push(name.to_owned());
            Global::Data(path)
        })
    }
}

/// The name that an import stands under.
fn import_name(import: &Import) -> Option<String> {
    match &import.r#as {
        Some(alias) => Some(alias.text().to_owned()),
        None => constant_path(&import.refr).pop(),
    }
}

/// Where a span begins.
pub(crate) fn position(module: usize, span: &regorus::unstable::Span) -> Position {
    Position { module, line: span.line, column: span.col }
}

/// A reference of constants, as its segments.
pub(crate) fn constant_path(reference: &Expr) -> Vec<String> {
    split(reference).constant
}

/// The path of a rule's head.
pub(super) fn head_path(reference: &Expr) -> HeadPath<'_> {
    split(reference)
}

fn split(reference: &Expr) -> HeadPath<'_> {
    let of_text = |value: &Value| HeadKey::Constant(text(value));
    let mut from_the_end = Vec::new();
    let mut expr = reference;
    loop {
        if let Expr::RefDot { refr, field, .. } = expr {
            from_the_end.push(of_text(&field.1));
            expr = refr;
        } else if let Expr::RefBrack { refr, index, .. } = expr {
            from_the_end.push(constant_key(index));
            expr = refr;
        } else {
            from_the_end.push(match expr {
                Expr::Var { span, .. } => HeadKey::Constant(span.text().to_owned()),
                other => constant_key(other),
            });
            break;
        }
    }
    let mut path = HeadPath { constant: Vec::new(), keys: Vec::new() };
    for key in from_the_end.into_iter().rev() {
        match key {
            HeadKey::Constant(text) if path.keys.is_empty() => path.constant.push(text),
            HeadKey::Constant(_) | HeadKey::Expr(_) => path.keys.push(key),
        }
    }
    path
}

fn constant_key(expr: &Expr) -> HeadKey<'_> {
    if let Expr::String { value, .. } | Expr::RawString { value, .. } = expr {
        HeadKey::Constant(text(value))
    } else {
        HeadKey::Expr(expr)
    }
}

fn text(value: &Value) -> String {
    value.as_string().map(|text| text.to_string()).unwrap_or_default()
}

/// The reference that names a rule.
pub(super) fn rule_reference(rule: &RuleSource) -> &Expr {
    match rule {
        RuleSource::Spec { head, .. } => match head {
            RuleHead::Compr { refr, .. } | RuleHead::Set { refr, .. } | RuleHead::Func { refr, .. } => refr,
        },
        RuleSource::Default { refr, .. } => refr,
    }
}
