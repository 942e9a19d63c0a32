//! An open bracket, and how often the parser reads what is in it.

impl Level {
    pub(super) fn new(kind: Kind, readings: u64) -> Self {
        let place = match kind {
            Kind::Literal => Place::First,
            Kind::Body => Place::BehindBar,
            Kind::Module | Kind::Inner => Place::Settled,
        };
        Self { kind, readings, place, operators: 0, deepest: 0, operand: 0, done: 0, minuses: 0 }
    }

    /// How many times the parser reads a bracket that opens here.
    pub(super) fn readings_within(&self) -> u64 {
        let factor = match (self.place, self.kind) {
            (Place::BehindBar, _) => 3,
            (Place::First | Place::Statement, _) => 2,
            (Place::Settled, _) => 1,
        };
        self.readings.saturating_mul(factor)
    }

    pub(super) fn depth(&self) -> usize {
        self.done.max(self.operators + self.deepest.max(self.operand))
    }

    pub(super) fn end_operand(&mut self) {
        self.deepest = self.deepest.max(self.operand);
        self.operand = 0;
    }

    /// Ends an expression; how many minus signs it had.
    pub(super) fn end_expression(&mut self) -> usize {
        self.done = self.depth();
        (self.operators, self.deepest, self.operand) = (0, 0, 0);
        std::mem::take(&mut self.minuses)
    }
}

/// What stands before a token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    /// Nothing that a value could continue.
    Nothing,
    /// A value, with where it ends.
    Value(usize),
    /// A `.`, behind which every word is a name.
    Dot,
    /// A word behind which a body may begin.
    If,
}

/// An open bracket, or the module around all of them.
pub(super) struct Level {
    pub(super) kind: Kind,
    /// How many times the parser reads it from its start.
    pub(super) readings: u64,
    pub(super) place: Place,
    /// Operators in the expression that is being read.
    pub(super) operators: usize,
    /// The deepest of its operands.
    pub(super) deepest: usize,
    /// The depth of the operand that is being read.
    pub(super) operand: usize,
    /// The deepest of the expressions before.
    pub(super) done: usize,
    /// Minus signs that cover the rest of the expression.
    pub(super) minuses: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Module,
    /// An array, a set, an object or a comprehension.
    Literal,
    /// A body of statements.
    Body,
    /// Round brackets, and the square ones of a reference.
    Inner,
}

/// Where in a level the parser is, as far as it reads things again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The first key or value of a literal.
    First,
    /// What follows a `|` of a literal, or the first statement of a body: the parser may take one for the other.
    BehindBar,
    /// The beginning of a statement, which may turn out to be a pattern.
    Statement,
    /// What is read once.
    Settled,
}
