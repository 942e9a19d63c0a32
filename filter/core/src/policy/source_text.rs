//! A look at a module's text before the parser sees it, for what the parser and the evaluator cannot be trusted with.
//!
//! The parser descends with every bracket, and what it makes is taken apart and freed by descending: text that nests too
//! deep would overflow the stack. It also tries several readings of what stands first in a bracket, each from the start,
//! so that its time can double or triple with every level. Both are told here from the tokens, without parsing.

mod keywords;
mod level;
mod separators;
mod tokens;

pub(crate) use keywords::unimported_keyword;
pub(crate) use separators::with_separators;
pub(crate) use tokens::{TokenKind, Tokens};

use self::{
    level::{Before, Kind, Level, Place},
    tokens::Token,
};
use super::number_text;
use crate::pace::Pace;

/// The deepest nesting of brackets, and of minus signs before something else than a number.
const MAX_NESTING: usize = 12;
/// The most operators and parts of references that stand one within the other, as all of `1 + 1 + 1` do.
const MAX_DEPTH: usize = 200;
/// How many times the parser may read a bracket from its start.
const MAX_READINGS: u64 = 4096;
/// The longest line, in bytes. The parser's own messages fail on columns that do not fit into 16 bits.
const MAX_LINE: usize = 60_000;
/// Lines up to this length cost the parser no more than their text, whatever stands on them.
const SHORT_LINE: usize = 1000;
/// The most imports of a module: each is compared with each.
const MAX_IMPORTS: usize = 1000;
/// What the comparison of two imports costs, as bytes read.
const IMPORT_COST: usize = 8;
/// How many bytes the parser may read again, in all modules of a policy: some seconds.
const MAX_REREAD: u64 = 32 << 20;

/// Why a text is not given to the parser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// The line, counted from 1.
    pub(crate) line: usize,
    /// What is wrong there and how to mend it.
    pub(crate) message: String,
}

/// Checks the modules of one policy.
pub(crate) struct Checker {
    /// How many bytes the parser may still read again.
    reread_left: u64,
}

/// What is known of the text so far.
struct Reading<'c> {
    checker: &'c mut Checker,
    line: usize,
    line_start: usize,
    /// How many items began on this line outside of brackets.
    items_on_line: usize,
    imports: usize,
    /// The innermost bracket last; never empty.
    levels: Vec<Level>,
    /// Brackets and minus signs that are open.
    nesting: usize,
    before: Before,
    /// Whether a line has ended since the last token.
    at_line_start: bool,
}

// === impl Checker ===

impl Checker {
    pub(crate) fn new() -> Self {
        Self { reread_left: MAX_REREAD }
    }

    /// Checks what can be told of a module from its text alone.
    pub(crate) async fn check(&mut self, text: &str, pace: &Pace) -> Result<(), Refused> {
        // The parser takes it for the end.
        if let Some((before, _)) = text.split_once('\0') {
            let line = 1 + before.matches('\n').count();
            return Err(Refused { line, message: "there is a NUL character: take it out".to_owned() });
        }
        let mut reading = Reading::new(self);
        for token in Tokens::new(text) {
            reading.token(&token)?;
            pace.spend(1).await;
        }
        reading.end_of_line(text.len())
    }
}

// === impl Reading ===

impl<'c> Reading<'c> {
    fn new(checker: &'c mut Checker) -> Self {
        Self {
            checker,
            line: 1,
            line_start: 0,
            items_on_line: 0,
            imports: 0,
            levels: vec![Level::new(Kind::Module, 1)],
            nesting: 0,
            before: Before::Nothing,
            at_line_start: false,
        }
    }

