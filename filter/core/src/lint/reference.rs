//! References and bodies in the parser's syntax: what a module's names lead to, and a walk over its expressions.

use std::collections::HashMap;

use regorus::unstable::{Expr, Literal, Module, Query, Rule, RuleHead, Span};

use crate::rego::constant_path;

/// A path below `input`.
pub(super) struct InputPath<'m> {
    pub(super) root: &'m Span,
    pub(super) parts: Vec<Part<'m>>,
}

/// One step of a path.
pub(super) enum Part<'m> {
    /// A constant name; where it stands, if it stands here and not in an import.
    Name(String, Option<&'m Span>),
    /// Whatever a variable stands for.
    Any,
}

/// The names by which a module refers to parts of the input.
#[derive(Debug, Default)]
pub(super) struct Imports(HashMap<String, Vec<String>>);

// === impl Imports ===

impl Imports {
    pub(super) fn of(module: &Module) -> Self {
        let mut imports = HashMap::new();
        for import in &module.imports {
            let path = constant_path(&import.refr);
            let Some((root, rest)) = path.split_first() else { continue };
            let alias = import.r#as.as_ref().map(|alias| alias.text().to_owned());
            if let (true, Some(name)) = (root == "input", alias.or_else(|| rest.last().cloned())) {
                imports.insert(name, rest.to_vec());
            }
        }
        Self(imports)
    }

    /// The path below `input` that an expression is; nothing where it is none.
    pub(super) fn input_path<'m>(&self, expr: &'m Expr) -> Option<InputPath<'m>> {
        let mut from_the_end = Vec::new();
        let mut at = expr;
        loop {
            if let Expr::RefDot { refr, field, .. } = at {
                from_the_end.push(Part::Name(field.0.text().to_owned(), Some(&field.0)));
                at = refr;
            } else if let Expr::RefBrack { span, refr, index, .. } = at {
                from_the_end.push(match text_of(index) {
                    Some((text, _)) => Part::Name(text, Some(span)),
                    None => Part::Any,
                });
                at = refr;
            } else {
                break;
            }
        }
        let Expr::Var { span: root, .. } = at else { return None };
        let imported: &[String] = match root.text() {
            "input" => &[],
            name => self.0.get(name)?.as_slice(),
        };
        let imported = imported.iter().map(|name| Part::Name(name.clone(), None));
        Some(InputPath { root, parts: imported.chain(from_the_end.into_iter().rev()).collect() })
    }

    /// Whether an expression is this field of the input.
    pub(super) fn is_field(&self, expr: &Expr, field: &str) -> bool {
        self.input_path(expr)
            .is_some_and(|path| matches!(path.parts.as_slice(), [Part::Name(name, _)] if name == field))
    }
}

/// A constant text, and where it stands.
pub(super) fn text_of(expr: &Expr) -> Option<(String, &Span)> {
    if let Expr::String { span, value, .. } | Expr::RawString { span, value, .. } = expr {
        value.as_string().ok().map(|text| (text.to_string(), span))
    } else {
        None
    }
}

/// What is told of what stands in a rule.
pub(super) trait Visitor<'m> {
    /// A body, before what is in it.
    fn body(&mut self, _: &'m Query) {}
    /// An expression, before its parts. Of a reference only the whole is told, and what stands in its brackets.
    fn expression(&mut self, expr: &'m Expr);
}

/// Walks over a rule: its head, its bodies and its value.
pub(super) fn walk<'m>(rule: &'m Rule, visitor: &mut dyn Visitor<'m>) {
    match rule {
        Rule::Default { value, .. } => expression(value, visitor),
        Rule::Spec { head, bodies, .. } => {
            match head {
                RuleHead::Compr { refr, assign, .. } => {
                    brackets(refr, visitor);
                    assign.iter().for_each(|assign| expression(&assign.value, visitor));
                }
                RuleHead::Set { refr, key, .. } => {
                    brackets(refr, visitor);
                    key.iter().for_each(|key| expression(key, visitor));
                }
                RuleHead::Func { args, assign, .. } => {
                    args.iter().for_each(|arg| expression(arg, visitor));
                    assign.iter().for_each(|assign| expression(&assign.value, visitor));
                }
            }
            for body in bodies {
                body.assign.iter().for_each(|assign| expression(&assign.value, visitor));
                query(&body.query, visitor);
            }
        }
    }
}

fn query<'m>(body: &'m Query, visitor: &mut dyn Visitor<'m>) {
    visitor.body(body);
    for statement in &body.stmts {
        statement.with_mods.iter().for_each(|with| expression(&with.r#as, visitor));
        // It has another input.
        if statement
            .with_mods
            .iter()
            .any(|with| constant_path(&with.refr).first().is_some_and(|root| root == "input"))
        {
            continue;
        }
        match &statement.literal {
            Literal::SomeVars { .. } => {}
            Literal::SomeIn { key, value, collection, .. } => {
                key.iter().chain([value, collection]).for_each(|part| expression(part, visitor));
            }
            Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => expression(expr, visitor),
            Literal::Every { domain, query: inner, .. } => {
                expression(domain, visitor);
                query(inner, visitor);
            }
        }
    }
}

fn expression<'m>(expr: &'m Expr, visitor: &mut dyn Visitor<'m>) {
    visitor.expression(expr);
    match expr {
        Expr::Array { items, .. } | Expr::Set { items, .. } => {
            items.iter().for_each(|item| expression(item, visitor));
        }
        Expr::Object { fields, .. } => fields.iter().for_each(|(_, key, value)| {
            expression(key, visitor);
            expression(value, visitor);
        }),
        Expr::ArrayCompr { term, query: body, .. } | Expr::SetCompr { term, query: body, .. } => {
            query(body, visitor);
            expression(term, visitor);
        }
        Expr::ObjectCompr { key, value, query: body, .. } => {
            query(body, visitor);
            expression(key, visitor);
            expression(value, visitor);
        }
        Expr::Call { params, .. } => params.iter().for_each(|param| expression(param, visitor)),
        Expr::UnaryExpr { expr, .. } => expression(expr, visitor),
        Expr::RefDot { .. } | Expr::RefBrack { .. } => brackets(expr, visitor),
        Expr::BinExpr { lhs, rhs, .. }
        | Expr::BoolExpr { lhs, rhs, .. }
        | Expr::ArithExpr { lhs, rhs, .. }
        | Expr::AssignExpr { lhs, rhs, .. } => {
            expression(lhs, visitor);
            expression(rhs, visitor);
        }
        Expr::Membership { key, value, collection, .. } => {
            key.iter().chain([value, collection]).for_each(|part| expression(part, visitor));
        }
        Expr::String { .. }
        | Expr::RawString { .. }
        | Expr::Number { .. }
        | Expr::Bool { .. }
        | Expr::Null { .. }
        | Expr::Var { .. } => {}
    }
}

/// Walks over what stands in the brackets of a reference, and over what it begins with where that is no name.
fn brackets<'m>(reference: &'m Expr, visitor: &mut dyn Visitor<'m>) {
    let mut at = reference;
    loop {
        if let Expr::RefDot { refr, .. } = at {
            at = refr;
        } else if let Expr::RefBrack { refr, index, .. } = at {
            expression(index, visitor);
            at = refr;
        } else {
            break;
        }
    }
    if !matches!(at, Expr::Var { .. }) {
        expression(at, visitor);
    }
}
