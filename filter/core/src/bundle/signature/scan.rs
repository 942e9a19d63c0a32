//! Reads JSON into tokens that point into the text, so that no spelling is lost.

use std::borrow::Cow;

use super::canonical::TOKENS_AT_A_TIME;
use crate::pace::Pace;

/// A value, or the key before one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'t> {
    /// What follows, up to the token `end`, is keys and values in turn.
    Object { end: usize },
    /// What follows, up to the token `end`, is values.
    Array { end: usize },
    /// A string, as it stands between its quotes.
    Text(&'t str),
    /// A number, `true`, `false` or `null`.
    Literal(&'t str),
}

struct Scanner<'t> {
    text: &'t str,
    at: usize,
}

/// The tokens of a JSON text, in its order.
pub(super) async fn scan<'t>(text: &'t str, pace: &Pace) -> Result<Vec<Token<'t>>, String> {
    let mut scanner = Scanner { text, at: 0 };
    let mut tokens = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    loop {
        if tokens.len().is_multiple_of(TOKENS_AT_A_TIME) {
            pace.give_way().await;
        }
        let begun = scanner.value(&mut tokens)?;
        if begun {
            open.push(tokens.len() - 1);
            let is_object = scanner.is_object(&tokens, &open);
            let close = if is_object { b'}' } else { b']' };
            if scanner.peek() != Some(close) {
                if is_object {
                    tokens.push(scanner.key()?);
                }
                continue;
            }
        }
        // A value has ended, and perhaps what it stands in.
        loop {
            let Some(container) = open.last().copied() else {
                return if scanner.peek().is_none() { Ok(tokens) } else { Err(scanner.malformed()) };
            };
            let is_object = scanner.is_object(&tokens, &open);
            match (scanner.peek(), is_object) {
                (Some(b','), _) => {
                    scanner.at += 1;
                    if is_object {
                        tokens.push(scanner.key()?);
                    }
                    break;
                }
                (Some(b'}'), true) | (Some(b']'), false) => {
                    scanner.at += 1;
                    open.pop();
                    let end = tokens.len();
                    if let Some(token) = tokens.get_mut(container) {
                        *token = if is_object { Token::Object { end } } else { Token::Array { end } };
                    }
                }
                _ => return Err(scanner.malformed()),
            }
        }
    }
}

// === impl Scanner ===

impl<'t> Scanner<'t> {
    fn malformed(&self) -> String {
        let line = self.text.bytes().take(self.at).filter(|byte| *byte == b'\n').count() + 1;
        format!("this is not JSON: line {line}")
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The next byte that is no space.
    fn peek(&mut self) -> Option<u8> {
        while matches!(self.byte(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        self.byte()
    }

    fn is_object(&self, tokens: &[Token<'t>], open: &[usize]) -> bool {
        matches!(open.last().and_then(|at| tokens.get(*at)), Some(Token::Object { .. }))
    }

    /// Reads a value, or the beginning of one that has others in it: whether that.
    fn value(&mut self, tokens: &mut Vec<Token<'t>>) -> Result<bool, String> {
        let token = match self.peek() {
            Some(b'{') => Token::Object { end: 0 },
            Some(b'[') => Token::Array { end: 0 },
            Some(b'"') => Token::Text(self.string()?),
            Some(_) => Token::Literal(self.literal()?),
            None => return Err(self.malformed()),
        };
        tokens.push(token);
        let begins = matches!(token, Token::Object { .. } | Token::Array { .. });
        if begins {
            self.at += 1;
        }
        Ok(begins)
    }

    fn key(&mut self) -> Result<Token<'t>, String> {
        if self.peek() != Some(b'"') {
            return Err(self.malformed());
        }
        let key = self.string()?;
        if self.peek() != Some(b':') {
            return Err(self.malformed());
        }
        self.at += 1;
        Ok(Token::Text(key))
    }

    /// What stands between two quotes. Its escapes are read by [`unescaped`].
    fn string(&mut self) -> Result<&'t str, String> {
        let start = self.at + 1;
        let mut at = start;
        let end = loop {
            match self.text.as_bytes().get(at) {
                Some(b'"') => break at,
                Some(b'\\') => at += 2,
                Some(0..=0x1f) | None => return Err(self.malformed()),
                Some(_) => at += 1,
            }
        };
        self.at = end + 1;
        self.text.get(start..end).ok_or_else(|| self.malformed())
    }

    fn literal(&mut self) -> Result<&'t str, String> {
        let start = self.at;
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
        while self.byte().is_some_and(is_part) {
            self.at += 1;
        }
        let literal = self.text.get(start..self.at).unwrap_or_default();
        if matches!(literal, "true" | "false" | "null") || is_number(literal) {
            return Ok(literal);
        }
        self.at = start;
        Err(self.malformed())
    }
}

/// Whether a text is a number by JSON's grammar.
fn is_number(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (text.get(..at).unwrap_or_default(), text.get(at + 1..)),
        None => (text, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)))
}

/// The text that a string's escapes stand for.
pub(super) fn unescaped(raw: &str) -> Result<Cow<'_, str>, String> {
    if !raw.contains('\\') {
        return Ok(Cow::Borrowed(raw));
    }
    let wrong =
        || format!("`{}` has an escape that stands for nothing", raw.chars().take(80).collect::<String>());
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((before, after)) = rest.split_once('\\') {
        text.push_str(before);
        let mut chars = after.chars();
        let char = match chars.next().ok_or_else(wrong)? {
            same @ ('"' | '\\' | '/') => same,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let (char, behind) = code_point(chars.as_str()).ok_or_else(wrong)?;
                chars = behind.chars();
                char
            }
            _ => return Err(wrong()),
        };
        text.push(char);
        rest = chars.as_str();
    }
    text.push_str(rest);
    Ok(Cow::Owned(text))
}

/// The character of four hexadecimal digits, or of two times four with `\u` between, and what follows.
fn code_point(digits: &str) -> Option<(char, &str)> {
    let (first, rest) = code_unit(digits)?;
    if let Some(char) = char::from_u32(first) {
        return Some((char, rest));
    }
    let (second, rest) = code_unit(rest.strip_prefix("\\u")?)?;
    let (high, low) = (first.checked_sub(0xd800)?, second.checked_sub(0xdc00)?);
    let is_pair = high < 0x400 && low < 0x400;
    let char = is_pair.then(|| char::from_u32(0x10000 + (high << 10) + low))??;
    Some((char, rest))
}

fn code_unit(digits: &str) -> Option<(u32, &str)> {
    let (digits, rest) = digits.split_at_checked(4)?;
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| u32::from_str_radix(digits, 16).ok().map(|unit| (unit, rest)))?
}
