//! Walks the table's tries: the labels of a host from the right, the segments of a path from the left.
//!
//! Where several templates fit, one may be meant only if it is at least as specific as all others at every piece:
//! literals, then regions, then labels, then what spans several pieces.

use std::cell::Cell;

use smallvec::SmallVec;

use super::table::{Table, TextNumber, u16_at, u24_at};

/// One piece of a host or a path.
#[derive(Clone, Debug, Default)]
pub(super) struct Piece<'a> {
    pub(super) text: &'a str,
    /// Looked up when a node asks for it, and no more than once, however many walks there are.
    literal: Cell<Literal>,
    /// Whether a template's region may stand for it.
    is_region: bool,
}

/// What literal a piece is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Literal {
    /// The one with its text, which nobody has looked up yet.
    #[default]
    ByText,
    /// The one with this number, whatever its text.
    Number(TextNumber),
    /// None that the table has.
    None,
}

/// The pieces of one host or path, without a heap. They are large, and are filled where they stand.
#[derive(Clone, Debug, Default)]
pub(super) struct Pieces<'a> {
    pieces: SmallVec<[Piece<'a>; Pieces::MOST]>,
}

/// How specific a template is: two bits a piece, the first piece highest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Specificity(u64);

/// A node that fits: what stands at it, and how it was reached.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fit {
    pub(super) leaves: &'static [u8],
    pub(super) specificity: Specificity,
    numbers: &'static [u8],
}

const HAS_LABEL: u8 = 1;
const HAS_GREEDY: u8 = 2;
const HAS_REGION: u8 = 4;
const HAS_LITERALS: u8 = 8;

const LITERAL: u64 = 3;
const REGION: u64 = 2;
const LABEL: u64 = 1;
const GREEDY: u64 = 0;

/// A node, its parts found.
struct Node {
    label: usize,
    greedy: usize,
    region: usize,
    numbers: &'static [u8],
    children: &'static [u8],
    leaves: &'static [u8],
}

// === impl Piece ===

impl<'a> Piece<'a> {
    /// The literal with this text, or what a label stands for.
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, ..Self::default() }
    }

    /// The same, for which a template's region may stand too.
    pub(super) fn region(self, is_region: bool) -> Self {
        Self { is_region, ..self }
    }

    /// The literal with this number, whatever its text.
    pub(super) fn numbered(self, number: TextNumber) -> Self {
        Self { literal: Cell::new(Literal::Number(number)), ..self }
    }

    #[inline]
    fn number(&self, table: &Table) -> Option<TextNumber> {
        match self.literal.get() {
            Literal::Number(number) => Some(number),
            Literal::None => None,
            Literal::ByText => {
                let found = table.number(self.text.as_bytes());
                self.literal.set(found.map_or(Literal::None, Literal::Number));
                found
            }
        }
    }
}

// === impl Pieces ===

impl<'a> Pieces<'a> {
    /// The most pieces that a host or a path may have to be looked up.
    pub(super) const MOST: usize = 24;

    /// Adds a piece.
    ///
    /// # Errors
    /// When there are too many.
    #[inline]
    pub(super) fn push(&mut self, piece: Piece<'a>) -> Result<(), TooMany> {
        if self.pieces.len() >= Self::MOST {
            return Err(TooMany);
        }
        self.pieces.push(piece);
        Ok(())
    }

    pub(super) fn pop(&mut self) -> Option<Piece<'a>> {
        self.pieces.pop()
    }

    pub(super) fn as_slice(&self) -> &[Piece<'a>] {
        &self.pieces
    }
}

/// There are more pieces than any template has.
#[derive(Clone, Copy, Debug)]
pub(super) struct TooMany;

// === impl Specificity ===

impl Specificity {
    const START: Self = Self(0);

    fn then(self, kind: u64) -> Self {
        Self(self.0 << 2 | kind)
    }

    /// Whether this is nowhere less specific than `other`.
    pub(super) fn dominates(self, other: Self) -> bool {
        const HIGH: u64 = u64::MAX / 3 * 2;
        // Of two bits each, the high ones decide, or the low ones where those are equal.
        let below = !self.0 & other.0;
        let unequal = self.0 ^ other.0;
        below & HIGH == 0 && below & !HIGH & !(unequal >> 1) == 0
    }
}

