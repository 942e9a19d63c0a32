//! The operator's text of what was evaluated: rules and statements by their positions.

use regorus::unstable::{Expr, Literal, LiteralStmt, Module, Query, Ref, Rule, RuleBody, RuleHead, Span};

use crate::{
    pace::{Pace, finish},
    rego::{
        ir::Position,
        lower,
        names::{Names, constant_path, head_path, position, rule_reference},
    },
};

/// Parsed modules, by position.
pub(crate) struct Sources {
    pub(in crate::rego) names: Vec<Names>,
    /// The file of each module.
    files: Vec<String>,
    modules: Vec<Module>,
    /// The statements of each module, in the order of where they begin.
    statements: Vec<Vec<Statement>>,
}

/// A statement of a body.
#[derive(Clone)]
pub(in crate::rego) struct Statement {
    query: Ref<Query>,
    number: usize,
    pub(in crate::rego) extent: Extent,
    /// The rule that it stands in, by its number in the module.
    pub(in crate::rego) rule: usize,
}

/// From where to where something reaches; the end is the first place behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Extent {
    /// As the parser counts, for whom a tab is four columns wide.
    pub(in crate::rego) from: Position,
    pub(in crate::rego) to: Position,
    /// Line and column as editors count.
    pub(crate) begin: (u32, u32),
    pub(crate) end: (u32, u32),
}

/// How many statements are looked at for the one that a position stands in.
const MAX_NESTED: usize = 256;

// === impl Extent ===

impl Extent {
    pub(in crate::rego) fn of(module: usize, span: &Span) -> Self {
        let from = position(module, span);
        let text = whole_text(span);
        let lines = count(text.matches('\n').count());
        let last = text.rsplit('\n').next().unwrap_or_default();
        let width = last.bytes().map(|byte| if byte == b'\t' { 4 } else { 1 }).sum::<u32>();
        let (line, column) = (from.line.saturating_add(lines), if lines == 0 { from.column } else { 1 });
        let begin = place(span);
        let shown = if lines == 0 { begin.1 } else { 1 };
        Self {
            from,
            to: Position { module, line, column: column.saturating_add(width) },
            begin,
            end: (begin.0.saturating_add(lines), shown.saturating_add(count(last.chars().count()))),
        }
    }

    fn has(&self, at: Position) -> bool {
        self.from <= at && at < self.to
    }
}

// === impl Statement ===

impl Statement {
    pub(in crate::rego) fn source(&self) -> Option<&LiteralStmt> {
        self.query.stmts.get(self.number)
    }

    /// What stands before it on its line, with blanks for all but tabs.
    pub(in crate::rego) fn indent(&self) -> String {
        let Some(span) = self.source().map(|statement| &statement.span) else { return String::new() };
        let line = before(span).rsplit('\n').next().unwrap_or_default();
        line.chars().map(|sign| if sign == '\t' { '\t' } else { ' ' }).collect()
    }

    pub(in crate::rego) fn text(&self) -> &str {
        self.source().map(|statement| whole_text(&statement.span)).unwrap_or_default()
    }
}

// === impl Sources ===

impl Sources {
    pub(crate) fn new(files: Vec<String>, modules: Vec<Module>) -> Self {
        let names = finish(lower::names(&modules, &mut Vec::new(), &Pace::unhurried()));
        let statements = modules.iter().enumerate().map(|(at, module)| statements(at, module)).collect();
        Self { names, files, modules, statements }
    }

    /// The file that a position is in.
    pub(crate) fn file(&self, at: Position) -> String {
        self.files.get(at.module).cloned().unwrap_or_default()
    }

    /// The innermost statement that has `at` in it.
    pub(in crate::rego) fn statement(&self, at: Position) -> Option<&Statement> {
        let all = self.statements.get(at.module)?;
        let behind = all.partition_point(|statement| statement.extent.from <= at);
        let before = all.get(..behind)?;
        before.iter().rev().take(MAX_NESTED).find(|statement| statement.extent.has(at))
    }

    pub(in crate::rego) fn statements(&self, module: usize) -> &[Statement] {
        self.statements.get(module).map(Vec::as_slice).unwrap_or_default()
    }

    pub(in crate::rego) fn rules(&self, module: usize) -> &[Ref<Rule>] {
        self.modules.get(module).map(|module| module.policy.as_slice()).unwrap_or_default()
    }

    /// The first line of the rule that begins at a position.
    pub(in crate::rego) fn first_line(&self, at: Position) -> String {
        let mut rules = self.rules(at.module).iter();
        let rule = rules.find(|rule| position(at.module, rule.span()) == at);
        rule.and_then(|rule| rule.span().text().lines().next()).unwrap_or_default().trim_end().to_owned()
    }

    /// The full name of a rule of a module.
    pub(crate) fn rule_name(&self, module: usize, rule: usize) -> String {
        let Some(source) = self.modules.get(module) else { return String::new() };
        let package = constant_path(&source.package.refr);
        let rule = source.policy.get(rule).map(|rule| head_path(rule_reference(rule)).constant);
        let path: Vec<String> = package.into_iter().chain(rule.unwrap_or_default()).collect();
        format!("data.{}", path.join("."))
    }
}

/// Where the head of a rule reaches, without its value and body, as OPA has it.
pub(in crate::rego) fn head_extent(module: usize, rule: &Rule) -> Extent {
    let whole = Extent::of(module, rule.span());
    let end = match rule {
        Rule::Default { .. } => return Extent { end: after(whole.begin, "default"), ..whole },
        Rule::Spec {
            head: RuleHead::Set { refr, key: None, .. } | RuleHead::Compr { refr, assign: None, .. },
            ..
        } => refr.span(),
        Rule::Spec { head: RuleHead::Set { key: Some(key), .. }, .. } => key.span(),
        Rule::Spec {
            head: RuleHead::Compr { assign: Some(assign), .. } | RuleHead::Func { assign: Some(assign), .. },
            ..
        } => &assign.span,
        Rule::Spec { head: RuleHead::Func { span, assign: None, .. }, .. } => span,
    };
    let end = Extent::of(module, end).end.max(Extent::of(module, rule_reference(rule).span()).end);
    Extent { end, ..whole }
}

