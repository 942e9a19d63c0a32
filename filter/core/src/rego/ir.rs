//! What a policy is compiled to: blocks of steps over numbered locals.
//!
//! Which occurrence of a variable binds it and which compares it is decided when compiling, as is the order of steps:
//! nothing is undone when a step fails, and no step looks for a name.

use regorus::Value;

use super::{builtins::Builtin, counting::Choice, index::Index};

/// A local variable of one rule body.
pub(super) type Slot = usize;
/// A rule: all definitions that share one path.
pub(crate) type RuleId = usize;
/// A place in the tree of packages and rules.
pub(super) type NodeId = usize;

/// Where something stands in the operator's files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    /// Which of the modules.
    pub(crate) module: usize,
    /// Counted from 1.
    pub(crate) line: u32,
    /// Counted from 1.
    pub(crate) column: u32,
}

/// Steps that hold one after the other.
#[derive(Debug, Default)]
pub(super) struct Block {
    pub(super) steps: Vec<Step>,
}

#[derive(Debug)]
pub(super) struct Step {
    pub(super) kind: StepKind,
    pub(super) at: Position,
}

#[derive(Debug)]
pub(super) enum StepKind {
    /// Holds where the operand is defined and not false.
    Truthy(Operand),
    /// Holds where both are defined and equal.
    Equal(Operand, Operand),
    /// Holds where the operand is defined and matches.
    Match(Pattern, Operand),
    Call(Box<Call>),
    /// Holds once for each way along the hops.
    Scan(Box<Scan>),
    /// Holds where the block does not.
    Not(Block),
    Every(Box<Every>),
    With(Box<With>),
    /// Holds never: two patterns that cannot match.
    Fail,
}

#[derive(Debug)]
pub(super) struct Call {
    pub(super) callee: Callee,
    pub(super) arguments: Vec<Operand>,
    pub(super) result: Outcome,
}

#[derive(Clone, Copy)]
pub(super) enum Callee {
    Builtin(&'static Builtin),
    Function(RuleId),
}

impl std::fmt::Debug for Callee {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Builtin(builtin) => f.write_str(builtin.name),
            Self::Function(rule) => write!(f, "rule {rule}"),
        }
    }
}

/// What becomes of a value.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It must not be false.
    Truthy,
    Match(Pattern),
}

#[derive(Debug)]
pub(super) struct Scan {
    pub(super) source: Operand,
    pub(super) hops: Vec<Hop>,
    pub(super) result: Outcome,
}

/// One bracket of a reference.
#[derive(Debug)]
pub(super) enum Hop {
    Key(Operand),
    /// Every key that matches.
    Each(Pattern),
}

#[derive(Debug)]
pub(super) struct Every {
    pub(super) domain: Operand,
    pub(super) key: Pattern,
    pub(super) value: Pattern,
    pub(super) body: Block,
}

#[derive(Debug)]
pub(super) struct With {
    pub(super) replacements: Vec<Replacement>,
    pub(super) block: Block,
}

#[derive(Debug)]
pub(super) enum Replacement {
    /// Below `input`.
    Input(Vec<Value>, Operand),
    /// Below `data`.
    Data(Vec<Value>, Operand),
    /// A function stands for another.
    Function(Replaced, Callee),
    /// A value stands for every result of a function.
    Constant(Replaced, Operand),
}

/// A function that a `with` replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Replaced {
    Builtin(&'static str),
    Function(RuleId),
}

/// An expression that has one value, or none.
#[derive(Clone, Debug)]
pub(super) enum Operand {
    Constant(Value),
    Local(Slot),
    /// Below `input`.
    Input(Box<[Value]>),
    /// Below `data`, where no rule is.
    Base(Box<[Value]>),
    /// The value of a rule.
    Rule(RuleId),
    /// What a partial rule has at a key, without what it has elsewhere.
    Keyed(RuleId, Box<Operand>),
    /// The document at a package, and below.
    Document(NodeId, Box<[Operand]>),
    /// What an operand has at a path.
    Path(Box<(Operand, Vec<Operand>)>),
    Array(Vec<Operand>),
    Set(Vec<Operand>),
    Object(Vec<(Operand, Operand)>),
    Comprehension(std::sync::Arc<Comprehension>),
}

#[derive(Debug)]
pub(super) struct Comprehension {
    pub(super) collects: Collects,
    pub(super) block: Block,
    pub(super) at: Position,
    /// Where it chooses calls of the audit log, how.
    pub(super) choice: Option<Choice>,
}

#[derive(Debug)]
pub(super) enum Collects {
    Array(Operand),
    Set(Operand),
    Object(Operand, Operand),
}

/// What a value is taken apart by.
#[derive(Debug)]
pub(super) enum Pattern {
    Any,
    Bind(Slot),
    Equal(Operand),
    Array(Vec<Pattern>),
    /// An object of just these keys.
    Object(Vec<(Operand, Pattern)>),
}

/// All definitions that share a path.
#[derive(Debug)]
pub(super) struct Rule {
    /// `data.hexr.authz.allow`.
    pub(super) name: String,
    /// The path below `data`.
    pub(super) path: Vec<Value>,
    pub(super) kind: RuleKind,
    pub(super) definitions: Vec<Definition>,
    pub(super) default: Option<Definition>,
    /// Whether all definitions give the same constant, so that one is enough.
    pub(super) one_is_enough: bool,
    pub(super) index: Option<Index>,
    /// Where it is a choice of calls of the audit log, how they are chosen.
    pub(super) choice: Option<Choice>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RuleKind {
    Complete,
    Function {
        arity: usize,
    },
    /// A set, an object, or objects in objects with values or sets at their ends.
    Partial,
}

/// One definition, with what follows its `else`s.
#[derive(Debug)]
pub(super) struct Definition {
    pub(super) parameters: Vec<Pattern>,
    pub(super) slots: usize,
    pub(super) body: Body,
    pub(super) otherwise: Vec<Body>,
    /// The body for a key that is known, where the rule is partial and its key is a variable or a constant.
    pub(super) keyed: Option<Keyed>,
    pub(super) at: Position,
    /// The operator's names of the locals; what was made here has none.
    #[cfg(feature = "trace")]
    pub(super) names: Vec<Option<String>>,
}

#[derive(Debug)]
pub(super) struct Body {
    pub(super) block: Block,
    /// The keys of a partial rule; none elsewhere.
    pub(super) keys: Vec<Operand>,
    /// The value. A member of a partial set has its value as the last key, and none here.
    pub(super) value: Option<Operand>,
    /// Whether it prints: then nothing in it is skipped, so that what is an error behind it is one.
    pub(super) prints: bool,
}

#[derive(Debug)]
pub(super) struct Keyed {
    /// Takes the known key.
    pub(super) key: Pattern,
    pub(super) body: Body,
}

/// A package, a part of one's path, or a rule.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) children: std::collections::BTreeMap<String, NodeId>,
    pub(super) rule: Option<RuleId>,
    /// The node above, and the name there; none at the root.
    pub(super) above: Option<(NodeId, Value)>,
}
