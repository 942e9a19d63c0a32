//! Where the parser would take two expressions for one.

use std::borrow::Cow;

use crate::pace::Pace;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Code,
    Comment,
    String,
    RawString,
}

/// How much is read before the work gives way.
const CHUNK: usize = 16 << 10;
/// Words after which an expression is still to come.
const EXPECTING: [&str; 10] = ["not", "in", "if", "else", "with", "as", "some", "every", "and", "or"];

/// The text with `;` in front of each line of a body that begins with a parenthesis.
///
/// For the parser `input.role` on one line and `(x == 1)` on the next are a call; for OPA they are two expressions. The
/// `;` takes the place of a blank, so that every position stays.
pub(crate) async fn with_separators<'t>(text: &'t str, pace: &Pace) -> Cow<'t, str> {
    let mut separators = Vec::new();
    let (mut inside, mut open) = (Inside::Code, Vec::new());
    // Where the last word or sign of code ends, and whether its line has.
    let (mut end, mut line_has_ended) = (0, false);
    let mut bytes = text.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        if at.is_multiple_of(CHUNK) {
            pace.give_way().await;
        }
        let was_code = inside == Inside::Code;
        match (inside, byte) {
            (Inside::Code, b'#') => inside = Inside::Comment,
            (Inside::Code, b'"') => inside = Inside::String,
            (Inside::Code, b'`') => inside = Inside::RawString,
            (Inside::Code, b'[' | b'{' | b'(') => {
                let is_separate = byte == b'('
                    && line_has_ended
                    && open.last() == Some(&b'{')
                    && text.get(..end).is_some_and(ends_an_expression)
                    && at.checked_sub(1).and_then(|before| text.as_bytes().get(before)).is_some_and(is_blank);
                separators.extend(is_separate.then(|| at.saturating_sub(1)));
                open.push(byte);
            }
            (Inside::Code, b']' | b'}' | b')') => drop(open.pop()),
            (Inside::String, b'\\') => drop(bytes.next()),
            (Inside::Comment | Inside::String, b'\n')
            | (Inside::String, b'"')
            | (Inside::RawString, b'`') => inside = Inside::Code,
            _ => {}
        }
        let is_token = inside != Inside::Comment && !(was_code && byte.is_ascii_whitespace());
        if byte == b'\n' && inside == Inside::Code {
            line_has_ended = true;
        } else if is_token {
            (end, line_has_ended) = (at + 1, false);
        }
    }
    if separators.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut separated = String::with_capacity(text.len());
    let mut from = 0;
    for at in separators {
        separated.push_str(text.get(from..at).unwrap_or_default());
        separated.push(';');
        from = at + 1;
    }
    separated.push_str(text.get(from..).unwrap_or_default());
    Cow::Owned(separated)
}

fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn ends_an_expression(text: &str) -> bool {
    let is_word = |char: char| char.is_ascii_alphanumeric() || char == '_';
    let word = text.rsplit(|char: char| !is_word(char)).next().unwrap_or_default();
    text.ends_with([']', ')', '"', '`']) || (!word.is_empty() && !EXPECTING.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pace::finish;

    #[track_caller]
    fn check_separated(text: &str, expect: &str) {
        assert_eq!(finish(with_separators(text, &Pace::unhurried())), expect);
    }

    #[test]
    fn a_line_that_begins_with_a_parenthesis() {
        check_separated("x {\n a\n (b)\n}", "x {\n a\n;(b)\n}");
        check_separated("x {\n a == \"(\" # c\n\n\t (b)\n}", "x {\n a == \"(\" # c\n\n\t;(b)\n}");
        check_separated("x { y[_]\n (b)\n f(1)\n (c) }", "x { y[_]\n;(b)\n f(1)\n;(c) }");
        for same in [
            "x {\n a ==\n (b)\n}",
            "x {\n not\n (b)\n}",
            "x {\n a in\n (b)\n}",
            "x {\n f(a,\n (b))\n}",
            "x {\n [a,\n (b)]\n}",
            "x {\n a\n(b)\n}",
            "x {\n `a\n (b)`\n}",
            "x {\n a # c\n # (b)\n}",
            "x := a\n (b)",
            "x { f(a) }",
        ] {
            check_separated(same, same);
        }
    }
}