// === impl Node ===

impl Node {
    #[inline]
    fn read(table: &Table, offset: usize) -> Option<Self> {
        let bytes = table.node(offset)?;
        let flags = *bytes.first()?;
        let mut at = 1;
        let mut child = |flag: u8| {
            if flags & flag == 0 {
                return Some(0);
            }
            at += 3;
            u24_at(bytes, at - 3)
        };
        let (label, greedy, region) = (child(HAS_LABEL)?, child(HAS_GREEDY)?, child(HAS_REGION)?);
        let (mut numbers, mut children) = (Default::default(), Default::default());
        if flags & HAS_LITERALS != 0 {
            let count = usize::from(u16_at(bytes, at)?);
            numbers = bytes.get(at + 2..at + 2 + 2 * count)?;
            children = bytes.get(at + 2 + 2 * count..at + 2 + 5 * count)?;
            at += 2 + 5 * count;
        }
        let length = usize::from(u16_at(bytes, at)?);
        Some(Self { label, greedy, region, numbers, children, leaves: bytes.get(at + 2..at + 2 + length)? })
    }

    #[inline]
    fn literal(&self, table: &Table, piece: &Piece<'_>) -> Option<usize> {
        if self.numbers.is_empty() {
            return None;
        }
        let number = piece.number(table)?;
        u24_at(self.children, table.place_among(self.numbers, number)? * 3)
    }
}

// === impl Fit ===

impl Fit {
    /// Whether custom verbs hang at the node: `:query` behind a label.
    pub(super) fn has_verbs(&self, table: &Table) -> bool {
        table.has_verb(self.numbers)
    }
}

/// Calls `visit` for every node with leaves that the whole of `pieces` leads to from the node `root`.
pub(super) fn walk(table: &Table, root: usize, pieces: &[Piece<'_>], visit: &mut impl FnMut(Fit)) {
    step(table, root, pieces, Specificity::START, visit);
}

fn step(
    table: &Table,
    offset: usize,
    pieces: &[Piece<'_>],
    specificity: Specificity,
    visit: &mut impl FnMut(Fit),
) {
    let Some(node) = Node::read(table, offset) else { return };
    let Some((piece, rest)) = pieces.split_first() else {
        if !node.leaves.is_empty() {
            visit(Fit { leaves: node.leaves, specificity, numbers: node.numbers });
        }
        return;
    };
    if let Some(child) = node.literal(table, piece) {
        step(table, child, rest, specificity.then(LITERAL), visit);
    }
    if piece.text.is_empty() {
        return;
    }
    if node.region != 0 && piece.is_region {
        step(table, node.region, rest, specificity.then(REGION), visit);
    }
    if node.label != 0 {
        step(table, node.label, rest, specificity.then(LABEL), visit);
    }
    if node.greedy != 0 {
        let (mut rest, mut specificity) = (rest, specificity.then(GREEDY));
        loop {
            step(table, node.greedy, rest, specificity, visit);
            match rest.split_first() {
                Some((piece, after)) if !piece.text.is_empty() => {
                    (rest, specificity) = (after, specificity.then(GREEDY));
                }
                Some(_) | None => break,
            }
        }
    }
}

/// Calls `visit` with the leaves of every node below `root`, once for each node.
#[cfg(feature = "lint")]
pub(super) fn every(table: &Table, root: usize, visit: &mut impl FnMut(&'static [u8])) {
    let (mut pending, mut seen) = (vec![root], std::collections::HashSet::from([root]));
    while let Some(node) = pending.pop().and_then(|offset| Node::read(table, offset)) {
        visit(node.leaves);
        let literals = (0..node.numbers.len() / 2).filter_map(|number| u24_at(node.children, number * 3));
        let children = literals.chain([node.label, node.greedy, node.region]);
        pending.extend(children.filter(|child| *child != 0 && seen.insert(*child)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dominating_is_piece_by_piece() {
        for (one, other) in (0..1 << 6).flat_map(|one| (0..1 << 6).map(move |other| (one, other))) {
            let is_nowhere_less = (0..3).all(|piece| one >> (2 * piece) & 3 >= other >> (2 * piece) & 3);
            assert_eq!(Specificity(one).dominates(Specificity(other)), is_nowhere_less, "{one:b} {other:b}");
        }
    }
}
