//! Services and actions that the catalog does not know: a rule that compares with one of them never holds.

use std::{
    cell::RefCell,
    collections::{BTreeSet, HashMap, HashSet},
};

use regorus::unstable::{AssignOp, BoolOp, Expr, Literal, Query, Rule, RuleHead, Span};

use super::{
    finding::{Code, Finding},
    reference::{Imports, Visitor, text_of, walk},
    source::Source,
    suggestion::{is_slip, suggestion},
};
use crate::catalog::{Actions, Catalog};

/// The names that there are.
pub(super) struct Known<'c> {
    catalog: &'c Catalog,
    services: BTreeSet<String>,
    /// Whether these are all: without the operator's own, a name that is none of the clouds' may be one of them.
    is_complete: bool,
    actions: RefCell<HashMap<String, Option<Actions>>>,
    /// The actions of all services, once somebody asks.
    all_actions: RefCell<Option<Actions>>,
}

/// What the catalog calls what it does not know, where the policy decides.
const UNKNOWN: &str = "unknown";
/// How the names of the clouds' services begin.
const CLOUDS: [&str; 2] = ["aws_", "gcp_"];
/// How the actions of MCP servers begin that are calls of tools.
const TOOL_CALL: &str = "tools/call:";

pub(super) fn check(source: &Source<'_>, known: &Known<'_>, findings: &mut Vec<Finding>) {
    let Some(syntax) = source.syntax().filter(|_| !source.is_test()) else { return };
    let imports = Imports::of(syntax);
    let constants = source.rules().filter_map(constant).collect();
    let mut reader = Reader { source, known, imports, constants, told: HashSet::new(), findings };
    for rule in source.rules() {
        walk(rule, &mut reader);
    }
}

/// A rule that is a name for a value.
fn constant(rule: &Rule) -> Option<(&str, &Expr)> {
    let Rule::Spec { head: RuleHead::Compr { refr, assign: Some(assign), .. }, bodies, .. } = rule else {
        return None;
    };
    if let (Expr::Var { span, .. }, true) = (&**refr, bodies.is_empty()) {
        Some((span.text(), &*assign.value))
    } else {
        None
    }
}

// === impl Known ===

impl<'c> Known<'c> {
    pub(super) fn new(catalog: &'c Catalog, is_complete: bool) -> Self {
        Self {
            catalog,
            services: catalog.services(),
            is_complete,
            actions: RefCell::default(),
            all_actions: RefCell::default(),
        }
    }

    fn actions_of(&self, service: &str) -> Option<Actions> {
        let mut known = self.actions.borrow_mut();
        known.entry(service.to_owned()).or_insert_with(|| self.catalog.actions_of(service)).clone()
    }

    /// What is wrong with the name of a service, and what to do about it.
    fn service(&self, name: &str) -> Option<(String, String)> {
        if name == UNKNOWN || self.services.contains(name) {
            return None;
        }
        let names = || self.services.iter().map(String::as_str);
        let of_cloud =
            CLOUDS.iter().map(|cloud| format!("{cloud}{name}")).find(|full| self.services.contains(full));
        let like = of_cloud.as_deref().or_else(|| suggestion(name, names()));
        let is_wrong = self.is_complete
            || of_cloud.is_some()
            || CLOUDS.iter().any(|cloud| name.starts_with(cloud))
            || like.is_some_and(|like| is_slip(name, like));
        let remedy = match like {
            Some(like) => format!("did you mean `{like}`?"),
            None if self.is_complete => {
                "name it in `catalog.services` of the filter's configuration, or take it out".to_owned()
            }
            None => "`--config` makes the operator's own services known".to_owned(),
        };
        is_wrong.then(|| {
            (format!("the catalog knows no service `{name}`, so that nothing is ever equal to it"), remedy)
        })
    }

    /// The same of an action of one of these services; of any, where there are none.
    fn action(&self, name: &str, services: &[String]) -> Option<(String, String)> {
        if name == UNKNOWN {
            return None;
        }
        let mut names = BTreeSet::new();
        for service in services {
            match self.actions_of(service) {
                Some(Actions::These(actions)) => names.extend(actions),
                // What is wrong with the service is told of the service.
                Some(Actions::OfTools) | None => return None,
            }
        }
        if services.is_empty() {
            return self.any_action(name);
        }
        if names.contains(name) {
            return None;
        }
        let all = services.iter().map(|service| format!("`{service}`")).collect::<Vec<_>>().join(", ");
        let short = name.rsplit_once(':').map_or(name, |(_, short)| short);
        let remedy = match suggestion(short, names.iter().map(String::as_str)) {
            Some(like) => format!("did you mean `{like}`?"),
            None => "`filter/core/catalog/names.lock` lists the actions of all built-in services".to_owned(),
        };
        Some((format!("{all} has no action `{name}`, so that nothing is ever equal to it"), remedy))
    }

