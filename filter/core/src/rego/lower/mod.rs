//! From parsed modules to rules: gathers the definitions that share a path, resolves and plans each of them.

mod definition;

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    rc::Rc,
};

use regorus::{
    Value,
    unstable::{Expr, Module, Ref, Rule as RuleSource, RuleBody, RuleHead},
};

use self::definition::Draft;
use super::{
    Problem,
    counting::Choice,
    ir::{Definition, Operand, Position, Rule, RuleKind},
    names::{Declared, HeadKey, HeadPath, Names, Tree, constant_path, head_path, position, rule_reference},
    plan::MAX_EFFORT,
    retire,
};
use crate::pace::Pace;

/// What it takes to compile a definition, and each of its steps.
const UNITS_PER_DEFINITION: usize = 20;
const UNITS_PER_STEP: usize = 10;
/// A unit of work for so many bytes of a rule that is dropped.
const BYTES_PER_UNIT: usize = 4;

/// What is known when rules are compiled.
#[derive(Clone, Copy)]
struct Known<'a> {
    /// By module.
    names: &'a [Names],
    tree: &'a Tree,
    declared: &'a [Declared],
    effort_left: &'a Cell<u64>,
}

/// A rule of a module with its head taken apart.
struct Head {
    module: usize,
    /// What was parsed, which goes as soon as it is compiled: of a large policy both together would be most of the memory
    /// that is ever needed.
    source: Ref<RuleSource>,
    path: Vec<String>,
    /// How much of the path is the package's.
    package: usize,
    /// What of its path is the first of its keys, because it is a part of a partial object.
    folded: Vec<String>,
    /// With those.
    key_count: usize,
    /// Whether its last key is a member of a set.
    is_set: bool,
    at: Position,
}

/// The rules of `modules`, and the tree that they stand in.
///
/// # Errors
/// Everything that keeps the modules from being compiled.
pub(super) async fn lower(modules: Vec<Module>, pace: &Pace) -> Result<(Tree, Vec<Rule>), Vec<Problem>> {
    let mut problems = Vec::new();
    let mut heads = heads(&modules, pace).await;
    fold_into_partial(&mut heads, pace).await;
    let (tree, declared, by_rule) = declare(&modules, heads, &mut problems, pace).await;
    check_paths(&tree, &declared, &mut problems, pace).await;
    let names = names(&modules, &mut problems, pace).await;
    // From here on the heads alone have the rules.
    retire::all(modules, pace).await;
    if !problems.is_empty() {
        for head in by_rule.into_iter().flatten() {
            release(head, pace).await;
        }
        return Err(problems);
    }
    let mut rules = Vec::new();
    let effort_left = Cell::new(MAX_EFFORT);
    let known = Known { names: &names, tree: &tree, declared: &declared, effort_left: &effort_left };
    for (declared_rule, heads) in declared.iter().zip(by_rule) {
        rules.push(rule(declared_rule, heads, known, &mut problems, pace).await);
    }
    retire::all(declared, pace).await;
    retire::all(names, pace).await;
    if problems.is_empty() {
        return Ok((tree, rules));
    }
    retire::rules(rules, pace).await;
    Err(problems)
}

async fn heads(modules: &[Module], pace: &Pace) -> Vec<Head> {
    let mut heads = Vec::new();
    for (module, source) in modules.iter().enumerate() {
        let package = constant_path(&source.package.refr);
        pace.spend(5).await;
        for rule in &source.policy {
            pace.spend(5).await;
            let (own, keys, is_set) = taken_apart(rule);
            heads.push(Head {
                module,
                source: rule.clone(),
                path: [package.as_slice(), &own].concat(),
                package: package.len(),
                folded: Vec::new(),
                key_count: keys.len(),
                is_set,
                at: position(module, rule.span()),
            });
        }
    }
    heads
}

/// The path of a rule in its package, its keys, and whether the last of them is a member of a set.
fn taken_apart(rule: &RuleSource) -> (Vec<String>, Vec<HeadKey<'_>>, bool) {
    let HeadPath { mut constant, mut keys } = head_path(rule_reference(rule));
    let RuleSource::Spec { head: RuleHead::Set { key, .. }, .. } = rule else {
        return (constant, keys, false);
    };
    match key {
        Some(key) => keys.push(HeadKey::Expr(key)),
        // `p.q { ... }` of v0: the set `p` has the member "q".
        None => keys.extend(constant.pop().map(HeadKey::Constant)),
    }
    (constant, keys, true)
}

