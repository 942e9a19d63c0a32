//! Keywords of later versions in a text that imports none of them.

use super::{Token, TokenKind, Tokens};
use crate::pace::Pace;

/// Words behind which a keyword is a name.
const BEFORE_NAMES: [&str; 7] = ["as", "default", "import", "not", "package", "some", "with"];

/// The first of `in`, `every`, `contains` and `if` that stands where only a keyword can; nothing where there is none, or
/// where some are imported. The parser takes them for names then, and complains on stderr.
pub(crate) async fn unimported_keyword<'t>(text: &'t str, pace: &Pace) -> Option<Token<'t>> {
    if text.contains("import future.keywords") || text.contains("import rego.v1") {
        return None;
    }
    let mut tokens = Tokens::new(text).peekable();
    let mut before: Option<Token<'t>> = None;
    while let Some(token) = tokens.next() {
        pace.spend(1).await;
        let behind = tokens.peek().filter(|behind| behind.kind != TokenKind::Newline);
        if token.kind == TokenKind::Word && is_keyword(&token, before.as_ref(), behind) {
            return Some(token);
        }
        before = Some(token);
    }
    None
}

fn is_keyword(token: &Token<'_>, before: Option<&Token<'_>>, behind: Option<&Token<'_>>) -> bool {
    let is_name = |token: &Token<'_>| token.kind == TokenKind::Word && !BEFORE_NAMES.contains(&token.text);
    let is_value = before.is_some_and(|before| {
        is_name(before) || matches!(before.kind, TokenKind::Text | TokenKind::Number | TokenKind::Close)
    });
    match token.text {
        "in" => is_value && behind.is_some(),
        "if" => is_value,
        "contains" => is_value && behind.is_some_and(|behind| behind.text != "("),
        "every" => behind.is_some_and(is_name),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pace::finish;

    #[test]
    fn where_only_a_keyword_can_stand() {
        for (text, expect) in [
            ("allow { input.x in [1] }", Some(("in", 16))),
            ("allow { some x in [1] }", Some(("in", 15))),
            ("allow { every x in [1] { x } }", Some(("every", 8))),
            ("deny contains x { x := 1 }", Some(("contains", 5))),
            ("allow if { true }", Some(("if", 6))),
            ("f(x) if x", Some(("if", 5))),
            ("allow { contains(input.x, \"a\") }", None),
            ("allow {\n true\n contains(input.x, \"a\")\n}", None),
            ("allow { input.in == input.if; data.contains.x }", None),
            ("allow { x := [\"in\", \"if\"] } # if in every x", None),
            ("import future.keywords.in\nallow { input.x in [1] }", None),
        ] {
            let found = finish(unimported_keyword(text, &Pace::unhurried()));
            assert_eq!(found.map(|token| (token.text, token.at)), expect, "{text}");
        }
    }
}