    fn token(&mut self, token: &Token<'_>) -> Result<(), Refused> {
        if token.kind.begins_statement() && token.text != "in" && token.text != "(" && self.at_line_start {
            self.begin_statement();
        }
        self.at_line_start &= matches!(token.kind, TokenKind::Newline | TokenKind::NewlineInText);
        let readings = self.level().map_or(1, |level| level.readings);
        self.reread(token.text.len(), readings.saturating_sub(1))?;
        match token.kind {
            TokenKind::Newline => {
                self.end_of_line(token.at)?;
                self.line += 1;
                self.line_start = token.at + 1;
                self.items_on_line = 0;
                self.at_line_start = true;
            }
            TokenKind::NewlineInText => {
                self.line += 1;
                self.line_start = token.at + 1;
            }
            TokenKind::Word => self.word(token)?,
            TokenKind::Text => self.value(token),
            TokenKind::Number => {
                if !number_text::is_usable(token.text) {
                    return self.refused(number_text::TOO_LARGE.to_owned());
                }
                self.value(token);
            }
            TokenKind::Open => self.open(token)?,
            TokenKind::Close => self.close(token),
            TokenKind::Separator => self.separator(token),
            TokenKind::Dot => {
                self.operand_grows();
                self.before = Before::Dot;
            }
            TokenKind::Operator => self.operator(token)?,
            TokenKind::Sign => {
                if matches!(self.before, Before::Value(_)) {
                    self.operator(token)?;
                }
            }
        }
        self.check_depth()
    }

    fn level(&mut self) -> Option<&mut Level> {
        self.levels.last_mut()
    }

    fn refused<T>(&self, message: String) -> Result<T, Refused> {
        Err(Refused { line: self.line, message })
    }

    fn word(&mut self, token: &Token<'_>) -> Result<(), Refused> {
        if self.before == Before::Dot {
            self.before = Before::Value(token.end());
            return Ok(());
        }
        match token.text {
            "in" => {
                self.operator(token)?;
                self.settle();
            }
            "if" | "else" => {
                self.end_expression();
                self.before = Before::If;
                if let Some(level) = self.level().filter(|level| level.kind == Kind::Module) {
                    level.place = Place::Statement;
                }
            }
            "some" | "every" => {
                self.end_expression();
                self.before = Before::Nothing;
                if let Some(level) = self.level() {
                    level.place = Place::Settled;
                }
            }
            "not" | "with" | "as" | "contains" | "default" => {
                self.end_expression();
                self.before = Before::Nothing;
            }
            "import" if self.levels.len() == 1 => {
                self.imports += 1;
                if self.imports > MAX_IMPORTS {
                    return self.refused(format!(
                        "the module has more than {MAX_IMPORTS} imports: name what is used rarely in full"
                    ));
                }
                self.reread(IMPORT_COST, u64::try_from(self.imports).unwrap_or(u64::MAX))?;
                self.value(token);
            }
            _ => self.value(token),
        }
        Ok(())
    }

    /// A name, a number or a string.
    fn value(&mut self, token: &Token<'_>) {
        if matches!(self.before, Before::Value(_) | Before::If) {
            self.end_expression();
        }
        self.before = Before::Value(token.end());
    }

    fn open(&mut self, token: &Token<'_>) -> Result<(), Refused> {
        let kind = match (self.before, token.text) {
            (Before::Value(_), "(") => Kind::Inner,
            (Before::Value(end), "[") if end == token.at => Kind::Inner,
            (Before::Value(_) | Before::If, "{") => Kind::Body,
            (Before::Nothing | Before::Dot | Before::If, "(") => Kind::Inner,
            (Before::Value(_) | Before::Nothing | Before::Dot | Before::If, _) => Kind::Literal,
        };
        let continues = matches!(self.before, Before::Value(end) if kind == Kind::Inner && (token.text == "(" || end == token.at));
        if continues {
            self.operand_grows();
        } else if matches!(self.before, Before::Value(_) | Before::If) {
            self.end_expression();
        }
        let readings = self.level().map_or(1, |level| level.readings_within());
        self.levels.push(Level::new(kind, readings));
        self.nesting += 1;
        self.before = Before::Nothing;
        if self.nesting > MAX_NESTING {
            return self.refused(format!(
                "brackets are nested deeper than {MAX_NESTING} levels: give the inner part a rule of its own"
            ));
        }
        if readings > MAX_READINGS {
            return self.refused(
                "brackets that stand first within one another take too long to be read: give the inner part a rule of \
                 its own"
                    .to_owned(),
            );
        }
        Ok(())
    }

    fn close(&mut self, token: &Token<'_>) {
        if self.levels.len() > 1
            && let Some(mut level) = self.levels.pop()
        {
            self.nesting = self.nesting.saturating_sub(1 + level.end_expression());
            let depth = level.depth() + 1;
            if let Some(outer) = self.level() {
                outer.operand += depth;
                if level.kind == Kind::Body {
                    outer.place = Place::Settled;
                }
            }
        }
        self.before = Before::Value(token.end());
    }