/// The place behind a word that begins at another.
pub(in crate::rego) fn after((line, column): (u32, u32), word: &str) -> (u32, u32) {
    (line, column.saturating_add(count(word.len())))
}

/// Where a span begins: line and column as editors count.
pub(crate) fn place(span: &Span) -> (u32, u32) {
    (span.line, count(before(span).rsplit('\n').next().unwrap_or_default().chars().count()).saturating_add(1))
}

fn before(span: &Span) -> &str {
    span.source.contents().get(..whole(span).start).unwrap_or_default()
}

/// The text of a span, with the quotes that the parser leaves out where it begins or ends with a text.
pub(crate) fn whole_text(span: &Span) -> &str {
    span.source.contents().get(whole(span)).unwrap_or_default()
}

fn whole(span: &Span) -> std::ops::Range<usize> {
    let offset = |offset: u32| usize::try_from(offset).unwrap_or(usize::MAX);
    let (start, end) = (offset(span.start), offset(span.end));
    let text = span.source.contents().as_bytes();
    let is_quote = |at: usize| text.get(at).is_some_and(|byte| matches!(byte, b'"' | b'`'));
    let opens = start.checked_sub(1).filter(|before| is_quote(*before));
    opens.unwrap_or(start)..if is_quote(end) { end + 1 } else { end }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The bodies of a rule.
pub(in crate::rego) fn bodies(rule: &Rule) -> &[RuleBody] {
    match rule {
        Rule::Spec { bodies, .. } => bodies,
        Rule::Default { .. } => &[],
    }
}

fn statements(module: usize, source: &Module) -> Vec<Statement> {
    let mut found = Vec::new();
    for (number, rule) in source.policy.iter().enumerate() {
        let mut walk = Walk { module, rule: number, found: &mut found };
        match &**rule {
            Rule::Spec { head, bodies, .. } => {
                walk.head(head);
                for body in bodies {
                    body.assign.iter().for_each(|assign| walk.expression(&assign.value));
                    walk.query(&body.query);
                }
            }
            Rule::Default { value, .. } => walk.expression(value),
        }
    }
    found.sort_by_key(|statement| statement.extent);
    found
}

/// Gathers the statements of one rule, those of bodies within bodies among them.
struct Walk<'f> {
    module: usize,
    rule: usize,
    found: &'f mut Vec<Statement>,
}

// === impl Walk ===

impl Walk<'_> {
    fn head(&mut self, head: &RuleHead) {
        match head {
            RuleHead::Compr { assign, .. } | RuleHead::Func { assign, .. } => {
                assign.iter().for_each(|assign| self.expression(&assign.value));
            }
            RuleHead::Set { key, .. } => key.iter().for_each(|key| self.expression(key)),
        }
    }

    fn query(&mut self, query: &Ref<Query>) {
        for (number, statement) in query.stmts.iter().enumerate() {
            let extent = Extent::of(self.module, &statement.span);
            self.found.push(Statement { query: query.clone(), number, extent, rule: self.rule });
            match &statement.literal {
                Literal::SomeVars { .. } => {}
                Literal::SomeIn { key, value, collection, .. } => {
                    key.iter().chain([value, collection]).for_each(|part| self.expression(part));
                }
                Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => self.expression(expr),
                Literal::Every { domain, query, .. } => {
                    self.expression(domain);
                    self.query(query);
                }
            }
            statement.with_mods.iter().for_each(|modifier| self.expression(&modifier.r#as));
        }
    }

    fn expression(&mut self, expr: &Expr) {
        if let Expr::ArrayCompr { query, .. }
        | Expr::SetCompr { query, .. }
        | Expr::ObjectCompr { query, .. } = expr
        {
            self.query(query);
        }
        children(expr).into_iter().for_each(|child| self.expression(child));
    }
}

/// The expressions within an expression, but for the bodies of comprehensions.
pub(crate) fn children(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::String { .. }
        | Expr::RawString { .. }
        | Expr::Number { .. }
        | Expr::Bool { .. }
        | Expr::Null { .. }
        | Expr::Var { .. } => Vec::new(),
        Expr::Array { items, .. } | Expr::Set { items, .. } => items.iter().map(|item| &**item).collect(),
        Expr::Object { fields, .. } => fields.iter().flat_map(|(_, key, value)| [&**key, &**value]).collect(),
        Expr::ArrayCompr { term, .. } | Expr::SetCompr { term, .. } => vec![term],
        Expr::ObjectCompr { key, value, .. } => vec![key, value],
        Expr::Call { params, .. } => params.iter().map(|param| &**param).collect(),
        Expr::UnaryExpr { expr, .. } => vec![expr],
        Expr::RefDot { refr, .. } => vec![refr],
        Expr::RefBrack { refr, index, .. } => vec![refr, index],
        Expr::BinExpr { lhs, rhs, .. }
        | Expr::BoolExpr { lhs, rhs, .. }
        | Expr::ArithExpr { lhs, rhs, .. }
        | Expr::AssignExpr { lhs, rhs, .. } => vec![lhs, rhs],
        Expr::Membership { key, value, collection, .. } => {
            key.iter().map(|key| &**key).chain([&**value, &**collection]).collect()
        }
    }
}
