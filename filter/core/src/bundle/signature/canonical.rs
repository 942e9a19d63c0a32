//! The form in which OPA hashes structured files: JSON without spaces, the keys of objects in order, texts escaped as Go
//! does it, and numbers as they are spelled.
//!
//! Nothing here is recursive, and long work gives way.

use std::{
    borrow::Cow,
    collections::{BTreeMap, btree_map},
};

use super::scan::{Token, scan, unescaped};
use crate::pace::Pace;

/// How many tokens are between two places where work gives way.
pub(super) const TOKENS_AT_A_TIME: usize = 512;
/// How many bytes are handed on at once.
const BUFFER_BYTES: usize = 16 << 10;

/// An object or an array of which a part is written.
enum Begun<'t> {
    Object { members: btree_map::IntoIter<Cow<'t, str>, usize>, is_first: bool },
    Array { at: usize, end: usize, is_first: bool },
}

/// Hands the canonical form of a JSON text to `sink`, piece by piece.
///
/// A key that stands twice is refused: readers differ about which of the two counts.
pub(super) async fn canonical(
    text: &str,
    sink: &mut (dyn FnMut(&[u8]) + '_),
    pace: &Pace,
) -> Result<(), String> {
    let tokens = scan(text, pace).await?;
    let mut out = Vec::with_capacity(BUFFER_BYTES);
    let mut begun: Vec<Begun<'_>> = Vec::new();
    let mut next = Some(0);
    let mut written = 0_usize;
    loop {
        written += 1;
        if written.is_multiple_of(TOKENS_AT_A_TIME) {
            pace.give_way().await;
        }
        if out.len() >= BUFFER_BYTES {
            sink(&out);
            out.clear();
        }
        if let Some(at) = next.take() {
            match tokens.get(at) {
                Some(Token::Text(raw)) => write_text(&unescaped(raw)?, &mut out),
                Some(Token::Literal(literal)) => out.extend_from_slice(literal.as_bytes()),
                Some(Token::Object { end }) => {
                    out.push(b'{');
                    let members = members(&tokens, at + 1, *end, pace).await?.into_iter();
                    begun.push(Begun::Object { members, is_first: true });
                }
                Some(Token::Array { end }) => {
                    out.push(b'[');
                    begun.push(Begun::Array { at: at + 1, end: *end, is_first: true });
                }
                None => return Err("this JSON ends early".to_owned()),
            }
        }
        match begun.last_mut() {
            None => break,
            Some(Begun::Object { members, is_first }) => match members.next() {
                Some((key, value)) => {
                    if !std::mem::take(is_first) {
                        out.push(b',');
                    }
                    write_text(&key, &mut out);
                    out.push(b':');
                    next = Some(value);
                }
                None => {
                    out.push(b'}');
                    begun.pop();
                }
            },
            Some(Begun::Array { at, end, .. }) if at == end => {
                out.push(b']');
                begun.pop();
            }
            Some(Begun::Array { at, is_first, .. }) => {
                if !std::mem::take(is_first) {
                    out.push(b',');
                }
                next = Some(*at);
                *at = behind(&tokens, *at);
            }
        }
    }
    sink(&out);
    Ok(())
}

/// The members of an object, by their keys in the order of their bytes, which is Go's.
async fn members<'t>(
    tokens: &[Token<'t>],
    from: usize,
    end: usize,
    pace: &Pace,
) -> Result<BTreeMap<Cow<'t, str>, usize>, String> {
    let mut members = BTreeMap::new();
    let mut at = from;
    while at < end {
        let Some(Token::Text(raw)) = tokens.get(at) else { return Err("a key must be a string".to_owned()) };
        if members.insert(unescaped(raw)?, at + 1).is_some() {
            return Err(format!("the key `{raw}` stands twice in an object"));
        }
        at = behind(tokens, at + 1);
        if members.len().is_multiple_of(TOKENS_AT_A_TIME) {
            pace.give_way().await;
        }
    }
    Ok(members)
}

/// Where what follows the value at `at` begins.
fn behind(tokens: &[Token<'_>], at: usize) -> usize {
    match tokens.get(at) {
        Some(Token::Object { end } | Token::Array { end }) => *end,
        Some(Token::Text(_) | Token::Literal(_)) | None => at + 1,
    }
}

/// Writes a text as Go's encoder does where it does not escape for HTML.
pub(super) fn write_text(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for char in text.chars() {
        match char {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\u{8}' => out.extend_from_slice(b"\\b"),
            '\u{c}' => out.extend_from_slice(b"\\f"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            '\0'..='\u{1f}' | '\u{2028}' | '\u{2029}' => {
                out.extend_from_slice(format!("\\u{:04x}", u32::from(char)).as_bytes());
            }
            _ => out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}
