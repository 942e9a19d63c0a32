//! The tokens of a module, as far as brackets, operators and lines go.

use crate::policy::number_text;

/// A piece of the text. Blanks and comments are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token<'t> {
    pub(crate) kind: TokenKind,
    pub(crate) text: &'t str,
    /// Where it begins.
    pub(crate) at: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// A name or a keyword.
    Word,
    Number,
    /// A string.
    Text,
    Open,
    Close,
    /// `,`, `;` and `:`.
    Separator,
    Dot,
    Operator,
    /// A minus sign before a digit: of a negative number, or between two.
    Sign,
    Newline,
    /// A line's end within a string.
    NewlineInText,
}

pub(crate) struct Tokens<'t> {
    text: &'t str,
    at: usize,
    /// The end of the string within which lines are counted; before `at` where there is none.
    within: usize,
}

// === impl TokenKind ===

impl TokenKind {
    /// Whether a statement can begin with it.
    pub(crate) fn begins_statement(self) -> bool {
        match self {
            Self::Word | Self::Number | Self::Text | Self::Open => true,
            Self::Close
            | Self::Separator
            | Self::Dot
            | Self::Operator
            | Self::Sign
            | Self::Newline
            | Self::NewlineInText => false,
        }
    }
}

// === impl Token ===

impl Token<'_> {
    /// Where it ends.
    pub(crate) fn end(&self) -> usize {
        self.at + self.text.len()
    }
}

// === impl Tokens ===

impl<'t> Tokens<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        Self { text, at: 0, within: 0 }
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    fn end_while(&self, from: usize, fits: impl Fn(u8) -> bool) -> usize {
        let rest = self.text.as_bytes().get(from..).unwrap_or_default();
        from + rest.iter().position(|byte| !fits(*byte)).unwrap_or(rest.len())
    }

    /// The end of a string that begins at `from`. One in double quotes ends with its line at the latest.
    fn end_of_text(&self, from: usize, quote: u8) -> usize {
        let mut at = from + 1;
        while let Some(byte) = self.byte(at) {
            match byte {
                b'\\' if quote == b'"' => at += 1,
                b'\n' if quote == b'"' => return at,
                _ if byte == quote => return at + 1,
                _ => {}
            }
            at += 1;
        }
        self.text.len()
    }

    fn token(&mut self, kind: TokenKind, at: usize, end: usize) -> Option<Token<'t>> {
        let end = end.min(self.text.len());
        self.at = end;
        // Bytes of ASCII are never within a character.
        Some(Token { kind, text: self.text.get(at..end).unwrap_or_default(), at })
    }
}

impl<'t> Iterator for Tokens<'t> {
    type Item = Token<'t>;

    fn next(&mut self) -> Option<Token<'t>> {
        if self.at < self.within {
            let at = self.end_while(self.at, |byte| byte != b'\n');
            if at < self.within {
                return self.token(TokenKind::NewlineInText, at, at + 1);
            }
            self.at = self.within;
        }
        loop {
            let at = self.at;
            let byte = self.byte(at)?;
            let kind = match byte {
                b' ' | b'\t' | b'\r' => {
                    self.at += 1;
                    continue;
                }
                b'#' => {
                    self.at = self.end_while(at, |byte| byte != b'\n');
                    continue;
                }
                b'\n' => TokenKind::Newline,
                b'"' => {
                    let end = self.end_of_text(at, byte);
                    return self.token(TokenKind::Text, at, end);
                }
                b'`' => {
                    let end = self.end_of_text(at, byte);
                    let token = self.token(TokenKind::Text, at, end);
                    (self.at, self.within) = (at + 1, end);
                    return token;
                }
                b'[' | b'{' | b'(' => TokenKind::Open,
                b']' | b'}' | b')' => TokenKind::Close,
                b',' | b';' => TokenKind::Separator,
                b':' if self.byte(at + 1) != Some(b'=') => TokenKind::Separator,
                b'.' => TokenKind::Dot,
                b'-' if self.byte(at + 1).is_some_and(|next| next.is_ascii_digit()) => TokenKind::Sign,
                b'+' | b'-' | b'*' | b'/' | b'%' | b'&' | b'|' => TokenKind::Operator,
                b':' | b'=' | b'<' | b'>' | b'!' => {
                    let end = self.end_while(at, |byte| matches!(byte, b':' | b'=' | b'<' | b'>' | b'!'));
                    return self.token(TokenKind::Operator, at, end);
                }
                b'0'..=b'9' => {
                    let end = number_text::end(self.text.as_bytes(), at);
                    return self.token(TokenKind::Number, at, end);
                }
                _ => {
                    let end = self.end_while(at, |byte| {
                        byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
                    });
                    return self.token(TokenKind::Word, at, end.max(at + 1));
                }
            };
            return self.token(kind, at, at + 1);
        }
    }
}
