//! What Go and Rust read alike in a regular expression, and how Rust is told what Go means by it.
//!
//! Go's `\d`, `\w`, `\s` and `\b` are of ASCII, so they are written out. What one of them refuses, or reads in another
//! way, is not known here, whatever it would mean.

use regex_syntax::ast::{
    self, AssertionKind, Ast, ClassPerlKind, ClassSet, ClassSetItem, Flag, FlagsItemKind, GroupKind,
    HexLiteralKind, Literal, LiteralKind, RepetitionKind, RepetitionRange, Span, SpecialLiteralKind,
};

/// Go's limit on repetitions, nested ones multiplied.
const MOST_REPEATED: u64 = 1_000;

/// Go takes patterns that are nested deeper.
const MOST_DEPTH: u32 = 100;

/// A pattern as it was read.
pub(super) enum Reading {
    Common(Pattern),
    /// No regular expression for Go either.
    Invalid,
    Unknown,
}

pub(super) struct Pattern {
    /// The pattern in Rust's terms.
    pub(super) text: String,
    /// Its size with the repetitions written out.
    pub(super) size: u64,
    /// Whether positions of matches and groups are the same too: not sure where what may be empty is repeated.
    pub(super) is_exact: bool,
}

pub(super) fn read(pattern: &str) -> Reading {
    let mut parser = ast::parse::ParserBuilder::new().nest_limit(MOST_DEPTH).build();
    let pattern = &dashes_escaped(pattern);
    match parser.parse(pattern) {
        Ok(ast) => {
            let mut reader = Reader { rewrites: Vec::new(), size: 0, is_exact: true };
            if reader.node(&ast, false, 1).is_none() {
                return Reading::Unknown;
            }
            match reader.rewritten(pattern) {
                Some(text) => Reading::Common(Pattern { text, size: reader.size, is_exact: reader.is_exact }),
                None => Reading::Unknown,
            }
        }
        Err(error) if is_invalid_for_both(error.kind(), pattern) => Reading::Invalid,
        Err(_) => Reading::Unknown,
    }
}

/// Escapes the dash behind a class like `\w` in brackets: Go takes it as one, Rust refuses it.
fn dashes_escaped(pattern: &str) -> String {
    let mut escaped = String::with_capacity(pattern.len());
    let mut is_in_class = false;
    let mut chars = pattern.chars().peekable();
    while let Some(char) = chars.next() {
        escaped.push(char);
        match char {
            '\\' => {
                let Some(kind) = chars.next() else { break };
                escaped.push(kind);
                let is_dash = is_in_class && "dDsSwW".contains(kind) && chars.peek() == Some(&'-');
                let mut ahead = chars.clone();
                if is_dash && !matches!(ahead.nth(1), Some(']') | None) {
                    escaped.push('\\');
                }
            }
            '[' => is_in_class = true,
            ']' => is_in_class = false,
            _ => {}
        }
    }
    escaped
}

fn is_invalid_for_both(kind: &ast::ErrorKind, pattern: &str) -> bool {
    let certain = matches!(
        kind,
        ast::ErrorKind::GroupUnclosed
            | ast::ErrorKind::GroupUnopened
            | ast::ErrorKind::RepetitionMissing
            | ast::ErrorKind::EscapeUnexpectedEof
    );
    // In brackets, braces and quotations the two may have lost each other before.
    certain && !pattern.contains(['[', '{']) && !pattern.contains("\\Q") && !pattern.contains("(?")
}

