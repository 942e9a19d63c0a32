//! Rego: compiled to steps, and evaluated as OPA evaluates it.
//!
//! The parser is regorus'. Its two evaluators answer otherwise than OPA in ways that allow what OPA denies, so modules
//! are compiled ([`lower`], [`resolve`], [`plan`]) and evaluated ([`machine`]) here, by OPA's rules: what a `not`
//! covers, what is undefined, what is an error. A rule of many definitions is looked up instead of tried ([`index`]).

pub(crate) mod builtins;
mod calls;
mod constraints;
mod counting;
mod depend;
mod goal;
mod height;
mod hoist;
mod index;
mod ir;
#[cfg(feature = "lint")]
mod lint;
mod lookback;
mod lower;
mod machine;
mod names;
pub(crate) mod order;
mod plan;
#[cfg(feature = "replay")]
mod reads;
mod recursion;
mod resolve;
mod retire;
mod test_rule;
mod text;
#[cfg(feature = "trace")]
pub(crate) mod trace;
mod visit;

pub(crate) use calls::RecentCalls;
pub(crate) use depend::{AUDIT_LOG, Clock, Dependence};
pub(crate) use ir::{Position, RuleId};
#[cfg(feature = "lint")]
pub(crate) use lint::{Fallback, Tested};
pub(crate) use lookback::{Bounds, Look, Whose};
pub(crate) use machine::Halt;
pub(crate) use names::{constant_path, position};
pub(crate) use test_rule::{Apart, DefinitionId, DefinitionView, Gives, TEST_PREFIX};
pub(crate) use text::term_text;
#[cfg(feature = "trace")]
pub(crate) use trace::{builtin_arity, in_order};

use regorus::{Value, unstable::Module};

use builtins::{Surroundings, Work};
use ir::Rule;
use machine::Machine;
use names::Tree;
use recursion::Needs;

use crate::pace::Pace;

/// Something that keeps modules from being compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) at: Position,
    pub(crate) message: String,
}

/// Compiled modules over base data.
#[derive(Debug)]
pub(crate) struct Program {
    rules: Vec<Rule>,
    tree: Tree,
    data: Value,
    dependence: Vec<Dependence>,
    /// For each rule, and behind the rules for each node of the tree, what it needs.
    needs: Vec<Vec<usize>>,
}

/// So many definitions, tried one by one, take a decision from about a microsecond to several.
const MANY_DEFINITIONS: usize = 64;

/// What an evaluation is given.
pub(crate) struct Asked<'a> {
    pub(crate) input: Value,
    /// Nanoseconds since 1970, the answer of `time.now_ns()`.
    pub(crate) now_ns: i64,
    /// Decides what builtins that are random answer.
    pub(crate) seed: u64,
    /// What stands at `data.audit_log`; without it, what the base data has there.
    pub(crate) calls: Option<&'a dyn RecentCalls>,
    /// Units of work, of some 50 ns each.
    pub(crate) work: u64,
    /// Whether the evaluation has to end now. Asked every thousand steps or so.
    pub(crate) watch: &'a dyn Fn() -> bool,
    /// Whether rules of many definitions are looked up; the answer is the same.
    pub(crate) is_indexed: bool,
}

/// A rule, for looking at.
pub(crate) struct RuleView<'p> {
    /// The path below `data`.
    pub(crate) path: &'p [Value],
    pub(crate) at: Position,
}

/// What an evaluation came to.
#[derive(Debug)]
pub(crate) struct Evaluated {
    /// The value; [`Value::Undefined`] where there is none.
    pub(crate) value: Value,
    /// In how many nanoseconds the first count of recent calls goes down, of those that were made on the way.
    pub(crate) count_falls_in: Option<i64>,
}

// === impl Program ===