    /// `,`, `;` and `:`.
    fn separator(&mut self, token: &Token<'_>) {
        self.end_expression();
        self.before = Before::Nothing;
        if let Some(level) = self.level() {
            level.place = match (token.text, level.kind, level.place) {
                (";", Kind::Literal | Kind::Body, _) => Place::Statement,
                (":", Kind::Literal, Place::First) => Place::First,
                // The set or the object that a body may turn out to be.
                (_, Kind::Body, place) => place,
                _ => Place::Settled,
            };
        }
    }

    fn operator(&mut self, token: &Token<'_>) -> Result<(), Refused> {
        if token.text == "-" && !matches!(self.before, Before::Value(_)) {
            // It covers what follows, to the end of the expression.
            self.nesting += 1;
            if let Some(level) = self.level() {
                level.minuses += 1;
                level.operators += 1;
            }
            if self.nesting > MAX_NESTING {
                return self.refused(format!(
                    "brackets and minus signs are nested deeper than {MAX_NESTING} levels: give the inner part a rule \
                     of its own"
                ));
            }
            return Ok(());
        }
        let is_bar = token.text == "|";
        if let Some(level) = self.level() {
            level.end_operand();
            level.operators += 1;
            level.place = match (level.kind, level.place) {
                (Kind::Literal, Place::First | Place::BehindBar | Place::Statement) if is_bar => {
                    Place::BehindBar
                }
                (Kind::Literal | Kind::Body, Place::First | Place::BehindBar) => level.place,
                _ => Place::Settled,
            };
        }
        self.before = Before::Nothing;
        Ok(())
    }

    /// A part of a reference, or the arguments of a call.
    fn operand_grows(&mut self) {
        if let Some(level) = self.level() {
            level.operand += 1;
        }
    }

    fn end_expression(&mut self) {
        let minuses = self.level().map_or(0, Level::end_expression);
        self.nesting = self.nesting.saturating_sub(minuses);
        if self.levels.len() == 1 {
            self.items_on_line += 1;
        }
    }

    /// A line has ended, and what follows does not continue what stood on it.
    fn begin_statement(&mut self) {
        if !matches!(self.before, Before::Value(_)) {
            return;
        }
        if let Some(level) = self.level() {
            level.place = match (level.kind, level.place) {
                (Kind::Module, _) => Place::Settled,
                (Kind::Body, _) | (Kind::Literal, Place::Settled | Place::BehindBar) => Place::Statement,
                (Kind::Literal | Kind::Inner, place) => place,
            };
        }
    }

    fn settle(&mut self) {
        if let Some(level) = self.level()
            && level.place == Place::Statement
        {
            level.place = Place::Settled;
        }
    }

    fn check_depth(&mut self) -> Result<(), Refused> {
        let depth = self.level().map_or(0, |level| level.depth());
        if depth > MAX_DEPTH {
            return self.refused(format!(
                "more than {MAX_DEPTH} operators, brackets and parts of references stand one within the other: give a \
                 part of the expression a rule of its own"
            ));
        }
        Ok(())
    }

    fn end_of_line(&mut self, at: usize) -> Result<(), Refused> {
        let length = at.saturating_sub(self.line_start);
        if length > MAX_LINE {
            return self.refused(format!(
                "the line is longer than {MAX_LINE} bytes: break it where brackets allow it"
            ));
        }
        if length > SHORT_LINE {
            // The parser writes the line for every rule on it that it tries to read as something else.
            self.reread(length, u64::try_from(self.items_on_line).unwrap_or(u64::MAX))?;
        }
        Ok(())
    }

    /// Takes account of `bytes` that the parser reads again `times` times.
    fn reread(&mut self, bytes: usize, times: u64) -> Result<(), Refused> {
        let cost = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(times);
        match self.checker.reread_left.checked_sub(cost) {
            Some(left) => {
                self.checker.reread_left = left;
                Ok(())
            }
            None => self.refused(
                "the parser would have to read too much again and again: write less within the first brackets of \
                 others, and one rule to a line"
                    .to_owned(),
            ),
        }
    }
}

#[cfg(test)]
mod tests;