    fn any_action(&self, name: &str) -> Option<(String, String)> {
        let mut all = self.all_actions.borrow_mut();
        let Actions::These(all) = all.get_or_insert_with(|| self.catalog.all_actions()) else { return None };
        if all.contains(name) || name.starts_with(TOOL_CALL) {
            return None;
        }
        let short = name.rsplit_once(':').map_or(name, |(_, short)| short);
        let like = if self.is_complete {
            suggestion(short, all.iter().map(String::as_str))
        } else {
            // An own service may have an action of that name.
            Some(all.iter().map(String::as_str).find(|known| is_slip(short, known))?)
        };
        let remedy = match like {
            Some(like) => format!("did you mean `{like}`?"),
            None => "`filter/core/catalog/names.lock` lists the actions of all built-in services".to_owned(),
        };
        Some((format!("no service has an action `{name}`, so that nothing is ever equal to it"), remedy))
    }
}

struct Reader<'r, 's, 'm> {
    source: &'r Source<'s>,
    known: &'r Known<'r>,
    imports: Imports,
    constants: HashMap<&'m str, &'m Expr>,
    /// Comparisons with actions that were looked at with the services of their body.
    told: HashSet<*const Expr>,
    findings: &'r mut Vec<Finding>,
}

/// Names that a field of the input is compared with.
struct Comparison<'m> {
    names: Vec<(String, &'m Span)>,
    /// Whether it holds where the field is one of them.
    is_equal: bool,
}

impl<'m> Visitor<'m> for Reader<'_, '_, 'm> {
    fn body(&mut self, query: &'m Query) {
        let mut services = Vec::new();
        let mut actions = Vec::new();
        for statement in &query.stmts {
            let (expr, is_negated) = match &statement.literal {
                Literal::Expr { expr, .. } => (&**expr, false),
                Literal::NotExpr { expr, .. } => (&**expr, true),
                Literal::SomeVars { .. } | Literal::SomeIn { .. } | Literal::Every { .. } => continue,
            };
            if let Some(comparison) = self.comparison(expr, "service") {
                if comparison.is_equal && !is_negated {
                    services.extend(comparison.names.into_iter().map(|(name, _)| name));
                }
            } else if let Some(comparison) = self.comparison(expr, "action") {
                actions.push((expr, comparison));
            }
        }
        for (expr, comparison) in actions {
            self.told.insert(std::ptr::from_ref(expr));
            self.actions(&comparison, &services);
        }
    }

    fn expression(&mut self, expr: &'m Expr) {
        if let Some(comparison) = self.comparison(expr, "service") {
            for (name, span) in &comparison.names {
                let problem = self.known.service(name);
                self.tell(Code::UnknownService, problem, span);
            }
        } else if !self.told.contains(&std::ptr::from_ref(expr))
            && let Some(comparison) = self.comparison(expr, "action")
        {
            self.actions(&comparison, &[]);
        }
    }
}

impl<'m> Reader<'_, '_, 'm> {
    fn actions(&mut self, comparison: &Comparison<'_>, services: &[String]) {
        for (name, span) in &comparison.names {
            let problem = self.known.action(name, services);
            self.tell(Code::UnknownAction, problem, span);
        }
    }

    fn tell(&mut self, code: Code, problem: Option<(String, String)>, span: &Span) {
        let Some((message, remedy)) = problem else { return };
        let finding = Finding::new(code, message).mended_by(remedy).in_file(self.source.file());
        self.findings.push(finding.at(self.source.span(span, span)));
    }

    /// The names that an expression compares this field of the input with.
    fn comparison(&self, expr: &'m Expr, field: &str) -> Option<Comparison<'m>> {
        let is_field = |expr: &Expr| self.imports.is_field(expr, field);
        let (one, other, is_equal) = match expr {
            Expr::BoolExpr { op: BoolOp::Eq, lhs, rhs, .. }
            | Expr::AssignExpr { op: AssignOp::Eq, lhs, rhs, .. } => (lhs, rhs, true),
            Expr::BoolExpr { op: BoolOp::Ne, lhs, rhs, .. } => (lhs, rhs, false),
            Expr::Membership { key: None, value, collection, .. } if is_field(value) => {
                let names = self.members(collection);
                return Some(Comparison { names, is_equal: true });
            }
            Expr::RefBrack { refr, index, .. } if is_field(index) => {
                // In brackets the text of an array's place, or of an object's key, is no member.
                let names = if matches!(self.value(refr), Expr::Set { .. }) {
                    self.members(refr)
                } else {
                    return None;
                };
                return Some(Comparison { names, is_equal: true });
            }
            _ => return None,
        };
        let names = match (is_field(one), is_field(other)) {
            (true, _) => text_of(other),
            (_, true) => text_of(one),
            (false, false) => None,
        };
        Some(Comparison { names: vec![names?], is_equal })
    }

    fn members(&self, collection: &'m Expr) -> Vec<(String, &'m Span)> {
        match self.value(collection) {
            Expr::Array { items, .. } | Expr::Set { items, .. } => {
                items.iter().filter_map(|item| text_of(item)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// What a name stands for that is a constant of the module.
    fn value(&self, expr: &'m Expr) -> &'m Expr {
        if let Expr::Var { span, .. } = expr {
            self.constants.get(span.text()).copied().unwrap_or(expr)
        } else {
            expr
        }
    }
}