/// Drops what was parsed of a rule.
async fn release(head: Head, pace: &Pace) {
    let length = head.source.span().text().len();
    drop(head);
    pace.spend(5 + length / BYTES_PER_UNIT).await;
}

/// Makes definitions below a partial object a part of it: `p.a := 1` beside `p[x] := y`.
async fn fold_into_partial(heads: &mut [Head], pace: &Pace) {
    let mut objects = BTreeSet::new();
    for head in heads.iter().filter(|head| head.key_count > usize::from(head.is_set)) {
        pace.spend(5).await;
        objects.insert(head.path.clone());
    }
    if objects.is_empty() {
        return;
    }
    for head in heads {
        pace.spend(10).await;
        let above = (0..head.path.len())
            .find(|length| head.path.get(..*length).is_some_and(|path| objects.contains(path)));
        if let Some(length) = above {
            head.folded = head.path.split_off(length);
            head.key_count += head.folded.len();
        }
    }
    retire::all(objects, pace).await;
}

async fn declare(
    modules: &[Module],
    heads: Vec<Head>,
    problems: &mut Vec<Problem>,
    pace: &Pace,
) -> (Tree, Vec<Declared>, Vec<Vec<Head>>) {
    let mut tree = Tree::new();
    for module in modules {
        pace.spend(10).await;
        tree.ensure(&constant_path(&module.package.refr));
    }
    let mut by_path: BTreeMap<Vec<String>, Vec<Head>> = BTreeMap::new();
    for head in heads {
        pace.spend(5).await;
        by_path.entry(head.path.clone()).or_default().push(head);
    }
    let (mut declared, mut by_rule) = (Vec::new(), Vec::new());
    for (path, heads) in by_path {
        pace.spend(10 + heads.len() / 4).await;
        let mut kinds: Vec<RuleKind> = heads.iter().map(Head::kind).collect();
        kinds.dedup();
        let sets = heads.iter().filter(|head| head.is_set && head.key_count == 1).count();
        let Some((kind, first)) = kinds.first().copied().zip(heads.first()) else { continue };
        let is_mixed = kind == RuleKind::Partial && sets > 0 && sets < heads.len();
        if kinds.len() > 1 || is_mixed {
            let name = path.join(".");
            problems.push(Problem {
                at: heads.iter().map(|head| head.at).max().unwrap_or_default(),
                message: format!(
                    "the rule `data.{name}` is defined in different ways: as a value, a set, an object or a function \
                     of other arguments; give them different names"
                ),
            });
        }
        let defaults: Vec<&Head> =
            heads.iter().filter(|head| matches!(&*head.source, RuleSource::Default { .. })).collect();
        if let [_, second, ..] = defaults.as_slice() {
            problems.push(Problem {
                at: second.at,
                message: format!("the rule `data.{}` has a second default: keep one", path.join(".")),
            });
        }
        declared.push(Declared { path: path.clone(), kind, at: first.at });
        tree.put(&path, declared.len() - 1);
        by_rule.push(heads);
    }
    (tree, declared, by_rule)
}

/// A rule has a value, so nothing can stand below it.
async fn check_paths(tree: &Tree, declared: &[Declared], problems: &mut Vec<Problem>, pace: &Pace) {
    for node in &tree.nodes {
        pace.spend(1).await;
        let Some(rule) = node.rule.and_then(|rule| declared.get(rule)) else { continue };
        if let Some((name, _)) = node.children.first_key_value() {
            let path = rule.path.join(".");
            problems.push(Problem {
                at: rule.at,
                message: format!(
                    "the rule `data.{path}` is in the way of `data.{path}.{name}`: rename one of them"
                ),
            });
        }
    }
}

pub(super) async fn names(modules: &[Module], problems: &mut Vec<Problem>, pace: &Pace) -> Vec<Names> {
    let mut rules: HashMap<Vec<String>, HashSet<String>> = HashMap::new();
    for module in modules {
        let of_package = rules.entry(constant_path(&module.package.refr)).or_default();
        pace.spend(10).await;
        for rule in &module.policy {
            pace.spend(5).await;
            of_package.extend(head_path(rule_reference(rule)).constant.into_iter().next());
        }
    }
    let rules: HashMap<Vec<String>, Rc<HashSet<String>>> =
        rules.into_iter().map(|(package, names)| (package, Rc::new(names))).collect();
    let mut names = Vec::new();
    for (at, module) in modules.iter().enumerate() {
        pace.spend(20).await;
        let of_package = rules.get(&constant_path(&module.package.refr)).cloned().unwrap_or_default();
        names.push(Names::new(at, module, of_package, problems));
    }
    names
}