impl Program {
    /// Compiles `modules`, whose positions are counted in this order.
    ///
    /// # Errors
    /// Everything that OPA refuses too, but for types: unknown functions, variables without a value, recursion, rules
    /// that contradict each other.
    pub(crate) async fn compile(
        modules: Vec<Module>,
        data: Value,
        pace: &Pace,
    ) -> Result<Self, Vec<Problem>> {
        let (tree, rules) = lower::lower(modules, pace).await?;
        let needs = Needs::new(&rules, &tree, pace).await;
        let mut problems = recursion::recursive(&rules, &needs, &tree, pace).await;
        if problems.is_empty() {
            problems = height::too_high(&rules, &needs, pace).await;
        }
        if !problems.is_empty() {
            retire::rules(rules, pace).await;
            return Err(problems);
        }
        let dependence = depend::dependences(&rules, &needs, pace).await;
        let mut program = Self { rules, tree, data, dependence, needs: needs.edges };
        let indexes = constraints::indexes(&program, pace).await;
        for (rule, index) in program.rules.iter_mut().zip(indexes) {
            rule.index = index;
        }
        Ok(program)
    }

    /// Takes it apart in slices, with its data where nobody else has that.
    pub(crate) async fn retire(self, pace: &Pace) {
        let Self { rules, tree, data, dependence, needs } = self;
        retire::rules(rules, pace).await;
        retire::all(tree.nodes, pace).await;
        retire::all(dependence, pace).await;
        retire::all(needs, pace).await;
        crate::policy::retire(data, pace).await;
    }

    /// The rule at `path` below `data`.
    pub(crate) fn rule_at(&self, path: &[String]) -> Option<RuleId> {
        self.tree.rule_at(path)
    }

    pub(crate) fn rules(&self) -> impl Iterator<Item = RuleView<'_>> {
        self.rules.iter().map(|rule| RuleView {
            path: &rule.path,
            at: rule.definitions.first().or(rule.default.as_ref()).map(|first| first.at).unwrap_or_default(),
        })
    }

    /// The rules of which many definitions are tried for every input, with how many of how many.
    pub(crate) fn slow_rules(&self) -> impl Iterator<Item = (RuleView<'_>, usize, usize)> {
        self.rules.iter().zip(self.rules()).filter_map(|(rule, view)| {
            let all = rule.definitions.len();
            let tried = rule.index.as_ref().map_or(all, index::Index::always);
            (tried >= MANY_DEFINITIONS).then_some((view, tried, all))
        })
    }

    /// What the rule's value depends on.
    pub(crate) fn dependence(&self, rule: RuleId) -> Dependence {
        self.dependence.get(rule).cloned().unwrap_or_default()
    }

    /// Where the rule's value depends on the calls of the recent past, and how far it looks back there.
    pub(crate) async fn looks(&self, rule: RuleId, pace: &Pace) -> Vec<Look> {
        lookback::looks(self, rule, pace).await
    }

    /// The value of a rule.
    ///
    /// # Errors
    /// Where there is no answer.
    pub(crate) fn evaluate(&self, rule: RuleId, asked: Asked<'_>) -> Result<Evaluated, Halt> {
        let mut machine = self.machine(asked);
        let value = machine.rule(rule)?;
        Ok(Evaluated { value, count_falls_in: machine.count_falls_in() })
    }

    /// The value of a rule, where it has one, and how much of the work it leaves.
    fn constant(&self, rule: RuleId, work: u64) -> (Option<Value>, u64) {
        let asked = Asked {
            input: Value::Undefined,
            now_ns: 0,
            seed: 0,
            calls: None,
            work,
            watch: &|| false,
            is_indexed: false,
        };
        let mut machine = self.machine(asked);
        let value = machine.rule(rule).ok().filter(|value| *value != Value::Undefined);
        (value, machine.work_left())
    }

    /// The document at `path` below `data`: of a rule, a package, or base data.
    ///
    /// # Errors
    /// Where there is no answer.
    pub(crate) fn document(&self, path: &[Value], asked: Asked<'_>) -> Result<Value, Halt> {
        self.machine(asked).at(path)
    }

    fn machine<'p>(&'p self, asked: Asked<'p>) -> Machine<'p> {
        let surroundings = Surroundings::new(asked.now_ns, asked.seed, Work::new(asked.work));
        Machine::new(self, asked, surroundings)
    }
}