struct Reader {
    /// Parts to be written in another way, in order.
    rewrites: Vec<(Span, &'static str)>,
    size: u64,
    is_exact: bool,
}

// === impl Reader ===

impl Reader {
    /// Reads a node under the flag `i`, repeated so many times. None for what is not common; otherwise the flag as it
    /// is behind the node.
    fn node(&mut self, ast: &Ast, folds: bool, times: u64) -> Option<bool> {
        self.size = self.size.saturating_add(times);
        match ast {
            Ast::Empty(_) | Ast::Dot(_) => Some(folds),
            Ast::Flags(flags) => flag_of_case(&flags.flags, folds),
            Ast::Literal(literal) => {
                (is_common_literal(literal) && (!folds || literal.c.is_ascii())).then_some(folds)
            }
            Ast::Assertion(assertion) => {
                match assertion.kind {
                    AssertionKind::StartLine
                    | AssertionKind::EndLine
                    | AssertionKind::StartText
                    | AssertionKind::EndText => {}
                    AssertionKind::WordBoundary => self.rewrites.push((assertion.span, r"(?-u:\b)")),
                    AssertionKind::NotWordBoundary => self.rewrites.push((assertion.span, r"(?-u:\B)")),
                    AssertionKind::WordBoundaryStart
                    | AssertionKind::WordBoundaryEnd
                    | AssertionKind::WordBoundaryStartAngle
                    | AssertionKind::WordBoundaryEndAngle
                    | AssertionKind::WordBoundaryStartHalf
                    | AssertionKind::WordBoundaryEndHalf => return None,
                }
                Some(folds)
            }
            Ast::ClassUnicode(_) => None,
            Ast::ClassPerl(class) => {
                self.size = self.size.saturating_add(times * 4);
                self.rewrites.push((class.span, perl_class(&class.kind, class.negated)));
                Some(folds)
            }
            Ast::ClassBracketed(class) => {
                // Negated ones are of many bytes.
                self.size = self.size.saturating_add(times * 16);
                match &class.kind {
                    ClassSet::Item(ClassSetItem::Union(union)) => {
                        let last = union.items.len().saturating_sub(1);
                        union.items.iter().enumerate().try_for_each(|(at, item)| {
                            self.class_item(item, folds, at == 0 || at == last, times)
                        })?;
                    }
                    ClassSet::Item(item) => self.class_item(item, folds, true, times)?,
                    ClassSet::BinaryOp(_) => return None,
                }
                Some(folds)
            }
            Ast::Repetition(repetition) => {
                let (least, most) = match &repetition.op.kind {
                    RepetitionKind::ZeroOrOne => (0, Some(1)),
                    RepetitionKind::ZeroOrMore => (0, None),
                    RepetitionKind::OneOrMore => (1, None),
                    RepetitionKind::Range(RepetitionRange::Exactly(count)) => (*count, Some(*count)),
                    RepetitionKind::Range(RepetitionRange::AtLeast(least)) => (*least, None),
                    RepetitionKind::Range(RepetitionRange::Bounded(least, most)) => (*least, Some(*most)),
                };
                let nested = times.checked_mul(u64::from(most.unwrap_or(least).max(1)))?;
                // Go refuses to repeat a repetition, and reads numbers only without leading zeros or spaces.
                let is_plain =
                    !matches!(*repetition.ast, Ast::Repetition(_) | Ast::Assertion(_) | Ast::Flags(_));
                if nested > MOST_REPEATED || !is_plain {
                    return None;
                }
                self.is_exact &= most == Some(1) || !may_be_empty(&repetition.ast);
                self.node(&repetition.ast, folds, nested)?;
                Some(folds)
            }
            Ast::Group(group) => {
                let inner = match &group.kind {
                    GroupKind::CaptureIndex(_) => folds,
                    GroupKind::CaptureName { name, .. } => {
                        let is_plain = |char: char| char.is_ascii_alphanumeric() || char == '_';
                        if !name.name.chars().all(is_plain) {
                            return None;
                        }
                        folds
                    }
                    GroupKind::NonCapturing(flags) => flag_of_case(flags, folds)?,
                };
                self.node(&group.ast, inner, times)?;
                Some(folds)
            }
            Ast::Alternation(alternation) => {
                alternation.asts.iter().try_fold(folds, |folds, ast| self.node(ast, folds, times))
            }
            Ast::Concat(concat) => {
                concat.asts.iter().try_fold(folds, |folds, ast| self.node(ast, folds, times))
            }
        }
    }

    fn class_item(&mut self, item: &ClassSetItem, folds: bool, is_at_end: bool, times: u64) -> Option<()> {
        self.size = self.size.saturating_add(times);
        let is_common = |literal: &Literal| is_common_literal(literal) && (!folds || literal.c.is_ascii());
        let common = match item {
            ClassSetItem::Empty(_) | ClassSetItem::Ascii(_) => true,
            ClassSetItem::Literal(literal) => {
                let is_dash = literal.c == '-' && literal.kind == LiteralKind::Verbatim;
                is_common(literal) && (is_at_end || !is_dash)
            }
            ClassSetItem::Range(range) => {
                let is_dash = |literal: &Literal| literal.c == '-' && literal.kind == LiteralKind::Verbatim;
                is_common(&range.start)
                    && is_common(&range.end)
                    && !is_dash(&range.start)
                    && !is_dash(&range.end)
            }
            ClassSetItem::Perl(class) => {
                self.rewrites.push((class.span, perl_class(&class.kind, class.negated)));
                true
            }
            ClassSetItem::Unicode(_) | ClassSetItem::Bracketed(_) | ClassSetItem::Union(_) => false,
        };
        common.then_some(())
    }