// === impl Head ===

impl Head {
    /// All its keys, in their order.
    fn keys(&self) -> Vec<HeadKey<'_>> {
        let folded = self.folded.iter().cloned().map(HeadKey::Constant);
        folded.chain(taken_apart(&self.source).1).collect()
    }

    fn kind(&self) -> RuleKind {
        match &*self.source {
            RuleSource::Spec { head: RuleHead::Func { args, .. }, .. } if !args.is_empty() => {
                RuleKind::Function { arity: args.len() }
            }
            RuleSource::Default { args, .. } if !args.is_empty() => RuleKind::Function { arity: args.len() },
            RuleSource::Spec { .. } | RuleSource::Default { .. } => {
                if self.key_count == 0 {
                    RuleKind::Complete
                } else {
                    RuleKind::Partial
                }
            }
        }
    }
}

async fn rule(
    declared: &Declared,
    heads: Vec<Head>,
    known: Known<'_>,
    problems: &mut Vec<Problem>,
    pace: &Pace,
) -> Rule {
    let (mut definitions, mut default) = (Vec::new(), None);
    for head in heads {
        let Some(names) = known.names.get(head.module) else { continue };
        match &*head.source {
            RuleSource::Default { args, value, .. } => {
                let parameters: Vec<&Expr> = args.iter().map(|arg| &**arg).collect();
                let bodies = vec![(None, Some(&**value))];
                let draft = Draft { head: &head, at: head.at, names, known, parameters, bodies };
                default = draft.finish(problems);
            }
            RuleSource::Spec { head: source, bodies, .. } => {
                for (number, (parameters, bodies)) in definitions_of(source, bodies).into_iter().enumerate() {
                    // As in OPA, the first one stands where its head does, and the others where they begin.
                    let further = bodies.first().and_then(|(body, _)| *body).filter(|_| number > 0);
                    let at = further.map_or(head.at, |body| position(head.module, &body.span));
                    let draft = Draft { head: &head, at, names, known, parameters, bodies };
                    definitions.extend(draft.finish(problems));
                    let steps = definitions.last().map_or(0, |last| last.body.block.steps.len());
                    pace.spend(UNITS_PER_DEFINITION + steps * UNITS_PER_STEP).await;
                }
            }
        }
        release(head, pace).await;
    }
    let one_is_enough = give_one_constant(&definitions);
    let choice = Choice::of_rule(declared.kind, &definitions);
    Rule {
        name: format!("data.{}", declared.path.join(".")),
        path: declared.path.iter().map(|part| Value::from(part.as_str())).collect(),
        kind: declared.kind,
        definitions,
        default,
        one_is_enough,
        index: None,
        choice,
    }
}

/// A body and the value that it gives; nothing for true.
type Alternative<'m> = (Option<&'m RuleBody>, Option<&'m Expr>);

/// The definitions in one rule of the source: v0 takes several bodies for one head.
fn definitions_of<'m>(
    head: &'m RuleHead,
    bodies: &'m [RuleBody],
) -> Vec<(Vec<&'m Expr>, Vec<Alternative<'m>>)> {
    let (parameters, value) = match head {
        RuleHead::Compr { assign, .. } => (Vec::new(), assign.as_ref()),
        RuleHead::Func { args, assign, .. } => (args.iter().map(|arg| &**arg).collect(), assign.as_ref()),
        RuleHead::Set { .. } => (Vec::new(), None),
    };
    let value = value.map(|assign| &*assign.value);
    if bodies.is_empty() {
        return vec![(parameters, vec![(None, value)])];
    }
    let mut definitions: Vec<(Vec<&Expr>, Vec<Alternative<'_>>)> = Vec::new();
    for body in bodies {
        match definitions.last_mut().filter(|_| body.is_else) {
            Some((_, alternatives)) => {
                alternatives.push((Some(body), body.assign.as_ref().map(|assign| &*assign.value)));
            }
            None => definitions.push((parameters.clone(), vec![(Some(body), value)])),
        }
    }
    definitions
}

/// Whether every definition gives the same constant.
fn give_one_constant(definitions: &[Definition]) -> bool {
    let mut values = definitions
        .iter()
        .flat_map(|definition| std::iter::once(&definition.body).chain(&definition.otherwise))
        .map(|body| body.value.as_ref());
    let Some(Some(Operand::Constant(first))) = values.next() else { return false };
    values.all(|value| matches!(value, Some(Operand::Constant(value)) if value == first))
}
