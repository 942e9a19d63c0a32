//! Patterns that the evaluator matches otherwise than OPA: in parameters, in `some ... in`, and at both sides of `=`.

use std::collections::HashSet;

use regorus::unstable::{AssignOp, Expr};

/// Whether an assignment or a unification is matched as OPA matches it; `quantified` are the variables of the `every`s
/// around it.
pub(super) fn is_safe_assignment(op: &AssignOp, lhs: &Expr, rhs: &Expr, quantified: &HashSet<&str>) -> bool {
    let sides: &[&Expr] = match op {
        AssignOp::ColEq => &[lhs],
        AssignOp::Eq => &[lhs, rhs],
    };
    sides.iter().all(|side| {
        let parts = parts(side);
        let variables = || parts.iter().filter_map(|part| variable(part));
        // The evaluator binds the variable of an `every` anew instead of comparing it.
        let rebinds = variables().any(|name| quantified.contains(name));
        // It matches an object that has more keys than the pattern.
        let has_object = parts.iter().any(|part| matches!(part, Expr::Object { .. }));
        let binds = variables().next().is_some();
        !(rebinds || (has_object && binds))
    })
}

/// Whether the patterns of parameters, or of key and value, are matched as OPA matches them: without objects, and
/// without a variable in two of them, which the evaluator overwrites instead of comparing.
pub(super) fn are_safe_together(patterns: &[&Expr]) -> bool {
    let mut seen = HashSet::new();
    patterns.iter().all(|pattern| {
        let parts = parts(pattern);
        let names: HashSet<&str> =
            parts.iter().filter_map(|part| variable(part)).filter(|name| *name != "_").collect();
        !parts.iter().any(|part| matches!(part, Expr::Object { .. }))
            && names.into_iter().all(|name| seen.insert(name))
    })
}

/// A pattern and all patterns within it.
fn parts(pattern: &Expr) -> Vec<&Expr> {
    let mut parts = vec![pattern];
    let mut at = 0;
    while let Some(part) = parts.get(at).copied() {
        if let Expr::Array { items, .. } | Expr::Set { items, .. } = part {
            parts.extend(items.iter().map(|item| &**item));
        } else if let Expr::Object { fields, .. } = part {
            parts.extend(fields.iter().flat_map(|(_, key, value)| [&**key, &**value]));
        }
        at += 1;
    }
    parts
}

fn variable(expr: &Expr) -> Option<&str> {
    if let Expr::Var { span, .. } = expr { Some(span.text()) } else { None }
}