    fn rewritten(&self, pattern: &str) -> Option<String> {
        let mut text = String::new();
        let mut copied = 0;
        for (span, instead) in &self.rewrites {
            text.push_str(pattern.get(copied..span.start.offset)?);
            text.push_str(instead);
            copied = span.end.offset;
        }
        text.push_str(pattern.get(copied..)?);
        Some(text)
    }
}

/// Rust takes a class within a class.
fn perl_class(kind: &ClassPerlKind, negated: bool) -> &'static str {
    match (kind, negated) {
        (ClassPerlKind::Digit, false) => "[0-9]",
        (ClassPerlKind::Digit, true) => "[^0-9]",
        (ClassPerlKind::Space, false) => r"[\t\n\f\r ]",
        (ClassPerlKind::Space, true) => r"[^\t\n\f\r ]",
        (ClassPerlKind::Word, false) => "[0-9A-Za-z_]",
        (ClassPerlKind::Word, true) => "[^0-9A-Za-z_]",
    }
}

/// The flag `i` behind these flags; none if there are some that Go has not.
fn flag_of_case(flags: &ast::Flags, mut folds: bool) -> Option<bool> {
    let mut negated = false;
    for item in &flags.items {
        match item.kind {
            FlagsItemKind::Negation => negated = true,
            FlagsItemKind::Flag(Flag::CaseInsensitive) => folds = !negated,
            FlagsItemKind::Flag(Flag::MultiLine | Flag::DotMatchesNewLine | Flag::SwapGreed) => {}
            FlagsItemKind::Flag(Flag::Unicode | Flag::CRLF | Flag::IgnoreWhitespace) => return None,
        }
    }
    Some(folds)
}

fn is_common_literal(literal: &Literal) -> bool {
    match &literal.kind {
        LiteralKind::Verbatim | LiteralKind::Meta => true,
        LiteralKind::Superfluous => literal.c.is_ascii_punctuation(),
        LiteralKind::HexFixed(HexLiteralKind::X) | LiteralKind::HexBrace(HexLiteralKind::X) => true,
        LiteralKind::Special(
            SpecialLiteralKind::Bell
            | SpecialLiteralKind::FormFeed
            | SpecialLiteralKind::Tab
            | SpecialLiteralKind::LineFeed
            | SpecialLiteralKind::CarriageReturn
            | SpecialLiteralKind::VerticalTab,
        ) => true,
        LiteralKind::Octal
        | LiteralKind::HexFixed(HexLiteralKind::UnicodeShort | HexLiteralKind::UnicodeLong)
        | LiteralKind::HexBrace(HexLiteralKind::UnicodeShort | HexLiteralKind::UnicodeLong)
        | LiteralKind::Special(SpecialLiteralKind::Space) => false,
    }
}

fn may_be_empty(ast: &Ast) -> bool {
    match ast {
        Ast::Empty(_) | Ast::Flags(_) | Ast::Assertion(_) => true,
        Ast::Literal(_) | Ast::Dot(_) | Ast::ClassUnicode(_) | Ast::ClassPerl(_) | Ast::ClassBracketed(_) => {
            false
        }
        Ast::Repetition(repetition) => match repetition.op.kind {
            RepetitionKind::ZeroOrOne | RepetitionKind::ZeroOrMore => true,
            RepetitionKind::OneOrMore => may_be_empty(&repetition.ast),
            RepetitionKind::Range(
                RepetitionRange::Exactly(least)
                | RepetitionRange::AtLeast(least)
                | RepetitionRange::Bounded(least, _),
            ) => least == 0 || may_be_empty(&repetition.ast),
        },
        Ast::Group(group) => may_be_empty(&group.ast),
        Ast::Alternation(alternation) => alternation.asts.iter().any(may_be_empty),
        Ast::Concat(concat) => concat.asts.iter().all(may_be_empty),
    }
}
